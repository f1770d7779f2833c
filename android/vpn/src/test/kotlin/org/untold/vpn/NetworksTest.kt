package org.untold.vpn

import android.content.Intent
import android.net.ConnectivityManager
import android.net.InetAddresses
import android.net.LinkProperties
import android.net.NetworkCapabilities
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowNetworkCapabilities
import org.untold.vpn.testing.NativeRunner
import org.untold.vpn.testing.ServiceRule
import org.untold.vpn.testing.ShadowBuilder
import org.untold.vpn.testing.ShadowDescriptor
import org.untold.vpn.testing.ShadowOwners
import org.untold.vpn.testing.ShadowService

@RunWith(NativeRunner::class)
@Config(shadows = [ShadowDescriptor::class, ShadowBuilder::class, ShadowService::class, ShadowOwners::class])
class NetworksTest {
    @get:Rule
    val phone = ServiceRule()
    private val connectivity = RuntimeEnvironment.getApplication().getSystemService(ConnectivityManager::class.java)!!

    /** What the network beneath is like. */
    private fun beneath(link: LinkProperties.() -> Unit) {
        val network = connectivity.allNetworks.first()
        val capabilities = ShadowNetworkCapabilities.newInstance()
        shadowOf(capabilities).run {
            addCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET)
            addCapability(NetworkCapabilities.NET_CAPABILITY_NOT_VPN)
        }
        shadowOf(connectivity).setNetworkCapabilities(network, capabilities)
        shadowOf(connectivity).setLinkProperties(network, LinkProperties().apply(link))
    }

    private fun protection(): Protection {
        phone.send(Intent())
        assertEquals(TunnelState.Starting, phone.next())
        return (phone.next() as TunnelState.On).protection
    }

    @Test
    fun `strict Private DNS is told as reduced sight, however much else is set`() {
        ShadowService.alwaysOn = true
        ShadowService.lockdown = true
        beneath { privateDnsServerName = "dns.example" }
        val protection = protection()
        assertTrue(protection.privateDns)
        assertFalse(protection.isWhole)
    }

    @Test
    fun `opportunistic Private DNS is none to tell of, because it falls back`() {
        beneath { setUsePrivateDns(true) }
        assertFalse(protection().privateDns)
    }

    @Test
    fun `a network beneath that has no IPv6 leaves none outside the tunnel`() {
        beneath { setDnsServers(listOf(InetAddresses.parseNumericAddress("192.0.2.53"))) }
        protection()
        assertEquals(listOf("0.0.0.0/0", "::/0"), ShadowBuilder.last!!.routes)
    }
}
