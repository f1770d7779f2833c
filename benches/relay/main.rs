//! The relay's speed and cost beside its rivals', in one run: `cargo bench --bench relay -- --help`.
//!
//! ```text
//! app ns (clients) ──tun──► contender, in this namespace ──veth──► server ns (servers)
//! ```
//! The tun is made here, the contender attaches to it by name, and then the device moves to the app's namespace, so that
//! a contender needs no marks and cannot loop. Runs are interleaved and medians printed, as Markdown.

mod contender;
mod load;
mod measure;
mod options;
mod table;
mod topology;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use contender::Contender;
use measure::Cell;
use options::Options;
use table::Table;
use topology::Topology;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(status) = load::play(&words) {
        return status;
    }
    if !words.iter().any(|word| word == "--bench") {
        println!("not measured: this is `cargo bench --bench relay`");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(words.iter().filter(|word| *word != "--bench")) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if env::var_os(INSIDE).is_none() {
        return run_inside(&words);
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("relay bench: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program again in namespaces of its own, which end with it.
fn run_inside(words: &[String]) -> ExitCode {
    let status = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .arg(env::current_exe().expect("a running program has a path"))
        .args(words)
        .env(INSIDE, "1")
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("unshare: {error}: this needs root, util-linux and /dev/net/tun");
            ExitCode::from(3)
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let work = work_folder()?;
    let topology = Topology::new()?;
    let contenders: Vec<Contender> = contender::all(&work, options)?;
    let mut table = Table::default();
    for round in 0..options.rounds {
        for (at, mtu) in options.mtus.iter().enumerate() {
            for contender in &contenders {
                for cells in Cell::all(options, at == 0) {
                    let running = match topology.start(contender, *mtu, options.queue, &work) {
                        Ok(running) => running,
                        Err(reason) => {
                            eprintln!("{} at {mtu}: {reason}", contender.name);
                            table.fail(&contender.name, *mtu, reason);
                            break;
                        }
                    };
                    for cell in cells {
                        let result = measure::run(&running, cell, options.seconds);
                        let said = match &result {
                            Ok(sample) => table::figures(cell, sample),
                            Err(reason) => format!("failed: {reason}"),
                        };
                        let (round, name) = (round + 1, &contender.name);
                        eprintln!("round {round} · {name} · MTU {mtu} · {cell} · {said}");
                        table.add(&contender.name, *mtu, cell, result);
                    }
                    topology.stop(running);
                }
            }
        }
    }
    let text = table.markdown(options);
    println!("{text}");
    match &options.out {
        Some(file) => fs::write(file, text).map_err(|error| format!("{}: {error}", file.display())),
        None => Ok(()),
    }
}

/// Logs, settings and rivals' programs.
fn work_folder() -> Result<PathBuf, String> {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("relay");
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    Ok(work)
}

/// Says that the program is in namespaces of its own.
const INSIDE: &str = "UNTOLD_RELAY_BENCH";
