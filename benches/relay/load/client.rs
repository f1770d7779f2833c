//! The app's end: does one thing for some time and prints what came of it as JSON.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{ECHO, SINK, SOURCE, address, content};

/// Does what `words` say.
pub fn run(words: &[&str]) -> io::Result<()> {
    match *words {
        ["up", streams, seconds, content] => streams_of((up, SINK), streams, seconds, content),
        ["down", streams, seconds, content] => {
            streams_of((down, SOURCE), streams, seconds, content)
        }
        ["first-byte", seconds] => first_byte(time(seconds)?),
        ["connections", seconds] => {
            let (count, elapsed) = together(time(seconds)?, |number| {
                exchange(address(number, ECHO)).map(drop)
            })?;
            println!("{{\"count\":{count},\"seconds\":{elapsed}}}");
            Ok(())
        }
        ["datagrams", to, size, seconds] => datagrams(to, size, time(seconds)?),
        ["fresh", to, size, seconds] => {
            let to: SocketAddr = to.parse().map_err(io::Error::other)?;
            let message = message(size)?;
            let (count, elapsed) = together(time(seconds)?, |_| ask_anew(to, &message))?;
            println!("{{\"count\":{count},\"seconds\":{elapsed}}}");
            Ok(())
        }
        ["idle", flows, after] => idle(flows.parse().map_err(io::Error::other)?, after),
        _ => Err(ErrorKind::InvalidInput.into()),
    }
}

fn time(seconds: &str) -> io::Result<Duration> {
    seconds
        .parse()
        .map(Duration::from_secs)
        .map_err(io::Error::other)
}

/// Moves bytes for some time; says how many, and how long that took.
type Stream = fn(TcpStream, &[u8], Duration) -> io::Result<(u64, Duration)>;

/// Runs a stream on each of so many threads, from one moment on.
fn streams_of(
    (stream, port): (Stream, u16),
    streams: &str,
    seconds: &str,
    content: &str,
) -> io::Result<()> {
    let length = time(seconds)?;
    let count: usize = streams.parse().map_err(io::Error::other)?;
    // Records are whole in it, so that it can be sent over and over.
    let (hello, body) = match content {
        "tls" => (content::client_hello("server.example"), content::records(8)),
        _ => (Vec::new(), content::noise(1 << 17)),
    };
    let start = Barrier::new(count);
    let sums: Vec<io::Result<(u64, Duration)>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (hello, body, start) = (&hello, &body, &start);
                scope.spawn(move || {
                    let connected = connect(address(number, port)).and_then(|mut to| {
                        to.write_all(hello)?;
                        Ok(to)
                    });
                    start.wait();
                    stream(connected?, body, length)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a stream does not panic"))
            .collect()
    });
    let (mut bytes, mut elapsed) = (0, 0f64);
    for sum in sums {
        let (more, time) = sum?;
        bytes += more;
        elapsed = elapsed.max(time.as_secs_f64());
    }
    println!("{{\"bytes\":{bytes},\"seconds\":{elapsed}}}");
    Ok(())
}

fn up(mut to: TcpStream, body: &[u8], length: Duration) -> io::Result<(u64, Duration)> {
    let began = Instant::now();
    let mut taken = 0;
    while began.elapsed() < length {
        to.write_all(body)?;
        taken += body.len() as u64;
    }
    to.shutdown(Shutdown::Write)?;
    let mut count = [0; 8];
    // Not every relay passes half of an end on: what it took stands for what it delivered, then.
    to.set_read_timeout(Some(LATE))?;
    match to.read_exact(&mut count) {
        Ok(()) => Ok((u64::from_be_bytes(count), began.elapsed())),
        Err(_) => Ok((taken, length)),
    }
}

fn down(mut from: TcpStream, _: &[u8], length: Duration) -> io::Result<(u64, Duration)> {
    let began = Instant::now();
    let mut buffer = vec![0; 256 << 10];
    let mut count = 0;
    while began.elapsed() < length {
        match from.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            len => count += len as u64,
        }
    }
    Ok((count, began.elapsed()))
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects, and has a byte back.
fn exchange(to: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect(to)?;
    ask(&mut stream, b"?")?;
    Ok(stream)
}

/// Sends something and has as much back.
fn ask(stream: &mut TcpStream, what: &[u8]) -> io::Result<()> {
    stream.write_all(what)?;
    stream.read_exact(&mut vec![0; what.len()])
}

fn first_byte(length: Duration) -> io::Result<()> {
    let until = Instant::now() + length;
    let mut times = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let stream = exchange(address(times.len(), ECHO))?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
        drop(stream);
    }
    times.sort_by(f64::total_cmp);
    let share = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{{\"p50\":{},\"p99\":{}}}", share(50), share(99));
    Ok(())
}

/// Does `work` over and over on some threads; how often, and in how many seconds.
fn together(
    length: Duration,
    work: impl Fn(usize) -> io::Result<()> + Sync,
) -> io::Result<(usize, f64)> {
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let failed: Vec<io::Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    while began.elapsed() < length {
                        work(next.fetch_add(1, Ordering::Relaxed))?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no work panics"))
            .collect()
    });
    failed.into_iter().collect::<io::Result<()>>()?;
    Ok((next.into_inner(), began.elapsed().as_secs_f64()))
}

/// A question of DNS, or noise of a size.
fn message(size: &str) -> io::Result<Vec<u8>> {
    if size == "dns" {
        let name = b"\x04host\x07example\x00";
        let head = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        return Ok([&head[..], name, &[0, 1, 0, 1]].concat());
    }
    let size = size.parse().map_err(io::Error::other)?;
    Ok(content::noise(size))
}

fn ask_anew(to: SocketAddr, message: &[u8]) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(message)?;
    socket.recv(&mut [0; 512]).map(drop)
}

/// Keeps a number of datagrams on their way there and back, by one socket; each has a number of its own in front.
fn datagrams(to: &str, size: &str, length: Duration) -> io::Result<()> {
    let mut message = message(size)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to.parse::<SocketAddr>().map_err(io::Error::other)?)?;
    socket.set_read_timeout(Some(LOST))?;
    let (mut count, mut next, mut open) = (0u64, 0u16, 0);
    let mut buffer = [0; 2_048];
    let began = Instant::now();
    while began.elapsed() < length {
        while open < IN_FLIGHT {
            message[..2].copy_from_slice(&next.to_be_bytes());
            next = next.wrapping_add(1);
            socket.send(&message)?;
            open += 1;
        }
        match socket.recv(&mut buffer) {
            Ok(_) => {
                count += 1;
                open -= 1;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                open = 0;
            }
            Err(error) => return Err(error),
        }
    }
    let elapsed = began.elapsed().as_secs_f64();
    if count == 0 {
        return Err(ErrorKind::TimedOut.into());
    }
    println!("{{\"count\":{count},\"seconds\":{elapsed}}}");
    Ok(())
}

/// Opens connections, uses each for what comes before it is idle, says so, keeps them until told to go on, and looks
/// whether they still work.
fn idle(flows: usize, after: &str) -> io::Result<()> {
    let record = content::record(64);
    let (first, again) = match after {
        "nothing" => (Vec::new(), b"?".to_vec()),
        "http" => (REQUEST.to_vec(), REQUEST.to_vec()),
        "tls" => {
            let hello = content::client_hello("server.example");
            ([hello, record.clone()].concat(), record)
        }
        _ => (b"?".to_vec(), b"?".to_vec()),
    };
    let mut streams = Vec::new();
    for number in 0..flows {
        let used = connect(address(number, ECHO)).and_then(|mut stream| {
            ask(&mut stream, &first)?;
            Ok(stream)
        });
        let used = used.map_err(|error| io::Error::other(format!("connection {number}: {error}")));
        streams.push(used?);
    }
    println!("{{\"open\":{flows}}}");
    io::stdin().read_line(&mut String::new())?;
    for stream in streams.iter_mut().step_by((flows / 100).max(1)) {
        ask(stream, &again)?;
    }
    println!("{{\"alive\":{flows}}}");
    Ok(())
}

/// A relay that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a relay holds at the end of an upload is delivered sooner.
const LATE: Duration = Duration::from_secs(2);
/// Datagrams that are out for longer do not come back.
const LOST: Duration = Duration::from_millis(100);
/// Datagrams on their way.
const IN_FLIGHT: u32 = 64;
/// What a browser asks, more or less.
const REQUEST: &[u8] = b"GET /news/latest?page=2 HTTP/1.1\r\nHost: server.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n";
/// Clients at a time.
const THREADS: usize = 16;
