package org.untold.app

import android.content.Context
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import org.untold.Action
import org.untold.AnsweredBy
import org.untold.Event
import org.untold.Scope
import org.untold.app.data.Journal
import org.untold.app.data.RuleStore
import org.untold.vpn.Ask
import org.untold.vpn.TunnelState
import org.untold.vpn.UntoldVpnService

/** What the screens know of the service, and what they can have it do. */
class Firewall(
    private val context: Context,
    private val rules: RuleStore,
    private val journal: Journal,
    private val notices: Notices,
    private val scope: CoroutineScope,
) {
    /** What the tunnel does. */
    val state: StateFlow<TunnelState> get() = current.asStateFlow()

    /** Questions that wait, oldest first. */
    val asks: StateFlow<List<Ask>> get() = open.asStateFlow()

    /** What was done since it was switched on. */
    val tally: StateFlow<Tally> get() = counted.asStateFlow()

    private val current = MutableStateFlow<TunnelState>(TunnelState.Off)
    private val open = MutableStateFlow(emptyList<Ask>())
    private val counted = MutableStateFlow(Tally())

    /** Switches on; the person has consented. */
    fun start() = UntoldVpnService.start(context, FirewallService::class.java)

    /** Switches off. */
    fun stop() = UntoldVpnService.stop(context, FirewallService::class.java)

    /** Has changed files take effect; nothing to do while it is off. */
    fun reload() {
        if (state.value is TunnelState.On) UntoldVpnService.reload(context, FirewallService::class.java)
    }

    /** Answers a question, and remembers what is to hold for ever. */
    fun answer(ask: Ask, allow: Boolean, scope: Scope) {
        settle(ask.question.question)
        this.scope.launch {
            ask.answer(allow, scope)
            if (scope == Scope.Always) rules.remember(ask.question, allow)
        }
    }

    internal fun enter(state: TunnelState) {
        if (state is TunnelState.Starting) counted.value = Tally()
        if (state is TunnelState.Off || state is TunnelState.Failed) {
            open.value.forEach { notices.withdraw(it.question.question) }
            if (open.value.isNotEmpty()) journal.withdrawn(open.value.map { it.question })
            open.value = emptyList()
        }
        current.value = state
    }

    internal fun ask(ask: Ask) {
        open.update { it + ask }
        notices.ask(ask.question)
    }

    internal fun happen(event: Event) {
        journal.add(event)
        when (event) {
            is Event.Found -> if (event.verdict == Action.Block) counted.update { it.copy(stopped = it.stopped + 1) }
            is Event.Answer -> {
                if (event.verdict == Action.Block) {
                    counted.update { it.copy(stopped = it.stopped + 1, unasked = it.unasked + if (event.by == AnsweredBy.Timeout) 1 else 0) }
                }
                settle(event.question)
            }
            else -> Unit
        }
    }

    private fun settle(question: Long) {
        open.update { list -> list.filterNot { it.question.question == question } }
        notices.withdraw(question)
    }

    /** Counts since the tunnel was switched on. */
    data class Tally(val stopped: Int = 0, val unasked: Int = 0)
}
