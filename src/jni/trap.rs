use std::{any::Any, io};

use jni::{
    Env, EnvUnowned,
    errors::{Error, ErrorPolicy},
    jni_sig, jni_str,
    objects::{JThrowable, JValue},
    strings::{JNIStr, JNIString},
};

use super::machine::Machine;
use crate::{ConfigError, io::panics};

/// Why a native cannot do what it was asked to.
pub(super) enum Fault {
    /// A text of the person's: `ConfigException`.
    Config(ConfigError),
    /// Another argument: `IllegalArgumentException`.
    Argument(&'static str),
    /// The caller's order of calls, or a fault of ours: `IllegalStateException`.
    State(&'static str),
    /// The machine: `IOException`.
    Machine(io::Error),
    /// The VM: whatever it has thrown, or `IllegalStateException`.
    Java(Error),
}

/// The one place between a native and its caller: sets the library up, and turns faults and panics into exceptions.
pub(super) fn call<'local, T: Default>(
    mut env: EnvUnowned<'local>,
    body: impl FnOnce(&mut Env<'local>) -> Result<T, Fault>,
) -> T {
    let _watch = panics::watch();
    env.with_env(|env| {
        Machine::get(env)?;
        body(env)
    })
    .resolve::<Throw>()
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Fault::Config(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Machine(error)
    }
}

impl From<&'static str> for Fault {
    fn from(what: &'static str) -> Self {
        Fault::Argument(what)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Java(error)
    }
}

struct Throw;

impl<T: Default> ErrorPolicy<T, Fault> for Throw {
    type Captures<'local: 'native, 'native> = ();

    fn on_error<'local: 'native, 'native>(
        env: &mut Env<'local>,
        (): &mut (),
        fault: Fault,
    ) -> Result<T, Error> {
        if env.exception_check() {
            return Ok(T::default());
        }
        // Throwing succeeds by an error, "there is an exception now".
        let _ = match fault {
            Fault::Config(error) => throw_config(env, &error),
            Fault::Argument(what) => throw(env, ILLEGAL_ARGUMENT, what),
            Fault::State(what) => throw(env, ILLEGAL_STATE, what),
            Fault::Machine(error) => throw(env, IO, &error.to_string()),
            Fault::Java(error) => throw(env, ILLEGAL_STATE, &error.to_string()),
        };
        Ok(T::default())
    }

    fn on_panic<'local: 'native, 'native>(
        env: &mut Env<'local>,
        (): &mut (),
        payload: Box<dyn Any + Send>,
    ) -> Result<T, Error> {
        // To drop it could panic again, and to read it could tell what it quotes.
        std::mem::forget(payload);
        if !env.exception_check() {
            let _ = throw(env, ILLEGAL_STATE, &panics::last());
        }
        Ok(T::default())
    }
}

fn throw(env: &mut Env<'_>, class: &JNIStr, what: &str) -> Result<(), Error> {
    env.throw_new(class, JNIString::from(what))
}

fn throw_config(env: &mut Env<'_>, error: &ConfigError) -> Result<(), Error> {
    let machine = Machine::get(env)?;
    let file = env.new_string(&error.file)?;
    let reason = env.new_string(&error.reason)?;
    let number =
        |place: Option<u32>| JValue::Int(place.unwrap_or(0).try_into().unwrap_or(i32::MAX));
    let exception = env.new_object(
        &machine.config_exception,
        jni_sig!("(Ljava/lang/String;IILjava/lang/String;)V"),
        &[
            JValue::Object(&file),
            number(error.line),
            number(error.column),
            JValue::Object(&reason),
        ],
    )?;
    let exception = env.cast_local::<JThrowable>(exception)?;
    env.throw(exception)
}

const ILLEGAL_ARGUMENT: &JNIStr = jni_str!("java/lang/IllegalArgumentException");
const ILLEGAL_STATE: &JNIStr = jni_str!("java/lang/IllegalStateException");
const IO: &JNIStr = jni_str!("java/io/IOException");
