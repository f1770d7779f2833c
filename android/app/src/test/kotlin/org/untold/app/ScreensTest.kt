package org.untold.app

import android.app.KeyguardManager
import android.app.NotificationManager
import androidx.compose.ui.semantics.SemanticsProperties
import androidx.compose.ui.semantics.getOrNull
import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.assertIsEnabled
import androidx.compose.ui.test.assertIsNotEnabled
import androidx.compose.ui.test.hasClickAction
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
import androidx.lifecycle.Lifecycle
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Shadows
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
@Config(sdk = [33], qualifiers = "w411dp-h914dp-xhdpi")
class ScreensTest {
    @get:Rule
    val compose = createAndroidComposeRule<MainActivity>()

    private val graph get() = compose.activity.graph

    @Before
    fun unlock() {
        TestVault.hasKey = true
    }

    private fun tab(name: String) {
        if (compose.onAllNodes(hasText("Not now")).fetchSemanticsNodes().isNotEmpty()) {
            compose.onNodeWithText("Not now").performScrollTo().performClick()
        }
        compose.onNode((hasText(name) or hasContentDescription(name)) and isSelectable()).performClick()
    }

    private fun finding(kind: Kind, last4: String?, vararg chain: Wrapper, confidence: Confidence = Confidence.Exact) =
        Finding(kind, confidence, chain.toList(), Spelling.Plain, last4, "k1:0", Place.Body, 0)

    private fun question(number: Long) = Event.Ask(
        1.0, number, 1, Proto.Tcp, "203.0.113.9:80", "com.vendor.register", "zzhc.vnet.cn",
        listOf(
            finding(Kind.IMEI, "7518", Wrapper.Base64, Wrapper.Json),
            finding(Kind.ICCID, "6787", Wrapper.Base64, Wrapper.Json),
            finding(Kind.CELL_ID, "4737", Wrapper.Base64, Wrapper.Json, confidence = Confidence.Shape),
        ),
        "default.leak", 30.0, Action.Block,
    )

    private fun ask(question: Event.Ask) = graph.firewall.ask(askOf(question))

    private fun fill() {
        graph.firewall.enter(TunnelState.On(Protection(alwaysOn = true, lockdown = true, privateDns = false)))
        ask(question(3))
        for (finding in listOf(finding(Kind.ADVERTISING_ID, "c0de", Wrapper.Json), finding(Kind.LOCATION, null, confidence = Confidence.Shape))) {
            graph.firewall.happen(Event.Found(1.0, 1, Proto.Tcp, "203.0.113.7:80", "com.example.game", "ads.example", finding, Action.Block, "rule.1", false))
        }
        graph.firewall.happen(Event.Found(1.0, 2, Proto.Tcp, "203.0.113.8:80", "com.example.bank", "bank.example", finding(Kind.PHONE, "5678"), Action.Allow, "rule.2", true))
        graph.firewall.happen(Event.Found(1.0, 3, Proto.Tcp, Trial.SINK, compose.activity.packageName, null, finding(Kind.IMEI, "7518"), Action.Block, "default.leak", false))
        graph.journal.withdraw(System.currentTimeMillis(), "com.vendor.register", "collector.example")
    }

    private fun wish() = Shadows.shadowOf(compose.activity.getSystemService(NotificationManager::class.java))
        .allNotifications.single { it.channelId == Notices.CHANNEL_QUESTION }

    /** Draws what is on the screen; whatever can be pressed there is read out by a name. */
    private fun shoot(name: String) {
        val pressed = compose.onAllNodes(hasClickAction()).fetchSemanticsNodes()
        assertTrue(name, pressed.isNotEmpty())
        for (node in pressed) {
            val said = node.config.getOrElse(SemanticsProperties.Text) { emptyList() }.map { it.text } +
                node.config.getOrElse(SemanticsProperties.ContentDescription) { emptyList() } +
                listOfNotNull(node.config.getOrNull(SemanticsProperties.EditableText)?.text)
            assertTrue("$name: ${node.config}", said.any { it.isNotBlank() })
        }
        compose.shoot(name)
    }

    private fun shootAll(look: String) {
        shoot("welcome-$look")
        fill()
        tab("Home")
        shoot("home-$look")
        compose.onNodeWithText("Look").performScrollTo().performClick()
        shoot("question-$look")
        compose.onNodeWithContentDescription("Back").performClick()
        tab("Activity")
        shoot("activity-$look")
        tab("Identifiers")
        compose.onNodeWithTag("value").performTextInput("490154203237519")
        shoot("identifiers-$look")
        tab("Blocklist")
        shoot("blocklist-$look")
        graph.firewall.settle(graph.firewall.questions.value.single().ask)
        graph.firewall.enter(TunnelState.On(Protection(alwaysOn = true, lockdown = false, privateDns = false)))
        tab("Home")
        shoot("partial-$look")
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
        val words = compose.activity.resources
        assertTrue(words.getString(R.string.protection) != "Protection")
        compose.shoot("welcome-pseudo")
        fill()
        compose.onNodeWithText(words.getString(R.string.welcome_later)).performScrollTo().performClick()
        compose.shoot("home-pseudo")
        compose.onNodeWithText(words.getString(R.string.questions_look)).performScrollTo().performClick()
        compose.shoot("question-pseudo")
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
    fun `what only looks like an identifier is said to look like one`() {
        val shape = finding(Kind.IMEI, "7518", Wrapper.Json, confidence = Confidence.Shape)
        ask(question(3).copy(findings = listOf(shape)))
        assertEquals("com.vendor.register wants to send what looks like an IMEI", wish().extras.getString("android.title"))
        graph.firewall.happen(Event.Found(1.0, 1, Proto.Tcp, "203.0.113.9:80", "com.vendor.register", null, shape, Action.Block, "default.leak_shape", false))
        tab("Home")
        compose.onNodeWithText("Look").performScrollTo().performClick()
        compose.onNodeWithText("Looks like an IMEI, ending in 7518").assertIsDisplayed()
        compose.onNodeWithContentDescription("Back").performClick()
        tab("Activity")
        compose.onNodeWithText("Looks like an IMEI, ending in 7518", substring = true).assertIsDisplayed()
    }

    @Test
    fun `what a flow had judged in one go is one entry`() {
        fill()
        tab("Activity")
        compose.onNode(hasText("Advertising ID ending in c0de\nLooks like a location", substring = true) and hasText("Blocked", substring = true)).assertIsDisplayed()
        compose.onNode(hasText("Test · Blocked", substring = true)).assertIsDisplayed()
        compose.onNode(hasText("Withdrawn", substring = true) and hasText("Nothing of it was sent", substring = true)).assertIsDisplayed()
    }

    @Test
    fun `with nothing entered, all kinds are watched by shape`() {
        tab("Identifiers")
        compose.onNodeWithText("nothing has to be", substring = true).performScrollTo().assertIsDisplayed()
        compose.onNodeWithText("Watched by shape").performScrollTo().assertIsDisplayed()
        compose.onNodeWithText("Wi-Fi access point", substring = true).performScrollTo().assertIsDisplayed()
    }

    @Test
    fun `identifiers that cannot be opened are a state with an action, and nothing overwrites them`() {
        val imei = Identity.Builder().add(Kind.IMEI, "490154203237518").build()
        graph.identity.add(Kind.IMEI, "490154203237518")
        TestVault.hasKey = false
        val restarted = AppGraph(compose.activity.applicationContext, TestVault()).identity
        assertEquals(Identity.EMPTY, restarted.load())
        assertEquals(IdentityStore.State.Unreadable, restarted.state.value)
        restarted.add(Kind.PHONE, "+15550100")
        TestVault.hasKey = true
        assertEquals("the key is back", imei, restarted.load())
        restarted.discard()
        assertEquals(Identity.EMPTY, AppGraph(compose.activity.applicationContext, TestVault()).identity.load())
    }

    @Test
    fun `a value that the engine would not start with is refused in words`() {
        tab("Identifiers")
        compose.onNodeWithText("IMEI").performClick()
        compose.onNodeWithText("Wi-Fi address").performScrollTo().performClick()
        compose.onNodeWithTag("value").performTextInput("02:00:00:00:00:00") // what Android shows to apps
        compose.onNodeWithText("Add").performClick()
        compose.waitUntil(10_000) { compose.onAllNodes(hasText("it is a placeholder", substring = true)).fetchSemanticsNodes().isNotEmpty() }
        assertEquals(IdentityStore.State.Known(Identity.EMPTY), graph.identity.state.value)
    }

    @Test
    fun `what cannot be stored is said, and is not watched`() {
        tab("Identifiers")
        TestVault.hasKey = false
        compose.onNodeWithTag("value").performTextInput("490154203237518")
        compose.onNodeWithText("Add").performClick()
        compose.waitUntil(10_000) { compose.onAllNodes(hasText("could not be stored", substring = true)).fetchSemanticsNodes().isNotEmpty() }
        assertEquals(IdentityStore.State.Known(Identity.EMPTY), graph.identity.state.value)
    }

    @Test
    fun `nothing is allowed on a locked phone`() {
        val keyguard = Shadows.shadowOf(compose.activity.getSystemService(KeyguardManager::class.java))
        keyguard.setIsDeviceLocked(true)
        fill()
        tab("Home")
        compose.onNodeWithText("Look").performScrollTo().performClick()
        compose.onNodeWithText("Allow once").assertDoesNotExist()
        compose.onNodeWithText("Always allow this").assertDoesNotExist()
        compose.onNodeWithText("Block").assertIsDisplayed()
        compose.activityRule.scenario.moveToState(Lifecycle.State.STARTED)
        keyguard.setIsDeviceLocked(false)
        compose.activityRule.scenario.moveToState(Lifecycle.State.RESUMED)
        compose.onNodeWithText("Allow once").assertExists()
    }

    @Test
    fun `a notification that outlived its question answers no other`() {
        ask(question(3))
        val old = wish().actions.single { it.title == "Allow once" }.actionIntent
        graph.firewall.settle(graph.firewall.questions.value.single().ask)
        ask(question(3)) // the number begins anew with each engine
        AnswerReceiver().onReceive(compose.activity, Shadows.shadowOf(old).savedIntent)
        assertEquals(1, graph.firewall.questions.value.size)
        assertEquals("com.vendor.register wants to send your IMEI, SIM card number (ICCID)", wish().extras.getString("android.title"))
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
        Shadows.shadowOf(compose.activity.getSystemService(NotificationManager::class.java)).setNotificationsEnabled(false)
        fill()
        graph.firewall.happen(Event.Answer(2.0, 3, Action.Block, Scope.Once, org.untold.AnsweredBy.Timeout))
        tab("Home")
        compose.activityRule.scenario.recreate()
        compose.onNodeWithText("1 was blocked because nobody answered.").performScrollTo().assertIsDisplayed()
    }
}
