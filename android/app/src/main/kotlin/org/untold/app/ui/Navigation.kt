package org.untold.app.ui

import androidx.lifecycle.SavedStateHandle
import androidx.lifecycle.ViewModel
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.stateIn
import androidx.lifecycle.viewModelScope
import kotlinx.coroutines.flow.SharingStarted

/** A screen. */
sealed class Route(internal val name: String) {
    /** First run. */
    data object Welcome : Route("welcome")

    /** State and switch. */
    data object Home : Route("home")

    /** What was judged. */
    data object Activity : Route("activity")

    /** What must not leave. */
    data object Identifiers : Route("identifiers")

    /** The blocklist. */
    data object Blocklist : Route("blocklist")

    /** One question. */
    data class Question(
        /** Its number; questions of an earlier run of the tunnel are shown as settled. */
        val number: Long,
    ) : Route("question/$number")

    internal companion object {
        val TABS = listOf(Home, Activity, Identifiers, Blocklist)

        fun named(name: String): Route = (TABS + Welcome).firstOrNull { it.name == name }
            ?: name.removePrefix("question/").toLongOrNull()?.let(::Question)
            ?: Home
    }
}

/** Where the person is, and what lies behind; survives the process. */
class Navigation(private val saved: SavedStateHandle, first: Route) : ViewModel() {
    private val names = saved.getStateFlow(KEY, arrayListOf(first.name))

    /** Screens from the first to the one on top. */
    val stack: StateFlow<List<Route>> = names.map { it.map(Route::named) }
        .stateIn(viewModelScope, SharingStarted.Eagerly, names.value.map(Route::named))

    /** Opens a screen on top, or goes to the one of that name. */
    fun open(route: Route) = set(names.value.filterNot { it == route.name } + route.name)

    /** Goes to a tab, with nothing but Home behind it. */
    fun tab(route: Route) = set(listOf(Route.Home.name, route.name).distinct())

    /** Goes back; Home is the last. */
    fun back() = set(names.value.dropLast(1).ifEmpty { listOf(Route.Home.name) })

    private fun set(stack: List<String>) {
        saved[KEY] = ArrayList(stack)
    }

    private companion object {
        const val KEY = "stack"
    }
}
