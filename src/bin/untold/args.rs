//! What may be written on the command line.

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum, error::ErrorKind};
use untold::event::{Kind, Proto};

/// Stops programs from sending your identifiers to destinations nobody approved.
#[derive(Debug, Parser)]
#[command(
    name = "untold",
    version,
    about,
    disable_help_subcommand = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = EXIT_STATUS
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the 2019 registration being stopped, live, against a collector of its own
    ///
    /// Posts what phones of one model posted to a carrier's server at every power-on, with made-up values, through
    /// a real tun device in a namespace of its own: first unapproved, then approved. Nothing leaves this machine.
    Demo(Demo),
    /// Run a command inside the firewall, or attach to an existing tun device
    ///
    /// The command gets a network namespace whose only way out is a tun device that untold reads. It keeps its
    /// stdin, stdout and stderr; untold's own lines go to stderr. With --tun, untold attaches to a device that
    /// exists and runs until SIGINT or SIGTERM.
    #[command(group(ArgGroup::new("what").required(true).args(["tun", "cmd"])))]
    #[command(
        override_usage = "untold run [OPTIONS] -- CMD...\n       untold run [OPTIONS] --tun NAME"
    )]
    Run(Run),
    /// Judge captures (pcap, pcapng) as if they were live
    Replay(Replay),
    /// Look for identifiers in what one side of a connection sent
    Inspect(Inspect),
    /// Say which rule decides about a destination, and what would change that
    ///
    /// Nothing is sent and nothing is asked of DNS: a name in --to counts as one that DNS gave.
    Explain(Explain),
    /// Look over a policy file
    #[command(subcommand)]
    Policy(Policy),
    /// Look over an identity file
    #[command(subcommand)]
    Identity(Identity),
    /// Write completions for a shell to stdout
    Completions(Completions),
    /// Write the manual page, or that of one command, to stdout
    Man(Man),
    /// The client of the demonstration.
    #[command(name = crate::demo::CLIENT, hide = true)]
    Client,
}

#[derive(Debug, Args)]
pub struct Demo {
    #[command(flatten)]
    pub verbose: Verbose,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub rules: Rules,
    #[command(flatten)]
    pub output: Output,
    /// Ask on the terminal where the policy says so
    #[arg(long)]
    pub ask: bool,
    /// Largest packet of the tun device that is made for CMD, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 65_535, conflicts_with = "tun",
          value_parser = clap::value_parser!(u32).range(1_280..=65_535))]
    pub mtu: u32,
    /// Pass single packets through the device, with all checksums, as on a phone
    #[arg(long)]
    pub no_offload: bool,
    /// Resolve names here instead of where /etc/resolv.conf says (repeatable)
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = resolver)]
    pub resolver: Vec<SocketAddr>,
    /// Record packets, and what else verdicts stand on, into this pcapng file, for replay
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Attach to this tun device instead of running a command
    #[arg(long, value_name = "NAME")]
    pub tun: Option<String>,
    /// Mark untold's own sockets (SO_MARK), so that a routing rule can keep them out of the device
    #[arg(long, value_name = "N", conflicts_with = "cmd", value_parser = number)]
    pub mark: Option<u32>,
    /// Bind untold's own sockets to this device (SO_BINDTODEVICE)
    #[arg(long, value_name = "DEV", conflicts_with_all = ["cmd", "mark"])]
    pub bind_dev: Option<String>,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub cmd: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    pub rules: Rules,
    #[command(flatten)]
    pub output: Output,
    /// App that the captures are of, for rules on apps
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Capture files
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Inspect {
    #[command(flatten)]
    pub rules: Rules,
    #[command(flatten)]
    pub output: Output,
    /// Transport that carried it: with udp, the input is one datagram
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    pub proto: Transport,
    /// Where it was going
    #[arg(long, value_name = "HOST[:PORT]")]
    pub to: Option<crate::inspect::Destination>,
    /// App that sent it, for rules on apps
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// What was sent, from its first byte; standard input where absent or -
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// Policy (TOML); without one, the built-in defaults are explained
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Answers "always" of earlier questions (TOML), beside the policy; as for run,
    /// $XDG_CONFIG_HOME/untold/answers.toml where absent
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Where it goes; port 80 where absent
    #[arg(long, value_name = "HOST[:PORT]")]
    pub to: crate::inspect::Destination,
    /// Address that the host has, for rules on networks
    #[arg(long, value_name = "ADDR")]
    pub address: Option<IpAddr>,
    /// Name that the flow itself gives (Host, SNI) where DNS did not: a claim
    #[arg(long, value_name = "NAME")]
    pub claim: Option<String>,
    /// App that sends, by each name it has, for rules on apps
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub app: Vec<String>,
    /// Kinds of identifiers that it sends, such as imei,email
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    pub sends: Vec<Kind>,
    /// Transport protocol
    #[arg(long, default_value = "tcp", value_parser = ["tcp", "udp", "icmp"])]
    pub proto: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Tell every fault of a policy, or what is in it and what may not be meant so
    Check(Check),
}

#[derive(Debug, Subcommand)]
pub enum Identity {
    /// Tell every fault of an identity file, or how each value is looked for and what is odd about it
    Check(Check),
}

#[derive(Debug, Args)]
pub struct Check {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Completions {
    /// Shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Command, such as run or policy check; the whole program where absent
    pub command: Vec<String>,
}

/// What judging stands on.
#[derive(Debug, Default, Args)]
pub struct Rules {
    /// Policy (TOML); without one, identifiers go nowhere and everything else passes
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Answers "always" of earlier questions (TOML), beside the policy; run reads and writes
    /// $XDG_CONFIG_HOME/untold/answers.toml where absent
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Your identifiers (TOML), what is looked for
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Key of the hashes in findings, so that they compare between runs; random where absent
    #[arg(long, value_name = "HEX", value_parser = hash_key)]
    pub hash_key: Option<[u8; 32]>,
}

/// Where events go.
#[derive(Debug, Args)]
pub struct Output {
    /// Print events as JSON, one object a line, and nothing else, on stdout
    #[arg(long)]
    pub json: bool,
    /// Write the JSON events to this file
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    #[command(flatten)]
    pub verbose: Verbose,
}

#[derive(Debug, Args)]
pub struct Verbose {
    /// Say on stderr what is being done (repeat for more)
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Transport protocols that carry a payload to inspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    Tcp,
    Udp,
}

impl From<Transport> for Proto {
    fn from(transport: Transport) -> Proto {
        match transport {
            Transport::Tcp => Proto::Tcp,
            Transport::Udp => Proto::Udp,
        }
    }
}

impl Cli {
    /// Reads the command line; help and the version are printed by the caller as they are.
    pub fn read() -> Result<Cli, clap::Error> {
        Cli::try_parse()
    }
}

/// The one line that a person gets for a command line that cannot be read.
pub fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .flat_map(str::split_whitespace)
        .collect();
    let line = words.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let checks = ["policy", "identity"];
    let check = checks
        .iter()
        .find(|file| text.contains(&format!("untold {file}")));
    let check = check.map(|file| format!("nothing to do: untold {file} check FILE"));
    let line = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => check
            .as_deref()
            .unwrap_or("no command given: demo, run, replay, inspect, explain …"),
        ErrorKind::MissingRequiredArgument if line.contains("CMD") => {
            "nothing to run: give a command (untold run -- CMD) or a device (untold run --tun NAME)"
        }
        _ => line,
    };
    format!("{line} (untold --help tells more)")
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_name(text).ok_or_else(|| {
        let named: Vec<&str> = Kind::NAMED.iter().map(|(name, _)| *name).collect();
        format!("kinds are {} and custom.NAME", named.join(", "))
    })
}

fn hash_key(text: &str) -> Result<[u8; 32], String> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .unwrap_or_default();
    bytes
        .try_into()
        .map_err(|_| "64 hex digits (32 bytes) are needed".into())
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let whole = text.parse().ok();
    let whole = whole.or_else(|| Some(SocketAddr::new(text.parse().ok()?, 53)));
    whole.ok_or_else(|| {
        "an address is needed, such as 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53".into()
    })
}

fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed
        .map_err(|_| "a number from 0 to 4294967295 is needed, or one in hex such as 0x100".into())
}

const EXIT_STATUS: &str = "\
Exit status:
  0  no identifier went, or tried to go, where nobody approved it (run: the command's own status)
  1  one did, blocked or not
  2  bad usage or input
  3  this machine cannot do it: no tun device, no permission";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        complaint(&Cli::try_parse_from(line.split(' ')).unwrap_err())
    }

    #[test]
    fn the_definition_holds_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_read_is_one_line_that_says_why() {
        for (line, needle) in [
            ("untold", "no command given"),
            ("untold run", "nothing to run"),
            ("untold run --", "nothing to run"),
            ("untold replay", "CAPTURE"),
            ("untold replay --polcy x c.pcap", "--polcy"),
            ("untold inspect --hash-key 12", "64 hex digits"),
            ("untold inspect --proto icmp", "icmp"),
            ("untold run --tun t --mark x", "0x100"),
            ("untold run --tun t --mark 1 --bind-dev d", "--bind-dev"),
            ("untold run --tun t -- true", "cannot be used with"),
            ("untold run --mark 1 -- true", "--mark"),
            ("untold run --mtu 576 -- true", "576"),
            ("untold replay --ask c.pcap", "--ask"),
            ("untold explain", "--to"),
            ("untold explain --to a.example --sends imie", "imei, meid"),
            ("untold explain --to a.example --proto gre", "tcp"),
            ("untold policy", "untold policy check FILE"),
            ("untold policy check", "FILE"),
            ("untold completions tcsh", "bash"),
            ("untold inspect --to host:0x50", "port"),
        ] {
            let complaint = refused(line);
            assert!(complaint.contains(needle), "{line}: {complaint}");
            assert!(
                !complaint.contains('\n') && !complaint.contains("Usage"),
                "{complaint}"
            );
        }
    }

    #[test]
    fn a_command_keeps_its_own_options() {
        let cli =
            Cli::try_parse_from(["untold", "run", "--json", "--", "curl", "--json", "-v"]).unwrap();
        let Command::Run(run) = cli.command else {
            panic!("not run")
        };
        assert_eq!(run.cmd, ["curl", "--json", "-v"]);
        assert!(run.output.json && run.mtu == 65_535);
    }
}
