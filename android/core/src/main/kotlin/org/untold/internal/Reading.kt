package org.untold.internal

import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject
import org.untold.Action
import org.untold.AnsweredBy
import org.untold.Confidence
import org.untold.Event
import org.untold.Failure
import org.untold.Finding
import org.untold.Inspection
import org.untold.Kind
import org.untold.Opaque
import org.untold.Place
import org.untold.Proto
import org.untold.Scope
import org.untold.Spelling
import org.untold.Wrapper

/** Reads a batch of events; a line that is not one becomes a [Event.Fault] that does not quote it. */
internal fun eventsFrom(batch: ByteArray): List<Event> = batch.decodeToString().lineSequence().filter { it.isNotBlank() }.map { line ->
    try {
        eventFrom(JSONObject(line))
    } catch (unreadable: JSONException) {
        Event.Fault(0.0, "an event cannot be read")
    }
}.toList()

internal fun inspectionFrom(json: ByteArray): Inspection = JSONObject(json.decodeToString()).run {
    Inspection(
        findings = getJSONArray("findings").objects().map(::finding),
        verdict = action("verdict"),
        rule = getString("rule"),
        approved = getBoolean("approved"),
        opaque = opaque(),
    )
}

private fun eventFrom(json: JSONObject): Event = when (val kind = json.getString("event")) {
    "flow" -> Event.Flow(
        json.time(), json.getLong("flow"), json.proto(), json.getString("src"), json.getString("dst"), json.text("app"),
        json.text("name"), json.opaque(), json.getLong("bytes_out"), json.getLong("bytes_in"), json.action("verdict"), json.getString("rule"),
        json.text("via"), json.text("failure")?.let { named<Failure>(it) ?: Failure.Other },
    )
    "finding" -> Event.Found(
        json.time(), json.getLong("flow"), json.proto(), json.getString("dst"), json.text("app"), json.text("name"),
        finding(json), json.action("verdict"), json.getString("rule"), json.getBoolean("approved"),
    )
    "ask" -> Event.Ask(
        json.time(), json.getLong("question"), json.getLong("flow"), json.proto(), json.getString("dst"), json.text("app"),
        json.text("name"), json.getJSONArray("findings").objects().map(::finding), json.getString("rule"),
        json.getDouble("timeout"), json.action("fallback"),
    )
    "answer" -> Event.Answer(
        json.time(), json.getLong("question"), json.action("verdict"),
        named<Scope>(json.getString("scope")) ?: throw JSONException("scope"),
        named<AnsweredBy>(json.getString("by")) ?: AnsweredBy.Other,
    )
    "drop" -> if (json.getString("reason") == UNREAD) Event.Lost(json.getLong("count")) else Event.Other(kind)
    "health" -> Event.Health(json.time(), json.getBoolean("healthy"), if (json.isNull("latency")) null else json.getDouble("latency"))
    "error" -> Event.Fault(json.time(), json.getString("message"))
    else -> Event.Other(kind)
}

private fun finding(json: JSONObject) = Finding(
    kind = Kind(json.getString("kind")),
    confidence = named<Confidence>(json.getString("confidence")) ?: Confidence.Shape,
    chain = json.getJSONArray("chain").let { chain -> List(chain.length()) { named<Wrapper>(chain.getString(it)) ?: Wrapper.Other } },
    spelling = named<Spelling>(json.getString("spelling")) ?: Spelling.Other,
    last4 = json.text("last4"),
    hash = json.getString("hash"),
    at = named<Place>(json.getString("at")) ?: Place.Other,
    offset = json.getLong("offset"),
)

private fun JSONObject.time() = getDouble("time")

private fun JSONObject.proto() = named<Proto>(getString("proto")) ?: throw JSONException("proto")

private fun JSONObject.action(key: String) = named<Action>(getString(key)) ?: throw JSONException(key)

private fun JSONObject.opaque() = text("opaque")?.let { named<Opaque>(it) ?: Opaque.Other }

private fun JSONObject.text(key: String): String? = if (isNull(key)) null else getString(key)

private fun JSONArray.objects() = List(length()) { getJSONObject(it) }

private inline fun <reified E : Enum<E>> named(name: String): E? = enumValues<E>().firstOrNull { it.name.equals(name.replace("_", ""), ignoreCase = true) }

/** The reason of a `drop` that counts events, not packets. */
private const val UNREAD = "unread"
