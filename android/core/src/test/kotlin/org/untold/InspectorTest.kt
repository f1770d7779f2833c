package org.untold

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.untold.testing.Registration

class InspectorTest {
    private val identity = Identity.Builder().add(Kind.IMEI, Registration.IMEI).build()
    private val post = HttpRequest("POST", "http://${Registration.HOST}/", listOf("Content-Type" to "application/encrypted-json"), Registration.body())

    @Test
    fun `the registration of 2019 is found through its wrappers and asked about`() {
        Inspector(Rules(identity)).use { inspector ->
            val inspection = inspector.inspect(post)
            assertEquals(Action.Ask, inspection.verdict)
            assertFalse(inspection.approved)
            val finding = inspection.findings.single { it.confidence == Confidence.Exact }
            assertEquals(listOf(Wrapper.Base64, Wrapper.Json), finding.chain)
            assertEquals(Kind.IMEI, finding.kind)
            assertEquals(Spelling.Plain, finding.spelling)
            assertEquals(Place.Body, finding.at)
            assertEquals("7518", finding.last4)
        }
    }

    @Test
    fun `the same bytes on a flow give the same verdict, and a rule blocks them`() {
        Inspector(Rules(identity, policy = "[default]\nleak = \"block\"\n")).use {
            val inspection = it.inspect(Proto.Tcp, "203.0.113.9:80", Registration.message())
            assertEquals(Action.Block to "default.leak", inspection.verdict to inspection.rule)
        }
    }

    @Test
    fun `an approved destination is allowed`() {
        val policy = "[[rule]]\nto = \"${Registration.HOST}\"\nsends = [\"*\"]\naction = \"allow\"\n"
        Inspector(Rules(identity, policy)).use { assertEquals(Action.Allow to true, it.inspect(post).run { verdict to approved }) }
    }

    @Test
    fun `passwords in files of their own are read as the lists are`() {
        val policy = """
            [[list]]
            name = "ads"
            source = "ads.txt"
            format = "domains"
            action = "block"
            [[proxy]]
            name = "office"
            type = "http"
            address = "192.0.2.1:3128"
            user = "ada"
            password_file = "office.pass"
        """.trimIndent()
        val list = "tracker.example\n".toByteArray()
        Inspector(Rules(policy = policy, lists = listOf(list), passwords = listOf("hunter2\n"))).close()
        val problem = assertThrows(ConfigException::class.java) { Inspector(Rules(policy = policy, lists = listOf(list))) }
        assertEquals("policy.toml" to 11, problem.file to problem.line)
    }

    @Test
    fun `a policy that cannot be used says where`() {
        val problem = assertThrows(ConfigException::class.java) { Inspector(Rules(policy = "[default]\nleek = \"ask\"\n")) }
        assertEquals(2, problem.line)
        assertTrue(problem.column > 0)
        assertTrue(problem.reason.contains("leek"))
    }

    @Test
    fun `a value that cannot be an identifier is refused and not quoted`() {
        val wrong = "490154203237519"
        val problem = assertThrows(ConfigException::class.java) { Inspector(Rules(Identity.Builder().add(Kind.IMEI, wrong).build())) }
        assertFalse("$problem".contains(wrong))
    }

    @Test
    fun `a closed inspector is not used`() {
        val inspector = Inspector(Rules())
        inspector.close()
        inspector.close()
        assertThrows(IllegalStateException::class.java) { inspector.inspect(post) }
    }
}
