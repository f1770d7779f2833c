//! What one side of a connection sent, from a file.

use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    str::FromStr,
    sync::Arc,
};

use crate::{
    args::{self, Transport},
    failure::{Failure, say},
    load::{self, reason},
    paint::To,
    report::Reporter,
    sent::Sent,
};

/// `untold inspect`.
pub fn inspect(args: &args::Inspect) -> Result<u8, Failure> {
    crate::log::start(args.output.verbose.verbose);
    let rules = load::rules(&args.rules)?;
    let mut input = Input::open(args)?;
    if args.rules.identity.is_none() {
        say("no --identity: only what looks like an identifier is found");
    }
    let mut reporter = Reporter::new(&args.output, To::Stdout)?;
    let to = args.to.as_ref().unwrap_or(&const { Destination::UNKNOWN });
    let mut sent = Sent::new(&rules, args.proto.into(), to, args.app.as_deref());
    match args.proto {
        Transport::Udp => datagram(&mut input, &mut sent)?,
        Transport::Tcp => stream(&mut input, &mut sent, &mut reporter)?,
    }
    sent.end();
    sent.drain(|event| reporter.event(event));
    let (tally, written) = reporter.close();
    written?;
    Ok(tally.status(0))
}

/// Where something was going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The name that was asked for.
    pub name: Option<Arc<str>>,
    /// Unspecified where only the name is known.
    pub address: SocketAddr,
}

impl Destination {
    /// Nobody knows where.
    pub const UNKNOWN: Destination = Destination {
        name: None,
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    };
}

impl FromStr for Destination {
    type Err = String;

    /// Reads `HOST`, `HOST:PORT`, `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`; the port is 80 where absent.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Destination {
                name: None,
                address,
            });
        }
        if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Destination {
                name: None,
                address: SocketAddr::new(ip, HTTP),
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, port),
                Err(_) => {
                    return Err(format!(
                        "{port:?} is no port: a number from 0 to 65535 is needed"
                    ));
                }
            },
            None => (text, HTTP),
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/:[]@".contains(c)) {
            return Err(
                "a host or address is needed, such as host.example:80 or [2001:db8::1]:80".into(),
            );
        }
        let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        Ok(Destination {
            name: Some(host.into()),
            address,
        })
    }
}

/// A file or standard input, with its name for errors.
struct Input {
    name: String,
    from: Box<dyn Read>,
}

impl Input {
    fn open(args: &args::Inspect) -> Result<Input, Failure> {
        let path = match &args.file {
            Some(path) if path.as_os_str() != "-" => path,
            _ => {
                return Ok(Input {
                    name: "standard input".into(),
                    from: Box::new(io::stdin()),
                });
            }
        };
        let name = path.display().to_string();
        match open(path) {
            Ok(file) => Ok(Input {
                name,
                from: Box::new(file),
            }),
            Err(error) => Err(Failure::Input(format!("{name}: {}", reason(&error)))),
        }
    }

    /// Appends up to `room` bytes; false at the end.
    fn append(&mut self, bytes: &mut Vec<u8>, room: usize) -> Result<bool, Failure> {
        let before = bytes.len();
        let read = self.from.by_ref().take(room as u64).read_to_end(bytes);
        read.map_err(|error| Failure::Input(format!("{}: {}", self.name, reason(&error))))?;
        Ok(bytes.len() > before)
    }
}

/// Opens a file that can be read from; a folder is none.
pub fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// One datagram.
fn datagram(input: &mut Input, sent: &mut Sent<'_>) -> Result<(), Failure> {
    let mut payload = Vec::new();
    input.append(&mut payload, DATAGRAM + 1)?;
    if payload.len() > DATAGRAM {
        let name = &input.name;
        return Err(Failure::Input(format!(
            "{name}: longer than a datagram ({DATAGRAM} bytes)"
        )));
    }
    sent.datagram(&payload);
    Ok(())
}

/// A stream, to its end or to the block.
fn stream(input: &mut Input, sent: &mut Sent<'_>, reporter: &mut Reporter) -> Result<(), Failure> {
    let mut bytes = Vec::with_capacity(CHUNK);
    while input.append(&mut bytes, CHUNK)? && sent.feed(&bytes) {
        bytes.clear();
        sent.drain(|event| reporter.event(event));
    }
    sent.finish();
    Ok(())
}

const HTTP: u16 = 80;
/// Payload of the largest UDP datagram (RFC 768, over IPv4).
const DATAGRAM: usize = 65_507;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_in_every_form() {
        for (text, name, address) in [
            ("Host.Example.", Some("host.example"), "0.0.0.0:80"),
            ("host.example:8080", Some("host.example"), "0.0.0.0:8080"),
            ("192.0.2.1", None, "192.0.2.1:80"),
            ("192.0.2.1:443", None, "192.0.2.1:443"),
            ("2001:db8::1", None, "[2001:db8::1]:80"),
            ("[2001:db8::1]", None, "[2001:db8::1]:80"),
            ("[2001:db8::1]:443", None, "[2001:db8::1]:443"),
        ] {
            let read: Destination = text.parse().unwrap();
            assert_eq!(
                (read.name.as_deref(), read.address.to_string().as_str()),
                (name, address)
            );
        }
        for text in [
            "",
            ":80",
            "host:http",
            "host:70000",
            "a b",
            "http://host/",
            "user@host",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
