//! Small proxies of the tests' own, which remember what they were asked for. Written against the RFCs, not against ours.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

use crate::{ns::Namespace, server::PATIENCE};

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Socks5,
    Http,
}

/// A running proxy.
pub struct Proxy {
    asked: Arc<Mutex<Vec<String>>>,
    /// The connections that associations live by.
    associations: Arc<Mutex<Vec<TcpStream>>>,
}

/// Where a proxy's own sockets are.
type Place = Arc<Namespace>;
type Login = Option<(&'static str, &'static str)>;

/// The only name that a proxy knows, and what it is.
pub const NAME: (&str, &str) = ("host.example", "203.0.113.9");

impl Proxy {
    /// Listens at `address` in `place`, where its own connections begin, too.
    pub fn start(place: Namespace, address: &str, speaks: Speaks, login: Login) -> Self {
        Self::between(place.again(), place, address, speaks, login)
    }

    /// Listens in `place`; its own connections begin in `out`.
    pub fn between(
        place: Namespace,
        out: Namespace,
        address: &str,
        speaks: Speaks,
        login: Login,
    ) -> Self {
        let listener = place
            .run(|| TcpListener::bind(address))
            .expect("the address is the proxy's");
        let proxy = Self {
            asked: Arc::default(),
            associations: Arc::default(),
        };
        let (asked, place) = (proxy.asked.clone(), Arc::new(out));
        let associations = proxy.associations.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let client = Client {
                    place: place.clone(),
                    asked: asked.clone(),
                    associations: associations.clone(),
                    login,
                };
                thread::spawn(move || match speaks {
                    Speaks::Socks5 => client.socks5(stream),
                    Speaks::Http => client.http(stream),
                });
            }
        });
        proxy
    }

    /// Whom it was asked to connect to, in order; `udp` for an association.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Ends every association.
    pub fn end_associations(&self) {
        for stream in self.associations.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

struct Client {
    place: Place,
    asked: Arc<Mutex<Vec<String>>>,
    associations: Arc<Mutex<Vec<TcpStream>>>,
    login: Login,
}

impl Client {
    fn socks5(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let [_, methods] = array(&mut stream)?;
        let mut offered = vec![0; usize::from(methods)];
        stream.read_exact(&mut offered)?;
        match self.login {
            None => slowly(&mut stream, &[5, 0])?,
            Some(_) if !offered.contains(&2) => return slowly(&mut stream, &[5, 0xff]),
            Some((user, password)) => {
                slowly(&mut stream, &[5, 2])?;
                let [_] = array(&mut stream)?;
                let given = (text(&mut stream)?, text(&mut stream)?);
                let known = given == (user.to_owned(), password.to_owned());
                slowly(&mut stream, &[1, u8::from(!known)])?;
                if !known {
                    return Ok(());
                }
            }
        }
        let [_, command, _, kind] = array(&mut stream)?;
        let host = match kind {
            1 => IpAddr::from(array::<4>(&mut stream)?).to_string(),
            4 => format!("[{}]", IpAddr::from(array::<16>(&mut stream)?)),
            _ => text(&mut stream)?,
        };
        let port = u16::from_be_bytes(array(&mut stream)?);
        if command == 3 {
            return self.associate(stream);
        }
        match self.connect(&format!("{host}:{port}")) {
            Ok(upstream) => {
                slowly(&mut stream, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
                splice(stream, upstream)
            }
            Err(error) => {
                let code = match error.kind() {
                    io::ErrorKind::ConnectionRefused => 5,
                    _ => 4,
                };
                slowly(&mut stream, &[5, code, 0, 1, 0, 0, 0, 0, 0, 0])
            }
        }
    }

    fn http(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(array::<1>(&mut stream)?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let target = lines.next().and_then(|line| line.split(' ').nth(1));
        let target = target.unwrap_or_default().to_owned();
        if let Some((user, password)) = self.login {
            let login = format!("{user}:{password}");
            let login = data_encoding::BASE64.encode(login.as_bytes());
            let expected = format!("Proxy-Authorization: Basic {login}");
            if !lines.any(|line| line == expected) {
                return slowly(
                    &mut stream,
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                );
            }
        }
        match self.connect(&target) {
            Ok(upstream) => {
                slowly(&mut stream, b"HTTP/1.1 200 Established\r\nVia: x\r\n\r\n")?;
                splice(stream, upstream)
            }
            Err(_) => slowly(&mut stream, b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
        }
    }

    fn connect(&self, target: &str) -> io::Result<TcpStream> {
        self.asked.lock().unwrap().push(target.to_owned());
        let address = target.replace(NAME.0, NAME.1);
        let address: SocketAddr = address.parse().map_err(io::Error::other)?;
        self.place
            .run(|| TcpStream::connect_timeout(&address, PATIENCE))
    }

    /// Carries datagrams until the connection ends.
    fn associate(&self, mut stream: TcpStream) -> io::Result<()> {
        self.asked.lock().unwrap().push("udp".into());
        let local = stream.local_addr()?.ip();
        let inside = self.place.run(|| UdpSocket::bind((local, 0)))?;
        // For both families: an address of IPv4 is seen as one of IPv6.
        let outside = self.place.run(|| UdpSocket::bind("[::]:0"))?;
        let bound = SocketAddr::new(behind_translator(local), inside.local_addr()?.port());
        slowly(&mut stream, &[&[5, 0, 0], &said(bound)[..]].concat())?;
        self.associations.lock().unwrap().push(stream.try_clone()?);
        let client = Arc::new(Mutex::new(None));
        let (back_inside, back_outside) = (inside.try_clone()?, outside.try_clone()?);
        let back_client = Arc::clone(&client);
        thread::spawn(move || -> io::Result<()> {
            let mut buffer = [0; 65_536];
            loop {
                let (len, from) = back_outside.recv_from(&mut buffer)?;
                let Some(to) = *back_client.lock().unwrap() else {
                    continue;
                };
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                let datagram = [&[0, 0, 0], &said(from)[..], &buffer[..len]].concat();
                back_inside.send_to(&datagram, to)?;
            }
        });
        thread::spawn(move || -> io::Result<()> {
            let mut buffer = [0; 65_536];
            loop {
                let (len, from) = inside.recv_from(&mut buffer)?;
                *client.lock().unwrap() = Some(from);
                let [0, 0, 0, address @ ..] = &buffer[..len] else {
                    continue;
                };
                let (to, payload): (Ipv6Addr, _) = match address {
                    [1, rest @ ..] => {
                        let (ip, rest) = rest.split_first_chunk::<4>().expect("a whole header");
                        (Ipv4Addr::from(*ip).to_ipv6_mapped(), rest)
                    }
                    [4, rest @ ..] => {
                        let (ip, rest) = rest.split_first_chunk::<16>().expect("a whole header");
                        ((*ip).into(), rest)
                    }
                    _ => continue,
                };
                let (port, payload) = payload.split_first_chunk().expect("a whole header");
                outside.send_to(payload, (to, u16::from_be_bytes(*port)))?;
            }
        });
        io::copy(&mut stream, &mut io::sink()).map(|_| ())
    }
}

/// An address as the protocol writes it.
fn said(address: SocketAddr) -> Vec<u8> {
    let (kind, ip) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (4, ip.octets().to_vec()),
    };
    [&[kind][..], &ip, &address.port().to_be_bytes()].concat()
}

/// What a proxy behind a translator takes its own address for.
fn behind_translator(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(ip) if ip.octets().starts_with(&TRANSLATOR.octets()[..12]) => {
            let [.., a, b, c, d] = ip.octets();
            Ipv4Addr::from([a, b, c, d]).into()
        }
        address => address,
    }
}

/// The translator's prefix, of 96 bits (RFC 6052 section 2.1).
const TRANSLATOR: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// Every byte a segment of its own.
fn slowly(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(std::slice::from_ref(byte))?;
        thread::yield_now();
    }
    Ok(())
}

fn array<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(stream: &mut TcpStream) -> io::Result<String> {
    let [len] = array(stream)?;
    let mut bytes = vec![0; usize::from(len)];
    stream.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Copies both ways, half-closes kept.
fn splice(one: TcpStream, other: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (one.try_clone()?, other.try_clone()?);
    let back = thread::spawn(move || {
        let copied = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
        copied
    });
    let (mut from, mut to) = (other, one);
    let copied = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = back.join();
    copied.map(|_| ())
}
