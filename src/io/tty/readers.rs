//! Who waits in a read of the terminal (proc_pid_stat(5), proc_pid_syscall(5)).

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Processes of a group that wait in a read of their terminal. Those that cannot be looked into are left out.
pub(super) fn waiting(group: libc::pid_t) -> Vec<libc::pid_t> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|&id| waits(id, group).unwrap_or(false))
        .collect()
}

fn waits(id: libc::pid_t, group: libc::pid_t) -> io::Result<bool> {
    let folder = PathBuf::from(format!("/proc/{id}"));
    let stat = fs::read_to_string(folder.join("stat"))?;
    let Some((its_group, terminal)) = group_and_terminal(&stat) else {
        return Ok(false);
    };
    if its_group != group {
        return Ok(false);
    }
    let mut tasks = fs::read_dir(folder.join("task"))?.flatten();
    Ok(tasks.any(|task| reads(&task.path(), terminal).unwrap_or(false)))
}

/// The process group and the device of the controlling terminal, after the name, which may hold anything.
fn group_and_terminal(stat: &str) -> Option<(libc::pid_t, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(2);
    let group = fields.next()?.parse().ok()?;
    let terminal: i32 = fields.nth(1)?.parse().ok()?;
    Some((group, u64::from(terminal as u32)))
}

/// Whether a thread waits in read(2) of the device.
fn reads(task: &Path, terminal: u64) -> io::Result<bool> {
    let call = fs::read_to_string(task.join("syscall"))?;
    let mut words = call.split_ascii_whitespace();
    if words.next().and_then(|number| number.parse().ok()) != Some(libc::SYS_read) {
        return Ok(false);
    }
    let digits = words.next().and_then(|word| word.strip_prefix("0x"));
    let Some(fd) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
        return Ok(false);
    };
    let device = fs::metadata(task.join(format!("fd/{fd}")))?.rdev();
    Ok(device == terminal || device == DEV_TTY)
}

/// /dev/tty: major 5, minor 0.
const DEV_TTY: u64 = 5 << 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_and_terminal_are_read_past_any_name() {
        for name in ["sh", "a) R 1 2 3 (b", "x y"] {
            let stat = format!("77 ({name}) S 1 42 40 34817 42 4194304 0");
            assert_eq!(group_and_terminal(&stat), Some((42, 34_817)));
        }
        assert_eq!(group_and_terminal("77 (sh) S 1"), None);
    }

    #[test]
    fn who_reads_something_else_is_not_named() {
        // SAFETY: cannot fail and touches no memory.
        let own = unsafe { libc::getpgrp() };
        assert!(!waiting(own).contains(&(std::process::id() as libc::pid_t)));
    }
}
