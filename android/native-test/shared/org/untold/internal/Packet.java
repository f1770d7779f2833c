package org.untold.internal;

import java.nio.ByteBuffer;

/** TCP over IPv4, as an app's kernel would send it. */
final class Packet {
    static final int FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16;

    final byte[] src = {10, 0, 0, 2};
    final byte[] dst;
    final int srcPort;
    final int dstPort;

    Packet(byte[] dst, int dstPort, int srcPort) {
        this.dst = dst;
        this.dstPort = dstPort;
        this.srcPort = srcPort;
    }

    byte[] segment(int flags, int seq, int ack, byte[] payload) {
        ByteBuffer packet = ByteBuffer.allocate(40 + payload.length);
        packet.put((byte) 0x45).put((byte) 0).putShort((short) packet.capacity());
        packet.putShort((short) 0).putShort((short) 0x4000).put((byte) 64).put((byte) 6).putShort((short) 0);
        packet.put(src).put(dst);
        packet.putShort((short) srcPort).putShort((short) dstPort).putInt(seq).putInt(ack);
        packet.put((byte) 0x50).put((byte) flags).putShort((short) 0xffff).putInt(0);
        packet.put(payload);
        packet.putShort(10, sum(packet, 0, 20, 0));
        int pseudo = 6 + 20 + payload.length;
        for (int at = 12; at < 20; at += 2) {
            pseudo += packet.getShort(at) & 0xffff;
        }
        packet.putShort(36, sum(packet, 20, packet.capacity(), pseudo));
        return packet.array();
    }

    static int flags(byte[] packet) {
        return packet[header(packet) + 13] & 0xff;
    }

    static int seq(byte[] packet) {
        return ByteBuffer.wrap(packet).getInt(header(packet) + 4);
    }

    private static int header(byte[] packet) {
        return (packet[0] & 0xf) * 4;
    }

    private static short sum(ByteBuffer packet, int from, int to, int start) {
        int sum = start;
        for (int at = from; at < to; at += 2) {
            sum += (packet.get(at) & 0xff) << 8;
            sum += at + 1 < to ? packet.get(at + 1) & 0xff : 0;
        }
        while (sum >> 16 != 0) {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        return (short) ~sum;
    }
}
