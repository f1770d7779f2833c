//! What tests call beside `Native`: `org.untold.internal.Testing`. Never in a release.

#[cfg(not(target_os = "android"))]
mod pair;

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use data_encoding::HEXLOWER;
use jni::{
    EnvUnowned, jni_mangle,
    objects::{JByteArray, JClass, JObject, JObjectArray, JString},
    sys::{jint, jlong},
};

use super::{
    callbacks::Callbacks,
    convert::{Files, hash_key},
    table::Table,
    trap::{Fault, call},
};
use crate::{
    engine::{Command, Config, Engine, Now, SocketEvent},
    event::{Action, AskEvent, Event, NameEvent, Proto},
    inspect::Rules,
    io::{
        FindOwner, Pair, Protect,
        outbox::{Deliver, outbox},
    },
};

static FEEDS: Table<Mutex<Feed>> = Table::new();

/// Panics with a text that must not get out.
#[jni_mangle("org.untold.internal.Testing")]
pub fn panic<'local>(env: EnvUnowned<'local>, _: JClass<'local>, secret: JString<'local>) {
    call(env, |env| -> Result<(), Fault> {
        panic!("{}", secret.try_to_string(env)?)
    })
}

/// Calls `events`, `owner` and `protect` on one thread of its own, as often as it is told to each, then `stopped`. Returns
/// how many owners were named.
#[jni_mangle("org.untold.internal.Testing")]
pub fn call_back<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    callbacks: JObject<'local>,
    times: jint,
) -> jint {
    call(env, |env| {
        let mut callbacks = Callbacks::new(env, &callbacks)?;
        let pair = Pair {
            src: SocketAddr::from(([10, 0, 0, 2], 1025)),
            dst: SocketAddr::from(([192, 0, 2, 1], 80)),
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let thread = thread::spawn(move || {
            let mut owners = 0;
            for _ in 0..times {
                callbacks.batch(b"{\"event\":\"drop\"}\n");
                owners += callbacks.find(Proto::Tcp, pair).len();
                let _ = callbacks.protect(socket.as_fd());
            }
            callbacks.end(None);
            owners
        });
        let owners = thread.join();
        let owners = owners.map_err(|_| Fault::State("the thread panicked"))?;
        Ok(owners.try_into().unwrap_or(jint::MAX))
    })
}

/// Puts a question, then as many events of names as it is told to, through the queue between an engine and `events`, and
/// waits until all are delivered.
#[jni_mangle("org.untold.internal.Testing")]
pub fn flood<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    callbacks: JObject<'local>,
    names: jint,
) {
    call(env, |env| {
        let (inlet, outbox) = outbox();
        let delivery = outbox.deliver(Box::new(Callbacks::new(env, &callbacks)?))?;
        inlet.push(Event::Ask(AskEvent {
            time: 0.0,
            question: 1,
            flow: 1,
            proto: Proto::Tcp,
            dst: SocketAddr::from(([192, 0, 2, 1], 80)),
            app: None,
            name: None,
            name_from: None,
            findings: Vec::new(),
            rule: "default.leak".into(),
            timeout: 30.0,
            fallback: Action::Block,
        }));
        for number in 0..names {
            inlet.push(Event::Name(NameEvent {
                time: f64::from(number),
                name: format!("{number}.example").into(),
                addresses: Vec::new(),
                verdict: Action::Allow,
                rule: "default.connection".into(),
            }));
        }
        delivery.expect_end();
        drop(inlet);
        delivery.join();
        Ok(())
    })
}

/// An engine without a tun, a clock, a thread or a socket.
#[jni_mangle("org.untold.internal.Testing")]
pub fn feed_new<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    identity: JString<'local>,
    policy: JString<'local>,
    answers: JString<'local>,
    named: JObjectArray<'local, JByteArray<'local>>,
    key: JByteArray<'local>,
) -> jlong {
    let files = Files {
        identity: &identity,
        policy: &policy,
        answers: &answers,
        named: &named,
    };
    call(env, |env| {
        let key = hash_key(env, &key)?;
        let rules = files.rules(env, &key)?;
        Ok(FEEDS.insert(Mutex::new(Feed::new(rules))))
    })
}

/// Feeds one packet. What comes of it is a JSON object: `packets` towards the app and bytes `sent` upstream, in hex, and
/// `events`. Every connection succeeds.
#[jni_mangle("org.untold.internal.Testing")]
pub fn feed<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
    packet: JByteArray<'local>,
) -> JByteArray<'local> {
    call(env, |env| {
        let packet = env.convert_byte_array(&packet)?;
        let feed: Arc<Mutex<Feed>> = FEEDS.get(handle)?;
        let mut feed = feed.lock().unwrap_or_else(PoisonError::into_inner);
        let text = feed.packet(&packet).to_string();
        Ok(env.byte_array_from_slice(text.as_bytes())?)
    })
}

/// Ends the engine, with the events of its end.
#[jni_mangle("org.untold.internal.Testing")]
pub fn feed_end<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
) -> JByteArray<'local> {
    call(env, |env| {
        let feed = FEEDS.remove(handle)?;
        let mut feed = feed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = feed.tick();
        feed.engine.finish(now);
        let text = feed.drain().to_string();
        Ok(env.byte_array_from_slice(text.as_bytes())?)
    })
}

struct Feed {
    engine: Engine,
    time: Duration,
}

impl Feed {
    fn new(rules: Rules) -> Feed {
        let mut engine = Engine::new(Config {
            seed: 7,
            mtu: 1500,
            queue: 500,
            dns: Vec::new(),
            resolvers: Vec::new(),
            can_ask: true,
        });
        engine.set_rules(rules, Now::default());
        Feed {
            engine,
            time: Duration::ZERO,
        }
    }

    fn tick(&mut self) -> Now {
        self.time += Duration::from_millis(1);
        Now {
            mono: self.time,
            wall: 1_700_000_000,
        }
    }

    fn packet(&mut self, packet: &[u8]) -> serde_json::Value {
        let now = self.tick();
        if let Some(slot) = self.engine.rx_slots().first_mut()
            && let Some(room) = slot.bytes.get_mut(..packet.len())
        {
            room.copy_from_slice(packet);
            slot.len = packet.len();
            self.engine.handle_packets(1, now);
        }
        self.drain()
    }

    fn drain(&mut self) -> serde_json::Value {
        let now = self.tick();
        let (mut packets, mut sent, mut events) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let mut idle = true;
            while let Some(command) = self.engine.poll_command() {
                idle = false;
                match command {
                    Command::Connect { socket, .. } | Command::ConnectVia { socket, .. } => {
                        self.engine
                            .handle_socket(socket, SocketEvent::Connected, now);
                    }
                    Command::FindOwner { flow, .. } => {
                        self.engine.handle_owner(flow, Vec::new(), now);
                    }
                    Command::OpenUdp { .. }
                    | Command::OpenUdpVia { .. }
                    | Command::OpenEcho { .. }
                    | Command::Shutdown { .. }
                    | Command::Close { .. } => {}
                }
            }
            while let Some(socket) = self.engine.poll_send() {
                idle = false;
                let mut parts = [std::io::IoSlice::new(&[]); 8];
                let count = self.engine.send_parts(socket, &mut parts);
                let bytes: Vec<u8> = parts[..count]
                    .iter()
                    .flat_map(|part| part.to_vec())
                    .collect();
                self.engine.sent(socket, Ok(bytes.len()), now);
                sent.extend(bytes);
            }
            while let Some(packet) = self.engine.poll_packet() {
                packets.push(HEXLOWER.encode(&[packet.header, packet.payload].concat()));
            }
            while let Some(event) = self.engine.poll_event() {
                events.push(event);
            }
            if idle {
                break;
            }
        }
        serde_json::json!({
            "packets": packets,
            "sent": HEXLOWER.encode(&sent),
            "events": events,
        })
    }
}
