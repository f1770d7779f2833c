package org.untold.app

import android.app.Notification
import android.app.PendingIntent
import android.content.Intent
import org.untold.Event
import org.untold.Identity
import org.untold.Kind
import org.untold.Rules
import org.untold.app.data.IdentityStore
import org.untold.vpn.Ask
import org.untold.vpn.TunnelOptions
import org.untold.vpn.TunnelState
import org.untold.vpn.UntoldVpnService

/** The tunnel of this app: files from its stores, everything that happens to its [Firewall]. */
class FirewallService : UntoldVpnService() {
    override fun configure(options: TunnelOptions) {
        options.hashKey = graph.settings.hashKey
        options.sink = Trial.SINK
        options.configureIntent = PendingIntent.getActivity(this, 0, Intent(this, MainActivity::class.java), PendingIntent.FLAG_IMMUTABLE)
    }

    override fun loadPolicy(): Rules = graph.rules.load()

    override fun loadIdentity(): Identity {
        val stored = graph.identity.load()
        return if (graph.trial.isUnderWay) stored.toBuilder().add(Kind.IMEI, Trial.IMEI).build() else stored
    }

    override fun notification(state: TunnelState): Notification = graph.notices.status(
        state,
        isWhole = (state as? TunnelState.On)?.protection?.isWhole == true && graph.identity.state.value != IdentityStore.State.Unreadable,
    )

    override val notificationId: Int get() = Notices.STATUS

    override fun onState(state: TunnelState) = graph.firewall.enter(state)

    override fun onRules(rules: Rules) = graph.firewall.take(rules)

    override fun onAsk(ask: Ask) = graph.firewall.ask(ask)

    override fun onSettled(ask: Ask) = graph.firewall.settle(ask)

    override fun onWithdrawn(ask: Ask) = graph.firewall.withdraw(ask)

    override fun onEvent(event: Event) = graph.firewall.happen(event)
}
