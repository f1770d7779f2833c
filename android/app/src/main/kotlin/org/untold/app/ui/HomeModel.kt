package org.untold.app.ui

import android.content.Context
import android.net.VpnService
import androidx.lifecycle.ViewModel
import androidx.lifecycle.viewModelScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.SharingStarted
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.combine
import kotlinx.coroutines.flow.stateIn
import kotlinx.coroutines.launch
import org.untold.app.AppGraph
import org.untold.app.Firewall
import org.untold.app.Trial
import org.untold.app.data.IdentityStore
import org.untold.vpn.TunnelState

/** State of Home, and of the first run. */
class HomeModel(private val graph: AppGraph) : ViewModel() {
    private val noticesAllowed = MutableStateFlow(graph.notices.areAllowed)

    /** What Home shows. */
    val state: StateFlow<HomeState> = combine(
        graph.firewall.state, graph.firewall.questions, graph.firewall.tally, graph.trial.state,
        combine(graph.identity.state, noticesAllowed) { _, _ -> },
    ) { _, _, _, _, _ -> now() }.stateIn(viewModelScope, SharingStarted.Eagerly, now())

    init {
        viewModelScope.launch(Dispatchers.IO) { graph.identity.load() }
    }

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
        graph.firewall.refresh()
    }

    private fun now() = HomeState(
        tunnel = graph.firewall.state.value,
        questions = graph.firewall.questions.value.map { it.number },
        tally = graph.firewall.tally.value,
        trial = graph.trial.state.value,
        isIdentityUnreadable = graph.identity.state.value == IdentityStore.State.Unreadable,
        areNoticesAllowed = noticesAllowed.value,
    )
}

/** What Home shows. */
data class HomeState(
    val tunnel: TunnelState,
    /** Numbers of the questions that wait, oldest first. */
    val questions: List<Long>,
    val tally: Firewall.Tally,
    val trial: Trial.State,
    val isIdentityUnreadable: Boolean,
    val areNoticesAllowed: Boolean,
) {
    /** Whether nothing is missing while it is on. */
    val isWhole: Boolean get() = (tunnel as? TunnelState.On)?.protection?.isWhole == true && !isIdentityUnreadable

    /** Whether the switch stands at on. */
    val isOn: Boolean get() = tunnel is TunnelState.On || tunnel is TunnelState.Starting
}
