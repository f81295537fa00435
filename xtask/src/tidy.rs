//! What the compiler does not see: who may use whom, sizes, generated pages.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::check::cargo;
use crate::root;

/// A crate may use only crates on rows above its own.
const ROWS: &[&[&str]] = &[
    &["mail"],
    &["smtp", "tls", "lab", "sender-auth", "lists"],
    &["rules", "store", "web-client", "ldap", "signing", "dmarc-reports"],
    &["queue", "accounts", "evidence", "filters", "flow", "fax"],
    &["delivery", "pages"],
    &["config", "t38"],
    &["server"],
];

/// A longer file is a missing noun.
const FILE_MAX_LINES: usize = 800;
/// The same for a list of tests.
const TESTS_MAX_LINES: usize = 1_000;

/// Pages that the program writes about itself: the file and the arguments that print it.
const GENERATED: &[(&str, &[&str])] = &[("docs/manual/configuration.md", &["config", "manual"])];

/// Names everything out of order, then fails if there was something.
pub fn run() -> Result<()> {
    let mut findings = Vec::new();
    rows(&mut findings)?;
    sizes(&mut findings)?;
    for (page, arguments) in GENERATED {
        let current = fs::read_to_string(root().join(page)).unwrap_or_default();
        if current != print(arguments)? {
            findings.push(format!("{page} is not what the code says: run cargo xtask manual"));
        }
    }
    for finding in &findings {
        eprintln!("    {finding}");
    }
    if !findings.is_empty() {
        bail!("{} things are out of order", findings.len());
    }
    Ok(())
}

/// Writes the generated pages.
pub fn write_manual() -> Result<()> {
    for (page, arguments) in GENERATED {
        fs::write(root().join(page), print(arguments)?)?;
    }
    Ok(())
}

fn print(arguments: &[&str]) -> Result<String> {
    // The whole workspace, as CI builds it: a package alone would be built anew, because its
    // dependencies then have other features.
    cargo(&["build", "--quiet", "--workspace", "--all-targets", "--locked"], &[])?;
    let output = Command::new(std::env::current_exe()?.with_file_name("mailkeep"))
        .args(arguments)
        .output()
        .context("the mailkeep that was built could not be started")?;
    if !output.status.success() {
        bail!("mailkeep {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn rows(findings: &mut Vec<String>) -> Result<()> {
    let row_of: BTreeMap<&str, usize> = ROWS
        .iter()
        .enumerate()
        .flat_map(|(row, names)| names.iter().map(move |name| (*name, row)))
        .collect();
    for entry in fs::read_dir(root().join("crates"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let Some(&row) = row_of.get(name.as_str()) else {
            findings.push(format!("crates/{name} has no row in xtask/src/tidy.rs"));
            continue;
        };
        let manifest = fs::read_to_string(path.join("Cargo.toml"))?;
        let normal = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in normal.lines() {
            let Some((used, _)) = line.split_once(".workspace") else { continue };
            if row_of.get(used).is_some_and(|&below| below >= row) {
                findings.push(format!("crates/{name} must not use crates/{used}"));
            }
        }
    }
    Ok(())
}

fn sizes(findings: &mut Vec<String>) -> Result<()> {
    let mut folders: Vec<PathBuf> = vec![root().join("crates"), root().join("xtask")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                size(&path, findings)?;
            }
        }
    }
    Ok(())
}

fn size(path: &Path, findings: &mut Vec<String>) -> Result<()> {
    let lines = fs::read_to_string(path)?.lines().count();
    let tests = path.components().any(|part| part.as_os_str() == "tests");
    let limit = if tests { TESTS_MAX_LINES } else { FILE_MAX_LINES };
    if lines > limit {
        let shown = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        findings.push(format!("{shown} has {lines} lines, more than {limit}"));
    }
    Ok(())
}
