//! A tun that is a pair of sockets. Android's libraries do without.

use std::{
    mem::ManuallyDrop,
    os::{
        fd::{FromRawFd, IntoRawFd},
        unix::net::UnixDatagram,
    },
    time::Duration,
};

use jni::{
    EnvUnowned, jni_mangle,
    objects::{JByteArray, JClass},
    sys::{jint, jlong},
};
use socket2::{Domain, Socket, Type};

use crate::jni::trap::call;

/// Two descriptors that are each other's other end, the first of which can be an engine's tun: `first << 32 | second`.
#[jni_mangle("org.untold.internal.Testing")]
pub fn pair<'local>(env: EnvUnowned<'local>, _: JClass<'local>) -> jlong {
    call(env, |_| {
        let (tun, app) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        Ok(jlong::from(tun.into_raw_fd()) << 32 | jlong::from(app.into_raw_fd()))
    })
}

/// Sends a packet from the second end of a `pair`.
#[jni_mangle("org.untold.internal.Testing")]
pub fn send<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    fd: jint,
    packet: JByteArray<'local>,
) {
    call(env, |env| {
        let packet = env.convert_byte_array(&packet)?;
        app_end(fd).send(&packet)?;
        Ok(())
    })
}

/// The next packet at the second end of a `pair`; an `IOException` where none comes within ten seconds.
#[jni_mangle("org.untold.internal.Testing")]
pub fn receive<'local>(env: EnvUnowned<'local>, _: JClass<'local>, fd: jint) -> JByteArray<'local> {
    call(env, |env| {
        let app = app_end(fd);
        app.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut room = [0; 2048];
        let len = app.recv(&mut room)?;
        Ok(env.byte_array_from_slice(&room[..len])?)
    })
}

/// Closes the second end of a `pair`.
#[jni_mangle("org.untold.internal.Testing")]
pub fn close<'local>(env: EnvUnowned<'local>, _: JClass<'local>, fd: jint) {
    call(env, |_| {
        drop(ManuallyDrop::into_inner(app_end(fd)));
        Ok(())
    })
}

fn app_end(fd: jint) -> ManuallyDrop<UnixDatagram> {
    // SAFETY: tests pass what `pair` gave them, and have not closed it.
    ManuallyDrop::new(unsafe { UnixDatagram::from_raw_fd(fd) })
}
