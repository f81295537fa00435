//! What strangers send in a call: datagrams and descriptions of media.

#![no_main]

use libfuzzer_sys::fuzz_target;
use t38::sdp::{self, Media};
use t38::udptl::{RECEIVED_MAX_OCTETS, Receiver, Sender};

fuzz_target!(|data: &[u8]| {
    if let Media::Fax(fax) = sdp::read(data) {
        assert!(!fax.media.ip().is_unspecified() && fax.media.port() != 0);
    }
    // Datagrams one after the other, each with its length before it.
    let mut receiver = Receiver::default();
    let (mut rest, mut before) = (data, None);
    while let Some((length, after)) = rest.split_first() {
        let (datagram, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        for packet in receiver.take(datagram) {
            assert!(packet.octets.len() <= RECEIVED_MAX_OCTETS);
            // Every packet is new, and they come in order.
            assert!(before.is_none_or(|b: u16| packet.sequence.wrapping_sub(b) < 0x8000));
            before = Some(packet.sequence.wrapping_add(1));
        }
    }
    // What we write is read again.
    let mut sender = Sender::default();
    for packet in data.chunks(200) {
        let datagram = sender.datagram(packet);
        let packets = Receiver::default().take(&datagram);
        assert_eq!(packets[0].octets, packet);
    }
});
