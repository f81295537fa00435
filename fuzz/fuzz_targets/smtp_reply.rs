//! Replies of a hostile server: read within bounds, the same however they are
//! split, and harmless when written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::Reply;
use smtp::reply::{LINE_MAX_OCTETS, Reader, ReplyError};

fuzz_target!(|data: &[u8]| {
    let Some((&part, bytes)) = data.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(part).max(1)));
    for reply in whole.0 {
        let wire = reply.to_string();
        for line in wire.split_inclusive("\r\n") {
            assert!(line.ends_with("\r\n") && line.is_ascii());
            assert!(line.len() <= LINE_MAX_OCTETS || reply.code() == 334);
            assert!(!line[..line.len() - 2].contains(['\r', '\n']));
        }
    }
});

fn read(bytes: &[u8], part: usize) -> (Vec<Reply>, Option<ReplyError>) {
    let (mut reader, mut replies) = (Reader::default(), Vec::new());
    for mut rest in bytes.chunks(part) {
        while !rest.is_empty() {
            match reader.read(rest) {
                Ok((taken, reply)) => {
                    replies.extend(reply);
                    rest = &rest[taken..];
                }
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}
