package org.untold

/** What is wrong with a value that somebody is typing; the engine checks again when rules are made. */
public enum class ValueProblem {
    /** Other characters than its kind has. */
    Characters,

    /** Too few or too many of them. */
    Length,

    /** The check digit does not fit: probably a typing error. */
    CheckDigit,
}

/** Tells what is wrong with [value] as a value of [kind]; null where nothing is. */
public fun problemOf(kind: Kind, value: String): ValueProblem? {
    val plain = value.filterNot { it in " -.:" }
    fun digits(lengths: IntRange, luhn: (String) -> Boolean = { false }) = when {
        plain.any { it !in '0'..'9' } -> ValueProblem.Characters
        plain.length !in lengths -> ValueProblem.Length
        luhn(plain) && !luhnHolds(plain) -> ValueProblem.CheckDigit
        else -> null
    }

    fun hex(length: Int) = when {
        plain.any { it !in '0'..'9' && it.lowercaseChar() !in 'a'..'f' } -> ValueProblem.Characters
        plain.length != length -> ValueProblem.Length
        else -> null
    }
    return when (kind) {
        Kind.IMEI -> digits(14..16) { it.length == 15 }
        Kind.IMSI -> digits(14..15)
        Kind.ICCID -> digits(18..20) { it.length >= 19 }
        Kind.MEID -> hex(14)
        Kind.WIFI_MAC, Kind.BLUETOOTH_MAC, Kind.BSSID -> hex(12)
        Kind.ANDROID_ID -> hex(16)
        Kind.ADVERTISING_ID -> hex(32)
        Kind.PHONE -> if (value.any { it !in "+ -.()/" && it !in '0'..'9' }) ValueProblem.Characters else if (value.count { it in '0'..'9' } < 7) ValueProblem.Length else null
        Kind.EMAIL -> if (value.indexOf('@') in 1 until value.lastIndex) null else ValueProblem.Characters
        else -> if (value.isBlank()) ValueProblem.Length else null
    }
}

private fun luhnHolds(digits: String): Boolean = digits.reversed().foldIndexed(0) { index, sum, char ->
    val doubled = (char - '0') * (1 + index % 2)
    sum + doubled / 10 + doubled % 10
} % 10 == 0
