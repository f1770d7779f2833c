package org.untold

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Test

class IdentityTest {
    @Test
    fun `is written as the file that the desktop reads`() {
        val identity = Identity.Builder().add(Kind.IMEI, "490154203237518").add(Kind.IMEI, "356938035643809")
            .add(Kind.custom("door"), "a\"b\\c").build()
        assertEquals(
            "imei = [\"490154203237518\", \"356938035643809\"]\n[custom]\n\"door\" = [\"a\\\"b\\\\c\"]\n",
            identity.toToml(),
        )
        Inspector(Rules(identity)).close() // the engine takes it
    }

    @Test
    fun `is never printed in clear`() {
        val identity = Identity.Builder().add(Kind.IMEI, "490154203237518").location(59.9, 10.7).build()
        val printed = "$identity ${Rules(identity)} ${HashKey.random()}"
        assertFalse(printed, printed.contains("4901") || printed.contains("59.9"))
    }

    @Test
    fun `changes by a builder leave the old one as it was`() {
        val one = Identity.Builder().add(Kind.PHONE, "+4712345678").build()
        val none = one.toBuilder().remove(Kind.PHONE, "+4712345678").build()
        assertEquals(Identity.EMPTY, none)
        assertEquals(setOf(Kind.PHONE), one.kinds)
    }

    @Test
    fun `typing is checked as the engine checks`() {
        for ((kind, value, problem) in listOf(
            Triple(Kind.IMEI, "490154203237518", null),
            Triple(Kind.IMEI, "490154203237519", ValueProblem.CheckDigit),
            Triple(Kind.IMEI, "4901", ValueProblem.Length),
            Triple(Kind.IMEI, "49015420323751x", ValueProblem.Characters),
            Triple(Kind.ICCID, "89860319020123456787", null),
            Triple(Kind.ICCID, "89860319020123456788", ValueProblem.CheckDigit),
            Triple(Kind.WIFI_MAC, "02:00:5e:10:00:07", null),
            Triple(Kind.WIFI_MAC, "02:00:5e:10:00", ValueProblem.Length),
            Triple(Kind.EMAIL, "someone@mail.example", null),
            Triple(Kind.EMAIL, "someone", ValueProblem.Characters),
            Triple(Kind.PHONE, "+47 123 45 678", null),
            Triple(Kind.PHONE, "1234", ValueProblem.Length),
        )) {
            assertEquals("$kind $value", problem, problemOf(kind, value))
            if (problem == null) Inspector(Rules(Identity.Builder().add(kind, value).build())).close()
        }
        assertNull(problemOf(Kind.SERIAL, "EX4MPLE"))
    }
}
