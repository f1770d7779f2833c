package org.untold.internal;

public interface NativeCallbacks {
    boolean protect(int fd);

    String[] owner(int proto, String src, int srcPort, String dst, int dstPort);

    void events(byte[] batch);

    void stopped(String reason);
}
