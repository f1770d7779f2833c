package org.untold.app.data

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import java.io.IOException
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.ProviderException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/** Seals what is written to disk. */
interface Vault {
    /** Encrypts, with integrity. */
    @Throws(GeneralSecurityException::class)
    fun seal(clear: ByteArray): ByteArray

    /** Decrypts; fails for anything that [seal] did not make on this device. */
    @Throws(GeneralSecurityException::class)
    fun open(sealed: ByteArray): ByteArray
}

/** AES-256-GCM under a key that the device's keystore made and never gives away. */
class KeystoreVault : Vault {
    override fun seal(clear: ByteArray): ByteArray = guarded {
        val cipher = Cipher.getInstance(ALGORITHM).apply { init(Cipher.ENCRYPT_MODE, key() ?: newKey()) }
        byteArrayOf(cipher.iv.size.toByte()) + cipher.iv + cipher.doFinal(clear)
    }

    override fun open(sealed: ByteArray): ByteArray = guarded {
        val iv = sealed.firstOrNull()?.toInt() ?: throw GeneralSecurityException("empty")
        if (iv !in 1 until sealed.size) throw GeneralSecurityException("too short")
        val key = key() ?: throw GeneralSecurityException("no key")
        val cipher = Cipher.getInstance(ALGORITHM).apply { init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(TAG_BITS, sealed, 1, iv)) }
        cipher.doFinal(sealed, 1 + iv, sealed.size - 1 - iv)
    }

    /** The keystore is another process, whose failures come unchecked, too. */
    private fun guarded(step: () -> ByteArray): ByteArray = try {
        step()
    } catch (refused: ProviderException) {
        throw GeneralSecurityException(refused)
    } catch (refused: IOException) {
        throw GeneralSecurityException(refused)
    }

    private fun key(): SecretKey? = KeyStore.getInstance(PROVIDER).apply { load(null) }.getKey(ALIAS, null) as? SecretKey

    private fun newKey(): SecretKey {
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
