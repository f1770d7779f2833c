//! Faults of ours, told by place alone: the text of a panic may quote what was inspected.
//!
//! Only the shells for other languages ask for this. What a program around the library says of its own panics is its
//! own business: its hook gets all those that are not ours.

use std::{
    cell::{Cell, RefCell},
    panic::{self, PanicHookInfo},
    sync::Once,
    thread,
};

/// While it lives, panics of this thread are ours, and so are those of the library's own threads from then on.
pub struct Watch {
    outer: bool,
}

/// Begins to watch the calling thread.
#[must_use]
pub fn watch() -> Watch {
    static ONCE: Once = Once::new();
    ONCE.call_once(install);
    Watch {
        outer: WATCHED.replace(true),
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(self.outer);
    }
}

/// What there is to say of the panic that this thread has just caught.
pub fn last() -> String {
    let place = LAST.take();
    format!("fault at {}", place.as_deref().unwrap_or(SOMEWHERE))
}

fn install() {
    let theirs = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !is_ours() {
            return theirs(panic);
        }
        let place = place(panic);
        log::error!("fault at {place}");
        let _ = LAST.try_with(|last| last.replace(Some(place)));
    }));
}

fn is_ours() -> bool {
    let watched = WATCHED.try_with(Cell::get).unwrap_or(false);
    let named = || thread::current().name().map(|name| name.starts_with(NAME));
    watched || named().unwrap_or(false)
}

fn place(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location();
    place.map_or(SOMEWHERE.to_owned(), |at| {
        format!("{}:{}", at.file(), at.line())
    })
}

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// How the names of the library's own threads begin.
const NAME: &str = "untold";
const SOMEWHERE: &str = "an unknown place";

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Panics on a thread of its own, after `before`.
    fn panics(thread: &str, text: &'static str, before: fn()) -> String {
        let thread = thread::Builder::new().name(thread.into());
        let panicking = thread.spawn(move || {
            let caught = panic::catch_unwind(|| {
                before();
                panic!("{text}")
            });
            assert!(caught.is_err());
            last()
        });
        panicking.unwrap().join().unwrap()
    }

    // One test, for there is one hook in a process.
    #[test]
    fn a_programs_own_panics_stay_with_its_hook_and_ours_are_told_by_place() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = heard.clone();
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match panic.payload_as_str() {
            Some(text) if text.starts_with("secret") => ear.lock().unwrap().push(text.to_owned()),
            _ => usual(panic),
        }));
        drop(watch());

        let place = panics("a program's", "secret of a call", || {
            std::mem::forget(watch());
        });
        assert!(place.starts_with("fault at src/io/panics.rs:"), "{place}");
        let place = panics("untold-owner", "secret of a thread of ours", || {});
        assert!(place.starts_with("fault at src/io/panics.rs:"), "{place}");
        assert!(heard.lock().unwrap().is_empty());

        let place = panics("a program's", "secret of the program", || drop(watch()));
        assert_eq!(place, "fault at an unknown place");
        assert_eq!(*heard.lock().unwrap(), ["secret of the program"]);
    }
}
