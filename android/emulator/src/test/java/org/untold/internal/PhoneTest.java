package org.untold.internal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertTrue;

import com.github.unidbg.linux.android.dvm.array.ArrayObject;
import java.io.File;
import java.util.HexFormat;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

public class PhoneTest {
    private static final String NEW = "(Ljava/lang/String;Ljava/lang/String;Ljava/lang/String;[[B[B)J";

    private Phone phone;

    @Before
    public void start() {
        phone = new Phone(new File(System.getProperty("untold.library")));
    }

    @After
    public void stop() throws Exception {
        phone.close();
    }

    @Test
    public void says_its_version() {
        assertTrue(((String) phone.call("version()Ljava/lang/String;")).matches("\\d+\\.\\d+\\.\\d+.*"));
    }

    @Test
    public void finds_and_blocks_the_registration() {
        long inspector = inspector(Registration.BLOCK);
        String found = text(phone.call(
                "inspectorRequest(JLjava/lang/String;Ljava/lang/String;[Ljava/lang/String;[B)[B",
                inspector,
                phone.string("POST"),
                phone.string("http://collector.example/"),
                phone.strings("Content-Type", "application/encrypted-json"),
                phone.bytes(Registration.body())));
        assertTrue(found, found.contains("\"verdict\":\"block\""));
        assertTrue(found, found.contains("\"kind\":\"imei\"") && found.contains("\"last4\":\"7518\""));
        assertFalse(found, found.contains("490154203237518"));
        phone.call("inspectorFree(J)V", inspector);
        assertEquals("java/lang/IllegalStateException: closed", phone.failure("inspectorFree(J)V", inspector));
    }

    @Test
    public void a_panic_is_an_exception_and_no_crash() {
        String exception = phone.testFailure("panic(Ljava/lang/String;)V", phone.string("490154203237518"));
        assertTrue(exception, exception.matches("java/lang/IllegalStateException: fault at \\S+\\.rs:\\d+"));
        assertTrue(((String) phone.call("version()Ljava/lang/String;")).startsWith("0"));
    }

    @Test
    public void not_one_byte_of_the_registration_leaves_an_engine() {
        long engine = (long) phone.test("feedNew" + NEW, rules(Registration.BLOCK));
        Packet app = new Packet(new byte[] {(byte) 203, 0, 113, 9}, 80, 40_000);
        String reply = feed(engine, app.segment(Packet.SYN, 1000, 0, new byte[0]));
        byte[] packet = packet(reply);
        assertEquals(reply, Packet.SYN | Packet.ACK, Packet.flags(packet));
        int ack = Packet.seq(packet) + 1;
        feed(engine, app.segment(Packet.ACK, 1001, ack, new byte[0]));
        byte[] request = Registration.request("collector.example");
        reply = feed(engine, app.segment(Packet.PSH | Packet.ACK, 1001, ack, request));
        assertTrue(reply, reply.contains("\"sent\":\"\""));
        assertTrue(reply, reply.contains("\"event\":\"finding\"") && reply.contains("\"kind\":\"imei\""));
        assertNotEquals(reply, 0, Packet.flags(packet(reply)) & Packet.RST);
        String end = text(phone.test("feedEnd(J)[B", engine));
        assertTrue(end, (reply + end).contains("\"bytes_out\":0"));
    }

    @Test
    public void what_carries_nothing_goes_as_it_is() {
        long engine = (long) phone.test("feedNew" + NEW, rules(Registration.BLOCK));
        Packet app = new Packet(new byte[] {(byte) 203, 0, 113, 9}, 80, 40_001);
        String reply = feed(engine, app.segment(Packet.SYN, 1000, 0, new byte[0]));
        int ack = Packet.seq(packet(reply)) + 1;
        feed(engine, app.segment(Packet.ACK, 1001, ack, new byte[0]));
        byte[] request = "GET / HTTP/1.1\r\nHost: collector.example\r\n\r\n".getBytes(UTF_8);
        reply = feed(engine, app.segment(Packet.PSH | Packet.ACK, 1001, ack, request));
        assertTrue(reply, reply.contains("\"sent\":\"" + HexFormat.of().formatHex(request) + "\""));
        phone.test("feedEnd(J)[B", engine);
    }

    private long inspector(String policy) {
        return (long) phone.call("inspectorNew" + NEW, rules(policy));
    }

    private Object[] rules(String policy) {
        return new Object[] {
            phone.string(Registration.IDENTITY),
            phone.string(policy),
            phone.string(""),
            new ArrayObject(),
            phone.bytes(new byte[32])
        };
    }

    private String feed(long engine, byte[] packet) {
        return text(phone.test("feed(J[B)[B", engine, phone.bytes(packet)));
    }

    /** The last packet of an answer. */
    private static byte[] packet(String reply) {
        Matcher packets = Pattern.compile("\"packets\":\\[(?:\"[0-9a-f]*\",)*\"([0-9a-f]*)\"\\]").matcher(reply);
        assertTrue(reply, packets.find());
        return HexFormat.of().parseHex(packets.group(1));
    }

    private static String text(Object bytes) {
        return new String((byte[]) bytes, UTF_8);
    }
}
