package org.untold.app.data

import android.content.Context
import android.util.Base64
import androidx.core.content.edit
import org.untold.HashKey

/** Small things to remember. */
class Settings(context: Context) {
    private val stored = context.getSharedPreferences("settings", Context.MODE_PRIVATE)

    /** Whether the first run is over. */
    var isWelcomed: Boolean
        get() = stored.getBoolean("welcomed", false)
        set(value) = stored.edit { putBoolean("welcomed", value) }

    /** The key of the hashes in findings, one per installation. */
    val hashKey: HashKey by lazy {
        val known = stored.getString("hash_key", null)?.let { Base64.decode(it, Base64.NO_WRAP) }
        if (known?.size == HashKey.SIZE) {
            HashKey(known)
        } else {
            HashKey.random().also { stored.edit { putString("hash_key", Base64.encodeToString(it.toByteArray(), Base64.NO_WRAP)) } }
        }
    }
}
