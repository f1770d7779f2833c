//! What streams consist of.

/// Bytes without pattern: what is compressed looks like this.
pub fn noise(length: usize) -> Vec<u8> {
    // Xorshift (Marsaglia 2003).
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_ne_bytes()
    });
    words.flatten().take(length).collect()
}

/// So many TLS records of application data, as long as they may be.
pub fn records(count: usize) -> Vec<u8> {
    record(LONGEST).repeat(count)
}

/// A TLS record of application data with a body of so many bytes.
pub fn record(length: u16) -> Vec<u8> {
    let body = noise(length.into());
    [&[23, 3, 3][..], &block16(&body)].concat()
}

/// A record that opens a connection to `host` (RFC 8446 section 4.1.2), with the extensions that a server name needs.
pub fn client_hello(host: &str) -> Vec<u8> {
    let name = [&[0][..], &block16(host.as_bytes())].concat();
    let server_name = [&[0, 0][..], &block16(&block16(&name))].concat();
    let versions = [0, 43, 0, 3, 2, 3, 4];
    let groups = [0, 10, 0, 4, 0, 2, 0, 29];
    let extensions = [&server_name[..], &versions, &groups].concat();
    let hello = [
        &[3, 3][..],
        &[0x5a; 32],
        &[0],
        &block16(&[0x13, 1, 0x13, 2]),
        &[1, 0],
        &block16(&extensions),
    ]
    .concat();
    let length = u32::try_from(hello.len()).expect("a hello is short");
    let handshake = [&[1][..], &length.to_be_bytes()[1..], &hello].concat();
    [&[22, 3, 1][..], &block16(&handshake)].concat()
}

fn block16(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("it is short");
    [&length.to_be_bytes(), bytes].concat()
}

/// Bytes of a record's body at most, by RFC 8446 section 5.1.
const LONGEST: u16 = 0x4000;
