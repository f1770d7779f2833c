use std::ops::Range;

use super::{
    base64,
    blocks::is_break,
    budget::Budget,
    digits::{BASE64_SHORTEST, Run},
    escapes::{Escapes, Marks},
    hex, json, percent,
    runs::Runs,
    text::{Layer, Origin, Text},
    words::Words,
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

/// Buffers to decode into, used again from walk to walk.
#[derive(Default)]
pub struct Scratch {
    buffers: Vec<Vec<u8>>,
    runs: Vec<Runs>,
}

impl Scratch {
    /// Bytes of the largest buffer that is kept.
    const MOST: usize = 1024 * 1024;

    /// An empty buffer, to be given back.
    pub fn take(&mut self) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Takes back a buffer.
    pub fn give(&mut self, buffer: Vec<u8>) {
        self.buffers.push(buffer);
    }

    /// Gives back what an unusual walk needed.
    pub fn trim(&mut self) {
        self.buffers
            .retain(|buffer| buffer.capacity() <= Self::MOST);
        self.runs.retain(|runs| runs.capacity() <= Self::MOST);
    }
}

/// Shows `visit` every text in `window` that has anything new in it, outer ones first. `visit` says how many bytes at
/// the text's end must wait for what comes after; the result is how many at the window's end must.
pub fn walk(
    window: Window<'_>,
    scratch: &mut Scratch,
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
        spare: scratch,
    }
    .text(&text, DEPTH)
}

struct Walk<'w> {
    budget: &'w mut Budget,
    visit: &'w mut dyn FnMut(&Text<'_>) -> usize,
    spare: &'w mut Scratch,
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
        let mut escapes = Escapes::new(text.bytes);
        let mut runs: Option<Runs> = None;
        for word in Words::new(text.bytes, text.from) {
            if escapes.are_in(&word) {
                hold = hold.max(self.escapes(text, &word, &mut escapes, depth));
            }
            if word.end > text.from {
                let runs = runs.get_or_insert_with(|| self.spare.runs.pop().unwrap_or_default());
                hold = hold.max(self.runs(text, &word, runs, depth));
                if runs.len() >= BATCH {
                    self.batch(text, runs, depth);
                }
            }
        }
        if let Some(mut runs) = runs {
            self.batch(text, &mut runs, depth);
            runs.renew();
            self.spare.runs.push(runs);
        }
        hold
    }

    /// Percent-encoding and JSON escapes in a word.
    fn escapes(
        &mut self,
        text: &Text<'_>,
        word: &Range<usize>,
        escapes: &mut Escapes<'_>,
        depth: usize,
    ) -> usize {
        let mut hold = 0;
        let bytes = text.bytes.get(word.clone()).unwrap_or_default();
        let marks = Marks::of(bytes);
        let mut at = word.start.max(escapes.resolved);
        while marks.backslash
            && let Some(escape) =
                json::find_escape(text.bytes.get(at..word.end).unwrap_or_default())
        {
            let string =
                json::string_around(text.bytes, at.saturating_add(escape), escapes.resolved);
            escapes.resolved = string.end;
            at = string.end;
            if string.end > text.from {
                hold = hold.max(self.open(text, string, Layer::Json, depth));
            }
        }
        if word.end <= text.from {
            return hold;
        }
        if marks.percent && percent::has_escape(bytes) {
            hold = hold.max(self.open(text, word.clone(), Layer::Percent { plus: false }, depth));
        }
        if marks.plus {
            // Nothing further is encoded in it: a blank is part of no encoding.
            hold = hold.max(self.open(text, word.clone(), Layer::Percent { plus: true }, 0));
        }
        hold
    }

    /// Base64 and hexadecimal digits in a word. Runs that are whole are only added to a batch.
    fn runs(
        &mut self,
        text: &Text<'_>,
        word: &Range<usize>,
        runs: &mut Runs,
        depth: usize,
    ) -> usize {
        let mut hold = 0;
        let mut at = word.start;
        while let Some(run) = runs.base64(text.bytes, at..word.end) {
            at = run.range.end;
            if at <= text.from {
                continue;
            }
            let cut = is_cut(text, run.range.start);
            if cut || goes_on(text, at) {
                let phases = runs.read(text.bytes, &run, cut);
                hold = hold.max(self.base64(text, &run, runs, phases, depth));
            } else {
                runs.add_base64(text.bytes, &run, self.budget);
            }
            let mut start = run.range.start;
            while let Some(run) = runs.hex(text.bytes, start..at) {
                start = run.range.end;
                if is_cut(text, run.range.start) || goes_on(text, start) {
                    hold = hold.max(self.hex(text, &run, runs, depth));
                } else {
                    runs.add_hex(text.bytes, &run, self.budget);
                }
            }
        }
        hold
    }

    /// A run of base64 that may have begun before the text or may go on after it, at each phase for itself.
    fn base64(
        &mut self,
        text: &Text<'_>,
        run: &Run,
        runs: &Runs,
        phases: [bool; 4],
        depth: usize,
    ) -> usize {
        let mut hold = 0;
        for (phase, _) in phases.iter().enumerate().filter(|(_, tried)| **tried) {
            let part = runs.sextets().get(phase..).unwrap_or_default();
            if part.len() >= BASE64_SHORTEST {
                let layer = Layer::Base64 { phase };
                let decode = &mut |out: &mut Vec<u8>| base64::decode(part, out);
                hold = hold.max(self.decoded(text, run.range.clone(), layer, depth, decode));
            }
        }
        hold
    }

    /// The same of hexadecimal digits.
    fn hex(&mut self, text: &Text<'_>, run: &Run, runs: &mut Runs, depth: usize) -> usize {
        let mut hold = 0;
        let digits = runs.digits(text.bytes, run);
        for phase in 0..2 {
            let layer = Layer::Hex { phase };
            let decode = &mut |out: &mut Vec<u8>| hex::decode(digits, phase, out);
            hold = hold.max(self.decoded(text, run.range.clone(), layer, depth, decode));
        }
        hold
    }

    /// Shows what is in a batch, all in one text.
    fn batch(&mut self, outer: &Text<'_>, runs: &mut Runs, depth: usize) {
        if !runs.is_empty() {
            self.text(&runs.text(outer), depth);
            runs.clear();
        }
    }

    /// Opens escapes; one that the end of an open text cuts is left for later.
    fn open(&mut self, outer: &Text<'_>, range: Range<usize>, layer: Layer, depth: usize) -> usize {
        let mut encoded = outer.bytes.get(range.clone()).unwrap_or_default();
        if goes_on(outer, range.end) {
            let partial = match layer {
                Layer::Json => json::partial_escape(encoded),
                Layer::Percent { .. } => percent::partial_escape(encoded),
                Layer::Base64 { .. } | Layer::Hex { .. } => 0,
            };
            encoded = encoded
                .get(..encoded.len().saturating_sub(partial))
                .unwrap_or_default();
        }
        self.decoded(outer, range, layer, depth, &mut |out| {
            layer.decode(encoded, out)
        })
    }

    /// Decodes a range of `outer` and walks what comes out; returns how much of `outer`'s end must wait.
    fn decoded(
        &mut self,
        outer: &Text<'_>,
        range: Range<usize>,
        layer: Layer,
        depth: usize,
        decode: &mut dyn FnMut(&mut Vec<u8>),
    ) -> usize {
        let encoded = outer.bytes.get(range.clone()).unwrap_or_default();
        let known = outer
            .from
            .checked_sub(range.start)
            .filter(|known| *known > 0);
        let mut decoded = self.spare.take();
        let from = known.map_or(0, |known| layer.known(encoded, known, &mut decoded));
        let fresh = layer.expected(encoded.len()).saturating_sub(from);
        if !self.budget.charge(fresh) {
            self.spare.give(decoded);
            return 0;
        }
        decoded.clear();
        decode(&mut decoded);
        let text = Text {
            bytes: &decoded,
            from,
            cut: is_cut(outer, range.start),
            open: goes_on(outer, range.end),
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
        self.spare.give(decoded);
        hold
    }
}

/// Whether what begins at `start` may have begun before the text: before it comes nothing, or line breaks.
fn is_cut(text: &Text<'_>, start: usize) -> bool {
    let before = text.bytes.get(..start).unwrap_or_default();
    text.cut && before.iter().rev().all(|&byte| is_break(byte))
}

/// Whether what ends at `end` may go on after the text: after it comes nothing, or line breaks in the same word.
fn goes_on(text: &Text<'_>, end: usize) -> bool {
    let rest = text.bytes.get(end..).unwrap_or_default();
    let ends = || match rest {
        [rest @ .., 0] => rest.contains(&0),
        rest => rest.contains(&0),
    };
    text.open && rest.iter().all(|&byte| is_break(byte)) && !ends()
}

impl Layer {
    fn decode(self, encoded: &[u8], out: &mut Vec<u8>) {
        match self {
            Layer::Percent { plus } => percent::decode(encoded, plus, out),
            Layer::Json => json::decode(encoded, out),
            Layer::Hex { .. } | Layer::Base64 { .. } => {}
        }
    }

    /// How many decoded bytes `encoded[..known]` surely gave to an earlier window; `out` is a buffer to find that out in.
    fn known(self, encoded: &[u8], known: usize, out: &mut Vec<u8>) -> usize {
        let before = encoded.get(..known).unwrap_or(encoded);
        let digits = || before.iter().filter(|byte| !is_break(**byte)).count();
        match self {
            // At fewer characters not every phase was shown.
            Layer::Base64 { .. } if digits() < base64::LONG => 0,
            Layer::Base64 { phase } => digits().saturating_sub(phase).saturating_mul(6) / 8,
            Layer::Hex { phase } => digits().saturating_sub(phase) / 2,
            // An escape that the end cuts counts as its characters, five more than the byte it is.
            Layer::Percent { .. } | Layer::Json => {
                self.decode(before, out);
                out.len().saturating_sub(5)
            }
        }
    }

    /// How many bytes an encoded range of this length can decode to.
    pub(super) fn expected(self, encoded: usize) -> usize {
        match self {
            Layer::Base64 { .. } => encoded.saturating_mul(3) / 4,
            Layer::Hex { .. } => encoded / 2,
            Layer::Percent { .. } | Layer::Json => encoded,
        }
    }
}

/// Decoded runs are shown once they are this many bytes, or the text is at its end.
const BATCH: usize = 16 * 1024;
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
        walk(
            window,
            &mut Scratch::default(),
            &mut Budget::new(),
            &mut |text| {
                for at in memchr::memmem::find_iter(text.bytes, needle.as_bytes()) {
                    found.push((text.chain(at), text.origin(at)));
                }
                0
            },
        );
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
        walk(window, &mut Scratch::default(), &mut budget, &mut |text| {
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
        let hold = walk(
            window,
            &mut Scratch::default(),
            &mut Budget::new(),
            &mut |text| {
                if text.bytes.ends_with(b"4901542") {
                    7
                } else {
                    0
                }
            },
        );
        assert_eq!(&encoded[encoded.len() - hold..], "NDkwMTU0Mg");
    }
}
