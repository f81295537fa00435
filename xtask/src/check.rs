//! Everything CI runs, one named step after the other.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{deny, fuzz, peers, root, tidy};

/// Runs every step; stops at the first that fails and names it.
pub fn run() -> Result<()> {
    step("real peers from Debian", peers::install)?;
    step("formatting", || cargo(&["fmt", "--all", "--check"], &[]))?;
    step("licences, bans, duplicates", deny::run)?;
    step("clippy", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])
    })?;
    step("documentation", || {
        cargo(&["doc", "--workspace", "--no-deps", "--locked"], &[("RUSTDOCFLAGS", "-D warnings")])
    })?;
    step("build", || cargo(&["build", "--workspace", "--all-targets", "--locked"], &[]))?;
    step("tidy", tidy::run)?;
    step("fuzz targets, briefly", || fuzz::run(fuzz::SECONDS_DEFAULT))?;
    step("tests", || cargo(&["test", "--workspace", "--locked", "--no-fail-fast"], &[]))?;
    step("a real fax line", || {
        let line = ["test", "--workspace", "--locked", "--test", "hylafax", "--", "--ignored"];
        cargo(&line, &[])
    })?;
    // Last, since it builds the server once more, with the system's Kerberos library.
    step("sign-in with a real Kerberos", || {
        let kerberos = ["--features", "mailkeep/gssapi", "--test", "gssapi"];
        cargo(&[&["test", "--workspace", "--locked"][..], &kerberos].concat(), &[])
    })
}

fn step(name: &str, action: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("==> {name} ({})", room());
    let begun = Instant::now();
    action().with_context(|| format!("the step \"{name}\" failed"))?;
    println!("    {name}: fine, {:.0} s", begun.elapsed().as_secs_f32());
    Ok(())
}

/// How much room the disk has: a machine that has none fails in ways that name it badly.
fn room() -> String {
    let output = Command::new("df").args(["--output=avail", "-h"]).arg(root()).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    let free = String::from_utf8_lossy(&output);
    format!("{} free", free.lines().nth(1).unwrap_or("unknown").trim())
}

/// Runs cargo in the repository's root.
pub fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).envs(environment.iter().copied()).current_dir(root());
    command.env_remove("CARGO_MANIFEST_DIR");
    let status = command.status().context("cargo could not be started")?;
    if !status.success() {
        bail!("cargo {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}
