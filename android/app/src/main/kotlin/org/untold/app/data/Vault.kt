package org.untold.app.data

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import java.security.GeneralSecurityException
import java.security.KeyStore
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/** Seals what is written to disk. */
interface Vault {
    /** Encrypts, with integrity. */
    fun seal(clear: ByteArray): ByteArray

    /** Decrypts; fails for anything that [seal] did not make on this device. */
    @Throws(GeneralSecurityException::class)
    fun open(sealed: ByteArray): ByteArray
}

/** AES-256-GCM under a key that the device's keystore made and never gives away. */
class KeystoreVault : Vault {
    override fun seal(clear: ByteArray): ByteArray {
        val cipher = Cipher.getInstance(ALGORITHM).apply { init(Cipher.ENCRYPT_MODE, key()) }
        return byteArrayOf(cipher.iv.size.toByte()) + cipher.iv + cipher.doFinal(clear)
    }

    override fun open(sealed: ByteArray): ByteArray {
        val iv = sealed.firstOrNull()?.toInt() ?: throw GeneralSecurityException("empty")
        if (iv !in 1 until sealed.size) throw GeneralSecurityException("too short")
        val cipher = Cipher.getInstance(ALGORITHM).apply { init(Cipher.DECRYPT_MODE, key(), GCMParameterSpec(TAG_BITS, sealed, 1, iv)) }
        return cipher.doFinal(sealed, 1 + iv, sealed.size - 1 - iv)
    }

    private fun key(): SecretKey {
        val store = KeyStore.getInstance(PROVIDER).apply { load(null) }
        (store.getKey(ALIAS, null) as? SecretKey)?.let { return it }
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder(ALIAS, purposes)
            .setKeySize(KEY_BITS)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .build()
        return KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER).apply { init(spec) }.generateKey()
    }

    private companion object {
        const val PROVIDER = "AndroidKeyStore"
        const val ALIAS = "identity"
        const val ALGORITHM = "AES/GCM/NoPadding"
        const val KEY_BITS = 256
        const val TAG_BITS = 128
    }
}
