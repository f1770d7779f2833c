package org.untold.app

import java.io.IOException
import java.net.DatagramPacket
import java.net.DatagramSocket
import java.net.InetAddress
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.untold.Event
import org.untold.vpn.TunnelState

/** *Try it*: sends a made-up IMEI to an address reserved for documentation, through the tunnel, and waits for the question. */
class Trial(private val firewall: Firewall, private val scope: CoroutineScope) {
    /** Whether it was sent and its question is not settled yet. */
    val underWay: StateFlow<Boolean> get() = running.asStateFlow()

    /** [underWay], now. */
    val isUnderWay: Boolean get() = running.value

    private val running = MutableStateFlow(false)

    /** Starts it; the tunnel is on. */
    fun start() {
        if (!running.compareAndSet(expect = false, update = true)) return
        scope.launch {
            try {
                firewall.state.first { it is TunnelState.On }
                firewall.reload() // the made-up IMEI counts as registered from here on
                delay(RELOAD_MILLIS)
                send()
                withTimeoutOrNull(QUESTION_MILLIS) { firewall.asks.first { asks -> asks.any { isTrial(it.question) } } }
                withTimeoutOrNull(ANSWER_MILLIS) { firewall.asks.first { asks -> asks.none { isTrial(it.question) } } }
            } finally {
                running.value = false
                firewall.reload()
            }
        }
    }

    private fun send() = try {
        DatagramSocket().use { socket ->
            val bytes = """{"imei":"$IMEI"}""".toByteArray()
            socket.send(DatagramPacket(bytes, bytes.size, InetAddress.getByName(ADDRESS), PORT))
        }
    } catch (refused: IOException) {
        // Blocked at once, by a rule of the person's own: Activity shows it.
    }

    companion object {
        /** Valid by its check digit, and nobody's: the example of 3GPP's specifications. */
        const val IMEI = "490154203237518"

        /** TEST-NET-1 of RFC 5737: no host has it. */
        const val ADDRESS = "192.0.2.1"

        private const val PORT = 9
        private const val RELOAD_MILLIS = 300L
        private const val QUESTION_MILLIS = 5_000L
        private const val ANSWER_MILLIS = 60_000L

        /** Whether a question is the test's. */
        fun isTrial(question: Event.Ask): Boolean = question.destination == "$ADDRESS:$PORT"
    }
}
