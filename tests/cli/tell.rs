//! What the program says about a policy, an identity and itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::harness::{EMAIL, Folder, IDENTITY, untold};

const POLICY: &str = "[default]\nleak = \"block\"\n\n[[rule]]\nto = \"bank.example\"\nsends = [\"phone\"]\naction = \"allow\"\n\
    \n[[rule]]\nto = \"bücher.example\"\naction = \"block\"\n\n[[list]]\nname = \"ads\"\nsource = \"ads.txt\"\n";

fn policy(folder: &Folder) -> String {
    folder.file("ads.txt", "ads.example\n||no.example^\n");
    let path = folder.file("p.toml", POLICY);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path
}

#[test]
fn an_explanation_names_the_rule_its_place_and_a_remedy() {
    let folder = Folder::new();
    let path = policy(&folder);
    let ran = untold(&[
        "explain",
        "--policy",
        &path,
        "--to",
        "www.bank.example:8080",
        "--sends",
        "phone,imei",
        "--json",
    ]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let told = &ran.events()[0];
    assert_eq!(ran.events().len(), 1);
    let default = json!({"rule": "default.leak", "file": path, "line": 2, "verdict": "block", "text": "[default] leak = \"block\""});
    assert_eq!(told["deciding"], default);
    assert_eq!(
        (&told["to"], &told["port"], &told["verdict"]),
        (&json!("www.bank.example"), &json!(8080), &json!("block"))
    );
    assert_eq!(told["identifiers"][0]["rule"], "rule.1");
    assert_eq!(told["identifiers"][0]["line"], 4);
    assert_eq!(told["identifiers"][1]["rule"], "default.leak");
    let remedy = told["remedy"][0].as_str().unwrap();
    let mended = folder.file("q.toml", format!("{POLICY}{remedy}"));
    let again = untold(&[
        "explain",
        "--policy",
        &mended,
        "--to",
        "www.bank.example:8080",
        "--sends",
        "phone,imei",
        "--json",
    ]);
    assert_eq!(again.events()[0]["verdict"], "allow");
    assert_eq!(again.events()[0]["approved"], true);
}

#[test]
fn an_explanation_is_of_the_names_as_they_are_on_the_wire() {
    let folder = Folder::new();
    let path = policy(&folder);
    for (to, rule) in [
        ("WWW.Bücher.example.", "rule.2"),
        ("x.ads.example:443", "list.ads"),
        ("198.51.100.7", "default.connection"),
        ("[2001:db8::1]:443", "default.connection"),
    ] {
        let ran = untold(&["explain", "--policy", &path, "--to", to, "--json"]);
        assert_eq!(ran.events()[0]["deciding"]["rule"], rule, "{to}: {ran:?}");
    }
    let ran = untold(&["explain", "--to", "bank.example"]);
    assert_eq!(ran.status, 0);
    assert!(
        ran.stdout.contains("default.connection (built in)"),
        "{}",
        ran.stdout
    );
    assert!(
        !ran.stdout.contains('\x1b'),
        "no colour where it is no terminal"
    );
}

#[test]
fn a_claim_and_an_address_count_as_what_they_are() {
    let folder = Folder::new();
    let path = policy(&folder);
    let claim = [
        "explain",
        "--policy",
        &path,
        "--to",
        "203.0.113.9",
        "--claim",
        "bank.example",
        "--sends",
        "phone",
        "--json",
    ];
    let told = &untold(&claim).events()[0];
    assert_eq!(
        (&told["verdict"], &told["deciding"]["rule"]),
        (&json!("block"), &json!("default.leak"))
    );
    assert!(
        told["changes"][1].as_str().unwrap().contains("claim"),
        "{told}"
    );
    let given = [
        "explain",
        "--policy",
        &path,
        "--to",
        "bank.example",
        "--address",
        "203.0.113.9",
        "--sends",
        "phone",
        "--json",
    ];
    let told = &untold(&given).events()[0];
    assert_eq!(
        (&told["verdict"], &told["address"]),
        (&json!("allow"), &json!("203.0.113.9"))
    );
}

#[test]
fn an_answer_is_explained_with_its_own_file_and_line() {
    let folder = Folder::new();
    let path = policy(&folder);
    let text = "# asked on a day\n[[rule]]\nto = \"=bank.example\"\nsends = [\"imei\"]\naction = \"allow\"\n";
    let answers = folder.file("answers.toml", text);
    let args = [
        "explain",
        "--policy",
        &path,
        "--answers",
        &answers,
        "--to",
        "bank.example",
        "--sends",
        "imei",
        "--json",
    ];
    let deciding = &untold(&args).events()[0]["deciding"];
    assert_eq!(
        (&deciding["rule"], &deciding["verdict"]),
        (&json!("answer.1"), &json!("allow"))
    );
    assert_eq!(
        (&deciding["file"], &deciding["line"]),
        (&json!(answers), &json!(2))
    );
}

#[test]
fn what_cannot_be_explained_is_bad_input() {
    let folder = Folder::new();
    let broken = folder.file("b.toml", "[default]\nleek = 1\n");
    for (args, needle) in [
        (vec!["explain"], "--to"),
        (vec!["explain", "--to", "a..example"], "empty"),
        (
            vec!["explain", "--to", "a.example", "--claim", "b c"],
            "cannot stand",
        ),
        (
            vec!["explain", "--to", "192.0.2.1", "--address", "192.0.2.2"],
            "--address",
        ),
        (
            vec!["explain", "--to", "a.example", "--sends", "imie"],
            "kinds are",
        ),
        (
            vec!["explain", "--to", "a.example", "--policy", "/nowhere.toml"],
            "no such file",
        ),
        (
            vec!["explain", "--to", "a.example", "--policy", &broken],
            "b.toml:2:1",
        ),
        (vec!["man", "nothing"], "no command"),
    ] {
        let ran = untold(&args);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{args:?}");
        assert!(
            ran.stderr.contains(needle) && ran.stderr.lines().count() == 1,
            "{args:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_policy_is_summed_up_and_every_fault_is_told() {
    let folder = Folder::new();
    let path = policy(&folder);
    let ran = untold(&["policy", "check", &path, "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let told = &ran.events()[0];
    assert_eq!(
        told["identifier_rules"],
        json!({"allow": 1, "ask": 0, "block": 0})
    );
    assert_eq!(told["lists"][0]["names"], 1);
    assert_eq!(told["lists"][0]["first_rejected"][0]["line"], 2);
    assert_eq!(told["warnings"], json!([]));

    let odd = folder.file("odd.toml", "[[rule]]\nto = \"co.uk\"\naction = \"allow\"\n[[rule]]\napp = \"com.example.game\"\naction = \"block\"\n");
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o666)).unwrap();
    let ran = untold(&["policy", "check", &odd]);
    assert_eq!(ran.status, 0);
    for needle in [
        "odd.toml:1: rule.1",
        "\"co.uk\"",
        "odd.toml:4: rule.2",
        "Android",
        "chmod 644",
    ] {
        assert!(ran.stdout.contains(needle), "{needle}: {}", ran.stdout);
    }
    // Not every name with dots is a public suffix, and not every single label.
    for fine in ["example.co.uk", "router", "bank.example"] {
        let path = folder.file(
            "fine.toml",
            format!("[[rule]]\nto = \"{fine}\"\naction = \"allow\"\n"),
        );
        let ran = untold(&["policy", "check", &path, "--json"]);
        assert!(!ran.stdout.contains("suffix"), "{}", ran.stdout);
    }

    let broken = folder.file("b.toml", "[default]\nleek = 1\n[[rule]]\naction = \"blok\"\n[[rule]]\nto = \"a..b\"\naction = \"allow\"\n");
    let ran = untold(&["policy", "check", &broken]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    let places: Vec<&str> = ran
        .stderr
        .lines()
        .filter_map(|line| line.split("b.toml:").nth(1)?.split(": ").next())
        .collect();
    assert_eq!(places, ["2:1", "4:10", "6:6"], "{}", ran.stderr);
}

#[test]
fn an_identity_is_checked_without_a_value_showing() {
    let folder = Folder::new();
    let text = format!(
        "{IDENTITY}serial = \"490154203237518\"\nssid = \"home\"\ncell_id = 12345\nlocation = {{ latitude = 59.91, longitude = 10.75 }}\n"
    );
    let path = folder.file("i.toml", text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    for args in [
        vec!["identity", "check", &path],
        vec!["identity", "check", &path, "--json"],
    ] {
        let ran = untold(&args);
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.assert_tells_nothing();
        for needle in [
            "serial …7518 is the same value as imei …7518",
            "ssid has under 8 characters",
            "cell_id has under 8 characters",
            "mode 0640",
            "chmod 600",
        ] {
            assert!(ran.stdout.contains(needle), "{needle}: {}", ran.stdout);
        }
    }
    let ran = untold(&["identity", "check", &path, "--json"]);
    let told = &ran.events()[0];
    let found = |kind: &str| {
        let values = told["values"].as_array().unwrap();
        values.iter().find(|value| value["kind"] == kind).unwrap()["found"].clone()
    };
    assert_eq!(
        [
            found("imei"),
            found("ssid"),
            found("cell_id"),
            found("location")
        ],
        [
            json!("exactly"),
            json!("beside_name"),
            json!("in_part"),
            json!("near")
        ]
    );

    let broken = folder.file(
        "b.toml",
        format!("imei = \"490154203237519\"\nemial = \"{EMAIL}\"\n"),
    );
    let ran = untold(&["identity", "check", &broken]);
    assert_eq!(
        (ran.status, ran.stdout.as_str(), ran.stderr.lines().count()),
        (2, "", 2),
        "{ran:?}"
    );
    ran.assert_tells_nothing();
}

#[test]
fn shells_take_the_completions_and_know_no_hidden_command() {
    for (shell, check) in [("bash", Some("bash")), ("zsh", None), ("fish", None)] {
        let ran = untold(&["completions", shell]);
        assert_eq!(ran.status, 0);
        for word in ["explain", "identity", "--policy"] {
            assert!(
                ran.stdout.contains(word.trim_start_matches('-')),
                "{shell}: {word}"
            );
        }
        assert!(!ran.stdout.contains("demo-client"), "{shell}");
        let Some(program) = check else { continue };
        let folder = Folder::new();
        let path = folder.file("completions", &ran.stdout);
        let script = format!(
            "source {path}; COMP_WORDS=(untold expl); COMP_CWORD=1; _untold untold expl untold; echo ${{COMPREPLY[0]}}"
        );
        let said = Command::new(program)
            .args(["-c", &script])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&said.stdout),
            "explain\n",
            "{said:?}"
        );
    }
}

#[test]
fn there_is_a_manual_page_of_every_command() {
    let whole = untold(&["man"]).stdout;
    assert!(whole.contains(".TH untold 1"), "{whole}");
    for (command, name) in [
        (vec!["run"], "untold\\-run"),
        (vec!["policy", "check"], "untold\\-policy\\-check"),
        (vec!["explain"], "untold\\-explain"),
    ] {
        let ran = untold(&[vec!["man"], command].concat());
        assert_eq!(ran.status, 0);
        assert!(ran.stdout.contains(name), "{}", ran.stdout);
    }
    assert!(
        !whole.contains("demo\\-client") && whole.contains("Exit status"),
        "{whole}"
    );
}

const PROXIED: &str = "[[proxy]]\nname = \"office\"\ntype = \"http\"\naddress = \"192.0.2.1:3128\"\nuser = \"ada\"\npassword_file = \"office.pass\"\n\
    [[rule]]\nto = \"bank.example\"\nvia = \"office\"\naction = \"allow\"\n\
    [[rule]]\nto = \"shop.example\"\nproto = \"udp\"\nvia = \"office\"\naction = \"allow\"\n";

#[test]
fn the_way_of_a_connection_is_told_and_the_password_is_not() {
    let folder = Folder::new();
    folder.file("office.pass", "hunter2\n");
    let path = folder.file("p.toml", PROXIED);
    let explain = |to: &str, more: &[&str]| {
        let words = [&["explain", "--policy", &path, "--to", to], more].concat();
        let ran = untold(&words);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        ran
    };
    let told = explain("bank.example", &["--json"]).events();
    assert_eq!(told[0]["via"], "office");
    assert_eq!(
        explain("other.example", &["--json"]).events()[0]["via"],
        Value::Null
    );
    let page = explain("bank.example", &[]).stdout;
    assert!(
        page.contains("through the proxy office (http at 192.0.2.1:3128), or nowhere"),
        "{page}"
    );
    let beside = "the question for the name goes to the network's resolvers";
    assert!(page.contains(beside), "{page}");
    let page = explain("203.0.113.9", &[]).stdout;
    assert!(!page.contains(beside), "{page}");
    let page = explain("shop.example", &["--proto", "udp"]).stdout;
    assert!(page.contains("nowhere: the proxy office"), "{page}");
    let checked = untold(&["policy", "check", &path, "--json"]);
    let expected = json!([{"name": "office", "type": "http", "address": "192.0.2.1:3128", "login": true, "rules": 2}]);
    assert_eq!(checked.events()[0]["proxies"], expected);
    let warnings = checked.events()[0]["warnings"].to_string();
    assert!(
        warnings.contains("rule.2 lets nothing through"),
        "{warnings}"
    );
    let page = untold(&["policy", "check", &path]).stdout;
    assert!(
        page.contains("office: http at 192.0.2.1:3128, with a login, 2 rules"),
        "{page}"
    );
    assert!(!page.contains("hunter2") && !checked.stdout.contains("hunter2"));
}

#[test]
fn a_password_that_cannot_be_read_is_bad_input_at_its_place() {
    let folder = Folder::new();
    let path = folder.file("p.toml", PROXIED);
    let ran = untold(&["explain", "--policy", &path, "--to", "bank.example"]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("p.toml:6:17: no such file"),
        "{}",
        ran.stderr
    );
}
