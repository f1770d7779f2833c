//! What shells and `man` know of the command line, from its definition.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{
    args::{self, Cli},
    failure::Failure,
    load::reason,
};

/// `untold completions`.
pub fn completions(args: &args::Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), NAME, &mut script);
    write(&script)
}

/// `untold man`.
pub fn man(args: &args::Man) -> Result<u8, Failure> {
    let mut whole = definition();
    whole.build();
    let page = match &args.command {
        None => whole,
        Some(name) => match whole
            .find_subcommand(name)
            .filter(|found| !found.is_hide_set())
        {
            Some(found) => found.clone(),
            None => {
                return Err(Failure::Input(format!(
                    "no manual page of {name:?}: there is no such command"
                )));
            }
        },
    };
    let mut text = Vec::new();
    let rendered = Man::new(page).render(&mut text);
    rendered.map_err(|error| Failure::machine(reason(&error)))?;
    write(&text)
}

/// The command line without what is hidden from people.
fn definition() -> Command {
    Cli::command()
}

fn write(text: &[u8]) -> Result<u8, Failure> {
    let mut out = io::stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::machine(format_args!("stdout: {}", reason(&error))))
        }
        _ => Ok(0),
    }
}

const NAME: &str = "untold";
