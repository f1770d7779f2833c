//! One direction: a stage uses only stages before it; the core does no IO; unsafe code has its few places.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each stage with the stages that it may use. `event` and `error` are free to all and use none.
const STAGES: [(&str, &[&str]); 14] = [
    ("error", &[]),
    ("event", &[]),
    ("wire", &[]),
    ("flow", &["wire"]),
    ("egress", &[]),
    ("sniff", &[]),
    ("decode", &["sniff"]),
    ("detect", &["sniff", "decode"]),
    ("policy", &["egress", "sniff", "decode", "detect"]),
    ("inspect", &["sniff", "decode", "detect", "policy"]),
    (
        "engine",
        &[
            "wire", "flow", "egress", "sniff", "decode", "detect", "policy", "inspect",
        ],
    ),
    (
        "io",
        &[
            "wire", "flow", "egress", "sniff", "decode", "detect", "policy", "inspect", "engine",
        ],
    ),
    ("jni", &["inspect", "policy", "detect", "engine", "io"]),
    ("capi", &["inspect", "policy", "detect", "engine", "io"]),
];
const FREE: [&str; 2] = ["error", "event"];
/// Stages that touch the world.
const SHELLS: [&str; 4] = ["io", "jni", "capi", "bin"];
/// What the core may not name: clocks, sockets, files, threads, processes, the environment.
const WORLDLY: [&str; 16] = [
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "thread::spawn",
    "thread::sleep",
    "mio::",
    "socket2::",
    "println!",
    "eprintln!",
];

#[test]
fn a_stage_uses_only_stages_before_it() {
    let roots = re_exports(&code(&fs::read_to_string(source().join("lib.rs")).unwrap()));
    let mut wrong = Vec::new();
    for (stage, file, text) in sources() {
        let Some((_, allowed)) = STAGES.iter().find(|(name, _)| *name == stage) else {
            continue;
        };
        for used in uses(&text, &roots, &file) {
            let fine = used == stage || FREE.contains(&&*used) || allowed.contains(&&*used);
            if !fine {
                wrong.push(format!("{}: {stage} uses {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "back edges:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_is_a_stage_of_the_design() {
    let stages: BTreeSet<_> = sources().into_iter().map(|(stage, ..)| stage).collect();
    let known = |stage: &String| {
        stage == "lib" || stage == "bin" || STAGES.iter().any(|(name, _)| name == stage)
    };
    let unknown: Vec<_> = stages.iter().filter(|stage| !known(stage)).collect();
    assert!(unknown.is_empty(), "no place in the order for {unknown:?}");
    assert!(
        stages.len() > 8,
        "the sources were not found, only {stages:?}"
    );
}

#[test]
fn the_core_names_nothing_of_the_world() {
    let mut wrong = Vec::new();
    for (stage, file, text) in sources() {
        if SHELLS.contains(&&*stage) {
            continue;
        }
        let named = WORLDLY
            .iter()
            .filter(|name| words(&text, name).next().is_some());
        wrong.extend(named.map(|name| format!("{}: {name}", file.display())));
    }
    assert!(
        wrong.is_empty(),
        "the core does no IO:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn unsafe_code_is_where_the_design_puts_it() {
    let mut in_detect = Vec::new();
    let mut wrong = Vec::new();
    for (stage, file, text) in sources() {
        let has_unsafe = words(&text, "unsafe").next().is_some();
        match &*stage {
            "io" | "jni" | "capi" => {}
            "detect" if has_unsafe => in_detect.push(file),
            _ if has_unsafe => wrong.push(file),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "unsafe code in {wrong:?}");
    assert!(
        in_detect.len() <= 1,
        "one file of detect may be unsafe, not {in_detect:?}"
    );
}

#[test]
fn core_modules_forbid_unsafe_code() {
    for (stage, _) in STAGES
        .iter()
        .filter(|(stage, _)| !SHELLS.contains(stage) && !FREE.contains(stage))
    {
        let text = fs::read_to_string(source().join(stage).join("mod.rs")).unwrap();
        let lint = if *stage == "detect" {
            "(unsafe_code)]"
        } else {
            "#![forbid(unsafe_code)]"
        };
        assert!(text.contains(lint), "{stage}/mod.rs does not say {lint}");
    }
}

#[test]
fn the_reader_of_sources_sees_every_way_to_name_a_stage() {
    let roots = re_exports("pub use error::ConfigError; pub use inspect::{Inspector, Rules as R};");
    let seen = |text: &str, file: &str| {
        uses(&code(text), &roots, Path::new(file))
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let cases = [
        ("use crate::wire::Pair;", "src/flow/tcp.rs", "wire"),
        (
            "use crate::{ConfigError, policy::{Facts, Policy}, wire};",
            "src/flow/tcp.rs",
            "error policy wire",
        ),
        (
            "use crate::{\n    event::Kind,\n    engine::{Now, Config},\n};",
            "src/flow/mod.rs",
            "engine event",
        ),
        (
            "fn f(now: crate::engine::Now) {}",
            "src/flow/mod.rs",
            "engine",
        ),
        ("use crate::Inspector;", "src/wire/mod.rs", "inspect"),
        ("use super::Pair;", "src/wire/emit.rs", ""),
        ("use super::engine::Now;", "src/wire/mod.rs", "engine"),
        (
            "use super::super::engine::Now;",
            "src/wire/emit.rs",
            "engine",
        ),
        (
            "// use crate::io;\n/* crate::io */ let s = \"crate::io\";",
            "src/wire/mod.rs",
            "",
        ),
        (
            "let c = '\"'; use crate::io; let d = '\"';",
            "src/wire/mod.rs",
            "io",
        ),
        (
            "fn f<'a>(s: &'a str) { crate::io::f() }",
            "src/wire/mod.rs",
            "io",
        ),
        (
            "let s = r#\"crate::io \" \"#; crate::engine::f();",
            "src/wire/mod.rs",
            "engine",
        ),
        (
            "fn f() {}\n#[cfg(test)]\nmod tests { use crate::engine; }",
            "src/wire/mod.rs",
            "",
        ),
    ];
    for (text, file, stages) in cases {
        assert_eq!(seen(text, file), stages, "{text}");
    }
    assert!(words(&code("unsafe { f() }"), "unsafe").next().is_some());
    assert!(
        words(&code("#![forbid(unsafe_code)] // unsafe"), "unsafe")
            .next()
            .is_none()
    );
}

/// Every source file: its stage, its path, its code without comments, literals and tests.
fn sources() -> Vec<(String, PathBuf, String)> {
    let mut files = Vec::new();
    collect(&source(), &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let inside = file
            .strip_prefix(source())
            .expect("it lies in src")
            .to_path_buf();
        let stage = inside
            .iter()
            .next()
            .expect("a path has parts")
            .to_string_lossy();
        let text = code(&fs::read_to_string(&file).unwrap());
        (
            stage.trim_end_matches(".rs").to_owned(),
            Path::new("src").join(inside),
            text,
        )
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_tests = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_tests {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_tests {
            files.push(path);
        }
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Names that `lib.rs` gives to what stages define: name to stage.
fn re_exports(lib: &str) -> BTreeMap<String, String> {
    let mut roots = BTreeMap::new();
    for statement in lib.split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else {
            continue;
        };
        let Some((stage, names)) = path.trim().split_once("::") else {
            continue;
        };
        for name in names.trim_matches(['{', '}', ' ', '\n']).split(',') {
            let name = name.split(" as ").last().expect("a split has a part");
            let name = name.rsplit("::").next().expect("a split has a part").trim();
            roots.insert(name.to_owned(), stage.trim().to_owned());
        }
    }
    roots
}

/// Stages that the code of `file` names through the crate's root.
fn uses(code: &str, roots: &BTreeMap<String, String>, file: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in words(code, "crate::") {
        found.extend(first_names(&code[at + "crate::".len()..]));
    }
    // `super` leads to the root from a file of the stage's folder in two steps, from its mod.rs in one.
    let from_mod = file.ends_with("mod.rs") || file.iter().count() == 2;
    let up = if from_mod {
        "super::"
    } else {
        "super::super::"
    };
    for (at, _) in words(code, up) {
        let names = first_names(&code[at + up.len()..]);
        found.extend(
            names
                .into_iter()
                .filter(|name| STAGES.iter().any(|(stage, _)| stage == name)),
        );
    }
    found
        .into_iter()
        .filter_map(|name| {
            let is_stage = STAGES.iter().any(|(stage, _)| *stage == name);
            if is_stage {
                Some(name)
            } else {
                roots.get(&name).cloned()
            }
        })
        .collect()
}

/// The first name of a path, or of each path in a group.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![identifier(path)];
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expecting = true;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expecting = true,
            letter if expecting && !letter.is_whitespace() => {
                names.push(identifier(&group[at..]));
                expecting = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

/// Where `word` stands in `text`, not as a part of a longer name.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word).filter(move |(at, _)| {
        let before = text[..*at].chars().next_back().is_some_and(is_name);
        let after =
            word.ends_with(is_name) && text[at + word.len()..].chars().next().is_some_and(is_name);
        !before && !after
    })
}

/// The text without comments, literals and the tests at its end.
fn code(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .expect("a split has a part");
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let skipped = literal(rest, code.chars().next_back());
        let len = skipped.unwrap_or(letter.len_utf8());
        match skipped {
            Some(_) => code.push(' '),
            None => code.push(letter),
        }
        rest = &rest[len..];
    }
    code
}

/// The length of the comment or literal that `text` begins with.
fn literal(text: &str, before: Option<char>) -> Option<usize> {
    let end = |close: &str, from: usize| {
        text[from..]
            .find(close)
            .map_or(text.len(), |at| from + at + close.len())
    };
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(end("*/", 2));
    }
    let in_name = before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let raw = text
        .strip_prefix('r')
        .filter(|rest| !in_name && rest.trim_start_matches('#').starts_with('"'));
    if let Some(rest) = raw {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        return Some(end(&format!("\"{}", "#".repeat(hashes)), hashes + 2));
    }
    if text.starts_with('"') {
        return Some(quoted(text, '"'));
    }
    let is_char =
        text.starts_with("'\\") || (text.starts_with('\'') && text.chars().nth(2) == Some('\''));
    is_char.then(|| quoted(text, '\''))
}

/// The length of a literal up to its closing quote, escapes skipped.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
