use std::ops::Range;

use super::{
    base32, base64,
    blocks::is_break,
    budget::Budget,
    coding::Coding,
    digits::{BASE64_SHORTEST, Run},
    escapes::{Escapes, Marks},
    hex, json, multipart, percent,
    runs::Runs,
    scratch::Scratch,
    text::{Layer, Origin, Text},
    utf16,
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
    /// Whether the text as a whole is known to be a multipart message.
    pub multipart: bool,
    /// What was opened to get at the window, outermost first.
    pub wrappers: &'a [Wrapper],
    /// What the whole window is said to be compressed by, where it says nothing itself.
    pub hint: Option<Coding>,
    /// Whether compressed data that begins in the window itself is left to a [`Decoder`](super::Decoder).
    pub streams: bool,
    /// What is done with containers that the window's end cuts.
    pub unfinished: Unfinished,
}

impl<'a> Window<'a> {
    /// All of a text of which nothing else is known.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            from: 0,
            cut: false,
            open: false,
            json: false,
            multipart: false,
            wrappers: &[],
            hint: None,
            streams: false,
            unfinished: Unfinished::Read,
        }
    }
}

/// What is done with containers that the end of an open window cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unfinished {
    /// They are read as far as they are there.
    #[default]
    Read,
    /// They are only kept.
    Leave,
    /// They are read, those too that began before `from` and were left until now.
    Reopen,
}

/// How much at the end of a window is still of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Bytes that must wait for what comes after them.
    pub hold: usize,
    /// Bytes that must be there when more comes: a container begins with them. They may go all the same.
    pub keep: usize,
}

impl Rest {
    pub(super) fn max(self, other: Rest) -> Rest {
        Rest {
            hold: self.hold.max(other.hold),
            keep: self.keep.max(other.keep),
        }
    }
}

/// Shows `visit` every text in `window` that has anything new in it, outer ones first. `visit` says how many bytes at
/// the text's end must wait for what comes after; the result says so of the window's end.
pub fn walk(
    window: Window<'_>,
    scratch: &mut Scratch,
    budget: &mut Budget,
    visit: &mut dyn FnMut(&Text<'_>) -> usize,
) -> Rest {
    let whole = !window.cut;
    let text = Text {
        bytes: window.bytes,
        from: window.from,
        cut: window.cut,
        open: window.open,
        more: false,
        json: window.json || (whole && json::is_document(window.bytes)),
        multipart: window.multipart || whole && multipart::is_multipart(window.bytes),
        reopened: window.unfinished == Unfinished::Reopen,
        origin: Origin::Window(window.wrappers),
    };
    let framing = |wrapper: &&Wrapper| {
        matches!(
            wrapper,
            Wrapper::Chunked | Wrapper::Http2 | Wrapper::Websocket | Wrapper::Mqtt | Wrapper::Coap
        )
    };
    let opened = window.wrappers.len();
    let opened = opened.saturating_sub(window.wrappers.iter().filter(framing).count());
    Walk {
        budget,
        visit,
        spare: scratch,
        hint: window.hint.filter(|_| whole && !window.streams),
        streams: window.streams,
        unfinished: window.unfinished,
        xored: false,
    }
    .text(&text, DEPTH.saturating_sub(opened))
}

pub(super) struct Walk<'w> {
    pub(super) budget: &'w mut Budget,
    visit: &'w mut dyn FnMut(&Text<'_>) -> usize,
    pub(super) spare: &'w mut Scratch,
    pub(super) hint: Option<Coding>,
    pub(super) streams: bool,
    pub(super) unfinished: Unfinished,
    /// Whether the text at hand is under a key: nothing is under two.
    pub(super) xored: bool,
}

impl Walk<'_> {
    /// Shows a text, and what is in it, `depth` layers deep.
    pub(super) fn text(&mut self, text: &Text<'_>, depth: usize) -> Rest {
        let own = Rest {
            hold: (self.visit)(text),
            keep: 0,
        };
        match depth.checked_sub(1) {
            Some(deeper) => own
                .max(self.layers(text, deeper))
                .max(self.containers(text, deeper)),
            None => own,
        }
    }

    fn layers(&mut self, text: &Text<'_>, depth: usize) -> Rest {
        let mut rest = Rest::default();
        let mut escapes = Escapes::new(text.bytes);
        let mut runs: Option<Runs> = None;
        for word in Words::new(text.bytes, text.from) {
            if escapes.are_in(&word) {
                rest = rest.max(self.escapes(text, &word, &mut escapes, depth));
            }
            if word.end > text.from {
                let runs = runs.get_or_insert_with(|| self.spare.take_runs());
                rest = rest.max(self.runs(text, &word, runs, depth));
                if runs.len() >= BATCH {
                    self.batch(text, runs, depth);
                }
            }
        }
        if let Some(mut runs) = runs {
            self.batch(text, &mut runs, depth);
            self.spare.give_runs(runs);
        }
        rest
    }

    /// Percent-encoding and JSON escapes in a word.
    fn escapes(
        &mut self,
        text: &Text<'_>,
        word: &Range<usize>,
        escapes: &mut Escapes<'_>,
        depth: usize,
    ) -> Rest {
        let mut rest = Rest::default();
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
                rest = rest.max(self.open(text, string, Layer::Json, depth));
            }
        }
        if word.end <= text.from {
            return rest;
        }
        if marks.percent && percent::has_escape(bytes) {
            rest = rest.max(self.open(text, word.clone(), Layer::Percent { plus: false }, depth));
        }
        if marks.plus {
            // Nothing further is encoded in it: a blank is part of no encoding.
            rest = rest.max(self.open(text, word.clone(), Layer::Percent { plus: true }, 0));
        }
        rest
    }

    /// Base64, base32 and hexadecimal digits in a word. Runs that are whole are only added to a batch.
    fn runs(
        &mut self,
        text: &Text<'_>,
        word: &Range<usize>,
        runs: &mut Runs,
        depth: usize,
    ) -> Rest {
        let mut rest = Rest::default();
        let mut at = word.start;
        while let Some(run) = runs.base64(text.bytes, at..word.end) {
            at = run.range.end;
            if at <= text.from {
                continue;
            }
            let cut = is_cut(text, run.range.start);
            if cut || goes_on(text, at) {
                let phases = runs.read(text.bytes, &run, cut);
                rest = rest.max(self.base64(text, &run, runs, phases, depth));
            } else {
                runs.add_base64(text.bytes, &run, self.budget);
            }
            let mut start = run.range.start;
            while let Some(run) = runs.base32(text.bytes, start..at) {
                start = run.range.end;
                let cut = is_cut(text, run.range.start);
                if cut || goes_on(text, start) {
                    rest = rest.max(self.base32(text, &run, runs, cut, depth));
                } else {
                    runs.add_base32(text.bytes, &run, self.budget);
                }
            }
            let mut start = run.range.start;
            while let Some(run) = runs.hex(text.bytes, start..at) {
                start = run.range.end;
                if is_cut(text, run.range.start) || goes_on(text, start) {
                    rest = rest.max(self.hex(text, &run, runs, depth));
                } else {
                    runs.add_hex(text.bytes, &run, self.budget);
                }
            }
        }
        rest
    }

    /// A run of base64 that may have begun before the text or may go on after it, at each phase for itself.
    fn base64(
        &mut self,
        text: &Text<'_>,
        run: &Run,
        runs: &Runs,
        phases: [bool; 4],
        depth: usize,
    ) -> Rest {
        let mut rest = Rest::default();
        for (phase, _) in phases.iter().enumerate().filter(|(_, tried)| **tried) {
            let part = runs.sextets().get(phase..).unwrap_or_default();
            if part.len() >= BASE64_SHORTEST {
                let layer = Layer::Base64 { phase };
                let decode = &mut |out: &mut Vec<u8>| base64::decode(part, out);
                rest = rest.max(self.decoded(text, run.range.clone(), layer, depth, decode));
            }
        }
        rest
    }

    /// The same of base32.
    fn base32(
        &mut self,
        text: &Text<'_>,
        run: &Run,
        runs: &mut Runs,
        cut: bool,
        depth: usize,
    ) -> Rest {
        let mut rest = Rest::default();
        let digits = runs.digits(text.bytes, run);
        if !base32::is_of_one_case(digits) {
            return rest;
        }
        for phase in 0..if cut { 8 } else { 1 } {
            let layer = Layer::Base32 { phase };
            let decode = &mut |out: &mut Vec<u8>| base32::decode(digits, phase, out);
            rest = rest.max(self.decoded(text, run.range.clone(), layer, depth, decode));
        }
        rest
    }

    /// The same of hexadecimal digits.
    fn hex(&mut self, text: &Text<'_>, run: &Run, runs: &mut Runs, depth: usize) -> Rest {
        let mut rest = Rest::default();
        let digits = runs.digits(text.bytes, run);
        for phase in 0..2 {
            let layer = Layer::Hex { phase };
            let decode = &mut |out: &mut Vec<u8>| hex::decode(digits, phase, out);
            rest = rest.max(self.decoded(text, run.range.clone(), layer, depth, decode));
        }
        rest
    }

    /// Shows what is in a batch, all in one text.
    pub(super) fn batch(&mut self, outer: &Text<'_>, runs: &mut Runs, depth: usize) {
        if !runs.is_empty() {
            self.text(&runs.text(outer), depth);
            runs.clear();
        }
    }

    /// Opens escapes; one that the end of an open text cuts is left for later.
    fn open(&mut self, outer: &Text<'_>, range: Range<usize>, layer: Layer, depth: usize) -> Rest {
        let mut encoded = outer.bytes.get(range.clone()).unwrap_or_default();
        if goes_on(outer, range.end) {
            let partial = match layer {
                Layer::Json => json::partial_escape(encoded),
                Layer::Percent { .. } => percent::partial_escape(encoded),
                _ => 0,
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
    pub(super) fn decoded(
        &mut self,
        outer: &Text<'_>,
        range: Range<usize>,
        layer: Layer,
        depth: usize,
        decode: &mut dyn FnMut(&mut Vec<u8>),
    ) -> Rest {
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
            return Rest::default();
        }
        decoded.clear();
        decode(&mut decoded);
        let text = Text {
            bytes: &decoded,
            from,
            cut: is_cut(outer, range.start),
            open: goes_on(outer, range.end),
            more: outer.more && goes_on(outer, range.end),
            json: json::is_document(&decoded),
            multipart: multipart::is_multipart(&decoded),
            reopened: outer.reopened,
            origin: Origin::Decoded {
                outer,
                start: range.start,
                encoded,
                layer,
            },
        };
        let rest = self.text(&text, depth);
        let in_outer = |waiting: usize| match waiting {
            0 => 0,
            waiting => {
                let first = layer.locate(encoded, decoded.len().saturating_sub(waiting));
                outer
                    .bytes
                    .len()
                    .saturating_sub(range.start.saturating_add(first))
            }
        };
        let rest = Rest {
            hold: in_outer(rest.hold),
            keep: in_outer(rest.keep),
        };
        self.spare.give(decoded);
        rest
    }
}

/// Whether what begins at `start` may have begun before the text: before it comes nothing, or line breaks.
pub(super) fn is_cut(text: &Text<'_>, start: usize) -> bool {
    let before = text.bytes.get(..start).unwrap_or_default();
    text.cut && before.iter().rev().all(|&byte| is_break(byte))
}

/// Whether what ends at `end` may go on after the text: after it comes nothing, or line breaks in the same word.
pub(super) fn goes_on(text: &Text<'_>, end: usize) -> bool {
    let rest = text.bytes.get(end..).unwrap_or_default();
    let ends = || match rest {
        [rest @ .., 0] => rest.contains(&0),
        rest => rest.contains(&0),
    };
    text.open && rest.iter().all(|&byte| is_break(byte)) && !ends()
}

impl Layer {
    /// Appends what an escape or character encoding means.
    fn decode(self, encoded: &[u8], out: &mut Vec<u8>) {
        match self {
            Layer::Percent { plus } => percent::decode(encoded, plus, out),
            Layer::Json => json::decode(encoded, out),
            Layer::Utf16 { first } => utf16::decode(encoded, first, out),
            // Digits are decoded by the run, containers by their own machines.
            Layer::Base64 { .. }
            | Layer::Hex { .. }
            | Layer::Base32 { .. }
            | Layer::Xor { .. }
            | Layer::Part(_)
            | Layer::Number
            | Layer::Container(_) => {}
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
            Layer::Base32 { phase } => digits().saturating_sub(phase).saturating_mul(5) / 8,
            Layer::Xor { .. } | Layer::Part(_) => known,
            Layer::Number | Layer::Container(_) => 0,
            // An escape that the end cuts counts as its characters, five more than the byte it is.
            Layer::Percent { .. } | Layer::Json | Layer::Utf16 { .. } => {
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
            Layer::Base32 { .. } => encoded.saturating_mul(5) / 8,
            Layer::Number => LONGEST_NUMBER,
            Layer::Container(_) => 0,
            _ => encoded,
        }
    }
}

/// Characters of the longest number that is told in decimal digits.
const LONGEST_NUMBER: usize = 24;
/// Decoded runs are shown once they are this many bytes, or the text is at its end.
pub(super) const BATCH: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every place where `needle` shows up: chain and index in the window.
    fn find(window: &[u8], needle: &str) -> Vec<(Vec<Wrapper>, usize)> {
        let mut found = Vec::new();
        let window = Window::whole(window);
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
        let window = Window::whole(bomb.as_bytes());
        walk(window, &mut Scratch::default(), &mut budget, &mut |text| {
            texts += 1;
            bytes += text.bytes.len();
            0
        });
        assert!(budget.is_spent());
        assert!(
            bytes < bomb.len() + 262_144 && texts < 16_400,
            "{texts} texts, {bytes} bytes"
        );
    }

    #[test]
    fn says_how_much_of_the_wire_an_unfinished_text_holds() {
        let encoded = base64("id=4901542").replace('=', "");
        let window = Window {
            open: true,
            ..Window::whole(encoded.as_bytes())
        };
        let rest = walk(
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
        assert_eq!(&encoded[encoded.len() - rest.hold..], "NDkwMTU0Mg");
    }
}
