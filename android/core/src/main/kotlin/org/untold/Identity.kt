package org.untold

/** The values that must not leave, by kind. Never printed: [toString] names kinds and counts. */
public class Identity private constructor(private val values: Map<Kind, List<String>>, private val location: Pair<Double, Double>?) {
    /** The kinds that have a value. */
    public val kinds: Set<Kind> get() = if (location == null) values.keys else values.keys + Kind.LOCATION

    /** The values of a kind; of a location none, it is a pair of numbers. */
    public fun values(kind: Kind): List<String> = values[kind].orEmpty()

    /** A builder that starts with what is here. */
    public fun toBuilder(): Builder = Builder().also { builder ->
        values.forEach { (kind, list) -> list.forEach { builder.add(kind, it) } }
        location?.let { builder.location(it.first, it.second) }
    }

    /** The identity file, in clear: for the native side and for storage that wraps it. */
    public fun toToml(): String = buildString {
        val (custom, named) = values.entries.partition { it.key.name.startsWith(CUSTOM) }
        named.forEach { (kind, list) -> append(kind.name).append(" = ").appendLine(array(list)) }
        location?.let { (latitude, longitude) -> appendLine("location = { latitude = $latitude, longitude = $longitude }") }
        if (custom.isNotEmpty()) appendLine("[custom]")
        custom.forEach { (kind, list) -> append(quoted(kind.name.removePrefix(CUSTOM))).append(" = ").appendLine(array(list)) }
    }

    override fun toString(): String = kinds.joinToString(prefix = "Identity(", postfix = ")") { "${it.name} × ${values(it).size.coerceAtLeast(1)}" }

    override fun equals(other: Any?): Boolean = other is Identity && other.values == values && other.location == location

    override fun hashCode(): Int = 31 * values.hashCode() + location.hashCode()

    /** Collects values. They are checked when rules are made of them. */
    public class Builder {
        private val values = LinkedHashMap<Kind, MutableList<String>>()
        private var location: Pair<Double, Double>? = null

        /** Adds a value of a kind, once. */
        public fun add(kind: Kind, value: String): Builder = apply {
            require(kind != Kind.LOCATION) { "a location is given by location()" }
            values.getOrPut(kind) { mutableListOf() }.let { if (value !in it) it += value }
        }

        /** Takes a value away. */
        public fun remove(kind: Kind, value: String): Builder = apply {
            values[kind]?.remove(value)
            if (values[kind]?.isEmpty() == true) values -= kind
        }

        /** Sets the location, in degrees. */
        public fun location(latitude: Double, longitude: Double): Builder = apply {
            require(latitude in -90.0..90.0 && longitude in -180.0..180.0) { "not degrees" }
            location = latitude to longitude
        }

        /** The identity so far. */
        public fun build(): Identity = Identity(values.mapValues { it.value.toList() }, location)
    }

    public companion object {
        /** Nothing registered: shapes alone are watched. */
        @JvmField public val EMPTY: Identity = Builder().build()

        private const val CUSTOM = "custom."

        private fun array(values: List<String>) = values.joinToString(prefix = "[", postfix = "]") { quoted(it) }

        private fun quoted(text: String) = buildString {
            append('"')
            for (char in text) when {
                char == '"' || char == '\\' -> append('\\').append(char)
                char < ' ' || char == '\u007f' -> append("\\u%04x".format(char.code))
                else -> append(char)
            }
            append('"')
        }
    }
}
