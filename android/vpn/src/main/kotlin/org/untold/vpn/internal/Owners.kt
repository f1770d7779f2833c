package org.untold.vpn.internal

import android.content.Context
import android.net.ConnectivityManager
import android.os.Process
import android.system.OsConstants
import java.net.InetSocketAddress
import java.util.concurrent.ExecutionException
import java.util.concurrent.Future
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.SynchronousQueue
import java.util.concurrent.ThreadPoolExecutor
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException
import org.untold.Proto

/** Asks the system whose a flow is, within a deadline, because the system's answer may take longer than a SYN can wait. */
internal class Owners(context: Context) : AutoCloseable {
    private val connectivity = context.service<ConnectivityManager>()
    private val packages = context.packageManager
    private val pool = ThreadPoolExecutor(0, THREADS, 1, TimeUnit.SECONDS, SynchronousQueue()) { Thread(it, "untold-owner") }

    /** Package names, `uid:N`, and `system` for one of the system's own; empty where unknown. */
    fun of(proto: Proto, source: InetSocketAddress, destination: InetSocketAddress): List<String> {
        val number = when (proto) {
            Proto.Tcp -> OsConstants.IPPROTO_TCP
            Proto.Udp -> OsConstants.IPPROTO_UDP
            Proto.Icmp -> return emptyList() // the system answers for sockets only
        }
        val answer: Future<List<String>>
        try {
            answer = pool.submit<List<String>> { names(connectivity.getConnectionOwnerUid(number, source, destination)) }
        } catch (busy: RejectedExecutionException) {
            return emptyList()
        }
        return try {
            answer.get(DEADLINE_MILLIS, TimeUnit.MILLISECONDS)
        } catch (late: TimeoutException) {
            answer.cancel(true)
            emptyList()
        } catch (refused: ExecutionException) {
            emptyList()
        }
    }

    /** Leaves at most a thread that the system does not answer, until it does. */
    override fun close() {
        pool.shutdownNow()
    }

    private fun names(uid: Int): List<String> {
        if (uid == Process.INVALID_UID) return emptyList()
        val system = uid % UIDS_PER_USER < Process.FIRST_APPLICATION_UID
        return packages.getPackagesForUid(uid).orEmpty().sorted() + "uid:$uid" + listOfNotNull("system".takeIf { system })
    }

    private companion object {
        const val THREADS = 4
        const val UIDS_PER_USER = 100_000
        const val DEADLINE_MILLIS = 200L // the engine waits for 250
    }
}
