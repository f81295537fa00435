//! The real mail programs that tests talk to. A test that cannot find its peer
//! fails; this step makes sure that it can.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::root;

/// Installed the ordinary way.
const PACKAGES: &[&str] = &[
    "swaks",
    "opendkim",
    "opendkim-tools",
    "python3-dkim",
    "python3-authres",
    "python3-nacl",
    "gsasl",
    "curl",
    "faketime",
    "slapd",
    "libnet-ssleay-perl",
    "libauthen-sasl-perl",
    "openssl",
    "libxml2-utils",
    "python3",
    "python3-venv",
    "sslscan",
    "fail2ban",
    "systemd",
    "nftables",
    "iproute2",
    "rbldnsd",
    "postfix",
    "ghostscript",
    "libtiff-tools",
    "poppler-utils",
    "clamav-daemon",
    "clamav-milter",
    "rspamd",
    "spamassassin",
    "spamd",
    // Office files for fax pages: half a minute to install.
    "libreoffice-writer-nogui",
    "libreoffice-calc-nogui",
    "libreoffice-impress-nogui",
    "util-linux",
    // Chinese for fax pages.
    "fonts-wqy-microhei",
    // The fax line of tests, and what it is built of.
    "gcc",
    "hylafax-server",
    "libspandsp-dev",
    "libtiff-dev",
    // A Kerberos realm of tests, and what the build with it needs.
    "krb5-kdc",
    "krb5-admin-server",
    "krb5-user",
    "libkrb5-dev",
    "libclang-dev",
    "python3-gssapi",
    // What Exim is linked with.
    "libdb5.3",
    "libgnutls-dane0",
    "libidn12",
    "libidn2-0",
    "libnsl2",
    "libpcre2-8-0",
];

/// Mail transfer agents exclude each other as packages, so this one is only
/// unpacked, into `target/peers`, and run from there.
const UNPACKED: &[&str] = &["exim4-daemon-light"];

/// Debian's Exim does not start where this user is not, whatever it is told to run as.
const EXIM_USER: &str = "Debian-exim";

/// From PyPI, into a virtual environment under `target/peers`.
const PYTHON: &[&str] = &["sslyze==6.2.0"];

/// Where the unpacked peers are.
pub fn folder() -> PathBuf {
    root().join("target/peers")
}

/// Installs what is missing. Needs root, or sudo.
pub fn install() -> Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().copied().filter(|package| !is_installed(package)).collect();
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let unpacked = |package: &str| folder.join(package).is_dir();
    if !missing.is_empty() || !UNPACKED.iter().all(|package| unpacked(package)) {
        privileged(&["apt-get", "update", "-qq"])?;
    }
    if !missing.is_empty() {
        let mut command = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
        command.extend(&missing);
        privileged(&command)?;
    }
    for package in UNPACKED {
        if !unpacked(package) {
            unpack(package, &folder)?;
        }
    }
    if !has_user(EXIM_USER) {
        privileged(&[
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
            "--shell",
            "/usr/sbin/nologin",
            EXIM_USER,
        ])?;
    }
    python(&folder.join("python"))
}

fn has_user(name: &str) -> bool {
    Command::new("getent")
        .args(["passwd", name])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

fn unpack(package: &str, folder: &Path) -> Result<()> {
    let downloads = folder.join("downloads");
    fs::create_dir_all(&downloads)?;
    run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&downloads))?;
    let archive = fs::read_dir(&downloads)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&format!("{package}_")))
        })
        .with_context(|| format!("apt-get download {package} left no archive"))?;
    run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(folder.join(package)))
}

fn python(environment: &Path) -> Result<()> {
    let marker = environment.join("installed");
    let wanted = PYTHON.join("\n");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    run(Command::new(environment.join("bin/pip")).args(["install", "--quiet"]).args(PYTHON))?;
    fs::write(marker, wanted)?;
    Ok(())
}

fn privileged(command: &[&str]) -> Result<()> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut words = command.to_vec();
    if !root {
        words.insert(0, "sudo");
    }
    run(Command::new(words[0]).args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} could not be started"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
