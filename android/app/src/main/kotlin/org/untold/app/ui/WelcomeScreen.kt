package org.untold.app.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.size
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material.icons.Icons
import androidx.compose.material.icons.filled.Info
import androidx.compose.material.icons.filled.Lock
import androidx.compose.material.icons.filled.Phone
import androidx.compose.material3.Button
import androidx.compose.material3.Icon
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.vector.ImageVector
import androidx.compose.ui.res.painterResource
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp
import org.untold.app.R

/** The first run: three sentences, then consent. */
@Composable
fun WelcomeScreen(model: HomeModel, modifier: Modifier = Modifier, onDone: () -> Unit) {
    val switchOn = rememberSwitchOn(model, onDone)
    Column(
        modifier.verticalScroll(rememberScrollState()).padding(24.dp),
        verticalArrangement = Arrangement.spacedBy(24.dp, Alignment.CenterVertically),
    ) {
        Icon(painterResource(R.drawable.ic_shield), null, Modifier.size(72.dp), tint = MaterialTheme.colorScheme.primary)
        Text(stringResource(R.string.welcome_title), Modifier.semantics { heading() }, style = MaterialTheme.typography.headlineMedium)
        Sentence(Icons.Default.Phone, R.string.welcome_stays)
        Sentence(Icons.Default.Lock, R.string.welcome_encrypted)
        Sentence(Icons.Default.Info, R.string.welcome_vpn)
        Column(verticalArrangement = Arrangement.spacedBy(8.dp)) {
            Button(switchOn, Modifier.fillMaxWidth()) { Text(stringResource(R.string.welcome_on)) }
            TextButton(onDone, Modifier.fillMaxWidth()) { Text(stringResource(R.string.welcome_later)) }
        }
    }
}

@Composable
private fun Sentence(icon: ImageVector, text: Int) = Row(verticalAlignment = Alignment.Top) {
    Icon(icon, null, Modifier.padding(end = 16.dp), tint = MaterialTheme.colorScheme.secondary)
    Text(stringResource(text), style = MaterialTheme.typography.bodyLarge)
}
