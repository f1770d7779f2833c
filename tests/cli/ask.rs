//! Questions at a terminal, answers in a file, and files that change under a run; each test in namespaces of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{
    capture,
    harness::{Folder, IDENTITY, IMEI, Ran, UNTOLD, assert_tells_nothing, command, isolated},
    terminal::Terminal,
};

/// A server outside the tun that answers each request, and keeps what it got.
struct Collector {
    port: u16,
    got: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start() -> Collector {
        for address in ["203.0.113.9/32", "203.0.113.10/32"] {
            let status = Command::new("ip")
                .args(["address", "add", address, "dev", "lo"])
                .status();
            assert!(status.unwrap().success());
        }
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = got.clone();
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let kept = kept.clone();
                thread::spawn(move || {
                    let request = request();
                    let mut bytes = vec![0; request.len()];
                    let _ = connection.set_read_timeout(Some(Duration::from_secs(20)));
                    let mut len = 0;
                    while len < bytes.len()
                        && let Ok(more @ 1..) = connection.read(&mut bytes[len..])
                    {
                        len += more;
                    }
                    bytes.truncate(len);
                    if len > 0 {
                        kept.lock().unwrap().push(bytes);
                    }
                    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    let _ = connection.read(&mut [0]);
                });
            }
        });
        Collector { port, got }
    }

    fn got(&self) -> Vec<Vec<u8>> {
        self.got.lock().unwrap().clone()
    }
}

fn request() -> Vec<u8> {
    capture::request(&format!("{{\"imei\":\"{IMEI}\"}}"))
}

/// What a client does that was told to by [`client`]: one request a word of its script.
///
/// `impatient` gives up after 5 s, `patient` after 20 s; `wait` is a pause of a second, `enter` waits for a line on stdin.
#[test]
fn script() {
    let Ok(script) = std::env::var(SCRIPT) else {
        return;
    };
    let (to, words) = script.split_once(' ').unwrap();
    for word in words.split(' ') {
        let seconds = match word {
            "wait" => {
                thread::sleep(Duration::from_secs(1));
                continue;
            }
            "enter" => {
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).unwrap();
                println!("typed {line:?}");
                continue;
            }
            "impatient" => 5,
            _ => 20,
        };
        println!("{word}: {}", attempt(to, seconds));
    }
}

fn attempt(to: &str, seconds: u64) -> String {
    let mut connection = match TcpStream::connect(to) {
        Ok(connection) => connection,
        Err(error) => return format!("{:?}", error.kind()),
    };
    connection
        .set_read_timeout(Some(Duration::from_secs(seconds)))
        .unwrap();
    connection.write_all(&request()).unwrap();
    let mut reply = [0; 64];
    match connection.read(&mut reply) {
        Ok(0) => "closed".into(),
        Ok(_) => "answered".into(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// `untold run OPTIONS -- ` a client of this script.
fn client(port: u16, words: &str, options: &[&str]) -> Command {
    let mut command = command();
    command
        .arg("run")
        .args(options)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "ask::script", "--nocapture"])
        .env(SCRIPT, format!("203.0.113.9:{port} {words}"))
        .env("TERM", "dumb");
    command
}

/// Files of a run.
struct Files {
    folder: Folder,
    identity: String,
    answers: String,
}

impl Files {
    fn new() -> Files {
        let folder = Folder::new();
        let identity = folder.file("i.toml", IDENTITY);
        let answers = folder.path("config/answers.toml");
        Files {
            folder,
            identity,
            answers,
        }
    }

    fn options(&self) -> Vec<&str> {
        vec![
            "--ask",
            "--identity",
            &self.identity,
            "--answers",
            &self.answers,
        ]
    }

    fn ask(&self, port: u16, words: &str) -> Terminal {
        Terminal::start(&mut client(port, words, &self.options()), 100, None)
    }
}

const SCRIPT: &str = "UNTOLD_TEST_SCRIPT";

#[test]
fn a_person_is_asked_who_where_to_and_what_and_the_answer_counts() {
    isolated(
        "ask::a_person_is_asked_who_where_to_and_what_and_the_answer_counts",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let mut terminal = files.ask(collector.port, "patient patient");
            let shown = terminal.question();
            for words in [
                "untold asks",
                &format!(
                    "203.0.113.9:{} (calls itself collector.example), tcp",
                    collector.port
                ),
                "imei           …7518  base64, then JSON  body, byte ",
                "default.leak",
                "Enter blocks",
            ] {
                assert!(shown.contains(words), "{words}:\n{shown}");
            }
            terminal.answer("nonsense\n");
            terminal.shows("Enter blocks");
            terminal.answer("allow\n");
            terminal.shows_all(&["allowed once", "patient: answered"]);
            terminal.question();
            terminal.answer("\n");
            terminal.shows_all(&["blocked once", "patient: ConnectionReset"]);
            let (status, _) = terminal.end();
            assert_eq!(status.code(), Some(1), "the second one was not approved");
            assert_eq!(collector.got(), [request()]);
        },
    );
}

#[test]
fn an_approval_leaves_the_commands_own_status_and_tells_nothing() {
    isolated(
        "ask::an_approval_leaves_the_commands_own_status_and_tells_nothing",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let mut terminal = files.ask(collector.port, "patient patient patient");
            terminal.question();
            terminal.answer("a 15\n");
            for _ in 0..3 {
                terminal.shows("patient: answered");
            }
            assert_tells_nothing(&terminal.screen());
            let (status, _) = terminal.end();
            assert_eq!(status.code(), Some(0));
            assert_eq!(collector.got().len(), 3);
            assert!(!fs::exists(&files.answers).unwrap());
        },
    );
}

#[test]
fn always_is_a_rule_that_counts_now_and_in_the_next_run() {
    isolated(
        "ask::always_is_a_rule_that_counts_now_and_in_the_next_run",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let mut terminal = files.ask(collector.port, "patient wait patient");
            terminal.question();
            terminal.answer("allow always\n");
            terminal.shows(&format!("allowed always: written to {}", files.answers));
            terminal.shows("in force");
            terminal.shows("patient: answered");
            assert_eq!(terminal.end().0.code(), Some(0));
            let text = fs::read_to_string(&files.answers).unwrap();
            assert!(
                text.contains("sends = [\"imei\"]\naction = \"allow\"\n"),
                "{text}"
            );
            assert_tells_nothing(&text);
            let mode = fs::metadata(&files.answers).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);

            let options = &files.options()[1..];
            let ran = Ran::from(client(collector.port, "patient", options).output().unwrap());
            assert_eq!(ran.status, 0, "{ran:?}");
            assert!(ran.stderr.contains("answer.1"), "{ran:?}");
            assert_eq!(collector.got().len(), 3);
        },
    );
}

#[test]
fn an_answer_that_cannot_be_written_counts_and_the_person_is_told() {
    isolated(
        "ask::an_answer_that_cannot_be_written_counts_and_the_person_is_told",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let folder = files.folder.path("config");
            fs::create_dir(&folder).unwrap();
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "ro", "none", &folder])
                .status();
            assert!(mount.unwrap().success());
            let mut terminal = files.ask(collector.port, "patient patient");
            terminal.question();
            terminal.answer("allow always\n");
            terminal.shows("allowed always");
            let shown = terminal.shows("\n");
            assert!(
                shown.contains("for this run only: ") && shown.contains("read-only file system"),
                "{shown}"
            );
            terminal.shows("patient: answered");
            assert_eq!(terminal.end().0.code(), Some(0));
            assert_eq!(collector.got().len(), 2);
        },
    );
}

#[test]
fn an_answers_file_with_a_fault_is_left_alone() {
    isolated("ask::an_answers_file_with_a_fault_is_left_alone", || {
        let (collector, mut files) = (Collector::start(), Files::new());
        files.answers = files.folder.file("answers.toml", "");
        let mut terminal = files.ask(collector.port, "patient patient");
        terminal.question();
        let broken = "[[rule]]\nacton = \"block\"\n";
        fs::write(&files.answers, broken).unwrap();
        terminal.shows("answers.toml:2:1: unknown key");
        terminal.answer("allow always\n");
        terminal.shows("for this run only: ");
        terminal.shows("patient: answered");
        terminal.shows("patient: answered");
        assert_eq!(terminal.end().0.code(), Some(0));
        assert_eq!(fs::read_to_string(&files.answers).unwrap(), broken);
        let ran = Ran::from(
            client(collector.port, "patient", &files.options()[1..])
                .output()
                .unwrap(),
        );
        assert_eq!(ran.status, 2, "{ran:?}");
    });
}

#[test]
fn r23_allow_once_waits_for_a_client_that_has_gone_and_counts_once() {
    isolated(
        "ask::r23_allow_once_waits_for_a_client_that_has_gone_and_counts_once",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let words = "impatient wait wait wait wait wait wait wait wait patient patient";
            let began = Instant::now();
            let mut terminal = files.ask(collector.port, words);
            terminal.question();
            terminal.shows("impatient: WouldBlock");
            thread::sleep(Duration::from_secs(12).saturating_sub(began.elapsed()));
            terminal.keys("allow\n");
            terminal.shows_all(&["allowed once", "patient: answered"]);
            assert_eq!(collector.got(), [request()]);
            terminal.question();
            terminal.answer("\n");
            terminal.shows("patient: ConnectionReset");
            assert_eq!(terminal.end().0.code(), Some(1));
            assert_eq!(collector.got().len(), 1);
        },
    );
}

#[test]
fn nobody_answering_is_the_fallback() {
    isolated("ask::nobody_answering_is_the_fallback", || {
        let (collector, files) = (Collector::start(), Files::new());
        let policy = files
            .folder
            .file("p.toml", "[default]\nask_timeout = \"2s\"\n");
        let options = [&files.options()[..], &["--policy", &policy]].concat();
        let mut terminal =
            Terminal::start(&mut client(collector.port, "patient", &options), 100, None);
        terminal.shows("blocked in 2 s");
        terminal.shows("blocked in 1 s");
        terminal.shows_all(&["nobody answered: blocked", "patient: ConnectionReset"]);
        assert_eq!(terminal.end().0.code(), Some(1));
        assert!(collector.got().is_empty());
    });
}

#[test]
fn without_a_terminal_the_fallback_counts_at_once_and_that_is_said_once() {
    isolated(
        "ask::without_a_terminal_the_fallback_counts_at_once_and_that_is_said_once",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let mut command = Command::new("setsid");
            let client = client(collector.port, "patient patient", &files.options());
            command.arg("--wait").arg(UNTOLD).args(client.get_args());
            for (key, value) in client.get_envs() {
                value.map(|value| command.env(key, value));
            }
            let began = Instant::now();
            let ran = Ran::from(command.stdin(Stdio::null()).output().unwrap());
            assert!(began.elapsed() < Duration::from_secs(10));
            assert_eq!(ran.status, 1, "{ran:?}");
            assert_eq!(
                ran.stderr.matches("no terminal to ask on").count(),
                1,
                "{ran:?}"
            );
            assert_eq!(ran.stdout.matches("ConnectionReset").count(), 2, "{ran:?}");
            assert!(collector.got().is_empty());
        },
    );
}

#[test]
fn a_command_that_reads_the_terminal_waits_for_the_question_and_gets_its_own_keys() {
    isolated(
        "ask::a_command_that_reads_the_terminal_waits_for_the_question_and_gets_its_own_keys",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let exe = std::env::current_exe().unwrap();
            let script = format!(
                "{} --exact ask::script --nocapture & read line; echo \"the shell read $line\"; wait",
                exe.display()
            );
            let mut command = command();
            command
                .arg("run")
                .args(files.options())
                .args(["--", "sh", "-c", &script])
                .env(SCRIPT, format!("203.0.113.9:{} patient", collector.port));
            let mut terminal = Terminal::start(&mut command, 100, None);
            terminal.question();
            terminal.answer("allow\n");
            terminal.shows_all(&["allowed once", "patient: answered"]);
            terminal.keys("hello\n");
            terminal.shows("the shell read hello");
            assert_eq!(terminal.end().0.code(), Some(0));
        },
    );
}

#[test]
fn ctrl_c_at_a_question_blocks_and_reaches_the_command() {
    isolated(
        "ask::ctrl_c_at_a_question_blocks_and_reaches_the_command",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let exe = std::env::current_exe().unwrap();
            let script = format!(
                "trap 'echo interrupted; exit 33' INT; {} --exact ask::script --nocapture",
                exe.display()
            );
            let mut command = command();
            command
                .arg("run")
                .args(files.options())
                .args(["--", "sh", "-c", &script])
                .env(SCRIPT, format!("203.0.113.9:{} patient", collector.port));
            let mut terminal = Terminal::start(&mut command, 100, None);
            terminal.question();
            terminal.answer("\x03");
            terminal.shows_all(&["blocked once", "interrupted"]);
            assert_eq!(terminal.end().0.code(), Some(1));
            assert!(collector.got().is_empty());
        },
    );
}

#[test]
fn ctrl_c_without_a_question_reaches_the_command_alone() {
    isolated(
        "ask::ctrl_c_without_a_question_reaches_the_command_alone",
        || {
            let files = Files::new();
            let mut command = command();
            command.arg("run").args(files.options());
            command.args([
                "--",
                "sh",
                "-c",
                "trap 'exit 33' INT; echo ready; while :; do sleep 0.1; done",
            ]);
            let mut terminal = Terminal::start(&mut command, 100, None);
            terminal.shows("ready");
            thread::sleep(Duration::from_millis(200));
            terminal.keys("\x03");
            let (status, shown) = terminal.end();
            assert_eq!(status.code(), Some(33), "{shown}");
            assert!(shown.contains("0 flows"), "{shown}");
        },
    );
}

#[test]
fn a_command_that_ends_or_ignores_signals_ends_the_question_with_it() {
    isolated(
        "ask::a_command_that_ends_or_ignores_signals_ends_the_question_with_it",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let exe = std::env::current_exe().unwrap();
            let script = format!(
                "trap '' INT TERM TSTP HUP; {} --exact ask::script --nocapture & sleep 3; kill $!; exit 7",
                exe.display()
            );
            let mut command = command();
            command
                .arg("run")
                .args(files.options())
                .args(["--", "sh", "-c", &script])
                .env(SCRIPT, format!("203.0.113.9:{} patient", collector.port));
            let mut terminal = Terminal::start(&mut command, 100, None);
            terminal.question();
            terminal.shows("the command has ended");
            let (status, shown) = terminal.end();
            assert_eq!(status.code(), Some(1), "an identifier tried to go: {shown}");
            assert!(collector.got().is_empty());
        },
    );
}

#[test]
fn a_job_is_stopped_and_continued_from_the_shell() {
    isolated("ask::a_job_is_stopped_and_continued_from_the_shell", || {
        let (collector, files) = (Collector::start(), Files::new());
        let exe = std::env::current_exe().unwrap();
        let mut command = Command::new("bash");
        command
            .args(["--norc", "--noprofile", "-i"])
            .env("PS1", "PROMPT ")
            .env("TERM", "dumb")
            .env_remove("SUDO_UID")
            .env(
                SCRIPT,
                format!("203.0.113.9:{} enter patient enter", collector.port),
            );
        let mut terminal = Terminal::start(&mut command, 100, None);
        terminal.shows("PROMPT ");
        terminal.keys(&format!(
            "{UNTOLD} run {} -- {} --exact ask::script --nocapture\n",
            files.options().join(" "),
            exe.display()
        ));
        terminal.shows("running 1 test");
        terminal.keys("\x1a");
        terminal.shows("Stopped");
        terminal.shows("PROMPT ");
        terminal.keys("fg\n");
        terminal.shows("untold run");
        thread::sleep(Duration::from_millis(300));
        terminal.keys("one\n");
        terminal.shows("typed \"one\\n\"");
        terminal.question();
        terminal.answer("allow\n");
        terminal.shows("patient: answered");
        // In the background it stops for want of the terminal, and the shell is there again.
        terminal.keys("\x1a");
        terminal.shows("Stopped");
        terminal.shows("PROMPT ");
        terminal.keys("bg\n");
        terminal.shows("PROMPT ");
        terminal.keys("fg\n");
        thread::sleep(Duration::from_millis(500));
        terminal.keys("two\n");
        terminal.shows("typed \"two\\n\"");
        terminal.shows("PROMPT ");
        terminal.keys("echo status $?\n");
        terminal.shows("status 0");
        terminal.keys("exit\n");
        terminal.end();
    });
}

#[test]
fn questions_queue_and_lines_of_ours_do_not_run_into_them() {
    isolated(
        "ask::questions_queue_and_lines_of_ours_do_not_run_into_them",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let exe = std::env::current_exe().unwrap();
            let script = format!(
                "for address in 203.0.113.9 203.0.113.10; do {SCRIPT}=\"$address:{} patient\" {} --exact ask::script --nocapture & done; wait",
                collector.port,
                exe.display()
            );
            let mut command = command();
            command
                .arg("run")
                .args(files.options())
                .args(["--", "sh", "-c", &script])
                .env("TERM", "dumb");
            let mut terminal = Terminal::start(&mut command, 60, None);
            let first = terminal.question();
            thread::sleep(Duration::from_secs(1));
            terminal.answer("\n");
            let second = terminal.question();
            terminal.answer("\n");
            let (status, rest) = terminal.end();
            assert_eq!(status.code(), Some(1));
            for address in ["203.0.113.9", "203.0.113.10"] {
                assert!(
                    (first.clone() + &second).contains(&format!("to    {address}:")),
                    "{first}{second}"
                );
            }
            assert!(
                rest.contains("2 findings: 2 blocked"),
                "{first}{second}{rest}"
            );
        },
    );
}

/// A run without questions, whose stderr is read line by line.
struct Run {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Run {
    fn start(command: &mut Command) -> Run {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Run { child, lines }
    }

    /// The next line of stderr that holds `words`.
    fn says(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            let len = self.lines.read_line(&mut line).unwrap();
            assert!(len > 0, "never said {words:?}");
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Lets the command go on past `enter`.
    fn enter(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

const BLOCK: &str = "[[rule]]\nto = \"203.0.113.9\"\naction = \"block\"\n";

#[test]
fn a_policy_that_changes_counts_at_once_and_a_bad_one_leaves_the_last_in_force() {
    isolated(
        "ask::a_policy_that_changes_counts_at_once_and_a_bad_one_leaves_the_last_in_force",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let open = "[[rule]]\nsends = [\"*\"]\naction = \"allow\"\n";
            let policy = files.folder.file("p.toml", open);
            let answers = ["--answers", &files.answers, "--policy", &policy];
            let mut command = client(
                collector.port,
                "patient enter patient enter patient",
                &answers,
            );
            let mut run = Run::start(&mut command);
            thread::sleep(Duration::from_millis(500));
            // As editors do it.
            let fresh = files.folder.file("p.toml~", BLOCK);
            fs::rename(fresh, &policy).unwrap();
            run.says("in force");
            run.enter();
            run.says("rule.1");
            fs::write(&policy, "[[rule]]\naction = \"alow\"\n").unwrap();
            let line = run.says("p.toml:2:10: ");
            assert!(line.contains("the policy in force stays"), "{line}");
            run.enter();
            run.says("rule.1");
            assert!(run.child.wait().unwrap().success());
            let mut said = String::new();
            run.child
                .stdout
                .take()
                .unwrap()
                .read_to_string(&mut said)
                .unwrap();
            let results: Vec<&str> = said
                .lines()
                .filter(|line| line.starts_with("patient: "))
                .collect();
            assert_eq!(
                results,
                [
                    "patient: answered",
                    "patient: ConnectionRefused",
                    "patient: ConnectionRefused"
                ]
            );
        },
    );
}

#[test]
fn a_flow_in_progress_is_reset_by_a_policy_that_blocks_it() {
    isolated(
        "ask::a_flow_in_progress_is_reset_by_a_policy_that_blocks_it",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let policy = files.folder.file("p.toml", "# open\n");
            let mut command = command();
            command
                .args([
                    "run",
                    "--json",
                    "--answers",
                    &files.answers,
                    "--policy",
                    &policy,
                    "--",
                ])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "ask::holds_on", "--nocapture"])
                .env(SCRIPT, format!("203.0.113.9:{}", collector.port));
            let mut run = Run::start(&mut command);
            run.says("connected");
            fs::write(&policy, BLOCK).unwrap();
            run.says("ConnectionReset");
            assert!(run.child.wait().unwrap().success());
        },
    );
}

/// What a client does that keeps its connection.
#[test]
fn holds_on() {
    let Ok(to) = std::env::var(SCRIPT) else {
        return;
    };
    if to.contains(' ') {
        return;
    }
    let mut connection = TcpStream::connect(to).unwrap();
    println!("connected");
    connection
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let ended = connection.read(&mut [0]).map_err(|error| error.kind());
    println!("{ended:?}");
    let _ = connection.shutdown(Shutdown::Both);
}

#[test]
fn lists_and_identity_are_read_again_and_a_list_that_becomes_a_directory_is_not_believed() {
    isolated(
        "ask::lists_and_identity_are_read_again_and_a_list_that_becomes_a_directory_is_not_believed",
        || {
            let (collector, files) = (Collector::start(), Files::new());
            let list = files.folder.file("ads.txt", "ads.example\n");
            let identity = files.folder.file("own.toml", "# nothing yet\n");
            let policy = "[default]\nleak = \"block\"\nleak_shape = \"allow\"\n\
                          [[list]]\nname = \"ads\"\nsource = \"ads.txt\"\n";
            let policy = files.folder.file("p.toml", policy);
            let options = [
                "--answers",
                &files.answers,
                "--policy",
                &policy,
                "--identity",
                &identity,
            ];
            let mut run = Run::start(&mut client(
                collector.port,
                "patient enter patient",
                &options,
            ));
            thread::sleep(Duration::from_millis(500));
            fs::write(&identity, IDENTITY).unwrap();
            run.says("in force");
            fs::remove_file(&list).unwrap();
            fs::create_dir(&list).unwrap();
            let line = run.says("is a directory");
            assert!(line.contains("p.toml:6:10: "), "{line}");
            fs::remove_dir(&list).unwrap();
            fs::write(&list, "ads.example\n").unwrap();
            run.says("nothing has changed");
            run.enter();
            run.says("default.leak");
            assert_eq!(run.child.wait().unwrap().code(), Some(1));
            assert_eq!(collector.got().len(), 1);
        },
    );
}

#[test]
fn sighup_reads_again_and_is_not_the_commands() {
    isolated("ask::sighup_reads_again_and_is_not_the_commands", || {
        let files = Files::new();
        let policy = files.folder.file("p.toml", "# open\n");
        let script = "trap 'exit 9' HUP; grep '^SigBlk' /proc/self/status >&2; echo ready >&2; read line; exit 5";
        let mut command = command();
        command.args([
            "run",
            "--json",
            "--answers",
            &files.answers,
            "--policy",
            &policy,
            "--",
            "sh",
            "-c",
            script,
        ]);
        let mut run = Run::start(&mut command);
        let mask = run.says("SigBlk");
        assert!(mask.trim_end().ends_with("0000000000000000"), "{mask}");
        run.says("ready");
        let hang_up = |id: u32| {
            let kill = Command::new("kill")
                .args(["-s", "HUP", &id.to_string()])
                .status();
            assert!(kill.unwrap().success());
        };
        hang_up(run.child.id());
        run.says("nothing has changed");
        fs::remove_file(&policy).unwrap();
        run.says("p.toml: no such file");
        hang_up(run.child.id());
        run.says("p.toml: no such file");
        run.enter();
        assert_eq!(run.child.wait().unwrap().code(), Some(5));
        let mut events = String::new();
        run.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut events)
            .unwrap();
        assert_eq!(events.matches("\"event\":\"error\"").count(), 2, "{events}");
    });
}

#[test]
fn two_runs_at_once_keep_each_others_answers() {
    isolated("ask::two_runs_at_once_keep_each_others_answers", || {
        let (collector, files) = (Collector::start(), Files::new());
        let mut one = files.ask(collector.port, "patient");
        let mut other = files.ask(collector.port, "patient");
        for terminal in [&mut one, &mut other] {
            terminal.question();
        }
        thread::sleep(Duration::from_millis(500));
        one.keys("allow always\n");
        other.keys("allow always\n");
        for mut terminal in [one, other] {
            terminal.shows("patient: answered");
            assert_eq!(terminal.end().0.code(), Some(0));
        }
        let text = fs::read_to_string(&files.answers).unwrap();
        assert!(text.matches("[[rule]]").count() >= 1, "{text}");
    });
}
