package org.untold.app

import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.assertIsOff
import androidx.compose.ui.test.assertIsOn
import androidx.compose.ui.test.junit4.v2.createAndroidComposeRule
import androidx.compose.ui.test.onNodeWithTag
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performScrollTo
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.untold.vpn.Protection
import org.untold.vpn.TunnelState

@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h914dp-xhdpi")
class HomeScreenTest {
    @get:Rule
    val compose = createAndroidComposeRule<MainActivity>()

    private val firewall get() = compose.activity.graph.firewall

    private fun home() {
        compose.onNodeWithText("Not now").performScrollTo().performClick()
    }

    @Test
    fun `the first run says three things before it asks for consent`() {
        for (part in listOf("stays on this phone", "cannot be read", "place of a VPN")) {
            compose.onNodeWithText(part, substring = true).assertExists()
        }
        compose.shoot("api${android.os.Build.VERSION.SDK_INT}-welcome")
    }

    @Test
    fun `home is honest about being off, on in part, and on`() {
        home()
        compose.onNodeWithTag("protection").assertIsOff()
        firewall.enter(TunnelState.On(Protection(alwaysOn = true, lockdown = false, privateDns = false)))
        compose.onNodeWithTag("protection").assertIsOn()
        compose.onNodeWithText("Block connections without VPN", substring = true).assertIsDisplayed()
        compose.shoot("api${android.os.Build.VERSION.SDK_INT}-home-partial")
        firewall.enter(TunnelState.On(Protection(alwaysOn = true, lockdown = true, privateDns = false)))
        compose.onNodeWithText("Protection is partial").assertDoesNotExist()
        compose.onNodeWithText("On. Identifiers", substring = true).assertIsDisplayed()
    }

    @Test
    fun `home says why it is not on`() {
        home()
        firewall.enter(TunnelState.Failed(TunnelState.Cause.Revoked))
        compose.onNodeWithTag("protection").assertIsOff()
        compose.onNodeWithText("another VPN took over", substring = true).assertIsDisplayed()
    }
}
