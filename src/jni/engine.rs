use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jni::{
    EnvUnowned, jni_mangle,
    objects::{JByteArray, JClass, JObject, JObjectArray, JString},
    sys::{jboolean, jint, jlong},
};

use super::{
    callbacks::Callbacks,
    convert::{Files, hash_key, optional, strings},
    table::Table,
    trap::{Fault, call},
};
use crate::{
    engine::Config,
    inspect::Rules,
    io::{
        Handle, Options, foreign,
        outbox::{Delivery, outbox},
    },
};

static ENGINES: Table<Running> = Table::new();

/// An engine and the thread that delivers its events, until somebody stops them.
struct Running {
    parts: Mutex<Option<(Handle, Delivery)>>,
    hash_key: [u8; 32],
}

/// `Native.engineStart`
#[jni_mangle("org.untold.internal.Native")]
#[allow(clippy::too_many_arguments, reason = "the face is Kotlin's")]
pub fn engine_start<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    tun: jint,
    mtu: jint,
    queue: jint,
    dns: JObjectArray<'local, JString<'local>>,
    upstream: JObjectArray<'local, JString<'local>>,
    can_ask: jboolean,
    sink: JString<'local>,
    identity: JString<'local>,
    policy: JString<'local>,
    answers: JString<'local>,
    named: JObjectArray<'local, JByteArray<'local>>,
    key: JByteArray<'local>,
    callbacks: JObject<'local>,
) -> jlong {
    let files = Files {
        identity: &identity,
        policy: &policy,
        answers: &answers,
        named: &named,
    };
    call(env, |env| {
        let tun = foreign::adopt(tun)?;
        let (dns, upstream) = (strings(env, &dns)?, strings(env, &upstream)?);
        let config = foreign::config(mtu, queue, &dns, &upstream, can_ask)?;
        let sink = optional(env, &sink)?;
        let sink = sink.as_deref().map(foreign::address).transpose()?;
        let key = hash_key(env, &key)?;
        let rules = files.rules(env, &key)?;
        let callbacks = Callbacks::new(env, &callbacks)?;
        let running = Running::start(tun, (config, sink), rules, callbacks, key)?;
        Ok(ENGINES.insert(running))
    })
}

/// `Native.engineSetRules`
#[jni_mangle("org.untold.internal.Native")]
pub fn engine_set_rules<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
    identity: JString<'local>,
    policy: JString<'local>,
    answers: JString<'local>,
    named: JObjectArray<'local, JByteArray<'local>>,
) {
    let files = Files {
        identity: &identity,
        policy: &policy,
        answers: &answers,
        named: &named,
    };
    call(env, |env| {
        let engine = ENGINES.get(handle)?;
        let rules = files.rules(env, &engine.hash_key)?;
        engine.ask(|handle| handle.set_rules(rules));
        Ok(())
    })
}

/// `Native.engineAnswer`
#[jni_mangle("org.untold.internal.Native")]
pub fn engine_answer<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
    question: jlong,
    allow: jboolean,
    scope: jint,
) {
    call(env, |_| {
        let engine = ENGINES.get(handle)?;
        let question = u64::try_from(question).map_err(|_| Fault::Argument("no such question"))?;
        let answer = foreign::answer(allow, scope)?;
        engine.ask(|handle| handle.answer(question, answer));
        Ok(())
    })
}

/// `Native.engineStop`
#[jni_mangle("org.untold.internal.Native")]
pub fn engine_stop<'local>(env: EnvUnowned<'local>, _: JClass<'local>, handle: jlong) {
    call(env, |_| {
        if Callbacks::is_inside() {
            return Err(Fault::State(
                "an engine cannot be stopped from its callback",
            ));
        }
        ENGINES.remove(handle)?.stop();
        Ok(())
    })
}

impl Running {
    fn start(
        tun: OwnedFd,
        (config, sink): (Config, Option<SocketAddr>),
        rules: Rules,
        callbacks: Callbacks,
        hash_key: [u8; 32],
    ) -> io::Result<Running> {
        let (inlet, outbox) = outbox();
        let options = Options {
            config,
            rules,
            protect: Box::new(callbacks.clone()),
            owners: Some(Box::new(callbacks.clone())),
            record: None,
            sink,
            events: Box::new(move |event| inlet.push(event)),
        };
        let handle = Handle::start(tun, options)?;
        let delivery = outbox.deliver(Box::new(callbacks))?;
        Ok(Running {
            parts: Mutex::new(Some((handle, delivery))),
            hash_key,
        })
    }

    /// Does nothing where the engine is being stopped.
    fn ask(&self, request: impl FnOnce(&Handle)) {
        if let Some((handle, _)) = &*self.parts() {
            request(handle);
        }
    }

    fn stop(&self) {
        let Some((handle, delivery)) = self.parts().take() else {
            return;
        };
        delivery.expect_end();
        if let Err(error) = handle.stop() {
            log::warn!("the engine had ended: {error}");
        }
        delivery.join();
    }

    fn parts(&self) -> MutexGuard<'_, Option<(Handle, Delivery)>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
