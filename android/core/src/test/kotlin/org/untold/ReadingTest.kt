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
    fun `a line that is no event is told without being quoted`() {
        val event = eventsFrom("{\"event\":\"ask\",\"secret\":\"490154203237518\"}".toByteArray()).single()
        assertFalse("$event".contains("4901"))
    }
}
