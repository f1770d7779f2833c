use std::{
    cell::Cell,
    ffi::c_void,
    io,
    os::fd::{AsRawFd, BorrowedFd},
    sync::Arc,
};

use super::{untold_bytes, untold_callbacks};
use crate::{
    event::Proto,
    io::{FindOwner, Pair, Protect, foreign, outbox::Deliver},
};

/// Callbacks of C's, called from the engine's threads.
#[derive(Clone, Copy)]
pub(super) struct Callbacks(pub(super) untold_callbacks);

// SAFETY: whoever starts an engine promises that its callbacks may be called from any thread.
unsafe impl Send for Callbacks {}

impl Callbacks {
    /// Whether the calling thread is in a callback, where waiting for the engine would be waiting for itself.
    pub(super) fn is_inside() -> bool {
        INSIDE.get()
    }

    fn call<T>(&self, body: impl FnOnce(*mut c_void) -> T) -> T {
        INSIDE.set(true);
        let result = body(self.0.context);
        INSIDE.set(false);
        result
    }
}

impl Protect for Callbacks {
    fn protect(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let Some(protect) = self.0.protect else {
            return Ok(());
        };
        // SAFETY: the promise of who started the engine.
        match self.call(|context| unsafe { protect(context, socket.as_raw_fd()) }) {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl FindOwner for Callbacks {
    fn find(&mut self, proto: Proto, pair: Pair) -> Vec<Arc<str>> {
        let Some(owner) = self.0.owner else {
            return Vec::new();
        };
        let (src, dst) = (pair.src.ip().to_string(), pair.dst.ip().to_string());
        let mut names = [0; NAMES];
        // SAFETY: the promise of who started the engine; `names` has the room that is told.
        let len = self.call(|context| unsafe {
            owner(
                context,
                foreign::proto_number(proto),
                untold_bytes::of(src.as_bytes()),
                pair.src.port(),
                untold_bytes::of(dst.as_bytes()),
                pair.dst.port(),
                names.as_mut_ptr(),
                names.len(),
            )
        });
        let names = names.get(..len).unwrap_or_default();
        let names = str::from_utf8(names).unwrap_or_default();
        names.lines().map(Arc::from).collect()
    }
}

impl Deliver for Callbacks {
    fn batch(&mut self, lines: &[u8]) {
        if let Some(events) = self.0.events {
            // SAFETY: the promise of who started the engine.
            self.call(|context| unsafe { events(context, untold_bytes::of(lines)) });
        }
    }

    fn end(&mut self, reason: Option<&str>) {
        if let Some(stopped) = self.0.stopped {
            let reason = untold_bytes::of(reason.unwrap_or_default().as_bytes());
            // SAFETY: the promise of who started the engine.
            self.call(|context| unsafe { stopped(context, reason) });
        }
    }
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Room for the names of an owner, in bytes.
const NAMES: usize = 4 << 10;
