package org.untold.internal

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import org.untold.Event

/** Hands events to every reader through a mailbox of its own. The first reader gets what came before it, too. */
internal class Publisher {
    /** Until there is a reader. */
    private var early: Mailbox? = Mailbox()

    @Volatile
    private var readers = listOfNotNull(early)
    private var ended = false

    /** Each collection is a reader. */
    val events: Flow<Event> = flow {
        val mailbox = subscribe()
        try {
            while (true) emit(mailbox.take() ?: break)
        } finally {
            cancel(mailbox)
        }
    }

    /** Called by one thread, and outside any lock: a reader may read where it is told. */
    fun publish(event: Event) = readers.forEach { it.put(event) }

    /** Ends every reader once it has read all. */
    fun end() {
        synchronized(this) { ended = true }
        readers.forEach(Mailbox::end)
    }

    fun subscribe(): Mailbox = synchronized(this) {
        val mailbox = early ?: Mailbox().also { if (ended) it.end() else readers += it }
        early = null
        mailbox
    }

    fun cancel(mailbox: Mailbox) {
        synchronized(this) { readers -= mailbox }
    }
}
