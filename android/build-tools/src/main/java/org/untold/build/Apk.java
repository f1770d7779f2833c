package org.untold.build;

import com.android.apksig.ApkSigner;
import com.android.apksig.ApkVerifier;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.Collections;
import java.util.List;

/**
 * Puts the APKs together: the unsigned one, reproducible; one for tests, signed by a key that is made when missing; and, where
 * {@code release} names a key store, the unsigned one signed by the key in it.
 */
final class Apk {
    private static final int PAGE = 16_384; // of the largest pages Android runs with
    private static final String PASSWORD = "android";
    private static final String ALIAS = "androiddebugkey";
    private static final String RELEASE_PASSWORD = "UNTOLD_KEY_PASSWORD"; // in the environment: arguments are in everybody's sight

    static void run(Main.Settings settings) throws Exception {
        Path out = settings.path("out");
        List<Path> dex = Dex.run(settings, out);
        Path unsigned = assemble(settings, out.resolve("base.apk"), dex, settings.path("unsigned"));
        Path debug = assemble(settings, out.resolve("base.debug.apk"), dex, out.resolve("debug-unsigned.apk"));
        Path key = settings.path("key");
        if (!Files.exists(key)) makeKey(key);
        sign(debug, settings.path("debug"), key, PASSWORD, settings.number("min"));
        if (!settings.text("release").isEmpty()) release(settings, unsigned);
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

    private static void release(Main.Settings settings, Path unsigned) throws Exception {
        String password = System.getenv(RELEASE_PASSWORD);
        if (password == null) throw new IOException("the release key's password is missing: set " + RELEASE_PASSWORD);
        Path signed = settings.path("signed");
        sign(unsigned, signed, settings.path("release"), password, settings.number("min"));
        System.out.println(signed + ": signed for release");
    }

    /** Signs with the one key of a key store. */
    private static void sign(Path in, Path out, Path key, String password, int min) throws Exception {
        KeyStore store = KeyStore.getInstance(key.toFile(), password.toCharArray());
        List<String> aliases = Collections.list(store.aliases());
        if (aliases.size() != 1) throw new IOException(key + " holds " + aliases.size() + " keys; one is expected");
        String alias = aliases.get(0);
        ApkSigner.SignerConfig signer = new ApkSigner.SignerConfig.Builder("CERT",
            (PrivateKey) store.getKey(alias, password.toCharArray()), List.of((X509Certificate) store.getCertificate(alias))).build();
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
