//! Names as people write them → names as they are on the wire.

/// Why a text is not a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DomainFault {
    /// Nothing is left.
    #[error("the name is empty")]
    Empty,
    /// Two dots in a row, or one in front.
    #[error("a label of the name is empty")]
    EmptyLabel,
    /// RFC 1035 section 2.3.4.
    #[error("a label of the name is {0} bytes long, at most 63 fit")]
    LongLabel(usize),
    /// RFC 1035 section 2.3.4, without the root.
    #[error("the name is {0} bytes long, at most 253 fit")]
    LongName(usize),
    /// Neither letter, digit, hyphen nor underscore.
    #[error("{0:?} cannot stand in a domain name")]
    Character(char),
    /// A letter that IDNA maps to something else, which needs tables that are not here.
    #[error("{0:?} is not written so in domain names: give the label in its xn-- form")]
    Unmapped(char),
    /// A last label of digits only would be read as an address (WHATWG URL, "ends in a number").
    #[error("a name cannot end in a number, and this is no address either")]
    Number,
}

/// Returns the wire form of a name that a person wrote, or what is wrong with it.
pub fn wire_name(text: &str) -> Result<String, String> {
    let mut name = String::new();
    match normalize(text, &mut name) {
        Ok(()) => Ok(name),
        Err(fault) => Err(fault.to_string()),
    }
}

/// Writes the wire form of `text` into `out`: lower case, no trailing dot, IDN labels in Punycode (RFC 5891, RFC 3492).
///
/// Hyphens and underscores may stand anywhere: names in use have them in front, at the end and doubled.
pub(super) fn normalize(text: &str, out: &mut String) -> Result<(), DomainFault> {
    out.clear();
    let text = text.strip_suffix(is_dot).unwrap_or(text);
    if text.is_empty() {
        return Err(DomainFault::Empty);
    }
    for label in text.split(is_dot) {
        let start = out.len() + usize::from(!out.is_empty());
        if start > 0 {
            out.push('.');
        }
        if label.len() > LONGEST_WRITTEN {
            return Err(DomainFault::LongLabel(label.len()));
        }
        match label {
            "" => return Err(DomainFault::EmptyLabel),
            ascii if ascii.is_ascii() => push_ascii(ascii, out)?,
            idn => push_idn(idn, out)?,
        }
        let length = out.len() - start;
        if length > 63 {
            return Err(DomainFault::LongLabel(length));
        }
    }
    if out.len() > 253 {
        return Err(DomainFault::LongName(out.len()));
    }
    let last = out.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DomainFault::Number);
    }
    Ok(())
}

/// The name and each parent of it, longest first.
pub(super) fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |suffix| Some(suffix.split_once('.')?.1))
}

/// The dots of UTS 46.
fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

fn push_ascii(label: &str, out: &mut String) -> Result<(), DomainFault> {
    for c in label.chars() {
        if !c.is_ascii_alphanumeric() && c != '-' && c != '_' {
            return Err(DomainFault::Character(c));
        }
        out.push(c.to_ascii_lowercase());
    }
    Ok(())
}

fn push_idn(label: &str, out: &mut String) -> Result<(), DomainFault> {
    let mut points = Vec::with_capacity(label.len());
    for c in label.chars() {
        if c.is_ascii() {
            if !c.is_ascii_alphanumeric() && c != '-' {
                return Err(DomainFault::Character(c));
            }
        } else if !c.is_alphanumeric() {
            return Err(DomainFault::Character(c));
        } else if !is_stable(c) {
            return Err(DomainFault::Unmapped(c));
        }
        points.extend(c.to_lowercase().map(u32::from));
    }
    out.push_str("xn--");
    push_punycode(&points, out);
    Ok(())
}

/// Whether lower case is all that UTS 46 does to a letter, wherever it stands: Latin, Greek, Cyrillic, Hebrew, Arabic, kana,
/// Han and Hangul in their composed forms. What needs more would need IDNA's tables; a test holds this against them.
fn is_stable(c: char) -> bool {
    matches!(c,
        '\u{c0}'..='\u{131}' | '\u{134}'..='\u{13e}' | '\u{141}'..='\u{148}' | '\u{14a}'..='\u{17e}'
        | '\u{180}'..='\u{1c3}' | '\u{1cd}'..='\u{1f0}' | '\u{1f4}'..='\u{24f}'
        | '\u{1e00}'..='\u{1e99}' | '\u{1ea0}'..='\u{1eff}'
        | '\u{386}'..='\u{3ce}' | '\u{400}'..='\u{52f}'
        | '\u{5d0}'..='\u{5ea}' | '\u{620}'..='\u{64a}' | '\u{671}'..='\u{674}' | '\u{679}'..='\u{6d3}'
        | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30fe}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

/// RFC 3492 section 6.3. A label is short, so nothing here can overflow 32 bits.
fn push_punycode(points: &[u32], out: &mut String) {
    let basic = points
        .iter()
        .filter_map(|&point| u8::try_from(point).ok().filter(u8::is_ascii));
    let before = out.len();
    out.extend(basic.map(char::from));
    let basic = u32::try_from(out.len() - before).unwrap_or(0);
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (128, 0u32, 72, basic);
    while let Some(next) = points.iter().copied().filter(|&point| point >= n).min() {
        delta = delta.saturating_add((next - n).saturating_mul(handled + 1));
        n = next;
        for &point in points {
            if point < n {
                delta = delta.saturating_add(1);
            }
            if point == n {
                push_integer(delta, bias, out);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.saturating_add(1);
        n += 1;
    }
}

fn push_integer(mut q: u32, bias: u32, out: &mut String) {
    for k in (BASE..).step_by(BASE as usize) {
        let threshold = k.saturating_sub(bias).clamp(1, 26);
        if q < threshold {
            break;
        }
        out.push(digit(threshold + (q - threshold) % (BASE - threshold)));
        q = (q - threshold) / (BASE - threshold);
    }
    out.push(digit(q));
}

fn digit(value: u32) -> char {
    char::from_digit((value + 10) % BASE, BASE).unwrap_or('a')
}

fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 455 {
        delta /= BASE - 1;
        k += BASE;
    }
    k + BASE * delta / (delta + 38)
}

const BASE: u32 = 36;

/// Bytes that a label of 63 can have been written with: four for each of its characters.
const LONGEST_WRITTEN: usize = 63 * 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_their_wire_form() {
        let long = "a".repeat(64);
        let longer = "ü".repeat(150);
        let wide = ["a".repeat(63).as_str(); 4].join(".");
        let table: &[(&str, Result<&str, DomainFault>)] = &[
            ("Bank.Example", Ok("bank.example")),
            ("bank.example.", Ok("bank.example")),
            ("r3---sn-x.bank.example", Ok("r3---sn-x.bank.example")),
            ("-a-.bank.example", Ok("-a-.bank.example")),
            ("_dmarc.bank.example", Ok("_dmarc.bank.example")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            ("bücher.example", Ok("xn--bcher-kva.example")),
            ("BÜCHER.example", Ok("xn--bcher-kva.example")),
            ("faß.example", Ok("xn--fa-hia.example")),
            (
                "blåbærsyltetøy.example",
                Ok("xn--blbrsyltety-y8ao3x.example"),
            ),
            (
                "他们为什么不说中文.example",
                Ok("xn--ihqwcrb4cv8a8dqg056pqjye.example"),
            ),
            (
                "почемужеонинеговорятпорусски.example",
                Ok("xn--b1abfaaepdrnnbgefbadotcwatmq2g4l.example"),
            ),
            ("例え。テスト", Ok("xn--r8jz45g.xn--zckzah")),
            ("localhost", Ok("localhost")),
            ("", Err(DomainFault::Empty)),
            (".", Err(DomainFault::Empty)),
            (".bank.example", Err(DomainFault::EmptyLabel)),
            ("bank..example", Err(DomainFault::EmptyLabel)),
            ("bank.example..", Err(DomainFault::EmptyLabel)),
            ("ba nk.example", Err(DomainFault::Character(' '))),
            ("bank.example:443", Err(DomainFault::Character(':'))),
            ("b*.example", Err(DomainFault::Character('*'))),
            ("ﬁ.example", Err(DomainFault::Unmapped('ﬁ'))),
            ("ａ.example", Err(DomainFault::Unmapped('ａ'))),
            ("u\u{308}.example", Err(DomainFault::Character('\u{308}'))),
            ("snow☃.example", Err(DomainFault::Character('☃'))),
            ("192.0.2", Err(DomainFault::Number)),
            ("192.0.2.256", Err(DomainFault::Number)),
            (&long, Err(DomainFault::LongLabel(64))),
            (&longer, Err(DomainFault::LongLabel(300))),
            (&wide, Err(DomainFault::LongName(255))),
        ];
        let mut out = String::new();
        for (text, expected) in table {
            let result = normalize(text, &mut out).map(|()| out.as_str());
            assert_eq!(result, *expected, "{text:?}");
        }
    }

    #[test]
    fn every_letter_is_refused_or_mapped_as_idna_does() {
        let mut out = String::new();
        let mut wrong = Vec::new();
        for c in ('\u{80}'..='\u{2ffff}').filter(|c| !is_dot(*c)) {
            let text = format!("{c}{c}.example");
            if normalize(&text, &mut out).is_ok()
                && idna::domain_to_ascii(&text).ok().as_ref() != Some(&out)
            {
                wrong.push(c);
            }
        }
        assert!(wrong.is_empty(), "{} letters: {wrong:?}", wrong.len());
    }

    #[test]
    fn parents_follow_a_name() {
        assert_eq!(
            suffixes("a.b.example").collect::<Vec<_>>(),
            ["a.b.example", "b.example", "example"]
        );
    }
}
