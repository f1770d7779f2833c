//! The command line: arguments in, lines and an exit status out. All judging is the library's.
#![forbid(unsafe_code)]

mod answers;
mod args;
mod ask;
mod check;
mod demo;
mod explain;
mod failure;
mod inspect;
mod judge;
mod load;
mod log;
mod manual;
mod page;
mod paint;
mod print;
mod progress;
mod recording;
mod reload;
mod replay;
mod report;
mod run;
mod sent;
mod tally;

use std::{io::Write, panic, process::ExitCode};

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| failure::report_panic(info.location())));
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return unread(&error),
    };
    let ended = panic::catch_unwind(|| match cli.command {
        Command::Demo(demo) => demo::demo(&demo),
        Command::Run(run) => run::run(&run),
        Command::Replay(replay) => replay::replay(&replay),
        Command::Inspect(inspect) => inspect::inspect(&inspect),
        Command::Explain(explain) => explain::explain(&explain),
        Command::Policy(args::Policy::Check(check)) => check::policy(&check),
        Command::Identity(args::Identity::Check(check)) => check::identity(&check),
        Command::Completions(completions) => manual::completions(&completions),
        Command::Man(man) => manual::man(&man),
        Command::Client => demo::client(),
    });
    match ended {
        Ok(Ok(status)) => ExitCode::from(status),
        Ok(Err(failure)) => {
            failure::complain(&failure);
            ExitCode::from(failure.status())
        }
        Err(_) => ExitCode::from(failure::MACHINE),
    }
}

/// Help and the version go to stdout as they are; anything else is a complaint.
fn unread(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed stdout is no reason to fail: nobody is reading.
        let _ = error.print();
        let _ = std::io::stdout().flush();
        return ExitCode::SUCCESS;
    }
    failure::complain(&Failure::Input(args::complaint(error)));
    ExitCode::from(failure::INPUT)
}
