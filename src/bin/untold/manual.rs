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
    let mut page = definition();
    page.build();
    for name in &args.command {
        let Some(found) = page.find_subcommand(name) else {
            let command = args.command.join(" ");
            return Err(Failure::Input(format!(
                "no manual page: there is no command {command:?}"
            )));
        };
        page = found.clone();
    }
    let mut text = Vec::new();
    let rendered = Man::new(page).render(&mut text);
    rendered.map_err(|error| Failure::machine(reason(&error)))?;
    write(&text)
}

/// The command line without what is hidden from people.
fn definition() -> Command {
    let whole = Cli::command();
    let shown = whole
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let about = whole.get_about().cloned().unwrap_or_default();
    let exit_status = whole.get_after_help().cloned().unwrap_or_default();
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(exit_status)
        .disable_help_subcommand(true)
        .subcommands(shown.cloned())
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
