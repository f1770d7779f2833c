package org.untold.vpn.internal

import android.os.ParcelFileDescriptor
import java.io.IOException
import java.util.concurrent.ExecutorService
import java.util.concurrent.RejectedExecutionException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.untold.ConfigException
import org.untold.Engine
import org.untold.EngineStatus
import org.untold.Event
import org.untold.Rules
import org.untold.vpn.Ask
import org.untold.vpn.Protection
import org.untold.vpn.TunnelOptions
import org.untold.vpn.TunnelState
import org.untold.vpn.TunnelState.Cause

/** The life of the tunnel: every function but [state] is called on [worker]'s one thread. */
internal class Tunnel(private val host: Host, private val worker: ExecutorService) {
    /** What a tunnel needs of its service. */
    internal interface Host {
        fun options(): TunnelOptions
        fun rules(): Rules
        fun establish(options: TunnelOptions): ParcelFileDescriptor?
        fun start(tun: ParcelFileDescriptor, options: TunnelOptions, rules: Rules): Engine
        fun protection(): Protection
        fun watchNetworks(changed: () -> Unit): AutoCloseable
        fun tell(state: TunnelState)
        fun tell(event: Event)
        fun ask(ask: Ask)
        fun settled(ask: Ask)
        fun withdrawn(ask: Ask)
        fun inForce(rules: Rules)
        fun ended()
    }

    @Volatile
    var state: TunnelState = TunnelState.Off
        private set

    private var run: Run? = null
    private var restarts = 0

    fun start() {
        if (run != null) return enter(TunnelState.On(host.protection()))
        enter(TunnelState.Starting)
        restarts = 0
        when (val cause = launch()) {
            null -> enter(TunnelState.On(host.protection()))
            else -> fail(cause)
        }
    }

    fun stop() {
        close()
        enter(TunnelState.Off)
        host.ended()
    }

    fun revoke() = fail(Cause.Revoked)

    fun fail(cause: Cause) {
        close()
        enter(TunnelState.Failed(cause))
        host.ended()
    }

    /** The service goes; what ended it before stays said. */
    fun destroy() {
        close()
        if (state !is TunnelState.Failed) enter(TunnelState.Off)
    }

    /** Reads the files again. The rules in force stay in force where they cannot be used. */
    fun reload() {
        val engine = run?.engine ?: return host.ended()
        try {
            val rules = host.rules()
            runBlocking { engine.setRules(rules) }
            host.inForce(rules)
        } catch (problem: ConfigException) {
            host.tell(Event.Fault(0.0, "rules not changed: ${problem.message}"))
        } catch (closed: IllegalStateException) {
            return // it ended by itself, and says so on its own
        }
    }

    /** Looks again at what keeps the protection from being whole; the system tells nobody when it changes. */
    fun refresh() {
        if (run == null) host.ended() else enter(TunnelState.On(host.protection()))
    }

    private fun launch(): Cause? {
        val options = host.options()
        val rules = try {
            host.rules()
        } catch (problem: ConfigException) {
            return Cause.Rules(problem)
        }
        val tun = try {
            host.establish(options) ?: return Cause.Consent
        } catch (refused: RuntimeException) { // SecurityException, IllegalStateException or IllegalArgumentException, by version
            return Cause.Establish
        }
        val engine = try {
            host.start(tun, options, rules)
        } catch (problem: ConfigException) {
            return Cause.Rules(problem)
        } catch (refused: IOException) {
            return Cause.Engine(refused.message.orEmpty())
        }
        run = Run(engine)
        host.inForce(rules)
        return null
    }

    private fun close() {
        run?.close()
        run = null
    }

    /** An engine that ended by itself is started anew, a few times; without one nothing is guarded. */
    private fun ended(reason: String) {
        close()
        restarts += 1
        val cause = if (restarts > RESTARTS) Cause.Engine(reason) else launch()
        if (cause != null) fail(cause)
    }

    /** The network's resolvers changed: a new tunnel takes the old one's place without a gap. */
    private fun renew() {
        val old = run ?: return
        run = null
        val cause = launch()
        old.close()
        if (cause == null) enter(TunnelState.On(host.protection())) else fail(cause)
    }

    private fun enter(next: TunnelState) {
        if (next == state) return
        state = next
        host.tell(next)
    }

    private fun later(step: () -> Unit) {
        try {
            worker.execute(step)
        } catch (destroyed: RejectedExecutionException) {
            return
        }
    }

    /** One engine and what listens to it. */
    private inner class Run(val engine: Engine) : AutoCloseable {
        private val job = Job()
        private val waiting = LinkedHashMap<Long, Ask>()
        private var isClosed = false
        private val networks = host.watchNetworks { later { if (run === this) renew() } }

        init {
            engine.addListener(worker, host::tell) // ends by itself, behind the last event
            val scope = CoroutineScope(job + Dispatchers.Default)
            scope.launch { engine.questions.collect { open -> later { compare(open) } } }
            scope.launch {
                engine.status.collect { status ->
                    if (status is EngineStatus.Failed) later { if (run === this@Run) ended(status.reason) }
                }
            }
        }

        override fun close() {
            job.cancel()
            networks.close()
            engine.close()
            isClosed = true
            waiting.values.forEach(host::withdrawn)
        }

        private fun compare(open: List<Event.Ask>) {
            // An engine that has ended lists none; what it leaves open is withdrawn.
            if (isClosed || engine.status.value != EngineStatus.Running) return
            val numbers = open.mapTo(HashSet()) { it.question }
            val settled = waiting.filterKeys { it !in numbers }
            waiting.keys -= settled.keys
            settled.values.forEach(host::settled)
            open.filter { it.question !in waiting }.forEach { question ->
                val ask = Ask(question, engine)
                waiting[question.question] = ask
                host.ask(ask)
            }
        }
    }

    private companion object {
        const val RESTARTS = 3
    }
}
