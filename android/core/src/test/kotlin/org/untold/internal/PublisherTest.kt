package org.untold.internal

import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.untold.Action
import org.untold.AnsweredBy
import org.untold.Event
import org.untold.Proto
import org.untold.Scope

class PublisherTest {
    private val publisher = Publisher()

    private fun flow(number: Int) =
        Event.Flow(0.0, number.toLong(), Proto.Udp, "10.0.0.2:1", "192.0.2.1:9", null, null, null, 0, 0, Action.Allow, "default.connection", null, null)

    private fun ask(number: Long) =
        Event.Ask(0.0, number, number, Proto.Tcp, "192.0.2.1:80", null, null, emptyList(), "default.leak", 30.0, Action.Block)

    private fun all(): List<Event> = runBlocking { withTimeout(10_000) { publisher.events.toList() } }

    @Test
    fun `what happens before anybody collects is told to the first who does`() {
        publisher.publish(flow(1))
        publisher.publish(flow(2))
        assertEquals(listOf(flow(1)), runBlocking { publisher.events.take(1).toList() })
        publisher.publish(flow(3))
        publisher.end()
        assertEquals("the second collects from its own start on", emptyList<Event>(), all())
    }

    @Test
    fun `whoever is slow loses the oldest flows, learns how many, and keeps what was asked`() {
        publisher.publish(ask(7))
        repeat(MOST + 9) { publisher.publish(flow(it)) }
        publisher.publish(Event.Answer(0.0, 7, Action.Block, Scope.Once, AnsweredBy.Person))
        publisher.end()
        val told = all()
        assertEquals(Event.Lost(11), told[0])
        assertEquals(ask(7), told[1])
        assertEquals(flow(11), told[2])
        assertTrue(told.last() is Event.Answer)
        assertEquals(1 + MOST, told.size)
    }

    @Test
    fun `what the engine itself had lost is added to what a collector lost`() {
        repeat(MOST + 1) { publisher.publish(flow(it)) }
        publisher.publish(Event.Lost(30))
        publisher.end()
        assertEquals(Event.Lost(31), all().first())
    }

    @Test
    fun `a mailbox of nothing but questions stays bounded`() {
        repeat(3 * MOST) { publisher.publish(ask(it.toLong())) }
        publisher.end()
        assertEquals(listOf(Event.Lost(2L * MOST), ask(2L * MOST)), all().take(2))
    }

    @Test
    fun `two who collect at a time get the same in the same order`() {
        val pool = Executors.newFixedThreadPool(2)
        val collecting = List(2) { pool.submit<List<Event>> { all() } }
        val sent = (0 until 500).map(::flow)
        sent.forEach {
            publisher.publish(it)
            Thread.sleep(0, 10_000)
        }
        publisher.end()
        // One may have begun after the other, which got what came before.
        val got = collecting.map { it.get(10, TimeUnit.SECONDS) }
        pool.shutdown()
        assertEquals(sent, got.maxBy { it.size })
        assertEquals(sent.takeLast(got.minOf { it.size }), got.minBy { it.size })
    }

    private companion object {
        const val MOST = 1024
    }
}
