package org.untold.testing

import java.io.ByteArrayOutputStream
import java.io.IOException
import java.net.InetAddress
import java.net.ServerSocket
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread

/** A server on an address of its own, outside the phone, that keeps what it gets and answers as the one of 2019 did. */
class Collector(val host: String, port: Int = 80) : AutoCloseable {
    private val got = ByteArrayOutputStream()
    private val count = AtomicInteger()
    private val gone = AtomicInteger()
    private val server: ServerSocket

    init {
        Linux.run("ip", "address", "replace", "$host/32", "dev", "lo")
        server = ServerSocket(port, 50, InetAddress.getByName(host))
        thread(isDaemon = true, name = "collector") {
            try {
                while (true) {
                    val socket = server.accept()
                    count.incrementAndGet()
                    thread(isDaemon = true, name = "collecting") { serve(socket) }
                }
            } catch (closed: IOException) {
                return@thread
            }
        }
    }

    /** Bytes that arrived, over all connections. */
    val bytes: ByteArray get() = synchronized(got) { got.toByteArray() }

    /** Connections that were made. */
    val connections: Int get() = count.get()

    /** Connections that ended since. */
    val ended: Int get() = gone.get()

    private fun serve(socket: java.net.Socket) = socket.use {
        val buffer = ByteArray(4096)
        try {
            while (true) {
                val n = it.getInputStream().read(buffer)
                if (n < 0) return@use
                val whole = synchronized(got) {
                    got.write(buffer, 0, n)
                    got.toByteArray().contentEquals(Registration.message())
                }
                if (whole) it.getOutputStream().write(Registration.REPLY.toByteArray())
            }
        } catch (reset: IOException) {
            return@use
        } finally {
            gone.incrementAndGet()
        }
    }

    override fun close() = server.close()
}
