//! Networks: which rules cover an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

/// Values by network. Every network that covers an address counts, not only the longest.
#[derive(Default)]
pub(super) struct Nets<T> {
    v4: PrefixMap<Ipv4Net, T>,
    v6: PrefixMap<Ipv6Net, T>,
}

impl<T: Default> Nets<T> {
    /// The value of exactly this network, made if it was not there.
    pub(super) fn entry(&mut self, net: IpNet) -> &mut T {
        match net {
            IpNet::V4(net) => self.v4.entry(net).or_default(),
            IpNet::V6(net) => self.v6.entry(net).or_default(),
        }
    }

    /// Calls `each` with the value of every network around `ip`, the widest first.
    pub(super) fn cover(&self, ip: IpAddr, each: impl FnMut(&T)) {
        match ip {
            IpAddr::V4(ip) => self.v4.cover_values(&Ipv4Net::from(ip)).for_each(each),
            IpAddr::V6(ip) => self.v6.cover_values(&Ipv6Net::from(ip)).for_each(each),
        }
    }
}

/// Whether `ip` is of the local network: RFC 1918, link-local (RFC 3927, RFC 4291), unique local (RFC 4193), broadcast,
/// or multicast that stays on site (RFC 5771 section 4, RFC 2365, RFC 7346: scopes 1 to 5).
pub(super) fn is_lan(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_lan_v4(ip),
        IpAddr::V6(ip) => is_lan_v6(ip),
    }
}

fn is_lan_v4(ip: Ipv4Addr) -> bool {
    let local_multicast = matches!(ip.octets(), [224, 0, 0, _] | [239, 255, _, _]);
    ip.is_private() || ip.is_link_local() || ip.is_broadcast() || local_multicast
}

fn is_lan_v6(ip: Ipv6Addr) -> bool {
    let [high, low, ..] = ip.octets();
    let local_multicast = high == 0xff && (1..=5).contains(&(low & 0x0f));
    ip.is_unique_local() || ip.is_unicast_link_local() || local_multicast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_around_an_address_is_seen() {
        let mut nets = Nets::<Vec<u8>>::default();
        for (net, value) in [
            ("0.0.0.0/0", 0),
            ("192.0.2.0/24", 24),
            ("192.0.2.0/24", 25),
            ("192.0.2.7/32", 32),
            ("198.51.100.0/24", 99),
            ("2001:db8::/32", 6),
        ] {
            nets.entry(net.parse().unwrap()).push(value);
        }
        for (ip, expected) in [
            ("192.0.2.7", vec![0, 24, 25, 32]),
            ("192.0.2.8", vec![0, 24, 25]),
            ("203.0.113.1", vec![0]),
            ("2001:db8::1", vec![6]),
            ("2001:db9::1", vec![]),
        ] {
            let mut seen: Vec<u8> = Vec::new();
            nets.cover(ip.parse().unwrap(), |values| seen.extend(values));
            assert_eq!(seen, expected, "{ip}");
        }
    }

    #[test]
    fn local_addresses_are_told_from_public_ones() {
        for ip in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
            "224.0.0.251",
            "239.255.255.250",
            "255.255.255.255",
            "fe80::1",
            "febf::1",
            "fc00::1",
            "fd12::1",
            "ff02::fb",
            "ff05::c",
        ] {
            assert!(is_lan(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "9.255.255.255",
            "11.0.0.0",
            "172.32.0.1",
            "192.169.0.1",
            "100.64.0.1",
            "224.0.1.1",
            "239.0.0.1",
            "203.0.113.9",
            "127.0.0.1",
            "2001:db8::1",
            "fec0::1",
            "ff0e::1",
            "ff08::1",
            "::1",
        ] {
            assert!(!is_lan(ip.parse().unwrap()), "{ip}");
        }
    }
}
