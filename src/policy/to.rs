//! Where a rule applies: its `to`.

use std::fmt;

use ipnet::IpNet;

use super::domain::normalize;

/// A destination as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// `=host`: this name alone.
    Host(Box<str>),
    /// `d`: the domain and its subdomains.
    Domain(Box<str>),
    /// `*.d`: its subdomains.
    Under(Box<str>),
    /// A network, or one address.
    Net(IpNet),
    /// `lan`: see [`super::nets::is_lan`].
    Lan,
}

impl To {
    /// Reads the `to` of a rule; the error says what would be right.
    pub(super) fn read(text: &str) -> Result<To, String> {
        let lower = text.trim().to_ascii_lowercase();
        if lower != text.to_ascii_lowercase() {
            return Err(format!("spaces around {text:?}: write {lower:?}"));
        }
        match lower.as_str() {
            "" => return Err("`to` is empty: leave it out to match every destination".into()),
            "*" => return Err("leave `to` out to match every destination".into()),
            "lan" => return Ok(To::Lan),
            _ => {}
        }
        if lower.starts_with("country:") || is_autonomous_system(&lower) {
            return Err(format!(
                "`to = {text:?}`: countries and AS numbers are not supported yet"
            ));
        }
        if let Some((_, rest)) = lower.split_once("://") {
            let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
            return Err(format!(
                "a URL cannot stand here: write the name alone, \"{host}\""
            ));
        }
        if let Some(host) = text.strip_prefix('=') {
            return match host.parse::<std::net::IpAddr>() {
                Ok(ip) => Err(format!("an address needs no \"=\": write \"{ip}\"")),
                Err(_) => Ok(To::Host(domain(host)?)),
            };
        }
        if let Some(parent) = text.strip_prefix("*.") {
            return Ok(To::Under(domain(parent)?));
        }
        if lower.contains('*') {
            return Err("a wildcard stands for whole labels in front: \"*.bank.example\"".into());
        }
        if looks_like_address(&lower) {
            return network(&lower).map(To::Net);
        }
        Ok(To::Domain(domain(text)?))
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            To::Host(name) => write!(f, "={name}"),
            To::Domain(name) => f.write_str(name),
            To::Under(name) => write!(f, "*.{name}"),
            To::Net(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            To::Net(net) => write!(f, "{net}"),
            To::Lan => f.write_str("lan"),
        }
    }
}

fn domain(text: &str) -> Result<Box<str>, String> {
    let mut out = String::new();
    match normalize(text, &mut out) {
        Ok(()) => Ok(out.into_boxed_str()),
        Err(fault) => match text.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => Err(format!(
                "bad domain {text:?}: the port has a key of its own: `to = {host:?}`, `port = {port:?}`"
            )),
            _ => Err(format!("bad domain {text:?}: {fault}")),
        },
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let text = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Ok(IpNet::from(ip.to_canonical()));
    }
    let Some((address, length)) = text.split_once('/') else {
        return Err(format!(
            "bad address {text:?}: expected one such as \"192.0.2.1\" or \"2001:db8::1\""
        ));
    };
    let Ok(ip) = address.parse::<std::net::IpAddr>() else {
        return Err(format!("bad CIDR {text:?}: {address:?} is no address"));
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let net = length
        .parse::<u8>()
        .ok()
        .and_then(|length| IpNet::new(ip, length).ok());
    let Some(net) = net else {
        return Err(format!(
            "bad CIDR {text:?}: the prefix length is a number from 0 to {most}"
        ));
    };
    if net.trunc() != net {
        let trunc = net.trunc();
        return Err(format!(
            "bad CIDR {text:?}: bits are set past the prefix: write \"{trunc}\", or \"{ip}\" for one address"
        ));
    }
    Ok(net)
}

fn looks_like_address(text: &str) -> bool {
    let numeric = |c: char| c.is_ascii_digit() || c == '.';
    text.contains('/')
        || text.matches(':').count() > 1
        || text.starts_with('[')
        || text.chars().all(numeric)
}

fn is_autonomous_system(lower: &str) -> bool {
    let digits = lower.strip_prefix("as").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_and_shown_in_one_form() {
        for (text, shown) in [
            ("Bank.Example.", "bank.example"),
            ("=WWW.bank.example", "=www.bank.example"),
            ("*.bank.example", "*.bank.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("lan", "lan"),
            ("LAN", "lan"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("as.example", "as.example"),
            ("as3x", "as3x"),
        ] {
            assert_eq!(
                To::read(text).map(|to| to.to_string()).as_deref(),
                Ok(shown),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_bad_destination_is_told_what_would_be_right() {
        for (text, part) in [
            ("", "leave it out"),
            ("*", "leave `to` out"),
            (" bank.example", "write \"bank.example\""),
            ("bank example", "' ' cannot stand"),
            ("bank..example", "a label of the name is empty"),
            (
                "https://bank.example/login",
                "write the name alone, \"bank.example\"",
            ),
            (
                "bank.example:443",
                "`to = \"bank.example\"`, `port = \"443\"`",
            ),
            ("b*.example", "\"*.bank.example\""),
            ("*.*.example", "'*' cannot stand"),
            ("=192.0.2.1", "write \"192.0.2.1\""),
            ("192.0.2.0/33", "from 0 to 32"),
            ("2001:db8::/129", "from 0 to 128"),
            ("192.0.2.0/", "from 0 to 32"),
            ("192.0.2.300/24", "\"192.0.2.300\" is no address"),
            ("192.0.2.7/24", "write \"192.0.2.0/24\", or \"192.0.2.7\""),
            ("192.0.2", "bad address"),
            ("bank.example/24", "\"bank.example\" is no address"),
            ("country:NO", "not supported yet"),
            ("AS3320", "not supported yet"),
        ] {
            let error = To::read(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
