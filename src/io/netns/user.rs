//! Whom a command runs as.

use std::{
    ffi::{CStr, CString},
    io,
};

use super::plan::check;

/// Whom the command runs as.
pub(super) struct User {
    pub(super) uid: libc::uid_t,
    pub(super) gid: libc::gid_t,
    pub(super) groups: Vec<libc::gid_t>,
    pub(super) name: String,
    pub(super) home: String,
}

impl User {
    /// Whoever called sudo; none where root itself did, or nobody.
    pub(super) fn behind_sudo() -> Option<User> {
        let number = |name| {
            std::env::var(name)
                .ok()
                .and_then(|text: String| text.parse().ok())
        };
        let uid = number("SUDO_UID").filter(|&uid| uid != 0)?;
        let mut user = User {
            uid,
            gid: uid,
            groups: Vec::new(),
            name: uid.to_string(),
            home: "/".into(),
        };
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
            libc::getpwuid_r(
                self.uid,
                &mut entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                &mut found,
            )
        };
        if code == 0 && !found.is_null() {
            // SAFETY: after success the strings lie in `buffer`, NUL-terminated.
            let text = |at| unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned();
            (self.gid, self.name, self.home) =
                (entry.pw_gid, text(entry.pw_name), text(entry.pw_dir));
        }
    }

    fn look_up_groups(&mut self) {
        let name = CString::new(self.name.as_str()).unwrap_or_default();
        let mut groups = vec![self.gid; MAX_GROUPS];
        let mut count = MAX_GROUPS as libc::c_int;
        // SAFETY: `groups` has room for `count` entries, and the name is NUL-terminated.
        let code =
            unsafe { libc::getgrouplist(name.as_ptr(), self.gid, groups.as_mut_ptr(), &mut count) };
        groups.truncate(if code < 0 {
            1
        } else {
            usize::try_from(count).unwrap_or(1)
        });
        self.groups = groups;
    }

    pub(super) fn become_it(&self) -> io::Result<()> {
        // SAFETY: the pointer is valid for the length given; the other calls take plain numbers.
        unsafe {
            check(libc::setgroups(self.groups.len(), self.groups.as_ptr()))?;
            check(libc::setgid(self.gid))?;
            check(libc::setuid(self.uid))
        }
    }
}

const MAX_GROUPS: usize = 1024;
