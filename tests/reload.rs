//! Policies swapped under traffic (R11, R12): no packet is judged without one, or by one that is no longer in force.

mod phone;

use std::{collections::BTreeMap, time::Duration};

use phone::*;
use untold::{
    engine::Command,
    event::{Action, Event},
    inspect::Rules,
    wire::Flags,
};

const ALLOWED: &str = "203.0.113.9:9";
const BLOCKED: &str = "203.0.113.10:9";
const TURNING: &str = "203.0.113.11:9";

/// Two policies that differ in why, and about one address in what.
fn policies() -> [Rules; 2] {
    [
        rules(
            "[[rule]]\nto = \"203.0.113.10\"\naction = \"block\"\n\
             [[rule]]\nto = \"203.0.113.11\"\naction = \"block\"\n",
        ),
        rules(
            "[default]\nconnection = \"block\"\n\
             [[rule]]\nto = \"203.0.113.9\"\naction = \"allow\"\n\
             [[rule]]\nto = \"203.0.113.11\"\naction = \"allow\"\n",
        ),
    ]
}

/// What each policy says of an address, and why.
fn expected(policy: usize, to: &str) -> (Action, &'static str) {
    match (policy, to) {
        (0, ALLOWED) => (Action::Allow, "default.connection"),
        (0, BLOCKED) => (Action::Block, "rule.1"),
        (0, _) => (Action::Block, "rule.2"),
        (_, ALLOWED) => (Action::Allow, "rule.1"),
        (_, BLOCKED) => (Action::Block, "default.connection"),
        (_, _) => (Action::Allow, "rule.2"),
    }
}

#[test]
fn r11_every_packet_of_1000_swaps_is_judged_by_the_policy_in_force() {
    let policies = policies();
    let mut phone = Phone::without_policy(false);
    let mut noise: u64 = 11;
    let mut judged = BTreeMap::new();
    for swap in 0..1_000 {
        let policy = swap % 2;
        let now = phone.clock();
        phone.engine.set_rules(policies[policy].clone(), now);
        phone.drain();
        // Flows end, too, so that each swap finds some dozens of them.
        phone.wait(Duration::from_secs(10));
        for _ in 0..4 {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let to = [ALLOWED, BLOCKED, TURNING][(noise >> 33) as usize % 3];
            // A flow of its own each time, so that the event says what this packet was judged by.
            let source = format!("198.18.0.2:{}", 1_024 + judged.len());
            let (sent, packets) = (phone.sent.len(), phone.packets.len());
            phone.udp(&source, to, b"datagram");
            let (action, rule) = expected(policy, to);
            let allowed = usize::from(action == Action::Allow);
            assert_eq!(
                phone.sent.len() - sent,
                allowed,
                "{to} under policy {policy}"
            );
            assert_eq!(
                phone.packets.len() - packets,
                1 - allowed,
                "{to} is told at once"
            );
            judged.insert(source, (to, action, rule));
        }
    }
    assert_eq!(phone.drops(), [], "none was dropped for want of a policy");
    let mut told = 0;
    for event in &phone.events {
        if let Event::Flow(flow) = event {
            let (to, action, rule) = judged[&flow.src.to_string()];
            assert_eq!(flow.dst.to_string(), to);
            // A flow that was allowed may have been judged again since, and by either policy.
            if action == Action::Block {
                assert_eq!((flow.verdict, &*flow.rule), (action, rule));
            }
            told += 1;
        }
    }
    assert_eq!(told, 4_000);
}

#[test]
fn r12_a_datagram_flow_in_progress_is_judged_by_each_policy_in_turn() {
    let policies = policies();
    let mut phone = Phone::without_policy(false);
    for turn in 0..100 {
        // Blocked first, then allowed, and so on, from one port: no verdict is kept from before.
        let now = phone.clock();
        phone.engine.set_rules(policies[turn % 2].clone(), now);
        phone.drain();
        let sent = phone.sent.len();
        phone.udp(APP, TURNING, b"datagram");
        assert_eq!(phone.sent.len() - sent, turn % 2, "turn {turn}");
    }
}

#[test]
fn r12_connections_in_progress_that_the_new_policy_blocks_are_reset_at_once_and_others_go_on() {
    let [_, open] = policies();
    let all = rules("");
    let blocks = rules("[[rule]]\nto = \"203.0.113.0/24\"\naction = \"block\"\n");
    let mut phone = Phone::new("");
    let (socket, iss) = phone.open(5_000);
    for same in [
        all,
        rules("[[rule]]\nto = \"203.0.113.9\"\naction = \"allow\"\n"),
        open,
    ] {
        let now = phone.clock();
        phone.engine.set_rules(same, now);
        phone.drain();
        assert_eq!(phone.segments(), [], "allowed as before: nothing happens");
        phone.tcp(ISS + 1, iss + 1, ACK, 5_000, b"");
    }
    phone.tcp(ISS + 1, iss + 1, ACK, 5_000, b"said");
    let now = phone.clock();
    phone.engine.set_rules(blocks, now);
    phone.drain();
    let last = phone.segments().pop().expect("nothing was said to the app");
    assert!(last.0.flags.contains(Flags::RST), "{last:?}");
    assert!(
        phone.commands.contains(&Command::Close {
            socket,
            reset: true
        }),
        "the remote end must not take what it got for the whole"
    );
    assert_eq!(phone.remote_takes(100), b"", "what waited goes nowhere");
}
