package org.untold

import java.security.SecureRandom

/** The key of the hashes in findings: keep one per installation, and hashes stay comparable. */
public class HashKey(bytes: ByteArray) {
    internal val bytes: ByteArray = bytes.copyOf()

    init {
        require(bytes.size == SIZE) { "a key has $SIZE bytes" }
    }

    /** The key, to be stored. */
    public fun toByteArray(): ByteArray = bytes.copyOf()

    override fun toString(): String = "HashKey"

    public companion object {
        /** Bytes of a key. */
        public const val SIZE: Int = 32

        /** A new key. */
        @JvmStatic
        public fun random(): HashKey = HashKey(ByteArray(SIZE).also(SecureRandom()::nextBytes))
    }
}
