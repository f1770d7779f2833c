//! Clients that others wrote, and one that writes as it is told.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use crate::{
    noise::{Noise, digest},
    ns::Namespace,
};

/// Runs a program in `place` and gives what it said, once it ended well.
pub fn says(place: &Namespace, program: &str, words: &[&str]) -> String {
    let output = runs(place, program, words);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {}: {}\n{complained}",
        words.join(" "),
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program in `place` to its end, good or bad.
pub fn runs(place: &Namespace, program: &str, words: &[&str]) -> Output {
    let mut command = place.command(program);
    command.args(words).stdin(Stdio::null());
    command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// curl, quiet, with a limit of its own.
pub fn curl(place: &Namespace, words: &[&str]) -> String {
    says(
        place,
        "curl",
        &[&["-sS", "--max-time", "60"], words].concat(),
    )
}

/// A Python script.
pub fn python(place: &Namespace, script: &str, words: &[&str]) -> String {
    says(place, "python3", &[&["-c", script], words].concat())
}

/// Writes `bytes` in pieces of `size`, each a segment of its own, `gap` apart. The error is the connection's end.
pub fn write_split(
    stream: &mut TcpStream,
    bytes: &[u8],
    size: usize,
    gap: Duration,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for piece in bytes.chunks(size) {
        stream.write_all(piece)?;
        thread::sleep(gap);
    }
    Ok(())
}

/// Sends noise to a [`crate::server::sink`] and checks the digest that it answers with.
pub fn upload(stream: TcpStream, seed: u64, len: usize) {
    let bytes = Noise::new(seed).bytes(len);
    let answer = exchange(stream, &bytes).unwrap_or_else(|error| panic!("{len} bytes up: {error}"));
    assert_eq!(
        String::from_utf8_lossy(&answer),
        digest(&bytes),
        "{len} bytes up"
    );
}

/// Reads what a [`crate::server::source`] sends and checks it.
pub fn download(mut stream: TcpStream, seed: u64, len: usize) {
    let mut bytes = Vec::new();
    stream
        .read_to_end(&mut bytes)
        .unwrap_or_else(|error| panic!("{len} bytes down: {error}"));
    assert_eq!(
        (bytes.len(), digest(&bytes)),
        (len, digest(&Noise::new(seed).bytes(len))),
        "{len} bytes down"
    );
}

/// Writes everything, closes its half, and reads to the end, both at a time.
pub fn exchange(mut stream: TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut reader = stream.try_clone()?;
    thread::scope(|scope| {
        let answer = scope.spawn(move || {
            let mut answer = Vec::new();
            reader.read_to_end(&mut answer).map(|_| answer)
        });
        let written = stream
            .write_all(bytes)
            .and_then(|()| stream.shutdown(Shutdown::Write));
        let answer = answer.join().expect("the reader does not panic");
        written.and(answer)
    })
}

/// An address of the servers' namespace.
pub fn at(address: &str) -> SocketAddr {
    address.parse().expect("an address and port")
}
