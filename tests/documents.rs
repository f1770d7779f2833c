//! The documents say what the sources and the program do.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_reason_for_a_drop_is_documented() {
    let mut reasons = BTreeSet::new();
    for file in sources(&root().join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        // What tests count is not said to anybody.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if file.ends_with("tests.rs") {
            continue;
        }
        let calls = code.split("count(\"").skip(1);
        reasons.extend(
            calls
                .filter_map(|call| call.split('"').next())
                .map(str::to_owned),
        );
        if let Some((_, skipped)) = code.split_once("for (reason, count) in [") {
            let list = skipped.split(']').next().unwrap();
            reasons.extend(list.split('"').skip(1).step_by(2).map(str::to_owned));
        }
        let arms = code
            .lines()
            .filter(|line| line.trim_start().starts_with("Reject::"));
        reasons.extend(arms.filter_map(|arm| {
            arm.split("=> \"")
                .nth(1)?
                .split('"')
                .next()
                .map(str::to_owned)
        }));
    }
    for known in ["checksum", "flow_limit", "not_ip", "link_type"] {
        assert!(
            reasons.contains(known),
            "the sources are not read right: no {known}"
        );
    }
    let document = fs::read_to_string(root().join("docs/events.md")).unwrap();
    let section = document.split("\n## `reason`\n").nth(1).unwrap();
    let words = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(words.map(str::to_owned).collect::<BTreeSet<_>>(), reasons);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}
