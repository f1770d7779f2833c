//! Names for addresses, learned from DNS answers.

use std::{collections::VecDeque, hash::BuildHasher, net::IpAddr, sync::Arc};

use rustc_hash::FxHasher;
use simple_dns::{Packet, PacketFlag, RCODE, rdata::RData};

/// Which names an address goes by: the newest answer that named it, with its whole CNAME chain.
///
/// Bounded to [`Names::CAPACITY`] addresses; the one learned longest ago goes first.
pub(crate) struct Names {
    by_address: std::collections::HashMap<IpAddr, Entry, Seeded>,
    /// Every learning, oldest first; an address learned again is skipped by its older `turn`.
    order: VecDeque<(IpAddr, u64)>,
    turn: u64,
}

struct Entry {
    chain: Arc<[Arc<str>]>,
    turn: u64,
}

/// What a DNS answer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The name asked for first, then every alias it led to.
    pub(crate) chain: Arc<[Arc<str>]>,
    /// Addresses at the end of the chain.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Names {
    /// Addresses remembered at most: about 200 bytes each.
    const CAPACITY: usize = 16_384;

    pub(crate) fn new(seed: u64) -> Self {
        Self {
            by_address: std::collections::HashMap::with_hasher(Seeded(seed)),
            order: VecDeque::new(),
            turn: 0,
        }
    }

    /// Names of `address`, the one that was asked for first.
    pub(crate) fn of(&self, address: IpAddr) -> &[Arc<str>] {
        self.by_address
            .get(&address)
            .map_or(&[], |entry| &entry.chain)
    }

    /// Takes in what an answer said.
    pub(crate) fn learn(&mut self, answer: &Answer) {
        for &address in &answer.addresses {
            self.turn += 1;
            let entry = Entry {
                chain: answer.chain.clone(),
                turn: self.turn,
            };
            self.by_address.insert(address, entry);
            self.order.push_back((address, self.turn));
        }
        while self.by_address.len() > Self::CAPACITY || self.order.len() > 2 * Self::CAPACITY {
            let Some((address, turn)) = self.order.pop_front() else {
                break;
            };
            if self
                .by_address
                .get(&address)
                .is_some_and(|entry| entry.turn == turn)
            {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Answer {
    /// Reads a DNS reply (RFC 1035); `None` for a question, an error, or a malformed message.
    ///
    /// Every alias on the way counts as a name of the addresses, HTTPS and SVCB targets included.
    pub(crate) fn parse(message: &[u8]) -> Option<Answer> {
        let packet = Packet::parse(message).ok()?;
        if !packet.has_flags(PacketFlag::RESPONSE) || packet.rcode() != RCODE::NoError {
            return None;
        }
        let asked = normal(&packet.questions.first()?.qname.to_string());
        let mut chain = vec![asked];
        let mut addresses = Vec::new();
        // A reply may list the chain in any order: walk it until it stops growing.
        loop {
            let before = chain.len();
            for record in &packet.answers {
                let owner = normal(&record.name.to_string());
                let target = match &record.rdata {
                    RData::CNAME(target) => normal(&target.0.to_string()),
                    RData::HTTPS(svcb) => normal(&svcb.target.to_string()),
                    RData::SVCB(svcb) => normal(&svcb.target.to_string()),
                    _ => continue,
                };
                if !target.is_empty() && chain.contains(&owner) && !chain.contains(&target) {
                    chain.push(target);
                }
            }
            if chain.len() == before || chain.len() >= MAX_CHAIN {
                break;
            }
        }
        for record in packet.answers.iter().chain(&packet.additional_records) {
            let address = match &record.rdata {
                RData::A(a) => IpAddr::V4(a.address.into()),
                RData::AAAA(aaaa) => IpAddr::V6(aaaa.address.into()),
                _ => continue,
            };
            if chain.contains(&normal(&record.name.to_string())) && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Some(Answer {
            chain: chain.into(),
            addresses,
        })
    }
}

/// Aliases followed at most.
const MAX_CHAIN: usize = 16;

/// The form in which names are compared: lower case, no trailing dot.
pub(crate) fn normal(name: &str) -> Arc<str> {
    name.trim_end_matches('.').to_ascii_lowercase().into()
}

/// A hasher whose order peers on the network cannot predict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeded(pub(crate) u64);

impl BuildHasher for Seeded {
    type Hasher = FxHasher;

    fn build_hasher(&self) -> FxHasher {
        FxHasher::with_seed(self.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::{CLASS, Name, Question, ResourceRecord, rdata};

    use super::*;

    fn reply(question: &str, records: Vec<(&'static str, RData<'static>)>) -> Vec<u8> {
        let mut packet = Packet::new_reply(7);
        packet.questions.push(Question::new(
            Name::new(question).unwrap(),
            simple_dns::TYPE::A.into(),
            CLASS::IN.into(),
            false,
        ));
        for (name, rdata) in records {
            packet.answers.push(ResourceRecord::new(
                Name::new(name).unwrap(),
                CLASS::IN,
                60,
                rdata,
            ));
        }
        packet.build_bytes_vec().unwrap()
    }

    fn a(last: u8) -> RData<'static> {
        RData::A(rdata::A::from(std::net::Ipv4Addr::new(192, 0, 2, last)))
    }

    #[test]
    fn every_alias_is_a_name_whatever_the_order_of_records() {
        let cname = |to| RData::CNAME(rdata::CNAME(Name::new_unchecked(to)));
        let bytes = reply(
            "WWW.shop.example",
            vec![
                ("edge.cdn.example", a(1)),
                ("track.example", cname("edge.cdn.example")),
                ("www.shop.example", cname("track.example")),
            ],
        );
        let answer = Answer::parse(&bytes).unwrap();
        let chain: Vec<_> = answer.chain.iter().map(|n| &**n).collect();
        assert_eq!(
            chain,
            ["www.shop.example", "track.example", "edge.cdn.example"]
        );
        assert_eq!(answer.addresses, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn an_address_of_another_name_is_not_learned() {
        let bytes = reply(
            "a.example",
            vec![("evil.example", a(9)), ("a.example", a(1))],
        );
        assert_eq!(
            Answer::parse(&bytes).unwrap().addresses,
            ["192.0.2.1".parse::<IpAddr>().unwrap()]
        );
    }

    #[test]
    fn the_newest_answer_names_a_shared_address() {
        let mut names = Names::new(1);
        for name in ["old.example", "new.example"] {
            names.learn(&Answer::parse(&reply(name, vec![(name, a(1))])).unwrap());
        }
        assert_eq!(&*names.of("192.0.2.1".parse().unwrap())[0], "new.example");
    }

    #[test]
    fn memory_is_bounded_under_a_flood_of_answers() {
        let mut names = Names::new(1);
        for n in 0..3 * Names::CAPACITY as u32 {
            let chain: Arc<[Arc<str>]> = Arc::new(["x.example".into()]);
            let addresses = vec![IpAddr::V4((n | 0x0a00_0000).into()), IpAddr::V4(1.into())];
            names.learn(&Answer { chain, addresses });
        }
        assert!(names.by_address.len() <= Names::CAPACITY);
        assert!(names.order.len() <= 2 * Names::CAPACITY);
        assert!(!names.of(IpAddr::V4(1.into())).is_empty());
    }
}
