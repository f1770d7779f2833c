package org.untold.build;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.TimeZone;
import java.util.TreeMap;

/** The steps of the build that Maven has no plugin for: {@code unpack}, {@code link}, {@code apk}, {@code aar}, {@code api}. */
public final class Main {
    /** Runs the step named first; what follows are settings, {@code key=value}. */
    public static void main(String[] args) throws Exception {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC")); // zip entries carry local time
        Settings settings = new Settings(args);
        switch (args[0]) {
            case "unpack" -> Unpack.run(settings);
            case "link" -> Link.run(settings);
            case "apk" -> Apk.run(settings);
            case "aar" -> Aar.run(settings);
            case "api" -> Api.run(settings);
            default -> throw new IllegalArgumentException("no such step: " + args[0]);
        }
    }

    private Main() {
    }

    /** The settings of a step. */
    static final class Settings {
        private final Map<String, String> values = new TreeMap<>();

        Settings(String[] args) {
            for (String arg : Arrays.asList(args).subList(1, args.length)) {
                int at = arg.indexOf('=');
                values.put(arg.substring(0, at), arg.substring(at + 1));
            }
        }

        String text(String key) {
            String value = values.get(key);
            if (value == null) throw new IllegalArgumentException("missing " + key + "=…");
            return value;
        }

        Path path(String key) {
            return Path.of(text(key));
        }

        int number(String key) {
            return Integer.parseInt(text(key));
        }
    }
}
