//! How one phone number is dialled and written.

use super::spellings::grouped;

/// A way to dial a number: what stands in front, and the digits behind it that are grouped for reading.
pub(super) struct PhoneForm {
    lead: String,
    /// Digits with nothing between them, and where the country code ends.
    digits: String,
}

/// The ways to dial a number of ITU-T E.164: with `+`, `00`, the bare country code, a national 0, or none of them.
pub(super) fn forms(digits: &str, international: bool) -> Vec<PhoneForm> {
    let form = |lead: &str, digits: &str| PhoneForm {
        lead: lead.into(),
        digits: digits.into(),
    };
    if !international {
        let bare = digits.trim_start_matches('0');
        return vec![form("", digits), form("", bare), form("0", bare)];
    }
    let (country, national) = digits.split_at(country_code_length(digits).min(digits.len()));
    vec![
        form(&format!("+{country}"), national),
        form(country, national),
        form(&format!("00{country}"), national),
        form("", national),
        form("0", national),
        form(&format!("+{country}0"), national),
    ]
}

impl PhoneForm {
    /// Without separators.
    pub(super) fn joined(&self) -> String {
        format!("{}{}", self.lead, self.digits)
    }

    /// With separators, in the groups that people use.
    pub(super) fn grouped(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for sizes in groupings(self.digits.len()) {
            for separator in [" ", "-", "."] {
                let digits = grouped(&self.digits, sizes, separator);
                texts.push(match self.lead.as_str() {
                    "" => digits,
                    "0" => format!("0{digits}"),
                    lead => format!("{lead}{separator}{digits}"),
                });
            }
        }
        if self.digits.len() == 10 && !self.lead.ends_with('0') {
            let (area, rest) = self.digits.split_at(3);
            let local = grouped(rest, &[3, 4], "-");
            let lead = if self.lead.is_empty() {
                String::new()
            } else {
                format!("{} ", self.lead)
            };
            texts.push(format!("{lead}({area}) {local}"));
        }
        texts
    }
}

fn groupings(length: usize) -> &'static [&'static [usize]] {
    match length {
        7 => &[&[7], &[3, 4], &[3, 2, 2]],
        8 => &[&[8], &[2, 2, 2, 2], &[3, 2, 3], &[4, 4]],
        9 => &[
            &[9],
            &[3, 3, 3],
            &[1, 2, 2, 2, 2],
            &[2, 3, 2, 2],
            &[2, 3, 4],
        ],
        10 => &[
            &[10],
            &[3, 3, 4],
            &[4, 6],
            &[4, 3, 3],
            &[3, 7],
            &[5, 5],
            &[2, 4, 4],
            &[2, 2, 2, 2, 2],
        ],
        11 => &[&[11], &[3, 4, 4], &[4, 7], &[2, 5, 4], &[3, 8]],
        _ => &[],
    }
}

/// Digits of the country code that `digits` begin with (ITU-T E.164, Annex: list of assigned codes).
fn country_code_length(digits: &str) -> usize {
    let mut bytes = digits.bytes();
    match (bytes.next(), bytes.next()) {
        (Some(b'1' | b'7'), _) => 1,
        (Some(b'2'), Some(b'0' | b'7'))
        | (Some(b'3'), Some(b'0'..=b'4' | b'6' | b'9'))
        | (Some(b'4'), Some(b'0' | b'1' | b'3'..=b'9'))
        | (Some(b'5'), Some(b'1'..=b'8'))
        | (Some(b'6'), Some(b'0'..=b'6'))
        | (Some(b'8'), Some(b'1' | b'2' | b'4' | b'6'))
        | (Some(b'9'), Some(b'0'..=b'5' | b'8')) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(digits: &str, international: bool) -> Vec<String> {
        let forms = forms(digits, international);
        forms
            .iter()
            .flat_map(|form| [vec![form.joined()], form.grouped()].concat())
            .collect()
    }

    #[test]
    fn writes_a_number_as_people_do() {
        let table: &[(&str, &[&str])] = &[
            (
                "4791234567",
                &[
                    "+4791234567",
                    "004791234567",
                    "91234567",
                    "091234567",
                    "+47 912 34 567",
                    "912-34-567",
                ],
            ),
            (
                "12125550123",
                &[
                    "+1 212 555 0123",
                    "+1-212-555-0123",
                    "(212) 555-0123",
                    "+1 (212) 555-0123",
                    "2125550123",
                ],
            ),
            (
                "442079460123",
                &[
                    "+44 20 7946 0123",
                    "020 7946 0123",
                    "02079460123",
                    "00442079460123",
                ],
            ),
            (
                "33123456789",
                &["+33 1 23 45 67 89", "01 23 45 67 89", "01.23.45.67.89"],
            ),
            ("35312345678", &["+353 12345678", "012345678"]),
        ];
        for (digits, expected) in table {
            let written = written(digits, true);
            for text in *expected {
                assert!(
                    written.iter().any(|known| known == text),
                    "{text} of {digits}"
                );
            }
        }
    }

    #[test]
    fn guesses_no_country_for_a_number_without_one() {
        let written = written("091234567", false);
        assert!(written.iter().any(|text| text == "91234567"));
        assert!(!written.iter().any(|text| text.contains('+')));
    }
}
