//! UDPTL: fax packets in UDP datagrams, each with those before it in case they were lost
//! (ITU-T T.38, clause 9.1).
//!
//! ```text
//! sequence number (2) │ length │ packet │ 0x00 │ how many │ (length │ earlier packet) …
//! ```
//!
//! What we send is repeated so. What comes may have parity packets instead; those are skipped,
//! and the packet itself is read.

use std::collections::VecDeque;

/// The longest datagram that is sent and asked for, in octets: one that no network divides. Most
/// sides say that they take less.
pub const DATAGRAM_MAX_OCTETS: usize = 1_400;
/// The longest datagram that is read, in octets.
pub const RECEIVED_MAX_OCTETS: usize = 2_048;
/// How many earlier packets stand in a datagram.
const REPEATED: usize = 3;
/// The most lost packets that are taken from one datagram.
const RECOVERED_MAX: usize = 16;
/// How far a sequence number may jump ahead; what is further is of no call of ours.
const JUMP_MAX: u16 = 1_024;

/// Packets on their way out.
#[derive(Debug)]
pub struct Sender {
    next: u16,
    earlier: VecDeque<Vec<u8>>,
    octets_max: usize,
}

impl Default for Sender {
    fn default() -> Self {
        Self { next: 0, earlier: VecDeque::new(), octets_max: DATAGRAM_MAX_OCTETS }
    }
}

impl Sender {
    /// To a side that takes datagrams of so many octets. A packet that alone is longer goes
    /// out nevertheless: there is no other way to send it.
    pub fn limited(octets_max: u32) -> Self {
        let octets_max = (octets_max as usize).min(DATAGRAM_MAX_OCTETS);
        Self { octets_max, ..Self::default() }
    }

    /// The datagram for a packet; with as many of those before it as there is room for.
    pub fn datagram(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut datagram = self.next.to_be_bytes().to_vec();
        field(&mut datagram, packet);
        // Repeated packets, not parity.
        datagram.push(0x00);
        let count_at = datagram.len();
        datagram.push(0);
        for earlier in &self.earlier {
            if datagram.len() + 2 + earlier.len() > self.octets_max {
                break;
            }
            field(&mut datagram, earlier);
            datagram[count_at] += 1;
        }
        self.next = self.next.wrapping_add(1);
        self.earlier.push_front(packet.to_vec());
        self.earlier.truncate(REPEATED);
        datagram
    }
}

/// A length and its octets (ITU-T X.691, 10.9.3.6 and .7).
fn field(datagram: &mut Vec<u8>, octets: &[u8]) {
    // A packet has at most some hundred octets, far from the 16 KiB that this form reaches.
    let length = octets.len().min(0x3fff);
    if length < 0x80 {
        datagram.push(length as u8);
    } else {
        datagram.extend([0x80 | (length >> 8) as u8, length as u8]);
    }
    datagram.extend_from_slice(&octets[..length]);
}

/// A packet that has come, and its place among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its sequence number.
    pub sequence: u16,
    /// The packet.
    pub octets: Vec<u8>,
}

/// Packets as they come in.
#[derive(Debug, Default)]
pub struct Receiver {
    expected: Option<u16>,
    /// Packets that were lost and came with a later datagram.
    pub recovered: u64,
    /// Packets that never came.
    pub lost: u64,
}

impl Receiver {
    /// The packets of a datagram that were not there before, in their order. A datagram that
    /// is none gives nothing.
    pub fn take(&mut self, datagram: &[u8]) -> Vec<Packet> {
        let Some((sequence, packet, earlier)) = read(datagram) else { return Vec::new() };
        let expected = *self.expected.get_or_insert(sequence);
        let gap = sequence.wrapping_sub(expected);
        if gap > JUMP_MAX {
            return Vec::new();
        }
        let mut packets = Vec::with_capacity(1);
        // The first of those before it is the latest.
        let found = earlier.len().min(usize::from(gap));
        for (back, octets) in earlier.into_iter().take(found).enumerate().rev() {
            let sequence = sequence.wrapping_sub(1 + back as u16);
            packets.push(Packet { sequence, octets: octets.to_vec() });
        }
        self.recovered += found as u64;
        self.lost += u64::from(gap) - found as u64;
        packets.push(Packet { sequence, octets: packet.to_vec() });
        self.expected = Some(sequence.wrapping_add(1));
        packets
    }
}

type Datagram<'a> = (u16, &'a [u8], Vec<&'a [u8]>);

fn read(datagram: &[u8]) -> Option<Datagram<'_>> {
    if datagram.len() > RECEIVED_MAX_OCTETS {
        return None;
    }
    let (sequence, mut rest) = datagram.split_at_checked(2)?;
    let sequence = u16::from_be_bytes([sequence[0], sequence[1]]);
    let packet = octets(&mut rest)?;
    if packet.is_empty() {
        return None;
    }
    let mut earlier = Vec::new();
    // A datagram may end here, and what cannot be read behind the packet does not spoil it.
    if let Some((&0x00, mut rest)) = rest.split_first() {
        let count = length(&mut rest).unwrap_or_default();
        for _ in 0..count.min(RECOVERED_MAX) {
            match octets(&mut rest) {
                Some(packet) if !packet.is_empty() => earlier.push(packet),
                _ => break,
            }
        }
    }
    Some((sequence, packet, earlier))
}

fn octets<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = length(rest)?;
    let (octets, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(octets)
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let (&first, after) = rest.split_first()?;
    if first & 0x80 == 0 {
        *rest = after;
        return Some(usize::from(first));
    }
    // The third form is for fragments, which no datagram of T.38 has.
    if first & 0x40 != 0 {
        return None;
    }
    let (&second, after) = after.split_first()?;
    *rest = after;
    Some(usize::from(first & 0x3f) << 8 | usize::from(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(count: usize) -> Vec<Vec<u8>> {
        let mut sender = Sender::default();
        (0..count).map(|n| sender.datagram(format!("packet {n}").as_bytes())).collect()
    }

    fn names(packets: &[Packet]) -> Vec<String> {
        let name = |packet: &Packet| {
            let text = String::from_utf8_lossy(&packet.octets).into_owned();
            assert_eq!(text, format!("packet {}", packet.sequence));
            text
        };
        packets.iter().map(name).collect()
    }

    #[test]
    fn a_datagram_has_the_packet_and_three_before_it() {
        let datagrams = sent(5);
        assert_eq!(datagrams[0], b"\0\0\x08packet 0\0\0");
        let fifth = b"\0\x04\x08packet 4\0\x03\x08packet 3\x08packet 2\x08packet 1";
        assert_eq!(datagrams[4], fifth);
    }

    #[test]
    fn up_to_three_lost_in_a_row_come_with_the_next() {
        let datagrams = sent(10);
        let mut receiver = Receiver::default();
        assert_eq!(names(&receiver.take(&datagrams[0])), ["packet 0"]);
        let caught_up = names(&receiver.take(&datagrams[4]));
        assert_eq!(caught_up, ["packet 1", "packet 2", "packet 3", "packet 4"]);
        assert_eq!((receiver.recovered, receiver.lost), (3, 0));
        let with_a_hole = names(&receiver.take(&datagrams[9]));
        assert_eq!(with_a_hole, ["packet 6", "packet 7", "packet 8", "packet 9"]);
        assert_eq!((receiver.recovered, receiver.lost), (6, 1));
    }

    #[test]
    fn what_comes_twice_or_late_is_taken_once() {
        let datagrams = sent(4);
        let mut receiver = Receiver::default();
        for datagram in [&datagrams[0], &datagrams[0], &datagrams[2], &datagrams[1]] {
            receiver.take(datagram);
        }
        assert_eq!(names(&receiver.take(&datagrams[3])), ["packet 3"]);
    }

    #[test]
    fn numbers_go_round() {
        let mut sender = Sender { next: u16::MAX - 1, ..Sender::default() };
        let mut receiver = Receiver::default();
        let mut seen = Vec::new();
        for n in 0..5_u8 {
            let datagram = sender.datagram(&[n]);
            // Every second one is lost.
            if n % 2 == 0 {
                seen.extend(receiver.take(&datagram).into_iter().map(|packet| packet.octets[0]));
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_long_packet_leaves_out_those_before_it() {
        let mut sender = Sender::limited(400);
        sender.datagram(&[1; 200]);
        let datagram = sender.datagram(&[2; 300]);
        assert!(datagram.len() <= 400);
        let packets = Receiver::default().take(&datagram);
        assert_eq!(packets, [Packet { sequence: 1, octets: vec![2; 300] }]);
        let mut sender = Sender::limited(72);
        sender.datagram(&[1; 40]);
        assert_eq!(sender.datagram(&[2; 40]).len(), 2 + 1 + 40 + 2);
    }

    #[test]
    fn parity_is_skipped_and_nonsense_gives_nothing() {
        let mut receiver = Receiver::default();
        let with_parity = b"\0\x07\x03abc\x80\x01\x01\x01\x05xxxxx";
        assert_eq!(receiver.take(with_parity).len(), 1);
        for nonsense in [
            &b""[..],
            b"\0",
            b"\0\x08",
            b"\0\x08\x00\0\0",
            b"\0\x08\x7fshort",
            b"\0\x08\xc1fragment",
            b"\0\x08\x82",
            &[0; RECEIVED_MAX_OCTETS + 1],
        ] {
            assert!(receiver.take(nonsense).is_empty(), "{nonsense:?}");
        }
        // Many packets are announced and none is there; the one that is there counts.
        assert_eq!(receiver.take(b"\0\x08\x01a\0\x7f").len(), 1);
        // A stranger's number far ahead does not make ours old.
        assert!(receiver.take(b"\x7f\xff\x01a\0\0").is_empty());
        assert_eq!(receiver.take(b"\0\x09\x01a\0\0").len(), 1);
    }
}
