package org.untold.build;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Google's resource compiler, taken out of the apktool jar, which carries it for every desktop system. */
final class Aapt2 {
    private static Path program;

    static void run(List<String> args) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(args);
        command.add(0, program().toString());
        int status = new ProcessBuilder(command).inheritIO().start().waitFor();
        if (status != 0) throw new IOException("aapt2 ended with " + status + ": " + command);
    }

    private static Path program() throws IOException {
        if (program != null) return program;
        String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String name = system.startsWith("mac") ? "macosx/aapt2" : system.startsWith("win") ? "windows/aapt2.exe" : "linux/aapt2";
        Path file = Files.createTempFile("aapt2-", ".exe");
        file.toFile().deleteOnExit();
        try (InputStream in = Aapt2.class.getClassLoader().getResourceAsStream("prebuilt/" + name)) {
            Files.write(file, in.readAllBytes());
        }
        if (!file.toFile().setExecutable(true)) throw new IOException("cannot make " + file + " executable");
        program = file;
        return file;
    }

    private Aapt2() {
    }
}
