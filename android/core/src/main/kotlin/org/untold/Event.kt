package org.untold

/** What the engine tells. Times are seconds since its first packet. */
public sealed interface Event {
    /** A flow ended. */
    public data class Flow(
        val time: Double,
        /** Number of the flow within one run. */
        val flow: Long,
        val proto: Proto,
        /** The app's end, `address:port`. */
        val source: String,
        /** The remote end, `address:port`. */
        val destination: String,
        /** Package name or `uid:N` of the owner, where known. */
        val app: String?,
        /** The name that the destination goes by. */
        val name: String?,
        /** Why content could not be read, if so. */
        val opaque: Opaque?,
        val bytesOut: Long,
        val bytesIn: Long,
        val verdict: Action,
        /** The rule that decided. */
        val rule: String,
        /** The proxy that it went through, or should have: the `name` of a `[[proxy]]`. */
        val via: String?,
        /** Why it did not reach the remote end though it was let through, if so. */
        val failure: Failure?,
    ) : Event

    /** An identifier was found on its way out. */
    public data class Found(
        val time: Double,
        val flow: Long,
        val proto: Proto,
        val destination: String,
        val app: String?,
        val name: String?,
        val finding: Finding,
        val verdict: Action,
        val rule: String,
        /** Whether a rule with `sends`, or an answer, approved it. */
        val approved: Boolean,
    ) : Event

    /** A question is put to a person; the flows concerned wait. */
    public data class Ask(
        val time: Double,
        /** Number of the question within one run. */
        val question: Long,
        val flow: Long,
        val proto: Proto,
        val destination: String,
        val app: String?,
        val name: String?,
        /** What was found so far; empty where it is about the connection. */
        val findings: List<Finding>,
        val rule: String,
        /** Seconds until [fallback] counts. */
        val timeout: Double,
        val fallback: Action,
    ) : Event

    /** A question is settled. */
    public data class Answer(
        val time: Double,
        val question: Long,
        val verdict: Action,
        val scope: Scope,
        val by: AnsweredBy,
    ) : Event

    /** Events were dropped because nobody took them in time. */
    public data class Lost(val count: Long) : Event

    /** A fault of the machine or the network; [message] is for a log, in English. */
    public data class Fault(val time: Double, val message: String) : Event

    /** A probe was sent through the tunnel. */
    public data class Health(
        val time: Double,
        /** Whether it came back in time. */
        val healthy: Boolean,
        /** Seconds there and back. */
        val latency: Double?,
    ) : Event

    /** Anything else: names, counts, states. */
    public data class Other(
        /** What `docs/events.md` calls it. */
        val kind: String,
    ) : Event
}

/** How far an answer reaches. */
public enum class Scope(internal val code: Int) {
    /** The flows that wait; where their clients have gone, the next one like them within 10 minutes. */
    Once(0),

    /** The flows that wait, and nothing else. */
    Flow(1),

    /** Everything like it for 15 minutes. */
    Quarter(2),

    /** Everything like it from now on, until the engine ends; who wants it for ever writes a rule. */
    Always(3),
}

/** What a flow met that no rule and no list stopped. */
public enum class Failure {
    /** The remote end refused it. */
    Refused,

    /** No way leads there, or the network says so. */
    Unreachable,

    /** Nobody answered in time. */
    Timeout,

    /** The connection stood and broke. */
    Broken,

    /** The proxy of its rule cannot be reached, or went away. */
    ProxyUnreachable,

    /** The proxy does not know us, or wants a login. */
    ProxyLogin,

    /** The proxy will not carry it, or such a proxy cannot. */
    ProxyRefused,

    /** What answered is no such proxy. */
    ProxyProtocol,

    /** Something that this version of the face has no name for. */
    Other,
}

/** Who settled a question. */
public enum class AnsweredBy {
    /** A person. */
    Person,

    /** Nobody, in time. */
    Timeout,

    /** New rules made it pointless. */
    Policy,

    /** Something that this version of the face has no name for. */
    Other,
}
