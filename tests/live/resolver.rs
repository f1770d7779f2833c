//! A DNS server of a few names (RFC 1035), and a client that reads its answers.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::ns::Namespace;

/// A running server.
pub struct Resolver {
    asked: Arc<Mutex<Vec<String>>>,
}

/// What goes before a true answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// The right question under another id.
    Id,
    /// The right id with another question.
    Question,
    /// Both right, from another address.
    Source,
    /// Both right, from another port.
    Port,
}

impl Resolver {
    /// Answers A questions for `names`; NXDOMAIN for all else. `forgeries` are sent first, with [`LIE`] in them.
    pub fn start(
        place: &Namespace,
        address: &str,
        names: &[(&str, &str)],
        forgeries: &'static [Forgery],
    ) -> Self {
        let socket = place
            .run(|| UdpSocket::bind(address))
            .expect("the address is the server's");
        let elsewhere = place
            .run(|| UdpSocket::bind("203.0.113.10:53"))
            .expect("the address is the server's");
        let other_port = place
            .run(|| UdpSocket::bind("203.0.113.53:5353"))
            .expect("the address is the server's");
        let parse = |(name, address): &(&str, &str)| {
            ((*name).to_owned(), address.parse().expect("an address"))
        };
        let names: BTreeMap<String, Ipv4Addr> = names.iter().map(parse).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let asked = Arc::clone(&asked);
            move || {
                let mut buffer = [0; 4096];
                while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    let question = &buffer[..len];
                    let name = name_of(question);
                    asked.lock().unwrap().push(name.clone());
                    for forgery in forgeries {
                        let mut lie = answer(question, Some(LIE));
                        let sender = match forgery {
                            Forgery::Id => {
                                lie[0] ^= 0x5a;
                                &socket
                            }
                            Forgery::Question => {
                                lie[13] ^= 1;
                                &socket
                            }
                            Forgery::Source => &elsewhere,
                            Forgery::Port => &other_port,
                        };
                        let _ = sender.send_to(&lie, from);
                    }
                    if !forgeries.is_empty() {
                        thread::sleep(Duration::from_millis(100));
                    }
                    let _ = socket.send_to(&answer(question, names.get(&name).copied()), from);
                }
            }
        });
        Self { asked }
    }

    /// Forgets what was asked so far.
    pub fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }

    /// The names that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The outcome of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Addresses(Vec<IpAddr>),
    /// The response code (RFC 1035, section 4.1.1).
    Code(u8),
}

/// Asks for the A records of `name`, from `place`; `None` after 5 s.
pub fn ask(place: &Namespace, resolver: &str, name: &str) -> Option<Reply> {
    let socket = place
        .run(|| UdpSocket::bind("0.0.0.0:0"))
        .expect("a port is free");
    socket
        .connect(SocketAddr::new(resolver.parse().expect("an address"), 53))
        .ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    socket.send(&question(name)).ok()?;
    let mut buffer = [0; 4096];
    let len = socket.recv(&mut buffer).ok()?;
    Some(read(&buffer[..len], name))
}

/// The address in a forged answer.
pub const LIE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);

fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("a label is short"));
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

fn name_of(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut at = 12;
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    labels.join(".")
}

/// Header and question as asked, then one A record or NXDOMAIN; an empty answer to questions of other types.
fn answer(question: &[u8], address: Option<Ipv4Addr>) -> Vec<u8> {
    let end = 12
        + question[12..]
            .iter()
            .position(|byte| *byte == 0)
            .expect("names end")
        + 5;
    let is_a = question[end - 4..end] == [0, 1, 0, 1];
    let mut message = question[..end].to_vec();
    let code = if address.is_some() { 0 } else { NXDOMAIN };
    message[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0]);
    if let Some(address) = address.filter(|_| is_a) {
        message[7] = 1;
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend_from_slice(&address.octets());
    }
    message
}

fn read(message: &[u8], name: &str) -> Reply {
    assert_eq!(
        message[..2],
        [0x12, 0x34],
        "an answer has its question's id"
    );
    assert_eq!(name_of(message), name, "an answer has its question");
    if message[3] & 15 != 0 {
        return Reply::Code(message[3] & 15);
    }
    let mut at = 12 + name.len() + 2 + 4;
    let mut addresses = Vec::new();
    for _ in 0..message[7] {
        at += if message[at] >= 0xc0 {
            2
        } else {
            name.len() + 2
        };
        let len = usize::from(message[at + 9]);
        let data = &message[at + 10..at + 10 + len];
        if let (1, Ok(octets)) = (message[at + 1], <[u8; 4]>::try_from(data)) {
            addresses.push(IpAddr::from(octets));
        }
        at += 10 + len;
    }
    Reply::Addresses(addresses)
}

/// The response code for a name that does not exist.
pub const NXDOMAIN: u8 = 3;
