//! A pseudo-terminal with a program at it.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A program that leads a session of its own at a terminal of its own. Dropped, it is killed.
pub struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// Up to where the screen has been looked at.
    seen: usize,
    pub child: Child,
}

impl Terminal {
    /// Starts `command` with the terminal as its standard streams, except for those that `keep` leaves alone.
    pub fn start(command: &mut Command, columns: u16, stderr: Option<Stdio>) -> Terminal {
        let (master, slave) = pair(columns);
        let end = || Stdio::from(slave.try_clone().unwrap());
        command
            .stdin(end())
            .stdout(end())
            .stderr(stderr.unwrap_or_else(end));
        let terminal = slave.as_raw_fd();
        // SAFETY: setsid and ioctl are async-signal-safe and take numbers alone; the descriptor is open in the child.
        unsafe {
            command.pre_exec(move || {
                if libc::setsid() == -1 || libc::ioctl(terminal, libc::TIOCSCTTY, 0) == -1 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            })
        };
        let child = command.spawn().unwrap();
        // The command holds the terminal's end that it was given, too.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut display, shown) = (File::from(master.try_clone().unwrap()), screen.clone());
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error says that nobody has the other end open any more.
            while let Ok(len @ 1..) = display.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
                shown.lock().unwrap().push_str(&text);
            }
        });
        Terminal {
            keyboard: File::from(master),
            screen,
            reader: Some(reader),
            seen: 0,
            child,
        }
    }

    /// Types these keys.
    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Answers a question, not before a person could have read it.
    pub fn answer(&mut self, words: &str) {
        thread::sleep(Duration::from_millis(500));
        self.keys(words);
    }

    /// Waits until the terminal shows `text` beyond what was waited for before; gives what was shown up to its end.
    pub fn shows(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if let Some(at) = screen[self.seen..].find(text) {
                let end = self.seen + at + text.len();
                let shown = screen[self.seen..end].to_owned();
                self.seen = end;
                return shown;
            }
            assert!(Instant::now() < until, "no {text:?} on:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the next question, its countdown included; gives its text.
    pub fn question(&mut self) -> String {
        self.shows("untold asks") + &self.shows(" s > ")
    }

    /// As [`Terminal::shows`], for what may come in any order.
    pub fn shows_all(&mut self, texts: &[&str]) {
        let from = self.seen;
        let ends = texts.iter().map(|text| {
            self.seen = from;
            self.shows(text);
            self.seen
        });
        self.seen = ends.max().unwrap();
    }

    /// Everything shown so far.
    pub fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// Waits for the program's end; gives what was shown since the last look, too.
    pub fn end(mut self) -> (ExitStatus, String) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "no end:\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        };
        let reader = self.reader.take().unwrap();
        let until = Instant::now() + Duration::from_secs(2);
        while !reader.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        (status, self.screen()[self.seen..].to_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pair(columns: u16) -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the pointers are valid for the call, and the others may be null.
    let code = unsafe {
        libc::openpty(
            &mut master,
            &mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            &size,
        )
    };
    assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
    for fd in [master, slave] {
        // SAFETY: takes numbers alone.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: openpty has just made both, so they are nobody else's.
    unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}

const PATIENCE: Duration = Duration::from_secs(25);
