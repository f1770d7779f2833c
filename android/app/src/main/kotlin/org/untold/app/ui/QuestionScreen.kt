package org.untold.app.ui

import android.app.KeyguardManager
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.Button
import androidx.compose.material3.Card
import androidx.compose.material3.HorizontalDivider
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedButton
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.platform.LocalResources
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import androidx.lifecycle.ViewModel
import androidx.lifecycle.compose.LifecycleResumeEffect
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import androidx.lifecycle.viewModelScope
import kotlinx.coroutines.flow.SharingStarted
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.stateIn
import org.untold.Action
import org.untold.Event
import org.untold.Finding
import org.untold.Scope
import org.untold.app.AppGraph
import org.untold.app.Firewall
import org.untold.app.R
import org.untold.app.Trial

/** State of a question's screen. */
class QuestionModel(private val graph: AppGraph, private val number: Long) : ViewModel() {
    /** The question; null once it is settled. */
    val question: StateFlow<Event.Ask?> = graph.firewall.questions.map { find(it)?.asked }
        .stateIn(viewModelScope, SharingStarted.Eagerly, find(graph.firewall.questions.value)?.asked)

    /** What the app that asks is called. */
    fun labelOf(question: Event.Ask): String? = graph.apps.labelOf(question.app)

    /** Answers. */
    fun answer(allow: Boolean, scope: Scope) {
        find(graph.firewall.questions.value)?.let { graph.firewall.answer(it, allow, scope) }
    }

    private fun find(questions: List<Firewall.Question>) = questions.firstOrNull { it.number == number }
}

/** Who wants to send what, where to; Block is the answer at hand. */
@Composable
fun QuestionScreen(model: QuestionModel, onBack: () -> Unit, modifier: Modifier = Modifier) {
    val asked by model.question.collectAsStateWithLifecycle()
    val question = asked
    if (question == null) return Gone(onBack, modifier)
    fun give(allow: Boolean, scope: Scope): () -> Unit = {
        model.answer(allow, scope)
        onBack()
    }
    val isTest = Trial.isTrial(question.destination)
    Column(modifier.padding(horizontal = 16.dp, vertical = 8.dp), verticalArrangement = Arrangement.spacedBy(8.dp)) {
        Column(Modifier.weight(1f).verticalScroll(rememberScrollState()), verticalArrangement = Arrangement.spacedBy(16.dp)) {
            val title = if (question.findings.isEmpty()) R.string.question_connect_title else R.string.question_title
            Text(stringResource(title), Modifier.semantics { heading() }, style = MaterialTheme.typography.headlineSmall)
            if (isTest) Text(stringResource(R.string.try_label), style = MaterialTheme.typography.bodyMedium, color = MaterialTheme.colorScheme.primary)
            Facts(question, model.labelOf(question))
            val wait = if (question.fallback == Action.Allow) R.string.question_wait_allow else R.string.question_wait
            Text(stringResource(wait), style = MaterialTheme.typography.bodyMedium, color = MaterialTheme.colorScheme.onSurfaceVariant)
            Others(isTest, ::give)
        }
        Button(give(false, Scope.Once), Modifier.fillMaxWidth()) { Text(stringResource(R.string.question_block)) }
    }
}

@Composable
private fun Gone(onBack: () -> Unit, modifier: Modifier) =
    Column(modifier.padding(16.dp), verticalArrangement = Arrangement.spacedBy(16.dp)) {
        Text(stringResource(R.string.question_gone), style = MaterialTheme.typography.bodyLarge)
        Button(onBack, Modifier.fillMaxWidth()) { Text(stringResource(R.string.back)) }
    }

@Composable
private fun Facts(question: Event.Ask, label: String?) = Card(Modifier.fillMaxWidth()) {
    Column(Modifier.padding(20.dp).fillMaxWidth(), verticalArrangement = Arrangement.spacedBy(12.dp)) {
        Fact(R.string.question_who, label ?: stringResource(R.string.question_unknown_app), question.app?.takeIf { it != label })
        HorizontalDivider()
        Fact(R.string.question_to, question.name ?: question.destination, question.destination.takeIf { question.name != null })
        if (question.findings.isNotEmpty()) {
            HorizontalDivider()
            Column(verticalArrangement = Arrangement.spacedBy(8.dp)) {
                Text(stringResource(R.string.question_what), style = MaterialTheme.typography.labelMedium)
                question.findings.distinctBy { Triple(it.kind, it.last4, it.chain) }.forEach { What(it) }
            }
        }
    }
}

@Composable
private fun Fact(label: Int, value: String, detail: String?) = Column(Modifier.semantics(mergeDescendants = true) {}) {
    Text(stringResource(label), style = MaterialTheme.typography.labelMedium)
    Text(value, style = MaterialTheme.typography.titleMedium)
    if (detail != null) Text(detail, style = MaterialTheme.typography.bodySmall, color = MaterialTheme.colorScheme.onSurfaceVariant)
}

@Composable
private fun What(finding: Finding) = Column(Modifier.semantics(mergeDescendants = true) {}) {
    val words = LocalResources.current
    Text(words.findingInWords(finding), style = MaterialTheme.typography.titleMedium)
    Text(words.chainInWords(finding), style = MaterialTheme.typography.bodySmall, color = MaterialTheme.colorScheme.onSurfaceVariant)
}

/** Every answer but Block, which is always in sight. A test is nothing to decide for ever. */
@Composable
private fun Others(isTest: Boolean, give: (Boolean, Scope) -> () -> Unit) = Column(Modifier.fillMaxWidth()) {
    val keyguard = checkNotNull(LocalContext.current.getSystemService(KeyguardManager::class.java))
    var isLocked by remember { mutableStateOf(keyguard.isDeviceLocked) }
    LifecycleResumeEffect(keyguard) {
        isLocked = keyguard.isDeviceLocked
        onPauseOrDispose {}
    }
    if (isLocked) {
        Text(stringResource(R.string.question_unlock), style = MaterialTheme.typography.bodyMedium)
        return@Column
    }
    OutlinedButton(give(true, Scope.Once), Modifier.fillMaxWidth()) { Text(stringResource(R.string.question_allow_once)) }
    if (isTest) return@Column
    TextButton(give(true, Scope.Always), Modifier.fillMaxWidth()) { Text(stringResource(R.string.question_allow_always)) }
    TextButton(give(false, Scope.Always), Modifier.fillMaxWidth()) { Text(stringResource(R.string.question_block_always)) }
}
