package org.untold.app.ui

import androidx.activity.compose.BackHandler
import androidx.compose.foundation.layout.consumeWindowInsets
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.padding
import androidx.compose.material.icons.Icons
import androidx.compose.material.icons.automirrored.filled.ArrowBack
import androidx.compose.material.icons.automirrored.filled.List
import androidx.compose.material.icons.filled.AccountBox
import androidx.compose.material.icons.filled.Home
import androidx.compose.material.icons.filled.Lock
import androidx.compose.material3.ExperimentalMaterial3Api
import androidx.compose.material3.Icon
import androidx.compose.material3.IconButton
import androidx.compose.material3.NavigationBar
import androidx.compose.material3.NavigationBarItem
import androidx.compose.material3.Scaffold
import androidx.compose.material3.Text
import androidx.compose.material3.TopAppBar
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.vector.ImageVector
import androidx.compose.ui.platform.LocalDensity
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.text.style.TextOverflow
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import androidx.lifecycle.viewmodel.compose.viewModel
import org.untold.app.AppGraph
import org.untold.app.R

/** The frame of all screens: title, tabs, and the screen on top of the stack. */
@OptIn(ExperimentalMaterial3Api::class)
@Composable
fun App(graph: AppGraph, navigation: Navigation) {
    val stack by navigation.stack.collectAsStateWithLifecycle()
    val route = stack.last()
    BackHandler(enabled = stack.size > 1, onBack = navigation::back)
    Scaffold(
        topBar = {
            if (route != Route.Welcome) {
                TopAppBar(
                    title = { Text(stringResource(titleOf(route)), maxLines = 1, overflow = TextOverflow.Ellipsis) },
                    navigationIcon = {
                        if (route is Route.Question) {
                            IconButton(navigation::back) { Icon(Icons.AutoMirrored.Filled.ArrowBack, stringResource(R.string.back)) }
                        }
                    },
                )
            }
        },
        bottomBar = { if (route in Route.TABS) Tabs(route, navigation::tab) },
    ) { inner ->
        val modifier = Modifier.fillMaxSize().padding(inner).consumeWindowInsets(inner)
        when (route) {
            Route.Welcome -> WelcomeScreen(viewModel(key = "home") { HomeModel(graph) }, modifier) {
                graph.settings.isWelcomed = true
                navigation.tab(Route.Home)
            }
            Route.Home -> HomeScreen(viewModel(key = "home") { HomeModel(graph) }, { navigation.open(Route.Question(it)) }, { navigation.tab(Route.Identifiers) }, modifier)
            Route.Activity -> ActivityScreen(graph.journal, graph.apps, modifier)
            Route.Identifiers -> IdentifiersScreen(viewModel { IdentifiersModel(graph) }, modifier)
            Route.Blocklist -> BlocklistScreen(viewModel { BlocklistModel(graph) }, modifier)
            is Route.Question -> QuestionScreen(viewModel(key = "question/${route.number}") { QuestionModel(graph, route.number) }, navigation::back, modifier)
        }
    }
}

@Composable
private fun Tabs(selected: Route, onSelect: (Route) -> Unit) = NavigationBar {
    val large = LocalDensity.current.fontScale >= LARGE // four labels would be cut off
    Route.TABS.forEach { tab ->
        val name = stringResource(tabOf(tab))
        NavigationBarItem(
            selected = tab == selected,
            onClick = { onSelect(tab) },
            icon = { Icon(iconOf(tab), name.takeIf { large }) },
            label = if (large) null else { { Text(name, maxLines = 1, overflow = TextOverflow.Ellipsis) } },
        )
    }
}

private fun iconOf(tab: Route): ImageVector = when (tab) {
    Route.Activity -> Icons.AutoMirrored.Filled.List
    Route.Identifiers -> Icons.Default.AccountBox
    Route.Blocklist -> Icons.Default.Lock
    else -> Icons.Default.Home
}

private fun tabOf(tab: Route): Int = when (tab) {
    Route.Activity -> R.string.nav_activity
    Route.Identifiers -> R.string.nav_identifiers
    Route.Blocklist -> R.string.nav_lists
    else -> R.string.nav_home
}

private fun titleOf(route: Route): Int = when (route) {
    Route.Welcome, Route.Home -> R.string.app_name
    Route.Activity -> R.string.activity_title
    Route.Identifiers -> R.string.identifiers_title
    Route.Blocklist -> R.string.lists_title
    is Route.Question -> R.string.question_bar
}
