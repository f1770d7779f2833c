package org.untold.app

import java.io.IOException
import java.io.Reader
import java.net.InetSocketAddress
import java.net.Socket
import java.security.MessageDigest
import java.util.Base64
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.untold.Event
import org.untold.Kind
import org.untold.vpn.TunnelState

/**
 * *Try it*: posts a registration like that of 2019, with a made-up IMEI, through the tunnel to an address that no host has.
 * The engine judges it like any other; what it lets through ends in its sink, inside this process.
 */
class Trial(private val firewall: Firewall, private val scope: CoroutineScope) {
    /** How it goes, or went. */
    val state: StateFlow<State> get() = current.asStateFlow()

    /** Whether the made-up IMEI counts as registered. */
    val isUnderWay: Boolean get() = current.value == State.UnderWay

    private val current = MutableStateFlow<State>(State.Untried)

    /** Starts it; the tunnel is on. */
    fun start() {
        val before = current.value
        if (before == State.UnderWay || !current.compareAndSet(before, State.UnderWay)) return
        scope.launch(Dispatchers.IO) {
            var outcome: State = State.Failed
            try {
                outcome = send()
            } finally {
                current.value = outcome
                firewall.reload()
            }
        }
    }

    private suspend fun send(): State {
        firewall.reload()
        withTimeoutOrNull(RULES_MILLIS) { firewall.rules.first { it != null && IMEI in it.identity.values(Kind.IMEI) } } ?: return State.Failed
        return coroutineScope {
            val flow = async(start = CoroutineStart.UNDISPATCHED) { firewall.events.filterIsInstance<Event.Flow>().first { it.destination == SINK } }
            val socket = Socket()
            val watch = launch {
                firewall.state.first { it !is TunnelState.On }
                socket.close()
            }
            val answer = post(socket)
            watch.cancel()
            val arrived = withTimeoutOrNull(FLOW_MILLIS) { flow.await().bytesOut }
            flow.cancel()
            when {
                answer == ANSWER -> State.Arrived(MESSAGE.size)
                answer == null && arrived == 0L -> State.Stopped
                else -> State.Failed
            }
        }
    }

    /** The sink's answer; null where the connection was ended instead. */
    private fun post(socket: Socket): String? = try {
        socket.use {
            it.connect(InetSocketAddress(ADDRESS, PORT), CONNECT_MILLIS)
            it.soTimeout = ANSWER_MILLIS
            it.getOutputStream().write(MESSAGE)
            it.shutdownOutput()
            it.getInputStream().reader().readAtMost(ANSWER.length + 1).ifEmpty { null }
        }
    } catch (ended: IOException) {
        null
    }

    private fun Reader.readAtMost(length: Int) = buildString {
        while (this.length < length) append(read().takeIf { it >= 0 }?.toChar() ?: break)
    }

    /** How it goes, or went. */
    sealed interface State {
        /** Nobody tried yet. */
        data object Untried : State

        /** It waits for the engine, or the person. */
        data object UnderWay : State

        /** It was blocked, and not one byte arrived. */
        data object Stopped : State

        /** It was allowed, and arrived unaltered. */
        data class Arrived(val bytes: Int) : State

        /** Nobody can say: the tunnel ended, or the rules could not be used. */
        data object Failed : State
    }

    companion object {
        /** Valid by its check digit, and nobody's: the example of 3GPP's specifications. */
        const val IMEI = "490154203237518"

        /** TEST-NET-1 of RFC 5737: no host has it. */
        private const val ADDRESS = "192.0.2.1"
        private const val PORT = 80

        /** Where it goes, as the engine writes it. */
        const val SINK = "$ADDRESS:$PORT"

        /** What is sent. */
        internal val MESSAGE: ByteArray = run {
            val json = """{"REGVER":"8.0","MODEL":"EXAMPLE-7-PLUS","OSVER":"Android9","IMEI1":"$IMEI","REGDATE":"2019-01-28 07:40:12"}"""
            val body = Base64.getMimeEncoder(LINE, byteArrayOf('\n'.code.toByte())).encodeToString(json.toByteArray()) + "\n"
            val head = "POST / HTTP/1.1\r\nHost: $ADDRESS\r\nContent-Type: application/encrypted-json\r\nContent-Length: ${body.length}\r\n\r\n"
            (head + body).toByteArray()
        }

        private const val LINE = 76
        private const val RULES_MILLIS = 10_000L
        private const val FLOW_MILLIS = 5_000L
        private const val CONNECT_MILLIS = 10_000
        private const val ANSWER_MILLIS = 600_000

        /** What the sink says once all of it has arrived. */
        private val ANSWER: String = run {
            val digest = MessageDigest.getInstance("SHA-256").digest(MESSAGE).joinToString("") { "%02x".format(it) }
            "HTTP/1.1 204 No Content\r\nSink-Bytes: ${MESSAGE.size}\r\nSink-SHA-256: $digest\r\nConnection: close\r\n\r\n"
        }

        /** Whether something went to the test's address. */
        fun isTrial(destination: String): Boolean = destination == SINK
    }
}
