//! Questions to a person, and owners: who waits, for how long, and what an answer reaches. Fake clock.

mod phone;

use std::{sync::Arc, time::Duration};

use phone::*;
use untold::{
    engine::{Answer, Command, OwnerId, SocketEvent, SocketId},
    event::{Action, AnsweredBy, Event, FindingEvent, QuestionNumber, Scope},
    wire::Flags,
};

const ALLOW_ONCE: Answer = Answer {
    action: Action::Allow,
    scope: Scope::Once,
};
const BLOCK_ONCE: Answer = Answer {
    action: Action::Block,
    scope: Scope::Once,
};

fn post() -> Vec<u8> {
    let body = format!("{{\"IMEI1\":\"{IMEI}\"}}");
    format!(
        "POST / HTTP/1.1\r\nHost: collector.example\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn app(port: u16) -> String {
    format!("198.18.0.2:{port}")
}

impl Phone {
    fn answer_owners(&mut self, owner: &[&str]) -> usize {
        let asked: Vec<OwnerId> = self
            .commands
            .iter()
            .filter_map(|command| match command {
                Command::FindOwner { flow, .. } => Some(*flow),
                _ => None,
            })
            .collect();
        self.commands
            .retain(|command| !matches!(command, Command::FindOwner { .. }));
        let owner: Vec<Arc<str>> = owner.iter().map(|name| (*name).into()).collect();
        for flow in &asked {
            self.engine.handle_owner(*flow, owner.clone(), self.clock());
            self.drain();
        }
        asked.len()
    }

    /// A connection from `port` that stands, and the post on it.
    fn posts(&mut self, port: u16) -> (SocketId, u32) {
        let app = app(port);
        self.segments();
        self.tcp_from(&app, ISS, 0, SYN, 5_000, b"");
        self.answer_owners(&["browser"]);
        let (socket, _) = *self.connected_to().last().expect("no connect");
        self.socket(socket, SocketEvent::Connected);
        let iss = self.only_segment().seq;
        self.tcp_from(&app, ISS + 1, iss.wrapping_add(1), ACK, 5_000, &post());
        (socket, iss)
    }

    fn questions(&self) -> Vec<QuestionNumber> {
        let asked = self.events.iter().filter_map(|event| match event {
            Event::Ask(ask) => Some(ask.question),
            _ => None,
        });
        asked.collect()
    }

    fn answer(&mut self, question: QuestionNumber, answer: Answer) {
        self.engine.answer(question, answer, self.clock());
        self.drain();
    }

    fn findings(&self) -> Vec<&FindingEvent> {
        let found = self.events.iter().filter_map(|event| match event {
            Event::Finding(found) => Some(found),
            _ => None,
        });
        found.collect()
    }

    fn was_reset(&mut self) -> bool {
        self.segments()
            .iter()
            .any(|(segment, _)| segment.flags.contains(RST))
    }
}

#[test]
fn asks_before_the_first_byte_of_an_imei_leaves_and_sends_all_once_allowed() {
    let mut phone = Phone::asking("");
    phone.posts(40_000);
    assert_eq!(
        phone.remote_takes(usize::MAX),
        b"",
        "not one byte before the answer"
    );
    let [Event::Ask(ask)] = &phone.events[..] else {
        panic!("{:?}", phone.events)
    };
    assert_eq!(
        (ask.app.as_deref(), ask.name.as_deref()),
        (Some("browser"), Some("collector.example"))
    );
    assert_eq!(
        (ask.findings.len(), ask.findings[0].last4.as_deref()),
        (1, Some("7518"))
    );
    assert_eq!(
        (ask.timeout, ask.fallback, &*ask.rule),
        (30.0, Action::Block, "default.leak")
    );
    phone.answer(1, ALLOW_ONCE);
    assert_eq!(phone.remote_takes(usize::MAX), post());
    let found = phone.findings();
    assert_eq!(
        (
            found.len(),
            found[0].verdict,
            &*found[0].rule,
            found[0].approved
        ),
        (1, Action::Allow, "answer", true)
    );
}

#[test]
fn what_comes_while_a_question_is_open_waits_behind_it() {
    let mut phone = Phone::asking("");
    let (_, iss) = phone.posts(40_000);
    let next = ISS + 1 + post().len() as u32;
    phone.tcp(
        next,
        iss.wrapping_add(1),
        ACK,
        5_000,
        b"GET /next HTTP/1.1\r\nHost: collector.example\r\n\r\n",
    );
    assert_eq!(phone.remote_takes(usize::MAX), b"");
    phone.answer(1, ALLOW_ONCE);
    let sent = phone.remote_takes(usize::MAX);
    assert!(
        sent.starts_with(&post())
            && sent.ends_with(b"GET /next HTTP/1.1\r\nHost: collector.example\r\n\r\n")
    );
}

#[test]
fn a_refusal_resets_the_app_and_sends_nothing() {
    let mut phone = Phone::asking("");
    let (socket, _) = phone.posts(40_000);
    phone.answer(1, BLOCK_ONCE);
    assert_eq!(phone.remote_takes(usize::MAX), b"");
    assert!(phone.was_reset());
    assert!(phone.commands.contains(&Command::Close {
        socket,
        reset: true
    }));
    let found = phone.findings();
    assert_eq!(
        (found.len(), found[0].verdict, found[0].approved),
        (1, Action::Block, false)
    );
}

/// Anchor R23: held flows hold nobody else, a timeout gives the configured verdict, held bytes are bounded.
#[test]
fn r23_held_flows_leave_others_alone_and_end_by_the_fallback() {
    for (fallback, passes) in [("block", false), ("allow", true)] {
        let policy = format!("[default]\nask_timeout = \"10s\"\nask_fallback = \"{fallback}\"\n");
        let mut phone = Phone::asking(&policy);
        for port in 0..50 {
            phone.posts(41_000 + port);
        }
        assert_eq!(phone.questions(), [1], "the same question is put once");
        assert_eq!(phone.remote_takes(usize::MAX), b"");

        let app = app(42_000);
        phone.segments();
        phone.tcp_from(&app, ISS, 0, SYN, 5_000, b"");
        phone.answer_owners(&["mail"]);
        let (socket, _) = *phone.connected_to().last().unwrap();
        phone.socket(socket, SocketEvent::Connected);
        let iss = phone.only_segment().seq.wrapping_add(1);
        phone.tcp_from(
            &app,
            ISS + 1,
            iss,
            ACK,
            5_000,
            b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n",
        );
        assert_eq!(
            phone.remote_takes(usize::MAX),
            b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"
        );

        phone.wait(Duration::from_millis(9_900));
        assert_eq!(phone.remote_takes(usize::MAX), b"");
        phone.wait(Duration::from_millis(200));
        let sent = phone.remote_takes(usize::MAX);
        assert_eq!(
            sent,
            if passes {
                post().repeat(50)
            } else {
                Vec::new()
            }
        );
        let answer = phone.events.iter().find_map(|event| match event {
            Event::Answer(answer) => Some((answer.verdict, answer.by)),
            _ => None,
        });
        let verdict = if passes { Action::Allow } else { Action::Block };
        assert_eq!(answer, Some((verdict, AnsweredBy::Timeout)));
        let found = phone.findings();
        assert_eq!(found.len(), 50);
        assert!(
            found
                .iter()
                .all(|found| found.verdict == verdict && !found.approved)
        );
        assert_eq!(phone.was_reset(), !passes);
    }
}

#[test]
fn r23_a_flow_that_waits_is_told_to_stop_sending() {
    let mut phone = Phone::asking("");
    let (_, iss) = phone.posts(40_000);
    let mut seq = ISS + 1 + post().len() as u32;
    let edge = |phone: &mut Phone| {
        let segments = phone.segments();
        segments
            .last()
            .map(|(segment, _)| segment.ack.wrapping_add(u32::from(segment.window)))
    };
    let mut right = edge(&mut phone).unwrap();
    let began = seq;
    while seq < right {
        let len = (right - seq).min(1_000);
        phone.tcp(
            seq,
            iss.wrapping_add(1),
            ACK,
            5_000,
            &vec![b'x'; len as usize],
        );
        seq += len;
        let next = edge(&mut phone).unwrap();
        assert!(
            next >= right.min(next) && next - began <= 100_000,
            "the window grows while a question is open"
        );
        right = right.max(next);
    }
    assert!(seq - began < 100_000);
}

#[test]
fn allowed_once_reaches_the_next_try_of_a_client_that_gave_up() {
    let mut phone = Phone::asking("");
    let (_, iss) = phone.posts(40_000);
    phone.wait(Duration::from_secs(5));
    let end = ISS + 1 + post().len() as u32;
    phone.tcp(end, iss.wrapping_add(1), FIN, 5_000, b"");
    phone.segments();
    phone.wait(Duration::from_secs(7));
    phone.answer(1, ALLOW_ONCE);
    assert_eq!(
        phone.remote_takes(usize::MAX),
        b"",
        "nobody waits for it any more"
    );
    phone.segments();

    phone.wait(Duration::from_secs(60));
    phone.posts(40_001);
    assert_eq!(
        phone.remote_takes(usize::MAX),
        post(),
        "the next try passes"
    );
    assert_eq!(phone.questions(), [1]);
    phone.segments();
    phone.posts(40_002);
    assert_eq!(phone.remote_takes(usize::MAX), b"");
    assert_eq!(phone.questions(), [1, 2], "it counted once");
}

#[test]
fn a_client_that_closes_its_half_with_the_message_has_not_given_up() {
    let mut phone = Phone::asking("");
    let (socket, iss) = phone.posts(40_000);
    let end = ISS + 1 + post().len() as u32;
    phone.tcp(end, iss.wrapping_add(1), FIN, 5_000, b"");
    phone.wait(Duration::from_secs(8));
    phone.answer(1, ALLOW_ONCE);
    assert_eq!(phone.remote_takes(usize::MAX), post());
    assert!(
        phone.commands.contains(&Command::Shutdown { socket }),
        "and its FIN follows"
    );
}

#[test]
fn an_answer_reaches_as_far_as_it_says() {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    for (scope, action, after, asked_again) in [
        (Scope::Flow, Action::Allow, minutes(0), true),
        (Scope::Once, Action::Allow, minutes(0), true),
        (Scope::Quarter, Action::Allow, minutes(14), false),
        (Scope::Quarter, Action::Allow, minutes(16), true),
        (Scope::Quarter, Action::Block, minutes(14), false),
        (Scope::Always, Action::Allow, minutes(1_000), false),
        (Scope::Once, Action::Block, minutes(0), true),
    ] {
        let mut phone = Phone::asking("");
        phone.posts(40_000);
        phone.answer(1, Answer { action, scope });
        phone.remote_takes(usize::MAX);
        phone.wait(after);
        phone.segments();
        phone.posts(40_001);
        let sent = !phone.remote_takes(usize::MAX).is_empty();
        assert_eq!(
            phone.questions().len() == 2,
            asked_again,
            "{scope:?} {action:?} after {after:?}"
        );
        assert_eq!(
            sent,
            !asked_again && action == Action::Allow,
            "{scope:?} {action:?} after {after:?}"
        );
    }
}

#[test]
fn another_app_or_destination_is_another_question() {
    let mut phone = Phone::asking("");
    phone.posts(40_000);
    phone.answer(
        1,
        Answer {
            action: Action::Allow,
            scope: Scope::Always,
        },
    );
    phone.remote_takes(usize::MAX);
    let app = app(40_001);
    phone.segments();
    phone.tcp_from(&app, ISS, 0, SYN, 5_000, b"");
    phone.answer_owners(&["other"]);
    let (socket, _) = *phone.connected_to().last().unwrap();
    phone.socket(socket, SocketEvent::Connected);
    let iss = phone.only_segment().seq.wrapping_add(1);
    phone.tcp_from(&app, ISS + 1, iss, ACK, 5_000, &post());
    assert_eq!(phone.remote_takes(usize::MAX), b"");
    assert_eq!(phone.questions(), [1, 2]);
}

#[test]
fn a_connection_is_asked_about_before_it_is_made() {
    for (answer, connects) in [(ALLOW_ONCE, true), (BLOCK_ONCE, false)] {
        let mut phone = Phone::asking("[default]\nconnection = \"ask\"\n");
        phone.tcp(ISS, 0, SYN, 5_000, b"");
        phone.answer_owners(&["browser"]);
        assert!(phone.connected_to().is_empty() && phone.packets.is_empty());
        phone.answer(1, answer);
        assert_eq!(phone.connected_to().len(), usize::from(connects));
        assert_eq!(phone.was_reset(), !connects);
    }
}

#[test]
fn a_datagram_waits_and_its_repetitions_merge() {
    let payload = format!("imei={IMEI}");
    for (answer, passes) in [(ALLOW_ONCE, true), (BLOCK_ONCE, false)] {
        let mut phone = Phone::asking("");
        for _ in 0..3 {
            phone.udp(APP, "203.0.113.1:5000", payload.as_bytes());
            phone.answer_owners(&["browser"]);
        }
        assert!(phone.sent.is_empty());
        assert_eq!(phone.questions(), [1]);
        phone.answer(1, answer);
        let sent: Vec<_> = phone
            .sent
            .iter()
            .map(|(_, _, payload)| payload.clone())
            .collect();
        assert_eq!(
            sent,
            if passes {
                vec![payload.clone().into_bytes()]
            } else {
                vec![]
            }
        );
        assert_eq!(
            phone.packets.len(),
            usize::from(!passes),
            "administratively prohibited"
        );
        let found = phone.findings();
        assert_eq!((found.len(), found[0].approved), (1, passes));
    }
}

#[test]
fn a_question_to_the_resolver_that_carries_an_identifier_is_asked_about() {
    let name = "490154203237518.collector.example";
    let mut phone = Phone::asking("");
    phone.udp(APP, RESOLVER, &query(7, name));
    phone.answer_owners(&["browser"]);
    assert!(phone.sent.is_empty());
    phone.answer(1, BLOCK_ONCE);
    assert!(phone.sent.is_empty());
    assert_eq!(phone.packets.pop().unwrap()[31] & 15, 3, "NXDOMAIN");
    phone.udp(APP, RESOLVER, &query(8, "harmless.example"));
    assert_eq!(
        phone.sent.len(),
        1,
        "the next question of the same port stands for itself"
    );
    phone.udp(APP, RESOLVER, &query(9, name));
    phone.answer(2, ALLOW_ONCE);
    assert_eq!(phone.sent.len(), 2);
}

#[test]
fn a_new_policy_settles_the_questions_it_answers() {
    let approved = "[[rule]]\nto = \"203.0.113.0/24\"\nsends = [\"imei\"]\naction = \"allow\"\n";
    let blocked = "[default]\nleak = \"block\"\n";
    for (policy, passes) in [(approved, true), (blocked, false)] {
        let mut phone = Phone::asking("");
        // Without a name: an approval by address cannot be undone by a claim.
        let body = format!("imei={IMEI} and so on\n");
        phone.tcp(ISS, 0, SYN, 5_000, b"");
        phone.answer_owners(&[]);
        let (socket, _) = phone.connected_to()[0];
        phone.socket(socket, SocketEvent::Connected);
        let iss = phone.only_segment().seq.wrapping_add(1);
        phone.tcp(ISS + 1, iss, ACK, 5_000, body.as_bytes());
        assert_eq!(phone.questions(), [1]);
        let before = phone.remote_takes(usize::MAX);
        assert!(!before.windows(15).any(|window| window == IMEI.as_bytes()));
        phone.engine.set_rules(rules(policy), phone.clock());
        phone.drain();
        let sent = [before, phone.remote_takes(usize::MAX)].concat();
        assert_eq!(sent == body.as_bytes(), passes);
        assert_eq!(phone.was_reset(), !passes);
        assert_eq!(phone.findings()[0].approved, passes);
    }
}

#[test]
fn a_syn_waits_for_its_owner_and_rules_on_apps_count() {
    let policy =
        "[default]\nconnection = \"block\"\n[[rule]]\napp = \"curl\"\naction = \"allow\"\n";
    for (owner, connects) in [
        (&["curl", "/usr/bin/curl", "uid:0"][..], true),
        (&["wget", "uid:0"], false),
        (&[], false),
    ] {
        let mut phone = Phone::new(policy);
        phone.tcp(ISS, 0, SYN, 5_000, b"");
        assert!(phone.packets.is_empty() && phone.connected_to().is_empty());
        phone.tcp(ISS, 0, SYN, 5_000, b"");
        assert_eq!(phone.answer_owners(owner), 1, "asked once");
        assert_eq!(
            phone.connected_to().len(),
            usize::from(connects),
            "{owner:?}"
        );
        assert_eq!(phone.was_reset(), !connects);
    }
}

#[test]
fn an_owner_that_nobody_finds_in_time_is_unknown() {
    let policy = "[[rule]]\napp = \"curl\"\naction = \"block\"\n";
    let mut phone = Phone::new(policy);
    phone.tcp(ISS, 0, SYN, 5_000, b"");
    phone.udp(APP, "203.0.113.1:5000", b"hello");
    assert!(phone.connected_to().is_empty() && phone.sent.is_empty());
    phone.wait(Duration::from_secs(2));
    assert_eq!(
        (phone.connected_to().len(), phone.sent.len()),
        (1, 1),
        "an app rule never matches an unknown owner"
    );
    assert_eq!(
        phone.answer_owners(&["curl"]),
        2,
        "an answer that comes too late"
    );
    assert!(!phone.was_reset());
}

#[test]
fn nobody_is_asked_for_owners_that_no_rule_needs() {
    let mut phone = Phone::new("");
    phone.tcp(ISS, 0, SYN, 5_000, b"");
    assert_eq!(phone.answer_owners(&[]), 0);
    assert_eq!(phone.connected_to().len(), 1);
}

#[test]
fn an_app_that_resets_a_flow_in_question_takes_its_bytes_back() {
    let mut phone = Phone::asking("");
    let (_, iss) = phone.posts(40_000);
    let end = ISS + 1 + post().len() as u32;
    phone.tcp(end, iss.wrapping_add(1), Flags::RST, 0, b"");
    phone.answer(
        1,
        Answer {
            action: Action::Allow,
            scope: Scope::Flow,
        },
    );
    assert_eq!(phone.remote_takes(usize::MAX), b"");
    assert!(
        phone
            .findings()
            .iter()
            .all(|found| found.verdict == Action::Block)
    );
}
