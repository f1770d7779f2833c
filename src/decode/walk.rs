use std::ops::Range;

use super::{
    base64,
    budget::Budget,
    hex, json, percent,
    text::{Layer, Origin, Text},
    words::{HEX, SEXTET, Words, is_break},
};
use crate::event::Wrapper;

/// Layers opened inside one another at most.
pub const DEPTH: usize = 6;

/// Contiguous bytes in which texts are looked for.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    /// The bytes, context included.
    pub bytes: &'a [u8],
    /// Bytes before this index were walked before and are only context.
    pub from: usize,
    /// Whether the text began before the window.
    pub cut: bool,
    /// Whether the text may go on after the window.
    pub open: bool,
    /// Whether the text as a whole is known to be a JSON document.
    pub json: bool,
    /// What was opened to get at the window, outermost first.
    pub wrappers: &'a [Wrapper],
}

/// Shows `visit` every text in `window` that has anything new in it, outer ones first. `visit` says how many bytes at
/// the text's end must wait for what comes after; the result is how many at the window's end must.
pub fn walk(
    window: Window<'_>,
    budget: &mut Budget,
    visit: &mut dyn FnMut(&Text<'_>) -> usize,
) -> usize {
    let text = Text {
        bytes: window.bytes,
        from: window.from,
        cut: window.cut,
        open: window.open,
        json: window.json || (!window.cut && json::is_document(window.bytes)),
        origin: Origin::Window(window.wrappers),
    };
    Walk {
        budget,
        visit,
        spare: Vec::new(),
    }
    .text(&text, DEPTH)
}

struct Walk<'w> {
    budget: &'w mut Budget,
    visit: &'w mut dyn FnMut(&Text<'_>) -> usize,
    spare: Vec<Vec<u8>>,
}

impl Walk<'_> {
    fn text(&mut self, text: &Text<'_>, depth: usize) -> usize {
        let own = (self.visit)(text);
        match depth.checked_sub(1) {
            Some(deeper) => own.max(self.layers(text, deeper)),
            None => own,
        }
    }

    fn layers(&mut self, text: &Text<'_>, depth: usize) -> usize {
        let mut hold = 0;
        let mut unescaped = 0;
        for word in Words::new(text.bytes) {
            let bytes = text.bytes.get(word.clone()).unwrap_or_default();
            let marks = Marks::of(bytes);
            if let Some(escape) = marks.backslash {
                let at = word.start.saturating_add(escape);
                if at >= unescaped && json::has_escape(bytes) {
                    let string = json::string_around(text.bytes, at, unescaped);
                    unescaped = string.end;
                    hold = hold.max(self.open(text, string, Layer::Json, depth));
                }
            }
            if word.end <= text.from {
                continue;
            }
            if marks.percent && percent::has_escape(bytes) {
                hold =
                    hold.max(self.open(text, word.clone(), Layer::Percent { plus: false }, depth));
                if marks.plus {
                    hold = hold.max(self.open(
                        text,
                        word.clone(),
                        Layer::Percent { plus: true },
                        depth,
                    ));
                }
            } else if marks.plus {
                hold = hold.max(self.open(text, word.clone(), Layer::Percent { plus: true }, 0));
            }
            for run in Runs::new(bytes, &SEXTET, 64, BASE64_SHORTEST) {
                for phase in 0..4 {
                    if run.count.saturating_sub(phase) >= BASE64_SHORTEST {
                        hold = hold.max(self.open(
                            text,
                            run.within(&word),
                            Layer::Base64 { phase },
                            depth,
                        ));
                    }
                }
            }
            for run in Runs::new(bytes, &HEX, 16, HEX_SHORTEST) {
                for phase in 0..2 {
                    if run.count.saturating_sub(phase) >= HEX_SHORTEST {
                        hold = hold.max(self.open(
                            text,
                            run.within(&word),
                            Layer::Hex { phase },
                            depth,
                        ));
                    }
                }
            }
        }
        hold
    }

    /// Decodes a range of `outer` and walks what comes out; returns how much of `outer`'s end must wait.
    fn open(&mut self, outer: &Text<'_>, range: Range<usize>, layer: Layer, depth: usize) -> usize {
        let encoded = outer.bytes.get(range.clone()).unwrap_or_default();
        let known = outer
            .from
            .checked_sub(range.start)
            .filter(|known| *known > 0);
        let from = known.map_or(0, |known| layer.known(encoded, known));
        let fresh = layer.expected(encoded.len()).saturating_sub(from);
        if !self.budget.charge(fresh) {
            return 0;
        }
        let mut decoded = self.spare.pop().unwrap_or_default();
        decoded.clear();
        layer.decode(encoded, &mut decoded);
        let rest = outer.bytes.get(range.end..).unwrap_or_default();
        let text = Text {
            bytes: &decoded,
            from,
            cut: outer.cut && range.start == 0,
            open: outer.open && rest.iter().all(|&byte| is_break(byte)),
            json: json::is_document(&decoded),
            origin: Origin::Decoded {
                outer,
                start: range.start,
                encoded,
                layer,
            },
        };
        let waiting = self.text(&text, depth);
        let hold = match waiting {
            0 => 0,
            waiting => {
                let first = layer.locate(encoded, decoded.len().saturating_sub(waiting));
                outer
                    .bytes
                    .len()
                    .saturating_sub(range.start.saturating_add(first))
            }
        };
        self.spare.push(decoded);
        hold
    }
}

impl Layer {
    fn decode(self, encoded: &[u8], out: &mut Vec<u8>) {
        match self {
            Layer::Base64 { phase } => base64::decode(encoded, phase, out),
            Layer::Hex { phase } => hex::decode(encoded, phase, out),
            Layer::Percent { plus } => percent::decode(encoded, plus, out),
            Layer::Json => json::decode(encoded, out),
        }
    }

    /// How many decoded bytes `encoded[..known]` surely gave to an earlier window.
    fn known(self, encoded: &[u8], known: usize) -> usize {
        let before = encoded.get(..known).unwrap_or(encoded);
        let digits = || before.iter().filter(|byte| !is_break(**byte)).count();
        match self {
            Layer::Base64 { phase } => digits().saturating_sub(phase).saturating_mul(6) / 8,
            Layer::Hex { phase } => digits().saturating_sub(phase) / 2,
            // An escape that the end cuts counts as its characters, five more than the byte it is.
            Layer::Percent { .. } | Layer::Json => {
                let mut out = Vec::new();
                self.decode(before, &mut out);
                out.len().saturating_sub(5)
            }
        }
    }

    /// How many bytes an encoded range of this length can decode to.
    fn expected(self, encoded: usize) -> usize {
        match self {
            Layer::Base64 { .. } => encoded.saturating_mul(3) / 4,
            Layer::Hex { .. } => encoded / 2,
            Layer::Percent { .. } | Layer::Json => encoded,
        }
    }
}

/// Which layers can apply to a word at all.
#[derive(Default)]
struct Marks {
    percent: bool,
    plus: bool,
    backslash: Option<usize>,
}

impl Marks {
    fn of(word: &[u8]) -> Marks {
        let mut marks = Marks::default();
        for at in memchr::memchr3_iter(b'%', b'+', b'\\', word) {
            match word.get(at) {
                Some(b'%') => marks.percent = true,
                Some(b'+') => marks.plus = true,
                _ => marks.backslash = marks.backslash.or(Some(at)),
            }
        }
        marks
    }
}

/// Runs of the digits of an encoding in a word, over line breaks.
struct Runs<'a> {
    bytes: &'a [u8],
    at: usize,
    table: &'static [u8; 256],
    base: u8,
    shortest: usize,
}

struct Run {
    range: Range<usize>,
    /// Digits, line breaks not counted.
    count: usize,
}

impl Run {
    fn within(&self, word: &Range<usize>) -> Range<usize> {
        word.start.saturating_add(self.range.start)..word.start.saturating_add(self.range.end)
    }
}

impl<'a> Runs<'a> {
    fn new(bytes: &'a [u8], table: &'static [u8; 256], base: u8, shortest: usize) -> Self {
        Self {
            bytes,
            at: 0,
            table,
            base,
            shortest,
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        loop {
            let digit = |byte: &u8| {
                self.table
                    .get(usize::from(*byte))
                    .is_some_and(|&value| value < self.base)
            };
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let start = self.at.saturating_add(rest.iter().position(digit)?);
            let (mut end, mut count, mut at) = (start, 0usize, start);
            for byte in self.bytes.get(start..)? {
                at = at.saturating_add(1);
                if digit(byte) {
                    count = count.saturating_add(1);
                    end = at;
                } else if !is_break(*byte) || at.saturating_sub(end) > MOST_BREAKS {
                    break;
                }
            }
            self.at = at;
            if count >= self.shortest {
                return Some(Run {
                    range: start..end,
                    count,
                });
            }
        }
    }
}

/// Characters of base64 that six bytes need.
const BASE64_SHORTEST: usize = 8;
/// Digits that six bytes need.
const HEX_SHORTEST: usize = 12;
/// Line break characters in a row that do not end a run.
const MOST_BREAKS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every place where `needle` shows up: chain and index in the window.
    fn find(window: &[u8], needle: &str) -> Vec<(Vec<Wrapper>, usize)> {
        let mut found = Vec::new();
        let window = Window {
            bytes: window,
            from: 0,
            cut: false,
            open: false,
            json: false,
            wrappers: &[],
        };
        walk(window, &mut Budget::new(), &mut |text| {
            for at in memchr::memmem::find_iter(text.bytes, needle.as_bytes()) {
                found.push((text.chain(at), text.origin(at)));
            }
            0
        });
        found
    }

    fn base64(text: &str) -> String {
        data_encoding::BASE64.encode(text.as_bytes())
    }

    #[test]
    fn opens_wrappers_inside_one_another() {
        use Wrapper::{Base64, Hex, Json, Percent};
        const V: &str = "490154203237518";
        let json = format!(r#"{{"imei":"{V}"}}"#);
        let form = base64(&json).replace('=', "%3D");
        let lines = base64(&format!(
            r#"{{"a":"0123456789abcdefghijklmnopqrstuvwxyz01","imei":"{V}"}}"#
        ));
        let broken = format!("{}\r\n{}\n", &lines[..64], &lines[64..]);
        let cases: Vec<(String, Vec<Wrapper>, usize)> = vec![
            (V.into(), vec![], 0),
            (json.clone(), vec![Json], 9),
            (base64(&json), vec![Base64, Json], 12),
            (format!("v=%7B%22x%22%3A%22{V}%22"), vec![Percent, Json], 18),
            (format!("data={form}&crc=1"), vec![Base64, Json], 17),
            (broken, vec![Base64, Json], 74),
            (format!("path/{}", base64(V)), vec![Base64], 5),
            (format!("x{}", base64(V)), vec![Base64], 1),
            (data_encoding::HEXLOWER.encode(V.as_bytes()), vec![Hex], 0),
            (
                format!("0x{}", data_encoding::HEXUPPER.encode(V.as_bytes())),
                vec![Hex],
                2,
            ),
            (
                format!("f{}", data_encoding::HEXUPPER.encode(V.as_bytes())),
                vec![Hex],
                1,
            ),
            (base64(&base64(&base64(V))), vec![Base64, Base64, Base64], 0),
            (
                r#"{"k":"\u0034\u0039\u0030154203237518"}"#.into(),
                vec![Json],
                6,
            ),
            (
                r#"{"k":"a b \u0034901542\u00303237518"}"#.into(),
                vec![Json],
                10,
            ),
            (
                format!(
                    r#"{{"k":"{}"}}"#,
                    base64("???490154203237518").replace('/', r"\/")
                ),
                vec![Json, Base64],
                11,
            ),
            (
                "%34%39%30%31%35%34%32%30%33%32%33%37%35%31%38".into(),
                vec![Percent],
                0,
            ),
            (
                "%2534%2539%2530154203237518".into(),
                vec![Percent, Percent],
                0,
            ),
        ];
        for (window, chain, offset) in cases {
            let found = find(window.as_bytes(), V);
            assert!(
                found.contains(&(chain.clone(), offset)),
                "{window}: {chain:?}@{offset} not in {found:?}"
            );
        }
    }

    #[test]
    fn turns_plus_into_a_blank_in_forms() {
        assert!(find(b"ssid=My+Home+Wifi", "My Home Wifi").contains(&(vec![Wrapper::Percent], 5)));
    }

    #[test]
    fn ends_in_a_chosen_time_on_input_made_to_grow() {
        let mut bomb = "0".repeat(64);
        for _ in 0..6 {
            bomb = base64(&bomb);
        }
        let bomb = bomb.repeat(200);
        let mut budget = Budget::new();
        let (mut texts, mut bytes) = (0usize, 0usize);
        let window = Window {
            bytes: bomb.as_bytes(),
            from: 0,
            cut: false,
            open: false,
            json: false,
            wrappers: &[],
        };
        walk(window, &mut budget, &mut |text| {
            texts += 1;
            bytes += text.bytes.len();
            0
        });
        assert!(budget.is_spent());
        assert!(
            bytes < bomb.len() + 65_536 && texts < 4_200,
            "{texts} texts, {bytes} bytes"
        );
    }

    #[test]
    fn says_how_much_of_the_wire_an_unfinished_text_holds() {
        let encoded = base64("id=4901542").replace('=', "");
        let window = Window {
            bytes: encoded.as_bytes(),
            from: 0,
            cut: false,
            open: true,
            json: false,
            wrappers: &[],
        };
        let hold = walk(window, &mut Budget::new(), &mut |text| {
            if text.bytes.ends_with(b"4901542") {
                7
            } else {
                0
            }
        });
        assert_eq!(&encoded[encoded.len() - hold..], "NDkwMTU0Mg");
    }
}
