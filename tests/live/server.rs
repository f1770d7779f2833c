//! Servers of the tests' own, which remember what reached them.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    noise::{Noise, digest},
    ns::Namespace,
};

/// A TCP server; every connection is served on a thread of its own.
pub struct Server {
    pub address: SocketAddr,
    record: Arc<Record>,
}

/// What reached a server.
#[derive(Default)]
pub struct Record {
    connections: Mutex<Vec<SocketAddr>>,
    bytes: Mutex<Vec<u8>>,
    marks: Mutex<Vec<(String, Instant)>>,
}

impl Server {
    /// Listens at `address` inside `place`; `serve` is called once a connection.
    pub fn start<S>(place: &Namespace, address: &str, serve: S) -> Self
    where
        S: Fn(TcpStream, &Record) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = place
            .run(|| TcpListener::bind(address))
            .expect("the address is the server's");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let record = Arc::new(Record::default());
        let serve = Arc::new(serve);
        thread::spawn({
            let record = Arc::clone(&record);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (record, serve) = (Arc::clone(&record), Arc::clone(&serve));
                    record
                        .connections
                        .lock()
                        .unwrap()
                        .extend(stream.peer_addr().ok());
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    let _ = stream.set_write_timeout(Some(PATIENCE));
                    let _ = stream.set_nodelay(true);
                    thread::spawn(move || serve(stream, &record));
                }
            }
        });
        Self { address, record }
    }

    /// Forgets who connected so far.
    pub fn forget_connections(&self) {
        self.record.connections.lock().unwrap().clear();
    }

    /// Number of connections that were accepted.
    pub fn connections(&self) -> usize {
        self.record.connections.lock().unwrap().len()
    }

    /// Every byte that arrived, over all connections, as far as `serve` recorded it.
    pub fn bytes(&self) -> Vec<u8> {
        self.record.bytes.lock().unwrap().clone()
    }

    /// What `serve` marked, and when.
    pub fn marks(&self) -> Vec<(String, Instant)> {
        self.record.marks.lock().unwrap().clone()
    }

    /// Waits until `serve` has marked `what`; false after [`PATIENCE`].
    pub fn reaches(&self, what: &str) -> bool {
        eventually(|| {
            self.record
                .marks
                .lock()
                .unwrap()
                .iter()
                .any(|(mark, _)| mark == what)
        })
    }
}

impl Record {
    pub fn add(&self, bytes: &[u8]) {
        self.bytes.lock().unwrap().extend_from_slice(bytes);
    }

    pub fn mark(&self, what: impl Into<String>) {
        self.marks
            .lock()
            .unwrap()
            .push((what.into(), Instant::now()));
    }
}

/// Waits until `condition` holds; false after [`PATIENCE`].
pub fn eventually(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    condition()
}

/// Sends back what comes, until the client's end; then ends too.
pub fn echo(mut stream: TcpStream, record: &Record) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            record.mark("end");
            return stream.shutdown(Shutdown::Write);
        }
        stream.write_all(&buffer[..len])?;
    }
}

/// Records every byte until the end, whatever it is, then answers with the digest.
pub fn sink(mut stream: TcpStream, record: &Record) -> io::Result<()> {
    let mut bytes = Vec::new();
    let read = drain(&mut stream, |chunk| bytes.extend_from_slice(chunk));
    record.add(&bytes);
    match read {
        Ok(()) => record.mark("end"),
        Err(error) => record.mark(format!("{:?}", error.kind())),
    }
    stream.write_all(digest(&bytes).as_bytes())
}

/// Sends `Noise::new(seed).bytes(len)`, closes its half, then reads to the end.
pub fn source(seed: u64, len: usize) -> impl Fn(TcpStream, &Record) -> io::Result<()> {
    move |mut stream, record| {
        stream.write_all(&Noise::new(seed).bytes(len))?;
        stream.shutdown(Shutdown::Write)?;
        drain(&mut stream, |chunk| record.add(chunk))?;
        record.mark("end");
        Ok(())
    }
}

/// Reads nothing until [`Record`] holds the mark `go`, then is a [`sink`].
pub fn slow(go: Arc<std::sync::Barrier>) -> impl Fn(TcpStream, &Record) -> io::Result<()> {
    move |stream, record| {
        go.wait();
        sink(stream, record)
    }
}

/// Reads one byte and resets the connection.
pub fn reset(mut stream: TcpStream, record: &Record) -> io::Result<()> {
    stream.read_exact(&mut [0])?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    record.mark("reset");
    Ok(())
}

/// The collector of the 2019 registration: records every byte as it comes and answers a whole request as that server did.
pub fn collector(mut stream: TcpStream, record: &Record) -> io::Result<()> {
    let mut seen = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        record.add(&buffer[..len]);
        seen.extend_from_slice(&buffer[..len]);
        if is_whole_request(&seen) {
            record.mark("request");
            let body = r#"{"resultCode":"0","resultDesc":"Success"}"#;
            return respond(&mut stream, body.as_bytes());
        }
    }
}

/// An HTTP/1.1 server that records heads and bodies as sent and answers with the digest of the decoded body. It grants
/// `Expect: 100-continue` and marks each stage of a request.
pub fn http(stream: TcpStream, record: &Record) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        record.add(head.as_bytes());
        record.mark("head");
        let field = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            lines
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
                .next_back()
        };
        if field("expect").is_some() {
            thread::sleep(Duration::from_millis(300));
            record.mark("continue");
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = if field("transfer-encoding") == Some("chunked") {
            chunks(&mut reader, record)?
        } else {
            let length =
                field("content-length").map_or(0, |value| value.parse().expect("a length"));
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            body
        };
        record.add(&body);
        record.mark("body");
        respond(reader.get_mut(), digest(&body).as_bytes())?;
    }
}

/// Who sent what.
type Datagrams = Vec<(SocketAddr, Vec<u8>)>;

/// Sends back each datagram and remembers who sent it and what it was.
pub struct Echo {
    pub address: SocketAddr,
    seen: Arc<Mutex<Datagrams>>,
}

impl Echo {
    pub fn start(place: &Namespace, address: &str) -> Self {
        let socket = place
            .run(|| UdpSocket::bind(address))
            .expect("the address is the server's");
        let address = socket.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                let mut buffer = vec![0; 65_536];
                while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    seen.lock().unwrap().push((from, buffer[..len].to_vec()));
                    let _ = socket.send_to(&buffer[..len], from);
                }
            }
        });
        Self { address, seen }
    }

    /// Who sent what, in order.
    pub fn seen(&self) -> Datagrams {
        self.seen.lock().unwrap().clone()
    }
}

fn drain(stream: &mut TcpStream, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => each(&buffer[..len]),
        }
    }
}

fn is_whole_request(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |value| value.trim().parse().expect("a length"));
    bytes.len() >= end + 4 + length
}

fn respond(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())
}

fn chunks(reader: &mut BufReader<TcpStream>, record: &Record) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(body);
        }
        record.mark("chunk");
        body.extend_from_slice(&chunk[..length]);
    }
}

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);
