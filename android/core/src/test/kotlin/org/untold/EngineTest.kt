package org.untold

import java.net.InetSocketAddress
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.Assert.assertArrayEquals
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

class EngineTest {
    private val host = object : Engine.Host {
        override fun protect(socket: Int) = true

        override fun ownersOf(proto: Proto, source: InetSocketAddress, destination: InetSocketAddress) = listOf("com.vendor.register", "uid:1000", "system")
    }
    private val rules = Rules(Identity.Builder().add(Kind.IMEI, Registration.IMEI).build())

    @Before
    fun namespace() = Linux.assumeNamespace()

    private fun start(name: String, rules: Rules = this.rules) =
        NativeEngine.start(Linux.openTun(name), EngineOptions(dns = listOf("10.215.173.2")), rules, host)

    private fun asked(name: String, allow: Boolean, scope: Scope, check: (Collector, String, List<Event>) -> Unit) {
        Collector("198.51.100.7").use { collector ->
            start(name).use { engine ->
                val events = LinkedBlockingQueue<Event>()
                engine.addListener(Runnable::run, events::add)
                Phone(name).use { phone ->
                    phone.attach("10.215.173.1")
                    val client = phone.post(collector.host, 80, Registration.message())
                    val ask = runBlocking { withTimeout(20_000) { engine.questions.first { it.isNotEmpty() }.single() } }
                    assertEquals("com.vendor.register" to Registration.HOST, ask.app to ask.name)
                    assertEquals(setOf(Kind.IMEI), ask.findings.map { it.kind }.toSet())
                    assertEquals(0, collector.bytes.size)
                    runBlocking { engine.answer(ask.question, allow, scope) }
                    val said = client.inputStream.bufferedReader().readText()
                    assertTrue(client.waitFor(20, TimeUnit.SECONDS))
                    runBlocking { withTimeout(5_000) { engine.questions.first { it.isEmpty() } } }
                    check(collector, said, events.toList())
                }
            }
        }
    }

    @Test
    fun `Block lets not one byte of the registration through`() = asked("block0", allow = false, Scope.Once) { collector, said, events ->
        assertEquals(0, collector.bytes.size)
        assertTrue(said, said.contains("ConnectionResetError"))
        assertEquals(Action.Block to AnsweredBy.Person, events.filterIsInstance<Event.Answer>().single().run { verdict to by })
    }

    @Test
    fun `Allow once lets all of it through, unaltered`() = asked("allow0", allow = true, Scope.Once) { collector, said, _ ->
        assertArrayEquals(Registration.message(), collector.bytes)
        assertTrue(said, said.contains("200 OK"))
    }

    @Test
    fun `rules that cannot be used leave the tun descriptor closed and no thread behind`() {
        val before = Linux.descriptors()
        repeat(50) { assertThrows(ConfigException::class.java) { start("bad0", Rules(policy = "nonsense")) } }
        assertTrue(Linux.descriptors() - before < FEW)
    }

    @Test
    fun `starting and stopping a thousand times leaks no descriptor and no thread`() {
        start("warm0").close()
        val (descriptors, threads) = Linux.descriptors() to Linux.threads("untold")
        repeat(1000) { start("many0").close() }
        assertEquals(threads, Linux.threads("untold"))
        assertTrue(Linux.descriptors() - descriptors < FEW)
    }

    @Test
    fun `a closed engine says so and is not used`() {
        val engine = start("once0")
        engine.close()
        assertEquals(EngineStatus.Closed, engine.status.value)
        assertThrows(IllegalStateException::class.java) { runBlocking { engine.setRules(rules) } }
        engine.close()
    }

    private companion object {
        /** What the JVM itself may open meanwhile. */
        const val FEW = 10
    }
}
