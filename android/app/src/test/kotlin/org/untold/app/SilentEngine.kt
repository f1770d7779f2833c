package org.untold.app

import java.util.concurrent.CompletableFuture
import java.util.concurrent.Executor
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import org.untold.Engine
import org.untold.EngineStatus
import org.untold.Event
import org.untold.Rules
import org.untold.Scope
import org.untold.vpn.Ask

/** An engine that takes every answer and says nothing. */
private object SilentEngine : Engine {
    override val events = MutableSharedFlow<Event>()
    override val questions = MutableStateFlow(emptyList<Event.Ask>())
    override val status = MutableStateFlow<EngineStatus>(EngineStatus.Running)

    override suspend fun setRules(rules: Rules) = Unit

    override suspend fun answer(question: Long, allow: Boolean, scope: Scope) = Unit

    override fun setRulesAsync(rules: Rules): CompletableFuture<Unit> = CompletableFuture.completedFuture(Unit)

    override fun answerAsync(question: Long, allow: Boolean, scope: Scope): CompletableFuture<Unit> = CompletableFuture.completedFuture(Unit)

    override fun addListener(executor: Executor, listener: Engine.Listener) = AutoCloseable {}

    override fun close() = Unit
}

/** A question that nobody waits for. */
fun askOf(question: Event.Ask): Ask = Ask(question, SilentEngine)
