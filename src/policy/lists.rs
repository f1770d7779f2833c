//! A million names in nine megabytes: sorted 64-bit fingerprints.
//!
//! A name is listed if its fingerprint, or that of a parent, is there. Of 2⁶⁴ fingerprints a million are taken, so a name
//! that no list holds passes for a listed one with a probability of 5·10⁻¹⁴ a label.

use std::sync::Arc;

use super::{
    config::{ListSource, Place},
    listfile::{ListReport, read},
};
use crate::{ConfigError, event::Action};

/// The names of every list. A name that several lists hold belongs to the strictest, then to the first.
pub(super) struct Lists {
    /// Sorted.
    keys: Vec<u64>,
    /// Which of `lists` holds the key at the same index.
    owners: Vec<u8>,
    /// For each value of a key's upper 16 bits, where such keys begin.
    index: Vec<u32>,
    /// Bit n: some name has n labels.
    depths: u64,
    /// Strictest first.
    pub(super) lists: Vec<List>,
}

/// One list.
pub(super) struct List {
    /// `list.NAME`
    pub(super) verdict: Arc<str>,
    pub(super) action: Action,
    pub(super) place: Place,
    pub(super) report: ListReport,
}

impl List {
    /// Its name in the policy file.
    pub(super) fn name(&self) -> &str {
        self.verdict.strip_prefix("list.").unwrap_or(&self.verdict)
    }
}

/// How many lists there can be: the number of one fits a byte.
pub(super) const MOST_LISTS: usize = 256;

impl Lists {
    /// Reads the texts of `sources`, in their order. A text in which no line can be used is an error.
    pub(super) fn new(sources: &[ListSource], texts: &[Vec<u8>]) -> Result<Lists, ConfigError> {
        let mut order: Vec<usize> = (0..sources.len().min(MOST_LISTS)).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(sources[index].action));
        let mut entries = Vec::new();
        let mut depths = 0;
        let mut lists = Vec::new();
        for (owner, index) in (0u8..=255).zip(order) {
            let source = &sources[index];
            let report = read(&texts[index], source.format, |name| {
                depths |= depth_bit(name.split('.').count());
                entries.push((fingerprint(name), owner));
            });
            if report.taken == 0
                && let Some(first) = report.first_rejected.first()
            {
                let reason = format!(
                    "no line of list {:?} can be used; line {}: {}",
                    source.name, first.line, first.reason
                );
                return Err(source.error(reason));
            }
            let verdict = format!("list.{}", source.name).into();
            lists.push(List {
                verdict,
                action: source.action,
                place: source.place.clone(),
                report,
            });
        }
        entries.sort_unstable();
        entries.dedup_by_key(|(key, _)| *key);
        let keys: Vec<u64> = entries.iter().map(|(key, _)| *key).collect();
        let owners = entries.iter().map(|(_, owner)| *owner).collect();
        Ok(Lists {
            index: index(&keys),
            keys,
            owners,
            depths,
            lists,
        })
    }

    /// The list that holds `name` or the nearest of its parents.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let mut found = None;
        let mut hash = SEED;
        for (labels, label) in (1..).zip(name.as_bytes().rsplit(|byte| *byte == b'.')) {
            hash = add_label(hash, label);
            if self.depths & depth_bit(labels) != 0 {
                found = self.position(hash).or(found);
            }
        }
        found.map(|position| usize::from(self.owners[position]))
    }

    /// How many different names there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of memory that the names take.
    pub(super) fn bytes(&self) -> usize {
        self.keys.capacity() * 8 + self.owners.capacity() + self.index.capacity() * 4
    }

    fn position(&self, key: u64) -> Option<usize> {
        let bucket = (key >> 48) as usize;
        let (start, end) = (self.index[bucket] as usize, self.index[bucket + 1] as usize);
        let keys = &self.keys[start..end];
        let guess = (keys.len() * ((key >> 32) as usize & 0xffff)) >> 16;
        let at = match keys.get(guess).is_some_and(|at| *at <= key) {
            true => guess + keys[guess..].iter().position(|at| *at >= key)?,
            false => keys[..guess].iter().rposition(|at| *at <= key)?,
        };
        (keys[at] == key).then_some(start + at)
    }
}

/// Fingerprint of a name in its wire form, labels taken from the right so that a parent's is on the way. Fixed for ever:
/// compiled lists hold it.
fn fingerprint(name: &str) -> u64 {
    name.as_bytes()
        .rsplit(|byte| *byte == b'.')
        .fold(SEED, add_label)
}

/// Folded multiplication, eight bytes at a time, as in wyhash and its kin.
fn add_label(hash: u64, label: &[u8]) -> u64 {
    let mut hash = hash;
    let (words, rest) = label.as_chunks::<8>();
    for word in words {
        hash = fold(hash ^ KEYS[0], u64::from_le_bytes(*word) ^ KEYS[1]);
    }
    let rest = rest
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    fold(
        hash ^ KEYS[2],
        (rest | (label.len() as u64) << 56) ^ KEYS[3],
    )
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// Digits of pi: the seed, then what each multiplication is kept off zero with.
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const KEYS: [u64; 4] = [
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
];

fn depth_bit(labels: usize) -> u64 {
    1 << labels.min(63)
}

fn index(keys: &[u64]) -> Vec<u32> {
    let mut index = Vec::with_capacity(65_537);
    let mut at = 0;
    for bucket in 0..=65_536u64 {
        while keys.get(at).is_some_and(|key| key >> 48 < bucket) {
            at += 1;
        }
        index.push(u32::try_from(at).expect("a list's text is under 4 GiB of names"));
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Config;

    fn lists(actions: &[&str], texts: &[&str]) -> Result<Lists, ConfigError> {
        let text: String = (0..)
            .zip(actions)
            .map(|(number, action)| {
                format!("[[list]]\nname = \"l{number}\"\nsource = \"s\"\naction = \"{action}\"\n")
            })
            .collect();
        let config = Config::parse("p.toml", &text).unwrap();
        Lists::new(
            config.lists(),
            &texts
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect::<Vec<_>>(),
        )
    }

    fn found<'a>(lists: &'a Lists, name: &str) -> Option<&'a str> {
        lists.find(name).map(|list| lists.lists[list].name())
    }

    #[test]
    fn a_name_is_found_by_itself_or_its_nearest_listed_parent() {
        let lists = lists(
            &["block", "allow"],
            &["ads.example\na.b.c.d.example\n", "fine.ads.example\n"],
        )
        .unwrap();
        for (name, expected) in [
            ("ads.example", Some("l0")),
            ("x.ads.example", Some("l0")),
            ("x.y.z.ads.example", Some("l0")),
            ("fine.ads.example", Some("l1")),
            ("so.fine.ads.example", Some("l1")),
            ("a.b.c.d.example", Some("l0")),
            ("b.c.d.example", None),
            ("bads.example", None),
            ("ads.example.net", None),
            ("example", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(found(&lists, name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_in_several_lists_belongs_to_the_strictest_then_the_first() {
        let lists = lists(
            &["allow", "block", "block"],
            &["a.example", "a.example\nb.example", "b.example"],
        )
        .unwrap();
        assert_eq!(found(&lists, "a.example"), Some("l1"));
        assert_eq!(found(&lists, "b.example"), Some("l1"));
        assert_eq!(lists.len(), 2);
    }

    #[test]
    fn a_list_of_which_nothing_can_be_used_is_an_error_at_its_source() {
        let error = lists(&["block"], &["||ads.example^\n"])
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "p.toml:3:10: no line of list \"l0\" can be used; line 1: '|' cannot stand in a domain name"
        );
        assert!(lists(&["block"], &["# nothing yet\n"]).is_ok());
    }

    #[test]
    fn a_quarter_of_a_million_names_are_told_from_as_many_others() {
        let name = |number: u32| format!("n{}.d{}.example", number, number % 977);
        let text: String = (0..250_000).map(|number| name(number) + "\n").collect();
        let lists = lists(&["block"], &[&text]).unwrap();
        assert_eq!(lists.len(), 250_000);
        for number in 0..250_000 {
            assert!(lists.find(&name(number)).is_some(), "{number}");
            assert!(lists.find(&name(number + 250_000)).is_none(), "{number}");
        }
        assert!(
            lists.bytes() <= 250_000 * 9 + 65_537 * 4 + 64,
            "{} bytes",
            lists.bytes()
        );
    }

    #[test]
    fn fingerprints_never_change() {
        for (name, expected) in [
            ("example", 0x5138_3e5a_5642_657d),
            ("ads.example", 0x0039_db6f_46d1_5d7c),
            ("a-longer-label.ads.example", 0x6166_069b_4732_d400),
        ] {
            assert_eq!(
                fingerprint(name),
                expected,
                "{name}: {:#x}",
                fingerprint(name)
            );
        }
    }
}
