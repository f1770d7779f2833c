package org.untold.internal

/**
 * The Rust side (src/jni), as it is: one function each, no state here. [org.untold] is the face for everybody else.
 *
 * `policy`, `answers` and `identity` are the texts of the TOML files, empty where there is none; `named` holds the texts
 * of the files that the policy names: its `[[list]]`s in their order, then the `password_file`s of its `[[proxy]]`s. A handle is valid from the call that gives it to the one that frees it,
 * which may come while another call is under way; afterwards its number is refused, and never given again.
 *
 * Every function throws [org.untold.ConfigException] for a text that cannot be used (its constructor here takes the
 * file, the line and the column, 0 where there is none, and the reason), [IllegalArgumentException] for any other
 * argument, [java.io.IOException] where the machine refuses, and [IllegalStateException] for a fault of ours.
 */
internal object Native {
    init {
        val path = System.getProperty("untold.library")
        if (path == null) System.loadLibrary("untold") else System.load(path)
    }

    @JvmStatic external fun inspectorNew(
        identity: String,
        policy: String,
        answers: String,
        named: Array<ByteArray>,
        hashKey: ByteArray,
    ): Long

    /** [headers] alternates names and values. Returns the inspection as a JSON object in UTF-8. */
    @JvmStatic external fun inspectorRequest(
        handle: Long,
        method: String,
        url: String,
        headers: Array<String>,
        body: ByteArray,
    ): ByteArray

    /** [proto] is the IP protocol number: 6, 17, or 1. [to] is `host:port`. */
    @JvmStatic external fun inspectorBytes(handle: Long, proto: Int, to: String, bytes: ByteArray): ByteArray

    @JvmStatic external fun inspectorFree(handle: Long)

    /** Takes [tunFd] over, whatever comes of the call: on an exception it is closed. */
    @JvmStatic external fun engineStart(
        tunFd: Int,
        mtu: Int,
        queue: Int,
        dns: Array<String>,
        resolvers: Array<String>,
        canAsk: Boolean,
        sink: String?,
        identity: String,
        policy: String,
        answers: String,
        named: Array<ByteArray>,
        hashKey: ByteArray,
        callbacks: NativeCallbacks,
    ): Long

    /** The hash key stays the one of [engineStart]. */
    @JvmStatic external fun engineSetRules(
        handle: Long,
        identity: String,
        policy: String,
        answers: String,
        named: Array<ByteArray>,
    )

    /** [scope]: 0 once, 1 this flow, 2 a quarter of an hour, 3 always. */
    @JvmStatic external fun engineAnswer(handle: Long, question: Long, allow: Boolean, scope: Int)

    /** Waits for the engine's threads and closes the tun descriptor. Not from a callback. */
    @JvmStatic external fun engineStop(handle: Long)

    @JvmStatic external fun version(): String
}

/** What the engine calls, each function on a thread of its own that is attached to the VM. */
internal interface NativeCallbacks {
    /** Keeps a socket out of the tunnel; on `false`, or an exception, the socket is closed and never connected. */
    fun protect(fd: Int): Boolean

    /** Package names and `uid:N` of the app whose flow this is; empty where unknown. After 250 ms they count as unknown. */
    fun owner(proto: Int, src: String, srcPort: Int, dst: String, dstPort: Int): Array<String>

    /** JSON lines in UTF-8. Where events were lost to a full queue, a `drop` event of the reason `unread` counts them. */
    fun events(batch: ByteArray)

    /** The last call: the engine has ended, by itself with a [reason], or by [Native.engineStop] with none. */
    fun stopped(reason: String?)
}
