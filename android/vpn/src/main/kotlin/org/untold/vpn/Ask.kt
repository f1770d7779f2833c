package org.untold.vpn

import java.util.concurrent.CompletableFuture
import org.untold.Engine
import org.untold.Event
import org.untold.Scope

/** A question that waits for a person. Unanswered, it ends with its fallback; it is withdrawn when the tunnel ends. */
public class Ask(
    /** Who, where to, and what. */
    public val question: Event.Ask,
    private val engine: Engine,
) {
    /** Answers it; too late is no error. */
    public suspend fun answer(allow: Boolean, scope: Scope) {
        try {
            engine.answer(question.question, allow, scope)
        } catch (closed: IllegalStateException) {
            return // the tunnel ended, and the question with it
        }
    }

    /** [answer], for Java. */
    public fun answerAsync(allow: Boolean, scope: Scope): CompletableFuture<Unit> = engine.answerAsync(question.question, allow, scope)
}
