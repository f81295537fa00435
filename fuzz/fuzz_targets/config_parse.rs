//! Configuration texts: never a panic, nothing lost, and the canonical form is one.

#![no_main]

use config::source::FileId;
use config::tree::Tree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (tree, _) = Tree::parse(FileId::ROOT, text);
    assert_eq!(tree.to_text(), text);
    let outcome = config::parse(text);
    let _ = (outcome.render(), outcome.to_json());
    if let Ok(once) = config::format::format(text) {
        assert_eq!(config::format::format(&once).as_ref(), Ok(&once));
        assert!(config::diff::statements(text, &once).is_empty());
    }
    if outcome.config.is_some() {
        let twin = config::json::export(text).expect("a configuration has a twin");
        let back = config::json::import(&twin).expect("and the twin a text");
        assert_eq!(config::json::export(&back).as_ref(), Ok(&twin));
        assert!(config::parse(&back).config.is_some());
    }
});
