package org.untold.vpn

import java.net.ConnectException
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.NoRouteToHostException
import java.net.Socket
import java.net.SocketException
import java.util.concurrent.TimeUnit
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.annotation.Config
import org.untold.Action
import org.untold.Event
import org.untold.testing.Linux
import org.untold.testing.Uplink
import org.untold.vpn.testing.NativeRunner
import org.untold.vpn.testing.ServiceRule
import org.untold.vpn.testing.ServiceRule.Companion.DEVICE
import org.untold.vpn.testing.ShadowBuilder
import org.untold.vpn.testing.ShadowDescriptor
import org.untold.vpn.testing.ShadowOwners
import org.untold.vpn.testing.ShadowService

/** The service with real packets: this process's own traffic goes into the tunnel, and out of it by protected sockets. */
@RunWith(NativeRunner::class)
@Config(shadows = [ShadowDescriptor::class, ShadowBuilder::class, ShadowService::class, ShadowOwners::class])
class TrafficTest {
    @get:Rule
    val phone = ServiceRule()
    private lateinit var uplink: Uplink
    private val options = TunnelOptions()

    @Before
    fun goOnline() {
        uplink = Uplink(ShadowService.MARK)
        phone.start()
        uplink.attach(DEVICE, options.address4, options.address6)
    }

    @After
    fun goOffline() = uplink.close()

    /** What the tunnel says it saw, after its end. */
    private fun flows(): List<Event.Flow> {
        phone.stop()
        assertEquals(TunnelState.Off, phone.next())
        phone.destroy()
        return phone.service.events.filterIsInstance<Event.Flow>()
    }

    private fun isRemote(flow: Event.Flow) = flow.destination == "${Uplink.REMOTE}:${Uplink.PORT}"

    @Test
    fun `an unprotected socket of our own goes through the tunnel, once, and a protected one around it`() {
        val unprotected = Linux.socket()
        assertTrue(Linux.connect(unprotected, Uplink.REMOTE, Uplink.PORT))
        Linux.close(unprotected)
        Linux.await("the engine connects on its behalf") { uplink.connections.size == 1 }

        val protected = Linux.socket()
        assertTrue(phone.service.protect(protected))
        assertTrue(Linux.connect(protected, Uplink.REMOTE, Uplink.PORT))
        Linux.close(protected)
        Linux.await("it arrives") { uplink.connections.size == 2 }
        assertEquals(listOf(Uplink.HERE, Uplink.HERE), uplink.connections)

        // Had the engine's own socket come round again, there would be a flow for it, and one for that one.
        val seen = flows().filter(::isRemote)
        assertEquals("$seen", 1, seen.size)
        assertTrue("${seen[0]}", seen[0].source.startsWith("${options.address4}:"))
        assertEquals(Action.Allow, seen[0].verdict)
    }

    @Test
    fun `a socket that cannot be protected is closed and never connected`() {
        ShadowService.protects = false
        val before = Linux.descriptors()
        repeat(20) {
            val socket = Linux.socket()
            assertFalse(Linux.connect(socket, Uplink.REMOTE, Uplink.PORT))
            Linux.close(socket)
        }
        assertEquals(emptyList<String>(), uplink.connections)
        assertTrue("${Linux.descriptors()} descriptors, before $before", Linux.descriptors() - before < 10)

        ShadowService.protects = true
        val socket = Linux.socket()
        assertTrue("nothing is kept of it", Linux.connect(socket, Uplink.REMOTE, Uplink.PORT))
        Linux.close(socket)
        val seen = flows().filter(::isRemote)
        assertTrue("none comes round through the tunnel: $seen", seen.size <= 21)
    }

    @Test
    fun `DNS over TLS at the tunnel's resolver is refused at once, in both families`() {
        for (resolver in listOf(options.dns4, options.dns6)) {
            assertRefusedAtOnce(InetSocketAddress(InetAddress.getByName(resolver), DNS_OVER_TLS))
        }
    }

    private fun assertRefusedAtOnce(to: InetSocketAddress) {
        val began = System.nanoTime()
        val refused = assertThrows(SocketException::class.java) { Socket().use { it.connect(to, 10_000) } }
        assertTrue("$to: $refused", refused is ConnectException || refused is NoRouteToHostException)
        val took = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began)
        assertTrue("$to: it took $took ms", took < 2_000)
    }

    @Test
    fun `without IPv6 beneath, IPv6 ends in the tunnel and not beside it`() {
        val there = InetSocketAddress(InetAddress.getByName("2001:db8::9"), Uplink.PORT)
        assertRefusedAtOnce(there)
        val seen = flows().filter { it.destination == "[2001:db8::9]:${Uplink.PORT}" }
        // The kernel may try again from the same port; what comes round would have another.
        val source = seen.map { it.source }.distinct().single()
        assertTrue(source, source.startsWith("[${options.address6}]:"))
    }

    private companion object {
        const val DNS_OVER_TLS = 853
    }
}
