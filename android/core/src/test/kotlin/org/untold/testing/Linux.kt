package org.untold.testing

import com.sun.jna.Library
import com.sun.jna.Memory
import com.sun.jna.Native
import java.io.File
import java.io.IOException
import java.net.InetAddress
import java.util.concurrent.TimeUnit
import org.junit.Assume.assumeTrue

/** The few system calls that the tests need. */
object Linux {
    private interface C : Library {
        fun open(path: String, flags: Int): Int
        fun close(fd: Int): Int
        fun ioctl(fd: Int, request: Long, argument: Memory): Int
        fun socket(family: Int, type: Int, protocol: Int): Int
        fun connect(fd: Int, address: ByteArray, length: Int): Int
        fun pipe(ends: IntArray): Int
        fun write(fd: Int, bytes: ByteArray, count: Long): Long
        fun setsockopt(fd: Int, level: Int, name: Int, value: IntArray, length: Int): Int
    }

    private val c: C = Native.load("c", C::class.java)

    /** Skips the test where the JVM is in the machine's own network, or cannot make a tun device. */
    fun assumeNamespace() {
        assumeTrue("needs a network namespace and /dev/net/tun", System.getenv("UNTOLD_NAMESPACE") == "1" && File("/dev/net/tun").canWrite())
    }

    /** Makes a tun device. */
    fun openTun(name: String): Int {
        val fd = c.open("/dev/net/tun", O_RDWR or O_NONBLOCK)
        check(fd >= 0) { "/dev/net/tun: errno ${Native.getLastError()}" }
        val request = Memory(IFREQ).apply {
            clear()
            setString(0, name)
            setShort(IFNAMSIZ, IFF_TUN_NO_PI)
        }
        check(c.ioctl(fd, TUNSETIFF, request) == 0) { "TUNSETIFF: errno ${Native.getLastError()}" }
        return fd
    }

    /** Has a tun device that stays when it is closed, which spares the kernel's 20 ms of making and unmaking one. */
    fun <T> withKeptTun(name: String, body: () -> T): T {
        run("ip", "tuntap", "add", "dev", name, "mode", "tun")
        try {
            return body()
        } finally {
            run("ip", "tuntap", "del", "dev", name, "mode", "tun")
        }
    }

    /** Makes a pipe that holds some bytes: its two ends, the reading one first. */
    fun fullPipe(bytes: Int): Pair<Int, Int> {
        val ends = IntArray(2)
        check(c.pipe(ends) == 0) { "pipe: errno ${Native.getLastError()}" }
        check(c.write(ends[1], ByteArray(bytes), bytes.toLong()) == bytes.toLong()) { "write: errno ${Native.getLastError()}" }
        return ends[0] to ends[1]
    }

    /** How many bytes wait in a pipe. */
    fun waiting(pipe: Int): Int {
        val count = Memory(Int.SIZE_BYTES.toLong())
        check(c.ioctl(pipe, FIONREAD, count) == 0) { "FIONREAD: errno ${Native.getLastError()}" }
        return count.getInt(0)
    }

    /** Closes a descriptor. */
    fun close(fd: Int) = check(c.close(fd) == 0) { "close: errno ${Native.getLastError()}" }

    /** Makes a socket for TCP over IPv4. */
    fun socket(): Int = c.socket(AF_INET, SOCK_STREAM, 0).also { check(it >= 0) { "socket: errno ${Native.getLastError()}" } }

    /** Connects it, and waits for that; whether it succeeded. */
    fun connect(socket: Int, host: String, port: Int): Boolean {
        val address = byteArrayOf(AF_INET.toByte(), 0, (port shr 8).toByte(), port.toByte()) +
            InetAddress.getByName(host).address + ByteArray(8)
        return c.connect(socket, address, address.size) == 0
    }

    /** Sets a socket's mark. */
    fun mark(socket: Int, mark: Int): Boolean = c.setsockopt(socket, SOL_SOCKET, SO_MARK, intArrayOf(mark), Int.SIZE_BYTES) == 0

    /** How many descriptors this process has. */
    fun descriptors(): Int = File("/proc/self/fd").list().orEmpty().size

    /** How many threads this process has with names that begin so. */
    fun threads(prefix: String): Int = File("/proc/self/task").listFiles().orEmpty().count { nameOf(it).startsWith(prefix) }

    private fun nameOf(thread: File): String = try {
        File(thread, "comm").readText()
    } catch (ended: IOException) {
        "" // between the list and the look
    }

    /** Waits until something holds, which other threads and processes bring about. */
    fun await(what: String, holds: () -> Boolean) {
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS)
        while (!holds()) {
            check(System.nanoTime() < end) { "still not: $what" }
            Thread.sleep(5)
        }
    }

    /** Runs a command to its end and returns what it said. */
    fun run(vararg command: String): String {
        val process = ProcessBuilder(*command).redirectErrorStream(true).start()
        val said = process.inputStream.bufferedReader().readText()
        check(process.waitFor(SECONDS, TimeUnit.SECONDS)) { "${command.joinToString(" ")} does not end" }
        check(process.exitValue() == 0) { "${command.joinToString(" ")}: $said" }
        return said
    }

    private const val AF_INET = 2
    private const val SOCK_STREAM = 1
    private const val O_RDWR = 2
    private const val O_NONBLOCK = 0x800
    private const val IFREQ = 40L
    private const val IFNAMSIZ = 16L
    private const val IFF_TUN_NO_PI: Short = 0x1001
    private const val TUNSETIFF = 0x400454caL
    private const val FIONREAD = 0x541bL
    private const val SOL_SOCKET = 1
    private const val SO_MARK = 36
    private const val SECONDS = 20L
}
