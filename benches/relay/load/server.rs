//! The servers, all in one process.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    thread,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};

use super::{DNS, ECHO, SINK, SOURCE, address, content};

/// Serves until it is ended.
pub fn serve() -> io::Result<()> {
    each(SINK, sink)?;
    each(SOURCE, source)?;
    for (port, answer) in [(ECHO, same as fn(&mut [u8])), (DNS, answered)] {
        // At one address, so that answers come from it.
        let socket = UdpSocket::bind(address(0, port))?;
        thread::spawn(move || datagrams(&socket, answer));
    }
    let echo = TcpListener::bind((Ipv4Addr::UNSPECIFIED, ECHO))?;
    println!("ready");
    echoes(&echo)
}

/// A thread for each connection: of these there are few.
fn each(port: u16, serve: fn(TcpStream) -> io::Result<()>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || serve(client));
        }
    });
    Ok(())
}

fn sink(mut client: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut count = 0u64;
    loop {
        match client.read(&mut buffer)? {
            0 => return client.write_all(&count.to_be_bytes()),
            len => count += len as u64,
        }
    }
}

fn source(mut client: TcpStream) -> io::Result<()> {
    let bytes = content::records(64);
    loop {
        client.write_all(&bytes)?;
    }
}

fn datagrams(socket: &UdpSocket, answer: fn(&mut [u8])) -> io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let (len, from) = socket.recv_from(&mut buffer)?;
        answer(&mut buffer[..len]);
        // Who does not wait any more is none of its business.
        let _ = socket.send_to(&buffer[..len], from);
    }
}

fn same(_: &mut [u8]) {}

/// Makes a question its own answer, without records.
fn answered(message: &mut [u8]) {
    if let Some(flags) = message.get_mut(2) {
        *flags |= 0x80;
    }
}

/// One thread for all connections: of these there are thousands.
fn echoes(listener: &TcpListener) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let watch = |poll: &Poll, fd, token| {
        let registry = poll.registry();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)
    };
    let own = Token(0);
    listener.set_nonblocking(true)?;
    watch(&poll, listener.as_raw_fd(), own)?;
    let mut clients = HashMap::new();
    let mut next = 1;
    let mut events = Events::with_capacity(1_024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == own {
                while let Ok((client, _)) = listener.accept() {
                    let token = Token(next);
                    next += 1;
                    client.set_nonblocking(true)?;
                    watch(&poll, client.as_raw_fd(), token)?;
                    clients.insert(token, client);
                }
            } else if let Some(client) = clients.get_mut(&event.token())
                && !answer(client)
            {
                clients.remove(&event.token());
            }
        }
    }
}

/// Whether the connection goes on.
fn answer(client: &mut TcpStream) -> bool {
    let mut buffer = [0; 4_096];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return false,
            Ok(len) if client.write_all(&buffer[..len]).is_ok() => {}
            Ok(_) => return false,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
