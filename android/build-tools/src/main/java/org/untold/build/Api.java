package org.untold.build;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.spi.ToolProvider;
import java.util.stream.Collectors;

/**
 * Compares what a library shows to its users with a committed dump: {@code dump} is read, or with {@code write=true}
 * written. Packages named {@code internal} are nobody's business, nor are members whose names Kotlin mangles with {@code $}.
 */
final class Api {
    static void run(Main.Settings settings) throws Exception {
        Path classes = settings.path("classes");
        List<String> args = new ArrayList<>(List.of("-protected", "-classpath", classes + ":" + settings.text("classpath")));
        for (Path file : Trees.find(classes, ".class")) {
            String name = classes.relativize(file).toString();
            if (!name.contains("/internal/") && !name.matches(".*\\$\\d+\\.class|META-INF/.*")) args.add(file.toString());
        }
        StringWriter text = new StringWriter();
        ToolProvider javap = ToolProvider.findFirst("javap").orElseThrow(() -> new IOException("a JDK is needed, for javap"));
        int status = javap.run(new PrintWriter(text), new PrintWriter(System.err), args.toArray(String[]::new));
        if (status != 0) throw new IOException("javap ended with " + status);
        String now = text.toString().lines()
            .filter(line -> !line.startsWith("Compiled from") && (!line.matches("  .*\\w\\$\\w.*\\(.*") || line.contains("class ")))
            .collect(Collectors.joining("\n")) + "\n";

        Path dump = settings.path("dump");
        if (settings.text("write").equals("true")) {
            Files.writeString(dump, now);
        } else if (!Files.exists(dump) || !Files.readString(dump).equals(now)) {
            List<String> changed = new ArrayList<>(now.lines().toList());
            if (Files.exists(dump)) changed.removeAll(Files.readString(dump).lines().toList());
            throw new IOException("the public API is not that of " + dump.getFileName() + " (-Dapi.write=true writes it anew): "
                + (changed.isEmpty() ? Collections.singletonList("something is gone") : changed));
        }
    }

    private Api() {
    }
}
