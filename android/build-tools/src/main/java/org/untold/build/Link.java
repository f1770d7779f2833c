package org.untold.build;

import com.android.manifmerger.ManifestMerger2;
import com.android.manifmerger.ManifestSystemProperty;
import com.android.manifmerger.MergingReport;
import com.android.utils.StdLogger;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Merges the manifests and links the resources of the app and of all AARs: {@code AndroidManifest.xml}, the R classes, keep
 * rules and {@code base.apk} under {@code out}, and the same manifest and base for the debug application id.
 */
final class Link {
    private static final Pattern PACKAGE = Pattern.compile("\\spackage=\"([^\"]+)\"");

    private final Main.Settings settings;
    private final Path out;
    private final List<Path> aars;

    private Link(Main.Settings settings) throws IOException {
        this.settings = settings;
        this.out = Files.createDirectories(settings.path("out"));
        this.aars = Trees.directories(settings.path("aars"));
    }

    static void run(Main.Settings settings) throws Exception {
        Link link = new Link(settings);
        Path res = link.out.resolve("res.zip");
        Aapt2.run(List.of("compile", "--pseudo-localize", "--dir", settings.text("res"), "-o", res.toString()));
        String id = settings.text("package");
        Path gen = link.out.resolve("gen");
        Trees.delete(gen);
        link.link(link.merge(id, "AndroidManifest.xml"), res, "base.apk",
            List.of("--java", gen.toString(), "--proguard", link.out.resolve("aapt-rules.pro").toString()));
        link.link(link.merge(id + ".debug", "AndroidManifest.debug.xml"), res, "base.debug.apk", List.of("--debug-mode"));
    }

    private Path merge(String id, String name) throws Exception {
        ManifestMerger2.Invoker merger = ManifestMerger2
            .newMerger(settings.path("manifest").toFile(), new StdLogger(StdLogger.Level.WARNING), ManifestMerger2.MergeType.APPLICATION)
            .setOverride(ManifestSystemProperty.Document.PACKAGE, id)
            .setOverride(ManifestSystemProperty.UsesSdk.MIN_SDK_VERSION, settings.text("min"))
            .setOverride(ManifestSystemProperty.UsesSdk.TARGET_SDK_VERSION, settings.text("target"))
            .withFeatures(ManifestMerger2.Invoker.Feature.REMOVE_TOOLS_DECLARATIONS, ManifestMerger2.Invoker.Feature.MAKE_AAPT_SAFE);
        for (Path aar : aars) merger.addLibraryManifest(aar.resolve("AndroidManifest.xml").toFile());
        MergingReport report = merger.merge();
        if (report.getResult().isError()) throw new IOException("manifest: " + report.getReportString() + report.getLoggingRecords());
        Path merged = out.resolve(name);
        Files.writeString(merged, report.getMergedDocument(MergingReport.MergedManifestKind.MERGED));
        return merged;
    }

    private void link(Path manifest, Path res, String base, List<String> more) throws Exception {
        List<String> args = new ArrayList<>(List.of("link", "-o", out.resolve(base).toString(), "--manifest", manifest.toString(),
            "-I", settings.text("android"), "--auto-add-overlay", "--no-version-vectors",
            "--min-sdk-version", settings.text("min"), "--target-sdk-version", settings.text("target"),
            "-c", settings.text("locales"))); // the AARs bring 85 languages
        args.addAll(more);
        SortedSet<String> packages = new TreeSet<>();
        for (Path aar : aars) {
            Matcher name = PACKAGE.matcher(Files.readString(aar.resolve("AndroidManifest.xml")));
            Path symbols = aar.resolve("R.txt");
            if (name.find() && Files.exists(symbols) && Files.size(symbols) > 0) packages.add(name.group(1));
            if (Files.exists(aar.resolve("res.zip"))) args.addAll(List.of("-R", aar.resolve("res.zip").toString()));
            if (Files.isDirectory(aar.resolve("assets"))) args.addAll(List.of("-A", aar.resolve("assets").toString()));
        }
        args.addAll(List.of("-R", res.toString()));
        if (!packages.isEmpty()) args.addAll(List.of("--extra-packages", String.join(":", packages)));
        Aapt2.run(args);
    }
}
