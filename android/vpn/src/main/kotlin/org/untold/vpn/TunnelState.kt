package org.untold.vpn

import org.untold.ConfigException

/** What the tunnel does. There is one source of it: [UntoldVpnService.onState]. */
public sealed interface TunnelState {
    /** Nothing runs, by choice. */
    public data object Off : TunnelState

    /** Consent is there; rules are being read and the tunnel established. */
    public data object Starting : TunnelState

    /** Every packet goes through the engine. */
    public data class On(val protection: Protection) : TunnelState

    /** It does not run although it was asked to. */
    public data class Failed(val cause: Cause) : TunnelState

    /** Why it does not run. */
    public sealed interface Cause {
        /** The person has not consented, or another VPN took over since: ask by `VpnService.prepare` when they switch on. */
        public data object Consent : Cause

        /** Another VPN was switched on, or consent was withdrawn in the system's settings. */
        public data object Revoked : Cause

        /** The system refuses a foreground service now. */
        public data object Foreground : Cause

        /** The system refuses the tunnel. */
        public data object Establish : Cause

        /** A file cannot be used, and none was in force. */
        public data class Rules(val problem: ConfigException) : Cause

        /** The engine ended, repeatedly; [reason] is for a log, in English. */
        public data class Engine(val reason: String) : Cause
    }
}

/** What keeps the protection from being whole while the tunnel is on. */
public data class Protection(
    /** The system starts the tunnel by itself, at boot too. */
    val alwaysOn: Boolean,
    /** The system blocks what would go around the tunnel. Only the person can set it. */
    val lockdown: Boolean,
    /** Strict Private DNS is set: names are asked for inside TLS, and we see fewer of them. */
    val privateDns: Boolean,
) {
    /** Whether nothing is missing. */
    val isWhole: Boolean get() = alwaysOn && lockdown && !privateDns
}
