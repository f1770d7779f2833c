//! Network namespaces: a command whose only way out is a tun of ours.

use std::{
    ffi::{CStr, CString},
    fs, io,
    net::IpAddr,
    os::{
        fd::AsFd,
        unix::{fs::PermissionsExt, process::CommandExt},
    },
    path::Path,
    process::{Child, Command},
};

use ipnet::IpNet;
use socket2::{Domain, Socket, Type};

use super::{
    passing, signal,
    tun::{self, Tun, TunError},
};

/// What the command's network looks like from inside.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Name of the tun device.
    pub name: String,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Packets that the device queues towards us.
    pub queue: u32,
    /// Addresses of the device.
    pub addresses: Vec<IpNet>,
    /// Addresses that the command's resolv.conf names; not the device's own.
    pub resolvers: Vec<IpAddr>,
}

impl Default for Layout {
    fn default() -> Self {
        let net = |text: &str| text.parse().expect("a constant");
        Self {
            name: "untold0".into(),
            mtu: 65_535,
            queue: 5_000,
            addresses: vec![net("198.18.0.2/30"), net("fd75:6e74:6f6c:64::2/64")],
            resolvers: RESOLVERS.map(|text| text.parse().expect("a constant")).to_vec(),
        }
    }
}

/// A command that runs in a namespace of its own.
#[derive(Debug)]
pub struct Confined {
    /// The command.
    pub child: Child,
    /// The other end of its network.
    pub tun: Tun,
    /// What its namespace has to do without, in words.
    pub lacks: Vec<&'static str>,
}

/// Starts `command` in a network namespace whose only device besides loopback is a tun.
///
/// As root it runs as the user that called sudo, where one did; otherwise a user namespace in which the
/// caller has its own uid is made as well. Nothing of the calling process changes.
pub fn spawn(command: &mut Command, layout: &Layout) -> Result<Confined, NetnsError> {
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)
        .map_err(|source| NetnsError::Setup { step: Step::Report, source })?;
    let plan = Plan::new(layout.clone());
    if let Some(user) = &plan.user {
        command.envs([("HOME", &user.home), ("USER", &user.name), ("LOGNAME", &user.name)]);
    }
    let report = move |plan: &Plan| match plan.enter() {
        Ok((tun, lacks)) => passing::send(&theirs, &[DONE, lacks, 0, 0, 0, 0], Some(tun.as_fd())),
        Err((step, error)) => {
            let code = error.raw_os_error().unwrap_or(libc::EIO);
            let [a, b, c, d] = code.to_ne_bytes();
            passing::send(&theirs, &[step as u8, 0, a, b, c, d], None)?;
            Err(io::Error::from_raw_os_error(code))
        }
    };
    // SAFETY: runs between fork and exec in a copy of one thread. It allocates, which the C libraries that
    // Linux programs use keep possible after fork, and takes no lock that another thread could have held.
    unsafe { command.pre_exec(move || report(&plan)) };
    let spawned = command.spawn();
    ours.set_nonblocking(true).map_err(|source| NetnsError::Setup { step: Step::Report, source })?;
    let mut message = [0; 6];
    let (_, tun) = passing::receive(&ours, &mut message).unwrap_or((0, None));
    let [step, lacks, code @ ..] = message;
    match (spawned, tun) {
        (Ok(child), Some(fd)) => {
            Ok(Confined { child, tun: Tun::adopt(fd), lacks: Lack::words(lacks) })
        }
        (Err(source), Some(_)) => Err(NetnsError::Command { source }),
        (Err(source), None) => match Step::from_byte(step) {
            Some(step) => {
                let source = io::Error::from_raw_os_error(i32::from_ne_bytes(code));
                Err(NetnsError::Setup { step, source })
            }
            None => Err(NetnsError::Command { source }),
        },
        (Ok(mut child), None) => {
            // Without its network the command must not go on; that it may have ended already is fine.
            let _ = child.kill();
            let _ = child.wait();
            Err(NetnsError::Setup { step: Step::Report, source: io::ErrorKind::UnexpectedEof.into() })
        }
    }
}

/// Moves the calling process, which must have one thread, into a network namespace with nothing but a
/// loopback device that has `addresses`.
pub fn enter(addresses: &[IpNet]) -> Result<(), NetnsError> {
    let plan = Plan::new(Layout::default());
    let entered = plan.unshare().and_then(|()| tun::loopback(addresses).at(Step::Loopback));
    entered.map_err(|(step, source)| NetnsError::Setup { step, source })
}

/// Resolvers that the calling namespace's resolv.conf(5) names, at most three, in order; lines that cannot be used are skipped.
pub fn resolvers(resolv_conf: &str) -> Vec<std::net::SocketAddr> {
    let named = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            return None;
        }
        let word = words.next()?;
        let (address, zone) = word.split_once('%').unwrap_or((word, ""));
        match address.parse().ok()? {
            IpAddr::V4(v4) => Some((v4, 53).into()),
            IpAddr::V6(v6) => {
                let zone = if zone.is_empty() { 0 } else { zone.parse().ok().or(tun::index(zone).ok())? };
                Some(std::net::SocketAddrV6::new(v6, 53, 0, zone).into())
            }
        }
    });
    named.take(3).collect()
}

/// Why a command could not be started in a namespace of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetnsError {
    /// The namespace stands, but the command cannot be executed.
    #[error("{source}")]
    Command {
        /// What the kernel says.
        source: io::Error,
    },
    /// The namespace could not be made.
    #[error("cannot {step}: {source}{}", step.advice(source))]
    Setup {
        /// What was being done.
        step: Step,
        /// What the kernel says.
        source: io::Error,
    },
}

/// A step on the way into a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "its Display says what each is")]
pub enum Step {
    Namespace = 1,
    UserNamespace,
    UserMap,
    Mounts,
    Resolver,
    Loopback,
    Node,
    Device,
    Addresses,
    User,
    Report,
}

impl Step {
    const ALL: [(Step, &'static str); 11] = [
        (Step::Namespace, "make a network namespace"),
        (Step::UserNamespace, "make a user namespace"),
        (Step::UserMap, "map the user into the user namespace"),
        (Step::Mounts, "make the mounts of the namespace private"),
        (Step::Resolver, "give the namespace a resolv.conf of its own"),
        (Step::Loopback, "take the loopback device up"),
        (Step::Node, "open /dev/net/tun"),
        (Step::Device, "create a tun device"),
        (Step::Addresses, "set the tun device up"),
        (Step::User, "become the calling user"),
        (Step::Report, "reach the process in the namespace"),
    ];

    fn from_byte(byte: u8) -> Option<Step> {
        Self::ALL.iter().map(|(step, _)| *step).find(|step| *step as u8 == byte)
    }

    fn advice(self, error: &io::Error) -> &'static str {
        match (self, error.raw_os_error()) {
            (Step::Node, Some(libc::ENOENT | libc::ENOTDIR)) => {
                ": modprobe tun, or mkdir -p /dev/net && mknod -m 0666 /dev/net/tun c 10 200"
            }
            (Step::Node, Some(libc::ENODEV | libc::ENXIO)) => ": modprobe tun",
            (Step::Node, Some(libc::EACCES | libc::EPERM)) => {
                ": run as root, or let everyone use it (chmod 0666 /dev/net/tun)"
            }
            (Step::UserNamespace, Some(libc::ENOSPC | libc::EUSERS)) => {
                ": run as root, or raise user.max_user_namespaces"
            }
            (_, Some(libc::EPERM | libc::EACCES)) => {
                ": run as root, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns)"
            }
            _ => "",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = Self::ALL.iter().find(|(step, _)| step == self);
        f.write_str(words.map_or("", |(_, words)| words))
    }
}

/// What is decided before the fork.
struct Plan {
    layout: Layout,
    /// Whether a user namespace is needed, and the ids to map into it.
    ids: Option<(libc::uid_t, libc::gid_t)>,
    user: Option<User>,
}

/// Whom the command runs as.
struct User {
    uid: libc::uid_t,
    gid: libc::gid_t,
    groups: Vec<libc::gid_t>,
    name: String,
    home: String,
}

/// What went wrong, and at which step.
type Failure = (Step, io::Error);

impl Plan {
    fn new(layout: Layout) -> Plan {
        // SAFETY: these calls cannot fail and touch no memory.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        let user = if uid == 0 { User::behind_sudo() } else { None };
        Plan { layout, ids: (uid != 0).then_some((uid, gid)), user }
    }

    /// Everything that happens in the child before it becomes the command.
    fn enter(&self) -> Result<(Tun, u8), Failure> {
        signal::restore();
        self.unshare()?;
        tun::loopback(&[]).at(Step::Loopback)?;
        let Layout { name, mtu, queue, addresses, resolvers } = &self.layout;
        let tun = Tun::create(name).map_err(failure)?;
        let refused = tun.set_up(*mtu, *queue, addresses, true).map_err(|error| {
            let (_, source) = failure(error);
            (Step::Addresses, source)
        })?;
        let mut lacks = 0;
        if !refused.is_empty() {
            lacks |= Lack::Ipv6 as u8;
        }
        let reachable = resolvers.iter().filter(|r| r.is_ipv4() || refused.is_empty());
        if !resolve_by(reachable).at(Step::Resolver)? {
            lacks |= Lack::Resolver as u8;
        }
        let _ = fs::write("/proc/sys/net/ipv4/ping_group_range", self.ping_groups());
        if let Some(user) = &self.user {
            user.become_it().at(Step::User)?;
        }
        Ok((tun, lacks))
    }

    /// Network and mount namespaces, and before them a user namespace where the caller is not root.
    fn unshare(&self) -> Result<(), Failure> {
        if let Some((uid, gid)) = self.ids {
            unshare(libc::CLONE_NEWUSER).at(Step::UserNamespace)?;
            // Without setgroups denied, an unprivileged process may not map its group (user_namespaces(7)).
            fs::write("/proc/self/setgroups", "deny").at(Step::UserMap)?;
            fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).at(Step::UserMap)?;
            fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).at(Step::UserMap)?;
        }
        unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS).at(Step::Namespace)?;
        mount(None, c"/", None, libc::MS_REC | libc::MS_SLAVE).at(Step::Mounts)
    }

    /// Groups that may open ICMP echo sockets; one that is not mapped would be refused.
    fn ping_groups(&self) -> String {
        match self.ids {
            Some((_, gid)) => format!("{gid} {gid}"),
            None => "0 2147483647".into(),
        }
    }
}

impl User {
    /// Whoever called sudo; none where root itself did, or nobody.
    fn behind_sudo() -> Option<User> {
        let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
        let uid = number("SUDO_UID").filter(|&uid| uid != 0)?;
        let mut user = User { uid, gid: uid, groups: Vec::new(), name: uid.to_string(), home: "/".into() };
        user.look_up();
        user.gid = number("SUDO_GID").unwrap_or(user.gid);
        user.look_up_groups();
        Some(user)
    }

    /// Fills in what passwd(5) knows.
    fn look_up(&mut self) {
        let mut buffer = vec![0; 16 * 1024];
        // SAFETY: passwd is plain data (pointers may be null), for which all zeroes is a value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: every pointer is valid for the lengths given, for the whole call.
        let code = unsafe {
            libc::getpwuid_r(self.uid, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found)
        };
        if code == 0 && !found.is_null() {
            // SAFETY: after success the strings lie in `buffer`, NUL-terminated.
            let text = |at| unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned();
            (self.gid, self.name, self.home) = (entry.pw_gid, text(entry.pw_name), text(entry.pw_dir));
        }
    }

    fn look_up_groups(&mut self) {
        let name = CString::new(self.name.as_str()).unwrap_or_default();
        let mut groups = vec![self.gid; MAX_GROUPS];
        let mut count = MAX_GROUPS as libc::c_int;
        // SAFETY: `groups` has room for `count` entries, and the name is NUL-terminated.
        let code = unsafe {
            libc::getgrouplist(name.as_ptr(), self.gid, groups.as_mut_ptr(), &mut count)
        };
        groups.truncate(if code < 0 { 1 } else { usize::try_from(count).unwrap_or(1) });
        self.groups = groups;
    }

    fn become_it(&self) -> io::Result<()> {
        // SAFETY: the pointer is valid for the length given; the other calls take plain numbers.
        unsafe {
            check(libc::setgroups(self.groups.len(), self.groups.as_ptr()))?;
            check(libc::setgid(self.gid))?;
            check(libc::setuid(self.uid))
        }
    }
}

/// Names our resolvers in a resolv.conf of this mount namespace alone, and closes the sockets by which a
/// name could be asked for around it. False where there is no resolv.conf to cover.
fn resolve_by<'a>(resolvers: impl Iterator<Item = &'a IpAddr>) -> io::Result<bool> {
    let scratch = ["/tmp", "/run", "/mnt"].into_iter().find(|path| Path::new(path).is_dir());
    let Some(scratch) = scratch else { return Ok(false) };
    let place = CString::new(scratch)?;
    mount(Some(c"tmpfs"), &place, Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV)?;
    let file = format!("{scratch}/resolv.conf");
    let text: String = resolvers.map(|address| format!("nameserver {address}\n")).collect();
    fs::write(&file, text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    let source = CString::new(file)?;
    let covered = Path::new(RESOLV_CONF).exists();
    if covered {
        mount(Some(&source), c"/etc/resolv.conf", None, libc::MS_BIND)?;
    }
    for socket in [c"/run/systemd/resolve/io.systemd.Resolve", c"/run/nscd/socket", c"/var/run/nscd/socket"] {
        // Not there, or not to be covered: then it answers nothing either.
        let _ = mount(Some(&source), socket, None, libc::MS_BIND);
    }
    // The file lives on under the mounts that show it.
    // SAFETY: the path is NUL-terminated.
    check(unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) })?;
    Ok(covered)
}

/// What a namespace may have to do without.
#[derive(Clone, Copy)]
enum Lack {
    Ipv6 = 1,
    Resolver = 2,
}

impl Lack {
    fn words(bits: u8) -> Vec<&'static str> {
        let all = [
            (Lack::Ipv6, "this kernel gives the namespace no IPv6"),
            (Lack::Resolver, "there is no /etc/resolv.conf here, so names cannot be resolved in the namespace"),
        ];
        all.iter().filter(|(lack, _)| bits & *lack as u8 != 0).map(|(_, words)| *words).collect()
    }
}

trait At<T> {
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| (step, error))
    }
}

fn failure(error: TunError) -> Failure {
    let os = io::Error::from_raw_os_error;
    match error {
        TunError::NoNode => (Step::Node, os(libc::ENOENT)),
        TunError::NoDriver => (Step::Node, os(libc::ENODEV)),
        TunError::Permission { action: "open the tun device" } => (Step::Node, os(libc::EACCES)),
        TunError::Permission { .. } => (Step::Device, os(libc::EPERM)),
        TunError::Busy { .. } => (Step::Device, os(libc::EBUSY)),
        TunError::NotTun { .. } | TunError::Absent { .. } => (Step::Device, os(libc::EINVAL)),
        TunError::Os { source, .. } => (Step::Device, source),
    }
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes flags alone.
    check(unsafe { libc::unshare(flags) })
}

fn mount(source: Option<&CStr>, target: &CStr, kind: Option<&CStr>, flags: libc::c_ulong) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: every string is NUL-terminated and outlives the call; null is allowed for the others.
    check(unsafe { libc::mount(pointer(source), target.as_ptr(), pointer(kind), flags, std::ptr::null()) })
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Where DNS is answered inside the tunnel, by default.
pub const RESOLVERS: [&str; 2] = ["198.18.0.1", "fd75:6e74:6f6c:64::1"];

const RESOLV_CONF: &str = "/etc/resolv.conf";
const DONE: u8 = 0;
const MAX_GROUPS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_and_unusable_lines_skipped() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1 # first\n\
                    nameserver\nnameserver nonsense\n  nameserver 2001:db8::1\nnameserver fe80::1%lo\n\
                    nameserver fe80::1%no-such-device\nnameserver 192.0.2.4\n";
        let found: Vec<String> = resolvers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%1]:53"]);
        assert!(resolvers("").is_empty());
    }

    #[test]
    fn every_step_survives_the_trip_and_has_words() {
        for (step, words) in Step::ALL {
            assert_eq!(Step::from_byte(step as u8), Some(step));
            assert_eq!(step.to_string(), words);
        }
        assert_eq!(Step::from_byte(DONE), None);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (step, code, hint) in [
            (Step::Node, libc::ENOENT, "mknod"),
            (Step::Node, libc::EACCES, "chmod 0666 /dev/net/tun"),
            (Step::UserNamespace, libc::EPERM, "run as root"),
            (Step::Mounts, libc::EACCES, "apparmor"),
        ] {
            let error = NetnsError::Setup { step, source: io::Error::from_raw_os_error(code) };
            assert!(error.to_string().contains(hint), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
