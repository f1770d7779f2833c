//! A phone, its firewall and the Internet: three namespaces.
//!
//! ```text
//! app  ──tun──► relay (the test's own) ──veth──► server
//! 10.0.0.2      192.0.2.1                        203.0.113.9 …, 2001:db8::9 …
//! ```
//! Either arrow can be a [`FaultLink`].

use std::{
    fs::{self, File},
    io,
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use socket2::{Domain, Socket, Type};
use untold::{
    detect::{Detector, Identity},
    engine::{self, Answer, recording::Basis},
    event::{Action, Event, FindingEvent, Scope},
    inspect::Rules,
    io::{
        FindOwner, Handle, Options, Protect,
        pcap::Writer,
        record::Recording,
        tun::{Packets, Tun},
    },
    policy::{self, Policy},
};

use crate::{
    faultlink::{FaultLink, Faults},
    ns::Namespace,
    server::{PATIENCE, eventually},
};

/// What a world is like.
pub struct Setup {
    pub mtu: u32,
    /// The engine's device has virtio-net headers.
    pub offload: bool,
    /// Faults between the app's kernel and the engine.
    pub app_side: Option<Faults>,
    /// Faults between the engine's sockets and the servers.
    pub upstream: Option<Faults>,
    /// Policy file; empty for the defaults.
    pub policy: String,
    /// Texts of the policy's lists.
    pub lists: Vec<String>,
    /// Identity file.
    pub identity: String,
    /// Record into this file.
    pub record: Option<&'static str>,
    /// A remote end inside the engine's process.
    pub sink: Option<SocketAddr>,
    /// Somebody answers questions: [`World::answer`].
    pub can_ask: bool,
    /// How owners are found.
    pub owners: Option<Box<dyn FindOwner>>,
    /// What is done to sockets before they are used; by default nothing.
    pub protect: Option<Box<dyn Protect>>,
    /// No engine: the app's tun leads to the servers through the kernel's own forwarding. With [`DIRECT`]
    /// set that is so for every test, to tell a fault of a test from one of the engine.
    pub direct: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mtu: 1500,
            offload: false,
            app_side: None,
            upstream: None,
            policy: String::new(),
            lists: Vec::new(),
            identity: crate::registration::identity(),
            record: None,
            sink: None,
            can_ask: false,
            owners: None,
            protect: None,
            direct: std::env::var_os(DIRECT).is_some(),
        }
    }
}

/// A running world; everything in it ends with the test.
pub struct World {
    pub app: Namespace,
    pub relay: Namespace,
    pub server: Namespace,
    pub app_link: Option<FaultLink>,
    pub upstream_link: Option<FaultLink>,
    /// Another descriptor of the app's tun.
    pub tun: OwnedFd,
    handle: Option<Handle>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let (relay, server, upstream_link) = internet(setup.upstream);
        let app = Namespace::new("app");
        let tun = match setup.offload {
            true => offloaded_tun("tun0", setup.mtu),
            false => tun("tun0", setup.mtu),
        };
        app.take("tun0");
        app.ip("addr add 10.0.0.2/24 dev tun0");
        app.ip("addr add fd00::2/64 dev tun0 nodad");
        app.ip("link set tun0 up");
        app.ip("route add default dev tun0");
        app.ip("-6 route add default dev tun0");
        name_the_resolver(RESOLVER);
        let mut world = Self {
            tun: tun.try_clone().expect("a descriptor is left"),
            app,
            relay,
            server,
            app_link: None,
            upstream_link,
            handle: None,
            events: Arc::default(),
        };
        if setup.direct {
            world.forward(tun, setup.app_side.unwrap_or_default(), setup.mtu);
        } else {
            world.start(tun, setup);
        }
        world
    }

    /// Connects from the app's side.
    pub fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = self
            .app
            .run(|| TcpStream::connect_timeout(&address, PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Answers the next question; fails where there is none in time.
    pub fn answer(&self, action: Action, scope: Scope) {
        let answered = |event: &Event| matches!(event, Event::Answer(_));
        let count = |events: &[Event]| events.iter().filter(|event| answered(event)).count();
        let nth = count(&self.events());
        let asked = |event: Event| match event {
            Event::Ask(asked) => Some(asked.question),
            _ => None,
        };
        let question = || self.events().into_iter().filter_map(asked).nth(nth);
        assert!(eventually(|| question().is_some()), "nobody is asked");
        let handle = self.handle.as_ref().expect("the engine runs");
        handle.answer(question().expect("it was asked"), Answer { action, scope });
        assert!(
            eventually(|| count(&self.events()) > nth),
            "no answer counts"
        );
    }

    /// The running engine.
    pub fn engine(&self) -> &Handle {
        self.handle.as_ref().expect("the engine runs")
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Forgets the events so far.
    pub fn forget_events(&self) {
        self.events.lock().unwrap().clear();
    }

    /// The findings so far.
    pub fn findings(&self) -> Vec<FindingEvent> {
        let findings = self.events().into_iter().filter_map(|event| match event {
            Event::Finding(finding) => Some(finding),
            _ => None,
        });
        findings.collect()
    }

    /// Waits until an event for which `wanted` holds has come.
    pub fn tells(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        eventually(|| self.events.lock().unwrap().iter().any(&wanted))
    }

    /// Ends the engine; its last words are among the events.
    pub fn stop(&mut self) -> Vec<Event> {
        if let Some(handle) = self.handle.take() {
            handle.stop().expect("the engine ends well");
        }
        self.events()
    }

    fn start(&mut self, tun: OwnedFd, setup: Setup) {
        let device = match setup.app_side {
            None => tun,
            Some(faults) => {
                let (ours, theirs) = packet_sockets();
                self.app_link = Some(FaultLink::start(tun, ours, faults));
                theirs
            }
        };
        let config = engine::Config {
            seed: 1,
            mtu: usize::try_from(setup.mtu).expect("an MTU is small"),
            queue: usize::try_from(QUEUE).expect("a queue is small"),
            dns: vec![RESOLVER.parse().expect("an address")],
            resolvers: vec![UPSTREAM_RESOLVER.parse().expect("an address")],
            can_ask: setup.can_ask,
        };
        let events = Arc::clone(&self.events);
        let options = Options {
            config,
            rules: rules(&setup),
            owners: setup.owners,
            record: setup.record.map(recording),
            sink: setup.sink,
            protect: setup.protect.unwrap_or_else(|| Box::new(Nothing)),
            events: Box::new(move |event| events.lock().unwrap().push(event)),
        };
        self.handle = Some(Handle::start(device, options).expect("the engine starts"));
    }

    fn forward(&mut self, app_end: OwnedFd, faults: Faults, mtu: u32) {
        let relay_end = tun("direct", mtu);
        self.relay.ip("link set direct up");
        self.relay.ip("route add 10.0.0.0/24 dev direct");
        self.relay.ip("-6 route add fd00::/64 dev direct");
        self.relay.set("net/ipv4/ip_forward", "1");
        self.relay.set("net/ipv6/conf/all/forwarding", "1");
        self.app_link = Some(FaultLink::start(app_end, relay_end, faults));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            let _ = handle.stop();
        }
        (self.app_link, self.upstream_link) = (None, None);
        for words in ["netns del app", "netns del server", "link del up0"] {
            let words: Vec<_> = words.split(' ').collect();
            let _ = Command::new("ip")
                .args(words)
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// A new tun in the test's own namespace, non-blocking, its queue as long as the product makes it.
pub fn tun(name: &str, mtu: u32) -> OwnedFd {
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .expect("there is a tun device");
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::try_from(from).expect("names are ASCII");
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).expect("flags fit");
    // SAFETY: TUNSETIFF reads and writes an ifreq, which outlives the call.
    let made = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(made, 0, "{name}: {}", io::Error::last_os_error());
    let own = Namespace::own();
    own.ip(&format!("link set {name} mtu {mtu} txqueuelen {QUEUE}"));
    let socket = Socket::from(OwnedFd::from(device));
    socket
        .set_nonblocking(true)
        .expect("a tun can be non-blocking");
    socket.into()
}

/// One as the product makes it where the machine is Linux.
fn offloaded_tun(name: &str, mtu: u32) -> OwnedFd {
    let tun = Tun::create(name, Packets::Offloaded).expect("the kernel makes a device");
    let set = format!("link set {name} mtu {mtu} txqueuelen {QUEUE}");
    Namespace::own().ip(&set);
    tun.into()
}

fn join_servers(
    relay: &Namespace,
    server: &Namespace,
    faults: Option<Faults>,
) -> Option<FaultLink> {
    let link = match faults {
        None => {
            relay.ip("link add up0 type veth peer name down0");
            None
        }
        Some(faults) => Some(FaultLink::start(
            tun("up0", 1500),
            tun("down0", 1500),
            faults,
        )),
    };
    server.take("down0");
    for (namespace, device, end, far) in [(relay, "up0", "1", "2"), (server, "down0", "2", "1")] {
        namespace.ip(&format!("addr add 192.0.2.{end}/30 dev {device}"));
        namespace.ip(&format!("addr add 2001:db8:1::{end}/64 dev {device} nodad"));
        namespace.ip(&format!("link set {device} up"));
        namespace.ip(&format!("route add default via 192.0.2.{far}"));
        namespace.ip(&format!("-6 route add default via 2001:db8:1::{far}"));
    }
    link
}

/// Two ends of a queue of packets, in place of a tun.
fn packet_sockets() -> (OwnedFd, OwnedFd) {
    let (one, other) =
        Socket::pair(Domain::UNIX, Type::SEQPACKET, None).expect("the kernel has such sockets");
    for end in [&one, &other] {
        end.set_nonblocking(true)
            .expect("a socket can be non-blocking");
        end.set_send_buffer_size(4 << 20)
            .expect("a socket has a buffer");
    }
    (one.into(), other.into())
}

/// Servers' addresses, and a way from the test's own namespace to them.
pub fn internet(faults: Option<Faults>) -> (Namespace, Namespace, Option<FaultLink>) {
    let (relay, server) = (Namespace::own(), Namespace::new("server"));
    for address in SERVER_ADDRESSES {
        server.ip(&format!("addr add {address} dev lo"));
    }
    let link = join_servers(&relay, &server, faults);
    (relay, server, link)
}

/// Programs that ask the system's resolver ask `resolver`.
pub fn name_the_resolver(resolver: &str) {
    let text = format!("nameserver {resolver}\noptions timeout:5 attempts:2\n");
    fs::write("/run/resolv.conf", text).expect("/run is ours");
    crate::ns::run("mount", &["--bind", "/run/resolv.conf", "/etc/resolv.conf"]);
}

fn rules(setup: &Setup) -> Rules {
    let identity = Identity::parse("identity.toml", &setup.identity).expect("a good identity");
    let config = policy::Config::parse("policy.toml", &setup.policy).expect("a good policy");
    let lists = setup
        .lists
        .iter()
        .map(|text| text.clone().into_bytes())
        .collect();
    Rules {
        detector: Arc::new(Detector::new(&identity, &[7; 32])),
        policy: Arc::new(Policy::new(config, lists).expect("a good policy")),
    }
}

fn recording(path: &str) -> Recording {
    let file = File::create(path).expect("/run is ours");
    Recording {
        record: Box::new(Writer::new(file).expect("a thread can be had")),
        basis: Basis::default(),
    }
}

/// The engine's sockets need no protection: they are in a namespace where nothing leads into the tun.
struct Nothing;

impl Protect for Nothing {
    fn protect(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Where the tun answers DNS.
pub const RESOLVER: &str = "198.18.0.1";
/// Where it asks in turn.
pub const UPSTREAM_RESOLVER: &str = "203.0.113.53:53";
const SERVER_ADDRESSES: [&str; 5] = [
    "203.0.113.9/32",
    "203.0.113.10/32",
    "203.0.113.53/32",
    "2001:db8::9/128 nodad",
    "2001:db8::10/128 nodad",
];
const DIRECT: &str = "UNTOLD_LIVE_DIRECT";
const QUEUE: u32 = 5_000;
