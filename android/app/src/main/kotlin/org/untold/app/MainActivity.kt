package org.untold.app

import android.content.Intent
import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.activity.enableEdgeToEdge
import androidx.activity.viewModels
import androidx.lifecycle.createSavedStateHandle
import androidx.lifecycle.viewmodel.initializer
import androidx.lifecycle.viewmodel.viewModelFactory
import org.untold.app.ui.App
import org.untold.app.ui.Navigation
import org.untold.app.ui.Route
import org.untold.app.ui.UntoldTheme

/** The one activity. */
class MainActivity : ComponentActivity() {
    private val navigation: Navigation by viewModels {
        viewModelFactory { initializer { Navigation(createSavedStateHandle(), if (graph.settings.isWelcomed) Route.Home else Route.Welcome) } }
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        enableEdgeToEdge()
        if (savedInstanceState == null) follow(intent)
        setContent { UntoldTheme { App(graph, navigation) } }
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        follow(intent)
    }

    private fun follow(intent: Intent) {
        val question = intent.getLongExtra(AnswerReceiver.QUESTION, 0)
        if (question != 0L) navigation.open(Route.Question(question))
    }
}
