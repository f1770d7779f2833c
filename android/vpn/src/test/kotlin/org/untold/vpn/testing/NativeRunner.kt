package org.untold.vpn.testing

import org.junit.runners.model.FrameworkMethod
import org.robolectric.RobolectricTestRunner
import org.robolectric.internal.bytecode.InstrumentationConfiguration
import org.untold.ConfigException

/**
 * Runs tests with the real engine. A native library is loaded once per JVM, and every API level has a class loader of its
 * own: the classes that it knows by name stay in the JVM's.
 */
class NativeRunner(test: Class<*>) : RobolectricTestRunner(test) {
    override fun createClassLoaderConfig(method: FrameworkMethod): InstrumentationConfiguration =
        InstrumentationConfiguration.Builder(super.createClassLoaderConfig(method))
            .doNotAcquireClass(ConfigException::class.java)
            .doNotAcquireClass("org.untold.internal.Native")
            .doNotAcquireClass("org.untold.internal.NativeCallbacks")
            .doNotAcquirePackage("org.untold.testing.")
            .doNotAcquirePackage("com.sun.jna.")
            .build()
}
