package org.untold.internal;

import org.untold.ConfigException;

/** Native.kt for a JVM without Kotlin. */
public final class Native {
    private Native() {}

    static {
        System.load(System.getProperty("untold.library"));
    }

    public static native long inspectorNew(
            String identity, String policy, String answers, byte[][] lists, byte[] hashKey)
            throws ConfigException;

    public static native byte[] inspectorRequest(
            long handle, String method, String url, String[] headers, byte[] body);

    public static native byte[] inspectorBytes(long handle, int proto, String to, byte[] bytes);

    public static native void inspectorFree(long handle);

    public static native long engineStart(
            int tunFd,
            int mtu,
            int queue,
            String[] dns,
            String[] resolvers,
            boolean canAsk,
            String sink,
            String identity,
            String policy,
            String answers,
            byte[][] lists,
            byte[] hashKey,
            NativeCallbacks callbacks)
            throws ConfigException;

    public static native void engineSetRules(
            long handle, String identity, String policy, String answers, byte[][] lists)
            throws ConfigException;

    public static native void engineAnswer(long handle, long question, boolean allow, int scope);

    public static native void engineStop(long handle);

    public static native String version();
}
