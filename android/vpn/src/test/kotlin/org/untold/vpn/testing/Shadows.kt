package org.untold.vpn.testing

import android.app.Notification
import android.content.Context
import android.content.Intent
import android.net.ConnectivityManager
import android.net.VpnService
import android.os.ParcelFileDescriptor
import java.net.InetSocketAddress
import java.util.Collections
import org.robolectric.annotation.Implementation
import org.robolectric.annotation.Implements
import org.robolectric.annotation.RealObject
import org.robolectric.shadow.api.Shadow
import org.robolectric.shadows.ShadowConnectivityManager
import org.robolectric.shadows.ShadowService as AnyService
import org.untold.testing.Linux

/** A ParcelFileDescriptor over a real descriptor: adoptFd, getFd, detachFd and close do what they do on a phone. */
@Implements(ParcelFileDescriptor::class)
class ShadowDescriptor {
    private var fd = -1

    @Implementation
    fun getFd(): Int = fd.also { check(it >= 0) { "Already closed" } }

    @Implementation
    fun detachFd(): Int = getFd().also { fd = -1 }

    @Implementation
    fun close() {
        if (fd >= 0) Linux.close(fd)
        fd = -1
    }

    companion object {
        @Implementation
        @JvmStatic
        fun adoptFd(fd: Int): ParcelFileDescriptor =
            Shadow.newInstanceOf(ParcelFileDescriptor::class.java).also { Shadow.extract<ShadowDescriptor>(it).fd = fd }
    }
}

/** A VpnService.Builder that records, and establishes a real tun device of the name [device]. */
@Implements(VpnService.Builder::class)
class ShadowBuilder {
    @RealObject
    private lateinit var real: VpnService.Builder

    val addresses = mutableListOf<String>()
    val routes = mutableListOf<String>()
    val servers = mutableListOf<String>()
    val excluded = mutableListOf<String>()
    val bypasses = mutableListOf<String>()
    var mtu = 0
    var metered: Boolean? = null

    @Implementation
    fun setSession(session: String) = real

    @Implementation
    fun setMtu(mtu: Int) = real.also { this.mtu = mtu }

    @Implementation
    fun setMetered(metered: Boolean) = real.also { this.metered = metered }

    @Implementation
    fun addAddress(address: String, prefix: Int): VpnService.Builder {
        require(!(lacksIpv6 && ':' in address)) { "Bad address" }
        addresses += "$address/$prefix"
        return real
    }

    @Implementation
    fun addRoute(address: String, prefix: Int) = real.also { routes += "$address/$prefix" }

    @Implementation
    fun addDnsServer(address: String) = real.also { servers += address }

    @Implementation
    fun addDisallowedApplication(name: String) = real.also { excluded += name }

    @Implementation
    fun addAllowedApplication(name: String) = real.also { excluded += "all but $name" }

    @Implementation
    fun allowFamily(family: Int) = real.also { bypasses += "family $family" }

    @Implementation
    fun allowBypass() = real.also { bypasses += "whoever wants" }

    @Implementation
    fun establish(): ParcelFileDescriptor? {
        last = this
        Calls += "establish"
        refusal?.let { throw it }
        return device?.let { ParcelFileDescriptor.adoptFd(Linux.openTun(it)) }
    }

    companion object {
        /** Name of the tun device; null: establish() answers null, as without consent. */
        @JvmStatic var device: String? = null

        /** What establish() throws. */
        @JvmStatic var refusal: RuntimeException? = null

        /** Whether the device has no IPv6. */
        @JvmStatic var lacksIpv6 = false

        /** The builder that was established last. */
        @JvmStatic var last: ShadowBuilder? = null
    }
}

/** What was called of the system, in order. */
object Calls {
    private val made = Collections.synchronizedList(mutableListOf<String>())

    operator fun plusAssign(call: String) {
        made += call
    }

    fun toList(): List<String> = synchronized(made) { made.toList() }

    fun clear() = made.clear()
}

/** A VpnService whose sockets are kept out of the tunnel by a mark. */
@Implements(VpnService::class)
class ShadowService : AnyService() {
    @Implementation
    fun protect(socket: Int): Boolean = protects && Linux.mark(socket, MARK)

    @Implementation(minSdk = 29)
    fun isAlwaysOn() = alwaysOn

    @Implementation(minSdk = 29)
    fun isLockdownEnabled() = lockdown

    /** The other one, with a type, comes down to this. */
    @Implementation
    override fun startForeground(id: Int, notification: Notification) {
        Calls += "startForeground"
        foregroundRefusal?.let { throw it }
        super.startForeground(id, notification)
    }

    companion object {
        @Implementation
        @JvmStatic
        fun prepare(context: Context): Intent? = consent.also { Calls += "prepare" }

        /** What prepare() answers: the intent that asks for consent, or null where the person has given it. */
        @JvmStatic var consent: Intent? = null

        /** The mark of a socket that goes around the tunnel. */
        const val MARK = 7

        /** What startForeground() throws. */
        @JvmStatic var foregroundRefusal: RuntimeException? = null

        /** Whether protect() works. */
        @JvmStatic var protects = true

        /** What the person set in the system's settings. */
        @JvmStatic var alwaysOn = false

        /** What the person set in the system's settings. */
        @JvmStatic var lockdown = false
    }
}

/** A ConnectivityManager that says whose a flow is. */
@Implements(ConnectivityManager::class)
class ShadowOwners : ShadowConnectivityManager() {
    @Implementation(minSdk = 29)
    fun getConnectionOwnerUid(protocol: Int, local: InetSocketAddress, remote: InetSocketAddress): Int = uid

    companion object {
        /** Owner of every flow. */
        @JvmStatic var uid = SYSTEM

        /** android.os.Process.SYSTEM_UID. */
        const val SYSTEM = 1000
    }
}

/** As it is on a phone where nothing was set. */
fun resetShadows() {
    Calls.clear()
    ShadowBuilder.device = null
    ShadowBuilder.refusal = null
    ShadowBuilder.lacksIpv6 = false
    ShadowBuilder.last = null
    ShadowService.consent = null
    ShadowService.foregroundRefusal = null
    ShadowService.protects = true
    ShadowService.alwaysOn = false
    ShadowService.lockdown = false
    ShadowOwners.uid = ShadowOwners.SYSTEM
}
