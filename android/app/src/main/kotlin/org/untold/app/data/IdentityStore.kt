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
import org.untold.ConfigException
import org.untold.Identity
import org.untold.Inspector
import org.untold.Kind
import org.untold.Rules

/** The identifiers that the person entered, sealed on disk. Blocking: off the main thread. */
class IdentityStore(dir: File, private val vault: Vault) {
    private val file = AtomicFile(File(dir, "identity"))
    private val current = MutableStateFlow<State>(State.Unread)

    /** What is known of it; [State.Unread] until [load] was called. */
    val state: StateFlow<State> get() = current.asStateFlow()

    /** Reads it, again where it could not be read before; nothing is registered then. */
    @Synchronized
    fun load(): Identity {
        if (current.value !is State.Known) current.value = read()
        return (current.value as? State.Known)?.identity ?: Identity.EMPTY
    }

    /**
     * Adds a value, once the engine takes it: one that it refuses would keep it from starting. Does nothing while the state is
     * [State.Unreadable], since what is there would be lost.
     *
     * @throws ConfigException for a value that the engine does not take
     * @throws IOException where it cannot be stored; what was stored before stays
     */
    @Synchronized
    fun add(kind: Kind, value: String) {
        Inspector(Rules(Identity.Builder().add(kind, value).build())).close()
        change { it.add(kind, value) }
    }

    /**
     * Takes a value away.
     *
     * @throws IOException as [add]
     */
    @Synchronized
    fun remove(kind: Kind, value: String) = change { it.remove(kind, value) }

    private fun change(how: (Identity.Builder) -> Identity.Builder) {
        load()
        val known = current.value as? State.Known ?: return
        val identity = how(known.identity.toBuilder()).build()
        write(identity)
        current.value = State.Known(identity)
    }

    /** Gives up what cannot be read, and begins with nothing. */
    @Synchronized
    fun discard() {
        file.delete()
        current.value = State.Known(Identity.EMPTY)
    }

    private fun read(): State = try {
        State.Known(decode(vault.open(file.readFully())))
    } catch (absent: FileNotFoundException) {
        State.Known(Identity.EMPTY)
    } catch (foreign: GeneralSecurityException) {
        State.Unreadable
    } catch (damaged: IOException) {
        State.Unreadable
    }

    private fun write(identity: Identity) {
        val sealed = try {
            vault.seal(encode(identity))
        } catch (refused: GeneralSecurityException) {
            throw IOException("the keystore refuses", refused)
        }
        val out = file.startWrite()
        try {
            out.write(sealed)
            file.finishWrite(out)
        } catch (full: IOException) {
            file.failWrite(out)
            throw full
        }
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

    /** What is known of the identifiers. */
    sealed interface State {
        /** Nothing yet. */
        data object Unread : State

        /** They were read. */
        data class Known(val identity: Identity) : State

        /** There are some, and they cannot be opened: the key is gone or refuses, or the file is damaged. */
        data object Unreadable : State
    }
}
