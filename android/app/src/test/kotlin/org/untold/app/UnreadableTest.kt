package org.untold.app

import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.hasContentDescription
import androidx.compose.ui.test.hasText
import androidx.compose.ui.test.isSelectable
import androidx.compose.ui.test.junit4.v2.createAndroidComposeRule
import androidx.compose.ui.test.onNodeWithTag
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performScrollTo
import java.io.File
import org.junit.Rule
import org.junit.Test
import org.junit.rules.ExternalResource
import org.junit.runner.RunWith
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.untold.Identity
import org.untold.app.data.IdentityStore
import org.untold.vpn.Protection
import org.untold.vpn.TunnelState
import org.untold.vpn.testing.NativeRunner

/** A phone whose identity file cannot be opened when the app begins. */
@RunWith(NativeRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h914dp-xhdpi")
class UnreadableTest {
    @get:Rule(order = 0)
    val damage = object : ExternalResource() {
        override fun before() = File(RuntimeEnvironment.getApplication().filesDir, "identity").writeBytes(byteArrayOf(1, 2, 3))
    }

    @get:Rule(order = 1)
    val compose = createAndroidComposeRule<MainActivity>()

    private val identity get() = compose.activity.graph.identity

    @Test
    fun `Home and Identifiers say so, and the person can try again or begin anew`() {
        compose.activity.graph.firewall.enter(TunnelState.On(Protection(alwaysOn = true, lockdown = true, privateDns = false)))
        compose.onNodeWithText("Not now").performScrollTo().performClick()
        compose.waitUntil(10_000) { identity.state.value == IdentityStore.State.Unreadable }
        compose.onNodeWithText("On, in part", substring = true).assertIsDisplayed()
        compose.onNodeWithText("Your identifiers cannot be read").assertIsDisplayed()
        compose.shoot("unreadable-home")
        compose.onNodeWithText("See identifiers").performClick()
        compose.onNodeWithTag("value").assertDoesNotExist()
        compose.onNodeWithText("Try again").performClick()
        compose.onNodeWithText("Your identifiers cannot be read").assertIsDisplayed()
        compose.shoot("unreadable-identifiers")

        compose.onNodeWithText("Delete them and begin anew").performClick()
        compose.onNodeWithText("Delete").performClick()
        compose.waitUntil(10_000) { identity.state.value == IdentityStore.State.Known(Identity.EMPTY) }
        compose.onNodeWithTag("value").assertIsDisplayed()
        compose.onNode((hasText("Home") or hasContentDescription("Home")) and isSelectable()).performClick()
        compose.onNodeWithText("On. Identifiers", substring = true).assertIsDisplayed()
    }
}
