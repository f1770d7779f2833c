//! Signals around a command in the foreground, and the wait for the word to stop.

use std::{
    io,
    process::{Child, ExitStatus},
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
};

/// While it lives, SIGINT and SIGQUIT are left to the command in the foreground, and SIGTERM is passed on to it.
///
/// One at a time: signal dispositions belong to the process.
#[derive(Debug)]
pub struct Foreground(());

impl Foreground {
    /// Changes the dispositions; call it before the command is started, so that no signal falls between.
    pub fn take() -> Foreground {
        let handler: extern "C" fn(libc::c_int) = pass_on;
        let ours = [
            libc::SIG_IGN,
            libc::SIG_IGN,
            handler as *const () as libc::sighandler_t,
        ];
        for ((signal, before), ours) in SIGNALS.iter().zip(&BEFORE).zip(ours) {
            before.store(dispose(*signal, ours), Ordering::SeqCst);
        }
        Foreground(())
    }

    /// Waits for the command, whom SIGTERM reaches meanwhile.
    pub fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let id = i32::try_from(child.id()).expect("process ids fit");
        COMMAND.store(id, Ordering::SeqCst);
        if TERMINATED.swap(0, Ordering::SeqCst) != 0 {
            pass_on(libc::SIGTERM);
        }
        let ended = await_end(child.id());
        // Cleared while the process is still there to be reaped, so that its id is nobody else's yet.
        COMMAND.store(0, Ordering::SeqCst);
        ended.and_then(|()| child.wait())
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the calling process the dispositions that it had before [`Foreground::take`].
pub(crate) fn restore() {
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

/// The command that signals are passed on to; 0 for none yet, and then the signal is kept in `TERMINATED`.
static COMMAND: AtomicI32 = AtomicI32::new(0);
static TERMINATED: AtomicI32 = AtomicI32::new(0);

const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
/// What each of `SIGNALS` did before.
static BEFORE: [AtomicUsize; 3] = [const { AtomicUsize::new(UNTOUCHED) }; 3];
/// No disposition: handlers are addresses of functions, and the constants are small.
const UNTOUCHED: usize = usize::MAX - 7;

extern "C" fn pass_on(signal: libc::c_int) {
    match COMMAND.load(Ordering::SeqCst) {
        0 => TERMINATED.store(signal, Ordering::SeqCst),
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

/// Waits until a child has ended, and leaves it to be reaped.
fn await_end(id: u32) -> io::Result<()> {
    loop {
        // SAFETY: siginfo_t is plain data, for which all zeroes is a value, and is valid for the call.
        let code = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, id, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        match code {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Command};

    use super::*;

    #[test]
    fn sigterm_reaches_the_command_and_not_us() {
        let foreground = Foreground::take();
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        // SAFETY: the signal goes to this process, which has a handler for it.
        unsafe { libc::raise(libc::SIGTERM) };
        let status = foreground.wait(&mut child).unwrap();
        assert_eq!(status.signal(), Some(libc::SIGTERM));
    }
}
