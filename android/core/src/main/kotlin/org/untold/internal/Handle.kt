package org.untold.internal

import java.util.concurrent.locks.ReentrantReadWriteLock
import kotlin.concurrent.read
import kotlin.concurrent.write

/** Owns a native handle: freed once, never while a call is under way, never used after. */
internal class Handle(private var value: Long, private val free: (Long) -> Unit) : AutoCloseable {
    private val lock = ReentrantReadWriteLock()

    fun <T> use(call: (Long) -> T): T = lock.read {
        check(value != 0L) { "closed" }
        call(value)
    }

    override fun close() = lock.write {
        val old = value
        value = 0
        if (old != 0L) free(old)
    }
}
