package org.untold.testing

import java.net.InetSocketAddress
import java.util.concurrent.TimeUnit
import kotlin.system.exitProcess
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.untold.Engine
import org.untold.EngineOptions
import org.untold.Identity
import org.untold.Kind
import org.untold.Proto
import org.untold.Rules
import org.untold.internal.NativeEngine

/** A process of its own that runs an engine on a tun device, until it is killed. */
class Victim(device: String) : AutoCloseable {
    private val process = ProcessBuilder(
        "${System.getProperty("java.home")}/bin/java", "-Duntold.library=${System.getProperty("untold.library")}",
        "-cp", System.getProperty("java.class.path"), Victim::class.java.name, device,
    ).redirectErrorStream(true).start()
    private val said = process.inputStream.bufferedReader()

    /** Waits until it says so. */
    fun awaitWord(word: String) {
        val line = said.readLine()
        check(line == word) { "the process says $line, not $word: ${said.readText()}" }
    }

    /** As the system kills an app: there is no last word. */
    override fun close() {
        process.destroyForcibly()
        check(process.waitFor(20, TimeUnit.SECONDS)) { "it cannot be killed" }
    }

    companion object {
        /** Said once the engine runs. */
        const val RUNNING = "running"

        /** Said once a question waits. */
        const val ASKED = "asked"

        @JvmStatic
        fun main(args: Array<String>) {
            val host = object : Engine.Host {
                override fun protect(socket: Int) = true

                override fun ownersOf(proto: Proto, source: InetSocketAddress, destination: InetSocketAddress) = emptyList<String>()
            }
            val rules = Rules(Identity.Builder().add(Kind.IMEI, Registration.IMEI).build())
            val engine = NativeEngine.start(Linux.openTun(args.single()), EngineOptions(), rules, host)
            println(RUNNING)
            runBlocking { engine.questions.first { it.isNotEmpty() } }
            println(ASKED)
            Thread.sleep(TimeUnit.MINUTES.toMillis(2))
            exitProcess(1) // nobody killed it
        }
    }
}
