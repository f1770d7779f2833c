//! A policy, looked over.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::Serialize;
use untold::{
    event::Action,
    policy::{Config, Surroundings},
};

use super::{Warning, many, mode, object, refuse, tell, text, verdict};
use crate::{
    args,
    failure::Failure,
    load,
    page::{Page, STEP},
    paint::Look,
    print::word,
};

/// `untold policy check`.
pub fn policy(args: &args::Check) -> Result<u8, Failure> {
    let name = args.file.display().to_string();
    refuse(Config::faults(&name, &text(&args.file)?))?;
    let rules = load::rules(&args::Rules {
        policy: Some(args.file.clone()),
        hash_key: Some([0; 32]),
        ..args::Rules::default()
    })?;
    let policy = &rules.policy;
    let outline = policy.outline();
    let mut warnings: Vec<Warning> = policy
        .check(&Surroundings {
            is_public_suffix: &is_public_suffix,
            no_such_app: &no_such_app,
        })
        .into_iter()
        .map(|warning| Warning {
            line: warning.place.line,
            file: warning.place.file.to_string(),
            text: warning.text,
        })
        .collect();
    warnings.extend(mode(&args.file, false));
    let lists: Vec<List> = policy
        .list_reports()
        .map(|(list, report)| List {
            list: list.to_string(),
            names: report.taken,
            rejected: report.rejected,
            first_rejected: report
                .first_rejected
                .iter()
                .map(|line| Rejected {
                    line: line.line,
                    reason: line.reason.clone(),
                })
                .collect(),
        })
        .collect();
    let proxies: Vec<Proxy> = policy
        .proxies()
        .map(|(proxy, rules)| Proxy {
            name: proxy.name.to_string(),
            protocol: proxy.protocol.to_string(),
            address: proxy.address,
            login: proxy.login.is_some(),
            rules,
        })
        .collect();
    if args.json {
        return object(&Policy {
            file: &name,
            connection_rules: Actions::new(outline.connections),
            identifier_rules: Actions::new(outline.identifiers),
            default: outline.defaults.into_iter().collect(),
            lists: &lists,
            proxies: &proxies,
            warnings: &warnings,
        });
    }
    let mut page = Page::new();
    page.words(0, Look::Bold, &format!("{name}: {}", verdict(&warnings)));
    page.heading("rules");
    let connections = ["on connections".into(), counted(outline.connections)];
    let identifiers = ["on identifiers".into(), counted(outline.identifiers)];
    page.table([Look::Plain; 2], &[connections, identifiers]);
    page.heading("otherwise");
    let defaults = outline.defaults.map(|(key, action)| {
        let more = match action {
            Action::Ask => {
                let timeout = policy.ask_timeout().as_secs_f64();
                format!(
                    "ask, and {} after {timeout} s",
                    word(&policy.ask_fallback())
                )
            }
            Action::Allow | Action::Block => word(&action),
        };
        [key.to_owned(), more]
    });
    page.table([Look::Plain; 2], &defaults);
    if !proxies.is_empty() {
        page.heading("proxies");
    }
    for proxy in &proxies {
        let login = if proxy.login { ", with a login" } else { "" };
        let rules = match proxy.rules {
            0 => "no rule leads there".into(),
            rules => many(rules, "rule"),
        };
        let Proxy {
            name,
            protocol,
            address,
            ..
        } = proxy;
        page.words(
            STEP,
            Look::Plain,
            &format!("{name}: {protocol} at {address}{login}, {rules}"),
        );
    }
    if !lists.is_empty() {
        page.heading("lists");
    }
    for list in &lists {
        let mut line = format!("{}: {}", list.list, many(list.names, "name"));
        if list.rejected > 0 {
            line += &format!(", {} that cannot be used", many(list.rejected, "line"));
        }
        page.words(STEP, Look::Plain, &line);
        for Rejected { line, reason } in &list.first_rejected {
            page.words(2 * STEP, Look::Dim, &format!("line {line}: {reason}"));
        }
        let more = list.rejected - list.first_rejected.len();
        if more > 0 {
            page.words(2 * STEP, Look::Dim, &format!("and {} more", more));
        }
    }
    tell(&mut page, &warnings);
    page.write();
    Ok(0)
}

fn is_public_suffix(name: &str) -> bool {
    let suffix = psl::suffix(name.as_bytes());
    suffix.is_some_and(|suffix| suffix.is_known() && suffix == name)
}

/// On Linux an app is the name or the path of its executable, or a user.
fn no_such_app(app: &str) -> Option<String> {
    if app == "system" {
        return Some(
            "only Android has system apps; on Linux use the executable's name or uid:0".into(),
        );
    }
    let parts = app.split('.');
    let package = parts.clone().count() >= 3
        && parts.clone().all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
    package.then(|| {
        format!("{app:?} looks like an Android package; on Linux use the executable's name or path")
    })
}

fn counted([allow, ask, block]: [usize; 3]) -> String {
    let parts: Vec<String> = [(allow, "allow"), (ask, "ask"), (block, "block")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, action)| format!("{count} {action}"))
        .collect();
    match parts.is_empty() {
        true => "none".into(),
        false => parts.join(", "),
    }
}

#[derive(Serialize)]
struct Policy<'a> {
    file: &'a str,
    connection_rules: Actions,
    identifier_rules: Actions,
    default: BTreeMap<&'static str, Action>,
    lists: &'a [List],
    proxies: &'a [Proxy],
    warnings: &'a [Warning],
}

#[derive(Serialize)]
struct Actions {
    allow: usize,
    ask: usize,
    block: usize,
}

impl Actions {
    fn new([allow, ask, block]: [usize; 3]) -> Actions {
        Actions { allow, ask, block }
    }
}

#[derive(Serialize)]
struct List {
    list: String,
    names: usize,
    rejected: usize,
    first_rejected: Vec<Rejected>,
}

#[derive(Serialize)]
struct Proxy {
    name: String,
    #[serde(rename = "type")]
    protocol: String,
    address: SocketAddr,
    login: bool,
    /// Rules that lead through it.
    rules: usize,
}

#[derive(Serialize)]
struct Rejected {
    line: usize,
    reason: String,
}
