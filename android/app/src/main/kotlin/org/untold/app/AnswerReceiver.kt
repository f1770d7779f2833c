package org.untold.app

import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import org.untold.Scope

/** Takes the answers that are given in a notification. */
class AnswerReceiver : BroadcastReceiver() {
    override fun onReceive(context: Context, intent: Intent) {
        val firewall = context.graph.firewall
        val number = intent.getLongExtra(QUESTION, 0)
        val question = firewall.questions.value.firstOrNull { it.number == number } ?: return context.graph.notices.withdraw(number)
        firewall.answer(question, allow = intent.getBooleanExtra(ALLOW, false), Scope.Once)
    }

    companion object {
        /** Extra: number of the question. */
        const val QUESTION = "question"

        /** Extra: whether to allow it. */
        const val ALLOW = "allow"
    }
}
