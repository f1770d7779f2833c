package org.untold.app

import android.app.NotificationManager
import android.content.Intent
import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.junit4.v2.createAndroidComposeRule
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performScrollTo
import java.util.concurrent.TimeUnit
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ServiceController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.untold.Identity
import org.untold.Kind
import org.untold.app.data.Journal
import org.untold.testing.Collector
import org.untold.testing.Linux
import org.untold.testing.Phone
import org.untold.testing.Registration
import org.untold.vpn.TunnelState
import org.untold.vpn.testing.NativeRunner
import org.untold.vpn.testing.ShadowBuilder
import org.untold.vpn.testing.ShadowDescriptor
import org.untold.vpn.testing.ShadowOwners
import org.untold.vpn.testing.ShadowService
import org.untold.vpn.testing.resetShadows

/** The whole way: a system app posts the registration of 2019 into a real tun device, and a person answers on the screen. */
@RunWith(NativeRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(
    qualifiers = "w411dp-h914dp-xhdpi",
    shadows = [ShadowAudio::class, ShadowDescriptor::class, ShadowBuilder::class, ShadowService::class, ShadowOwners::class],
)
class QuestionTest {
    @get:Rule
    val compose = createAndroidComposeRule<MainActivity>()

    private val graph get() = compose.activity.graph
    private val manager get() = shadowOf(compose.activity.getSystemService(NotificationManager::class.java))
    private lateinit var service: ServiceController<FirewallService>
    private lateinit var collector: Collector
    private lateinit var phone: Phone

    @Before
    fun switchOn() {
        Linux.assumeNamespace()
        resetShadows()
        ShadowBuilder.device = "app0"
        shadowOf(compose.activity.packageManager).setPackagesForUid(ShadowOwners.SYSTEM, "com.vendor.register")
        graph.identity.save(Identity.Builder().add(Kind.IMEI, Registration.IMEI).build())
        collector = Collector("198.51.100.8")
        phone = Phone("app0")
        service = Robolectric.buildService(FirewallService::class.java).create()
        service.get().onStartCommand(Intent(), 0, 1)
        await { graph.firewall.state.value is TunnelState.On }
        phone.attach("10.215.173.1")
    }

    @After
    fun switchOff() {
        if (!::service.isInitialized) return
        service.destroy()
        await { Linux.threads("untold-tunnel") == 0 }
        phone.close()
        collector.close()
    }

    private fun await(condition: () -> Boolean) = compose.waitUntil(20_000) { condition() }

    private fun post(): Process = phone.post(collector.host, 80, Registration.message())
        .also { await { graph.firewall.asks.value.isNotEmpty() && manager.allNotifications.any { it.channelId == Notices.CHANNEL_QUESTION } } }

    private fun notification() = manager.allNotifications.single { it.channelId == Notices.CHANNEL_QUESTION }

    private fun said(client: Process): String = client.inputStream.bufferedReader().readText().also { assertTrue(client.waitFor(20, TimeUnit.SECONDS)) }

    @Test
    fun `the notification says who and what, and Block in it lets not one byte through`() {
        val client = post()
        val shown = notification()
        assertTrue(shown.extras.getString("android.title")!!.contains("IMEI"))
        assertTrue(shown.extras.getString("android.text")!!.contains(Registration.HOST))
        assertEquals(android.app.Notification.VISIBILITY_PRIVATE, shown.visibility)
        assertTrue("$shown".let { Registration.IMEI !in it && Registration.IMEI !in "${shown.extras}" })

        val block = shown.actions.single { it.title == "Block" }.actionIntent
        AnswerReceiver().onReceive(compose.activity, shadowOf(block).savedIntent)
        assertTrue(said(client).contains("ConnectionResetError"))
        assertEquals(0, collector.bytes.size)
        assertTrue(manager.allNotifications.none { it.channelId == Notices.CHANNEL_QUESTION })
        await { graph.journal.entries.value.any { it is Journal.Entry.Judged && it.action == org.untold.Action.Block } }
    }

    @Test
    fun `the screen says who, where to and what, and Allow once lets it through unaltered`() {
        val client = post()
        compose.onNodeWithText("Not now").performScrollTo().performClick()
        compose.onNodeWithText("Look").performScrollTo().performClick()
        compose.onNodeWithText("May it send this?").assertIsDisplayed()
        compose.onNodeWithText(Registration.HOST).assertIsDisplayed()
        compose.onNodeWithText("IMEI ending in 7518").assertIsDisplayed()
        compose.onNodeWithText("written in JSON inside Base64").assertIsDisplayed()
        compose.shoot("api${android.os.Build.VERSION.SDK_INT}-question")
        compose.onNodeWithText("Allow once").performScrollTo().performClick()
        assertTrue(said(client).contains("200 OK"))
        assertArrayEquals(Registration.message(), collector.bytes)
    }

    @Test
    fun `rotated in the middle of it, the question is still there`() {
        val client = post()
        compose.onNodeWithText("Not now").performScrollTo().performClick()
        compose.onNodeWithText("Look").performScrollTo().performClick()
        compose.activityRule.scenario.recreate()
        compose.onNodeWithText("IMEI ending in 7518").assertExists()
        compose.onNodeWithText("Block").performClick()
        assertTrue(said(client).contains("ConnectionResetError"))
        assertEquals(0, collector.bytes.size)
    }

    @Test
    fun `when protection ends in the middle of it, nothing was sent and Activity says so`() {
        val client = post()
        service.get().onRevoke()
        await { graph.firewall.state.value is TunnelState.Failed }
        client.destroyForcibly()
        assertEquals(0, collector.bytes.size)
        assertTrue(graph.firewall.asks.value.isEmpty())
        assertTrue(manager.allNotifications.none { it.channelId == Notices.CHANNEL_QUESTION })
        assertTrue(graph.journal.entries.value.any { it is Journal.Entry.Withdrawn })
    }
}
