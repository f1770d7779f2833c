package org.untold

import org.untold.internal.Handle
import org.untold.internal.Native
import org.untold.internal.inspectionFrom

/**
 * Inspection of one message at a time, inside an app, without a VPN. Safe to call from any thread; [close] frees it.
 *
 * A call reads the whole message and takes as long as that does: keep large bodies off the main thread.
 *
 * @throws ConfigException for rules that cannot be used
 */
public class Inspector @JvmOverloads constructor(rules: Rules, hashKey: HashKey = HashKey.random()) : AutoCloseable {
    private val handle = Handle(
        Native.inspectorNew(rules.identity.toToml(), rules.policy, rules.answers, rules.named(), hashKey.bytes),
        Native::inspectorFree,
    )

    /** Inspects a request before it is sent. */
    public fun inspect(request: HttpRequest): Inspection = inspectionFrom(
        handle.use { Native.inspectorRequest(it, request.method, request.url, request.flatHeaders(), request.body) },
    )

    /** Inspects what one side of a TCP flow sent, or one datagram; [to] is `host`, `host:port` or `[v6]:port`. */
    public fun inspect(proto: Proto, to: String, bytes: ByteArray): Inspection =
        inspectionFrom(handle.use { Native.inspectorBytes(it, proto.number, to, bytes) })

    /** Frees it. A call under way on another thread still gets its result. */
    override fun close(): Unit = handle.close()
}

/**
 * An HTTP request as a client library knows it.
 *
 * @property method `GET`, `POST`, …
 * @property url absolute, as the client resolves it
 * @property headers names and values, in order
 * @property body content coding still on, transfer coding off
 */
public class HttpRequest @JvmOverloads constructor(
    public val method: String,
    public val url: String,
    public val headers: List<Pair<String, String>> = emptyList(),
    public val body: ByteArray = ByteArray(0),
) {
    internal fun flatHeaders(): Array<String> = headers.flatMap { listOf(it.first, it.second) }.toTypedArray()
}

/** What a message was found to carry, and what the policy says of it. */
public data class Inspection(
    /** One for each value and place, in the order of the message. */
    val findings: List<Finding>,
    /** The strictest verdict; [Action.Ask] is left to the caller. */
    val verdict: Action,
    /** The rule that decided. */
    val rule: String,
    /** Whether a rule with `sends` approved the identifiers concerned. */
    val approved: Boolean,
    /** Why some of the content could not be read, if so. */
    val opaque: Opaque?,
)
