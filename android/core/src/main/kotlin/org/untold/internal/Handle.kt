package org.untold.internal

import java.util.concurrent.atomic.AtomicLong

/**
 * Owns a native handle, and frees it once. Nobody waits here: a call that is under way while the handle is freed is
 * finished or refused by the native side, where a number never means anything else later.
 */
internal class Handle(value: Long, private val free: (Long) -> Unit) : AutoCloseable {
    private val value = AtomicLong(value)

    fun <T> use(call: (Long) -> T): T {
        val open = value.get()
        check(open != 0L) { "closed" }
        return call(open)
    }

    override fun close() {
        val open = value.getAndSet(0)
        if (open == 0L) return
        try {
            free(open)
        } catch (refused: IllegalStateException) {
            value.set(open) // asked from inside a callback: it is open still
            throw refused
        }
    }
}
