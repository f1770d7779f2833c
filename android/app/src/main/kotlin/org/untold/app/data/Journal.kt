package org.untold.app.data

import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import org.untold.Action
import org.untold.Event
import org.untold.Finding

/** What was judged, newest first. Holds no identifier in clear. */
interface Journal {
    /** The entries. */
    val entries: StateFlow<List<Entry>>

    /** Takes an event, where it is one to remember. */
    fun add(event: Event)

    /** A question, put at [at] (milliseconds since 1970), ended with the tunnel or the process, unanswered. */
    fun withdraw(at: Long, app: String?, to: String)

    /** One line. */
    sealed interface Entry {
        /** Distinguishes it from every other. */
        val number: Long

        /** Identifiers, or a connection where [findings] is empty, and what was done. */
        data class Judged(
            override val number: Long,
            /** Milliseconds since 1970. */
            val at: Long,
            /** Number of its flow, within one run of the engine. */
            val flow: Long,
            val app: String?,
            val to: String,
            val findings: List<Finding>,
            val action: Action,
            val rule: String,
        ) : Entry

        /** A question that ended with the tunnel or the process. */
        data class Withdrawn(override val number: Long, val at: Long, val app: String?, val to: String) : Entry

        /** Entries are missing here. */
        data class Lost(override val number: Long, val count: Long) : Entry
    }
}

private val Event.Found.to get() = name ?: destination

private val Event.Flow.to get() = name ?: destination

/** A journal that ends with the process. */
class MemoryJournal(private val clock: () -> Long = System::currentTimeMillis) : Journal {
    override val entries: StateFlow<List<Journal.Entry>> get() = kept.asStateFlow()

    private val kept = MutableStateFlow(emptyList<Journal.Entry>())
    private var last = 0L

    @Synchronized
    override fun add(event: Event) = when (event) {
        is Event.Found -> found(event)
        is Event.Flow -> if (event.verdict == Action.Block && kept.value.none { it.isAbout(event) }) {
            keep(Journal.Entry.Judged(++last, clock(), event.flow, event.app, event.to, emptyList(), event.verdict, event.rule))
        } else {
            Unit
        }
        is Event.Lost -> keep(Journal.Entry.Lost(++last, event.count))
        else -> Unit
    }

    @Synchronized
    override fun withdraw(at: Long, app: String?, to: String) = keep(Journal.Entry.Withdrawn(++last, at, app, to))

    /** One entry for what a flow had judged in one go. */
    private fun found(event: Event.Found) {
        val newest = kept.value.firstOrNull() as? Journal.Entry.Judged
        val judged = Journal.Entry.Judged(++last, clock(), event.flow, event.app, event.to, listOf(event.finding), event.verdict, event.rule)
        if (newest != null && newest.copy(number = 0, at = 0, findings = emptyList()) == judged.copy(number = 0, at = 0, findings = emptyList())) {
            kept.update { listOf(newest.copy(findings = newest.findings + event.finding)) + it.drop(1) }
        } else {
            keep(judged)
        }
    }

    private fun keep(entry: Journal.Entry) = kept.update { (listOf(entry) + it).take(MOST) }

    /** A finding said it before its flow ended. */
    private fun Journal.Entry.isAbout(flow: Event.Flow) =
        this is Journal.Entry.Judged && rule == flow.rule && to == flow.to && app == flow.app

    private companion object {
        const val MOST = 500
    }
}
