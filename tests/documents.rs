//! The documents say what the sources and the program do.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
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

#[test]
fn the_transcripts_of_commands_that_need_no_network_are_real() {
    for (document, least) in [("README.md", 3), ("docs/policy.md", 4)] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let folder = Folder::new(&document.replace('/', "-"));
        folder.write("body.json", BODY);
        for (name, block) in named_blocks(&text) {
            folder.write(name, block);
        }
        let mut compared = 0;
        for block in blocks(&text, "console") {
            for transcript in format!("\n{block}").split("\n$ ").skip(1) {
                let (command, said) = transcript.split_once('\n').unwrap_or((transcript, ""));
                let words: Vec<&str> = command.split_whitespace().collect();
                let comparable = ["explain", "policy", "identity", "inspect"];
                if words.first() != Some(&"untold") || !comparable.contains(&words[1]) {
                    continue;
                }
                let ran = Command::new(env!("CARGO_BIN_EXE_untold"))
                    .args(&words[1..])
                    .current_dir(&folder.0)
                    .env("XDG_CONFIG_HOME", &folder.0)
                    .output()
                    .unwrap();
                // Where lines are broken hangs on the terminal.
                let words = |text: &str| {
                    text.split_whitespace()
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                };
                let really = String::from_utf8(ran.stdout).unwrap();
                assert_eq!(
                    words(said),
                    words(&really),
                    "{document}: {command}\n{really}"
                );
                compared += 1;
            }
        }
        assert!(
            compared >= least,
            "{document}: only {compared} transcripts found"
        );
    }
}

/// What the README posts.
const BODY: &str =
    "{\"model\":\"EXAMPLE-7\",\"ids\":{\"i\":\"490154203237518\",\"m\":\"02005E100007\"}}\n";

/// The fenced blocks of a language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let open = format!("```{language}\n");
    let blocks = text.split(open.as_str()).skip(1);
    blocks.filter_map(|rest| rest.split("```").next()).collect()
}

/// The TOML under headings that name a file, by its name.
fn named_blocks(text: &str) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    for section in text.split("\n## ") {
        let heading = section.lines().next().unwrap_or_default();
        let name = heading.split('`').find(|word| word.ends_with(".toml"));
        if let (Some(name), Some(block)) = (name, blocks(section, "toml").first()) {
            named.push((name, *block));
        }
    }
    named
}

/// A folder of one test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("documents-{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file that its owner alone may read.
    fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
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
