//! A SOCKS5 server (RFC 1928: no authentication, CONNECT to IPv4 and IPv6) for rivals that need one, a process of its own.

use std::{
    env,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

/// The first word that makes this program be the proxy.
pub const WORD: &str = "socks5-server";
/// Where it listens.
pub const ADDRESS: &str = "127.0.0.1:1080";

pub fn start() -> Result<Child, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let child = Command::new(program)
        .arg(WORD)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    for _ in 0..100 {
        if TcpStream::connect(ADDRESS).is_ok() {
            return Ok(child);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err("the proxy does not listen".into())
}

pub fn serve() -> ExitCode {
    let Ok(listener) = TcpListener::bind(ADDRESS) else {
        return ExitCode::FAILURE;
    };
    for client in listener.incoming().flatten() {
        thread::spawn(move || relay(client));
    }
    ExitCode::SUCCESS
}

fn relay(mut client: TcpStream) -> io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    client.read_exact(&mut vec![0; usize::from(greeting[1])])?;
    client.write_all(&[5, 0])?;
    let server = TcpStream::connect(destination(&mut client)?)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || copy(from, to));
    copy(server, client)
}

fn destination(client: &mut TcpStream) -> io::Result<SocketAddr> {
    let mut head = [0; 4];
    client.read_exact(&mut head)?;
    let address = match head[3] {
        1 => {
            let mut octets = [0; 4];
            client.read_exact(&mut octets)?;
            IpAddr::from(Ipv4Addr::from(octets))
        }
        4 => {
            let mut octets = [0; 16];
            client.read_exact(&mut octets)?;
            IpAddr::from(Ipv6Addr::from(octets))
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    Ok(SocketAddr::new(address, u16::from_be_bytes(port)))
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => return to.shutdown(Shutdown::Write),
            len => to.write_all(&buffer[..len])?,
        }
    }
}
