package org.untold.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.text.KeyboardOptions
import androidx.compose.foundation.verticalScroll
import androidx.compose.material.icons.Icons
import androidx.compose.material.icons.filled.Delete
import androidx.compose.material3.AlertDialog
import androidx.compose.material3.Button
import androidx.compose.material3.Card
import androidx.compose.material3.CardDefaults
import androidx.compose.material3.DropdownMenuItem
import androidx.compose.material3.ExperimentalMaterial3Api
import androidx.compose.material3.ExposedDropdownMenuAnchorType
import androidx.compose.material3.ExposedDropdownMenuBox
import androidx.compose.material3.ExposedDropdownMenuDefaults
import androidx.compose.material3.Icon
import androidx.compose.material3.IconButton
import androidx.compose.material3.ListItem
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.saveable.rememberSaveable
import androidx.compose.runtime.setValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.platform.LocalResources
import androidx.compose.ui.platform.testTag
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.text.input.KeyboardType
import androidx.compose.ui.unit.dp
import androidx.lifecycle.ViewModel
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import androidx.lifecycle.viewModelScope
import java.io.IOException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.launch
import org.untold.ConfigException
import org.untold.Kind
import org.untold.app.AppGraph
import org.untold.app.R
import org.untold.app.data.IdentityStore
import org.untold.problemOf

/** State of the identifiers' screen. What is being typed lives here alone, never in saved state. */
class IdentifiersModel(private val graph: AppGraph) : ViewModel() {
    /** What is stored. */
    val stored: StateFlow<IdentityStore.State> = graph.identity.state

    /** Why the last change was not made, as a text; null where it was. */
    val refusal: StateFlow<Int?> get() = refused.asStateFlow()

    private val refused = MutableStateFlow<Int?>(null)

    /** Kind of the value being typed. */
    var kind by mutableStateOf(Kind.IMEI)

    /** The value being typed. */
    var typed by mutableStateOf("")

    init {
        viewModelScope.launch(Dispatchers.IO) { graph.identity.load() }
    }

    /** Tries to read what could not be read. */
    fun retry() {
        viewModelScope.launch(Dispatchers.IO) {
            graph.identity.load()
            graph.firewall.reload()
        }
    }

    /** Deletes what cannot be read. */
    fun discard() {
        viewModelScope.launch(Dispatchers.IO) {
            graph.identity.discard()
            graph.firewall.reload()
        }
    }

    /** Stores what was typed. */
    fun add() {
        val (kind, value) = kind to typed.trim()
        typed = ""
        change { graph.identity.add(kind, value) }
    }

    /** Takes a value away. */
    fun remove(kind: Kind, value: String) = change { graph.identity.remove(kind, value) }

    private fun change(step: () -> Unit) {
        viewModelScope.launch(Dispatchers.IO) {
            refused.value = try {
                step()
                null
            } catch (wrong: ConfigException) {
                R.string.identifiers_unusable
            } catch (full: IOException) {
                R.string.identifiers_unstored
            }
            graph.firewall.reload()
        }
    }

    companion object {
        /** Kinds that can be entered, the most useful first. */
        val KINDS = listOf(
            Kind.IMEI, Kind.ICCID, Kind.SERIAL, Kind.PHONE, Kind.EMAIL, Kind.IMSI, Kind.WIFI_MAC, Kind.BLUETOOTH_MAC,
            Kind.ADVERTISING_ID, Kind.ANDROID_ID, Kind.MEID, Kind.ACCOUNT,
        )
    }
}

/** What must not leave: entered values, and which kinds are watched how. */
@Composable
fun IdentifiersScreen(model: IdentifiersModel, modifier: Modifier = Modifier) {
    val stored by model.stored.collectAsStateWithLifecycle()
    val refusal by model.refusal.collectAsStateWithLifecycle()
    Column(modifier.verticalScroll(rememberScrollState()), verticalArrangement = Arrangement.spacedBy(12.dp)) {
        when (val state = stored) {
            IdentityStore.State.Unread -> return@Column
            IdentityStore.State.Unreadable -> Unreadable(model::retry, model::discard)
            is IdentityStore.State.Known -> {
                Paragraph(R.string.identifiers_text)
                Entry(model)
                refusal?.let { Paragraph(it, MaterialTheme.colorScheme.error) }
                Title(R.string.identifiers_exact)
                val identity = state.identity
                if (identity.kinds.isEmpty()) Paragraph(R.string.identifiers_exact_none)
                identity.kinds.forEach { kind -> identity.values(kind).forEach { Value(kind, it) { model.remove(kind, it) } } }
            }
        }
        Title(R.string.identifiers_shape)
        Paragraph(R.string.identifiers_shape_text)
        val words = LocalResources.current
        Text(
            Kind.NAMED.joinToString { words.kindInWords(it) },
            Modifier.padding(horizontal = 16.dp).padding(bottom = 16.dp),
            style = MaterialTheme.typography.bodyMedium,
        )
    }
}

@Composable
private fun Unreadable(onRetry: () -> Unit, onDiscard: () -> Unit) = Card(
    Modifier.fillMaxWidth().padding(horizontal = 16.dp),
    colors = CardDefaults.cardColors(MaterialTheme.colorScheme.errorContainer, MaterialTheme.colorScheme.onErrorContainer),
) {
    var isAsked by rememberSaveable { mutableStateOf(false) }
    Column(Modifier.padding(20.dp).fillMaxWidth(), verticalArrangement = Arrangement.spacedBy(8.dp)) {
        Text(stringResource(R.string.identifiers_unreadable), Modifier.semantics { heading() }, style = MaterialTheme.typography.titleMedium)
        Text(stringResource(R.string.identifiers_unreadable_text), style = MaterialTheme.typography.bodyMedium)
        Button(onRetry, Modifier.fillMaxWidth()) { Text(stringResource(R.string.identifiers_retry)) }
        TextButton({ isAsked = true }, Modifier.fillMaxWidth()) {
            Text(stringResource(R.string.identifiers_discard), color = MaterialTheme.colorScheme.onErrorContainer)
        }
    }
    if (isAsked) {
        AlertDialog(
            onDismissRequest = { isAsked = false },
            title = { Text(stringResource(R.string.identifiers_discard_title)) },
            text = { Text(stringResource(R.string.identifiers_discard_text)) },
            confirmButton = { TextButton(onDiscard) { Text(stringResource(R.string.identifiers_discard_yes)) } },
            dismissButton = { TextButton({ isAsked = false }) { Text(stringResource(R.string.cancel)) } },
        )
    }
}

@Composable
private fun Paragraph(text: Int, color: Color = Color.Unspecified) =
    Text(stringResource(text), Modifier.padding(horizontal = 16.dp), color = color, style = MaterialTheme.typography.bodyMedium)

@Composable
private fun Entry(model: IdentifiersModel) = Column(Modifier.padding(horizontal = 16.dp), verticalArrangement = Arrangement.spacedBy(8.dp)) {
    val problem = problemOf(model.kind, model.typed.trim())
    KindPicker(model.kind) { model.kind = it }
    OutlinedTextField(
        model.typed,
        { model.typed = it },
        Modifier.fillMaxWidth().testTag("value"),
        label = { Text(stringResource(R.string.identifiers_value)) },
        supportingText = {
            when {
                model.typed.isNotEmpty() -> Text(stringResource(problemInWords(problem)))
                model.kind == Kind.IMEI -> Text(stringResource(R.string.identifiers_hint_imei))
            }
        },
        isError = model.typed.isNotEmpty() && problem != null,
        singleLine = true,
        keyboardOptions = KeyboardOptions(autoCorrectEnabled = false, keyboardType = if (model.kind in DIGITS) KeyboardType.Number else KeyboardType.Password),
    )
    Button(model::add, Modifier.align(Alignment.End), enabled = model.typed.isNotBlank() && problem == null) { Text(stringResource(R.string.identifiers_add)) }
}

@OptIn(ExperimentalMaterial3Api::class)
@Composable
private fun KindPicker(kind: Kind, onPick: (Kind) -> Unit) {
    var open by remember { mutableStateOf(false) }
    val words = LocalResources.current
    ExposedDropdownMenuBox(open, { open = it }) {
        OutlinedTextField(
            words.kindInWords(kind),
            {},
            Modifier.fillMaxWidth().menuAnchor(ExposedDropdownMenuAnchorType.PrimaryNotEditable),
            readOnly = true,
            label = { Text(stringResource(R.string.identifiers_kind)) },
            trailingIcon = { ExposedDropdownMenuDefaults.TrailingIcon(open) },
        )
        ExposedDropdownMenu(open, { open = false }) {
            IdentifiersModel.KINDS.forEach {
                DropdownMenuItem({ Text(words.kindInWords(it)) }, {
                    onPick(it)
                    open = false
                })
            }
        }
    }
}

@Composable
private fun Value(kind: Kind, value: String, onRemove: () -> Unit) {
    val name = LocalResources.current.kindInWords(kind)
    ListItem(
        headlineContent = { Text(name) },
        supportingContent = { Text(stringResource(R.string.hidden_value, if (value.length < SHORT) "" else value.takeLast(LAST))) },
        trailingContent = { IconButton(onRemove) { Icon(Icons.Default.Delete, stringResource(R.string.identifiers_remove, name)) } },
    )
}

@Composable
private fun Title(text: Int) =
    Text(stringResource(text), Modifier.padding(horizontal = 16.dp).semantics { heading() }, style = MaterialTheme.typography.titleMedium)

private val DIGITS = setOf(Kind.IMEI, Kind.ICCID, Kind.IMSI)
private const val SHORT = 8
private const val LAST = 4
