//! Octets from a hostile server: the client must neither panic nor send what it must not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{Envelope, Recipient, ReversePath};
use smtp::client::{Credentials, Input, Output, Protocol, Session, Settings, Survey, Transaction};

const CONTENT: &[u8] = b"Subject: x\r\n\r\n.\r\nend\r\n";
const PARTS_MAX: usize = 64;

fuzz_target!(|data: &[u8]| {
    let Some((&first, bytes)) = data.split_first() else { return };
    let protocol = if first & 1 == 0 { Protocol::Smtp } else { Protocol::Lmtp };
    let part = usize::from(first >> 1).max(bytes.len() / PARTS_MAX).max(1);
    let (Ok(hello), Ok(to)) = ("client.example".parse(), "a@mx.example".parse()) else { return };
    let Ok(content) = Survey::of(CONTENT).finish() else { return };
    let mut envelope = Envelope::from(ReversePath::Null);
    envelope.recipients.push(Recipient::new(to));
    let mut session = Session::new(Settings { hello, protocol, implicit_tls: false });
    for input in bytes.chunks(part).map(Input::Bytes).chain([Input::End]) {
        session.handle(input);
        while let Some(output) = session.poll() {
            match output {
                Output::Ready => {
                    if session.start_tls().is_err() {
                        let _ = session.sign_in(Credentials::new("u", "p").expect("fits"));
                    }
                }
                Output::StartTls => session.handle(Input::TlsReady),
                Output::StartTlsRefused(_) | Output::SignedIn(_) => {
                    let _ = session.send(&Transaction { envelope: &envelope, content });
                }
                Output::Content => {
                    let _ = session.content(CONTENT, true);
                }
                Output::Done(report) => {
                    assert_eq!(report.fates.len(), 1);
                    session.quit();
                }
                Output::Send(_) | Output::Failed(_) | Output::Close => {}
            }
        }
    }
});
