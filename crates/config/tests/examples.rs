//! The shipped examples check clean.

use std::path::Path;

#[test]
fn the_shipped_examples_check_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        let outcome = config::load_in(&path, &config::Disk { text_only: true });
        assert_eq!(outcome.render(), "", "{}", path.display());
        assert!(outcome.config.is_some(), "{}", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(config::format::format(&text).unwrap(), text, "{}", path.display());
        checked += 1;
    }
    assert!(checked > 0);
}
