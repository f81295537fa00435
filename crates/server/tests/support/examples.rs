//! The shipped example files, on ports of the system's choice.

use std::fs;
use std::path::PathBuf;

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An example as it is shipped. Its relative paths start at the folder it is put into.
pub fn shipped(name: &str) -> String {
    let path = root().join("examples").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An example whose listeners take any free port. Nothing else is changed.
pub fn on_any_port(name: &str) -> String {
    let mut text = String::new();
    for line in shipped(name).lines() {
        text.push_str(&with_port_0(line));
        text.push('\n');
    }
    text
}

fn with_port_0(line: &str) -> String {
    let trimmed = line.trim_start();
    if trimmed.starts_with('#') || !trimmed.starts_with("listener ") {
        return line.to_owned();
    }
    let (before, after) = line.split_once("port ").expect("a listener on one line has a port");
    let digits = after.chars().take_while(char::is_ascii_digit).count();
    assert!(digits > 0, "a port has digits: {line}");
    format!("{before}port 0{}", &after[digits..])
}
