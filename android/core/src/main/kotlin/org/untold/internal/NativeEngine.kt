package org.untold.internal

import java.net.InetAddress
import java.net.InetSocketAddress
import java.util.concurrent.CompletableFuture
import java.util.concurrent.Executor
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.future.future
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import org.untold.Engine
import org.untold.EngineOptions
import org.untold.EngineStatus
import org.untold.Event
import org.untold.Proto
import org.untold.Rules
import org.untold.Scope

/** The engine behind the native face. */
internal class NativeEngine private constructor(private val host: Engine.Host) : Engine {
    override val events get() = told.events
    override val questions get() = open.asStateFlow()
    override val status get() = current.asStateFlow()

    private val told = Publisher()
    private val open = MutableStateFlow(emptyList<Event.Ask>())
    private val current = MutableStateFlow<EngineStatus>(EngineStatus.Running)

    // Never cancelled: what runs in it ends with its call, or with the events.
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private lateinit var handle: Handle

    override suspend fun setRules(rules: Rules) = withContext(Dispatchers.Default) {
        handle.use { Native.engineSetRules(it, rules.identity.toToml(), rules.policy, rules.answers, rules.named()) }
    }

    override suspend fun answer(question: Long, allow: Boolean, scope: Scope) =
        withContext(Dispatchers.Default) { handle.use { Native.engineAnswer(it, question, allow, scope.code) } }

    override fun setRulesAsync(rules: Rules): CompletableFuture<Unit> = scope.future { setRules(rules) }

    override fun answerAsync(question: Long, allow: Boolean, scope: Scope): CompletableFuture<Unit> =
        this.scope.future { answer(question, allow, scope) }

    override fun addListener(executor: Executor, listener: Engine.Listener): AutoCloseable {
        val mailbox = told.subscribe()
        val reading = scope.launch(executor.asCoroutineDispatcher()) {
            while (true) listener.onEvent(mailbox.take() ?: break)
        }
        reading.invokeOnCompletion { told.cancel(mailbox) }
        return AutoCloseable(reading::cancel)
    }

    override fun close() = handle.close()

    private inner class Callbacks : NativeCallbacks {
        override fun protect(fd: Int): Boolean = host.protect(fd)

        override fun owner(proto: Int, src: String, srcPort: Int, dst: String, dstPort: Int): Array<String> {
            val transport = Proto.entries.firstOrNull { it.number == proto } ?: return emptyArray()
            return host.ownersOf(transport, address(src, srcPort), address(dst, dstPort)).toTypedArray()
        }

        override fun events(batch: ByteArray) = eventsFrom(batch).forEach { event ->
            // The list first: who hears of a question finds it there.
            when (event) {
                is Event.Ask -> open.update { it + event }
                is Event.Answer -> open.update { list -> list.filterNot { it.question == event.question } }
                else -> Unit
            }
            told.publish(event)
        }

        override fun stopped(reason: String?) {
            // The status first: who sees that no question is open knows whether they were settled.
            current.value = reason?.let(EngineStatus::Failed) ?: EngineStatus.Closed
            open.value = emptyList()
            told.end()
        }

        /** [host] is a literal, so nothing is resolved. */
        private fun address(host: String, port: Int) = InetSocketAddress(InetAddress.getByName(host), port)
    }

    companion object {
        fun start(fd: Int, options: EngineOptions, rules: Rules, host: Engine.Host): Engine = NativeEngine(host).also {
            val value = Native.engineStart(
                fd, options.mtu, options.queue, options.dns.toTypedArray(), options.resolvers.toTypedArray(), options.canAsk, options.sink,
                rules.identity.toToml(), rules.policy, rules.answers, rules.named(), options.hashKey.bytes, it.Callbacks(),
            )
            it.handle = Handle(value, Native::engineStop)
        }
    }
}
