//! IPv4 addresses inside IPv6 ones, for networks that carry IPv6 alone (RFC 6052, RFC 6146).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::Ipv6Net;

/// The prefix of a network's translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat64 {
    prefix: Ipv6Addr,
    /// Bytes of the prefix.
    len: usize,
}

impl Nat64 {
    /// A translator's prefix; `None` where RFC 6052 section 2.2 knows no such length.
    pub fn new(prefix: Ipv6Net) -> Option<Self> {
        let known = matches!(prefix.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96);
        known.then(|| Self {
            prefix: prefix.network(),
            len: usize::from(prefix.prefix_len() / 8),
        })
    }

    /// Where what is for `address` goes.
    pub(super) fn outward(self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(ip) => SocketAddr::new(self.embed(ip).into(), address.port()),
            IpAddr::V6(_) => address,
        }
    }

    /// Whom what came from `address` is from, for an app that speaks IPv4.
    pub(super) fn inward(self, address: SocketAddr) -> SocketAddr {
        let embedded = match address.ip() {
            IpAddr::V6(ip) => self.extract(ip),
            IpAddr::V4(_) => None,
        };
        embedded.map_or(address, |ip| SocketAddr::new(ip.into(), address.port()))
    }

    fn embed(self, address: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.prefix.octets();
        for (place, octet) in self.places().zip(address.octets()) {
            if let Some(to) = octets.get_mut(place) {
                *to = octet;
            }
        }
        octets.into()
    }

    fn extract(self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let octets = address.octets();
        let mut embedded = [0; 4];
        for (to, place) in embedded.iter_mut().zip(self.places()) {
            *to = *octets.get(place)?;
        }
        let embedded = Ipv4Addr::from(embedded);
        (self.embed(embedded) == address).then_some(embedded)
    }

    /// Where the four octets lie: behind the prefix, but for octet 8, which is zero.
    fn places(self) -> impl Iterator<Item = usize> {
        (self.len..16).filter(|place| *place != 8).take(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6052 section 2.4, tables 2 and 3.
    #[test]
    fn addresses_are_embedded_as_the_rfc_shows() {
        let table = [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
            ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
        ];
        for (prefix, embedded) in table {
            let nat64 = Nat64::new(prefix.parse().unwrap()).unwrap();
            let inside: SocketAddr = "192.0.2.33:80".parse().unwrap();
            let outside = SocketAddr::new(embedded.parse().unwrap(), 80);
            assert_eq!(nat64.outward(inside), outside, "{prefix}");
            assert_eq!(nat64.inward(outside), inside, "{prefix}");
            let other: SocketAddr = "[2001:db9::1]:80".parse().unwrap();
            assert_eq!((nat64.outward(other), nat64.inward(other)), (other, other));
        }
        assert_eq!(Nat64::new("64:ff9b::/95".parse().unwrap()), None);
    }
}
