//! How many descriptors the process may have.

use std::{fs, io};

/// Raises the soft limit to the hard one: each relayed flow has a socket. Commands started before keep theirs.
pub fn raise_limit() -> io::Result<libc::rlim_t> {
    let mut limit = limit()?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the structure is valid for the whole call.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(limit.rlim_cur),
    }
}

/// How many more descriptors may be open, leaving some to the rest of the process.
pub(super) fn left() -> usize {
    let most = limit().map_or(LIKELY, |limit| {
        usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
    });
    let open = fs::read_dir("/proc/self/fd").map_or(SPARE, Iterator::count);
    most.saturating_sub(open + SPARE.min(most / 8)).max(LEAST)
}

fn limit() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is valid for the whole call.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(limit),
    }
}

/// A limit that any system grants.
const LIKELY: usize = 256;
/// Left to others: files that are read again, databases, logs.
const SPARE: usize = 64;
/// Sockets tried for in any case: one for an app, one for names.
const LEAST: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_limit().unwrap();
        let limit = limit().unwrap();
        assert_eq!((limit.rlim_cur, limit.rlim_max), (raised, raised));
    }

    #[test]
    fn what_is_open_already_is_not_left() {
        let most = usize::try_from(limit().unwrap().rlim_cur).unwrap();
        assert!(left() < most, "the standard streams are open");
        assert!(left() >= most / 2);
    }
}
