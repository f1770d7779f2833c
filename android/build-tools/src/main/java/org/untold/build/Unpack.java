package org.untold.build;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipInputStream;

/**
 * Takes a directory of AARs apart: all their code into one tree of classes, everything else under the AAR's name, with
 * resources compiled. Maven, an IDE and R8 then see one ordinary jar.
 */
final class Unpack {
    private final Path classes;
    private final Map<String, String> owners = new HashMap<>();

    private Unpack(Path classes) {
        this.classes = classes;
    }

    static void run(Main.Settings settings) throws Exception {
        Path classes = settings.path("classes");
        Path work = settings.path("work");
        Path stamp = work.resolve("stamp");
        List<Path> aars = Trees.list(settings.path("aars"), ".aar");
        StringBuilder state = new StringBuilder();
        for (Path aar : aars) state.append(aar.getFileName()).append(' ').append(Files.size(aar)).append('\n');
        if (Files.exists(stamp) && Files.readString(stamp).contentEquals(state)) return;
        Trees.delete(work);
        Trees.delete(classes);
        Unpack unpack = new Unpack(classes);
        for (Path aar : aars) unpack.unpack(aar, work.resolve(aar.getFileName().toString().replaceAll("\\.aar$", "")));
        Files.writeString(stamp, state);
        System.out.println(aars.size() + " AARs unpacked");
    }

    private void unpack(Path aar, Path dir) throws Exception {
        Files.createDirectories(dir);
        Files.createDirectories(classes);
        try (ZipFile zip = new ZipFile(aar.toFile())) {
            for (ZipEntry entry : Collections.list(zip.entries())) {
                if (entry.isDirectory()) continue;
                byte[] bytes = zip.getInputStream(entry).readAllBytes();
                if (entry.getName().matches("classes\\.jar|libs/.*\\.jar")) addClasses(dir.getFileName().toString(), bytes);
                else Trees.write(dir, entry.getName(), bytes);
            }
        }
        if (Files.isDirectory(dir.resolve("res"))) {
            Aapt2.run(List.of("compile", "--dir", dir.resolve("res").toString(), "-o", dir.resolve("res.zip").toString()));
        }
    }

    private void addClasses(String aar, byte[] jar) throws IOException {
        try (ZipInputStream in = new ZipInputStream(new ByteArrayInputStream(jar))) {
            for (ZipEntry entry; (entry = in.getNextEntry()) != null;) {
                String name = entry.getName();
                if (entry.isDirectory() || name.matches("META-INF/(MANIFEST\\.MF|(LICENSE|NOTICE)[^/]*|maven/.*)")) continue;
                byte[] bytes = in.readAllBytes();
                Path existing = classes.resolve(name);
                if (name.startsWith("META-INF/services/")) {
                    if (Files.exists(existing)) bytes = joined(Files.readAllBytes(existing), bytes);
                } else {
                    if (name.matches("META-INF/(proguard|com\\.android\\.tools)/.*")) {
                        int file = name.lastIndexOf('/') + 1;
                        name = name.substring(0, file) + aar + "-" + name.substring(file);
                    }
                    String other = owners.put(name, aar);
                    if (other != null && !Arrays.equals(Files.readAllBytes(classes.resolve(name)), bytes)) {
                        throw new IOException(name + " is in both " + other + " and " + aar);
                    }
                }
                Trees.write(classes, name, bytes);
            }
        }
    }

    private static byte[] joined(byte[] first, byte[] second) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        all.write(first);
        all.write('\n');
        all.write(second);
        return all.toByteArray();
    }
}
