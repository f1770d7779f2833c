package org.untold.app.data

import android.util.AtomicFile
import java.io.File
import java.io.IOException
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/**
 * A note of the questions that wait, for the next process: one that the system ended cannot say any more that they were
 * withdrawn. It holds who and where to, no identifier. Blocking: off the main thread.
 */
class OpenQuestions(dir: File) {
    private val file = AtomicFile(File(dir, "open-questions"))

    /** What was noted last; nothing where the note cannot be read. */
    fun read(): List<Noted> = try {
        val list = JSONArray(file.readFully().decodeToString())
        List(list.length()) { list.getJSONObject(it).run { Noted(getLong(AT), if (isNull(APP)) null else getString(APP), getString(TO)) } }
    } catch (absent: IOException) {
        emptyList()
    } catch (damaged: JSONException) {
        emptyList()
    }

    /** Replaces the note as a whole. On a full disk the old one stays. */
    fun write(open: List<Noted>) {
        if (open.isEmpty()) return file.delete()
        val list = JSONArray(open.map { JSONObject().put(AT, it.at).put(APP, it.app ?: JSONObject.NULL).put(TO, it.to) })
        try {
            val out = file.startWrite()
            try {
                out.write(list.toString().toByteArray())
                file.finishWrite(out)
            } catch (full: IOException) {
                file.failWrite(out)
            }
        } catch (refused: IOException) {
            return
        }
    }

    /** One question. */
    data class Noted(
        /** Milliseconds since 1970. */
        val at: Long,
        val app: String?,
        val to: String,
    )

    private companion object {
        const val AT = "at"
        const val APP = "app"
        const val TO = "to"
    }
}
