//! Every security line, the shipped Fail2Ban filter and jail, and the real Fail2Ban.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[path = "../examples/security_lines.rs"]
#[allow(dead_code, reason = "the example has a main of its own")]
mod security_lines;

#[test]
fn fail2ban_finds_every_security_line_with_its_address_and_takes_the_jail() {
    let folder = tempfile::TempDir::new().unwrap();
    let lines = folder.path().join("lines");
    fs::write(&lines, security_lines::lines().unwrap().join("\n") + "\n").unwrap();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new("sh")
        .arg(root.join("tests/interop/fail2ban.sh"))
        .env("SECURITY_LINES", &lines)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "run cargo xtask peers?\n{said}{complaints}");
    assert!(said.contains("30 of 30 security lines found"), "{said}{complaints}");
}
