//! The C face as C sees it: the header beside the source, and a program under valgrind.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const POLICY: &str = "[default]\nleak = \"block\"\n";
const IDENTITY: &str = "imei = \"490154203237518\"\n";
/// `{"IMEI1":"490154203237518"}` in base64.
const BODY: &str = "eyJJTUVJMSI6IjQ5MDE1NDIwMzIzNzUxOCJ9";

/// `UPDATE=1` writes the header anew.
#[test]
fn the_header_is_the_one_that_the_source_makes() {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new()
        .with_src(root().join("src/capi.rs"))
        .with_config(config)
        .generate()
        .unwrap();
    let mut made = Vec::new();
    bindings.write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let header = root().join("include/untold.h");
    if env::var_os("UPDATE").is_some() {
        fs::write(&header, &made).unwrap();
    }
    let kept = fs::read_to_string(&header).unwrap_or_default();
    assert!(
        made == kept,
        "include/untold.h is not what src/capi.rs makes: UPDATE=1 cargo test --test capi"
    );
}

#[test]
fn a_c_program_finds_the_registration_and_leaks_nothing() {
    let Some(program) = Program::build("a_c_program_finds_the_registration_and_leaks_nothing")
    else {
        return;
    };
    let request = format!(
        "POST / HTTP/1.1\r\nHost: collector.example\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let found = program.run(POLICY, &[], &request);
    let text = String::from_utf8_lossy(&found.stdout);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(
        text.contains(r#""verdict":"block""#) && text.contains(r#""kind":"imei""#),
        "{text}"
    );
    assert!(!text.contains("490154203237518"), "{text}");

    let clean = program.run(
        POLICY,
        &[],
        "GET / HTTP/1.1\r\nHost: collector.example\r\n\r\n",
    );
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");

    let wrong = program.run("[default]\nleak = 1\n", &[], "");
    let error = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(error.contains("policy.toml:2:"), "{error}");
}

#[test]
fn a_c_program_runs_the_firewall_on_a_tun_that_it_opened() {
    let name = "a_c_program_runs_the_firewall_on_a_tun_that_it_opened";
    let Some(program) = Program::build(name) else {
        return;
    };
    if !succeeds(Command::new("unshare").args(["--net", "test", "-c", "/dev/net/tun"])) {
        return skip(
            name,
            "there is no /dev/net/tun, or no permission to make namespaces",
        );
    }
    let ran = program.run(POLICY, &["--tun", "untold0"], "");
    let text = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert!(
        text.starts_with("running\n") && text.ends_with("stopped \n"),
        "{text}"
    );
}

/// `examples/c/inspect.c`, linked with the static library.
struct Program(PathBuf);

impl Program {
    /// Nothing, and `SKIPPED`, where a tool is missing.
    fn build(test: &str) -> Option<Program> {
        for tool in ["cc", "valgrind", "unshare"] {
            if !succeeds(Command::new(tool).arg("--version")) {
                skip(test, &format!("{tool} is not installed"));
                return None;
            }
        }
        let folder = root().join("target/capi");
        let program = folder.join(test);
        fs::create_dir_all(&folder).unwrap();
        let built = Command::new(env!("CARGO"))
            .args(["rustc", "--quiet", "--lib", "--crate-type", "staticlib"])
            .args(["--no-default-features", "--features", "capi"])
            .current_dir(root())
            .env("CARGO_TARGET_DIR", &folder)
            .status();
        assert!(built.unwrap().success(), "the library does not build");
        let linked = Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-o"])
            .arg(&program)
            .arg(root().join("examples/c/inspect.c"))
            .arg("-I")
            .arg(root().join("include"))
            .arg(folder.join("debug/libuntold.a"))
            .args(["-lpthread", "-ldl", "-lm"])
            .status();
        assert!(linked.unwrap().success(), "the example does not build");
        Some(Program(program))
    }

    /// Runs it under valgrind, in a network namespace of its own. Exit status 99 is valgrind's complaint.
    fn run(&self, policy: &str, arguments: &[&str], input: &str) -> Output {
        let file = |name: &str, text: &str| {
            let path = self.0.with_extension(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut child = Command::new("timeout")
            .args(["--signal=KILL", "120", "unshare", "--net"])
            .args([
                "valgrind",
                "--quiet",
                "--error-exitcode=99",
                "--leak-check=full",
            ])
            .args([
                "--show-leak-kinds=definite,indirect",
                "--errors-for-leak-kinds=definite,indirect",
            ])
            .arg("--track-fds=no")
            .arg(&self.0)
            .args([file("policy", policy), file("identity", IDENTITY)])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that refuses its arguments reads nothing.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn succeeds(command: &mut Command) -> bool {
    let silent = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

fn skip(test: &str, why: &str) {
    // Past the harness, which keeps what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
