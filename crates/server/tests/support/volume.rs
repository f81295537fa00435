//! A small volume of a test's own, mounted where nobody else sees it.

use std::path::{Path, PathBuf};
use std::process::Command;

const INSIDE: &str = "MAILKEEP_TEST_VOLUME";

/// Runs `body` with a folder that holds `octets` and no more. The test called `test` runs
/// again in a mount namespace of its own for that.
///
/// # Panics
///
/// When the system allows no such namespace: a test that did not run is not green.
pub fn on_a_small_volume(test: &str, octets: u64, body: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(INSIDE) {
        let folder = PathBuf::from(folder);
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={octets}"), "tmpfs"])
            .arg(&folder)
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "no volume was mounted");
        return body(&folder);
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, folder.path())
        .output()
        .expect("unshare, of util-linux, is installed");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{said}");
    assert!(
        output.status.success(),
        "{test} failed in its mount namespace; it needs root, or namespaces for users: {said}"
    );
}

/// A file that takes up room.
pub struct Ballast(PathBuf);

impl Ballast {
    /// Fills the volume of `folder` until `spare` octets are free.
    pub fn leaving(folder: &Path, spare: u64) -> Self {
        let about = rustix::fs::statvfs(folder).expect("the volume's room");
        let free = about.f_bavail * about.f_frsize;
        let file = folder.join("ballast");
        let octets = free.saturating_sub(spare);
        let written = std::io::copy(
            &mut std::io::Read::take(std::io::repeat(b'b'), octets),
            &mut std::fs::File::create(&file).expect("a file for the ballast"),
        );
        assert!(written.is_ok() || spare == 0, "{written:?}");
        Self(file)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
