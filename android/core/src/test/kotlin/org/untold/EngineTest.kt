package org.untold

import java.net.InetSocketAddress
import java.util.concurrent.BlockingQueue
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
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
                    val ask = engine.question()
                    assertEquals("com.vendor.register" to Registration.HOST, ask.app to ask.name)
                    val registered = ask.findings.filter { it.confidence == Confidence.Exact }
                    assertEquals(setOf(Kind.IMEI), registered.map { it.kind }.toSet())
                    assertTrue("the rest is known by its shape", ask.findings.any { it.kind == Kind.ICCID && it.confidence == Confidence.Shape })
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
    fun `Allow once waits for the next flow of an app that went away meanwhile, and counts once`() {
        Collector("198.51.100.8").use { collector ->
            start("gone0").use { engine ->
                Phone("gone0").use { phone ->
                    phone.attach("10.215.173.1")
                    val client = phone.postAndLeave(collector.host, 80, Registration.message())
                    val ask = engine.question()
                    client.outputStream.use { it.write('\n'.code) }
                    assertEquals(0, client.waitFor())
                    Linux.await("the app's end reaches the collector") { collector.ended == 1 }
                    runBlocking { engine.answer(ask.question, true, Scope.Once) }
                    assertEquals("nobody waits for it any more", 0, collector.bytes.size)

                    val next = phone.post(collector.host, 80, Registration.message()).inputStream.bufferedReader().readText()
                    assertTrue(next, next.contains("200 OK"))
                    assertArrayEquals(Registration.message(), collector.bytes)

                    val third = phone.post(collector.host, 80, Registration.message())
                    runBlocking { engine.answer(engine.question().question, false, Scope.Once) }
                    val said = third.inputStream.bufferedReader().readText()
                    assertTrue(said, said.contains("ConnectionResetError"))
                    assertArrayEquals("it counted once", Registration.message(), collector.bytes)
                }
            }
        }
    }

    @Test
    fun `what happened before the first listener came is told to it`() {
        Collector("198.51.100.9", 8080).use { collector ->
            start("late0").use { engine ->
                val ask = Phone("late0").use { phone ->
                    phone.attach("10.215.173.1")
                    val client = phone.post(collector.host, 8080, Registration.message())
                    engine.question().also {
                        runBlocking { engine.answer(it.question, false, Scope.Once) }
                        client.waitFor()
                    }
                }
                val events = LinkedBlockingQueue<Event>()
                engine.addListener(Runnable::run, events::add)
                val told = events.upTo { it is Event.Found }
                assertEquals(ask, told.first())
                assertTrue("$told", told.any { it is Event.Answer } && told.last() is Event.Found)
            }
        }
    }

    @Test
    fun `a listener gets the last events after the engine was closed, and then no more`() {
        val engine = start("last0")
        val executor = Executors.newSingleThreadExecutor()
        val events = LinkedBlockingQueue<Event>()
        Phone("last0").use { phone ->
            phone.attach("10.215.173.1")
            val client = phone.post("198.51.100.10", 80, Registration.message())
            executor.submit { Thread.sleep(500) } // the listener comes to nothing before the end
            engine.addListener(executor, events::add)
            client.waitFor()
        }
        engine.close()
        val told = events.upTo { it is Event.Flow }
        assertTrue("$told", told.last() is Event.Flow)
        runBlocking { withTimeout(5_000) { engine.events.collect {} } } // ends, as there is nothing to come
        executor.shutdown()
    }

    @Test
    fun `rules that are refused disturb nobody who listens or answers`() {
        start("calm0").use { engine ->
            val events = LinkedBlockingQueue<Event>()
            engine.addListener(Runnable::run, events::add)
            val refused = assertThrows(ExecutionException::class.java) { engine.setRulesAsync(Rules(policy = "nonsense")).get(20, TimeUnit.SECONDS) }
            assertTrue("${refused.cause}", refused.cause is ConfigException)
            engine.setRulesAsync(rules).get(20, TimeUnit.SECONDS)
            Phone("calm0").use { phone ->
                phone.attach("10.215.173.1")
                phone.post("198.51.100.11", 80, Registration.message()).waitFor()
            }
            assertNotNull(events.poll(20, TimeUnit.SECONDS))
        }
    }

    private fun Engine.question(): Event.Ask = runBlocking { withTimeout(20_000) { questions.first { it.isNotEmpty() }.single() } }

    /** What is told, up to and with the first event that is [last]. */
    private fun BlockingQueue<Event>.upTo(last: (Event) -> Boolean): List<Event> {
        val told = mutableListOf<Event>()
        do told += poll(20, TimeUnit.SECONDS) ?: break while (!last(told.last()))
        return told
    }
}
