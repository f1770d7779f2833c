//! Signals around a command in the foreground, and the wait for the word to stop.

use std::{
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus},
    sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering},
};

use super::{tty::Terminal, watch::owned};

/// While it lives, SIGINT and SIGQUIT are left to the command in the foreground, and SIGTERM is passed on to it.
///
/// With a [`Terminal`], the command has a process group of its own, which gets the terminal and gives it up for questions;
/// SIGINT and SIGQUIT, which then do not reach both groups, are passed on too.
///
/// One at a time: signal dispositions belong to the process.
#[derive(Debug)]
pub struct Foreground<'a> {
    terminal: Option<&'a Terminal>,
}

impl<'a> Foreground<'a> {
    /// Changes the dispositions; call it before the command is started, so that no signal falls between.
    pub fn take(terminal: Option<&'a Terminal>) -> Foreground<'a> {
        let handler: extern "C" fn(libc::c_int) = pass_on;
        let pass_on = handler as *const () as libc::sighandler_t;
        let ours = match terminal {
            None => [
                Some(libc::SIG_IGN),
                Some(libc::SIG_IGN),
                Some(pass_on),
                None,
                None,
            ],
            Some(_) => {
                let ignore = Some(libc::SIG_IGN);
                [Some(pass_on), Some(pass_on), Some(pass_on), ignore, ignore]
            }
        };
        for ((signal, before), ours) in SIGNALS.iter().zip(&BEFORE).zip(ours) {
            if let Some(ours) = ours {
                before.store(dispose(*signal, ours), Ordering::SeqCst);
            }
        }
        Foreground { terminal }
    }

    /// Gives the command a process group of its own where it gets the terminal; call it before the command is started.
    pub fn prepare(&self, command: &mut Command) {
        if self.terminal.is_some() {
            command.process_group(0);
        }
    }

    /// Waits for the command, whom SIGTERM reaches meanwhile.
    pub fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let id = i32::try_from(child.id()).expect("process ids fit");
        COMMAND.store(id, Ordering::SeqCst);
        match KEPT.swap(0, Ordering::SeqCst) {
            0 => {}
            signal => pass_on(signal),
        }
        if let Some(terminal) = self.terminal {
            terminal.lend(id);
        }
        let ended = await_end(child.id(), self.terminal);
        // Cleared while the process is still there to be reaped, so that its id is nobody else's yet.
        COMMAND.store(0, Ordering::SeqCst);
        if let Some(terminal) = self.terminal {
            terminal.end();
        }
        ended.and_then(|()| child.wait())
    }
}

impl Drop for Foreground<'_> {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the calling process, which must have one thread, the dispositions that it had before [`Foreground::take`], and
/// the mask that it had before [`Hangup::new`].
pub(crate) fn restore() {
    if HANGUP_KEPT.load(Ordering::SeqCst) {
        // SAFETY: the set is valid for the call, and the old mask may be null.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &hangup_alone(), std::ptr::null_mut()) };
    }
    for (signal, before) in SIGNALS.iter().zip(&BEFORE) {
        match before.load(Ordering::SeqCst) {
            UNTOUCHED => {}
            before => {
                dispose(*signal, before);
            }
        }
    }
}

/// SIGINT and SIGTERM kept for [`Stop::wait`]; made before any other thread, which then leaves them alone too.
#[derive(Debug)]
pub struct Stop {
    signals: libc::sigset_t,
}

impl Stop {
    /// Blocks both signals in the calling thread and those that it starts.
    pub fn new() -> Stop {
        // SAFETY: a signal set is plain data, initialised by sigemptyset before it is used.
        let mut signals: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is valid for the whole of each call, and the old mask may be null.
        unsafe {
            libc::sigemptyset(&mut signals);
            libc::sigaddset(&mut signals, libc::SIGINT);
            libc::sigaddset(&mut signals, libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut());
        }
        Stop { signals }
    }

    /// Does as if one of them had come; may be called from any thread.
    pub fn trigger(&self) -> impl FnOnce() + Send + use<> {
        || {
            // SAFETY: both calls take numbers alone, and the signal is blocked wherever this may run.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
        }
    }

    /// Waits until one of them comes.
    pub fn wait(&self) {
        let mut signal = 0;
        // SAFETY: both pointers are valid for the call.
        while unsafe { libc::sigwait(&self.signals, &mut signal) } != 0 {}
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// SIGHUP kept for a [`Watch`](super::watch::Watch); made before any other thread, which then leaves it alone too.
#[derive(Debug)]
pub struct Hangup(OwnedFd);

impl Hangup {
    /// Blocks SIGHUP in the calling thread and those that it starts; commands get it as before.
    ///
    /// # Errors
    /// Where the process may have no more descriptors.
    pub fn new() -> io::Result<Hangup> {
        let (hangup, mut before) = (hangup_alone(), MaybeUninit::uninit());
        // SAFETY: the sets are valid for the whole of each call, and pthread_sigmask initialises the old mask.
        let fd = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &hangup, before.as_mut_ptr());
            let blocked = libc::sigismember(before.as_ptr(), libc::SIGHUP) == 1;
            HANGUP_KEPT.store(!blocked, Ordering::SeqCst);
            libc::signalfd(-1, &hangup, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        owned(fd).map(Hangup)
    }

    /// The descriptor that is readable when the signal has come.
    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Takes in the signals that came.
    pub(super) fn drain(&self) {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        // SAFETY: the buffer is valid for its whole length, and the descriptor does not block.
        while unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), info.len()) } > 0 {}
    }
}

fn hangup_alone() -> libc::sigset_t {
    let mut signals = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set before it is used.
    unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGHUP);
        signals.assume_init()
    }
}

/// Whether a [`Hangup`] blocked SIGHUP in this process.
static HANGUP_KEPT: AtomicBool = AtomicBool::new(false);

/// The command that signals are passed on to; 0 for none yet, and then the signal is kept in `KEPT`.
static COMMAND: AtomicI32 = AtomicI32::new(0);
static KEPT: AtomicI32 = AtomicI32::new(0);

const SIGNALS: [libc::c_int; 5] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGTTIN,
    libc::SIGTTOU,
];
/// What each of `SIGNALS` did before.
static BEFORE: [AtomicUsize; 5] = [const { AtomicUsize::new(UNTOUCHED) }; 5];
/// No disposition: handlers are addresses of functions, and the constants are small.
const UNTOUCHED: usize = usize::MAX - 7;

extern "C" fn pass_on(signal: libc::c_int) {
    match COMMAND.load(Ordering::SeqCst) {
        0 => KEPT.store(signal, Ordering::SeqCst),
        command => {
            // SAFETY: kill is async-signal-safe and takes numbers alone.
            unsafe { libc::kill(command, signal) };
        }
    }
}

fn dispose(signal: libc::c_int, to: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: `to` is a disposition constant, a former one, or a handler that is async-signal-safe.
    unsafe { libc::signal(signal, to) }
}

/// Waits until a child has ended, and leaves it to be reaped; a terminal is told of its stops.
fn await_end(id: u32, terminal: Option<&Terminal>) -> io::Result<()> {
    let stops = terminal.map_or(0, |_| libc::WSTOPPED);
    loop {
        match wait_id(id, libc::WEXITED | libc::WNOWAIT | stops) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(libc::CLD_STOPPED) => {
                // Taken in, or it would be told again; a continuation may have done so already.
                let _ = wait_id(id, libc::WSTOPPED | libc::WNOHANG);
                if let Some(terminal) = terminal {
                    terminal.stopped();
                }
            }
            Ok(_) => return Ok(()),
        }
    }
}

/// What has become of a child, as `si_code`.
fn wait_id(id: u32, options: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: siginfo_t is plain data, for which all zeroes is a value, and is valid for the call.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        match libc::waitid(libc::P_PID, id, &mut info, options) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(info.si_code),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn sigterm_reaches_the_command_and_not_us() {
        let foreground = Foreground::take(None);
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        // SAFETY: the signal goes to this process, which has a handler for it.
        unsafe { libc::raise(libc::SIGTERM) };
        let status = foreground.wait(&mut child).unwrap();
        assert_eq!(status.signal(), Some(libc::SIGTERM));
    }
}
