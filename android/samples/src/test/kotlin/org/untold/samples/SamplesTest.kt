package org.untold.samples

import android.content.Intent
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.annotation.Config
import org.untold.HttpRequest
import org.untold.Kind
import org.untold.testing.Collector
import org.untold.testing.Linux
import org.untold.testing.Phone
import org.untold.testing.Registration
import org.untold.vpn.UntoldVpnService
import org.untold.vpn.testing.NativeRunner
import org.untold.vpn.testing.ShadowBuilder
import org.untold.vpn.testing.ShadowDescriptor
import org.untold.vpn.testing.ShadowOwners
import org.untold.vpn.testing.ShadowService
import org.untold.vpn.testing.resetShadows

@RunWith(NativeRunner::class)
@Config(sdk = [35], shadows = [ShadowDescriptor::class, ShadowBuilder::class, ShadowService::class, ShadowOwners::class])
class SamplesTest {
    @Before
    fun reset() = resetShadows()

    @Test
    fun `both find the registration of 2019`() {
        val request = HttpRequest("POST", "http://${Registration.HOST}/", body = Registration.body())
        assertTrue(Kind.IMEI in wouldTell(Registration.IMEI, request))
        assertTrue(Kind.IMEI in JavaSample.wouldTell(Registration.IMEI, "${Registration.HOST}:80", Registration.message()))
        val clean = HttpRequest("POST", "http://${Registration.HOST}/", body = "nothing".toByteArray())
        assertEquals(emptyList<Kind>(), wouldTell(Registration.IMEI, clean))
        assertEquals(emptyList<Kind>(), JavaSample.wouldTell(Registration.IMEI, "192.0.2.1:80", "nothing".toByteArray()))
    }

    @Test
    fun `the firewall in Kotlin blocks it`() = assertBlocks(Firewall::class.java)

    @Test
    fun `the firewall in Java blocks it`() = assertBlocks(JavaSample.Firewall::class.java)

    private fun assertBlocks(service: Class<out UntoldVpnService>) {
        Linux.assumeNamespace()
        ShadowBuilder.device = "sample0"
        val controller = Robolectric.buildService(service).create()
        controller.get().onStartCommand(Intent(), 0, 1)
        Linux.await("a tunnel") { Linux.run("ip", "link").contains("sample0") }
        Collector("198.51.100.21").use { collector ->
            Phone("sample0").use { phone ->
                phone.attach("10.215.173.1")
                val said = phone.post(collector.host, 80, Registration.message()).inputStream.bufferedReader().readText()
                assertTrue(said, said.contains("ConnectionResetError"))
                assertEquals(1, collector.connections)
                assertEquals(0, collector.bytes.size)
            }
        }
        controller.destroy()
        Linux.await("the service's threads are gone") { Linux.threads("untold") == 0 }
    }

    @Test
    fun `the README quotes both as they are`() {
        val readme = File(System.getProperty("untold.readme")).readText()
        val sources = File(System.getProperty("untold.samples"))
        for (path in listOf("kotlin/org/untold/samples/Sample.kt", "java/org/untold/samples/JavaSample.java")) {
            val body = File(sources, path).readText().let { it.substring(it.indexOf("/** Inside an app")) }
            assertTrue("README.md does not quote $path", readme.contains(body))
        }
    }
}
