package org.untold.app

import android.app.Application
import android.content.Context
import org.untold.app.data.KeystoreVault
import org.untold.app.data.Vault

/** The process. */
open class UntoldApp : Application() {
    /** Everything that lives as long as the process does. */
    val graph: AppGraph by lazy { AppGraph(this, vault()) }

    /** What wraps the identifiers at rest. */
    protected open fun vault(): Vault = KeystoreVault()

    override fun onCreate() {
        super.onCreate()
        graph.notices.createChannels()
        graph.firewall.begin()
    }
}

/** The graph of the process this context belongs to. */
val Context.graph: AppGraph get() = (applicationContext as UntoldApp).graph
