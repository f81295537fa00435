//! Exports from anywhere: verified within bounds, and never intact without the key.

#![no_main]

use evidence::{PublicKey, verify};
use libfuzzer_sys::fuzz_target;

/// A key whose private half nobody has.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fuzz_target!(|export: &[u8]| {
    let key: PublicKey = KEY.parse().expect("it is a key");
    let report = verify(export, &[key]).expect("reading a slice does not fail");
    assert!(!report.is_intact());
    assert_eq!(report.proven, 0);
    let _ = report.to_string();
});
