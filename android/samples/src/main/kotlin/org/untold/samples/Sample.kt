package org.untold.samples

import android.app.Notification
import org.untold.Action
import org.untold.HttpRequest
import org.untold.Identity
import org.untold.Inspector
import org.untold.Kind
import org.untold.Rules
import org.untold.Scope
import org.untold.vpn.Ask
import org.untold.vpn.TunnelState
import org.untold.vpn.UntoldVpnService

/** Inside an app, without any VPN: what a request would tell before it is sent. */
fun wouldTell(imei: String, request: HttpRequest): List<Kind> {
    val identity = Identity.Builder().add(Kind.IMEI, imei).build()
    return Inspector(Rules(identity)).use { inspector ->
        val inspection = inspector.inspect(request)
        if (inspection.verdict == Action.Allow) emptyList() else inspection.findings.map { it.kind }
    }
}

/** A firewall of one's own: it asks nobody, and blocks. */
class Firewall : UntoldVpnService() {
    override fun loadPolicy() = Rules(policy = "[default]\nask_timeout = \"30s\"\n")

    override fun loadIdentity() = Identity.Builder().add(Kind.IMEI, "490154203237518").build()

    override fun notification(state: TunnelState): Notification =
        Notification.Builder(this, "status").setSmallIcon(android.R.drawable.ic_lock_lock).setContentTitle("$state").build()

    override fun onAsk(ask: Ask) {
        ask.answerAsync(false, Scope.Once)
    }

    override fun onState(state: TunnelState) {
        if (state is TunnelState.On && !state.protection.isWhole) println("on, and not whole: ${state.protection}")
    }
}
