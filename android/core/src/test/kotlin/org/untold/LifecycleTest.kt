package org.untold

import java.io.IOException
import java.net.DatagramPacket
import java.net.DatagramSocket
import java.net.InetAddress
import java.net.InetSocketAddress
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.untold.internal.NativeEngine
import org.untold.testing.Collector
import org.untold.testing.Linux
import org.untold.testing.Phone
import org.untold.testing.Registration
import org.untold.testing.Victim

class LifecycleTest {
    private val host = object : Engine.Host {
        override fun protect(socket: Int) = Linux.mark(socket, MARK)

        override fun ownersOf(proto: Proto, source: InetSocketAddress, destination: InetSocketAddress) = emptyList<String>()
    }

    @Before
    fun namespace() = Linux.assumeNamespace()

    private fun start(tun: Int, rules: Rules = Rules()) = NativeEngine.start(tun, EngineOptions(), rules, host)

    /** The kernel lists a thread for a moment after it was joined. */
    private fun assertNothingLeft(descriptors: Int) {
        Linux.await("no thread of the engine's is left") { Linux.threads("untold") == 0 }
        assertTrue("${Linux.descriptors()} descriptors, before $descriptors", Linux.descriptors() - descriptors < FEW)
    }

    @Test
    fun `rules that cannot be used leave the tun descriptor closed and no thread behind`() {
        val before = Linux.descriptors()
        repeat(50) { assertThrows(ConfigException::class.java) { start(Linux.openTun("bad0"), Rules(policy = "nonsense")) } }
        assertNothingLeft(before)
    }

    @Test
    fun `starting and stopping a thousand times leaks no descriptor and no thread`() = Linux.withKeptTun("many0") {
        start(Linux.openTun("many0")).close()
        val before = Linux.descriptors()
        repeat(1000) { start(Linux.openTun("many0")).close() }
        assertNothingLeft(before)
    }

    /** anchors R2: of a thousand engines, with packets on the way, none reads what its tun's number became. */
    @Test
    fun `r2 a descriptor number that is used again is not read by the engine that had it before`() = Linux.withKeptTun("keep0") {
        Linux.run("ip", "address", "add", "10.215.173.1/30", "dev", "keep0")
        Linux.run("ip", "link", "set", "keep0", "up")
        Linux.run("ip", "route", "add", "198.51.100.0/24", "dev", "keep0")
        Linux.run("ip", "rule", "add", "fwmark", "$MARK", "blackhole")
        val stop = CountDownLatch(1)
        val sender = thread(name = "sender") { sendUntil(stop) }
        val flows = AtomicInteger()
        var used = 0
        try {
            repeat(1000) {
                val tun = Linux.openTun("keep0")
                val engine = start(tun)
                engine.addListener(Runnable::run) { if (it is Event.Flow) flows.incrementAndGet() }
                Thread.sleep(1)
                engine.close()
                val (read, write) = Linux.fullPipe(BYTES)
                if (read == tun) used += 1
                Thread.sleep(1)
                assertEquals(BYTES, Linux.waiting(read))
                Linux.close(read)
                Linux.close(write)
            }
        } finally {
            stop.countDown()
            sender.join()
            Linux.run("ip", "rule", "del", "fwmark", "$MARK")
        }
        assertTrue("the number was used again only $used times", used > 500)
        assertTrue("only $flows flows", flows.get() > 500)
    }

    private fun sendUntil(stop: CountDownLatch) = DatagramSocket().use { socket ->
        val packet = DatagramPacket(ByteArray(100), 100, InetAddress.getByName("198.51.100.99"), 9)
        while (!stop.await(100, TimeUnit.MICROSECONDS)) {
            try {
                socket.send(packet)
            } catch (away: IOException) {
                continue // no tun at this moment, or one that is going
            }
        }
    }

    @Test
    fun `killed in the middle of a question, it has sent nothing`() {
        Collector("198.51.100.12").use { collector ->
            Victim("dies0").use { victim ->
                victim.awaitWord(Victim.RUNNING)
                Phone("dies0").use { phone ->
                    phone.attach("10.215.173.1")
                    val client = phone.post(collector.host, 80, Registration.message())
                    victim.awaitWord(Victim.ASKED)
                    assertEquals(1, collector.connections)
                    victim.close()
                    Linux.await("the kernel closes its connection") { collector.ended == 1 }
                    assertEquals(0, collector.bytes.size)
                    client.destroyForcibly().waitFor()
                }
            }
        }
    }

    @Test
    fun `a closed engine says so and is not used`() {
        val engine = start(Linux.openTun("once0"))
        engine.close()
        assertEquals(EngineStatus.Closed, engine.status.value)
        assertThrows(IllegalStateException::class.java) { runBlocking { engine.setRules(Rules()) } }
        engine.close()
    }

    @Test
    fun `answers from a listener do not hold up the end of the engine, and it cannot be closed from one`() {
        Collector("198.51.100.13").use { collector ->
            val rules = Rules(Identity.Builder().add(Kind.IMEI, Registration.IMEI).build())
            val engine = start(Linux.openTun("busy0"), rules)
            val (told, closing) = CountDownLatch(1) to CountDownLatch(1)
            val wrong = AtomicInteger()
            engine.addListener(Runnable::run) { event ->
                if (event is Event.Ask) {
                    if (runCatching(engine::close).isSuccess) wrong.incrementAndGet()
                    told.countDown()
                    closing.await(20, TimeUnit.SECONDS)
                    Thread.sleep(50) // by now close() waits for this very thread
                    runCatching { runBlocking { engine.answer(event.question, false, Scope.Once) } }
                }
            }
            Phone("busy0").use { phone ->
                phone.attach("10.215.173.1")
                val client = phone.post(collector.host, 80, Registration.message())
                assertTrue(told.await(20, TimeUnit.SECONDS))
                val close = thread {
                    closing.countDown()
                    engine.close()
                }
                close.join(TimeUnit.SECONDS.toMillis(20))
                assertTrue("close() does not return", !close.isAlive)
                assertEquals(0, wrong.get())
                client.destroyForcibly().waitFor()
            }
        }
    }

    private companion object {
        /** What the JVM itself may open meanwhile. */
        const val FEW = 10
        const val MARK = 7
        const val BYTES = 64
    }
}
