package org.untold.app

import java.security.GeneralSecurityException
import java.security.Security
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.untold.app.data.KeystoreVault

@RunWith(RobolectricTestRunner::class)
class VaultTest {
    private val vault = KeystoreVault()
    private val clear = "imei 490154203237518".toByteArray()
    private val provider = FakeKeystore()

    @Before
    fun insert() {
        FakeKeystore.keys.clear()
        FakeKeystore.refuses = false
        Security.addProvider(provider)
    }

    @After
    fun remove() = Security.removeProvider(provider.name)

    @Test
    fun `what is sealed opens again, and never looks the same`() {
        val sealed = vault.seal(clear)
        assertArrayEquals(clear, KeystoreVault().open(sealed))
        assertFalse(sealed.decodeToString().contains("490154"))
        assertFalse(sealed.contentEquals(vault.seal(clear)))
        assertArrayEquals(ByteArray(0), vault.open(vault.seal(ByteArray(0))))
    }

    @Test
    fun `what was changed, cut or sealed elsewhere does not open`() {
        val sealed = vault.seal(clear)
        for (at in sealed.indices) {
            val changed = sealed.clone().also { it[at] = (it[at] + 1).toByte() }
            assertThrows("byte $at", GeneralSecurityException::class.java) { vault.open(changed) }
            assertThrows("cut at $at", GeneralSecurityException::class.java) { vault.open(sealed.copyOf(at)) }
        }
        FakeKeystore.keys.clear()
        vault.seal(clear) // under a new key
        assertThrows(GeneralSecurityException::class.java) { vault.open(sealed) }
    }

    @Test
    fun `without its key it opens nothing, and makes no other for it`() {
        val sealed = vault.seal(clear)
        FakeKeystore.keys.clear()
        assertThrows(GeneralSecurityException::class.java) { vault.open(sealed) }
        assertTrue(FakeKeystore.keys.isEmpty())
    }

    @Test
    fun `a keystore that fails unchecked is a refusal like any other`() {
        val sealed = vault.seal(clear)
        FakeKeystore.refuses = true
        assertThrows(GeneralSecurityException::class.java) { vault.open(sealed) }
        assertThrows(GeneralSecurityException::class.java) { vault.seal(clear) }
    }
}
