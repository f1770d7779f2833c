package org.untold.app

import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import android.app.PendingIntent
import android.content.Context
import android.content.Intent
import android.net.Uri
import android.os.Build
import org.untold.app.data.Apps
import org.untold.app.ui.summary
import org.untold.app.ui.wishInWords
import org.untold.vpn.TunnelState

/** The app's notifications: one for its state, one for each question. */
class Notices(private val context: Context, private val apps: Apps) {
    private val manager = checkNotNull(context.getSystemService(NotificationManager::class.java))

    /** Whether a question can be shown outside the app. */
    val areAllowed: Boolean get() = manager.areNotificationsEnabled() &&
        manager.getNotificationChannel(CHANNEL_QUESTION)?.importance != NotificationManager.IMPORTANCE_NONE

    /** Makes the channels; what a person changed in them stays. */
    fun createChannels() = manager.createNotificationChannels(
        listOf(
            NotificationChannel(CHANNEL_STATUS, context.getString(R.string.channel_status), NotificationManager.IMPORTANCE_LOW).apply { setShowBadge(false) },
            NotificationChannel(CHANNEL_QUESTION, context.getString(R.string.channel_question), NotificationManager.IMPORTANCE_HIGH).apply {
                lockscreenVisibility = Notification.VISIBILITY_PRIVATE
            },
        ),
    )

    /** What stands for the running service; [isWhole] where nothing is missing while it is on. */
    fun status(state: TunnelState, isWhole: Boolean): Notification = Notification.Builder(context, CHANNEL_STATUS)
        .setSmallIcon(R.drawable.ic_shield)
        .setContentTitle(context.getString(R.string.app_name))
        .setContentText(context.getString(if (state is TunnelState.On && !isWhole) R.string.notice_on_partial else summary(state, isWhole)))
        .setContentIntent(screen(null))
        .setOngoing(true)
        .build()

    /** Puts a question. */
    fun ask(question: Firewall.Question) {
        val asked = question.asked
        val who = apps.labelOf(asked.app) ?: context.getString(R.string.question_unknown_app)
        val title = context.resources.wishInWords(who, asked.findings)
        val builder = Notification.Builder(context, CHANNEL_QUESTION)
            .setSmallIcon(R.drawable.ic_shield)
            .setContentTitle(title)
            .setContentText(context.getString(R.string.notice_to, asked.to))
            .setContentIntent(screen(question.number))
            .setVisibility(Notification.VISIBILITY_PRIVATE)
            .setPublicVersion(
                Notification.Builder(context, CHANNEL_QUESTION).setSmallIcon(R.drawable.ic_shield)
                    .setContentTitle(context.getString(R.string.notice_private)).build(),
            )
            .setCategory(Notification.CATEGORY_RECOMMENDATION)
            .setTimeoutAfter((asked.timeout * MILLIS).toLong())
            .addAction(action(R.string.question_block, question.number, allow = false))
        if (Trial.isTrial(asked.destination)) builder.setSubText(context.getString(R.string.test))
        // Before API 31 nothing keeps an action from being pressed on a locked screen: Allow is on the question's screen only.
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) builder.addAction(action(R.string.question_allow_once, question.number, allow = true))
        manager.notify(question.number.toString(), QUESTION, builder.build())
    }

    /** Takes a question's notification away. */
    fun withdraw(question: Long) = manager.cancel(question.toString(), QUESTION)

    /** Takes those away that an earlier process has left. */
    fun withdrawAll() = manager.activeNotifications.filter { it.id == QUESTION }.forEach { manager.cancel(it.tag, it.id) }

    private fun action(label: Int, question: Long, allow: Boolean): Notification.Action {
        val intent = Intent(context, AnswerReceiver::class.java).setData(Uri.parse("untold:question/$question/$allow"))
            .putExtra(AnswerReceiver.QUESTION, question).putExtra(AnswerReceiver.ALLOW, allow)
        val pending = PendingIntent.getBroadcast(context, 0, intent, PendingIntent.FLAG_IMMUTABLE or PendingIntent.FLAG_UPDATE_CURRENT)
        val builder = Notification.Action.Builder(null, context.getString(label), pending)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) builder.setAuthenticationRequired(allow)
        return builder.build()
    }

    private fun screen(question: Long?): PendingIntent {
        val intent = Intent(context, MainActivity::class.java)
        if (question != null) intent.setData(Uri.parse("untold:question/$question")).putExtra(AnswerReceiver.QUESTION, question)
        return PendingIntent.getActivity(context, 0, intent, PendingIntent.FLAG_IMMUTABLE or PendingIntent.FLAG_UPDATE_CURRENT)
    }

    companion object {
        /** Number of the notification of the state. */
        const val STATUS = 1

        /** Channel of the state. */
        const val CHANNEL_STATUS = "status"

        /** Channel of the questions. */
        const val CHANNEL_QUESTION = "question"

        /** Number of the questions' notifications, whose tag is the number of the question. */
        private const val QUESTION = 2
        private const val MILLIS = 1000
    }
}
