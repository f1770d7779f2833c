package org.untold.internal;

/** Natives of the Cargo feature {@code jni-test}. */
public final class Testing {
    private Testing() {}

    public static native void panic(String secret);

    /** {@code first << 32 | second}. */
    public static native long pair();

    public static native void send(int fd, byte[] packet);

    public static native byte[] receive(int fd);

    public static native void close(int fd);

    public static native int callBack(NativeCallbacks callbacks, int times);

    public static native void flood(NativeCallbacks callbacks, int names);
}
