package org.untold

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Test
import org.untold.internal.eventsFrom

class ReadingTest {
    @Test
    fun `words that this face has no name for are not lost`() {
        val finding = """{"kind":"imei","confidence":"exact","chain":["newest","json"],"spelling":"soundex","last4":null,"hash":"k1:0","at":"moon","offset":3}"""
        val ask = """{"event":"ask","time":1.5,"question":7,"flow":2,"proto":"tcp","dst":"203.0.113.9:80","app":null,"name":null,"findings":[$finding],"rule":"default.leak","timeout":30,"fallback":"block"}"""
        val event = eventsFrom("$ask\n{\"event\":\"weather\",\"time\":2}\n".toByteArray())
        val read = (event[0] as Event.Ask).findings.single()
        assertEquals(listOf(Wrapper.Other, Wrapper.Json), read.chain)
        assertEquals(Spelling.Other to Place.Other, read.spelling to read.at)
        assertEquals(null, read.last4)
        assertEquals(Event.Other("weather"), event[1])
    }

    @Test
    fun `lost events are counted apart from dropped packets`() {
        val events = eventsFrom("{\"event\":\"drop\",\"time\":1,\"reason\":\"unread\",\"count\":12}\n{\"event\":\"drop\",\"time\":1,\"reason\":\"malformed\",\"count\":1}".toByteArray())
        assertEquals(listOf(Event.Lost(12), Event.Other("drop")), events)
    }

    @Test
    fun `a flow tells which way it went and what it met there`() {
        fun flow(via: String, failure: String) =
            """{"event":"flow","time":1.5,"flow":2,"proto":"tcp","src":"10.0.0.2:41022","dst":"203.0.113.9:80","app":null,"name":null,"name_from":null,"opaque":null,"opaque_bytes":0,"bytes_out":0,"bytes_in":0,"verdict":"allow","rule":"rule.1","via":$via,"failure":$failure}"""
        val told = listOf("null" to "null", "\"tor\"" to "\"proxy_login\"", "\"tor\"" to "\"sunspots\"").map { (via, failure) -> flow(via, failure) }
        val read = eventsFrom(told.joinToString("\n").toByteArray()).map { it as Event.Flow }
        assertEquals(listOf(null to null, "tor" to Failure.ProxyLogin, "tor" to Failure.Other), read.map { it.via to it.failure })
    }

    @Test
    fun `a probe is told with the time that it took, or without one`() {
        val told = "{\"event\":\"health\",\"time\":2,\"healthy\":true,\"latency\":0.25}\n{\"event\":\"health\",\"time\":6,\"healthy\":false,\"latency\":null}"
        assertEquals(listOf(Event.Health(2.0, true, 0.25), Event.Health(6.0, false, null)), eventsFrom(told.toByteArray()))
    }

    @Test
    fun `a line that is no event is told without being quoted`() {
        val event = eventsFrom("{\"event\":\"ask\",\"secret\":\"490154203237518\"}".toByteArray()).single()
        assertFalse("$event".contains("4901"))
    }
}
