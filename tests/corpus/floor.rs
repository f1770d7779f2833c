//! What `docs/detection.md` promises.

use std::{collections::BTreeMap, fs, path::Path};

use crate::score::Row;

/// Where the figures are worse than the document's, a sentence each; a class that only one of them has is a difference.
pub fn falls(rows: &BTreeMap<String, Row>) -> Vec<String> {
    let promised = promised();
    let classes = promised
        .keys()
        .chain(rows.keys().filter(|class| !promised.contains_key(*class)));
    let fall = |class: &String| match (promised.get(class), rows.get(class)) {
        (Some(floor), Some(row)) => {
            let holds = row.cases == floor.cases
                && row.found >= floor.found
                && row.explained >= floor.explained
                && row.false_alarms <= floor.false_alarms;
            (!holds).then(|| format!("{class}: {row} against {floor} of the document"))
        }
        (None, Some(row)) => Some(format!("{class}: {row} is not in the document")),
        (Some(_), None) | (None, None) => {
            Some(format!("{class}: in the document, but not in the corpus"))
        }
    };
    classes.filter_map(fall).collect()
}

fn promised() -> BTreeMap<String, Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detection.md");
    let text = fs::read_to_string(path).expect("docs/detection.md");
    let (_, table) = text
        .split_once("| class | messages | found | explained | false alarms |\n")
        .expect("the document has the table");
    let lines = table
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("| "));
    let rows = lines.filter_map(|line| {
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        let [class, cases, found, explained, false_alarms] = cells[..] else {
            panic!("not a row of the table: {line}");
        };
        let number = |cell: &str| {
            cell.parse()
                .unwrap_or_else(|_| panic!("not a number: {line}"))
        };
        let row = Row {
            cases: number(cases),
            found: number(found),
            explained: number(explained),
            false_alarms: number(false_alarms),
        };
        (class != "all").then(|| (class.to_owned(), row))
    });
    rows.collect()
}
