//! Text of a blocklist → names.

use std::net::IpAddr;

use super::{domain::normalize, field::Format};

/// What reading a list's text came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReport {
    /// Names taken, repeated ones included.
    pub taken: usize,
    /// Entries of hosts files that are about the machine itself (`localhost` and the like).
    pub skipped: usize,
    /// Lines that could not be used.
    pub rejected: usize,
    /// The first [`ListReport::SHOWN`] of them.
    pub first_rejected: Vec<RejectedLine>,
}

impl ListReport {
    /// How many rejected lines are kept with their reason.
    pub const SHOWN: usize = 8;

    fn reject(&mut self, line: usize, reason: impl Into<String>) {
        self.rejected += 1;
        if self.first_rejected.len() < Self::SHOWN {
            self.first_rejected.push(RejectedLine {
                line,
                reason: reason.into(),
            });
        }
    }
}

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedLine {
    /// From 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// Calls `each` with every name of a list, in its wire form.
///
/// A line is empty, a comment (from `#` on, or a whole line that begins with `!`), `address name…` or `name`. LF and CRLF
/// end it; a byte order mark is no part of it.
pub(super) fn read(text: &[u8], format: Format, mut each: impl FnMut(&str)) -> ListReport {
    let mut report = ListReport::default();
    let mut name = String::new();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line
            .split(|byte| *byte == b'#')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if line.is_empty() || line.starts_with(b"!") {
            continue;
        }
        if let Err(reason) = read_line(line, format, &mut name, &mut report, &mut each) {
            report.reject(index + 1, reason);
        }
    }
    report
}

fn read_line(
    line: &[u8],
    format: Format,
    name: &mut String,
    report: &mut ListReport,
    each: &mut impl FnMut(&str),
) -> Result<(), String> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
    let mut words = line.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let address = first
        .split('%')
        .next()
        .unwrap_or_default()
        .parse::<IpAddr>()
        .ok();
    match (format, address) {
        (Format::Domains, Some(_)) => return Err("an address where a name was expected".into()),
        (Format::Hosts, None) => {
            return Err("no address in front, as in \"0.0.0.0 ads.example\"".into());
        }
        (Format::Hosts | Format::Auto, Some(ip)) => {
            for word in words {
                if is_own_name(word) {
                    report.skipped += 1;
                } else if ip.is_unspecified() || ip.is_loopback() {
                    take(word, name, report, each)?;
                } else {
                    return Err("the address is a real one: this line blocks nothing".into());
                }
            }
        }
        (Format::Domains | Format::Auto, None) => {
            if words.next().is_some() {
                return Err("more than a name on the line".into());
            }
            if is_own_name(first) {
                report.skipped += 1;
            } else {
                take(first, name, report, each)?;
            }
        }
    }
    Ok(())
}

fn take(
    word: &str,
    name: &mut String,
    report: &mut ListReport,
    each: &mut impl FnMut(&str),
) -> Result<(), String> {
    normalize(word, name).map_err(|fault| fault.to_string())?;
    if !name.contains('.') {
        return Err("a whole top-level domain".into());
    }
    report.taken += 1;
    each(name);
    Ok(())
}

/// Names that hosts files give to the machine itself.
fn is_own_name(word: &str) -> bool {
    const OWN: [&str; 13] = [
        "localhost",
        "localhost.localdomain",
        "localhost4",
        "localhost6",
        "local",
        "broadcasthost",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-allhosts",
    ];
    OWN.iter().any(|own| word.eq_ignore_ascii_case(own)) || word.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &[u8], format: Format) -> (Vec<String>, ListReport) {
        let mut names = Vec::new();
        let report = read(text, format, |name| names.push(name.to_owned()));
        (names, report)
    }

    #[test]
    fn hosts_and_plain_names_are_told_apart_line_by_line() {
        let text = "\u{feff}# a list\r\n! another header\r\n\r\n127.0.0.1 localhost\r\n::1 ip6-localhost ip6-loopback\r\n\
            0.0.0.0 0.0.0.0\r\n0.0.0.0 Ads.Example # why\r\n127.0.0.1\tone.example two.example\r\n:: six.example\r\n\
            plain.example.\r\n  indented.example  \r\nbücher.example\r\nfe80::1%lo0 localhost\r\nlast.example";
        let (names, report) = names(text.as_bytes(), Format::Auto);
        assert_eq!(
            names,
            [
                "ads.example",
                "one.example",
                "two.example",
                "six.example",
                "plain.example",
                "indented.example",
                "xn--bcher-kva.example",
                "last.example"
            ]
        );
        assert_eq!(
            report,
            ListReport {
                taken: 8,
                skipped: 5,
                ..Default::default()
            }
        );
    }

    #[test]
    fn lines_that_cannot_be_used_are_counted_with_their_number() {
        let text = b"ok.example\n||ads.example^\ncom\nads example\n192.0.2.7 nas.example\n\xff\xfe.example\n0.0.0.0 a..example\n";
        let (names, report) = names(text, Format::Auto);
        assert_eq!(names, ["ok.example"]);
        assert_eq!(report.rejected, 6);
        let lines: Vec<_> = report
            .first_rejected
            .iter()
            .map(|line| (line.line, line.reason.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                (2, "'|' cannot stand in a domain name"),
                (3, "a whole top-level domain"),
                (4, "more than a name on the line"),
                (5, "the address is a real one: this line blocks nothing"),
                (6, "not UTF-8"),
                (7, "a label of the name is empty"),
            ]
        );
    }

    #[test]
    fn a_named_format_refuses_the_other() {
        let text = b"0.0.0.0 hosts.example\nplain.example\n";
        let (hosts, report) = names(text, Format::Hosts);
        assert_eq!(
            (hosts, report.rejected),
            (vec!["hosts.example".to_owned()], 1)
        );
        let (domains, report) = names(text, Format::Domains);
        assert_eq!(
            (domains, report.rejected),
            (vec!["plain.example".to_owned()], 1)
        );
    }

    #[test]
    fn only_the_first_rejected_lines_are_kept() {
        let (_, report) = names("?\n".repeat(100).as_bytes(), Format::Auto);
        assert_eq!(
            (report.rejected, report.first_rejected.len()),
            (100, ListReport::SHOWN)
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn whatever_the_bytes_every_name_taken_is_in_wire_form(
            text in "([a-zA-Z0-9.üａ☃# \\t\\r\\n|%:-]|0\\.0\\.0\\.0 ){0,80}",
            noise in proptest::collection::vec(0u8.., 0..8),
        ) {
            let text = [text.as_bytes(), &noise].concat();
            let (names, report) = names(&text, Format::Auto);
            proptest::prop_assert_eq!(names.len(), report.taken);
            let mut again = String::new();
            for name in names {
                proptest::prop_assert_eq!(normalize(&name, &mut again), Ok(()));
                proptest::prop_assert_eq!(&name, &again);
            }
        }
    }
}
