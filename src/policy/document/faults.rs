//! Every fault of a policy file, for who mends them all at once.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    DefaultTable, LimitsTable, ListTable, POLICY, ProxyTable, RuleTable, Source, key_faults, parse,
    read,
};
use crate::ConfigError;

/// Returns the faults of a policy in the order of the file, at most one for each rule, list and table beside its unknown
/// keys; none where [`parse`] takes it.
pub(crate) fn faults(file: &str, text: &str) -> Vec<ConfigError> {
    let Err(first) = parse(file, text) else {
        return Vec::new();
    };
    let source = Source {
        file: file.into(),
        text,
    };
    let Ok(table) = DeTable::parse(text) else {
        return vec![first];
    };
    let mut faults: Vec<ConfigError> = key_faults(table.get_ref(), POLICY)
        .into_iter()
        .map(|(span, reason)| source.error(span, reason))
        .collect();
    let mut look = |fault: Result<(), ConfigError>| faults.extend(fault.err());
    for (section, value) in table.get_ref() {
        for (span, table) in tables(value) {
            look(match section.get_ref().as_ref() {
                "default" => value_of::<DefaultTable>(&source, span, table).map(|_| ()),
                "limits" => value_of::<LimitsTable>(&source, span, table).map(|_| ()),
                "rule" => value_of::<RuleTable>(&source, span.clone(), table)
                    .and_then(|rule| source.rule(1, Spanned::new(span, rule), None).map(|_| ())),
                "list" => value_of::<ListTable>(&source, span.clone(), table)
                    .and_then(|list| source.lists(vec![Spanned::new(span, list)]).map(|_| ())),
                "proxy" => value_of::<ProxyTable>(&source, span.clone(), table)
                    .and_then(|proxy| source.proxies(vec![Spanned::new(span, proxy)]).map(|_| ())),
                _ => Ok(()),
            });
        }
    }
    if faults.is_empty() {
        faults.push(first);
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults.dedup();
    faults
}

/// The table, or the tables of a list.
fn tables<'t, 'i>(value: &'t Spanned<DeValue<'i>>) -> Vec<(Range<usize>, &'t DeTable<'i>)> {
    let one = |value: &'t Spanned<DeValue<'i>>| {
        let table = value.get_ref().as_table()?;
        Some((value.span(), table))
    };
    match value.get_ref().as_array() {
        Some(list) => list.iter().filter_map(one).collect(),
        None => one(value).into_iter().collect(),
    }
}

fn value_of<T: DeserializeOwned>(
    source: &Source<'_>,
    span: Range<usize>,
    table: &DeTable<'_>,
) -> Result<T, ConfigError> {
    read(Spanned::new(span, table.clone())).map_err(|error| source.toml_error(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_in_the_order_of_the_file() {
        let text = "[default]\nleek = \"ask\"\nleak = \"maybe\"\n\n[[rule]]\nto = \"a..b\"\naction = \"allow\"\n\
            [[rule]]\nto = \"fine.example\"\naction = \"allow\"\n[[rule]]\napp = \"uid:x\"\naction = \"block\"\n\
            [[rule]]\naction = \"blok\"\nsend = [\"imei\"]\n[[rule]]\nto = \"x.example\"\n\
            [[list]]\nname = \"a\"\nsource = \"https://lists.example/a\"\n";
        let told: Vec<String> = faults("p.toml", text)
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            ("p.toml:2:1:", "leek"),
            ("p.toml:3:8:", "maybe"),
            ("p.toml:6:6:", "empty"),
            ("p.toml:12:7:", "uid"),
            ("p.toml:15:10:", "blok"),
            ("p.toml:16:1:", "send"),
            ("p.toml:17:1:", "action"),
            ("p.toml:21:10:", "network"),
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, (place, word)) in told.iter().zip(expected) {
            assert!(told.starts_with(place) && told.contains(word), "{told}");
        }
    }

    #[test]
    fn the_first_fault_is_the_one_that_refuses_the_file() {
        for text in [
            "",
            "[[rule]]\naction = \"allow\"\n",
            "[[rule]\n",
            "rule = 1\n",
            "[rule]\naction = \"allow\"\n",
            "[[list]]\nname = \"a\"\nsource = \"a\"\n[[list]]\nname = \"a\"\nsource = \"b\"\n",
            "[[rule]]\naction = \"blok\"\n[[rule]]\nto = 1\naction = \"allow\"\n",
            "[limits]\nflows = 0\nhold_total = \"x\"\n",
        ] {
            let refused = parse("p.toml", text).err();
            assert_eq!(faults("p.toml", text).first(), refused.as_ref(), "{text}");
        }
    }
}
