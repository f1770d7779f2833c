package org.untold

import android.os.ParcelFileDescriptor
import java.util.concurrent.CompletableFuture
import java.util.concurrent.Executor
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.StateFlow
import org.untold.internal.NativeEngine

/**
 * An engine that runs on a tun descriptor, with a thread of its own. As many as wanted; each is [close]d by who started it.
 */
public interface Engine : AutoCloseable {
    /**
     * What happens, from the collection on; the first one, or the first [addListener], gets what happened before it as
     * well. Ends when the engine has ended and all is told.
     *
     * Up to 1,024 events wait for a collector. One that is slower loses the oldest, flows before findings, and is told how
     * many by [Event.Lost]. Open questions are in [questions], too.
     */
    public val events: Flow<Event>

    /** The questions that wait for an answer, oldest first. */
    public val questions: StateFlow<List<Event.Ask>>

    /** Whether the engine runs, and what ended it if not. */
    public val status: StateFlow<EngineStatus>

    /**
     * Swaps the rules between two packets.
     *
     * @throws ConfigException for rules that cannot be used; the ones in force stay in force
     */
    public suspend fun setRules(rules: Rules)

    /** Passes on a person's answer to a question. One that is settled already is ignored. */
    public suspend fun answer(question: Long, allow: Boolean, scope: Scope)

    /** [setRules], for Java. */
    public fun setRulesAsync(rules: Rules): CompletableFuture<Unit>

    /** [answer], for Java. */
    public fun answerAsync(question: Long, allow: Boolean, scope: Scope): CompletableFuture<Unit>

    /** [events], for Java: calls [listener] on [executor], in order, until all is told or the result is closed. */
    public fun addListener(executor: Executor, listener: Listener): AutoCloseable

    /**
     * Ends every flow and every question, waits for the engine's threads, none of which is left afterwards, and closes
     * the tun descriptor. Not from inside a call of [Host].
     */
    override fun close()

    /** Gets events. */
    public fun interface Listener {
        /** Called for each event. */
        public fun onEvent(event: Event)
    }

    /** What the engine needs of Android. */
    public interface Host {
        /** Keeps a socket of ours out of the tunnel; on false the socket is closed, never connected. */
        public fun protect(socket: Int): Boolean

        /** Package names and `uid:N` of the app that a flow belongs to; empty where unknown. After 250 ms they count as unknown. */
        public fun ownersOf(proto: Proto, source: java.net.InetSocketAddress, destination: java.net.InetSocketAddress): List<String>
    }

    public companion object {
        /**
         * Starts an engine. It takes [tun] over, whatever comes of the call.
         *
         * @throws ConfigException for rules that cannot be used
         * @throws java.io.IOException where the machine refuses
         */
        @JvmStatic
        @Throws(ConfigException::class, java.io.IOException::class)
        public fun start(tun: ParcelFileDescriptor, options: EngineOptions, rules: Rules, host: Host): Engine =
            NativeEngine.start(tun.detachFd(), options, rules, host)

        /** Version of the native library. */
        @JvmStatic
        public fun version(): String = org.untold.internal.Native.version()
    }
}

/** How an engine runs. */
public class EngineOptions @JvmOverloads constructor(
    /** Largest packet of the tun device. */
    public val mtu: Int = 1500,
    /** Addresses inside the tunnel at which DNS is answered. */
    public val dns: List<String> = emptyList(),
    /** Where those questions go: `address:port`. */
    public val resolvers: List<String> = emptyList(),
    /** Whether somebody answers questions; without, they take the policy's fallback at once. */
    public val canAsk: Boolean = true,
    /** Key of the hashes in findings. */
    public val hashKey: HashKey = HashKey.random(),
    /** Packets that the device queues towards us. */
    public val queue: Int = 500,
    /**
     * A remote end inside the engine, `address:port`, if there is to be one. TCP connections to it are judged like any other,
     * but no packet leaves: it forgets what it gets, and once its client has ended its side it answers `HTTP/1.1 204` with the
     * fields `Sink-Bytes` and `Sink-SHA-256`, which tell what has arrived. For a rehearsal.
     */
    public val sink: String? = null,
)

/** Whether an engine runs. */
public sealed interface EngineStatus {
    /** It runs. */
    public data object Running : EngineStatus

    /** It was closed. */
    public data object Closed : EngineStatus

    /** It ended by itself; [reason] is for a log, in English. */
    public data class Failed(val reason: String) : EngineStatus
}
