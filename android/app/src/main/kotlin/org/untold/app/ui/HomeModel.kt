package org.untold.app.ui

import android.content.Context
import android.net.VpnService
import androidx.lifecycle.ViewModel
import androidx.lifecycle.viewModelScope
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.SharingStarted
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.combine
import kotlinx.coroutines.flow.stateIn
import org.untold.app.AppGraph
import org.untold.app.Firewall
import org.untold.vpn.TunnelState

/** State of Home, and of the first run. */
class HomeModel(private val graph: AppGraph) : ViewModel() {
    private val noticesAllowed = MutableStateFlow(graph.notices.areAllowed)

    /** What Home shows. */
    val state: StateFlow<HomeState> = combine(
        graph.firewall.state, graph.firewall.asks, graph.firewall.tally, graph.trial.underWay, noticesAllowed, ::snapshot,
    ).stateIn(viewModelScope, SharingStarted.Eagerly, now())

    /** The intent that asks for consent, or null where the person has given it; only on their own act of switching on. */
    fun consent(context: Context) = VpnService.prepare(context)

    /** Switches on; consent is there. */
    fun start() = graph.firewall.start()

    /** Switches off. */
    fun stop() = graph.firewall.stop()

    /** Starts the test. */
    fun tryIt() = graph.trial.start()

    /** The person may have come back from the settings. */
    fun refresh() {
        noticesAllowed.value = graph.notices.areAllowed
    }

    private fun now() = snapshot(
        graph.firewall.state.value, graph.firewall.asks.value, graph.firewall.tally.value, graph.trial.isUnderWay, noticesAllowed.value,
    )

    private fun snapshot(tunnel: TunnelState, asks: List<org.untold.vpn.Ask>, tally: Firewall.Tally, trying: Boolean, allowed: Boolean) =
        HomeState(tunnel, asks.map { it.question.question }, tally.stopped, tally.unasked, trying, allowed)
}

/** What Home shows. */
data class HomeState(
    val tunnel: TunnelState,
    /** Numbers of the questions that wait, oldest first. */
    val questions: List<Long>,
    val stopped: Int,
    val unasked: Int,
    val trying: Boolean,
    val noticesAllowed: Boolean,
) {
    /** Whether the switch stands at on. */
    val isOn: Boolean get() = tunnel is TunnelState.On || tunnel is TunnelState.Starting
}
