package org.untold.internal

import kotlinx.coroutines.channels.Channel
import org.untold.Event

/** Events that one reader has not taken yet. When it is full, what matters least goes first, and is counted. */
internal class Mailbox(private val most: Int = MOST) {
    private val events = ArrayDeque<Event>()
    private var lost = 0L
    private var ended = false
    private val changed = Channel<Unit>(Channel.CONFLATED)

    /** Never waits. */
    fun put(event: Event) {
        synchronized(this) {
            if (event is Event.Lost) {
                lost += event.count
            } else {
                if (events.size >= most) loseOne()
                events.addLast(event)
            }
        }
        changed.trySend(Unit)
    }

    /** Nothing more will come. */
    fun end() {
        synchronized(this) { ended = true }
        changed.trySend(Unit)
    }

    /** The oldest event, behind a count of those that were lost; null once all are taken and nothing more will come. */
    suspend fun take(): Event? {
        while (true) {
            poll()?.let { return it }
            if (synchronized(this) { ended && events.isEmpty() && lost == 0L }) return null
            changed.receive()
        }
    }

    private fun poll(): Event? = synchronized(this) {
        if (lost > 0) Event.Lost(lost).also { lost = 0 } else events.removeFirstOrNull()
    }

    private fun loseOne() {
        val least = LEAST_FIRST.firstNotNullOfOrNull { kind -> events.indexOfFirst(kind).takeIf { it >= 0 } } ?: 0
        events.removeAt(least)
        lost += 1
    }

    private companion object {
        const val MOST = 1024

        /** Open questions are in `Engine.questions` as well, so that nobody misses one here. */
        val LEAST_FIRST = listOf<(Event) -> Boolean>(
            { it is Event.Flow || it is Event.Health || it is Event.Other },
            { it is Event.Found },
            { it is Event.Ask || it is Event.Answer },
        )
    }
}
