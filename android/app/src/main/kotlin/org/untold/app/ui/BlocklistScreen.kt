package org.untold.app.ui

import android.content.ContentResolver
import android.net.Uri
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.result.contract.ActivityResultContracts
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.Button
import androidx.compose.material3.Card
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.res.pluralStringResource
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.liveRegion
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import androidx.lifecycle.ViewModel
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import androidx.lifecycle.viewModelScope
import java.io.ByteArrayOutputStream
import java.io.IOException
import java.io.InputStream
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.launch
import org.untold.app.AppGraph
import org.untold.app.R

/** State of the blocklist's screen. */
class BlocklistModel(private val graph: AppGraph) : ViewModel() {
    /** Lines in force; null while they are read. */
    val lines: StateFlow<Int?> = graph.rules.listLines

    /** Whether the last file could not be used. */
    val refused: StateFlow<Boolean> get() = failed.asStateFlow()

    private val failed = MutableStateFlow(false)

    init {
        viewModelScope.launch(Dispatchers.IO) { graph.rules.load() }
    }

    /** Puts a file in force. */
    fun load(resolver: ContentResolver, file: Uri) {
        viewModelScope.launch(Dispatchers.IO) {
            failed.value = try {
                val bytes = resolver.openInputStream(file)?.use { it.readAtMost(MOST + 1) }
                bytes == null || bytes.size > MOST || !graph.rules.replaceList(bytes)
            } catch (gone: IOException) {
                true
            } catch (withdrawn: SecurityException) {
                true
            }
            if (!failed.value) graph.firewall.reload()
        }
    }

    /** Takes it out of force. */
    fun remove() {
        viewModelScope.launch(Dispatchers.IO) {
            graph.rules.removeList()
            graph.firewall.reload()
        }
    }

    private fun InputStream.readAtMost(most: Int): ByteArray = ByteArrayOutputStream().also { whole ->
        val piece = ByteArray(PIECE)
        while (whole.size() < most) {
            val length = read(piece, 0, minOf(piece.size, most - whole.size()))
            if (length < 0) break
            whole.write(piece, 0, length)
        }
    }.toByteArray()

    private companion object {
        const val MOST = 64 shl 20
        const val PIECE = 65_536
    }
}

/** The list of domains that are blocked. */
@Composable
fun BlocklistScreen(model: BlocklistModel, modifier: Modifier = Modifier) {
    val lines by model.lines.collectAsStateWithLifecycle()
    val refused by model.refused.collectAsStateWithLifecycle()
    val resolver = LocalContext.current.contentResolver
    val pick = rememberLauncherForActivityResult(ActivityResultContracts.OpenDocument()) { file -> if (file != null) model.load(resolver, file) }
    val count = lines ?: return
    Column(
        modifier.verticalScroll(rememberScrollState()).padding(horizontal = 16.dp, vertical = 8.dp),
        verticalArrangement = Arrangement.spacedBy(16.dp),
    ) {
        Text(stringResource(R.string.lists_text), style = MaterialTheme.typography.bodyMedium)
        Card(Modifier.fillMaxWidth()) {
            Text(
                if (count == 0) stringResource(R.string.lists_none) else pluralStringResource(R.plurals.lists_count, count, count),
                Modifier.padding(20.dp).semantics { liveRegion = LiveRegionMode.Polite },
                style = MaterialTheme.typography.titleMedium,
            )
        }
        if (refused) Text(stringResource(R.string.lists_unreadable), color = MaterialTheme.colorScheme.error)
        Button({ pick.launch(arrayOf("*/*")) }, Modifier.fillMaxWidth()) { Text(stringResource(R.string.lists_load)) }
        if (count > 0) TextButton(model::remove, Modifier.fillMaxWidth()) { Text(stringResource(R.string.lists_remove)) }
    }
}
