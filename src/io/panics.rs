//! Faults of ours, told by place alone.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes every panic of this library log its place and nothing else: the text of one may quote what was inspected.
///
/// For libraries that carry a std of their own; a program has its own hook.
pub fn tell_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            let place = panic
                .location()
                .map(|at| format!("{}:{}", at.file(), at.line()));
            let place = place.unwrap_or_else(|| "an unknown place".into());
            log::error!("fault at {place}");
            LAST.with(|last| last.replace(Some(place)));
        }));
    });
}

/// What there is to say of the panic that this thread has just caught.
pub fn last() -> String {
    let place = LAST.with(|last| last.take());
    format!(
        "fault at {}",
        place.as_deref().unwrap_or("an unknown place")
    )
}
