package org.untold.build;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/** Directories, in an order that does not depend on the machine. */
final class Trees {
    /** Files right inside {@code dir} whose name ends so. */
    static List<Path> list(Path dir, String suffix) throws IOException {
        if (!Files.isDirectory(dir)) return List.of();
        try (Stream<Path> found = Files.list(dir)) {
            return found.filter(path -> path.toString().endsWith(suffix)).sorted().toList();
        }
    }

    /** Files anywhere under {@code dir} whose name ends so. */
    static List<Path> find(Path dir, String suffix) throws IOException {
        if (!Files.isDirectory(dir)) return List.of();
        try (Stream<Path> found = Files.walk(dir)) {
            return found.filter(path -> Files.isRegularFile(path) && path.toString().endsWith(suffix)).sorted().toList();
        }
    }

    /** Directories right inside {@code dir}. */
    static List<Path> directories(Path dir) throws IOException {
        try (Stream<Path> found = Files.list(dir)) {
            return found.filter(Files::isDirectory).sorted().toList();
        }
    }

    static void delete(Path dir) throws IOException {
        if (!Files.exists(dir)) return;
        List<Path> all = new ArrayList<>();
        try (Stream<Path> found = Files.walk(dir)) {
            found.sorted(Comparator.reverseOrder()).forEach(all::add);
        }
        for (Path path : all) Files.delete(path);
    }

    /** Writes below {@code dir}; a name that leads out of it is refused. */
    static void write(Path dir, String name, byte[] bytes) throws IOException {
        Path path = dir.resolve(name).normalize();
        if (!path.startsWith(dir)) throw new IOException("entry leads out of its archive: " + name);
        Files.createDirectories(path.getParent());
        Files.write(path, bytes);
    }

    /** A digest over names and contents. */
    static String digest(List<Path> files) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (Path file : files) {
            digest.update(file.getFileName().toString().getBytes());
            digest.update(Files.readAllBytes(file));
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private Trees() {
    }
}
