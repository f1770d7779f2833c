package org.untold.vpn

import android.app.Notification
import android.content.Intent
import android.net.VpnService
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ServiceController
import org.robolectric.annotation.Config
import org.untold.Event
import org.untold.Identity
import org.untold.Rules
import org.untold.testing.Linux
import org.untold.vpn.TunnelState.Cause
import org.untold.vpn.testing.NativeRunner
import org.untold.vpn.testing.ShadowBuilder
import org.untold.vpn.testing.ShadowDescriptor
import org.untold.vpn.testing.ShadowOwners
import org.untold.vpn.testing.ShadowService
import org.untold.vpn.testing.resetShadows

@RunWith(NativeRunner::class)
@Config(shadows = [ShadowDescriptor::class, ShadowBuilder::class, ShadowService::class, ShadowOwners::class])
class UntoldVpnServiceTest {
    /** A service that keeps what it is told. */
    class Service : UntoldVpnService() {
        val states = LinkedBlockingQueue<TunnelState>()
        val events = LinkedBlockingQueue<Event>()
        @Volatile var policy = ""

        override fun loadPolicy() = Rules(policy = policy)

        override fun loadIdentity(): Identity = Identity.EMPTY

        override fun notification(state: TunnelState): Notification = Notification.Builder(this, "status").setSmallIcon(android.R.drawable.ic_lock_lock).build()

        override fun onState(state: TunnelState) {
            states += state
        }

        override fun onEvent(event: Event) {
            events += event
        }

        fun next(): TunnelState? = states.poll(20, TimeUnit.SECONDS)
    }

    private val controller: ServiceController<Service> = Robolectric.buildService(Service::class.java).create()
    private val service: Service = controller.get()
    private var destroyed = false
    private val partial = TunnelState.On(Protection(alwaysOn = false, lockdown = false, privateDns = false))

    @Before
    fun device() {
        Linux.assumeNamespace()
        resetShadows()
        ShadowBuilder.device = "vpn0"
    }

    private fun start(intent: Intent? = Intent()) = service.onStartCommand(intent, 0, 1)

    @After
    fun destroy() {
        if (destroyed) return
        destroyed = true
        controller.destroy()
        await("the service's thread does not end") { Linux.threads("untold-tunnel") == 0 }
    }

    private fun await(otherwise: String, condition: () -> Boolean) {
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20)
        while (!condition()) {
            check(System.nanoTime() < end) { otherwise }
            Thread.sleep(5)
        }
    }

    private fun assertFailed(cause: Cause) {
        assertEquals(TunnelState.Starting, service.next())
        assertEquals(TunnelState.Failed(cause), service.next())
        assertNull(service.states.poll(100, TimeUnit.MILLISECONDS))
        destroy()
        assertNull("what ended it stays said", service.states.poll())
    }

    @Test
    fun `routes both families, names a resolver that is not its own address, and keeps every app inside`() {
        start()
        assertEquals(TunnelState.Starting, service.next())
        assertEquals(partial, service.next())
        ShadowBuilder.last!!.run {
            assertEquals(listOf("0.0.0.0/0", "::/0"), routes)
            assertEquals(2, addresses.size)
            assertEquals(2, servers.size)
            assertTrue(servers.none { server -> addresses.any { it.startsWith("$server/") } })
            assertTrue(excluded.isEmpty())
            assertTrue(mtu in 1280..9000)
            assertEquals(false, metered)
        }
        destroy()
        assertEquals(TunnelState.Off, service.next())
    }

    @Test
    fun `a device without IPv6 gets a tunnel all the same`() {
        ShadowBuilder.lacksIpv6 = true
        start()
        service.next()
        assertEquals(partial, service.next())
        assertEquals(listOf("0.0.0.0/0"), ShadowBuilder.last!!.routes)
        destroy()
    }

    @Test
    fun `is whole only with always-on and lockdown`() {
        ShadowService.alwaysOn = true
        ShadowService.lockdown = true
        start(Intent(VpnService.SERVICE_INTERFACE)) // as the system starts it: no extras
        service.next()
        assertTrue((service.next() as TunnelState.On).protection.isWhole)
        destroy()
    }

    @Test
    fun `a restart without an intent is a start`() {
        start(null)
        service.next()
        assertEquals(partial, service.next())
        destroy()
    }

    @Test
    fun `without consent it fails and says so`() {
        ShadowBuilder.device = null
        start()
        assertFailed(Cause.Consent)
    }

    @Test
    fun `a refused tunnel is a state, not a crash`() {
        ShadowBuilder.refusal = IllegalStateException("Cannot set address")
        start()
        assertFailed(Cause.Establish)
    }

    @Test
    fun `a refused foreground is a state, not a crash`() {
        shadowOf(service).setThrowInStartForeground(IllegalStateException("not allowed"))
        start()
        assertEquals(TunnelState.Failed(Cause.Foreground), service.next())
        destroy()
    }

    @Test
    fun `files that cannot be used are named, and nothing runs without rules`() {
        service.policy = "[default]\nleek = \"ask\"\n"
        start()
        assertEquals(TunnelState.Starting, service.next())
        val cause = (service.next() as TunnelState.Failed).cause as Cause.Rules
        assertEquals(2, cause.problem.line)
        destroy()
    }

    @Test
    fun `new files that cannot be used leave the old rules in force`() {
        start()
        service.next()
        service.next()
        service.policy = "nonsense"
        service.onStartCommand(Intent("org.untold.vpn.RELOAD"), 0, 2)
        assertTrue(service.events.poll(20, TimeUnit.SECONDS) is Event.Fault)
        assertNull(service.states.poll())
        destroy()
        assertEquals(TunnelState.Off, service.next())
    }

    @Test
    fun `revoked on another thread, it closes the tunnel`() {
        start()
        service.next()
        assertEquals(partial, service.next())
        assertTrue(Linux.run("ip", "link").contains("vpn0"))
        Thread(service::onRevoke).apply { start() }.join()
        assertEquals(TunnelState.Failed(Cause.Revoked), service.next())
        assertFalse(Linux.run("ip", "link").contains("vpn0"))
    }

    @Test
    @Config(sdk = [35])
    fun `started and stopped two hundred times it leaks no descriptor and no thread`() {
        fun round() {
            start()
            assertEquals(TunnelState.Starting, service.next())
            assertEquals(partial, service.next())
            service.onStartCommand(Intent("org.untold.vpn.STOP"), 0, 2)
            assertEquals(TunnelState.Off, service.next())
        }
        repeat(3) { round() }
        val (descriptors, threads) = Linux.descriptors() to Linux.threads("untold")
        repeat(200) { round() }
        assertTrue("what the JVM itself opens is not once a round", Linux.descriptors() - descriptors < 20)
        await("threads are left") { Linux.threads("untold") <= threads }
    }
}
