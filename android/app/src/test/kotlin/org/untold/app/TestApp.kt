package org.untold.app

import java.security.GeneralSecurityException
import org.untold.app.data.Vault

/** The app without a keystore, which Robolectric lacks. */
class TestApp : UntoldApp() {
    override fun vault(): Vault = TestVault()
}

/** Seals so that a test sees nothing in clear on disk, and opens nothing else; without its key it does neither. */
class TestVault : Vault {
    override fun seal(clear: ByteArray): ByteArray {
        if (!hasKey) throw GeneralSecurityException("no key")
        return byteArrayOf(MASK) + masked(clear)
    }

    override fun open(sealed: ByteArray): ByteArray {
        if (!hasKey || sealed.firstOrNull() != MASK) throw GeneralSecurityException("not ours")
        return masked(sealed.drop(1).toByteArray())
    }

    private fun masked(bytes: ByteArray) = ByteArray(bytes.size) { (bytes[it].toInt() xor MASK.toInt()).toByte() }

    companion object {
        /** Whether the key is there. */
        var hasKey = true

        private const val MASK: Byte = 0x5a
    }
}
