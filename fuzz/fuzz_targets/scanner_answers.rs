//! What hostile scanners answer: never a panic, and names fit a log line.

#![no_main]

use filters::scanner::{Score, clamd, rspamd, spamd};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut names = Vec::new();
    if let Some(clamd::Answer::Found(name) | clamd::Answer::Error(name)) = clamd::Answer::read(data)
    {
        names.push(name);
    }
    if let Some(Ok(verdict)) = spamd::Answer::read(data).map(|answer| answer.verdict()) {
        names.extend(verdict.spam.into_iter().flat_map(|spam| spam.symbols));
    }
    if let Some(verdict) = rspamd::read(data) {
        names.extend(verdict.viruses);
        names.extend(verdict.spam.into_iter().flat_map(|spam| spam.symbols));
    }
    for name in names {
        assert!(!name.contains(char::is_control));
        assert!(name.chars().count() <= 200);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(score) = Score::parse(text)
    {
        assert_eq!(Score::parse(&score.to_string()), Some(score));
    }
});
