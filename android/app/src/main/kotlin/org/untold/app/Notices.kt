package org.untold.app

import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import android.app.PendingIntent
import android.content.Context
import android.content.Intent
import android.net.Uri
import android.os.Build
import org.untold.Event
import org.untold.app.data.Apps
import org.untold.app.ui.kindsInWords
import org.untold.app.ui.summary
import org.untold.vpn.TunnelState

/** The app's notifications: one for its state, one for each question. */
class Notices(private val context: Context, private val apps: Apps) {
    private val manager = checkNotNull(context.getSystemService(NotificationManager::class.java))

    /** Whether a question can be shown outside the app. */
    val areAllowed: Boolean get() = manager.areNotificationsEnabled()

    /** Makes the channels; what a person changed in them stays. */
    fun createChannels() = manager.createNotificationChannels(
        listOf(
            NotificationChannel(CHANNEL_STATUS, context.getString(R.string.channel_status), NotificationManager.IMPORTANCE_LOW).apply { setShowBadge(false) },
            NotificationChannel(CHANNEL_QUESTION, context.getString(R.string.channel_question), NotificationManager.IMPORTANCE_HIGH).apply {
                lockscreenVisibility = Notification.VISIBILITY_PRIVATE
            },
        ),
    )

    /** What stands for the running service. */
    fun status(state: TunnelState): Notification = Notification.Builder(context, CHANNEL_STATUS)
        .setSmallIcon(R.drawable.ic_shield)
        .setContentTitle(context.getString(R.string.app_name))
        .setContentText(context.getString(summary(state)))
        .setContentIntent(screen(STATUS, null))
        .setOngoing(true)
        .build()

    /** Puts a question. */
    fun ask(question: Event.Ask) {
        val who = apps.labelOf(question.app) ?: context.getString(R.string.question_unknown_app)
        val title = if (question.findings.isEmpty()) {
            context.getString(R.string.notice_connect, who)
        } else {
            context.getString(R.string.notice_question, who, context.resources.kindsInWords(question.findings))
        }
        val builder = Notification.Builder(context, CHANNEL_QUESTION)
            .setSmallIcon(R.drawable.ic_shield)
            .setContentTitle(title)
            .setContentText(context.getString(R.string.notice_to, question.name ?: question.destination))
            .setContentIntent(screen(idOf(question.question), question.question))
            .setVisibility(Notification.VISIBILITY_PRIVATE)
            .setPublicVersion(
                Notification.Builder(context, CHANNEL_QUESTION).setSmallIcon(R.drawable.ic_shield)
                    .setContentTitle(context.getString(R.string.notice_private)).build(),
            )
            .setCategory(Notification.CATEGORY_RECOMMENDATION)
            .setTimeoutAfter((question.timeout * MILLIS).toLong())
            .addAction(action(R.string.question_block, question.question, allow = false))
        // Before API 31 nothing keeps an action from being pressed on a locked screen: Allow is on the question's screen only.
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) builder.addAction(action(R.string.question_allow_once, question.question, allow = true))
        manager.notify(idOf(question.question), builder.build())
    }

    /** Takes a question's notification away. */
    fun withdraw(question: Long) = manager.cancel(idOf(question))

    private fun action(label: Int, question: Long, allow: Boolean): Notification.Action {
        val intent = Intent(context, AnswerReceiver::class.java).setData(Uri.parse("untold:question/$question/$allow"))
            .putExtra(AnswerReceiver.QUESTION, question).putExtra(AnswerReceiver.ALLOW, allow)
        val pending = PendingIntent.getBroadcast(context, 0, intent, PendingIntent.FLAG_IMMUTABLE or PendingIntent.FLAG_UPDATE_CURRENT)
        val builder = Notification.Action.Builder(null, context.getString(label), pending)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) builder.setAuthenticationRequired(allow)
        return builder.build()
    }

    private fun screen(request: Int, question: Long?): PendingIntent {
        val intent = Intent(context, MainActivity::class.java)
        if (question != null) intent.putExtra(AnswerReceiver.QUESTION, question)
        return PendingIntent.getActivity(context, request, intent, PendingIntent.FLAG_IMMUTABLE or PendingIntent.FLAG_UPDATE_CURRENT)
    }

    companion object {
        /** Number of the notification of the state. */
        const val STATUS = 1

        /** Channel of the state. */
        const val CHANNEL_STATUS = "status"

        /** Channel of the questions. */
        const val CHANNEL_QUESTION = "question"

        private const val MILLIS = 1000

        /** Number of a question's notification. */
        fun idOf(question: Long): Int = STATUS + question.toInt()
    }
}
