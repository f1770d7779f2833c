package org.untold.app.data

import android.util.AtomicFile
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.security.GeneralSecurityException
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import org.untold.Identity
import org.untold.Kind

/** The identifiers that the person entered, sealed on disk. Blocking: off the main thread. */
class IdentityStore(dir: File, private val vault: Vault) {
    private val file = AtomicFile(File(dir, "identity"))
    private val known = MutableStateFlow<Identity?>(null)

    /** What is stored; null until [load] was called. */
    val identity: StateFlow<Identity?> get() = known.asStateFlow()

    /** Reads it. What this device cannot open (a restored file) counts as nothing entered. */
    @Synchronized
    fun load(): Identity = known.value ?: read().also { known.value = it }

    /** Replaces it as a whole. */
    @Synchronized
    fun save(identity: Identity) {
        val sealed = vault.seal(encode(identity))
        val out = file.startWrite()
        try {
            out.write(sealed)
            file.finishWrite(out)
        } catch (full: IOException) {
            file.failWrite(out)
            throw full
        }
        known.value = identity
    }

    private fun read(): Identity = try {
        decode(vault.open(file.readFully()))
    } catch (absent: FileNotFoundException) {
        Identity.EMPTY
    } catch (foreign: GeneralSecurityException) {
        Identity.EMPTY
    } catch (damaged: IOException) {
        Identity.EMPTY
    }

    private fun encode(identity: Identity): ByteArray = ByteArrayOutputStream().also { bytes ->
        val out = DataOutputStream(bytes)
        identity.kinds.forEach { kind ->
            identity.values(kind).forEach {
                out.writeUTF(kind.name)
                out.writeUTF(it)
            }
        }
    }.toByteArray()

    private fun decode(bytes: ByteArray): Identity {
        val input = DataInputStream(ByteArrayInputStream(bytes))
        val builder = Identity.Builder()
        while (input.available() > 0) builder.add(Kind(input.readUTF()), input.readUTF())
        return builder.build()
    }
}
