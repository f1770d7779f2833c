//! Why a command could not be started in a namespace of its own.

use std::io;

use crate::io::tun::TunError;

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
        (
            Step::Resolver,
            "give the namespace a resolv.conf of its own",
        ),
        (Step::Loopback, "take the loopback device up"),
        (Step::Node, "open /dev/net/tun"),
        (Step::Device, "create a tun device"),
        (Step::Addresses, "set the tun device up"),
        (Step::User, "become the calling user"),
        (Step::Report, "reach the process in the namespace"),
    ];

    pub(super) fn from_byte(byte: u8) -> Option<Step> {
        Self::ALL
            .iter()
            .map(|(step, _)| *step)
            .find(|step| *step as u8 == byte)
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
            (Step::Namespace, Some(libc::EPERM)) => {
                ": run as root (in a container: with --cap-add SYS_ADMIN,NET_ADMIN --device /dev/net/tun), or allow \
                 unprivileged user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns)"
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

/// What went wrong, and at which step.
pub(super) type Failure = (Step, io::Error);

/// Says at which step something went wrong.
pub(super) trait At<T> {
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| (step, error))
    }
}

/// A tun error as it fits through the pipe to the parent.
pub(super) fn failure(error: TunError) -> Failure {
    let os = io::Error::from_raw_os_error;
    match error {
        TunError::NoNode => (Step::Node, os(libc::ENOENT)),
        TunError::NoDriver => (Step::Node, os(libc::ENODEV)),
        TunError::Permission {
            action: "open the tun device",
        } => (Step::Node, os(libc::EACCES)),
        TunError::Permission { .. } => (Step::Device, os(libc::EPERM)),
        TunError::Busy { .. } => (Step::Device, os(libc::EBUSY)),
        TunError::NotTun { .. } | TunError::Absent { .. } => (Step::Device, os(libc::EINVAL)),
        TunError::Os { source, .. } => (Step::Device, source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_survives_the_trip_and_has_words() {
        for (step, words) in Step::ALL {
            assert_eq!(Step::from_byte(step as u8), Some(step));
            assert_eq!(step.to_string(), words);
        }
        assert_eq!(Step::from_byte(0), None);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (step, code, hint) in [
            (Step::Node, libc::ENOENT, "mknod"),
            (Step::Node, libc::EACCES, "chmod 0666 /dev/net/tun"),
            (Step::UserNamespace, libc::EPERM, "run as root"),
            (Step::Mounts, libc::EACCES, "apparmor"),
            (Step::Namespace, libc::EPERM, "--cap-add"),
        ] {
            let error = NetnsError::Setup {
                step,
                source: io::Error::from_raw_os_error(code),
            };
            assert!(error.to_string().contains(hint), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
