package org.untold.app.ui

import android.os.Build
import androidx.compose.foundation.isSystemInDarkTheme
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.darkColorScheme
import androidx.compose.material3.dynamicDarkColorScheme
import androidx.compose.material3.dynamicLightColorScheme
import androidx.compose.material3.lightColorScheme
import androidx.compose.runtime.Composable
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.platform.LocalContext

/** The phone's own colours where it has some, else a calm green. */
@Composable
fun UntoldTheme(content: @Composable () -> Unit) {
    val dark = isSystemInDarkTheme()
    val colors = when {
        Build.VERSION.SDK_INT >= Build.VERSION_CODES.S && dark -> dynamicDarkColorScheme(LocalContext.current)
        Build.VERSION.SDK_INT >= Build.VERSION_CODES.S -> dynamicLightColorScheme(LocalContext.current)
        dark -> Dark
        else -> Light
    }
    MaterialTheme(colors, content = content)
}

private val Light = lightColorScheme(
    primary = Color(0xFF1F5F5B), onPrimary = Color.White, primaryContainer = Color(0xFFBFE9E3), onPrimaryContainer = Color(0xFF00201E),
    secondary = Color(0xFF4A6361), secondaryContainer = Color(0xFFCCE8E4), onSecondaryContainer = Color(0xFF05201E),
    background = Color(0xFFF7FAF8), surface = Color(0xFFF7FAF8), onSurface = Color(0xFF191C1B), onSurfaceVariant = Color(0xFF3F4947),
    surfaceContainer = Color(0xFFEBEFED), surfaceContainerHigh = Color(0xFFE5E9E7), surfaceContainerHighest = Color(0xFFDFE3E1), surfaceContainerLow = Color(0xFFF1F5F2),
)

private val Dark = darkColorScheme(
    primary = Color(0xFF9BD3CC), onPrimary = Color(0xFF003734), primaryContainer = Color(0xFF0B4743), onPrimaryContainer = Color(0xFFBFE9E3),
    secondary = Color(0xFFB0CCC8), secondaryContainer = Color(0xFF324B49), onSecondaryContainer = Color(0xFFCCE8E4),
    background = Color(0xFF101413), surface = Color(0xFF101413), onSurface = Color(0xFFE0E3E1), onSurfaceVariant = Color(0xFFBEC9C6),
    surfaceContainer = Color(0xFF1C201F), surfaceContainerHigh = Color(0xFF272B2A), surfaceContainerHighest = Color(0xFF323635), surfaceContainerLow = Color(0xFF191C1B),
)
