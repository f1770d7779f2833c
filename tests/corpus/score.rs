//! What was found against what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;
use untold::event::{Confidence, Finding};

use crate::case::{Case, Expect, Half};

/// One row of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Messages.
    pub cases: usize,
    /// Messages in which everything was found that is there.
    pub found: usize,
    /// Messages of `found` whose wrappers and spellings were all told right.
    pub explained: usize,
    /// Findings of what is not there.
    pub false_alarms: usize,
}

/// Rows by class, and everything that was not as it should be.
#[derive(Default)]
pub struct Table {
    rows: BTreeMap<String, Row>,
    complaints: Vec<String>,
}

impl Table {
    /// Counts a case under the identity that its half is for.
    pub fn add(&mut self, half: Half, case: &Case, findings: &[Finding]) {
        let told: Vec<Told> = findings.iter().map(Told::new).collect();
        let wanted = match half {
            Half::Exact | Half::Ordinary => "exact",
            Half::Shape => "shape",
        };
        let sure: Vec<&Told> = told
            .iter()
            .filter(|told| told.confidence == wanted)
            .collect();
        let row = self.rows.entry(case.class.clone()).or_default();
        row.cases += 1;
        let missing: Vec<&Expect> = case
            .expect
            .iter()
            .filter(|expect| {
                let alike = |other: &&Expect| {
                    (&other.kind, &other.at) == (&expect.kind, &expect.at)
                        && other.spelling.is_empty()
                };
                let values: BTreeSet<&str> = sure
                    .iter()
                    .filter(|told| told.is_at(expect))
                    .map(|told| told.hash.as_str())
                    .collect();
                let least = if expect.spelling.is_empty() {
                    case.expect.iter().filter(alike).count()
                } else {
                    1
                };
                values.len() < least
            })
            .collect();
        let vague: Vec<&Expect> = case
            .expect
            .iter()
            .filter(|expect| !sure.iter().any(|told| told.explains(expect)))
            .collect();
        let mut complain = |what: &str, of: &[&Expect]| {
            let of: Vec<String> = of.iter().map(ToString::to_string).collect();
            let told: Vec<String> = told.iter().map(ToString::to_string).collect();
            self.complaints.push(format!(
                "{what}\t{case}\t{}\t{}",
                of.join(", "),
                told.join(", ")
            ));
        };
        if missing.is_empty() {
            row.found += 1;
            row.explained += usize::from(vague.is_empty());
            if !vague.is_empty() {
                complain("unexplained", &vague);
            }
        } else {
            complain("missed", &missing);
        }
        let expected: BTreeSet<&str> = case
            .expect
            .iter()
            .map(|expect| expect.kind.as_str())
            .collect();
        // Beside registered values, nothing is to be told twice; other people's may be told by shape.
        let wrong = told.iter().filter(|told| {
            if told.confidence == wanted {
                !expected.contains(told.kind.as_str())
            } else {
                match half {
                    Half::Exact => expected.contains(told.kind.as_str()),
                    Half::Shape => true,
                    Half::Ordinary => !case.others,
                }
            }
        });
        let wrong = wrong.count();
        if wrong > 0 {
            row.false_alarms += wrong;
            complain("false alarm", &[]);
        }
    }

    /// Counts what is found in an ordinary message for somebody who registered nothing.
    pub fn without_identity(&mut self, case: &Case, findings: &[Finding]) {
        let row = self.rows.entry(case.class.clone()).or_default();
        row.false_alarms += findings.len();
        if !findings.is_empty() {
            let told: Vec<String> = findings
                .iter()
                .map(|finding| Told::new(finding).to_string())
                .collect();
            self.complaints.push(format!(
                "false alarm\t{case}\tnobody registered\t{}",
                told.join(", ")
            ));
        }
    }

    pub fn rows(&self) -> &BTreeMap<String, Row> {
        &self.rows
    }

    /// A line each: what, the case, what was expected, what was told.
    pub fn complaints(&self) -> String {
        self.complaints.join("\n")
    }
}

impl fmt::Display for Table {
    /// The table of `docs/detection.md`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| class | messages | found | explained | false alarms |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        let mut sum = Row::default();
        for (class, row) in &self.rows {
            writeln!(f, "| {class} | {row}")?;
            sum.cases += row.cases;
            sum.found += row.found;
            sum.explained += row.explained;
            sum.false_alarms += row.false_alarms;
        }
        writeln!(f, "| all | {sum}")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row {
            cases,
            found,
            explained,
            false_alarms,
        } = self;
        write!(f, "{cases} | {found} | {explained} | {false_alarms} |")
    }
}

/// Kind, confidence and place of every finding, each once.
pub fn places(findings: &[Finding]) -> BTreeSet<(String, String, String)> {
    let places = findings.iter().map(Told::new);
    places
        .map(|told| (told.kind, told.confidence, told.at))
        .collect()
}

/// The kinds of registered values that were found.
pub fn exact_kinds(findings: &[Finding]) -> BTreeSet<String> {
    let exact = findings.iter().filter(|finding| is_exact(finding));
    exact.map(|finding| finding.kind.to_string()).collect()
}

pub fn is_exact(finding: &Finding) -> bool {
    finding.confidence == Confidence::Exact
}

/// A finding as its event has it.
struct Told {
    kind: String,
    confidence: String,
    chain: Vec<String>,
    spelling: String,
    at: String,
    hash: String,
    last4: Option<String>,
}

impl Told {
    fn new(finding: &Finding) -> Told {
        let value = serde_json::to_value(finding).expect("a finding is JSON");
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let chain = value["chain"].as_array().into_iter().flatten();
        Told {
            kind: text("kind"),
            confidence: text("confidence"),
            chain: chain.filter_map(Value::as_str).map(str::to_owned).collect(),
            spelling: text("spelling"),
            at: text("at"),
            hash: text("hash"),
            last4: value["last4"].as_str().map(str::to_owned),
        }
    }

    fn is_at(&self, expect: &Expect) -> bool {
        self.kind == expect.kind
            && expect.at.contains(&self.at)
            && (expect.last4.is_none() || expect.last4 == self.last4)
    }

    fn explains(&self, expect: &Expect) -> bool {
        let mut chain = self.chain.iter();
        self.is_at(expect)
            && expect
                .chain
                .iter()
                .all(|wanted| chain.any(|told| told == wanted))
            && (expect.spelling.is_empty() || expect.spelling.contains(&self.spelling))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told {
            kind,
            confidence,
            chain,
            spelling,
            at,
            ..
        } = self;
        write!(
            f,
            "{kind} {spelling} {confidence} at {at} in {}",
            chain.join(">")
        )
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expect {
            kind,
            chain,
            at,
            spelling,
            last4,
        } = self;
        write!(
            f,
            "{kind} {} {} at {} in {}",
            last4.as_deref().unwrap_or_default(),
            spelling.join("|"),
            at.join("|"),
            chain.join(">")
        )
    }
}
