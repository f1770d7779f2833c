package org.untold.app.ui

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Build
import android.provider.Settings
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.result.contract.ActivityResultContracts
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.ColumnScope
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.size
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.selection.toggleable
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.Button
import androidx.compose.material3.Card
import androidx.compose.material3.CardColors
import androidx.compose.material3.CardDefaults
import androidx.compose.material3.FilledTonalButton
import androidx.compose.material3.Icon
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Switch
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.platform.LocalDensity
import androidx.compose.ui.platform.LocalResources
import androidx.compose.ui.platform.testTag
import androidx.compose.ui.res.painterResource
import androidx.compose.ui.res.pluralStringResource
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.Role
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.liveRegion
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import androidx.lifecycle.compose.LifecycleResumeEffect
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import org.untold.app.R
import org.untold.app.Trial
import org.untold.vpn.Protection
import org.untold.vpn.TunnelState

/** The switch, what it really does at the moment, and what waits for the person. */
@Composable
fun HomeScreen(model: HomeModel, onQuestion: (Long) -> Unit, onIdentifiers: () -> Unit, modifier: Modifier = Modifier) {
    val state by model.state.collectAsStateWithLifecycle()
    LifecycleResumeEffect(model) {
        model.refresh()
        onPauseOrDispose {}
    }
    val switchOn = rememberSwitchOn(model) {}
    Column(
        modifier.verticalScroll(rememberScrollState()).padding(horizontal = 16.dp, vertical = 8.dp),
        verticalArrangement = Arrangement.spacedBy(12.dp),
    ) {
        StateCard(state) { on -> if (on) switchOn() else model.stop() }
        if (state.questions.isNotEmpty()) QuestionsCard(state.questions, onQuestion)
        if (state.isIdentityUnreadable) UnreadableCard(onIdentifiers)
        (state.tunnel as? TunnelState.On)?.protection?.takeUnless(Protection::isWhole)?.let { PartialCard(it) }
        if (state.isOn && !state.areNoticesAllowed) NoticesCard(state.tally.unanswered, model::refresh)
        if (state.tunnel is TunnelState.On) TryCard(state.trial, model::tryIt)
    }
}

/** Asks for consent where it is missing, then switches on. */
@Composable
fun rememberSwitchOn(model: HomeModel, onDone: () -> Unit): () -> Unit {
    val context = LocalContext.current
    val consent = rememberLauncherForActivityResult(ActivityResultContracts.StartActivityForResult()) { result ->
        if (result.resultCode == Activity.RESULT_OK) {
            model.start()
            onDone()
        }
    }
    return {
        when (val intent = model.consent(context)) {
            null -> {
                model.start()
                onDone()
            }
            else -> consent.launch(intent)
        }
    }
}

@Composable
private fun StateCard(state: HomeState, onSwitch: (Boolean) -> Unit) {
    val colors = MaterialTheme.colorScheme
    val card = when (state.tunnel) {
        is TunnelState.On if state.isWhole -> CardDefaults.cardColors(colors.primaryContainer, colors.onPrimaryContainer)
        is TunnelState.On, TunnelState.Starting -> CardDefaults.cardColors(colors.secondaryContainer, colors.onSecondaryContainer)
        is TunnelState.Failed -> CardDefaults.cardColors(colors.errorContainer, colors.onErrorContainer)
        TunnelState.Off -> CardDefaults.cardColors(colors.surfaceContainerHigh, colors.onSurface)
    }
    Card(Modifier.fillMaxWidth(), colors = card) {
        Row(
            Modifier.toggleable(state.isOn, role = Role.Switch, onValueChange = onSwitch).testTag("protection").fillMaxWidth().padding(20.dp),
            verticalAlignment = Alignment.CenterVertically,
        ) {
            if (LocalDensity.current.fontScale < LARGE) Icon(painterResource(R.drawable.ic_shield), null, Modifier.padding(end = 16.dp).size(32.dp))
            Column(Modifier.weight(1f).padding(end = 16.dp)) {
                Text(stringResource(R.string.protection), style = MaterialTheme.typography.titleLarge)
                Text(
                    LocalResources.current.stateInWords(state.tunnel, state.isWhole),
                    Modifier.semantics { liveRegion = LiveRegionMode.Polite },
                    style = MaterialTheme.typography.bodyMedium,
                )
            }
            Switch(state.isOn, onCheckedChange = null)
        }
        if (state.tunnel is TunnelState.On) {
            Text(
                state.tally.stopped.let { if (it == 0) stringResource(R.string.stopped_none) else pluralStringResource(R.plurals.stopped, it, it) },
                Modifier.padding(start = 20.dp, end = 20.dp, bottom = 20.dp),
                style = MaterialTheme.typography.bodyMedium,
            )
        }
    }
}

@Composable
private fun QuestionsCard(questions: List<Long>, onQuestion: (Long) -> Unit) = Section(
    pluralStringResource(R.plurals.questions_waiting, questions.size, questions.size),
    CardDefaults.cardColors(MaterialTheme.colorScheme.tertiaryContainer, MaterialTheme.colorScheme.onTertiaryContainer),
) {
    Button({ onQuestion(questions.first()) }, Modifier.align(Alignment.End)) { Text(stringResource(R.string.questions_look)) }
}

@Composable
private fun UnreadableCard(onIdentifiers: () -> Unit) = Section(
    stringResource(R.string.identifiers_unreadable),
    CardDefaults.cardColors(MaterialTheme.colorScheme.errorContainer, MaterialTheme.colorScheme.onErrorContainer),
) {
    Text(stringResource(R.string.identifiers_unreadable_text), style = MaterialTheme.typography.bodyMedium)
    Button(onIdentifiers, Modifier.align(Alignment.End)) { Text(stringResource(R.string.identifiers_see)) }
}

@Composable
private fun PartialCard(protection: Protection) = Section(stringResource(R.string.partial_title)) {
    val context = LocalContext.current
    val missing = listOfNotNull(
        R.string.partial_always_on.takeUnless { protection.alwaysOn },
        R.string.partial_lockdown.takeUnless { protection.lockdown },
        R.string.partial_private_dns.takeIf { protection.privateDns },
    )
    missing.forEach { Text(stringResource(it), style = MaterialTheme.typography.bodyMedium) }
    TextButton({ context.startActivity(Intent(Settings.ACTION_VPN_SETTINGS)) }, Modifier.align(Alignment.End)) {
        Text(stringResource(R.string.open_vpn_settings))
    }
}

@Composable
private fun NoticesCard(unanswered: Int, onChange: () -> Unit) = Section(stringResource(R.string.notifications_title)) {
    val context = LocalContext.current
    val settings = Intent(Settings.ACTION_APP_NOTIFICATION_SETTINGS).putExtra(Settings.EXTRA_APP_PACKAGE, context.packageName)
    // The system asks twice at most; from then on, and where a channel is off, only its settings help.
    val permission = rememberLauncherForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
        if (granted) onChange() else context.startActivity(settings)
    }
    Text(stringResource(R.string.notifications_text), style = MaterialTheme.typography.bodyMedium)
    if (unanswered > 0) Text(pluralStringResource(R.plurals.blocked_unanswered, unanswered, unanswered), style = MaterialTheme.typography.bodyMedium)
    TextButton(
        {
            val isMissing = Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU &&
                context.checkSelfPermission(Manifest.permission.POST_NOTIFICATIONS) != PackageManager.PERMISSION_GRANTED
            if (isMissing) permission.launch(Manifest.permission.POST_NOTIFICATIONS) else context.startActivity(settings)
        },
        Modifier.align(Alignment.End),
    ) { Text(stringResource(R.string.notifications_allow)) }
}

@Composable
private fun TryCard(trial: Trial.State, onTry: () -> Unit) = Section(stringResource(R.string.try_title)) {
    val text = when (trial) {
        Trial.State.Untried -> stringResource(R.string.try_text)
        Trial.State.UnderWay -> stringResource(R.string.try_waiting)
        Trial.State.Stopped -> stringResource(R.string.try_stopped)
        is Trial.State.Arrived -> pluralStringResource(R.plurals.try_arrived, trial.bytes, trial.bytes)
        Trial.State.Failed -> stringResource(R.string.try_failed)
    }
    val isFirst = trial == Trial.State.Untried || trial == Trial.State.UnderWay
    Text(text, Modifier.semantics { liveRegion = LiveRegionMode.Polite }, style = MaterialTheme.typography.bodyMedium)
    FilledTonalButton(onTry, Modifier.align(Alignment.End).testTag("try"), enabled = trial != Trial.State.UnderWay) {
        Text(stringResource(if (isFirst) R.string.try_action else R.string.try_again))
    }
}

@Composable
private fun Section(title: String, colors: CardColors = CardDefaults.cardColors(), content: @Composable ColumnScope.() -> Unit) =
    Card(Modifier.fillMaxWidth(), colors = colors) {
        Column(Modifier.padding(20.dp).fillMaxWidth(), verticalArrangement = Arrangement.spacedBy(8.dp)) {
            Text(title, Modifier.semantics { heading() }, style = MaterialTheme.typography.titleMedium)
            content()
        }
    }

/** From this scale of letters on, room goes to the words. */
internal const val LARGE = 1.5f
