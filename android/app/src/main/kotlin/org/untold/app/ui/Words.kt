package org.untold.app.ui

import android.content.res.Resources
import androidx.annotation.StringRes
import java.util.Locale
import org.untold.Confidence
import org.untold.Finding
import org.untold.Kind
import org.untold.Spelling
import org.untold.ValueProblem
import org.untold.Wrapper
import org.untold.app.R
import org.untold.vpn.TunnelState

/** A kind as people call it; a kind of the person's own by the name they gave it. */
fun Resources.kindInWords(kind: Kind): String = KINDS[kind]?.let(::getString) ?: kind.name.removePrefix("custom.")

/** What was found: its kind and last four, or what it looks like. */
fun Resources.findingInWords(finding: Finding): String {
    val last4 = finding.last4
    if (finding.confidence == Confidence.Shape) {
        val kind = oneInWords(finding.kind)
        return if (last4 == null) getString(R.string.looks_like, kind) else getString(R.string.looks_like_ending_in, kind, last4)
    }
    val kind = kindInWords(finding.kind).replaceFirstChar { it.titlecase(Locale.getDefault()) }
    return if (last4 == null) kind else getString(R.string.ending_in, kind, last4)
}

/** What an app wants to do, in a sentence: what is surely the person's counts before what only looks like it. */
fun Resources.wishInWords(who: String, findings: List<Finding>): String {
    val exact = findings.filter { it.confidence == Confidence.Exact }.map { it.kind }.distinct()
    val shapes = findings.map { it.kind }.distinct()
    return when {
        exact.isNotEmpty() -> getString(R.string.notice_question, who, exact.joinToString { kindInWords(it) })
        shapes.isNotEmpty() -> getString(R.string.notice_question_shape, who, shapes.joinToString { oneInWords(it) })
        else -> getString(R.string.notice_connect, who)
    }
}

/** One of a kind, with its article. */
private fun Resources.oneInWords(kind: Kind): String = ONES[kind]?.let(::getString) ?: kindInWords(kind)

/** How it was written: wrappers from the wire inward, and its hash if it was hashed. */
fun Resources.chainInWords(finding: Finding): String {
    val wrappers = finding.chain.map { getString(WRAPPERS[it] ?: R.string.wrapper_other) }.asReversed()
    val wrapped = wrappers.reduceOrNull { inner, outer -> getString(R.string.wrapped_then, inner, outer) }
        ?.let { getString(R.string.wrapped_in, it) } ?: getString(R.string.not_wrapped)
    val hash = when (finding.spelling) {
        Spelling.Md5 -> "MD5"
        Spelling.Sha1 -> "SHA-1"
        Spelling.Sha256 -> "SHA-256"
        else -> return wrapped
    }
    return getString(R.string.hashed_as, hash) + ", " + wrapped
}

/** The state in a sentence that needs no argument; [isWhole] where nothing is missing while it is on. */
@StringRes
fun summary(state: TunnelState, isWhole: Boolean): Int = when (state) {
    TunnelState.Off -> R.string.state_off
    TunnelState.Starting -> R.string.state_starting
    is TunnelState.On -> if (isWhole) R.string.state_on else R.string.state_on_partial
    is TunnelState.Failed -> when (state.cause) {
        TunnelState.Cause.Consent -> R.string.failed_consent
        TunnelState.Cause.Revoked -> R.string.failed_revoked
        TunnelState.Cause.Foreground -> R.string.failed_foreground
        TunnelState.Cause.Establish -> R.string.failed_establish
        is TunnelState.Cause.Rules -> R.string.failed_rules
        is TunnelState.Cause.Engine -> R.string.failed_engine
    }
}

/** The state in a sentence. */
fun Resources.stateInWords(state: TunnelState, isWhole: Boolean): String {
    val rules = (state as? TunnelState.Failed)?.cause as? TunnelState.Cause.Rules ?: return getString(summary(state, isWhole))
    return getString(R.string.failed_rules, rules.problem.file, rules.problem.line)
}

/** What is wrong with a value, in a sentence. */
@StringRes
fun problemInWords(problem: ValueProblem?): Int = when (problem) {
    null -> R.string.value_good
    ValueProblem.Characters -> R.string.problem_characters
    ValueProblem.Length -> R.string.problem_length
    ValueProblem.CheckDigit -> R.string.problem_check
}

private val WRAPPERS = mapOf(
    Wrapper.Percent to R.string.wrapper_percent,
    Wrapper.Json to R.string.wrapper_json,
    Wrapper.Base64 to R.string.wrapper_base64,
    Wrapper.Hex to R.string.wrapper_hex,
    Wrapper.Chunked to R.string.wrapper_chunked,
    Wrapper.Base32 to R.string.wrapper_base32,
    Wrapper.Gzip to R.string.wrapper_gzip,
    Wrapper.Zlib to R.string.wrapper_zlib,
    Wrapper.Deflate to R.string.wrapper_deflate,
    Wrapper.Brotli to R.string.wrapper_brotli,
    Wrapper.Zstd to R.string.wrapper_zstd,
    Wrapper.Zip to R.string.wrapper_zip,
    Wrapper.Multipart to R.string.wrapper_multipart,
    Wrapper.Protobuf to R.string.wrapper_protobuf,
    Wrapper.Utf16 to R.string.wrapper_utf16,
    Wrapper.Xor to R.string.wrapper_xor,
    Wrapper.Http2 to R.string.wrapper_http2,
    Wrapper.Websocket to R.string.wrapper_websocket,
    Wrapper.Mqtt to R.string.wrapper_mqtt,
    Wrapper.Coap to R.string.wrapper_coap,
)

private val KINDS = mapOf(
    Kind.IMEI to R.string.kind_imei,
    Kind.MEID to R.string.kind_meid,
    Kind.IMSI to R.string.kind_imsi,
    Kind.ICCID to R.string.kind_iccid,
    Kind.SERIAL to R.string.kind_serial,
    Kind.WIFI_MAC to R.string.kind_wifi_mac,
    Kind.BLUETOOTH_MAC to R.string.kind_bluetooth_mac,
    Kind.ANDROID_ID to R.string.kind_android_id,
    Kind.ADVERTISING_ID to R.string.kind_advertising_id,
    Kind.GSF_ID to R.string.kind_gsf_id,
    Kind.PHONE to R.string.kind_phone,
    Kind.EMAIL to R.string.kind_email,
    Kind.ACCOUNT to R.string.kind_account,
    Kind.LOCATION to R.string.kind_location,
    Kind.CELL_ID to R.string.kind_cell_id,
    Kind.TAC to R.string.kind_tac,
    Kind.SSID to R.string.kind_ssid,
    Kind.BSSID to R.string.kind_bssid,
    Kind.INSTALLED_APPS to R.string.kind_installed_apps,
)

private val ONES = mapOf(
    Kind.IMEI to R.string.one_imei,
    Kind.MEID to R.string.one_meid,
    Kind.IMSI to R.string.one_imsi,
    Kind.ICCID to R.string.one_iccid,
    Kind.SERIAL to R.string.one_serial,
    Kind.WIFI_MAC to R.string.one_wifi_mac,
    Kind.BLUETOOTH_MAC to R.string.one_bluetooth_mac,
    Kind.ANDROID_ID to R.string.one_android_id,
    Kind.ADVERTISING_ID to R.string.one_advertising_id,
    Kind.GSF_ID to R.string.one_gsf_id,
    Kind.PHONE to R.string.one_phone,
    Kind.EMAIL to R.string.one_email,
    Kind.ACCOUNT to R.string.one_account,
    Kind.LOCATION to R.string.one_location,
    Kind.CELL_ID to R.string.one_cell_id,
    Kind.TAC to R.string.one_tac,
    Kind.SSID to R.string.one_ssid,
    Kind.BSSID to R.string.one_bssid,
    Kind.INSTALLED_APPS to R.string.one_installed_apps,
)
