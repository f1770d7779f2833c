package org.untold.app

import android.app.Notification
import android.net.LinkProperties
import android.net.NetworkCapabilities
import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.onAllNodesWithText
import androidx.compose.ui.test.onFirst
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performScrollTo
import java.io.File
import java.net.InetAddress
import java.util.concurrent.TimeUnit
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowNetwork
import org.robolectric.shadows.ShadowNetworkCapabilities
import org.untold.Action
import org.untold.Kind
import org.untold.app.data.Journal
import org.untold.testing.Collector
import org.untold.testing.Phone
import org.untold.testing.Registration
import org.untold.vpn.TunnelState
import org.untold.vpn.testing.ShadowBuilder
import org.untold.vpn.testing.ShadowOwners
import org.untold.vpn.testing.ShadowService

/** The whole way: a system app posts the registration of 2019 into a real tun device, and a person answers on the screen. */
class QuestionTest : TunnelTest() {
    private lateinit var collector: Collector
    private lateinit var phone: Phone

    override fun prepare() {
        shadowOf(compose.activity.packageManager).setPackagesForUid(ShadowOwners.SYSTEM, "com.vendor.register")
        graph.identity.add(Kind.IMEI, Registration.IMEI)
        collector = Collector("198.51.100.8")
        phone = Phone(DEVICE)
    }

    override fun attach() = phone.attach("10.215.173.1")

    @After
    fun putAway() {
        if (!::phone.isInitialized) return
        phone.close()
        collector.close()
    }

    private fun post(): Process = phone.post(collector.host, 80, Registration.message())
        .also { await { graph.firewall.questions.value.isNotEmpty() && notifications().isNotEmpty() } }

    private fun said(client: Process): String = client.inputStream.bufferedReader().readText().also { assertTrue(client.waitFor(20, TimeUnit.SECONDS)) }

    private fun isWithdrawn(journal: Journal) =
        journal.entries.value.any { it is Journal.Entry.Withdrawn && it.app == "com.vendor.register" && it.to == Registration.HOST }

    @Test
    fun `the notification says who and what, and Block in it lets not one byte through`() {
        val client = post()
        val shown = notifications().single()
        assertTrue(shown.extras.getString("android.title")!!.contains("IMEI"))
        assertTrue(shown.extras.getString("android.text")!!.contains(Registration.HOST))
        assertEquals(Notification.VISIBILITY_PRIVATE, shown.visibility)
        assertTrue("$shown".let { Registration.IMEI !in it && Registration.IMEI !in "${shown.extras}" })

        press(shown, "Block")
        assertTrue(said(client).contains("ConnectionResetError"))
        assertEquals(0, collector.bytes.size)
        assertTrue(notifications().isEmpty())
        // The IMEI is registered; the rest of the message is known by its shape.
        await { graph.firewall.tally.value.stopped > 1 }
        assertEquals(setOf(Action.Block), graph.journal.entries.value.map { (it as Journal.Entry.Judged).action }.toSet())
    }

    @Test
    fun `the screen says who, where to and what, and Allow once lets it through unaltered`() {
        val client = post()
        look()
        compose.onNodeWithText("May it send this?").assertIsDisplayed()
        compose.onNodeWithText(Registration.HOST).assertIsDisplayed()
        compose.onNodeWithText("IMEI ending in 7518").assertIsDisplayed()
        compose.onAllNodesWithText("written in JSON inside Base64").onFirst().assertIsDisplayed()
        compose.shoot("api${android.os.Build.VERSION.SDK_INT}-question")
        compose.onNodeWithText("Allow once").performScrollTo().performClick()
        assertTrue(said(client).contains("200 OK"))
        assertArrayEquals(Registration.message(), collector.bytes)
    }

    @Test
    fun `rotated in the middle of it, the question is still there`() {
        val client = post()
        look()
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
        assertTrue(graph.firewall.questions.value.isEmpty())
        assertTrue(notifications().isEmpty())
        assertTrue(isWithdrawn(graph.journal))
    }

    @Test
    fun `when the network changes in the middle of it, the question of the old tunnel is withdrawn`() {
        val client = post()
        ShadowBuilder.device = "app1" // the old one is there until the new one is
        val connectivity = compose.activity.getSystemService(android.net.ConnectivityManager::class.java)
        val shadow = shadowOf(connectivity)
        val network = ShadowNetwork.newInstance(7)
        val capabilities = ShadowNetworkCapabilities.newInstance()
        for (has in listOf(NetworkCapabilities.NET_CAPABILITY_INTERNET, NetworkCapabilities.NET_CAPABILITY_NOT_VPN)) {
            shadowOf(capabilities).addCapability(has)
        }
        shadow.addNetwork(network, null)
        shadow.setNetworkCapabilities(network, capabilities)
        val link = LinkProperties().apply { setDnsServers(listOf(InetAddress.getByName("198.51.100.53"))) }
        shadow.setLinkProperties(network, link)
        shadow.networkCallbacks.forEach { it.onLinkPropertiesChanged(network, link) }
        await { isWithdrawn(graph.journal) }
        client.destroyForcibly()
        assertEquals(0, collector.bytes.size)
        assertTrue(graph.firewall.questions.value.isEmpty() && notifications().isEmpty())
        assertTrue(graph.firewall.state.value is TunnelState.On)
    }

    @Test
    fun `when the process ends in the middle of it, the next one says so and takes the notification away`() {
        val client = post()
        val note = File(compose.activity.filesDir, "open-questions")
        await { note.exists() }
        assertTrue(note.readText().let { Registration.HOST in it && Registration.IMEI !in it })

        val next = AppGraph(compose.activity.applicationContext, TestVault())
        next.firewall.begin()
        await { isWithdrawn(next.journal) }
        assertTrue(notifications().isEmpty())
        await { !note.exists() }
        client.destroyForcibly()
        assertEquals(0, collector.bytes.size)
    }

    @Test
    fun `what the person sets in the system's settings counts once they are back`() {
        home()
        compose.onNodeWithText("Block connections without VPN", substring = true).assertExists()
        ShadowService.alwaysOn = true
        ShadowService.lockdown = true
        compose.activityRule.scenario.recreate()
        await { (graph.firewall.state.value as TunnelState.On).protection.isWhole }
        compose.onNodeWithText("On. Identifiers", substring = true).assertIsDisplayed()
        compose.onNodeWithText("Protection is partial").assertDoesNotExist()
    }

    @Test
    fun `without permission to notify, the question waits in the app`() {
        manager.setNotificationsEnabled(false)
        val client = post()
        home()
        compose.activityRule.scenario.recreate() // the person comes back from the settings
        compose.onNodeWithText("Questions wait here in the app instead.").performScrollTo().assertIsDisplayed()
        look()
        compose.onNodeWithText("Block").performClick()
        assertTrue(said(client).contains("ConnectionResetError"))
        assertEquals(0, collector.bytes.size)
    }
}
