package org.untold.app

import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.assertIsEnabled
import androidx.compose.ui.test.assertIsNotEnabled
import androidx.compose.ui.test.hasContentDescription
import androidx.compose.ui.test.hasText
import androidx.compose.ui.test.isSelectable
import androidx.compose.ui.test.junit4.v2.createAndroidComposeRule
import androidx.compose.ui.test.onNodeWithContentDescription
import androidx.compose.ui.test.onNodeWithTag
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performScrollTo
import androidx.compose.ui.test.performTextInput
import androidx.compose.ui.test.performTextReplacement
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.untold.Action
import org.untold.Confidence
import org.untold.Event
import org.untold.Finding
import org.untold.Identity
import org.untold.Kind
import org.untold.Place
import org.untold.Proto
import org.untold.Scope
import org.untold.Spelling
import org.untold.Wrapper
import org.untold.app.data.IdentityStore
import org.untold.vpn.Protection
import org.untold.vpn.TunnelState
import org.untold.vpn.testing.NativeRunner

/** Every screen, driven by what is read out of it, and drawn. */
@RunWith(NativeRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = [35], qualifiers = "w411dp-h914dp-xhdpi")
class ScreensTest {
    @get:Rule
    val compose = createAndroidComposeRule<MainActivity>()

    private val graph get() = compose.activity.graph

    private fun tab(name: String) {
        if (compose.onAllNodes(hasText("Not now")).fetchSemanticsNodes().isNotEmpty()) {
            compose.onNodeWithText("Not now").performScrollTo().performClick()
        }
        compose.onNode((hasText(name) or hasContentDescription(name)) and isSelectable()).performClick()
    }

    private fun finding(kind: Kind, last4: String?, vararg chain: Wrapper) =
        Finding(kind, Confidence.Exact, chain.toList(), Spelling.Plain, last4, "k1:0", Place.Body, 0)

    private fun question(number: Long) = Event.Ask(
        1.0, number, 1, Proto.Tcp, "203.0.113.9:80", "com.vendor.register", "zzhc.vnet.cn",
        listOf(
            finding(Kind.IMEI, "7518", Wrapper.Base64, Wrapper.Json),
            finding(Kind.ICCID, "6787", Wrapper.Base64, Wrapper.Json),
            finding(Kind.CELL_ID, "4737", Wrapper.Base64, Wrapper.Json),
        ),
        "default.leak", 30.0, Action.Block,
    )

    private fun ask(question: Event.Ask) = graph.firewall.ask(askOf(question))

    private fun fill() {
        graph.firewall.enter(TunnelState.On(Protection(alwaysOn = true, lockdown = true, privateDns = false)))
        ask(question(3))
        val finding = finding(Kind.ADVERTISING_ID, "c0de", Wrapper.Json)
        graph.firewall.happen(Event.Found(1.0, 1, Proto.Tcp, "203.0.113.7:80", "com.example.game", "ads.example", finding, Action.Block, "rule.1", false))
        graph.firewall.happen(Event.Found(1.0, 2, Proto.Tcp, "203.0.113.8:80", "com.example.bank", "bank.example", finding(Kind.PHONE, "5678"), Action.Allow, "rule.2", true))
    }

    private fun shootAll(look: String) {
        compose.shoot("welcome-$look")
        fill()
        tab("Home")
        compose.shoot("home-$look")
        compose.onNodeWithText("Look").performScrollTo().performClick()
        compose.shoot("question-$look")
        compose.onNodeWithContentDescription("Back").performClick()
        tab("Activity")
        compose.shoot("activity-$look")
        tab("Identifiers")
        compose.onNodeWithTag("value").performTextInput("490154203237519")
        compose.shoot("identifiers-$look")
        tab("Blocklist")
        compose.shoot("blocklist-$look")
    }

    @Test
    fun `are drawn in the light`() = shootAll("light")

    @Test
    @Config(qualifiers = "+night")
    fun `are drawn in the dark`() = shootAll("dark")

    @Test
    @Config(qualifiers = "w320dp-h533dp-hdpi", fontScale = 2f)
    fun `are drawn on a small phone with letters twice as large`() = shootAll("small-large")

    @Test
    @Config(qualifiers = "en-rXA-w411dp-h914dp-xhdpi")
    fun `are drawn with every text translated`() {
        compose.shoot("welcome-pseudo")
        assertTrue(compose.activity.getString(R.string.protection) != "Protection")
    }

    @Test
    fun `an identifier is stored once its check digit fits, shown by its last four, and removed`() {
        tab("Identifiers")
        compose.onNodeWithTag("value").performTextInput("490154203237519")
        compose.onNodeWithText("The last digit does not fit", substring = true).assertIsDisplayed()
        compose.onNodeWithText("Add").assertIsNotEnabled()
        compose.onNodeWithTag("value").performTextReplacement("490154203237518")
        compose.onNodeWithText("Add").assertIsEnabled().performClick()
        compose.waitUntil(10_000) { graph.identity.state.value == IdentityStore.State.Known(Identity.Builder().add(Kind.IMEI, "490154203237518").build()) }
        compose.onNodeWithText("•••• 7518").assertIsDisplayed()
        val stored = java.io.File(compose.activity.filesDir, "identity").readBytes().decodeToString()
        assertFalse(stored.contains("4901542"))
        compose.onNodeWithContentDescription("Remove IMEI").performClick()
        compose.waitUntil(10_000) { graph.identity.state.value == IdentityStore.State.Known(Identity.EMPTY) }
    }

    @Test
    fun `an answer that holds for ever becomes a rule that the engine takes`() {
        fill()
        val ask = graph.firewall.questions.value.single()
        graph.firewall.answer(ask, allow = false, Scope.Always)
        compose.waitUntil(10_000) { graph.rules.load().answers.isNotEmpty() }
        val answers = graph.rules.load().answers
        assertTrue(answers, answers.contains("sends = [\"imei\", \"iccid\", \"cell_id\"]"))
        org.untold.Inspector(graph.rules.load()).close()
        assertTrue(graph.firewall.questions.value.isEmpty())
    }

    @Test
    fun `a question that is settled elsewhere says so`() {
        fill()
        tab("Home")
        compose.onNodeWithText("Look").performScrollTo().performClick()
        graph.firewall.settle(graph.firewall.questions.value.single().ask)
        compose.onNodeWithText("This question is settled already.").assertIsDisplayed()
    }

    @Test
    fun `a blocklist is counted, and what the engine refuses leaves the old one in force`() {
        assertTrue(graph.rules.replaceList("ads.example\ntracker.example\n".toByteArray()))
        tab("Blocklist")
        compose.onNodeWithText("2 lines are in force").assertIsDisplayed()
        assertEquals(1, graph.rules.load().lists.size)
        graph.rules.removeList()
        compose.onNodeWithText("No list is loaded.").assertIsDisplayed()
        assertTrue(graph.rules.load().lists.isEmpty())
    }

    @Test
    fun `without permission to notify, Home says so and counts what nobody answered`() {
        org.robolectric.Shadows.shadowOf(compose.activity.getSystemService(android.app.NotificationManager::class.java)).setNotificationsEnabled(false)
        fill()
        graph.firewall.happen(Event.Answer(2.0, 3, Action.Block, Scope.Once, org.untold.AnsweredBy.Timeout))
        tab("Home")
        compose.activityRule.scenario.recreate()
        compose.onNodeWithText("1 was blocked because nobody answered.").performScrollTo().assertIsDisplayed()
    }
}
