//! What digits of an encoding stand for, packed into bytes, and read from any bit on.

/// Appends six bits of each sextet, the first one highest; a byte that is not whole ends with zeros.
#[inline]
pub(super) fn pack_sextets(sextets: &[u8], out: &mut Vec<u8>) {
    let end = out
        .len()
        .saturating_add(sextets.len().saturating_mul(6).div_ceil(8));
    let (blocks, rest) = sextets.as_chunks::<32>();
    for block in blocks {
        out.extend_from_slice(&pack_block(block));
    }
    if !rest.is_empty() {
        let mut block = [0; 32];
        for (byte, sextet) in block.iter_mut().zip(rest) {
            *byte = *sextet;
        }
        out.extend_from_slice(&pack_block(&block));
        out.truncate(end);
    }
}

/// Appends four bits of each hexadecimal digit, the first one highest; a last lone digit is followed by zeros.
#[inline]
pub(super) fn pack_hex(digits: &[u8], out: &mut Vec<u8>) {
    let end = out.len().saturating_add(digits.len().div_ceil(2));
    let (blocks, rest) = digits.as_chunks::<8>();
    for block in blocks {
        out.extend_from_slice(&four_bytes(*block).to_be_bytes());
    }
    if !rest.is_empty() {
        let mut block = [b'0'; 8];
        for (byte, digit) in block.iter_mut().zip(rest) {
            *byte = *digit;
        }
        out.extend_from_slice(&four_bytes(block).to_be_bytes());
        out.truncate(end);
    }
}

/// The bits of the first sextets, as many as there is room for, the first one highest.
#[inline]
pub(super) fn bits_of_sextets(sextets: &[u8; 32]) -> u128 {
    let mut groups = sextets.as_chunks::<8>().0.iter();
    let mut next = || {
        groups
            .next()
            .map_or(0, |eight| u128::from(six_bytes(*eight)))
    };
    next() << 64 | next() << 16 | next() >> 32
}

/// The bits of hexadecimal digits, the first one highest.
#[inline]
pub(super) fn bits_of_hex(digits: &[u8; 32]) -> u128 {
    let groups = digits.as_chunks::<8>().0.iter();
    groups.fold(0, |bits, eight| bits << 32 | u128::from(four_bytes(*eight)))
}

/// Appends `count` bytes of `packed`, from its bit `bit` on.
pub(super) fn append_from(packed: &[u8], bit: usize, count: usize, out: &mut Vec<u8>) {
    let from = packed.get(bit / 8..).unwrap_or_default();
    let (shift, count) = ((bit % 8) as u32, count.min(from.len()));
    let Some((bytes, after)) = from.split_at_checked(count) else {
        return;
    };
    if shift == 0 {
        out.extend_from_slice(bytes);
        return;
    }
    let back = 8u32.saturating_sub(shift);
    let joined = |(byte, next): (&u8, &u8)| byte.wrapping_shl(shift) | next.wrapping_shr(back);
    out.extend(
        bytes
            .iter()
            .zip(from.get(1..).unwrap_or_default())
            .map(joined),
    );
    if let (Some(last), [], true) = (bytes.last(), after, count > 0) {
        out.push(last.wrapping_shl(shift));
    }
}

#[inline]
fn pack_block(sextets: &[u8; 32]) -> [u8; 24] {
    let mut bytes = [0; 24];
    let groups = sextets.as_chunks::<8>().0;
    for (six, eight) in bytes.as_chunks_mut::<6>().0.iter_mut().zip(groups) {
        let [packed @ .., _, _] = six_bytes(*eight).to_be_bytes();
        *six = packed;
    }
    bytes
}

/// Six bits of each byte in the upper six bytes of a word.
#[inline]
fn six_bytes(sextets: [u8; 8]) -> u64 {
    let ones = u64::from_be_bytes(sextets);
    let pairs = (ones & 0x3f00_3f00_3f00_3f00) >> 2 | (ones & 0x003f_003f_003f_003f);
    let fours = (pairs & 0x0fff_0000_0fff_0000) >> 4 | (pairs & 0x0000_0fff_0000_0fff);
    let eight = (fours & 0x00ff_ffff_0000_0000) >> 8 | (fours & 0x00ff_ffff);
    eight << 16
}

/// The value of eight hexadecimal digits.
#[inline]
fn four_bytes(digits: [u8; 8]) -> u32 {
    const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let digits = u64::from_be_bytes(digits);
    let letters = (digits >> 6) & 0x0101_0101_0101_0101;
    let values = (digits & LOW).wrapping_add(letters.wrapping_mul(9));
    // What is no digit must not reach into its neighbour.
    let ones = values & LOW;
    let pairs = (ones >> 4 | ones) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs >> 8 | pairs) & 0x0000_ffff_0000_ffff;
    (fours >> 16 | fours) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit: `width` bits of each digit, zeros to the next whole byte.
    fn naive(digits: &[u8], width: usize) -> Vec<u8> {
        let mut bits: Vec<u8> = Vec::new();
        for digit in digits {
            bits.extend((0..width).rev().map(|at| digit >> at & 1));
        }
        bits.resize(bits.len().div_ceil(8) * 8, 0);
        let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
        bits.chunks(8).map(byte).collect()
    }

    proptest! {
        #[test]
        fn packs_as_bit_by_bit(sextets in prop::collection::vec(0u8..64, 0..100)) {
            let mut out = vec![7];
            pack_sextets(&sextets, &mut out);
            prop_assert_eq!(&out[1..], naive(&sextets, 6));

            let digits: Vec<u8> = sextets.iter().map(|s| b"0123456789abcdef0123456789ABCDEF"[usize::from(s % 32)]).collect();
            let nibbles: Vec<u8> = digits.iter().map(|digit| char::from(*digit).to_digit(16).unwrap() as u8).collect();
            out.truncate(1);
            pack_hex(&digits, &mut out);
            prop_assert_eq!(&out[1..], naive(&nibbles, 4));
        }

        #[test]
        fn reads_from_any_bit_on(sextets in prop::collection::vec(0u8..64, 0..100), skip in 0usize..4) {
            let mut packed = Vec::new();
            pack_sextets(&sextets, &mut packed);
            let rest = sextets.get(skip..).unwrap_or_default();
            let whole = rest.len() * 6 / 8;
            let mut out = vec![7];
            append_from(&packed, skip * 6, whole, &mut out);
            prop_assert_eq!(&out[1..], &naive(rest, 6)[..whole]);
        }
    }
}
