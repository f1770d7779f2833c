package org.untold.vpn

import android.app.Notification
import android.app.NotificationManager
import android.content.Context
import android.content.Intent
import android.content.pm.ServiceInfo
import android.net.VpnService
import android.os.Build
import android.os.ParcelFileDescriptor
import java.net.InetSocketAddress
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors
import java.util.concurrent.RejectedExecutionException
import org.untold.Engine
import org.untold.EngineOptions
import org.untold.Event
import org.untold.Identity
import org.untold.Proto
import org.untold.Rules
import org.untold.vpn.internal.Networks
import org.untold.vpn.internal.Owners
import org.untold.vpn.internal.Tunnel
import org.untold.vpn.internal.establish
import org.untold.vpn.internal.service

/**
 * The firewall as a service. An app extends it, declares it (see the library's README) and starts it by [start] once the
 * person has consented; the system may start it as well, for always-on.
 *
 * Hooks that load are called on a thread of the service's own and may block; [onState], [onAsk], [onEvent] and their like are
 * called there too, one at a time, and must not.
 */
public abstract class UntoldVpnService : VpnService() {
    private val worker: ExecutorService = Executors.newSingleThreadExecutor { Thread(it, "untold-tunnel") }
    private val tunnel by lazy { Tunnel(Host(), worker) }
    private val networks by lazy { Networks(this) }
    private val owners by lazy { Owners(this) }

    /** Adjusts how the tunnel is made; called before each [VpnService.Builder.establish]. */
    protected open fun configure(options: TunnelOptions) {}

    /** The policy file, the answers file and the files that the policy names; what it says of identity is ignored. */
    protected abstract fun loadPolicy(): Rules

    /** What must not leave. */
    protected abstract fun loadIdentity(): Identity

    /** The notification that stands for [state]; called on any thread. */
    protected abstract fun notification(state: TunnelState): Notification

    /** Number of that notification. */
    protected open val notificationId: Int get() = 1

    /** A question waits, until [onSettled] or [onWithdrawn] gets it. */
    protected open fun onAsk(ask: Ask) {}

    /** A question was answered, or its time was over, or new rules made it pointless. */
    protected open fun onSettled(ask: Ask) {}

    /** A question ended with its engine: nobody answered, and nothing that it was about was sent. */
    protected open fun onWithdrawn(ask: Ask) {}

    /** Rules are in force: those of a start, or of a reload that they survived. */
    protected open fun onRules(rules: Rules) {}

    /** Something happened; questions come by [onAsk] as well. */
    protected open fun onEvent(event: Event) {}

    /** The state changed. */
    protected open fun onState(state: TunnelState) {}

    final override fun onStartCommand(intent: Intent?, flags: Int, startId: Int): Int {
        when (intent?.action) {
            STOP -> later(tunnel::stop)
            RELOAD -> later(tunnel::reload)
            REFRESH -> later(tunnel::refresh)
            // Our own start, the system's for always-on, or a restart without an intent after the process died.
            else -> if (inForeground()) later(tunnel::start)
        }
        return if (intent?.action == STOP) START_NOT_STICKY else START_STICKY
    }

    /** Called by the system, on any thread, when another VPN takes over or consent is withdrawn. */
    final override fun onRevoke() {
        later(tunnel::revoke)
    }

    final override fun onDestroy() {
        later {
            tunnel.destroy()
            owners.close()
            later(worker::shutdown) // behind the last events
        }
        super.onDestroy()
    }

    /** The first thing a start does, on the main thread: the system allows it a few seconds. */
    private fun inForeground(): Boolean = try {
        val shown = notification(tunnel.state)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.UPSIDE_DOWN_CAKE) {
            startForeground(notificationId, shown, ServiceInfo.FOREGROUND_SERVICE_TYPE_SYSTEM_EXEMPTED)
        } else {
            startForeground(notificationId, shown)
        }
        true
    } catch (refused: IllegalStateException) { // ForegroundServiceStartNotAllowedException, since API 31
        later { tunnel.fail(TunnelState.Cause.Foreground) }
        false
    } catch (refused: SecurityException) {
        later { tunnel.fail(TunnelState.Cause.Foreground) }
        false
    }

    private fun later(step: () -> Unit) {
        try {
            worker.execute(step)
        } catch (destroyed: RejectedExecutionException) {
            return // the tunnel is closed already
        }
    }

    private inner class Host : Tunnel.Host, Engine.Host {
        override fun establish(options: TunnelOptions): ParcelFileDescriptor? = Builder().establish(options)

        override fun options(): TunnelOptions = TunnelOptions().also(::configure)

        override fun rules(): Rules = loadPolicy().run { Rules(loadIdentity(), policy, answers, lists, passwords) }

        override fun start(tun: ParcelFileDescriptor, options: TunnelOptions, rules: Rules): Engine = Engine.start(
            tun,
            EngineOptions(options.mtu, listOf(options.dns4, options.dns6), networks.resolvers(), canAsk = true, options.hashKey, sink = options.sink),
            rules,
            this,
        )

        override fun protection() = Protection(
            alwaysOn = isAlwaysOn,
            lockdown = isLockdownEnabled,
            privateDns = networks.hasStrictPrivateDns(),
        )

        override fun watchNetworks(changed: () -> Unit): AutoCloseable = networks.watch(changed)

        override fun tell(state: TunnelState) {
            onState(state)
            if (state is TunnelState.On || state is TunnelState.Starting) {
                service<NotificationManager>().notify(notificationId, notification(state))
            }
        }

        override fun tell(event: Event) = onEvent(event)

        override fun ask(ask: Ask) = onAsk(ask)

        override fun settled(ask: Ask) = onSettled(ask)

        override fun withdrawn(ask: Ask) = onWithdrawn(ask)

        override fun inForce(rules: Rules) = onRules(rules)

        override fun ended() {
            stopForeground(STOP_FOREGROUND_REMOVE)
            stopSelf()
        }

        override fun protect(socket: Int): Boolean = this@UntoldVpnService.protect(socket)

        override fun ownersOf(proto: Proto, source: InetSocketAddress, destination: InetSocketAddress): List<String> =
            owners.of(proto, source, destination)
    }

    /** How an app drives its service. */
    public companion object {
        private const val STOP = "org.untold.vpn.STOP"
        private const val RELOAD = "org.untold.vpn.RELOAD"
        private const val REFRESH = "org.untold.vpn.REFRESH"

        /** Starts it; the person must have consented (`VpnService.prepare` returned null or its activity said yes). */
        @JvmStatic
        public fun start(context: Context, service: Class<out UntoldVpnService>) {
            context.startForegroundService(Intent(context, service))
        }

        /** Stops it. */
        @JvmStatic
        public fun stop(context: Context, service: Class<out UntoldVpnService>) {
            context.startService(Intent(context, service).setAction(STOP))
        }

        /** Has a running service read its files again; what cannot be used leaves the old rules in force. */
        @JvmStatic
        public fun reload(context: Context, service: Class<out UntoldVpnService>) {
            context.startService(Intent(context, service).setAction(RELOAD))
        }

        /** Has a running service look again at what the person set in the system's settings: [TunnelState.On.protection]. */
        @JvmStatic
        public fun refresh(context: Context, service: Class<out UntoldVpnService>) {
            context.startService(Intent(context, service).setAction(REFRESH))
        }
    }
}
