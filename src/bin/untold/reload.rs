//! The person's files, read again when one changes and on SIGHUP.

use untold::io::{
    Handle,
    signal::Hangup,
    watch::{Stopper, Watch, Woken},
};

use crate::{
    failure::{Failure, say},
    load::Sources,
};

/// Puts new policies in force while an engine runs.
pub struct Reloader {
    sources: Sources,
    watch: Watch,
    /// Whether events take the place of lines for people, who are told beside them then.
    json: bool,
    /// The fault that was told last.
    fault: Option<String>,
}

impl Reloader {
    /// Watches the files of `sources`, which have been read once; dropping the stopper ends [`Reloader::run`].
    pub fn new(
        sources: Sources,
        hangup: Option<Hangup>,
        json: bool,
    ) -> Result<(Reloader, Stopper), Failure> {
        let (watch, stopper) = Watch::new(hangup).map_err(Failure::machine)?;
        let reloader = Reloader {
            sources,
            watch,
            json,
            fault: None,
        };
        Ok((reloader, stopper))
    }

    /// Reads again whenever that is due, until the stopper is gone.
    pub fn run(mut self, handle: &Handle) {
        if let Err(error) = self.watch.add(self.sources.files()) {
            let error = Failure::machine(error);
            say(format_args!(
                "changes of files count after SIGHUP only: {error}"
            ));
        }
        // What changed between the first reading and now.
        let mut why = Woken::Change;
        loop {
            match why {
                Woken::Stop => return,
                Woken::Change | Woken::Hangup => self.read(handle, why == Woken::Hangup),
            }
            // A fault was told at the start.
            let _ = self.watch.add(self.sources.files());
            why = match self.watch.wait() {
                Ok(why) => why,
                Err(error) => {
                    let error = Failure::machine(error);
                    return self.complain(
                        handle,
                        format!("files are not read again any more: {error}"),
                    );
                }
            };
        }
    }

    fn read(&mut self, handle: &Handle, asked_to: bool) {
        match self.sources.read() {
            Ok(Some(rules)) => {
                handle.set_rules(rules);
                self.fault = None;
                say("the files were read again, and are in force");
            }
            Ok(None) => {
                let mended = self.fault.take().is_some();
                if asked_to || mended {
                    say("the files were read again, and nothing has changed");
                }
            }
            Err(failure) => {
                let fault = format!("{failure} (the policy in force stays)");
                if asked_to || self.fault.as_ref() != Some(&fault) {
                    self.complain(handle, fault.clone());
                    self.fault = Some(fault);
                }
            }
        }
    }

    fn complain(&self, handle: &Handle, message: String) {
        if self.json {
            say(&message);
        }
        handle.complain(message);
    }
}
