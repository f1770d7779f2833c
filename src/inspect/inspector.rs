use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::{
    Context, Gate, Notice, Rules, Step, Stream,
    piece::{Piece, Tail, Wire},
    scanner::Scanner,
    stream::About,
    unit::Unit,
};
use crate::{
    decode::{Coding, Effort, Scratch},
    event::{Finding, NameSource, Opaque, Place, Proto, Verdict},
    policy::Facts,
};

/// Inspection of one message at a time, without a tun device: for use inside an app, and for files.
///
/// ```
/// use std::sync::Arc;
/// use untold::{
///     detect::{Detector, Identity},
///     event::{Action, Kind},
///     inspect::{Inspector, Request, Rules},
///     policy::{Config, Policy},
/// };
///
/// let identity = Identity::parse("identity.toml", r#"imei = "490154203237518""#)?;
/// let policy = Policy::new(Config::default_policy(), Vec::new())?;
/// let inspector = Inspector::new(Rules {
///     detector: Arc::new(Detector::new(&identity, &[7; 32])),
///     policy: Arc::new(policy),
/// });
///
/// let inspection = inspector.request(&Request {
///     method: "POST",
///     url: "http://collector.example/register",
///     headers: &[("Content-Type", "application/json")],
///     body: &[br#"{"imei":"4901542"#, br#"03237518"}"#],
/// });
///
/// assert_eq!(inspection.verdict.action, Action::Ask);
/// assert_eq!(inspection.findings[0].kind, Kind::Imei);
/// assert_eq!(inspection.findings[0].last4.as_deref(), Some("7518"));
/// # Ok::<(), untold::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Inspector {
    rules: Rules,
}

/// An HTTP request as a client library knows it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// Absolute, as the client resolves it.
    pub url: &'a str,
    /// Names and values, in order.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body in as many pieces as it comes; content coding still on, transfer coding off.
    pub body: &'a [&'a [u8]],
}

/// What a message was found to carry, and what the policy says of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// One for each value and place, in the order of the message.
    pub findings: Vec<Finding>,
    /// The strictest verdict on the destination and on what was found. [`Ask`](crate::event::Action::Ask) is left as it is.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why some of the content could not be read, if so.
    pub opaque: Option<Opaque>,
    /// What reading the message took.
    pub effort: Effort,
}

/// Where bytes go: `host`, `host:port`, `address`, `address:port`, `[v6 address]:port`; the port is 80 unless given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Host name, lower case, unless an address was given.
    pub name: Option<Arc<str>>,
    /// Address and port; the address is unspecified where only a name is known.
    pub address: SocketAddr,
}

/// A destination that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host or address with an optional port")]
pub struct DestinationError;

impl Inspector {
    /// An inspector that judges by these rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules }
    }

    /// Inspects a request before it is sent. Its host counts as the name that the client resolves.
    pub fn request(&self, request: &Request<'_>) -> Inspection {
        let url = Url::split(request.url);
        let to = Destination::at(url.host, url.port);
        let mut unit = Unit::default();
        let headers: String = request
            .headers
            .iter()
            .flat_map(|(name, value)| [*name, ": ", *value, "\r\n"])
            .collect();
        let encoding = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case("content-encoding");
        let coding = request.headers.iter().rfind(encoding);
        let coding = coding.and_then(|(_, value)| {
            let last = value.rsplit(',').next().unwrap_or_default();
            Coding::named(&last.trim().to_ascii_lowercase())
        });
        let body: Cow<'_, [u8]> = match request.body {
            [whole] => Cow::Borrowed(*whole),
            pieces => Cow::Owned(pieces.concat()),
        };
        for (place, text) in [
            (Place::Name, url.host.as_bytes()),
            (Place::Path, url.path.as_bytes()),
            (Place::Query, url.query.as_bytes()),
            (Place::Header, request.method.as_bytes()),
            (Place::Header, url.user.as_bytes()),
            (Place::Header, headers.as_bytes()),
            (Place::Body, &body),
        ] {
            unit.grant(text.len());
            let piece = Piece {
                text,
                known: 0,
                tail: Tail::Closed,
                wire: Wire::Stretch(0),
            };
            let mut scanner = Scanner::new(place, &[], 0);
            scanner.expect(coding.filter(|_| place == Place::Body));
            scanner.scan(&piece, &self.rules.detector, &mut unit);
        }
        self.inspect(Proto::Tcp, &to, |cx| {
            unit.judge(&[], cx);
            unit.effort()
        })
    }

    /// Inspects what one side of a flow sent, from its first byte to its last, or one datagram.
    pub fn bytes(&self, proto: Proto, to: &Destination, bytes: &[u8]) -> Inspection {
        self.inspect(proto, to, |cx| {
            let mut stream = Stream::new(proto);
            match proto {
                Proto::Udp | Proto::Icmp => {
                    stream.datagram(bytes, cx);
                }
                Proto::Tcp => {
                    let mut rest = bytes;
                    let mut step = stream.feed(rest, cx);
                    let mut finished = false;
                    loop {
                        let Step { release, gate, .. } = step;
                        rest = rest.get(release..).unwrap_or_default();
                        step = match gate {
                            Gate::Ask(_) | Gate::Block(_) => {
                                stream.resume(About::Content, rest, cx)
                            }
                            Gate::Open if finished => break,
                            Gate::Open => {
                                finished = true;
                                stream.finish(rest, cx)
                            }
                        };
                    }
                }
            }
            stream.effort()
        })
    }

    fn inspect(
        &self,
        proto: Proto,
        to: &Destination,
        run: impl FnOnce(&mut Context<'_>) -> Effort,
    ) -> Inspection {
        let mut facts = Facts {
            app: Vec::new(),
            dst: to.address,
            proto,
            names: to
                .name
                .iter()
                .map(|name| (name.clone(), NameSource::Dns))
                .collect(),
            wall: 0,
        };
        let mut notices = Vec::new();
        let effort = run(&mut Context {
            rules: &self.rules,
            facts: &mut facts,
            now: Duration::ZERO,
            room: usize::MAX,
            can_ask: true,
            scratch: &mut Scratch::default(),
            notices: &mut notices,
        });
        let policy = &self.rules.policy;
        let mut inspection = Inspection {
            findings: Vec::new(),
            verdict: policy.connection(&facts),
            opaque: None,
            effort,
        };
        for notice in notices {
            match notice {
                Notice::Finding { finding, verdict } => {
                    inspection.findings.push(finding);
                    inspection.tighten(verdict);
                }
                Notice::Opaque(why) => {
                    if why == Opaque::Budget {
                        inspection.tighten(policy.oversize());
                    }
                    inspection.opaque = Some(why);
                }
                Notice::Name { .. } | Notice::Unread(_) => {}
            }
        }
        inspection
    }
}

impl Inspection {
    fn tighten(&mut self, verdict: Verdict) {
        if verdict.action >= self.verdict.action {
            self.verdict = verdict;
        }
    }
}

impl Destination {
    fn at(host: &str, port: u16) -> Destination {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => Destination {
                name: None,
                address: SocketAddr::new(address, port),
            },
            Err(_) => {
                let name = host.trim_end_matches('.').to_ascii_lowercase();
                Destination {
                    name: (!name.is_empty()).then(|| name.into()),
                    address: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
                }
            }
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let (host, port) = match split_port(text) {
            Some((host, port)) => (host, port.parse().map_err(|_| DestinationError)?),
            None => (text, HTTP_PORT),
        };
        let to = Destination::at(host, port);
        let plausible = |name: &Arc<str>| {
            name.chars()
                .all(|char| char.is_alphanumeric() || "-._".contains(char))
        };
        match &to.name {
            Some(name) if plausible(name) => Ok(to),
            None if !host.is_empty() => Ok(to),
            Some(_) | None => Err(DestinationError),
        }
    }
}

/// A URL, split without judging it.
struct Url<'a> {
    user: &'a str,
    host: &'a str,
    port: u16,
    path: &'a str,
    query: &'a str,
}

impl<'a> Url<'a> {
    fn split(url: &'a str) -> Url<'a> {
        let sent = url.split('#').next().unwrap_or_default();
        let (scheme, rest) = sent.split_once("://").unwrap_or(("http", sent));
        let target = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(target);
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let default = if scheme.eq_ignore_ascii_case("https") {
            HTTPS_PORT
        } else {
            HTTP_PORT
        };
        let (host, port) = split_port(host).unwrap_or((host, ""));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Url {
            user,
            host,
            port: port.parse().unwrap_or(default),
            path,
            query,
        }
    }
}

/// Splits a port off, unless the colon is one of an address.
fn split_port(host: &str) -> Option<(&str, &str)> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let (name, port) = host.rsplit_once(':')?;
    (!port.ends_with(']')).then_some((name, port))
}

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_destinations() {
        for (text, name, address) in [
            (
                "Collector.example.",
                Some("collector.example"),
                "0.0.0.0:80",
            ),
            ("c.example:9999", Some("c.example"), "0.0.0.0:9999"),
            ("192.0.2.1", None, "192.0.2.1:80"),
            ("192.0.2.1:53", None, "192.0.2.1:53"),
            ("2001:db8::1", None, "[2001:db8::1]:80"),
            ("[2001:db8::1]:443", None, "[2001:db8::1]:443"),
            ("[2001:db8::1]", None, "[2001:db8::1]:80"),
        ] {
            let to: Destination = text.parse().unwrap();
            assert_eq!(
                (to.name.as_deref(), to.address),
                (name, address.parse().unwrap()),
                "{text}"
            );
        }
        for text in [
            "",
            "a b",
            "c.example:port",
            "c.example:99999",
            ":80",
            "http://c.example",
        ] {
            assert_eq!(text.parse::<Destination>(), Err(DestinationError), "{text}");
        }
    }

    #[test]
    fn splits_urls() {
        let url = Url::split("https://u:p@C.example:8443/a/b?c=d?e#f");
        assert_eq!(
            (url.user, url.host, url.port, url.path, url.query),
            ("u:p", "C.example", 8443, "/a/b", "c=d?e")
        );
        assert_eq!(Url::split("https://c.example").port, 443);
        assert_eq!(Url::split("http://c.example?x").query, "x");
    }
}
