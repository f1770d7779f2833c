//! Which rule decides, and what would change that.

use std::{
    io::Write,
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use untold::{
    egress::Proxy,
    event::{Action, Kind, NameSource, Proto},
    policy::{Explanation, Facts, Policy, Reason, wire_name},
};

use crate::{
    answers, args,
    failure::Failure,
    load,
    page::{Cells, Page, STEP},
    paint::Look,
    print::{destination, word},
};

/// `untold explain`.
pub fn explain(args: &args::Explain) -> Result<u8, Failure> {
    let facts = facts(args)?;
    let rules = load::rules(&args::Rules {
        policy: args.policy.clone(),
        answers: args.answers.clone().or_else(answers::usual_place),
        hash_key: Some([0; 32]),
        ..args::Rules::default()
    })?;
    let told = rules.policy.explain(&facts, &args.sends);
    if args.json {
        let line = serde_json::to_string(&Told::new(&facts, &args.sends, &told));
        let line = line.expect("names and numbers only");
        // A closed stdout is nobody's loss.
        let _ = writeln!(std::io::stdout(), "{line}");
    } else {
        let mut page = Page::new();
        lay_out(&mut page, &rules.policy, &facts, &args.sends, &told);
        page.write();
    }
    Ok(0)
}

/// The flow that is asked about.
fn facts(args: &args::Explain) -> Result<Facts, Failure> {
    let name = |text: &str| -> Result<Arc<str>, Failure> {
        let name = wire_name(text);
        Ok(name
            .map_err(|fault| Failure::Input(format!("{text:?}: {fault}")))?
            .into())
    };
    let mut names = Vec::new();
    if let Some(given) = &args.to.name {
        names.push((name(given)?, NameSource::Dns));
    }
    if let Some(claim) = &args.claim {
        names.push((name(claim)?, NameSource::Http));
    }
    let dst = match (args.address, &args.to.name) {
        (Some(ip), Some(_)) => SocketAddr::new(ip, args.to.address.port()),
        (None, _) => args.to.address,
        (Some(_), None) => {
            return Err(Failure::Input(
                "--address is of a name, and --to is an address itself".into(),
            ));
        }
    };
    let proto = match args.proto.as_str() {
        "udp" => Proto::Udp,
        "icmp" => Proto::Icmp,
        _ => Proto::Tcp,
    };
    let dst = match proto {
        Proto::Icmp => SocketAddr::new(dst.ip(), 0),
        Proto::Tcp | Proto::Udp => dst,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(Facts {
        app: args.app.iter().map(|app| app.as_str().into()).collect(),
        dst,
        proto,
        names,
        wall: now.map_or(0, |since| since.as_secs()),
    })
}

fn lay_out(page: &mut Page, policy: &Policy, facts: &Facts, sends: &[Kind], told: &Explanation) {
    page.cells(0, &headline(policy, facts, sends, told));

    page.heading("decided by");
    reasons(page, std::slice::from_ref(&told.deciding));
    if let Some(via) = &told.via {
        page.heading("goes");
        page.words(STEP, Look::Plain, &way(via, facts.proto));
        if !facts.names.is_empty() {
            page.words(STEP, Look::Plain, BESIDE_THE_PROXY);
        }
    }
    if told.identifiers.len() > 1 {
        page.heading("each identifier");
        let rows: Vec<[String; 4]> = told
            .identifiers
            .iter()
            .map(|(kind, reason)| {
                [
                    kind.to_string(),
                    word(&reason.action),
                    reason.rule.to_string(),
                    reason.place.to_string(),
                ]
            })
            .collect();
        page.table([Look::Bold, Look::Plain, Look::Plain, Look::Dim], &rows);
    }
    if !told.runners_up.is_empty() {
        page.heading("also matching");
        reasons(page, &told.runners_up);
    }
    page.heading("what would change it");
    let (itself, others) = told.changes.split_at(told.changes.len().min(1));
    for change in itself {
        page.words(STEP, Look::Plain, change);
    }
    if !told.remedy.is_empty() {
        let these = match told.remedy.len() {
            1 => "this rule in the policy:",
            _ => "these rules in the policy:",
        };
        page.words(STEP, Look::Plain, these);
    }
    for line in told.remedy.iter().flat_map(|rule| rule.lines()) {
        page.line(2 * STEP, Look::Cyan, line);
    }
    for change in others {
        page.words(STEP, Look::Plain, change);
    }
}

const BESIDE_THE_PROXY: &str = "the question for the name goes to the network's resolvers, not through the proxy: \
    whoever reads it learns the name";

fn way(via: &Proxy, proto: Proto) -> String {
    let carried = match proto {
        Proto::Tcp => true,
        Proto::Udp => via.carries_datagrams(),
        Proto::Icmp => false,
    };
    match carried {
        true => format!("through the proxy {via:?}, or nowhere"),
        false => format!("nowhere: the proxy {via:?} carries no such packets"),
    }
}

fn headline(policy: &Policy, facts: &Facts, sends: &[Kind], told: &Explanation) -> Cells {
    let (look, verdict) = match told.verdict.action {
        Action::Allow if told.verdict.approved => (Look::Green, "allow, approved:".to_owned()),
        Action::Allow if told.identifiers.is_empty() => (Look::Green, "allow:".to_owned()),
        Action::Allow => (
            Look::Yellow,
            "allow, though nothing approves it:".to_owned(),
        ),
        Action::Block => (Look::Red, "block:".to_owned()),
        Action::Ask => {
            let timeout = policy.ask_timeout().as_secs_f64();
            let fallback = word(&policy.ask_fallback());
            let text = format!("ask, and {fallback} where nobody answers within {timeout} s:");
            (Look::Yellow, text)
        }
    };
    let given = facts
        .names
        .iter()
        .find(|(_, from)| *from == NameSource::Dns);
    let name = given.map(|(name, _)| &**name);
    let app = match facts.app.as_slice() {
        [] => String::new(),
        names => format!("{}, ", names.join(" or ")),
    };
    let mut cells = Cells::default();
    cells.put(look, &verdict);
    let proto = word(&facts.proto);
    cells.put(
        Look::Plain,
        &format!("{app}{proto} → {}", destination(name, facts.dst)),
    );
    if let Some((claim, _)) = facts
        .names
        .iter()
        .find(|(_, from)| *from != NameSource::Dns)
    {
        cells.put(Look::Plain, &format!("that calls itself {claim}"));
    }
    if !sends.is_empty() {
        let kinds: Vec<String> = sends.iter().map(ToString::to_string).collect();
        cells.put(Look::Plain, &format!("sending {}", kinds.join(", ")));
    }
    cells
}

fn reasons(page: &mut Page, reasons: &[Reason]) {
    for reason in reasons {
        let look = match reason.action {
            Action::Allow => Look::Green,
            Action::Ask => Look::Yellow,
            Action::Block => Look::Red,
        };
        let mut cells = Cells::default();
        cells.put(look, &format!("{:<5}", word(&reason.action)));
        cells.put(Look::Bold, &reason.rule);
        cells.put(Look::Dim, &format!("({})", reason.place));
        page.cells(STEP, &cells);
        page.words(2 * STEP, Look::Plain, &reason.text);
        if !reason.lost.is_empty() {
            page.words(2 * STEP, Look::Dim, &format!("but {}", reason.lost));
        }
    }
}

/// An explanation for programs.
#[derive(Serialize)]
struct Told<'a> {
    to: Option<&'a str>,
    address: Option<String>,
    port: u16,
    proto: Proto,
    app: &'a [Arc<str>],
    sends: &'a [Kind],
    verdict: Action,
    approved: bool,
    via: Option<&'a str>,
    deciding: Row<'a>,
    identifiers: Vec<Identifier<'a>>,
    runners_up: Vec<Row<'a>>,
    remedy: &'a [String],
    changes: &'a [String],
}

#[derive(Serialize)]
struct Identifier<'a> {
    kind: &'a Kind,
    #[serde(flatten)]
    row: Row<'a>,
}

#[derive(Serialize)]
struct Row<'a> {
    rule: &'a str,
    /// None for what is built in.
    file: Option<&'a str>,
    line: Option<u32>,
    verdict: Action,
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    lost: &'a str,
}

impl<'a> Told<'a> {
    fn new(facts: &'a Facts, sends: &'a [Kind], told: &'a Explanation) -> Told<'a> {
        let given = facts
            .names
            .iter()
            .find(|(_, from)| *from == NameSource::Dns);
        let ip = facts.dst.ip();
        Told {
            to: given.map(|(name, _)| &**name),
            address: (!ip.is_unspecified()).then(|| ip.to_string()),
            port: facts.dst.port(),
            proto: facts.proto,
            app: &facts.app,
            sends,
            verdict: told.verdict.action,
            approved: told.verdict.approved,
            via: told.via.as_ref().map(|proxy| &*proxy.name),
            deciding: Row::new(&told.deciding),
            identifiers: told
                .identifiers
                .iter()
                .map(|(kind, reason)| Identifier {
                    kind,
                    row: Row::new(reason),
                })
                .collect(),
            runners_up: told.runners_up.iter().map(Row::new).collect(),
            remedy: &told.remedy,
            changes: &told.changes,
        }
    }
}

impl<'a> Row<'a> {
    fn new(reason: &'a Reason) -> Row<'a> {
        Row {
            rule: &reason.rule,
            file: reason.place.line.map(|_| &*reason.place.file),
            line: reason.place.line,
            verdict: reason.action,
            text: &reason.text,
            lost: &reason.lost,
        }
    }
}
