//! Packets: four octets of length, one of kind, and the rest.

use bytes::{Buf as _, Bytes, BytesMut};

/// The longest content of a packet we send or take, in octets: what milters are told to
/// expect where nothing else is negotiated.
pub const CONTENT_MAX_OCTETS: usize = 65_535;

/// A packet of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub kind: u8,
    /// The rest.
    pub content: Bytes,
}

/// A length that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packet of {0} octets")]
pub struct BadLength(pub u32);

/// Cuts a stream into packets. Keeps at most one packet and what came behind it.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Takes what came.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// The next packet, if it is all there.
    ///
    /// # Errors
    ///
    /// [`BadLength`] as soon as the length is known; nothing is kept for it.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, BadLength> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        if length == 0 || length as usize > CONTENT_MAX_OCTETS + 1 {
            return Err(BadLength(length));
        }
        let length = length as usize;
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        let mut packet = self.buffer.split_to(length);
        let kind = packet.get_u8();
        Ok(Some(Packet { kind, content: packet.freeze() }))
    }

    /// Octets that came and were not taken yet.
    pub fn waiting_octets(&self) -> usize {
        self.buffer.len()
    }
}

/// Writes a packet behind `out`. Content beyond [`CONTENT_MAX_OCTETS`] is cut off: the
/// commands are built so that it never is.
pub fn encode(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let content = &content[..content.len().min(CONTENT_MAX_OCTETS)];
    let length = content.len() as u32 + 1;
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind);
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packets_split_anywhere_are_the_same_packets(
            packets in proptest::collection::vec(
                (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
            pieces in proptest::collection::vec(1usize..9, 1..40),
        ) {
            let mut stream = Vec::new();
            for (kind, content) in &packets {
                encode(&mut stream, *kind, content);
            }
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            let mut rest = &stream[..];
            for size in pieces.iter().cycle() {
                if rest.is_empty() { break }
                let (now, later) = rest.split_at((*size).min(rest.len()));
                decoder.push(now);
                while let Some(packet) = decoder.next_packet().unwrap() {
                    found.push((packet.kind, packet.content.to_vec()));
                }
                rest = later;
            }
            prop_assert_eq!(found, packets);
            prop_assert_eq!(decoder.waiting_octets(), 0);
        }
    }

    #[test]
    fn a_length_that_lies_is_refused_at_once() {
        for length in [0, CONTENT_MAX_OCTETS as u32 + 2, u32::MAX] {
            let mut decoder = Decoder::default();
            decoder.push(&length.to_be_bytes());
            assert_eq!(decoder.next_packet(), Err(BadLength(length)));
        }
    }
}
