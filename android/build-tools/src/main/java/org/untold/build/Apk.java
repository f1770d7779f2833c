package org.untold.build;

import com.android.apksig.ApkSigner;
import com.android.apksig.ApkVerifier;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;

/** Puts the APKs together: the unsigned one, reproducible, and one for tests, signed by a key that is made when missing. */
final class Apk {
    private static final int PAGE = 16_384; // of the largest pages Android runs with
    private static final String PASSWORD = "android";
    private static final String ALIAS = "androiddebugkey";

    static void run(Main.Settings settings) throws Exception {
        Path out = settings.path("out");
        List<Path> dex = Dex.run(settings, out);
        Path unsigned = assemble(settings, out.resolve("base.apk"), dex, settings.path("unsigned"));
        Path debug = assemble(settings, out.resolve("base.debug.apk"), dex, out.resolve("debug-unsigned.apk"));
        sign(debug, settings.path("debug"), settings.path("key"), settings.number("min"));
        long size = Files.size(unsigned);
        System.out.println(unsigned + ": " + size + " bytes");
        if (size > settings.number("limit")) throw new IOException("the APK is larger than " + settings.number("limit") + " bytes");
    }

    private static Path assemble(Main.Settings settings, Path base, List<Path> dex, Path out) throws Exception {
        Archive archive = new Archive();
        archive.addAll(base);
        for (Path file : dex) archive.add(file.getFileName().toString(), Files.readAllBytes(file));
        for (String abi : settings.text("abis").split(",")) {
            Path own = settings.path("natives").resolve(abi);
            // Without a library of ours an ABI is left out whole: a device that picks it would miss ours.
            if (Trees.list(own, ".so").isEmpty()) continue;
            for (Path library : Trees.list(own, ".so")) addLibrary(archive, abi, library);
            for (Path library : Trees.find(settings.path("aars"), ".so")) {
                if (library.getParent().getFileName().toString().equals(abi)) addLibrary(archive, abi, library);
            }
        }
        archive.write(out);
        return out;
    }

    private static void addLibrary(Archive archive, String abi, Path library) throws IOException {
        archive.addStored("lib/" + abi + "/" + library.getFileName(), Files.readAllBytes(library));
    }

    private static void sign(Path in, Path out, Path key, int min) throws Exception {
        if (!Files.exists(key)) makeKey(key);
        KeyStore store = KeyStore.getInstance(key.toFile(), PASSWORD.toCharArray());
        ApkSigner.SignerConfig signer = new ApkSigner.SignerConfig.Builder("CERT",
            (PrivateKey) store.getKey(ALIAS, PASSWORD.toCharArray()), List.of((X509Certificate) store.getCertificate(ALIAS))).build();
        new ApkSigner.Builder(List.of(signer)).setInputApk(in.toFile()).setOutputApk(out.toFile()).setMinSdkVersion(min)
            .setV1SigningEnabled(false).setV2SigningEnabled(true).setV3SigningEnabled(true)
            .setAlignmentPreserved(false).setLibraryPageAlignmentBytes(PAGE).build().sign();
        ApkVerifier.Result result = new ApkVerifier.Builder(out.toFile()).build().verify();
        if (!result.isVerified()) throw new IOException("signature: " + result.getErrors());
    }

    private static void makeKey(Path key) throws Exception {
        Files.createDirectories(key.getParent());
        int status = new ProcessBuilder(System.getProperty("java.home") + "/bin/keytool", "-genkeypair", "-keystore", key.toString(),
            "-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", ALIAS, "-keyalg", "RSA", "-keysize", "2048",
            "-validity", "10000", "-dname", "CN=Debug").inheritIO().start().waitFor();
        if (status != 0) throw new IOException("keytool ended with " + status);
    }

    private Apk() {
    }
}
