package org.untold.internal;

import com.github.unidbg.AndroidEmulator;
import com.github.unidbg.Emulator;
import com.github.unidbg.arm.Arm64Svc;
import com.github.unidbg.arm.backend.Unicorn2Factory;
import com.github.unidbg.arm.context.RegisterContext;
import com.github.unidbg.linux.android.AndroidEmulatorBuilder;
import com.github.unidbg.linux.android.AndroidResolver;
import com.github.unidbg.linux.android.dvm.AbstractJni;
import com.github.unidbg.linux.android.dvm.BaseVM;
import com.github.unidbg.linux.android.dvm.DvmClass;
import com.github.unidbg.linux.android.dvm.DvmObject;
import com.github.unidbg.linux.android.dvm.StringObject;
import com.github.unidbg.linux.android.dvm.VM;
import com.github.unidbg.linux.android.dvm.VaList;
import com.github.unidbg.linux.android.dvm.array.ArrayObject;
import com.github.unidbg.linux.android.dvm.array.ByteArray;
import com.sun.jna.Pointer;
import java.io.Closeable;
import java.io.File;
import java.io.IOException;

/** An emulated arm64 process with the library in it. */
final class Phone implements Closeable {
    private final AndroidEmulator emulator;
    private final VM vm;
    private final DvmClass natives;
    private final DvmClass testing;
    /** What {@code ThrowNew} has thrown and nobody caught. */
    private String pending;

    Phone(File library) {
        emulator = AndroidEmulatorBuilder.for64Bit()
                .setProcessName("org.untold")
                .addBackendFactory(new Unicorn2Factory(true))
                .build();
        emulator.getMemory().setLibraryResolver(new AndroidResolver(23));
        emulator.getSyscallHandler().setEnableThreadDispatcher(true);
        vm = emulator.createDalvikVM();
        vm.setJni(new Java());
        fillTheTable();
        DvmClass throwable = vm.resolveClass("java/lang/Throwable");
        vm.resolveClass("java/lang/IllegalArgumentException", throwable);
        vm.resolveClass("java/lang/IllegalStateException", throwable);
        vm.loadLibrary(library, true);
        natives = vm.resolveClass("org/untold/internal/Native");
        testing = vm.resolveClass("org/untold/internal/Testing");
    }

    /** Calls a native of {@link Native}; a pending exception is thrown here. */
    Object call(String signature, Object... arguments) {
        return call(natives, signature, arguments);
    }

    /** Calls a native of {@link Testing}. */
    Object test(String signature, Object... arguments) {
        return call(testing, signature, arguments);
    }

    /** The exception that a native of {@link Native} ends with, as {@code class: message}. */
    String failure(String signature, Object... arguments) {
        return failure(natives, signature, arguments);
    }

    /** As {@link #failure}, of {@link Testing}. */
    String testFailure(String signature, Object... arguments) {
        return failure(testing, signature, arguments);
    }

    ByteArray bytes(byte[] bytes) {
        return new ByteArray(vm, bytes);
    }

    StringObject string(String text) {
        return new StringObject(vm, text);
    }

    ArrayObject strings(String... texts) {
        return ArrayObject.newStringArray(vm, texts);
    }

    @Override
    public void close() throws IOException {
        emulator.close();
    }

    private String failure(DvmClass of, String signature, Object... arguments) {
        try {
            call(of, signature, arguments);
        } catch (Thrown thrown) {
            return thrown.getMessage();
        }
        throw new AssertionError("no exception from " + signature);
    }

    private Object call(DvmClass of, String signature, Object... arguments) {
        Object result = invoke(of, signature, arguments);
        if (pending != null) {
            Thrown thrown = new Thrown(pending);
            pending = null;
            throw thrown;
        }
        return result;
    }

    private Object invoke(DvmClass of, String signature, Object... arguments) {
        if (signature.endsWith(")J")) {
            return of.callStaticJniMethodLong(emulator, signature, arguments);
        }
        if (signature.endsWith(")V")) {
            of.callStaticJniMethod(emulator, signature, arguments);
            return null;
        }
        DvmObject<?> result = of.callStaticJniMethodObject(emulator, signature, arguments);
        return result == null ? null : result.getValue();
    }

    /** The emulator's VM leaves out, or simplifies away, what the crate {@code jni} needs. */
    private void fillTheTable() {
        Pointer table = vm.getJNIEnv().getPointer(0);
        table.setPointer(4 * 8, emulator.getSvcMemory().registerSvc(new Arm64Svc() {
            @Override
            public long handle(Emulator<?> emulator) {
                return 0x00010006; // GetVersion
            }
        }));
        table.setPointer(14 * 8, emulator.getSvcMemory().registerSvc(new Arm64Svc() {
            @Override
            public long handle(Emulator<?> emulator) { // ThrowNew
                RegisterContext context = emulator.getContext();
                DvmObject<?> type = vm.getObject(context.getIntArg(1));
                pending = ((DvmClass) type).getClassName() + ": " + context.getPointerArg(2).getString(0);
                return 0;
            }
        }));
        table.setPointer(228 * 8, emulator.getSvcMemory().registerSvc(new Arm64Svc() {
            @Override
            public long handle(Emulator<?> emulator) { // ExceptionCheck
                return pending == null ? 0 : 1;
            }
        }));
        table.setPointer(11 * 8, emulator.getSvcMemory().registerSvc(new Arm64Svc() {
            @Override
            public long handle(Emulator<?> emulator) { // IsAssignableFrom
                RegisterContext context = emulator.getContext();
                DvmObject<?> sub = vm.getObject(context.getIntArg(1));
                DvmObject<?> sup = vm.getObject(context.getIntArg(2));
                if (sub == sup) {
                    return 1;
                }
                for (DvmClass at = sub instanceof DvmClass ? (DvmClass) sub : null; at != null; at = at.getSuperclass()) {
                    if (at == sup) {
                        return 1;
                    }
                }
                return 0;
            }
        }));
    }

    /** An exception of the emulated process. */
    private static final class Thrown extends RuntimeException {
        private static final long serialVersionUID = 1;

        Thrown(String what) {
            super(what);
        }
    }

    /** Java as far as the library calls it. */
    private static final class Java extends AbstractJni {
        @Override
        public DvmObject<?> callStaticObjectMethodV(BaseVM vm, DvmClass of, String signature, VaList arguments) {
            switch (signature) {
                case "java/lang/Thread->currentThread()Ljava/lang/Thread;":
                    return vm.resolveClass("java/lang/Thread").newObject(null);
                case "java/lang/Class->forName(Ljava/lang/String;ZLjava/lang/ClassLoader;)Ljava/lang/Class;":
                    String name = (String) arguments.getObjectArg(0).getValue();
                    return vm.resolveClass(name.replace('.', '/'));
                default:
                    return super.callStaticObjectMethodV(vm, of, signature, arguments);
            }
        }

        @Override
        public DvmObject<?> callObjectMethodV(BaseVM vm, DvmObject<?> on, String signature, VaList arguments) {
            if (signature.equals("java/lang/Thread->getContextClassLoader()Ljava/lang/ClassLoader;")) {
                return vm.resolveClass("java/lang/ClassLoader").newObject(null);
            }
            return super.callObjectMethodV(vm, on, signature, arguments);
        }
    }
}
