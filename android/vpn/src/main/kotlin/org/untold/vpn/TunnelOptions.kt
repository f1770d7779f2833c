package org.untold.vpn

import android.app.PendingIntent
import org.untold.HashKey

/** How the tunnel is made. What is here by default is right for most; addresses are changed where they collide with a network. */
public class TunnelOptions {
    /** What the system's settings call the VPN; the app's label if null. */
    public var session: String? = null

    /** What a tap on the system's VPN entry opens. */
    public var configureIntent: PendingIntent? = null

    /** Largest packet, at most [MAX_MTU]. */
    public var mtu: Int = MAX_MTU
        set(value) {
            require(value in MIN_MTU..MAX_MTU) { "an MTU from $MIN_MTU to $MAX_MTU" }
            field = value
        }

    /** The tunnel's own IPv4 address; DNS is answered at the next one. */
    public var address4: String = "10.215.173.1"

    /** Where DNS is answered inside the tunnel. */
    public var dns4: String = "10.215.173.2"

    /** The tunnel's own IPv6 address. */
    public var address6: String = "fd75:6e74:6f6c:64::1"

    /** Where DNS is answered inside the tunnel. */
    public var dns6: String = "fd75:6e74:6f6c:64::2"

    /** Key of the hashes in findings: one per installation keeps them comparable. */
    public var hashKey: HashKey = HashKey.random()

    /** A remote end inside the engine, `address:port`: see [org.untold.EngineOptions.sink]. */
    public var sink: String? = null

    /** Bounds of what the system takes. */
    public companion object {
        /** What IPv6 needs at least. */
        public const val MIN_MTU: Int = 1280

        /** Above this, phones were seen to drop packets. */
        public const val MAX_MTU: Int = 9000
    }
}
