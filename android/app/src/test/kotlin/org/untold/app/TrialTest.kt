package org.untold.app

import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.assertIsEnabled
import androidx.compose.ui.test.assertIsNotEnabled
import androidx.compose.ui.test.hasContentDescription
import androidx.compose.ui.test.hasText
import androidx.compose.ui.test.isSelectable
import androidx.compose.ui.test.onNodeWithTag
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performScrollTo
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Shadows.shadowOf
import org.untold.Identity
import org.untold.Kind
import org.untold.app.data.IdentityStore
import org.untold.testing.Linux
import org.untold.vpn.testing.ShadowOwners

/** *Try it*, by a socket of the app's own in the test's own network, where the tun device leads to the test's address. */
class TrialTest : TunnelTest() {
    override fun prepare() {
        ShadowOwners.uid = android.os.Process.myUid()
        shadowOf(compose.activity.packageManager).setPackagesForUid(ShadowOwners.uid, compose.activity.packageName)
    }

    override fun attach() {
        Linux.run("ip", "address", "add", "10.215.173.1/30", "dev", DEVICE)
        Linux.run("ip", "link", "set", DEVICE, "up")
        Linux.run("ip", "route", "add", Trial.SINK.substringBefore(':'), "dev", DEVICE)
    }

    private val state get() = graph.trial.state.value

    private fun tryIt() {
        home()
        compose.onNodeWithTag("try").performScrollTo().performClick()
        await { graph.firewall.questions.value.isNotEmpty() && notifications().isNotEmpty() }
        compose.onNodeWithTag("try").assertIsNotEnabled()
    }

    private fun assertForgotten() {
        await { graph.firewall.rules.value?.identity == Identity.EMPTY }
        assertEquals(IdentityStore.State.Known(Identity.EMPTY), graph.identity.state.value)
    }

    @Test
    fun `it asks as for any app, says that it is a test, and blocked not one byte of it arrives`() {
        tryIt()
        val shown = notifications().single()
        assertTrue(shown.extras.getString("android.title")!!.contains("IMEI"))
        assertEquals("Test", shown.extras.getString("android.subText"))
        look()
        compose.onNodeWithText("This is a test", substring = true).assertIsDisplayed()
        compose.onNodeWithText("IMEI ending in 7518").assertIsDisplayed()
        compose.onNodeWithText("written in JSON inside Base64").assertIsDisplayed()
        compose.onNodeWithText("Always allow this").assertDoesNotExist()
        compose.shoot("api${android.os.Build.VERSION.SDK_INT}-trial")
        compose.onNodeWithText("Block").performClick()
        await { state == Trial.State.Stopped }
        compose.onNodeWithText("not one byte arrived", substring = true).performScrollTo().assertIsDisplayed()
        compose.onNodeWithTag("try").assertIsEnabled()
        compose.onNode((hasText("Activity") or hasContentDescription("Activity")) and isSelectable()).performClick()
        assertEquals("a test is no identifier stopped", Firewall.Tally(), graph.firewall.tally.value)
        compose.onNodeWithText("Test · Blocked", substring = true).assertIsDisplayed()
        assertForgotten()
    }

    @Test
    fun `allowed once, all of it arrives as it was sent`() {
        tryIt()
        look()
        compose.onNodeWithText("Allow once").performScrollTo().performClick()
        await { state is Trial.State.Arrived }
        assertEquals(Trial.State.Arrived(Trial.MESSAGE.size), state)
        compose.onNodeWithText("all its ${Trial.MESSAGE.size} bytes arrived", substring = true).performScrollTo().assertIsDisplayed()
        assertForgotten()
    }

    @Test
    fun `asked again the next time`() {
        repeat(2) {
            tryIt()
            press(notifications().single(), "Block")
            await { state == Trial.State.Stopped }
            assertForgotten()
        }
    }

    @Test
    fun `switched off in the middle of it, it claims nothing that it does not know`() {
        tryIt()
        graph.firewall.stop()
        await { !graph.trial.isUnderWay }
        assertTrue("$state", state == Trial.State.Failed || state == Trial.State.Stopped)
        assertTrue(graph.firewall.questions.value.isEmpty() && notifications().isEmpty())
    }

    @Test
    fun `a person who registered the same value keeps it`() {
        graph.identity.add(Kind.IMEI, Trial.IMEI)
        tryIt()
        press(notifications().single(), "Block")
        await { state == Trial.State.Stopped }
        assertEquals(listOf(Trial.IMEI), graph.identity.load().values(Kind.IMEI))
    }
}
