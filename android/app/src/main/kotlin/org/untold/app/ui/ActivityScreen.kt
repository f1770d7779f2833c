package org.untold.app.ui

import android.text.format.DateUtils
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.foundation.lazy.items
import androidx.compose.material.icons.Icons
import androidx.compose.material.icons.filled.CheckCircle
import androidx.compose.material.icons.filled.Info
import androidx.compose.material3.Icon
import androidx.compose.material3.ListItem
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.platform.LocalResources
import androidx.compose.ui.res.painterResource
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import org.untold.Action
import org.untold.app.R
import org.untold.app.Trial
import org.untold.app.data.Apps
import org.untold.app.data.Journal

/** What was judged, newest first. */
@Composable
fun ActivityScreen(journal: Journal, apps: Apps, modifier: Modifier = Modifier) {
    val entries by journal.entries.collectAsStateWithLifecycle()
    if (entries.isEmpty()) {
        Text(stringResource(R.string.activity_empty), modifier.padding(16.dp), style = MaterialTheme.typography.bodyLarge)
        return
    }
    LazyColumn(modifier) {
        items(entries, key = { it.number }) { entry ->
            when (entry) {
                is Journal.Entry.Judged -> Judged(entry, apps)
                is Journal.Entry.Withdrawn -> Line(
                    outcome(R.string.activity_withdrawn, entry.to, entry.at),
                    nameOf(apps, entry.app),
                    listOf(target(entry.to), stringResource(R.string.activity_withdrawn_text)),
                ) { Icon(Icons.Default.Info, null) }
                is Journal.Entry.Lost -> Line(null, stringResource(R.string.activity_lost), emptyList()) { Icon(Icons.Default.Info, null) }
            }
        }
    }
}

@Composable
private fun Judged(entry: Journal.Entry.Judged, apps: Apps) {
    val words = LocalResources.current
    val outcome = when (entry.action) {
        Action.Allow -> R.string.activity_allowed
        Action.Ask -> R.string.activity_asked
        Action.Block -> R.string.activity_blocked
    }
    val what = entry.findings.map { words.findingInWords(it) }.distinct()
    Line(outcome(outcome, entry.to, entry.at), nameOf(apps, entry.app), listOf(target(entry.to)) + what) {
        if (entry.action == Action.Block) {
            Icon(painterResource(R.drawable.ic_shield), null, tint = MaterialTheme.colorScheme.primary)
        } else {
            Icon(Icons.Default.CheckCircle, null)
        }
    }
}

@Composable
private fun Line(outcome: String?, title: String, details: List<String>, icon: @Composable () -> Unit) = ListItem(
    modifier = Modifier.semantics(mergeDescendants = true) {},
    overlineContent = outcome?.let { { Text(it) } },
    headlineContent = { Text(title) },
    supportingContent = details.takeIf { it.isNotEmpty() }?.let { { Text(it.joinToString("\n")) } },
    leadingContent = icon,
)

/** What was done and when, and whether it was only the test. */
@Composable
private fun outcome(text: Int, to: String, at: Long): String {
    val time = DateUtils.formatDateTime(LocalContext.current, at, DateUtils.FORMAT_SHOW_TIME)
    return stringResource(if (Trial.isTrial(to)) R.string.activity_outcome_test else R.string.activity_outcome, stringResource(text), time)
}

@Composable
private fun nameOf(apps: Apps, app: String?): String = apps.labelOf(app) ?: stringResource(R.string.question_unknown_app)

@Composable
private fun target(to: String): String = stringResource(R.string.notice_to, to)
