package org.untold.testing

import java.util.concurrent.TimeUnit

/** A network namespace that has nothing but a tun device: what apps of a phone see. Its clients are programs of their own. */
class Phone(private val device: String) : AutoCloseable {
    private val holder = ProcessBuilder("unshare", "--net", "sleep", "600").start()
    private val inside = arrayOf("nsenter", "--net=/proc/${holder.pid()}/ns/net")

    init {
        // The namespace is there once it differs from ours.
        val ours = Linux.run("readlink", "/proc/self/ns/net")
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10)
        while (Linux.run("readlink", "/proc/${holder.pid()}/ns/net") == ours) {
            check(System.nanoTime() < end) { "no namespace" }
            Thread.sleep(5)
        }
    }

    /** Moves the tun device in and routes everything to it. */
    fun attach(address: String) {
        Linux.run("ip", "link", "set", device, "netns", holder.pid().toString())
        Linux.run(*inside, "ip", "link", "set", "lo", "up")
        Linux.run(*inside, "ip", "address", "add", "$address/30", "dev", device)
        Linux.run(*inside, "ip", "link", "set", device, "up")
        Linux.run(*inside, "ip", "route", "add", "default", "dev", device)
    }

    /** Starts a program that sends bytes over TCP, and prints what it got until the end or a reset. */
    fun post(host: String, port: Int, bytes: ByteArray): Process = python(
        "s=socket.create_connection(('$host',$port),20)\n" +
            "s.sendall(bytes.fromhex(sys.argv[1]))\n" +
            "s.settimeout(40)\n" +
            "try:\n  print(s.recv(65536).decode())\nexcept OSError as e:\n  print('ended:',type(e).__name__)\n",
        bytes,
    )

    /** Starts a program that sends bytes over TCP and, when a line comes to its standard input, goes away with a reset. */
    fun postAndLeave(host: String, port: Int, bytes: ByteArray): Process = python(
        "s=socket.create_connection(('$host',$port),20)\n" +
            "s.sendall(bytes.fromhex(sys.argv[1]))\n" +
            "sys.stdin.readline()\n" +
            "s.setsockopt(socket.SOL_SOCKET,socket.SO_LINGER,struct.pack('ii',1,0))\n" +
            "s.close()\n",
        bytes,
    )

    private fun python(script: String, bytes: ByteArray): Process {
        val hex = bytes.joinToString("") { "%02x".format(it) }
        return ProcessBuilder(*inside, "python3", "-c", "import socket,struct,sys\n$script", hex).redirectErrorStream(true).start()
    }

    override fun close() {
        holder.destroyForcibly().waitFor()
    }
}
