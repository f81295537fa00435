//! Certificates of strangers and PEM files of administrators: never a panic, and
//! whatever is read fits a log line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tls::{Certificate, Identity};

fuzz_target!(|data: &[u8]| {
    let facts = Certificate::of_peer(data);
    for text in facts.names.iter().chain([&facts.subject, &facts.issuer]) {
        assert!(!text.contains(char::is_control));
        assert!(text.chars().count() <= 300);
    }
    let _ = Identity::from_pem(data, "certificate", data, "key");
    let _ = tls::Roots::only([String::from_utf8_lossy(data)]);
});
