//! Builds the fuzz targets and runs each for a short, bounded time.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::root;

/// How long each target runs in CI.
pub const SECONDS_DEFAULT: u32 = 8;

/// What cargo-fuzz would pass; with these a stable compiler builds libFuzzer targets.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";

/// Fails when a target does not build, crashes, hangs or outgrows its memory.
pub fn run(seconds: u32) -> Result<()> {
    let fuzz = root().join("fuzz");
    let target = fuzz.join("target");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--bins", "--target", "x86_64-unknown-linux-gnu"])
        .current_dir(&fuzz)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("the fuzz targets do not build");
    }
    for name in targets()? {
        let corpus = fuzz.join("corpus").join(&name);
        let artifacts = fuzz.join("artifacts").join(&name);
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&artifacts)?;
        let mut command = Command::new(target.join("x86_64-unknown-linux-gnu/release").join(&name));
        command.arg(&corpus);
        let seeds = fuzz.join("seeds").join(&name);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        let output = command
            .arg(format!("-max_total_time={seconds}"))
            .args(["-timeout=10", "-rss_limit_mb=1024", "-max_len=65536", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .output()
            .with_context(|| format!("{name} could not be started"))?;
        let report = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            eprintln!("{report}");
            bail!("the fuzz target {name} found something: see {}", artifacts.display());
        }
        let runs = report
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units: "))
            .unwrap_or("?");
        println!("    {name}: {} runs, nothing found", runs.trim());
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(root().join("fuzz/fuzz_targets"))?
        .filter_map(|entry| {
            let path: PathBuf = entry.ok()?.path();
            (path.extension()? == "rs").then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    names.sort();
    Ok(names)
}
