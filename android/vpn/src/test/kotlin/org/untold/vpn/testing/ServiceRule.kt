package org.untold.vpn.testing

import android.app.Notification
import android.content.Intent
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.rules.ExternalResource
import org.robolectric.Robolectric
import org.robolectric.android.controller.ServiceController
import org.untold.Event
import org.untold.Identity
import org.untold.Rules
import org.untold.testing.Linux
import org.untold.vpn.Protection
import org.untold.vpn.TunnelState
import org.untold.vpn.UntoldVpnService

/** A service that keeps what it is told. */
class RecordingService : UntoldVpnService() {
    val states = LinkedBlockingQueue<TunnelState>()
    val events = LinkedBlockingQueue<Event>()

    @Volatile var policy = ""

    /** Called before the policy is read. */
    @Volatile var beforeLoading = {}

    override fun loadPolicy(): Rules {
        beforeLoading()
        return Rules(policy = policy)
    }

    override fun loadIdentity(): Identity = Identity.EMPTY

    override fun notification(state: TunnelState): Notification =
        Notification.Builder(this, "status").setSmallIcon(android.R.drawable.ic_lock_lock).build()

    override fun onState(state: TunnelState) {
        states += state
    }

    override fun onEvent(event: Event) {
        events += event
    }
}

/** One service in a phone where nothing was set, from its creation to its end. */
class ServiceRule : ExternalResource() {
    private lateinit var controller: ServiceController<RecordingService>
    private var destroyed = false

    /** The service. */
    val service: RecordingService get() = controller.get()

    override fun before() {
        Linux.assumeNamespace()
        resetShadows()
        ShadowBuilder.device = DEVICE
        controller = Robolectric.buildService(RecordingService::class.java).create()
    }

    override fun after() {
        if (::controller.isInitialized) destroy()
    }

    /** Passes on an intent, as the system does. */
    fun send(intent: Intent?): Int = service.onStartCommand(intent, 0, 1)

    /** What a stop from the app comes as. */
    fun stop() = send(Intent("org.untold.vpn.STOP"))

    /** The next state that it tells, or null for none in 20 seconds. */
    fun next(): TunnelState? = service.states.poll(20, TimeUnit.SECONDS)

    /** Starts it, and sees it come up. */
    fun start(intent: Intent? = Intent()) {
        send(intent)
        assertEquals(TunnelState.Starting, next())
        assertEquals(PARTIAL, next())
    }

    /** Ends it, and sees its threads end. */
    fun destroy() {
        if (destroyed) return
        destroyed = true
        controller.destroy()
        Linux.await("the service's threads are gone") { Linux.threads("untold") == 0 }
    }

    /** No state was told beyond those that were taken. */
    fun assertNothingMoreIsSaid() = assertNull(service.states.poll(100, TimeUnit.MILLISECONDS))

    companion object {
        /** The tun device. */
        const val DEVICE = "vpn0"

        /** On, with nothing set in the system's settings. */
        val PARTIAL = TunnelState.On(Protection(alwaysOn = false, lockdown = false, privateDns = false))
    }
}
