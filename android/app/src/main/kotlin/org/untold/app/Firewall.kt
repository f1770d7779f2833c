package org.untold.app

import android.content.Context
import java.util.concurrent.atomic.AtomicLong
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asSharedFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import org.untold.Action
import org.untold.AnsweredBy
import org.untold.Event
import org.untold.Rules
import org.untold.Scope
import org.untold.app.data.Journal
import org.untold.app.data.OpenQuestions
import org.untold.app.data.RuleStore
import org.untold.vpn.Ask
import org.untold.vpn.TunnelState
import org.untold.vpn.UntoldVpnService

/** Where a question's flow goes: its name, or the address where it has none. */
internal val Event.Ask.to: String get() = name ?: destination

/** What the screens know of the service, and what they can have it do. */
class Firewall(
    private val context: Context,
    private val store: RuleStore,
    private val journal: Journal,
    private val notices: Notices,
    private val notes: OpenQuestions,
    private val scope: CoroutineScope,
) {
    /** What the tunnel does. */
    val state: StateFlow<TunnelState> get() = current.asStateFlow()

    /** Questions that wait, oldest first. */
    val questions: StateFlow<List<Question>> get() = open.asStateFlow()

    /** What was done since it was switched on. */
    val tally: StateFlow<Tally> get() = counted.asStateFlow()

    /** The rules in force, once there are some. */
    val rules: StateFlow<Rules?> get() = inForce.asStateFlow()

    /** What happens; who is slow loses the oldest. */
    val events: SharedFlow<Event> get() = told.asSharedFlow()

    private val current = MutableStateFlow<TunnelState>(TunnelState.Off)
    private val open = MutableStateFlow(emptyList<Question>())
    private val counted = MutableStateFlow(Tally())
    private val inForce = MutableStateFlow<Rules?>(null)
    private val told = MutableSharedFlow<Event>(extraBufferCapacity = BUFFER, onBufferOverflow = BufferOverflow.DROP_OLDEST)

    // The engine's numbers begin anew with each of its runs; a notification may outlive one, and the process.
    private val numbers = AtomicLong(System.currentTimeMillis())

    /** Says what an earlier process left open, and keeps a note of what is; once, when this one begins. */
    fun begin() {
        notices.withdrawAll()
        scope.launch(Dispatchers.IO) {
            notes.read().forEach { journal.withdraw(it.at, it.app, it.to) }
            open.collect { list -> notes.write(list.map { OpenQuestions.Noted(it.at, it.asked.app, it.asked.to) }) }
        }
    }

    /** Switches on; the person has consented. */
    fun start() = UntoldVpnService.start(context, FirewallService::class.java)

    /** Looks again at what the person may have set in the system's settings meanwhile. */
    fun refresh() {
        if (state.value is TunnelState.On) UntoldVpnService.refresh(context, FirewallService::class.java)
    }

    /** Switches off. */
    fun stop() = UntoldVpnService.stop(context, FirewallService::class.java)

    /** Has changed files take effect; nothing to do while it is off. */
    fun reload() {
        if (state.value is TunnelState.On) UntoldVpnService.reload(context, FirewallService::class.java)
    }

    /** Answers a question, and remembers what is to hold for ever. */
    fun answer(question: Question, allow: Boolean, scope: Scope) {
        settle(question.ask)
        this.scope.launch {
            question.ask.answer(allow, scope)
            if (scope == Scope.Always) store.remember(question.asked, allow)
        }
    }

    internal fun enter(state: TunnelState) {
        if (state is TunnelState.Starting) counted.value = Tally()
        current.value = state
    }

    internal fun take(rules: Rules) {
        inForce.value = rules
    }

    internal fun ask(ask: Ask) {
        val question = Question(numbers.incrementAndGet(), System.currentTimeMillis(), ask)
        open.update { it + question }
        notices.ask(question)
    }

    internal fun settle(ask: Ask) {
        val settled = open.value.filter { it.ask === ask }
        open.update { it - settled }
        settled.forEach { notices.withdraw(it.number) }
    }

    internal fun withdraw(ask: Ask) {
        settle(ask)
        journal.withdraw(System.currentTimeMillis(), ask.question.app, ask.question.to)
    }

    internal fun happen(event: Event) {
        journal.add(event)
        when (event) {
            is Event.Found -> if (event.verdict == Action.Block && !Trial.isTrial(event.destination)) {
                counted.update { it.copy(stopped = it.stopped + 1) }
            }
            is Event.Answer -> if (event.verdict == Action.Block && event.by == AnsweredBy.Timeout) {
                counted.update { it.copy(unanswered = it.unanswered + 1) }
            }
            else -> Unit
        }
        told.tryEmit(event)
    }

    /** A question that waits for the person. */
    class Question(
        /** Distinguishes it from every other, those of earlier processes included. */
        val number: Long,
        /** When it was put: milliseconds since 1970. */
        val at: Long,
        internal val ask: Ask,
    ) {
        /** Who, where to, and what. */
        val asked: Event.Ask get() = ask.question
    }

    /** Counts since the tunnel was switched on. */
    data class Tally(
        /** Identifiers that did not leave; those of a test are nobody's. */
        val stopped: Int = 0,
        /** Questions that nobody answered in time, and that were blocked. */
        val unanswered: Int = 0,
    )

    private companion object {
        const val BUFFER = 256
    }
}
