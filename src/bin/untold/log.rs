//! What the library logs, on stderr, for those who ask for it.

use log::{LevelFilter, Log, Metadata, Record};

use crate::failure::say;

/// Starts logging: nothing at 0, then info, debug and trace.
pub fn start(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(level);
    }
}

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("untold")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            say(format_args!(
                "{} {}",
                record.level().as_str().to_ascii_lowercase(),
                record.args()
            ));
        }
    }

    fn flush(&self) {}
}
