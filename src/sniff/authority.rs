/// The host name in an authority (RFC 3986, 3.2): lower case, without user, port or trailing dot; `None` for an address or
/// what is no name.
pub fn host(authority: &[u8]) -> Option<String> {
    let authority = authority
        .split(|byte| b"/?#".contains(byte))
        .next()
        .unwrap_or_default();
    let host = authority
        .rsplit(|byte| *byte == b'@')
        .next()
        .unwrap_or_default();
    let host = host.split(|byte| *byte == b':').next().unwrap_or_default();
    let host = host.strip_suffix(b".").unwrap_or(host);
    let plausible = host.len() <= LONGEST
        && host.iter().any(u8::is_ascii_alphabetic)
        && host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte));
    let name = plausible.then(|| host.to_ascii_lowercase())?;
    String::from_utf8(name).ok()
}

/// RFC 1035, 2.3.4, as text.
const LONGEST: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_host_and_nothing_else() {
        for (authority, name) in [
            ("Collector.EXAMPLE.:8080", Some("collector.example")),
            ("u:p@a.example:80/x", Some("a.example")),
            ("192.0.2.1", None),
            ("[2001:db8::1]:80", None),
            ("a b.example", None),
            ("", None),
        ] {
            assert_eq!(host(authority.as_bytes()).as_deref(), name, "{authority}");
        }
    }
}
