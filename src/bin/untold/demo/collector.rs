//! The two servers of the demonstration: the collector, and a resolver that knows its name.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, ResourceRecord, TYPE, rdata};

use super::registration;

/// Where the collector listens: an address for documentation (RFC 5737).
pub const COLLECTOR: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), 80);
/// Where the resolver does.
pub const RESOLVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(203, 0, 113, 53)), 53);

/// A server that keeps every byte it gets.
pub struct Collector {
    received: Arc<Mutex<Received>>,
}

/// What a collector got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub connections: usize,
    pub bytes: Vec<u8>,
    open: usize,
}

impl Collector {
    /// Starts to listen, in a thread that lives as long as the process.
    pub fn start() -> io::Result<Collector> {
        let listener = TcpListener::bind(COLLECTOR)?;
        let received = Arc::new(Mutex::new(Received::default()));
        let shared = received.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                {
                    let mut received = shared.lock().expect("no thread panics with it");
                    received.connections += 1;
                    received.open += 1;
                }
                serve(connection, &shared);
                shared.lock().expect("no thread panics with it").open -= 1;
            }
        });
        Ok(Collector { received })
    }

    /// What has come in since the last call, once every connection has ended (or a second has passed).
    pub fn take(&self) -> Received {
        for _ in 0..100 {
            if self.received.lock().expect("no thread panics with it").open == 0 {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let mut received = self.received.lock().expect("no thread panics with it");
        let open = received.open;
        std::mem::replace(
            &mut *received,
            Received {
                open,
                ..Received::default()
            },
        )
    }
}

/// Reads one connection to its end and answers as the real server did, when the message is whole.
fn serve(mut connection: TcpStream, shared: &Mutex<Received>) {
    let whole = registration::message().len();
    let mut buffer = [0; 4096];
    let mut got = 0;
    let _ = connection.set_read_timeout(Some(PATIENCE));
    while let Ok(n @ 1..) = connection.read(&mut buffer) {
        shared
            .lock()
            .expect("no thread panics with it")
            .bytes
            .extend_from_slice(&buffer[..n]);
        got += n;
        if got == whole
            && connection
                .write_all(registration::REPLY.as_bytes())
                .is_err()
        {
            return;
        }
    }
}

/// Answers questions for the collector's address with it, and all others with nothing.
pub fn resolve() -> io::Result<()> {
    let socket = UdpSocket::bind(RESOLVER)?;
    thread::spawn(move || {
        let mut question = [0; 1232];
        while let Ok((n, from)) = socket.recv_from(&mut question) {
            if let Some(answer) = answer(&question[..n]) {
                // A question without an answer is asked again.
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    Ok(())
}

fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let asked = Packet::parse(question).ok()?;
    let mut reply = Packet::new_reply(asked.id());
    reply.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
    let question = asked.questions.first()?;
    let known = question
        .qname
        .to_string()
        .eq_ignore_ascii_case(registration::HOST);
    if known && matches!(question.qtype, QTYPE::TYPE(TYPE::A)) {
        let SocketAddr::V4(address) = COLLECTOR else {
            return None;
        };
        let data = rdata::RData::A(rdata::A::from(*address.ip()));
        reply.answers.push(ResourceRecord::new(
            question.qname.clone(),
            CLASS::IN,
            60,
            data,
        ));
    }
    reply.questions.push(question.clone());
    reply.build_bytes_vec().ok()
}

/// How long a connection may be silent.
const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use simple_dns::{Name, QCLASS, Question};

    use super::*;

    fn ask(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        let name = Name::new_unchecked(name);
        packet.questions.push(Question::new(
            name,
            QTYPE::TYPE(kind),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        answer(&packet.build_bytes_vec().unwrap()).unwrap()
    }

    #[test]
    fn the_resolver_knows_one_name_and_one_address() {
        for (name, kind, answers) in [
            ("ZZHC.vnet.cn", TYPE::A, 1),
            ("zzhc.vnet.cn", TYPE::AAAA, 0),
            ("other.example", TYPE::A, 0),
        ] {
            let bytes = ask(name, kind);
            let reply = Packet::parse(&bytes).unwrap();
            assert_eq!(
                (reply.id(), reply.answers.len(), reply.questions.len()),
                (7, answers, 1)
            );
        }
        assert_eq!(answer(b"no question"), None);
    }
}
