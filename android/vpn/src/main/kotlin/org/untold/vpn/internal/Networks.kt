package org.untold.vpn.internal

import android.content.Context
import android.net.ConnectivityManager
import android.net.LinkProperties
import android.net.Network
import android.net.NetworkCapabilities
import android.net.NetworkRequest
import java.net.Inet6Address
import java.net.InetAddress

/** The networks beneath the tunnel. */
internal class Networks(context: Context) {
    private val connectivity = context.service<ConnectivityManager>()

    /** Where the network beneath resolves names, `address:port`. */
    fun resolvers(): List<String> = beneath()?.dnsServers.orEmpty().map(::withPort)

    /** Whether the person set a Private DNS provider: the system then asks it inside TLS, past our resolver. */
    fun hasStrictPrivateDns(): Boolean = beneath()?.privateDnsServerName != null

    /** Calls back whenever [resolvers] are others than before. */
    fun watch(changed: () -> Unit): AutoCloseable {
        var known = resolvers()
        val callback = object : ConnectivityManager.NetworkCallback() {
            override fun onLinkPropertiesChanged(network: Network, link: LinkProperties) = compare()

            override fun onLost(network: Network) = compare()

            private fun compare() {
                val now = resolvers()
                // With no network at all there is nothing to ask; the old ones do as well.
                if (now.isEmpty() || now == known) return
                known = now
                changed()
            }
        }
        val request = NetworkRequest.Builder()
            .addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
            .addCapability(NetworkCapabilities.NET_CAPABILITY_NOT_VPN)
            .build()
        connectivity.registerNetworkCallback(request, callback)
        return AutoCloseable { connectivity.unregisterNetworkCallback(callback) }
    }

    /** The network the system prefers beneath the VPN: a validated one, unmetered before metered. */
    @Suppress("DEPRECATION") // no other call lists networks without waiting for a callback
    private fun beneath(): LinkProperties? = connectivity.allNetworks
        .mapNotNull { network -> connectivity.getNetworkCapabilities(network)?.let { network to it } }
        .filter { (_, has) ->
            has.hasCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET) && has.hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_VPN)
        }
        .maxByOrNull { (_, has) ->
            (if (has.hasCapability(NetworkCapabilities.NET_CAPABILITY_VALIDATED)) 2 else 0) +
                (if (has.hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED)) 1 else 0)
        }
        ?.let { (network, _) -> connectivity.getLinkProperties(network) }

    private fun withPort(address: InetAddress): String =
        if (address is Inet6Address) "[${address.hostAddress}]:$DNS" else "${address.hostAddress}:$DNS"

    private companion object {
        const val DNS = 53
    }
}
