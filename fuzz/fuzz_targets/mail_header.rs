//! Messages of a hostile sender: header, edits, parts and notices stay within bounds,
//! and what is added is exactly what was meant.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::attachment::{self, Scanner};
use mail::header::{Edit, Header, HeaderBuffer, NewField};

fuzz_target!(|data: &[u8]| {
    let Some((&part, message)) = data.split_first() else { return };
    let mut buffer = HeaderBuffer::default();
    let mut scanner = Scanner::new();
    for piece in message.chunks(usize::from(part).max(1)) {
        buffer.push(piece);
        scanner.push(piece);
    }
    let content = scanner.finish();
    assert!(content.parts <= attachment::PARTS_MAX);
    assert!(content.attachments.len() <= attachment::ATTACHMENTS_MAX);
    let Ok(header) = buffer.header() else { return };
    let whole = Header::scan(message).expect("it was scanned in pieces");
    assert_eq!(header.body_start(), whole.body_start());
    assert!(!header.subject().contains(char::is_control));

    let value = String::from_utf8_lossy(&message[..message.len().min(200)]);
    let mut edit = Edit::default();
    edit.add(NewField::new("X-Fuzz", &value).expect("the name is one"));
    edit.tag_subject("[EXT]");
    let edited = edit.apply(&header);
    // What was added may have been one field too many.
    let Ok(again) = Header::scan(&edited.head) else { return };
    let had_subject = usize::from(header.first("Subject").is_none());
    assert_eq!(again.fields().count(), header.fields().count() + 1 + had_subject);
    assert_eq!(again.body_start(), edited.head.len());
});
