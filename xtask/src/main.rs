//! Checks and generators: `cargo xtask check` is what CI runs.
//!
//! | command | what it does |
//! | --- | --- |
//! | `check` | everything below, in order, then the whole test suite |
//! | `peers` | installs the real mail programs that the tests talk to (Debian packages) |
//! | `deny` | licences, banned crates, duplicate TLS or DNS stacks |
//! | `tidy` | crate rows, file sizes, generated pages |
//! | `fuzz [SECONDS]` | builds every fuzz target and runs each for a short time |
//! | `manual` | writes the generated pages of `docs/manual` anew |

mod check;
mod deny;
mod fuzz;
mod peers;
mod tidy;

use std::path::PathBuf;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("check") => check::run(),
        Some("peers") => peers::install(),
        Some("deny") => deny::run(),
        Some("tidy") => tidy::run(),
        Some("fuzz") => {
            let seconds =
                arguments.next().map_or(Ok(fuzz::SECONDS_DEFAULT), |text| text.parse())?;
            fuzz::run(seconds)
        }
        Some("manual") => tidy::write_manual(),
        _ => bail!("usage: cargo xtask check | peers | deny | tidy | fuzz [SECONDS] | manual"),
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}
