package org.untold.internal;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.untold.ConfigException;

/** The native face, called by a plain JVM. Prints a line a check; a check that fails throws. */
public final class Smoke {
    private static final byte[] KEY = new byte[32];
    private static final byte[][] NO_LISTS = {};
    private static final String[] NONE = {};
    /** An address of this machine's; not a loopback one, which the engine refuses. */
    private static final String COLLECTOR = "192.0.2.9";

    public static void main(String[] args) {
        try {
            all();
        } catch (Throwable failure) {
            failure.printStackTrace();
            // The engine's threads are attached, and would keep the VM from ending.
            System.exit(1);
        }
    }

    private static void all() throws Exception {
        check("version", Native.version().matches("\\d+\\.\\d+\\.\\d+.*"));
        findsTheRegistration();
        judgesBytes();
        turnsFaultsIntoExceptions();
        turnsPanicsIntoExceptions();
        closesADescriptorThatItCannotUse();
        blocksTheRegistrationOnATun();
        tellsThatTheTunIsGone();
        startsAndStopsAThousandTimes();
        r17CallsBackAMillionTimes();
        goesOnAfterACallbackThrew();
        losesTheOldestAndCountsThem();
        System.out.println("native face: all checks passed");
    }

    private static void findsTheRegistration() throws Exception {
        long inspector = inspector(Registration.BLOCK);
        String[] headers = {"Content-Type", "application/encrypted-json"};
        String found = text(Native.inspectorRequest(
                inspector, "POST", "http://collector.example/", headers, Registration.body()));
        for (String expected : new String[] {
            "\"verdict\":\"block\"", "\"rule\":\"default.leak\"", "\"kind\":\"imei\"", "\"kind\":\"iccid\"",
            "\"kind\":\"wifi_mac\"", "\"chain\":[\"base64\"", "\"last4\":\"7518\""
        }) {
            check("the registration: " + expected, found.contains(expected));
        }
        check("no identifier in clear", !found.contains("490154203237518"));
        String clean = text(Native.inspectorRequest(inspector, "GET", "http://collector.example/", NONE, new byte[0]));
        check("a clean request", clean.contains("\"verdict\":\"allow\"") && clean.contains("\"findings\":[]"));
        Native.inspectorFree(inspector);
    }

    private static void judgesBytes() throws Exception {
        long inspector = inspector("");
        String found =
                text(Native.inspectorBytes(inspector, 6, "192.0.2.1:80", Registration.request("collector.example")));
        check("bytes", found.contains("\"verdict\":\"ask\"") && found.contains("\"at\":\"body\""));
        found = text(Native.inspectorBytes(inspector, 17, "192.0.2.1:9", "imei=490154203237518".getBytes(UTF_8)));
        check("a datagram", found.contains("\"at\":\"datagram\""));
        Native.inspectorFree(inspector);
        String answer = "[[rule]]\nto = \"192.0.2.1/32\"\nsends = [\"imei\"]\naction = \"allow\"\n";
        inspector = Native.inspectorNew(Registration.IDENTITY, Registration.BLOCK, answer, NO_LISTS, KEY);
        found = text(Native.inspectorBytes(inspector, 17, "192.0.2.1:9", "imei=490154203237518".getBytes(UTF_8)));
        check("an answer that allows", found.contains("\"verdict\":\"allow\"") && found.contains("\"approved\":true"));
        Native.inspectorFree(inspector);
    }

    private static void turnsFaultsIntoExceptions() throws Exception {
        try {
            Native.inspectorNew("", "[default]\nleak = \"perhaps\"\n", "", NO_LISTS, KEY);
            throw new AssertionError("a wrong policy was taken");
        } catch (ConfigException wrong) {
            check("file, line, column", wrong.file.equals("policy.toml") && wrong.line == 2 && wrong.column > 0);
        }
        fails(IllegalArgumentException.class, () -> Native.inspectorNew("", "", "", NO_LISTS, new byte[31]));
        fails(IllegalStateException.class, () -> Native.inspectorNew(null, "", "", NO_LISTS, KEY));
        long inspector = inspector("");
        byte[] none = {};
        String[] odd = {"name"};
        fails(IllegalArgumentException.class, () -> Native.inspectorRequest(inspector, "GET", "/", odd, none));
        fails(IllegalArgumentException.class, () -> Native.inspectorBytes(inspector, 5, "192.0.2.1", none));
        fails(IllegalArgumentException.class, () -> Native.inspectorBytes(inspector, 6, "a b", none));
        Native.inspectorFree(inspector);
        fails(IllegalStateException.class, () -> Native.inspectorFree(inspector));
        fails(IllegalStateException.class, () -> Native.inspectorRequest(inspector, "GET", "/", NONE, none));
        fails(IllegalStateException.class, () -> Native.engineStop(0));
        fails(IllegalArgumentException.class, () -> start(-1, "", new Recorder()));
    }

    private static void turnsPanicsIntoExceptions() {
        try {
            Testing.panic("490154203237518");
            throw new AssertionError("no panic");
        } catch (IllegalStateException panic) {
            check("the place of a panic", panic.getMessage().matches("fault at \\S+\\.rs:\\d+"));
        }
    }

    private static void closesADescriptorThatItCannotUse() {
        int before = count("fd");
        Pair pair = new Pair();
        fails(ConfigException.class, () -> start(pair.tun, "[default]\nleak = 1\n", new Recorder()));
        Testing.close(pair.app);
        check("descriptors after a start that failed", count("fd") == before);
    }

    private static void blocksTheRegistrationOnATun() throws Exception {
        Pair pair = new Pair();
        Recorder recorder = new Recorder();
        // A rule about apps makes the engine ask for owners.
        String policy = Registration.BLOCK + "[[rule]]\napp = \"com.example.other\"\naction = \"block\"\n";
        try (ServerSocket collector = new ServerSocket(0, 5, InetAddress.getByName(COLLECTOR))) {
            long engine = start(pair.tun, policy, recorder);
            Packet app = new Packet(collector.getInetAddress().getAddress(), collector.getLocalPort(), 40_000);
            Testing.send(pair.app, app.segment(Packet.SYN, 1000, 0, new byte[0]));
            byte[] reply = Testing.receive(pair.app);
            check("SYN-ACK", Packet.flags(reply) == (Packet.SYN | Packet.ACK));
            int ack = Packet.seq(reply) + 1;
            Testing.send(pair.app, app.segment(Packet.ACK, 1001, ack, new byte[0]));
            Testing.send(
                    pair.app,
                    app.segment(Packet.PSH | Packet.ACK, 1001, ack, Registration.request("collector.example")));
            do {
                reply = Testing.receive(pair.app);
            } while ((Packet.flags(reply) & Packet.RST) == 0);
            check("the sockets are protected", recorder.protectedSockets > 0);
            check("the owner is asked for", recorder.owners > 0);
            check("nothing leaves", received(collector) == 0);
            fails(IllegalArgumentException.class, () -> Native.engineAnswer(engine, 1, true, 4));
            Native.engineAnswer(engine, 1, true, 3);
            fails(ConfigException.class, () -> Native.engineSetRules(engine, "imei = 1", "", "", NO_LISTS));
            Native.engineSetRules(engine, Registration.IDENTITY, "", "", NO_LISTS);
            Native.engineStop(engine);
            fails(IllegalStateException.class, () -> Native.engineStop(engine));
            check("stopped without a reason", recorder.stopped().equals("-"));
            String events = recorder.events.toString();
            check("the finding", events.contains("\"event\":\"finding\"") && events.contains("\"verdict\":\"block\""));
            check("the flow's end", events.contains("\"event\":\"flow\"") && events.contains("\"bytes_out\":0"));
            check("no identifier in clear", !events.contains("490154203237518"));
            check("stopping from a callback is refused", recorder.refused);
        }
        Testing.close(pair.app);
    }

    private static void tellsThatTheTunIsGone() throws Exception {
        Pair pair = new Pair();
        Recorder recorder = new Recorder();
        long engine = start(pair.tun, "", recorder);
        Testing.close(pair.app);
        String reason = recorder.stopped();
        check("the reason: " + reason, reason.contains("tun"));
        Native.engineStop(engine);
    }

    private static void startsAndStopsAThousandTimes() throws Exception {
        Recorder recorder = new Recorder();
        cycle(recorder);
        int descriptors = count("fd");
        int threads = count("task");
        for (int round = 0; round < 1_000; round++) {
            cycle(recorder);
        }
        for (int wait = 0; count("task") > threads && wait < 100; wait++) {
            Thread.sleep(50);
        }
        check("descriptors after 1,000 starts: " + count("fd"), count("fd") <= descriptors);
        // The VM's own threads come and go.
        check("threads after 1,000 starts: " + count("task"), count("task") <= threads + 4);
    }

    private static void cycle(Recorder recorder) throws Exception {
        Pair pair = new Pair();
        Native.engineStop(start(pair.tun, "", recorder));
        Testing.close(pair.app);
        check(null, recorder.stopped().equals("-"));
    }

    /** anchors R17. One thread that never returns to Java; references that pile up there are told by -Xcheck:jni. */
    private static void r17CallsBackAMillionTimes() throws Exception {
        int times = 350_000;
        Recorder recorder = new Recorder() {
            @Override
            public void events(byte[] batch) {
                batches++;
            }
        };
        check("every owner is named", Testing.callBack(recorder, times) == 2 * times);
        check(
                "more than a million callbacks",
                recorder.batches + recorder.owners + recorder.protectedSockets == 3 * times
                        && recorder.stopped().equals("-"));
    }

    private static void goesOnAfterACallbackThrew() throws Exception {
        Recorder thrower = new Recorder() {
            @Override
            public void events(byte[] batch) {
                batches++;
                throw new RuntimeException("of the callback's own");
            }

            @Override
            public String[] owner(int proto, String src, int srcPort, String dst, int dstPort) {
                throw new RuntimeException("of the callback's own");
            }
        };
        check("no owner from one that throws", Testing.callBack(thrower, 100) == 0);
        check("a callback that throws is called again", thrower.batches == 100 && thrower.stopped().equals("-"));
    }

    private static void losesTheOldestAndCountsThem() throws Exception {
        int names = 1_000_000;
        Recorder slow = new Recorder() {
            @Override
            public void events(byte[] batch) {
                events.append(text(batch));
                try {
                    Thread.sleep(batches++ == 0 ? 500 : 1);
                } catch (InterruptedException interrupted) {
                    throw new AssertionError(interrupted);
                }
            }
        };
        Testing.flood(slow, names);
        check("all is delivered before the end", slow.stopped().equals("-"));
        int delivered = 0;
        long lost = 0;
        Matcher line = Pattern.compile("\"event\":\"(name|drop)\".*?(?:\"count\":(\\d+))?}\n").matcher(slow.events);
        while (line.find()) {
            if (line.group(1).equals("name")) {
                delivered++;
            } else {
                lost += Long.parseLong(line.group(2));
            }
        }
        check("delivered " + delivered + ", lost " + lost, delivered + lost == names && lost > names / 2);
        check("the question is not among the lost", slow.events.indexOf("\"event\":\"ask\"") >= 0);
        check("the newest are kept", slow.events.indexOf("\"" + (names - 1) + ".example\"") >= 0);
    }

    private static long inspector(String policy) throws Exception {
        return Native.inspectorNew(Registration.IDENTITY, policy, "", NO_LISTS, KEY);
    }

    private static long start(int tun, String policy, NativeCallbacks callbacks) throws Exception {
        return Native.engineStart(
                tun, 1500, 500, NONE, NONE, true, null, Registration.IDENTITY, policy, "", NO_LISTS, KEY, callbacks);
    }

    private static class Recorder implements NativeCallbacks {
        volatile int protectedSockets;
        volatile int owners;
        volatile int batches;
        volatile boolean refused;
        final StringBuffer events = new StringBuffer();
        private final BlockingQueue<String> stops = new LinkedBlockingQueue<>();

        @Override
        public boolean protect(int fd) {
            protectedSockets++;
            return true;
        }

        @Override
        public String[] owner(int proto, String src, int srcPort, String dst, int dstPort) {
            owners++;
            return new String[] {"com.example.registration", "uid:10001"};
        }

        @Override
        public void events(byte[] batch) {
            events.append(text(batch));
            try {
                Native.engineStop(1);
            } catch (IllegalStateException expected) {
                refused = expected.getMessage().contains("callback");
            }
        }

        @Override
        public void stopped(String reason) {
            stops.add(reason == null ? "-" : reason);
        }

        String stopped() throws InterruptedException {
            String reason = stops.poll(10, TimeUnit.SECONDS);
            return reason == null ? "not stopped" : reason;
        }
    }

    private static final class Pair {
        final int tun;
        final int app;

        Pair() {
            long pair = Testing.pair();
            tun = (int) (pair >> 32);
            app = (int) pair;
        }
    }

    private interface Body {
        void run() throws Exception;
    }

    private static void fails(Class<? extends Exception> how, Body body) {
        try {
            body.run();
        } catch (Exception exception) {
            check(how.getSimpleName() + ": " + exception.getMessage(), how == exception.getClass());
            return;
        }
        throw new AssertionError("no " + how);
    }

    private static void check(String what, boolean holds) {
        if (!holds) {
            throw new AssertionError(what);
        }
        if (what != null) {
            System.out.println("ok  " + what);
        }
    }

    /** How many bytes the first connection brings, until it ends or is reset. */
    private static int received(ServerSocket collector) throws IOException {
        collector.setSoTimeout(10_000);
        try (Socket socket = collector.accept()) {
            socket.setSoTimeout(10_000);
            return socket.getInputStream().readAllBytes().length;
        } catch (SocketException reset) {
            return 0;
        }
    }

    private static int count(String of) {
        return new File("/proc/self/" + of).list().length;
    }

    private static String text(byte[] bytes) {
        return new String(bytes, UTF_8);
    }

    private Smoke() {}
}
