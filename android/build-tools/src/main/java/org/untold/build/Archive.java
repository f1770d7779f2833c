package org.untold.build;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** A zip to be written: sorted entries and one fixed time, so that the same contents give the same bytes. */
final class Archive {
    private static final long TIME = 315619200000L; // 2 January 1980: zip knows nothing earlier, in any time zone

    private final TreeMap<String, byte[]> entries = new TreeMap<>();
    private final Set<String> stored = new HashSet<>();

    void add(String name, byte[] bytes) {
        entries.put(name, bytes);
    }

    /** Adds an entry that Android maps into memory and that must therefore not be compressed. */
    void addStored(String name, byte[] bytes) {
        entries.put(name, bytes);
        stored.add(name);
    }

    void addAll(Path zip) throws IOException {
        try (ZipFile file = new ZipFile(zip.toFile())) {
            for (ZipEntry entry : Collections.list(file.entries())) {
                byte[] bytes = file.getInputStream(entry).readAllBytes();
                if (entry.getMethod() == ZipEntry.STORED) addStored(entry.getName(), bytes);
                else add(entry.getName(), bytes);
            }
        }
    }

    void write(Path out) throws IOException {
        Files.createDirectories(out.getParent());
        try (ZipOutputStream zip = new ZipOutputStream(new BufferedOutputStream(Files.newOutputStream(out)))) {
            for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
                byte[] bytes = entry.getValue();
                ZipEntry header = new ZipEntry(entry.getKey());
                header.setTime(TIME);
                if (stored.contains(entry.getKey())) {
                    CRC32 crc = new CRC32();
                    crc.update(bytes);
                    header.setMethod(ZipEntry.STORED);
                    header.setSize(bytes.length);
                    header.setCrc(crc.getValue());
                }
                zip.putNextEntry(header);
                zip.write(bytes);
                zip.closeEntry();
            }
        }
    }
}
