//! Files that are read again: told by the kernel when one changes (inotify(7)), or by SIGHUP.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsStr, OsString},
    fs::File,
    io::{self, ErrorKind, Read},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    path::Path,
    time::{Duration, Instant},
};

use super::signal::Hangup;

/// Waits for changes of some files.
#[derive(Debug)]
pub struct Watch {
    /// None where the user may have no more of them: then SIGHUP alone is told.
    inotify: Option<File>,
    hangup: Option<Hangup>,
    stop: UnixStream,
    /// Names looked out for, by the watch descriptor of their folder.
    names: BTreeMap<i32, Vec<OsString>>,
}

/// Ends the wait of a [`Watch`] when dropped.
#[derive(Debug)]
pub struct Stopper(
    #[expect(dead_code, reason = "its end of the pair is closed with it")] UnixStream,
);

/// Why [`Watch::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// One of the files may have changed, and none has for 200 ms.
    Change,
    /// SIGHUP came.
    Hangup,
    /// The [`Stopper`] is gone.
    Stop,
}

impl Watch {
    /// A watch on nothing yet.
    ///
    /// # Errors
    /// Where the process may have no more descriptors.
    pub fn new(hangup: Option<Hangup>) -> io::Result<(Watch, Stopper)> {
        // SAFETY: takes flags alone.
        let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        let (stop, stopper) = UnixStream::pair()?;
        let watch = Watch {
            inotify: owned(fd).ok().map(File::from),
            hangup,
            stop,
            names: BTreeMap::new(),
        };
        Ok((watch, Stopper(stopper)))
    }

    /// Looks out for these files, besides those of earlier calls. What is watched are their folders, so that a file may be
    /// replaced by another of the same name, or not be there yet; and the folder of what a symbolic link leads to.
    ///
    /// # Errors
    /// Where no folder on the way to a file can be watched; the other files are.
    pub fn add<'a>(&mut self, files: impl IntoIterator<Item = &'a Path>) -> io::Result<()> {
        let mut result = Ok(());
        for file in files {
            if let Err(error) = self.add_file(file) {
                result = Err(error);
            }
            if let Ok(target) = file.canonicalize() {
                // The file as named is watched in any case.
                let _ = self.add_file(&target);
            }
        }
        result
    }

    fn add_file(&mut self, file: &Path) -> io::Result<()> {
        let mut path = std::path::absolute(file)?;
        loop {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(ErrorKind::NotFound.into());
            };
            match self.add_folder(folder) {
                Ok(watch) => {
                    let names = self.names.entry(watch).or_default();
                    if !names.iter().any(|known| known == name) {
                        names.push(name.to_owned());
                    }
                    return Ok(());
                }
                // The nearest folder that is there tells when the next one comes to be.
                Err(error) if error.kind() == ErrorKind::NotFound => path = folder.to_owned(),
                Err(error) => return Err(error),
            }
        }
    }

    fn add_folder(&self, folder: &Path) -> io::Result<i32> {
        let Some(inotify) = &self.inotify else {
            return Err(io::Error::other("the user watches too many things already"));
        };
        let path = CString::new(folder.as_os_str().as_bytes())?;
        // SAFETY: the path is NUL-terminated and outlives the call.
        let watch = unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), EVENTS) };
        if watch == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(watch)
    }

    /// Waits until something is to be done.
    ///
    /// # Errors
    /// Where poll(2) fails.
    pub fn wait(&mut self) -> io::Result<Woken> {
        let mut settling: Option<(Instant, Instant)> = None;
        loop {
            let timeout = settling.map(|(began, last)| {
                let quiet = QUIET.saturating_sub(last.elapsed());
                quiet.min(SETTLED.saturating_sub(began.elapsed()))
            });
            if timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Ok(Woken::Change);
            }
            let [changed, hung_up, stopped] = self.poll(timeout)?;
            if stopped {
                return Ok(Woken::Stop);
            }
            if hung_up {
                self.hangup.iter().for_each(Hangup::drain);
                return Ok(Woken::Hangup);
            }
            if changed && self.drain_changes() {
                let now = Instant::now();
                settling = Some((settling.map_or(now, |(began, _)| began), now));
            }
        }
    }

    /// Which of the three descriptors have something to say.
    fn poll(&self, timeout: Option<Duration>) -> io::Result<[bool; 3]> {
        let inotify = self.inotify.as_ref().map_or(-1, File::as_raw_fd);
        let hangup = self.hangup.as_ref().map_or(-1, Hangup::as_raw_fd);
        let mut fds = [inotify, hangup, self.stop.as_raw_fd()].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        // Rounded up, so that a wait is never cut into many of no length.
        let timeout = timeout.map_or(-1, |time| time.as_millis() as libc::c_int + 1);
        // SAFETY: the array is valid for the call; poll skips negative descriptors.
        let code = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
        if code == -1 && io::Error::last_os_error().kind() != ErrorKind::Interrupted {
            return Err(io::Error::last_os_error());
        }
        Ok(fds.map(|fd| code > 0 && fd.revents != 0))
    }

    /// Reads what has happened, and whether any of it is about the files.
    fn drain_changes(&mut self) -> bool {
        let mut relevant = false;
        let mut buffer = [0; 4096];
        while let Some(Ok(len @ 1..)) = self
            .inotify
            .as_mut()
            .map(|inotify| inotify.read(&mut buffer))
        {
            let mut rest = &buffer[..len];
            while let Some((event, after)) = Change::split(rest) {
                relevant |= self.is_about_us(&event);
                rest = after;
            }
        }
        relevant
    }

    fn is_about_us(&mut self, event: &Change<'_>) -> bool {
        if event.mask & libc::IN_IGNORED != 0 {
            self.names.remove(&event.watch);
            return true;
        }
        let lost = libc::IN_Q_OVERFLOW | libc::IN_DELETE_SELF | libc::IN_MOVE_SELF;
        let named = || {
            self.names
                .get(&event.watch)?
                .iter()
                .find(|name| *name == event.name)
        };
        event.mask & lost != 0 || named().is_some()
    }
}

/// One inotify_event.
struct Change<'a> {
    watch: i32,
    mask: u32,
    name: &'a OsStr,
}

impl Change<'_> {
    /// The first event of a buffer, and what follows it.
    fn split(bytes: &[u8]) -> Option<(Change<'_>, &[u8])> {
        let word = |at: usize| Some(bytes.get(at..at + 4)?.try_into().expect("four bytes"));
        let (watch, mask) = (i32::from_ne_bytes(word(0)?), u32::from_ne_bytes(word(4)?));
        let len = u32::from_ne_bytes(word(12)?) as usize;
        let name = bytes.get(16..16 + len)?;
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(len);
        let name = OsStr::from_bytes(&name[..end]);
        Some((Change { watch, mask, name }, &bytes[16 + len..]))
    }
}

pub(super) fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, so it is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A file is read once its writer has closed it, never between.
const EVENTS: u32 = libc::IN_CLOSE_WRITE
    | libc::IN_MOVED_TO
    | libc::IN_MOVED_FROM
    | libc::IN_CREATE
    | libc::IN_DELETE
    | libc::IN_ATTRIB
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF
    | libc::IN_ONLYDIR;
/// Time without a change after which a file is taken to be whole.
const QUIET: Duration = Duration::from_millis(200);
/// Time after which changes that never cease are acted on nevertheless.
const SETTLED: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::{env, fs, path::PathBuf, thread};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = env::temp_dir().join(format!("untold-watch-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// What a wait of a second comes to.
    fn told(watch: &mut Watch) -> Option<Woken> {
        let [changed, hung_up, stopped] = watch.poll(Some(Duration::from_secs(1))).unwrap();
        if !(changed || hung_up || stopped) {
            return None;
        }
        Some(watch.wait().unwrap())
    }

    #[test]
    fn every_way_of_changing_a_file_is_seen_and_no_other_file_is() {
        let folder = Folder::new("ways");
        let file = folder.0.join("policy.toml");
        fs::write(&file, "a").unwrap();
        let (mut watch, _stopper) = Watch::new(None).unwrap();
        watch.add([file.as_path()]).unwrap();
        let other = folder.0.join("other");
        let ways: [(&str, &dyn Fn()); 5] = [
            ("written in place", &|| fs::write(&file, "b").unwrap()),
            ("renamed over", &|| {
                fs::write(&other, "c").unwrap();
                fs::rename(&other, &file).unwrap();
            }),
            ("moved away and made anew", &|| {
                fs::rename(&file, &other).unwrap();
                fs::write(&file, "d").unwrap();
            }),
            ("removed", &|| fs::remove_file(&file).unwrap()),
            ("made", &|| fs::write(&file, "e").unwrap()),
        ];
        for (way, change) in ways {
            change();
            assert_eq!(told(&mut watch), Some(Woken::Change), "{way}");
            assert!(!watch.drain_changes(), "{way} is told twice");
        }
        fs::write(&other, "f").unwrap();
        assert!(!watch.drain_changes(), "another file");
    }

    #[test]
    fn changes_in_quick_succession_are_told_once_when_they_have_ceased() {
        let folder = Folder::new("quick");
        let file = folder.0.join("policy.toml");
        let (mut watch, _stopper) = Watch::new(None).unwrap();
        watch.add([file.as_path()]).unwrap();
        let (path, began) = (file.clone(), Instant::now());
        let writer = thread::spawn(move || {
            for n in 0..6 {
                fs::write(&path, n.to_string()).unwrap();
                thread::sleep(Duration::from_millis(50));
            }
        });
        assert_eq!(watch.wait().unwrap(), Woken::Change);
        assert!(began.elapsed() >= Duration::from_millis(250) + QUIET);
        assert_eq!(fs::read_to_string(&file).unwrap(), "5");
        writer.join().unwrap();
        assert!(!watch.drain_changes());
    }

    #[test]
    fn a_folder_that_comes_later_and_the_target_of_a_link_are_watched() {
        let folder = Folder::new("later");
        let file = folder.0.join("config/untold/answers.toml");
        let (mut watch, _stopper) = Watch::new(None).unwrap();
        watch.add([file.as_path()]).unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert_eq!(told(&mut watch), Some(Woken::Change));
        watch.add([file.as_path()]).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(told(&mut watch), Some(Woken::Change));

        let link = folder.0.join("link.toml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let (mut watch, _stopper) = Watch::new(None).unwrap();
        watch.add([link.as_path()]).unwrap();
        fs::write(&file, "changed").unwrap();
        assert_eq!(told(&mut watch), Some(Woken::Change));
    }

    #[test]
    fn a_wait_ends_with_its_stopper() {
        let (mut watch, stopper) = Watch::new(None).unwrap();
        let waiting = thread::spawn(move || watch.wait().unwrap());
        drop(stopper);
        assert_eq!(waiting.join().unwrap(), Woken::Stop);
    }
}
