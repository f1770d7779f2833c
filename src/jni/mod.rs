//! The shell for Android: `org.untold.internal.Native`, function by function.
//!
//! A native converts, calls [`Inspector`](crate::Inspector) or [`io::Handle`](crate::io::Handle), and converts back.
//! What can go wrong on the way, panics included, becomes an exception in `trap`. Handles are numbers in a table, so that
//! one that was freed is an exception, too.
#![allow(unreachable_pub, reason = "the VM reaches natives by name")]

mod callbacks;
mod convert;
mod engine;
mod inspector;
mod machine;
mod table;
#[cfg(feature = "jni-test")]
mod testing;
mod trap;

use jni::{
    EnvUnowned, jni_mangle,
    objects::{JClass, JString},
};

/// `Native.version`
#[jni_mangle("org.untold.internal.Native")]
pub fn version<'local>(env: EnvUnowned<'local>, _: JClass<'local>) -> JString<'local> {
    trap::call(env, |env| Ok(env.new_string(env!("CARGO_PKG_VERSION"))?))
}
