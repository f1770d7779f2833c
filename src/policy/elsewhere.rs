//! What a verdict would be for a flow that differs in one thing.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use super::{
    Explanation, Place,
    config::RuleEntry,
    explain::{protocol, word},
    judge::{Cause, Facts, Policy},
    to::To,
};
use crate::event::{Confidence, Kind};

impl Explanation {
    /// How many flows that differ in one thing are told of.
    pub const MOST_CHANGES: usize = 8;
}

impl Policy {
    /// Says where another app, port or protocol, or an address where none is known, would give another verdict. Every rule
    /// is tried, with what it asks for in the place of what the flow has.
    pub(super) fn elsewhere(&self, facts: &Facts, sends: &[Kind]) -> Vec<String> {
        let found: Vec<_> = sends
            .iter()
            .map(|kind| (kind.clone(), Confidence::Exact))
            .collect();
        let here = self.leak(facts, &found);
        let mut seen = BTreeSet::new();
        let mut told = Vec::new();
        for rule in self.rules.all() {
            for (what, other) in others(facts, rule) {
                let there = self.leak(&other, &found);
                let differs = there.action != here.action || there.approved != here.approved;
                if differs && seen.insert(what.clone()) {
                    let place = self.place_of_rule(&there.rule);
                    let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
                    let action = word(there.action);
                    told.push(format!("{what}: {action} by {}{place}", there.rule));
                }
            }
            if told.len() >= Explanation::MOST_CHANGES {
                break;
            }
        }
        told.truncate(Explanation::MOST_CHANGES);
        told
    }

    fn place_of_rule(&self, name: &str) -> Option<Place> {
        let mut rules = (0..self.rules.all().len()).map(Cause::Rule);
        let cause = rules.find(|cause| **self.name_of(*cause) == *name)?;
        Some(self.place_of(cause))
    }
}

/// The flow with one thing as the rule asks for it, where it is not so already.
fn others(facts: &Facts, rule: &RuleEntry) -> Vec<(String, Facts)> {
    let mut others = Vec::new();
    if let Some(app) = rule.app.as_ref().filter(|app| !facts.app.contains(app)) {
        let app = app.clone();
        others.push((
            format!("from the app {app}"),
            Facts {
                app: vec![app],
                ..facts.clone()
            },
        ));
    }
    let port = facts.dst.port();
    if let Some(ports) = rule.ports.filter(|it| port < it.first || port > it.last) {
        let dst = SocketAddr::new(facts.dst.ip(), ports.first);
        others.push((
            format!("on port {ports}"),
            Facts {
                dst,
                ..facts.clone()
            },
        ));
    }
    if let Some(proto) = rule.proto.filter(|proto| *proto != facts.proto) {
        others.push((
            format!("over {}", protocol(proto)),
            Facts {
                proto,
                ..facts.clone()
            },
        ));
    }
    let inside = match rule.to {
        Some(To::Net(net)) => Some((net.addr(), format!("at an address in {net}"))),
        Some(To::Lan) => Some((LAN, "at an address of the local network".to_owned())),
        Some(To::Host(_) | To::Domain(_) | To::Under(_)) | None => None,
    };
    if let Some((ip, what)) = inside.filter(|_| facts.dst.ip().is_unspecified()) {
        let dst = SocketAddr::new(ip, port);
        others.push((
            what,
            Facts {
                dst,
                ..facts.clone()
            },
        ));
    }
    others
}

/// Stands for every address that `lan` covers.
pub(super) const LAN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{NameSource, Proto},
        policy::Config,
    };

    fn told(policy: &str, app: &[&str], dst: &str, sends: &[Kind]) -> Vec<String> {
        let config = Config::parse("p.toml", policy).unwrap();
        let policy = Policy::new(config, Vec::new()).unwrap();
        let facts = Facts {
            app: app.iter().map(|app| (*app).into()).collect(),
            dst: dst.parse().unwrap(),
            proto: Proto::Tcp,
            names: vec![("bank.example".into(), NameSource::Dns)],
            wall: 0,
        };
        policy.elsewhere(&facts, sends)
    }

    #[test]
    fn another_app_port_or_protocol_is_told_where_it_changes_the_verdict() {
        let policy = "[[rule]]\nto = \"bank.example\"\nport = \"8000-8099\"\naction = \"block\"\n\
            [[rule]]\napp = \"com.example.game\"\naction = \"block\"\n\
            [[rule]]\nproto = \"udp\"\naction = \"block\"\n\
            [[rule]]\nto = \"shop.example\"\nport = 22\naction = \"block\"\n";
        assert_eq!(
            told(policy, &["curl"], "203.0.113.9:443", &[]),
            [
                "from the app com.example.game: block by rule.2 (p.toml:5)",
                "on port 8000-8099: block by rule.1 (p.toml:1)",
                "over udp: block by rule.3 (p.toml:8)",
            ]
        );
        let blocked = told(policy, &["com.example.game"], "203.0.113.9:443", &[]);
        assert_eq!(blocked, [""; 0]);
    }

    #[test]
    fn an_app_that_may_send_it_is_told() {
        let policy = "[default]\nleak = \"block\"\n[[rule]]\napp = \"mail\"\nto = \"bank.example\"\n\
            sends = [\"phone\"]\naction = \"allow\"\n";
        let phone = told(policy, &[], "203.0.113.9:80", &[Kind::Phone]);
        assert_eq!(phone, ["from the app mail: allow by rule.1 (p.toml:3)"]);
        assert!(told(policy, &[], "203.0.113.9:80", &[Kind::Imei]).is_empty());
    }

    #[test]
    fn an_address_is_told_of_only_where_none_is_known() {
        let policy = "[[rule]]\nto = \"192.0.2.0/24\"\naction = \"block\"\n[[rule]]\nto = \"lan\"\naction = \"block\"\n";
        let shop = |dst| {
            let config = Config::parse("p.toml", policy).unwrap();
            let facts = Facts {
                app: Vec::new(),
                dst,
                proto: Proto::Tcp,
                names: Vec::new(),
                wall: 0,
            };
            Policy::new(config, Vec::new())
                .unwrap()
                .elsewhere(&facts, &[])
        };
        assert_eq!(
            shop("0.0.0.0:443".parse().unwrap()),
            [
                "at an address in 192.0.2.0/24: block by rule.1 (p.toml:1)",
                "at an address of the local network: block by rule.2 (p.toml:4)",
            ]
        );
        assert!(shop("203.0.113.9:443".parse().unwrap()).is_empty());
    }

    #[test]
    fn not_more_is_told_than_a_person_reads() {
        let rules: String = (1..100)
            .map(|port| format!("[[rule]]\nport = {port}\naction = \"block\"\n"))
            .collect();
        let told = told(&rules, &[], "203.0.113.9:443", &[]);
        assert_eq!(told.len(), Explanation::MOST_CHANGES);
    }
}
