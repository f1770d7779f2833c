package org.untold.app

import android.app.Notification
import android.app.NotificationManager
import android.content.Intent
import androidx.compose.ui.test.hasText
import androidx.compose.ui.test.junit4.v2.createAndroidComposeRule
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performScrollTo
import org.junit.After
import org.junit.Before
import org.junit.Rule
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ServiceController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.untold.testing.Linux
import org.untold.vpn.TunnelState
import org.untold.vpn.testing.NativeRunner
import org.untold.vpn.testing.ShadowBuilder
import org.untold.vpn.testing.ShadowDescriptor
import org.untold.vpn.testing.ShadowOwners
import org.untold.vpn.testing.ShadowService
import org.untold.vpn.testing.resetShadows

/** The app with its service running: the real engine on a real tun device. */
@RunWith(NativeRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(
    qualifiers = "w411dp-h914dp-xhdpi",
    shadows = [ShadowAudio::class, ShadowDescriptor::class, ShadowBuilder::class, ShadowService::class, ShadowOwners::class],
)
abstract class TunnelTest {
    @get:Rule
    val compose = createAndroidComposeRule<MainActivity>()

    protected val graph get() = compose.activity.graph
    protected val manager get() = shadowOf(compose.activity.getSystemService(NotificationManager::class.java))
    protected lateinit var service: ServiceController<FirewallService>

    /** What the phone is before it is switched on. */
    protected abstract fun prepare()

    /** What happens to the tun device once it is there. */
    protected abstract fun attach()

    @Before
    fun switchOn() {
        Linux.assumeNamespace()
        resetShadows()
        TestVault.hasKey = true
        ShadowBuilder.device = DEVICE
        prepare()
        service = Robolectric.buildService(FirewallService::class.java).create()
        service.get().onStartCommand(Intent(), 0, 1)
        await { graph.firewall.state.value is TunnelState.On }
        attach()
    }

    @After
    fun switchOff() {
        if (!::service.isInitialized) return
        service.destroy()
        await { Linux.threads("untold-tunnel") == 0 }
    }

    /** Waits; what the app asks of its service meanwhile reaches it, which Robolectric leaves to the test. */
    protected fun await(condition: () -> Boolean) = compose.waitUntil(20_000) {
        generateSequence { shadowOf(RuntimeEnvironment.getApplication()).nextStartedService }.forEach { service.get().onStartCommand(it, 0, 2) }
        condition()
    }

    protected fun notifications(): List<Notification> = manager.allNotifications.filter { it.channelId == Notices.CHANNEL_QUESTION }

    /** Sends what an action of a notification would. */
    protected fun press(shown: Notification, action: String) {
        val pending = shown.actions.single { it.title == action }.actionIntent
        AnswerReceiver().onReceive(compose.activity, shadowOf(pending).savedIntent)
    }

    /** Leaves the first run, and opens the question that waits. */
    protected fun look() {
        home()
        compose.onNodeWithText("Look").performScrollTo().performClick()
    }

    /** Leaves the first run. */
    protected fun home() {
        if (compose.onAllNodes(hasText("Not now")).fetchSemanticsNodes().isNotEmpty()) {
            compose.onNodeWithText("Not now").performScrollTo().performClick()
        }
    }

    protected companion object {
        const val DEVICE = "app0"
    }
}
