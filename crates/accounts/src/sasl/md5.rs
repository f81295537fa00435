//! MD5 (RFC 1321) with its state in the open.
//!
//! Only the old mechanisms CRAM-MD5 and DIGEST-MD5 use it, and only where an administrator
//! switched them on. It is written out here because the verifier of CRAM-MD5 is the state of
//! an HMAC whose key has already gone in (RFC 2195 section 3), so that the password itself
//! need not be kept.

/// Octets of a block.
pub(crate) const BLOCK_OCTETS: usize = 64;

/// The state after whole blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State([u32; 4]);

impl State {
    /// Before the first block.
    pub const START: Self = Self([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]);

    /// After one more block.
    pub fn after(self, block: &[u8; BLOCK_OCTETS]) -> Self {
        let mut words = [0_u32; 16];
        for (word, octets) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = octets.iter().rev().fold(0, |word, octet| word << 8 | u32::from(*octet));
        }
        let [mut a, mut b, mut c, mut d] = self.0;
        for round in 0..64 {
            let (mixed, at) = match round / 16 {
                0 => ((b & c) | (!b & d), round),
                1 => ((d & b) | (!d & c), (5 * round + 1) % 16),
                2 => (b ^ c ^ d, (3 * round + 5) % 16),
                _ => (c ^ (b | !d), (7 * round) % 16),
            };
            let sum = a.wrapping_add(mixed).wrapping_add(SINES[round]).wrapping_add(words[at]);
            let turned = sum.rotate_left(TURNS[round / 16][round % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
        }
        let [was_a, was_b, was_c, was_d] = self.0;
        Self([
            was_a.wrapping_add(a),
            was_b.wrapping_add(b),
            was_c.wrapping_add(c),
            was_d.wrapping_add(d),
        ])
    }

    /// The digest once `rest` has followed `blocks` whole blocks.
    pub fn finish(mut self, blocks: u64, rest: &[u8]) -> [u8; 16] {
        let bits = (blocks * BLOCK_OCTETS as u64 + rest.len() as u64).wrapping_mul(8);
        let mut padded = rest.to_vec();
        padded.push(0x80);
        while padded.len() % BLOCK_OCTETS != BLOCK_OCTETS - 8 {
            padded.push(0);
        }
        padded.extend_from_slice(&bits.to_le_bytes());
        for block in padded.as_chunks::<BLOCK_OCTETS>().0 {
            self = self.after(block);
        }
        self.to_octets()
    }

    /// The state as octets; of a finished digest, the digest.
    pub fn to_octets(self) -> [u8; 16] {
        let mut octets = [0; 16];
        for (at, word) in octets.chunks_exact_mut(4).zip(self.0) {
            at.copy_from_slice(&word.to_le_bytes());
        }
        octets
    }

    /// The state that [`to_octets`](Self::to_octets) wrote.
    pub fn from_octets(octets: &[u8; 16]) -> Self {
        let mut words = [0_u32; 4];
        for (word, octets) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*octets);
        }
        Self(words)
    }
}

/// The digest of `octets`.
pub(crate) fn digest(octets: &[u8]) -> [u8; 16] {
    State::START.finish(0, octets)
}

/// In small hexadecimal digits, as both mechanisms want it.
pub(crate) fn hex(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// `floor(2^32 * abs(sin(i)))` for i from 1 to 64 (RFC 1321 section 3.4).
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_of_rfc_1321_come_out() {
        let cases = [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(hex(&digest(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn a_state_that_was_kept_goes_on() {
        let block = [b'x'; BLOCK_OCTETS];
        let kept = State::from_octets(&State::START.after(&block).to_octets());
        let whole = [&block[..], b"and more"].concat();
        assert_eq!(kept.finish(1, b"and more"), digest(&whole));
    }
}
