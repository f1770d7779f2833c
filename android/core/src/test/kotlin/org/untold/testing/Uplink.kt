package org.untold.testing

import java.io.File
import java.util.concurrent.ConcurrentLinkedQueue
import kotlin.concurrent.thread

/**
 * The network beneath a tunnel, as on a phone: sockets with [mark] go out by it, and everything else takes the tun device,
 * once [attach] has made that the way to anywhere. At its other end is one machine, in a namespace of its own. It has no IPv6.
 */
class Uplink(mark: Int) : AutoCloseable {
    private val holder = ProcessBuilder("unshare", "--net", "sleep", "600").start()
    private val there = arrayOf("nsenter", "--net=/proc/${holder.pid()}/ns/net")
    private val peers = ConcurrentLinkedQueue<String>()
    private val server: Process
    private val rule = arrayOf("fwmark", "$mark", "lookup", "100")

    init {
        val ours = Linux.run("readlink", "/proc/self/ns/net")
        Linux.await("a namespace") { Linux.run("readlink", "/proc/${holder.pid()}/ns/net") != ours }
        Linux.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", "${holder.pid()}")
        Linux.run(*there, "ip", "address", "add", "$REMOTE/24", "dev", "down0")
        Linux.run(*there, "ip", "link", "set", "down0", "up")
        Linux.run("ip", "address", "add", "$HERE/32", "dev", "up0")
        Linux.run("ip", "link", "set", "up0", "up")
        Linux.run("ip", "route", "add", "default", "via", REMOTE, "dev", "up0", "onlink", "table", "100")
        Linux.run("ip", "rule", "add", *rule)
        Linux.run("ip", "-6", "route", "add", "unreachable", "default", "table", "100")
        Linux.run("ip", "-6", "rule", "add", *rule)
        // What comes back by the uplink would not go out by it unmarked.
        for (of in listOf("all", "up0")) File("/proc/sys/net/ipv4/conf/$of/rp_filter").writeText("0")
        val script = "import socket\n" +
            "s=socket.create_server(('$REMOTE',$PORT))\n" +
            "print('ready',flush=True)\n" +
            "while True:\n  c,a=s.accept()\n  print(a[0],flush=True)\n"
        server = ProcessBuilder(*there, "python3", "-c", script).redirectErrorStream(true).start()
        val said = server.inputStream.bufferedReader()
        check(said.readLine() == "ready") { said.readText() }
        thread(isDaemon = true, name = "uplink") { said.forEachLine(peers::add) }
    }

    /** Addresses that connections to the remote machine came from. */
    val connections: List<String> get() = peers.toList()

    /** Gives an established tun device its addresses, and makes it the way to anywhere, for both families. */
    fun attach(device: String, address4: String, address6: String) {
        Linux.run("ip", "address", "add", "$address4/30", "dev", device)
        Linux.run("ip", "-6", "address", "add", "$address6/126", "dev", device, "nodad")
        Linux.run("ip", "link", "set", device, "up")
        Linux.run("ip", "route", "add", "default", "dev", device)
        Linux.run("ip", "-6", "route", "add", "default", "dev", device)
    }

    override fun close() {
        Linux.run("ip", "rule", "del", *rule)
        Linux.run("ip", "-6", "rule", "del", *rule)
        Linux.run("ip", "-6", "route", "del", "unreachable", "default", "table", "100")
        Linux.run("ip", "link", "del", "up0")
        server.destroyForcibly().waitFor()
        holder.destroyForcibly().waitFor()
    }

    companion object {
        /** The machine at the other end. */
        const val REMOTE = "203.0.113.1"

        /** Where it listens. */
        const val PORT = 80

        /** The phone's own address on it. */
        const val HERE = "203.0.113.2"
    }
}
