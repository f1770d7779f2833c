package org.untold.app.data

import android.util.AtomicFile
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import org.untold.ConfigException
import org.untold.Event
import org.untold.Inspector
import org.untold.Rules

/** Policy, answers and blocklist: the desktop's files, replaced atomically. Blocking: off the main thread. */
class RuleStore(dir: File) {
    private val policy = AtomicFile(File(dir, "policy.toml"))
    private val answers = AtomicFile(File(dir, "answers.toml"))
    private val list = AtomicFile(File(dir, "blocklist.txt"))
    private val lines = MutableStateFlow<Int?>(null)

    /** Lines of the blocklist in force; null until [load] was called, 0 without one. */
    val listLines: StateFlow<Int?> get() = lines.asStateFlow()

    /** What is in force. */
    @Synchronized
    fun load(): Rules = rules(list.bytes()).also { lines.value = countOf(it.lists.firstOrNull()) }

    /** Puts a blocklist in force, once the engine takes it; false where it does not. */
    @Synchronized
    fun replaceList(bytes: ByteArray): Boolean {
        try {
            Inspector(rules(bytes)).close()
        } catch (unreadable: ConfigException) {
            return false
        }
        list.replace(bytes)
        lines.value = countOf(bytes)
        return true
    }

    /** Takes the blocklist out of force. */
    @Synchronized
    fun removeList() {
        list.delete()
        lines.value = 0
    }

    /** Writes an answer down as a rule that holds for ever. */
    @Synchronized
    fun remember(question: Event.Ask, allow: Boolean) {
        val before = answers.bytes()?.decodeToString().orEmpty()
        answers.replace((before + rule(question, allow)).toByteArray())
    }

    private fun rules(list: ByteArray?): Rules {
        val own = policy.bytes()?.decodeToString().orEmpty()
        return Rules(
            policy = if (list == null) own else own + LIST,
            answers = answers.bytes()?.decodeToString().orEmpty(),
            lists = listOfNotNull(list),
        )
    }

    private fun rule(question: Event.Ask, allow: Boolean): String = buildString {
        appendLine("[[rule]]")
        question.app?.let { appendLine("app = ${quoted(it)}") }
        appendLine("to = ${quoted(question.name?.let { "=$it" } ?: question.destination.substringBeforeLast(':').trim('[', ']'))}")
        val kinds = question.findings.map { it.kind.name }.distinct()
        if (kinds.isNotEmpty()) appendLine("sends = ${kinds.joinToString(prefix = "[", postfix = "]") { quoted(it) }}")
        appendLine("action = ${quoted(if (allow) "allow" else "block")}")
        appendLine()
    }

    private fun quoted(text: String) = "\"" + text.filter { it >= ' ' }.replace("\\", "\\\\").replace("\"", "\\\"") + "\""

    private fun countOf(list: ByteArray?) = list?.decodeToString()?.lineSequence()?.count { it.isNotBlank() && !it.startsWith("#") } ?: 0

    private fun AtomicFile.bytes(): ByteArray? = try {
        readFully()
    } catch (absent: FileNotFoundException) {
        null
    }

    private fun AtomicFile.replace(bytes: ByteArray) {
        val out = startWrite()
        try {
            out.write(bytes)
            finishWrite(out)
        } catch (full: IOException) {
            failWrite(out)
            throw full
        }
    }

    private companion object {
        const val LIST = "\n[[list]]\nname = \"own\"\nsource = \"blocklist.txt\"\naction = \"block\"\n"
    }
}
