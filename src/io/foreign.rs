//! What the shells for other languages are told in numbers and texts. An error says what would be right.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

use crate::{
    engine::{Answer, Config},
    event::{Action, Proto, Scope},
};

/// Reads the number of a protocol in IP headers.
pub fn proto(number: i32) -> Result<Proto, &'static str> {
    match number {
        6 => Ok(Proto::Tcp),
        17 => Ok(Proto::Udp),
        1 | 58 => Ok(Proto::Icmp),
        _ => Err("the protocol is 6, 17 or 1"),
    }
}

/// The number of a protocol in IPv4 headers.
pub fn proto_number(proto: Proto) -> i32 {
    match proto {
        Proto::Tcp => 6,
        Proto::Udp => 17,
        Proto::Icmp => 1,
    }
}

/// Reads a person's answer: scope 0 once, 1 this flow, 2 a quarter of an hour, 3 always.
pub fn answer(allow: bool, scope: i32) -> Result<Answer, &'static str> {
    Ok(Answer {
        action: if allow { Action::Allow } else { Action::Block },
        scope: match scope {
            0 => Scope::Once,
            1 => Scope::Flow,
            2 => Scope::Quarter,
            3 => Scope::Always,
            _ => return Err("the scope is 0, 1, 2 or 3"),
        },
    })
}

/// Makes an engine's settings; randomness comes from the system. A resolver is `address` or `address:port`.
pub fn config(
    mtu: i32,
    queue: i32,
    dns: &[String],
    resolvers: &[String],
    can_ask: bool,
) -> Result<Config, &'static str> {
    let positive = |number: i32| usize::try_from(number).ok().filter(|&number| number > 0);
    let mtu = positive(mtu).filter(|mtu| (MTU_LEAST..=MTU_MOST).contains(mtu));
    let address = |text: &String| text.parse::<IpAddr>();
    let resolver = |text: &String| {
        text.parse()
            .or_else(|_| text.parse().map(|address| SocketAddr::new(address, DNS)))
    };
    let dns: Result<_, _> = dns.iter().map(address).collect();
    let resolvers: Result<_, _> = resolvers.iter().map(resolver).collect();
    Ok(Config {
        seed: RandomState::new().hash_one(()),
        mtu: mtu.ok_or("the MTU is from 1280 to 65535")?,
        queue: positive(queue).ok_or("the queue holds a packet or more")?,
        dns: dns.map_err(|_| "a DNS address is an IP address")?,
        resolvers: resolvers.map_err(|_| "a resolver is an IP address with an optional port")?,
        can_ask,
    })
}

/// Reads `address:port`, or `[address]:port` for IPv6.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "the sink is an IP address with a port")
}

/// Takes over a descriptor that the caller gives up, if it is open.
pub fn adopt(fd: RawFd) -> Result<OwnedFd, &'static str> {
    // SAFETY: asks for flags; any number will do.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err("the tun descriptor is not open");
    }
    // SAFETY: it is open, and from here on nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The least that IPv6 allows.
const MTU_LEAST: usize = 1280;
/// The most that an IP header can say.
const MTU_MOST: usize = 65_535;
const DNS: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_have_port_53_unless_they_say_another() {
        let read = |text: &str| config(1500, 500, &[], &[text.to_owned()], false);
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:853", "[2001:db8::53]:853"),
        ] {
            assert_eq!(read(text).unwrap().resolvers, [expected.parse().unwrap()]);
        }
        for wrong in ["", "dns.example", "192.0.2.53:", "192.0.2.53:99999"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sink_has_an_address_and_a_port() {
        assert!(address("192.0.2.1:80").is_ok() && address("[2001:db8::1]:80").is_ok());
        for wrong in ["", "192.0.2.1", "collector.example:80", "192.0.2.1:99999"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (mtu, queue, right) in [
            (1280, 1, true),
            (65_535, i32::MAX, true),
            (1279, 1, false),
            (65_536, 1, false),
            (-1500, 1, false),
            (1500, 0, false),
            (1500, -1, false),
        ] {
            assert_eq!(
                config(mtu, queue, &[], &[], true).is_ok(),
                right,
                "{mtu} {queue}"
            );
        }
        assert!(config(1500, 500, &["dns.example".to_owned()], &[], true).is_err());
    }

    #[test]
    fn protocols_have_the_numbers_of_ip() {
        for known in [Proto::Tcp, Proto::Udp, Proto::Icmp] {
            assert_eq!(proto(proto_number(known)), Ok(known));
        }
        assert_eq!(proto(58), Ok(Proto::Icmp));
        assert!(proto(0).is_err() && proto(-6).is_err());
    }

    #[test]
    fn a_closed_descriptor_is_not_taken_over() {
        assert!(adopt(-1).is_err() && adopt(i32::MAX).is_err());
    }
}
