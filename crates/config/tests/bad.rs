//! A catalogue of bad configurations: each names the codes it must give, in the order of
//! the text, in its first line.

use std::path::Path;

#[test]
fn every_bad_configuration_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = String::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let expected = text.lines().next().and_then(|line| line.strip_prefix("# expect: "));
        let outcome = config::parse(&text);
        let found: Vec<_> = outcome.diagnostics.iter().map(|d| d.code.to_string()).collect();
        if expected != Some(&found.join(" ")) {
            let name = file.file_name().unwrap().to_string_lossy();
            wrong.extend([&name, ": ", &outcome.render(), "\n"]);
        }
        let blocks = outcome.diagnostics.iter().any(config::Diagnostic::is_error);
        assert_eq!(outcome.config.is_none(), blocks, "{}", file.display());
    }
    assert!(files.len() > 50);
    assert!(wrong.is_empty(), "\n{wrong}");
}
