package org.untold.app

import android.content.Context
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import org.untold.app.data.Apps
import org.untold.app.data.IdentityStore
import org.untold.app.data.MemoryJournal
import org.untold.app.data.OpenQuestions
import org.untold.app.data.RuleStore
import org.untold.app.data.Settings
import org.untold.app.data.Vault

/** Makes the app's parts, each once, each by its constructor. */
class AppGraph(context: Context, vault: Vault) {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    val settings = Settings(context)
    val rules = RuleStore(context.filesDir)
    val identity = IdentityStore(context.filesDir, vault)
    val journal = MemoryJournal()
    val apps = Apps(context.packageManager)
    val notices = Notices(context, apps)
    val firewall = Firewall(context, rules, journal, notices, OpenQuestions(context.filesDir), scope)
    val trial = Trial(firewall, scope)
}
