//! Link layers, as far as the IP packet in them.

use super::number;

pub(super) fn is_known(link: u16) -> bool {
    matches!(
        link,
        NULL | ETHERNET | 12 | 14 | RAW | LOOP | COOKED | IPV4 | IPV6 | COOKED_V2
    )
}

pub(super) fn unknown_link(link: u16) -> String {
    format!("link type {link} is not supported: use Ethernet, raw IP, Linux cooked or loopback")
}

/// Where the IP packet begins in a frame; `None` if it carries none.
pub(super) fn ip_offset(link: u16, frame: &[u8]) -> Option<usize> {
    match link {
        ETHERNET => after_tags(frame, 12),
        COOKED => after_tags(frame, 14),
        // The protocol comes first, and a tag has no place between it and the packet.
        COOKED_V2 => is_ip(ether_type(frame, 0)?).then_some(20),
        NULL | LOOP => {
            let family = number(frame, 0, true)?;
            let is_ip = |family| matches!(family, 2 | 10 | 24 | 28 | 30);
            (is_ip(family) || is_ip(family.swap_bytes())).then_some(4)
        }
        12 | 14 | RAW | IPV4 | IPV6 => matches!(frame.first()? >> 4, 4 | 6).then_some(0),
        _ => None,
    }
}

/// Follows VLAN tags and a PPPoE header from the EtherType at `at`.
fn after_tags(frame: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..MAX_TAGS {
        match ether_type(frame, at)? {
            kind if is_ip(kind) => return Some(at + 2),
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            PPPOE_SESSION => {
                return matches!(ether_type(frame, at + 8)?, 0x0021 | 0x0057).then_some(at + 10);
            }
            _ => return None,
        }
    }
    None
}

fn ether_type(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

fn is_ip(ether_type: u16) -> bool {
    matches!(ether_type, 0x0800 | 0x86dd)
}

// https://www.tcpdump.org/linktypes.html; 12 and 14 are what raw IP is called where DLT values leaked into files.
const NULL: u16 = 0;
const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const LOOP: u16 = 108;
const COOKED: u16 = 113;
const IPV4: u16 = 228;
const IPV6: u16 = 229;
const COOKED_V2: u16 = 276;
const PPPOE_SESSION: u16 = 0x8864;

/// VLAN tags followed.
const MAX_TAGS: usize = 4;
