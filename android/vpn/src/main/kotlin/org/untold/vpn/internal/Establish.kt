package org.untold.vpn.internal

import android.net.VpnService
import android.os.ParcelFileDescriptor
import org.untold.vpn.TunnelOptions

/**
 * Establishes a tunnel for everything of both families, our own app included. A family that the device lacks is left out:
 * since `allowFamily` is never called, the system blocks it rather than letting it pass by.
 */
internal fun VpnService.Builder.establish(options: TunnelOptions): ParcelFileDescriptor? {
    options.session?.let(::setSession)
    options.configureIntent?.let(::setConfigureIntent)
    setMtu(options.mtu)
    setMetered(false)
    val families = listOf(
        Family(options.address4, 30, options.dns4, "0.0.0.0"),
        Family(options.address6, 126, options.dns6, "::"),
    ).count { addFamily(it) }
    check(families > 0) { "neither family can be routed" }
    return establish()
}

private class Family(val address: String, val prefix: Int, val dns: String, val everything: String)

private fun VpnService.Builder.addFamily(family: Family): Boolean = try {
    addAddress(family.address, family.prefix)
    addRoute(family.everything, 0)
    addDnsServer(family.dns)
    true
} catch (absent: IllegalArgumentException) {
    false
}
