package org.untold.build;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Zips a library without resources: classes, manifest, consumer rules and, where there are any, native libraries. */
final class Aar {
    static void run(Main.Settings settings) throws Exception {
        Archive archive = new Archive();
        archive.add("AndroidManifest.xml", Files.readAllBytes(settings.path("manifest")));
        archive.add("R.txt", new byte[0]);
        archive.add("classes.jar", Files.readAllBytes(settings.path("classes")));
        archive.add("proguard.txt", Files.readAllBytes(settings.path("rules")));
        archive.add("META-INF/com/android/build/gradle/aar-metadata.properties",
            "aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk=34\n".getBytes(StandardCharsets.UTF_8));
        String abis = settings.text("abis");
        for (String abi : abis.isEmpty() ? new String[0] : abis.split(",")) {
            for (Path library : Trees.list(settings.path("natives").resolve(abi), ".so")) {
                archive.add("jni/" + abi + "/" + library.getFileName(), Files.readAllBytes(library));
            }
        }
        archive.write(settings.path("out"));
    }

    private Aar() {
    }
}
