package org.untold.samples;

import android.app.Notification;
import java.util.ArrayList;
import java.util.List;
import org.untold.Action;
import org.untold.Finding;
import org.untold.Identity;
import org.untold.Inspection;
import org.untold.Inspector;
import org.untold.Kind;
import org.untold.Proto;
import org.untold.Rules;
import org.untold.Scope;
import org.untold.vpn.Ask;
import org.untold.vpn.TunnelState;
import org.untold.vpn.UntoldVpnService;

/** Inside an app, without any VPN: what bytes would tell before they are sent. */
public final class JavaSample {
    public static List<Kind> wouldTell(String imei, String to, byte[] bytes) {
        Identity identity = new Identity.Builder().add(Kind.IMEI, imei).build();
        List<Kind> told = new ArrayList<>();
        try (Inspector inspector = new Inspector(new Rules(identity))) {
            Inspection inspection = inspector.inspect(Proto.Tcp, to, bytes);
            if (inspection.getVerdict() == Action.Allow) return told;
            for (Finding finding : inspection.getFindings()) told.add(finding.getKind());
        }
        return told;
    }

    /** A firewall of one's own: it asks nobody, and blocks. */
    public static class Firewall extends UntoldVpnService {
        @Override protected Rules loadPolicy() {
            return new Rules(Identity.EMPTY, "[default]\nask_timeout = \"30s\"\n");
        }

        @Override protected Identity loadIdentity() {
            return new Identity.Builder().add(Kind.IMEI, "490154203237518").build();
        }

        @Override protected Notification notification(TunnelState state) {
            return new Notification.Builder(this, "status").setSmallIcon(android.R.drawable.ic_lock_lock).build();
        }

        @Override protected void onAsk(Ask ask) {
            ask.answerAsync(false, Scope.Once);
        }
    }

    private JavaSample() {}
}
