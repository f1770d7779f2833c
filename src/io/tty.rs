//! The controlling terminal, shared between a command and questions to the person at it (termios(3), credentials(7)).

mod readers;

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    mem::MaybeUninit,
    os::fd::AsRawFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The terminal that the process was started from. Job control decides who reads it: the command's process group, or
/// ours while a [`Prompt`] is open.
#[derive(Debug)]
pub struct Terminal {
    tty: File,
    own: libc::pid_t,
    job: Mutex<Job>,
}

/// Where the command is at.
#[derive(Debug, Default)]
struct Job {
    /// Leader of the command's process group, while it runs.
    command: Option<libc::pid_t>,
    /// Whether the terminal is in the hands of the command, and whoever it gives it to.
    lent: bool,
    asking: bool,
}

impl Terminal {
    /// Opens the terminal.
    ///
    /// # Errors
    /// Where there is none, or where it is in the hands of another job: then nobody would see a question.
    pub fn open() -> io::Result<Terminal> {
        let tty = OpenOptions::new().read(true).write(true).open(TTY)?;
        // SAFETY: cannot fail and touches no memory.
        let own = unsafe { libc::getpgrp() };
        let terminal = Terminal {
            tty,
            own,
            job: Mutex::default(),
        };
        if terminal.front() != own {
            return Err(io::Error::other("it is in the hands of another job"));
        }
        Ok(terminal)
    }

    /// Takes the terminal for a question: what was typed before is thrown away, so that nothing meant for the command
    /// answers it.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] while another job has the terminal; otherwise it is gone.
    pub fn take(&self) -> io::Result<Prompt<'_>> {
        let mut job = self.job();
        let front = self.front();
        if front != self.own && !job.lent {
            return Err(ErrorKind::WouldBlock.into());
        }
        let saved = self.attributes()?;
        self.give_to(self.own)?;
        if job.command == Some(front) {
            // Before the attributes change, which wakes readers for a moment.
            stop_readers(front);
        }
        if let Err(error) = self.set_attributes(&question_mode(saved), libc::TCSAFLUSH) {
            let _ = self.give_to(front);
            return Err(error);
        }
        job.asking = true;
        Ok(Prompt {
            terminal: self,
            saved,
            front,
        })
    }

    /// Passes what a key at the terminal would send on to the command; to ourselves where there is none.
    pub fn interrupt(&self) {
        match self.job().command {
            Some(command) => signal_group(command, libc::SIGINT),
            // SAFETY: takes numbers alone.
            None => _ = unsafe { libc::kill(libc::getpid(), libc::SIGINT) },
        }
    }

    /// Gives the terminal to the process group of a command that has just been started.
    pub(super) fn lend(&self, command: libc::pid_t) {
        let mut job = self.job();
        job.command = Some(command);
        if !job.asking {
            self.hand_over(&mut job);
        }
    }

    /// The command has ended, and is not reaped yet.
    pub(super) fn end(&self) {
        let mut job = self.job();
        job.command = None;
        if std::mem::take(&mut job.lent) && !job.asking {
            let _ = self.give_to(self.own);
        }
    }

    /// The command was stopped: by Ctrl-Z, or because it wanted a terminal that it does not have.
    pub(super) fn stopped(&self) {
        let mut job = self.job();
        // Continued when the question is answered.
        if job.asking {
            return;
        }
        if self.front() != self.own {
            job.lent = false;
            stop_ourselves();
        }
        match job.command {
            Some(_) if self.front() == self.own => self.hand_over(&mut job),
            Some(command) => signal_group(command, libc::SIGCONT),
            None => {}
        }
    }

    /// Gives the terminal to the command, which may be waiting for it.
    fn hand_over(&self, job: &mut Job) {
        if let Some(command) = job.command {
            job.lent = self.give_to(command).is_ok();
            signal_group(command, libc::SIGCONT);
        }
    }

    fn job(&self) -> MutexGuard<'_, Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process group that has the terminal; -1 where the terminal is gone.
    fn front(&self) -> libc::pid_t {
        // SAFETY: takes a descriptor that is open.
        unsafe { libc::tcgetpgrp(self.tty.as_raw_fd()) }
    }

    fn give_to(&self, group: libc::pid_t) -> io::Result<()> {
        // SAFETY: takes a descriptor that is open. SIGTTOU, which it raises from the background, is ignored
        // (`signal::Foreground`).
        check(unsafe { libc::tcsetpgrp(self.tty.as_raw_fd(), group) })
    }

    fn attributes(&self) -> io::Result<libc::termios> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for the call, which initialises it where it succeeds.
        unsafe {
            check(libc::tcgetattr(
                self.tty.as_raw_fd(),
                attributes.as_mut_ptr(),
            ))?;
            Ok(attributes.assume_init())
        }
    }

    fn set_attributes(&self, attributes: &libc::termios, when: libc::c_int) -> io::Result<()> {
        // SAFETY: the pointer is valid for the call.
        check(unsafe { libc::tcsetattr(self.tty.as_raw_fd(), when, attributes) })
    }
}

/// The terminal in our hands; dropped, it goes back to whoever had it, as it was.
pub struct Prompt<'a> {
    terminal: &'a Terminal,
    saved: libc::termios,
    front: libc::pid_t,
}

impl Prompt<'_> {
    /// The next byte typed, Ctrl-C included; none within `timeout`.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub fn key(&mut self, timeout: Duration) -> io::Result<Option<u8>> {
        let mut fds = [libc::pollfd {
            fd: self.terminal.tty.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        }];
        let timeout = timeout.as_millis().min(60_000) as libc::c_int;
        // SAFETY: the array is valid for the call.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), 1, timeout) };
        match ready {
            0 => return Ok(None),
            -1 => return interrupted(io::Error::last_os_error()),
            _ => {}
        }
        let mut key = [0];
        match (&self.terminal.tty).read(&mut key) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(Some(key[0])),
            Err(error) => interrupted(error),
        }
    }

    /// Writes to the terminal.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub fn write(&mut self, text: &str) -> io::Result<()> {
        (&self.terminal.tty).write_all(text.as_bytes())
    }

    /// Columns of the terminal; none where it does not say.
    pub fn width(&self) -> Option<usize> {
        let mut size = MaybeUninit::<libc::winsize>::zeroed();
        // SAFETY: the pointer is valid for the call, and all zeroes is a value of the type.
        let size = unsafe {
            check(libc::ioctl(
                self.terminal.tty.as_raw_fd(),
                libc::TIOCGWINSZ,
                size.as_mut_ptr(),
            ))
            .ok()?;
            size.assume_init()
        };
        (size.ws_col > 0).then_some(usize::from(size.ws_col))
    }
}

impl Drop for Prompt<'_> {
    fn drop(&mut self) {
        let terminal = self.terminal;
        let mut job = terminal.job();
        job.asking = false;
        // Where the terminal is gone, there is nothing to give back.
        let _ = terminal.set_attributes(&self.saved, libc::TCSADRAIN);
        if job.command.is_none() {
            return;
        }
        // The command may have given the terminal to a group of its own making, which may have ended since.
        if self.front != terminal.own && terminal.give_to(self.front).is_ok() {
            signal_group(self.front, libc::SIGCONT);
            job.lent = true;
            if let Some(command) = job.command.filter(|&command| command != self.front) {
                signal_group(command, libc::SIGCONT);
            }
        } else {
            terminal.hand_over(&mut job);
        }
    }
}

/// Byte by byte, without echo, keys that send signals included; output as usual, whatever the command had set.
fn question_mode(mut attributes: libc::termios) -> libc::termios {
    attributes.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN);
    attributes.c_iflag &= !(libc::INLCR | libc::IGNCR);
    attributes.c_iflag |= libc::ICRNL;
    attributes.c_oflag |= libc::OPOST | libc::ONLCR;
    attributes.c_cc[libc::VMIN] = 1;
    attributes.c_cc[libc::VTIME] = 0;
    attributes
}

/// Stops our whole process group as Ctrl-Z would, for the shell to see, and comes back when it is continued. A group
/// that no shell watches is not stopped (setpgid(2)).
fn stop_ourselves() {
    // SAFETY: takes numbers alone.
    unsafe { libc::kill(0, libc::SIGTSTP) };
}

/// Stops whom of a group the kernel would stop if it began to read only now: it looks at the beginning of a read, and one
/// that waits in it already would take the first key from us.
fn stop_readers(group: libc::pid_t) {
    for reader in readers::waiting(group) {
        // SAFETY: takes numbers alone.
        unsafe { libc::kill(reader, libc::SIGTTIN) };
    }
}

fn signal_group(group: libc::pid_t, signal: libc::c_int) {
    // SAFETY: takes numbers alone. A group that has ended is nobody's loss.
    unsafe { libc::kill(-group, signal) };
}

fn interrupted<T>(error: io::Error) -> io::Result<Option<T>> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(None),
        _ => Err(error),
    }
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

const TTY: &str = "/dev/tty";
