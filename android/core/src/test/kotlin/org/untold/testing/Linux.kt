package org.untold.testing

import com.sun.jna.Library
import com.sun.jna.Memory
import com.sun.jna.Native
import java.io.File
import java.util.concurrent.TimeUnit
import org.junit.Assume.assumeTrue

/** The few system calls that the tests need. */
object Linux {
    private interface C : Library {
        fun open(path: String, flags: Int): Int
        fun close(fd: Int): Int
        fun ioctl(fd: Int, request: Long, argument: Memory): Int
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

    /** Closes a descriptor. */
    fun close(fd: Int) = check(c.close(fd) == 0) { "close: errno ${Native.getLastError()}" }

    /** Sets a socket's mark. */
    fun mark(socket: Int, mark: Int): Boolean = c.setsockopt(socket, SOL_SOCKET, SO_MARK, intArrayOf(mark), Int.SIZE_BYTES) == 0

    /** How many descriptors this process has. */
    fun descriptors(): Int = File("/proc/self/fd").list().orEmpty().size

    /** How many threads this process has with names that begin so. */
    fun threads(prefix: String): Int =
        File("/proc/self/task").listFiles().orEmpty().count { File(it, "comm").takeIf(File::exists)?.readText()?.startsWith(prefix) == true }

    /** Runs a command to its end and returns what it said. */
    fun run(vararg command: String): String {
        val process = ProcessBuilder(*command).redirectErrorStream(true).start()
        val said = process.inputStream.bufferedReader().readText()
        check(process.waitFor(SECONDS, TimeUnit.SECONDS)) { "${command.joinToString(" ")} does not end" }
        check(process.exitValue() == 0) { "${command.joinToString(" ")}: $said" }
        return said
    }

    private const val O_RDWR = 2
    private const val O_NONBLOCK = 0x800
    private const val IFREQ = 40L
    private const val IFNAMSIZ = 16L
    private const val IFF_TUN_NO_PI: Short = 0x1001
    private const val TUNSETIFF = 0x400454caL
    private const val SOL_SOCKET = 1
    private const val SO_MARK = 36
    private const val SECONDS = 20L
}
