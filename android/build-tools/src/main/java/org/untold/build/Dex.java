package org.untold.build;

import com.android.tools.r8.CompilationMode;
import com.android.tools.r8.Diagnostic;
import com.android.tools.r8.DiagnosticsHandler;
import com.android.tools.r8.JdkClassFileProvider;
import com.android.tools.r8.OutputMode;
import com.android.tools.r8.R8;
import com.android.tools.r8.R8Command;
import com.android.tools.r8.Version;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Shrinks class files and turns them into dex by R8; skipped while its inputs stay as they are, because it takes a minute. */
final class Dex {
    static List<Path> run(Main.Settings settings, Path out) throws Exception {
        List<Path> inputs = new ArrayList<>();
        for (String path : settings.text("classpath").split(File.pathSeparator)) {
            if (Files.exists(Path.of(path))) inputs.add(Path.of(path));
        }
        List<Path> rules = new ArrayList<>();
        for (String path : settings.text("rules").split(File.pathSeparator)) rules.add(Path.of(path));
        rules.add(out.resolve("aapt-rules.pro"));
        rules.addAll(Trees.find(settings.path("aars"), "proguard.txt"));

        Path dex = out.resolve("dex");
        Path stamp = out.resolve("dex.stamp");
        String state = String.join(" ", Version.getVersionString(), settings.text("min"), Trees.digest(inputs), Trees.digest(rules));
        if (!Files.exists(stamp) || !Files.readString(stamp).equals(state)) {
            Trees.delete(dex);
            Files.createDirectories(dex);
            R8.run(R8Command.builder(new Quiet())
                .setMode(CompilationMode.RELEASE)
                .setMinApiLevel(settings.number("min"))
                .setOutput(dex, OutputMode.DexIndexed)
                .setProguardMapOutputPath(out.resolve("mapping.txt"))
                .addProgramFiles(inputs)
                .addProguardConfigurationFiles(rules)
                .addLibraryFiles(settings.path("android"))
                .addLibraryResourceProvider(JdkClassFileProvider.fromJdkHome(Path.of(System.getProperty("java.home")))) // android-all has no java.*
                .build());
            Files.writeString(stamp, state);
        }
        return Trees.list(dex, ".dex");
    }

    /** Keeps warnings, without the hundreds of lines about rules that match nothing. */
    private static final class Quiet implements DiagnosticsHandler {
        @Override public void info(Diagnostic diagnostic) {
        }

        @Override public void warning(Diagnostic diagnostic) {
            if (diagnostic.getDiagnosticMessage().matches("Resource 'META-INF/.*' already exists.")) return;
            System.out.println("R8: " + diagnostic.getDiagnosticMessage());
        }
    }

    private Dex() {
    }
}
