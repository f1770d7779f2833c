package org.untold.vpn

import android.app.Application
import android.content.Intent
import android.net.VpnService
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.untold.Event
import org.untold.testing.Linux
import org.untold.vpn.TunnelState.Cause
import org.untold.vpn.testing.Calls
import org.untold.vpn.testing.NativeRunner
import org.untold.vpn.testing.RecordingService
import org.untold.vpn.testing.ServiceRule
import org.untold.vpn.testing.ServiceRule.Companion.DEVICE
import org.untold.vpn.testing.ServiceRule.Companion.PARTIAL
import org.untold.vpn.testing.ShadowBuilder
import org.untold.vpn.testing.ShadowDescriptor
import org.untold.vpn.testing.ShadowOwners
import org.untold.vpn.testing.ShadowService

@RunWith(NativeRunner::class)
@Config(shadows = [ShadowDescriptor::class, ShadowBuilder::class, ShadowService::class, ShadowOwners::class])
class UntoldVpnServiceTest {
    @get:Rule
    val phone = ServiceRule()

    private fun assertFailed(cause: Cause) {
        assertEquals(TunnelState.Starting, phone.next())
        assertEquals(TunnelState.Failed(cause), phone.next())
        phone.assertNothingMoreIsSaid()
        phone.destroy()
        assertNull("what ended it stays said", phone.service.states.poll())
    }

    private fun hasDevice() = Linux.run("ip", "link").contains(DEVICE)

    @Test
    fun `routes both families, names a resolver that is not its own address, and keeps every app inside`() {
        phone.start()
        ShadowBuilder.last!!.run {
            assertEquals(listOf("0.0.0.0/0", "::/0"), routes)
            assertEquals(2, addresses.size)
            assertEquals(2, servers.size)
            assertTrue(servers.none { server -> addresses.any { it.startsWith("$server/") } })
            assertTrue(excluded.isEmpty())
            assertTrue(bypasses.isEmpty())
            assertTrue(mtu in 1280..9000)
            assertEquals(false, metered)
        }
        phone.destroy()
        assertEquals(TunnelState.Off, phone.next())
    }

    /** A family that nobody mentions is blocked by the system; it would pass by after allowFamily() or allowBypass(). */
    @Test
    fun `a device without IPv6 gets a tunnel all the same, and no way around it`() {
        ShadowBuilder.lacksIpv6 = true
        phone.start()
        ShadowBuilder.last!!.run {
            assertEquals(listOf("0.0.0.0/0"), routes)
            assertTrue(bypasses.isEmpty())
        }
    }

    @Test
    fun `is whole only with always-on and lockdown`() {
        ShadowService.alwaysOn = true
        ShadowService.lockdown = true
        phone.send(Intent(VpnService.SERVICE_INTERFACE)) // as the system starts it: no extras
        phone.next()
        assertTrue((phone.next() as TunnelState.On).protection.isWhole)
    }

    @Test
    fun `what was set meanwhile is told by the next start`() {
        phone.start()
        ShadowService.alwaysOn = true
        phone.send(Intent(VpnService.SERVICE_INTERFACE))
        assertEquals(TunnelState.On(Protection(alwaysOn = true, lockdown = false, privateDns = false)), phone.next())
    }

    @Test
    fun `a restart without an intent is a start`() = phone.start(intent = null)

    @Test
    fun `asks for consent never, and for the foreground before it establishes`() {
        RecordingService().let { UntoldVpnService.start(RuntimeEnvironment.getApplication(), it.javaClass) }
        val intent = shadowOf(RuntimeEnvironment.getApplication() as Application).nextStartedService
        assertEquals("nothing runs before the system says so", emptyList<String>(), Calls.toList())
        phone.start(intent)
        assertEquals(listOf("startForeground", "establish"), Calls.toList())
        for (again in listOf(null, Intent(), Intent(VpnService.SERVICE_INTERFACE), Intent("org.untold.vpn.RELOAD"))) phone.send(again)
        phone.stop()
        assertEquals(TunnelState.Off, phone.next())
        phone.start()
        phone.service.onRevoke()
        assertEquals(TunnelState.Failed(Cause.Revoked), phone.next())
        phone.destroy()
        assertFalse("only a person's act asks: prepare() may evict another VPN", "prepare" in Calls.toList())
        assertEquals("startForeground", Calls.toList().let { it[it.lastIndexOf("establish") - 1] })
    }

    /** anchors R20: establish() returns null. */
    @Test
    fun `r20 without consent it fails and says so`() {
        ShadowBuilder.device = null
        phone.send(Intent())
        assertFailed(Cause.Consent)
    }

    /** anchors R20: always-on, and yet another VPN has the slot since. */
    @Test
    fun `r20 a start by the system after consent is gone fails and asks nobody`() {
        ShadowBuilder.device = null
        phone.send(Intent(VpnService.SERVICE_INTERFACE))
        assertFailed(Cause.Consent)
        assertFalse("prepare" in Calls.toList())
    }

    /** anchors R20: establish() throws. */
    @Test
    fun `r20 a refused tunnel is a state, not a crash`() {
        ShadowBuilder.refusal = IllegalStateException("Cannot set address")
        phone.send(Intent())
        assertFailed(Cause.Establish)
    }

    /** anchors R20: startForeground() throws. */
    @Test
    fun `r20 a refused foreground is a state, not a crash`() {
        ShadowService.foregroundRefusal = IllegalStateException("not allowed")
        phone.send(Intent())
        assertEquals(TunnelState.Failed(Cause.Foreground), phone.next())
        assertFalse("establish" in Calls.toList())
    }

    /** anchors R20: onRevoke() on a thread of the system's. */
    @Test
    fun `r20 revoked on another thread, it closes the tunnel`() {
        phone.start()
        assertTrue(hasDevice())
        thread { phone.service.onRevoke() }.join()
        assertEquals(TunnelState.Failed(Cause.Revoked), phone.next())
        assertFalse(hasDevice())
    }

    /** anchors R20: onRevoke() in the middle of a start. */
    @Test
    fun `r20 revoked while it starts, it ends without a tunnel`() {
        val (loading, revoked) = CountDownLatch(1) to CountDownLatch(1)
        phone.service.beforeLoading = {
            loading.countDown()
            revoked.await(20, TimeUnit.SECONDS)
        }
        phone.send(Intent())
        assertEquals(TunnelState.Starting, phone.next())
        assertTrue(loading.await(20, TimeUnit.SECONDS))
        thread { phone.service.onRevoke() }.join()
        revoked.countDown()
        assertEquals(PARTIAL, phone.next())
        assertEquals(TunnelState.Failed(Cause.Revoked), phone.next())
        assertFalse(hasDevice())
        phone.assertNothingMoreIsSaid()
    }

    @Test
    fun `files that cannot be used are named, and nothing runs without rules`() {
        phone.service.policy = "[default]\nleek = \"ask\"\n"
        phone.send(Intent())
        assertEquals(TunnelState.Starting, phone.next())
        val cause = (phone.next() as TunnelState.Failed).cause as Cause.Rules
        assertEquals(2, cause.problem.line)
        assertFalse(hasDevice())
    }

    @Test
    fun `new files that cannot be used leave the old rules in force`() {
        phone.start()
        phone.service.policy = "nonsense"
        phone.send(Intent("org.untold.vpn.RELOAD"))
        assertTrue(phone.service.events.poll(20, TimeUnit.SECONDS) is Event.Fault)
        assertNull(phone.service.states.poll())
        phone.destroy()
        assertEquals(TunnelState.Off, phone.next())
    }

    /** anchors R2, at the level of the service: a thousand tunnels, by start, stop and start again. */
    @Test
    @Config(sdk = [35])
    fun `r2 started and stopped a thousand times it leaks no descriptor and no thread`() = Linux.withKeptTun(DEVICE) {
        fun round() {
            phone.start()
            phone.stop()
            assertEquals(TunnelState.Off, phone.next())
        }
        repeat(3) { round() }
        val (descriptors, threads) = Linux.descriptors() to Linux.threads("untold")
        repeat(1000) { round() }
        assertTrue("what the JVM itself opens is not once a round", Linux.descriptors() - descriptors < 20)
        Linux.await("no more threads than before") { Linux.threads("untold") <= threads }
        phone.destroy()
    }
}
