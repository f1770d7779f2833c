use std::{
    cell::RefCell,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    str::Utf8Error,
};

use super::{untold_bytes, untold_status};
use crate::{ConfigError, io::panics};

/// Why a call cannot do what it says.
pub(super) enum Fault {
    Config(ConfigError),
    Argument(&'static str),
    Machine(io::Error),
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Fault::Config(error)
    }
}

impl From<&'static str> for Fault {
    fn from(what: &'static str) -> Self {
        Fault::Argument(what)
    }
}

impl From<Utf8Error> for Fault {
    fn from(_: Utf8Error) -> Self {
        Fault::Argument("a text is not UTF-8")
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Machine(error)
    }
}

/// The words of the calling thread's last call.
pub(super) fn last_error() -> untold_bytes {
    LAST_ERROR.with_borrow(|error| untold_bytes::of(error.as_bytes()))
}

/// The one place between a function and its caller: turns faults and panics into a status and words.
pub(super) fn call(body: impl FnOnce() -> Result<(), Fault>) -> untold_status {
    let _watch = panics::watch();
    let (status, words) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => (untold_status::UNTOLD_OK, String::new()),
        Ok(Err(Fault::Config(error))) => (untold_status::UNTOLD_CONFIG, error.to_string()),
        Ok(Err(Fault::Argument(what))) => (untold_status::UNTOLD_ARGUMENT, what.to_owned()),
        Ok(Err(Fault::Machine(error))) => (untold_status::UNTOLD_MACHINE, error.to_string()),
        Err(payload) => {
            // To drop it could panic again.
            std::mem::forget(payload);
            (untold_status::UNTOLD_FAULT, panics::last())
        }
    };
    LAST_ERROR.set(words);
    status
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}
