use std::{
    cell::Cell,
    io,
    os::fd::{AsRawFd, BorrowedFd},
    sync::Arc,
};

use jni::{
    Env,
    errors::Error,
    ids::JMethodID,
    jni_sig, jni_str,
    objects::{JObject, JObjectArray, JString, JValue},
    refs::Global,
    signature::{Primitive, ReturnType},
};

use super::{convert::names, machine::Machine};
use crate::{
    event::Proto,
    io::{FindOwner, Pair, Protect, foreign, outbox::Deliver},
};

/// A `NativeCallbacks` of Kotlin's, called from the engine's threads.
///
/// Each call has a frame for its local references, so that a thread that never returns to Java piles up none.
#[derive(Clone)]
pub(super) struct Callbacks(Arc<Inner>);

struct Inner {
    machine: &'static Machine,
    object: Global<JObject<'static>>,
    protect: JMethodID,
    owner: JMethodID,
    events: JMethodID,
    stopped: JMethodID,
}

impl Callbacks {
    /// # Errors
    /// Where the object is null or lacks a method.
    pub(super) fn new(env: &mut Env<'_>, object: &JObject<'_>) -> Result<Self, Error> {
        let machine = Machine::get(env)?;
        let class = env.get_object_class(object)?;
        Ok(Callbacks(Arc::new(Inner {
            machine,
            object: env.new_global_ref(object)?,
            protect: env.get_method_id(&class, jni_str!("protect"), jni_sig!("(I)Z"))?,
            owner: env.get_method_id(
                &class,
                jni_str!("owner"),
                jni_sig!("(ILjava/lang/String;ILjava/lang/String;I)[Ljava/lang/String;"),
            )?,
            events: env.get_method_id(&class, jni_str!("events"), jni_sig!("([B)V"))?,
            stopped: env.get_method_id(
                &class,
                jni_str!("stopped"),
                jni_sig!("(Ljava/lang/String;)V"),
            )?,
        })))
    }

    /// Whether the calling thread is in a callback, where waiting for the engine would be waiting for itself.
    pub(super) fn is_inside() -> bool {
        INSIDE.get()
    }

    /// Calls on an attached thread; an exception is the callee's fault, logged by its class and no more.
    fn call<T>(
        &self,
        name: &str,
        body: impl FnOnce(&mut Env<'_>, &Inner) -> Result<T, Error>,
    ) -> Option<T> {
        INSIDE.set(true);
        let result = self
            .0
            .machine
            .vm
            .attach_current_thread(|env| body(env, &self.0));
        INSIDE.set(false);
        match result {
            Ok(value) => return Some(value),
            Err(Error::CaughtJavaException { name: class, .. }) => {
                log::error!("{name}: {class}");
            }
            Err(_) => log::error!("{name}: the VM refused"),
        }
        None
    }
}

impl Protect for Callbacks {
    fn protect(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let fd = JValue::Int(socket.as_raw_fd());
        let protected = self.call("protect", |env, inner| {
            // SAFETY: the method is `boolean protect(int)` of the object's class.
            unsafe {
                env.call_method_unchecked(
                    &inner.object,
                    inner.protect,
                    ReturnType::Primitive(Primitive::Boolean),
                    &[fd.as_jni()],
                )
            }?
            .z()
        });
        match protected {
            Some(true) => Ok(()),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl FindOwner for Callbacks {
    fn find(&mut self, proto: Proto, pair: Pair) -> Vec<Arc<str>> {
        let found = self.call("owner", |env, inner| {
            let src = env.new_string(pair.src.ip().to_string())?;
            let dst = env.new_string(pair.dst.ip().to_string())?;
            let arguments = [
                JValue::Int(foreign::proto_number(proto)).as_jni(),
                JValue::Object(&src).as_jni(),
                JValue::Int(pair.src.port().into()).as_jni(),
                JValue::Object(&dst).as_jni(),
                JValue::Int(pair.dst.port().into()).as_jni(),
            ];
            // SAFETY: the method is `String[] owner(int, String, int, String, int)` of the object's class.
            let owner = unsafe {
                env.call_method_unchecked(&inner.object, inner.owner, ReturnType::Array, &arguments)
            }?
            .l()?;
            let owner = env.cast_local::<JObjectArray<JString>>(owner)?;
            names(env, &owner)
        });
        found.unwrap_or_default()
    }
}

impl Deliver for Callbacks {
    fn batch(&mut self, lines: &[u8]) {
        self.call("events", |env, inner| {
            let lines = env.byte_array_from_slice(lines)?;
            // SAFETY: the method is `void events(byte[])` of the object's class.
            unsafe {
                env.call_method_unchecked(
                    &inner.object,
                    inner.events,
                    ReturnType::Primitive(Primitive::Void),
                    &[JValue::Object(&lines).as_jni()],
                )
            }
            .map(drop)
        });
    }

    fn end(&mut self, reason: Option<&str>) {
        self.call("stopped", |env, inner| {
            let reason = match reason {
                Some(reason) => env.new_string(reason)?,
                None => JString::null(),
            };
            // SAFETY: the method is `void stopped(String)` of the object's class.
            unsafe {
                env.call_method_unchecked(
                    &inner.object,
                    inner.stopped,
                    ReturnType::Primitive(Primitive::Void),
                    &[JValue::Object(&reason).as_jni()],
                )
            }
            .map(drop)
        });
    }
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}
