//! What happens in a namespace before the command does.

use std::{
    ffi::{CStr, CString},
    fs, io,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::{
    Layout,
    error::{At, Failure, Step, failure},
    user::User,
};
use crate::io::{
    owner::DiagSocket,
    signal,
    tun::{self, Tun},
};

/// What is decided before the fork.
pub(super) struct Plan {
    layout: Layout,
    /// Whether a user namespace is needed, and the ids to map into it.
    ids: Option<(libc::uid_t, libc::gid_t)>,
    pub(super) user: Option<User>,
}

/// What a process in the namespace has to hand over.
pub(super) struct Entered {
    pub(super) tun: Tun,
    /// The device's.
    pub(super) index: u32,
    /// To the namespace's tables of sockets.
    pub(super) sockets: Option<DiagSocket>,
    /// Of [`Lack`].
    pub(super) lacks: u8,
}

impl Plan {
    pub(super) fn new(layout: Layout) -> Plan {
        // SAFETY: these calls cannot fail and touch no memory.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        let user = if uid == 0 { User::behind_sudo() } else { None };
        Plan {
            layout,
            ids: (uid != 0).then_some((uid, gid)),
            user,
        }
    }

    /// Everything that happens in the child before it becomes the command.
    pub(super) fn enter(&self) -> Result<Entered, Failure> {
        signal::restore();
        self.unshare()?;
        tun::loopback(&[]).at(Step::Loopback)?;
        let Layout {
            name,
            mtu,
            packets,
            queue,
            addresses,
            resolvers,
        } = &self.layout;
        let tun = Tun::create(name, *packets).map_err(failure)?;
        let refused = tun.set_up(*mtu, *queue, addresses, true).map_err(|error| {
            let (_, source) = failure(error);
            (Step::Addresses, source)
        })?;
        let mut lacks = 0;
        if !refused.is_empty() {
            lacks |= Lack::Ipv6 as u8;
        }
        let reachable = resolvers
            .iter()
            .filter(|r| r.is_ipv4() || refused.is_empty());
        if !resolve_by(reachable).at(Step::Resolver)? {
            lacks |= Lack::Resolver as u8;
        }
        let index = tun::index(name).at(Step::Device)?;
        let sockets = DiagSocket::open().ok();
        if sockets.is_none() {
            lacks |= Lack::Owners as u8;
        }
        let _ = fs::write("/proc/sys/net/ipv4/ping_group_range", self.ping_groups());
        if let Some(user) = &self.user {
            user.become_it().at(Step::User)?;
        }
        Ok(Entered {
            tun,
            index,
            sockets,
            lacks,
        })
    }

    /// Network and mount namespaces, and before them a user namespace where the caller is not root.
    pub(super) fn unshare(&self) -> Result<(), Failure> {
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

/// Names our resolvers in a resolv.conf of this mount namespace alone, and closes the sockets by which a
/// name could be asked for around it. False where there is no resolv.conf to cover.
fn resolve_by<'a>(resolvers: impl Iterator<Item = &'a IpAddr>) -> io::Result<bool> {
    let scratch = ["/tmp", "/run", "/mnt"]
        .into_iter()
        .find(|path| Path::new(path).is_dir());
    let Some(scratch) = scratch else {
        return Ok(false);
    };
    let place = CString::new(scratch)?;
    mount(
        Some(c"tmpfs"),
        &place,
        Some(c"tmpfs"),
        libc::MS_NOSUID | libc::MS_NODEV,
    )?;
    let file = format!("{scratch}/resolv.conf");
    let text: String = resolvers
        .map(|address| format!("nameserver {address}\n"))
        .collect();
    fs::write(&file, text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    let source = CString::new(file)?;
    let covered = Path::new(RESOLV_CONF).exists();
    if covered {
        mount(Some(&source), c"/etc/resolv.conf", None, libc::MS_BIND)?;
    }
    for socket in [
        c"/run/systemd/resolve/io.systemd.Resolve",
        c"/run/nscd/socket",
        c"/var/run/nscd/socket",
    ] {
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
pub(super) enum Lack {
    Ipv6 = 1,
    Resolver = 2,
    Owners = 4,
}

impl Lack {
    pub(super) fn words(bits: u8) -> Vec<&'static str> {
        let all = [
            (Lack::Ipv6, "this kernel gives the namespace no IPv6"),
            (
                Lack::Resolver,
                "there is no /etc/resolv.conf here, so names cannot be resolved in the namespace",
            ),
            (
                Lack::Owners,
                "this kernel does not tell whose a socket is (NETLINK_SOCK_DIAG), so rules with `app` match nothing",
            ),
        ];
        all.iter()
            .filter(|(lack, _)| bits & *lack as u8 != 0)
            .map(|(_, words)| *words)
            .collect()
    }
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes flags alone.
    check(unsafe { libc::unshare(flags) })
}

fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: every string is NUL-terminated and outlives the call; null is allowed for the others.
    check(unsafe {
        libc::mount(
            pointer(source),
            target.as_ptr(),
            pointer(kind),
            flags,
            std::ptr::null(),
        )
    })
}

pub(super) fn check(code: libc::c_int) -> io::Result<()> {
    if code == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
