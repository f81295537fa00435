//! Addresses and domains of a hostile peer: what is read shows in one line, and reads
//! back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{Address, Domain, ReversePath};

fuzz_target!(|text: &str| {
    if let Ok(domain) = Domain::parse(text) {
        assert!(domain.as_str().is_ascii());
        assert_eq!(Domain::parse(domain.as_str()), Ok(domain));
    }
    if let Ok(address) = Address::parse(text) {
        let shown = address.to_string();
        assert!(!shown.contains(char::is_control));
        assert_eq!(Address::parse(&shown).as_ref(), Ok(&address));
        assert_eq!(ReversePath::try_from(shown), Ok(ReversePath::Address(address)));
    }
});
