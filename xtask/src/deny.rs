//! A gate on what we depend on: licences, banned crates, and one TLS and one
//! DNS stack only.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::root;
use anyhow::{Context, Result, bail};

/// Licences that may be part of an `AND`, or stand alone in an `OR`.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not be in the tree, and why.
const BANNED: &[(&str, &str)] = &[
    (
        "ring",
        "the TLS stack is rustls with aws-lc-rs; a second cryptography library is a second risk",
    ),
    ("openssl", "the TLS stack is rustls with aws-lc-rs"),
    ("openssl-sys", "the TLS stack is rustls with aws-lc-rs"),
    ("native-tls", "the TLS stack is rustls with aws-lc-rs"),
    ("trust-dns-resolver", "its maintained successor is hickory-resolver"),
    ("sqlx", "cannot live beside rusqlite"),
    ("sieve-rs", "AGPL"),
    ("indymilter", "GPL"),
];

/// Crates of which there must be one version only.
const SINGLE: &[&str] = &[
    "rustls",
    "tokio-rustls",
    "aws-lc-rs",
    "aws-lc-sys",
    "rustls-webpki",
    "hickory-proto",
    "hickory-resolver",
    "rusqlite",
    "tokio",
    "x509-parser",
];

/// A crate that is really built.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

impl Package {
    /// Reads a line of `cargo tree`: `name vVERSION (source)|LICENCE`.
    fn parse(line: &str) -> Option<Self> {
        let (package, license) = line.split_once('|')?;
        let mut words = package.split_whitespace();
        let name = words.next()?.to_owned();
        let version = words.next()?.strip_prefix('v')?.to_owned();
        // What `cargo tree` has shown before ends in "(*)".
        let license = license.trim_end_matches("(*)").trim();
        Some(Self { name, version, license: (!license.is_empty()).then(|| license.to_owned()) })
    }
}

/// Names every crate that breaks a rule, then fails if there was one. Looks at what is
/// built for this platform with every feature, tests and benchmarks included.
pub fn run() -> Result<()> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev"])
        .args(["--features", "mailkeep/gssapi"])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .context("cargo tree could not be started")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let packages: BTreeSet<Package> = text.lines().filter_map(Package::parse).collect();
    if packages.is_empty() {
        bail!("cargo tree named no crate");
    }
    let packages: Vec<Package> = packages.into_iter().collect();
    let findings = findings(&packages);
    for finding in &findings {
        eprintln!("    {finding}");
    }
    if !findings.is_empty() {
        bail!("{} crates break the rules above", findings.len());
    }
    println!("    {} crates, all allowed", packages.len());
    Ok(())
}

fn findings(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Package { name, version, license } in packages {
        versions.entry(name).or_default().insert(version);
        let license = license.as_deref().unwrap_or("none stated");
        if !is_allowed(license) {
            findings.push(format!("{name} {version}: the licence \"{license}\" is not allowed"));
        }
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| banned == name) {
            findings.push(format!("{name} {version} is banned: {why}"));
        }
    }
    for name in SINGLE {
        if let Some(found) = versions.get(name).filter(|found| found.len() > 1) {
            let found: Vec<_> = found.iter().copied().collect();
            findings.push(format!("{name} is there more than once: {}", found.join(", ")));
        }
    }
    findings
}

/// Whether an SPDX expression can be satisfied with allowed licences only.
/// `AND` binds tighter than `OR`; one level of parentheses, as crates use it.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0;
    let mut alternatives = vec![String::new()];
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        match (word, alternatives.last_mut()) {
            ("OR", _) if depth == 0 => alternatives.push(String::new()),
            (_, Some(alternative)) => {
                alternative.push(' ');
                alternative.push_str(word);
            }
            (_, None) => {}
        }
    }
    alternatives.iter().any(|alternative| {
        let mut terms = vec![String::new()];
        let mut depth = 0;
        for word in alternative.split_whitespace() {
            match word {
                "(" => depth += 1,
                ")" => depth -= 1,
                "AND" if depth == 0 => terms.push(String::new()),
                _ => {
                    if let Some(term) = terms.last_mut() {
                        if !term.is_empty() {
                            term.push(' ');
                        }
                        term.push_str(word);
                    }
                }
            }
        }
        terms.iter().all(|term| {
            if term.contains(" OR ") { is_allowed(term) } else { ALLOWED.contains(&term.as_str()) }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_allowed_when_some_choice_of_it_is() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "ISC AND (Apache-2.0 OR ISC)",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["GPL-3.0", "AGPL-3.0-only", "MIT AND GPL-2.0", "none stated", "LGPL-2.1"] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_line_of_the_tree_is_read() {
        let read = Package::parse("tokio v1.54.1 (*)|MIT").unwrap();
        assert_eq!((read.name.as_str(), read.version.as_str()), ("tokio", "1.54.1"));
        let ours =
            Package::parse("mailkeep-mail v0.1.0 (/x/crates/mail)|MIT OR Apache-2.0 (*)").unwrap();
        assert_eq!(ours.license.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(Package::parse(""), None);
    }

    #[test]
    fn a_banned_or_doubled_crate_is_named() {
        let package = |name: &str, version: &str| Package {
            name: name.into(),
            version: version.into(),
            license: Some("MIT".into()),
        };
        let found = findings(&[
            package("ring", "1.0.0"),
            package("tokio", "1.0.0"),
            package("tokio", "2.0.0"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("ring") && found[1].contains("tokio"));
    }
}
