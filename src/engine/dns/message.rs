//! DNS messages of our own (RFC 1035).

use std::sync::Arc;

use simple_dns::{
    Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE,
    rdata::{A, AAAA, RData},
};

use crate::engine::names::normal;

/// How a question is refused.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Code(RCODE),
    /// The zero address for A and AAAA, no answer for the rest.
    Zero,
}

/// Bytes before the question (RFC 1035 section 4.1.1).
const HEADER: usize = 12;
/// Bytes of a name at most (section 3.1).
const LONGEST_NAME: usize = 255;
const TYPE_AND_CLASS: usize = 4;
/// Seconds for which an app may keep a zero address.
const ZERO_TTL: u32 = 10;

/// Name and question section of a message with one question (RFC 1035 section 4.1.2).
pub(in crate::engine) fn question(message: &[u8]) -> Option<(Arc<str>, &[u8])> {
    let section = section(message)?;
    let mut name = String::with_capacity(section.len());
    let mut rest = section;
    while let Some((len @ 1.., after)) = rest.split_first() {
        let (label, after) = after.split_at_checked(usize::from(*len))?;
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(label));
        rest = after;
    }
    Some((normal(&name), section))
}

/// The question section of a message with one question.
pub(super) fn section(message: &[u8]) -> Option<&[u8]> {
    if message.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = HEADER;
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        at += len;
        // A question is the first name of a message: it cannot be compressed.
        if len > 63 || at > HEADER + LONGEST_NAME {
            return None;
        }
    }
    message.get(HEADER..at + TYPE_AND_CLASS)
}

/// What refuses a question; `None` where it cannot be read.
pub(super) fn refuse(message: &[u8], refusal: Refusal) -> Option<Vec<u8>> {
    let asked = Packet::parse(message).ok()?;
    let mut reply = Packet::new_reply(asked.id());
    let question = asked.questions.first()?.clone();
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if asked.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    match refusal {
        Refusal::Code(code) => *reply.rcode_mut() = code,
        Refusal::Zero => {
            let data = match question.qtype {
                QTYPE::TYPE(TYPE::A) => Some(RData::A(A { address: 0 })),
                QTYPE::TYPE(TYPE::AAAA) => Some(RData::AAAA(AAAA { address: 0 })),
                _ => None,
            };
            if let Some(data) = data {
                let name = question.qname.clone();
                reply.answers.push(ResourceRecord::new(
                    name,
                    simple_dns::CLASS::IN,
                    ZERO_TTL,
                    data,
                ));
            }
        }
    }
    reply.questions.push(question);
    reply.build_bytes_vec().ok()
}

/// What tells that nobody could answer: `section` is the question's.
pub(super) fn server_failure(id: u16, section: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    // A response, recursion desired and available, SERVFAIL, one question.
    let mut reply = vec![high, low, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0];
    reply.extend_from_slice(section);
    reply
}
