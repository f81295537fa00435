//! Office files to PDF by LibreOffice: another program, run once for each file, locked up.
//!
//! It gets a profile that lives as long as the run, limits of memory, time and file sizes, and
//! a world of its own (`office.sh`): programs and fonts to read, one folder to work in, no
//! network, no other process and no other file. What it says of its success means nothing, so
//! only a PDF counts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Memory of a conversion, in octets.
const MEMORY_MAX_OCTETS: u64 = 3 * 1024 * 1024 * 1024;
/// Its time of the processor, in seconds.
const CPU_MAX_SECS: u64 = 60;
/// The largest file it may write, in octets.
const FILE_MAX_OCTETS: u64 = 100 * 1024 * 1024;
/// The longest that it may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How many run at once.
const AT_ONCE_MAX: usize = 2;
/// How much of its complaints is kept, in octets.
const SAID_MAX_OCTETS: u64 = 2_048;

/// Makes the world that the program sees, and goes on as the program.
const WORLD: &str = include_str!("office.sh");

static PLACES: Semaphore = Semaphore::const_new(AT_ONCE_MAX);

/// No macro runs, nothing active loads, and no link to another file is followed.
const SETTINGS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Writer/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>2</value></prop></item>
<item oor:path="/org.openoffice.Office.Calc/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>2</value></prop></item>
</oor:items>
"#;

/// Kills a process with all that it started, at the latest when this is dropped.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // It is gone already where all went well.
        let _gone = kill_process_group(self.0, Signal::KILL);
    }
}

/// Whether `program` is installed.
pub fn is_installed(program: &Path) -> bool {
    program.is_file()
}

/// The folder that a program needs beside those of the system: its product's below `/opt`, else
/// the one it is in.
fn own_folder(program: &Path) -> PathBuf {
    let mut names = program.components();
    let is_below = |folder: &str| program.starts_with(folder);
    if is_below("/usr") || is_below("/bin") {
        PathBuf::new()
    } else if is_below("/opt") {
        names.by_ref().take(3).collect()
    } else {
        program.parent().map(Path::to_path_buf).unwrap_or_default()
    }
}

/// The file as PDF.
///
/// # Errors
///
/// When no PDF comes of it, with what the program said.
pub async fn convert(program: &Path, extension: &str, octets: Vec<u8>) -> Result<Vec<u8>> {
    let _place = PLACES.acquire().await?;
    let folder = tempfile::Builder::new().prefix("mailkeep-office-").tempdir()?;
    let (home, user) = (folder.path(), folder.path().join("profile/user"));
    tokio::fs::create_dir_all(&user).await?;
    tokio::fs::write(user.join("registrymodifications.xcu"), SETTINGS).await?;
    let input = home.join(format!("document.{extension}"));
    tokio::fs::write(&input, octets).await?;
    let mut child = Command::new("prlimit")
        .args([
            format!("--as={MEMORY_MAX_OCTETS}"),
            format!("--cpu={CPU_MAX_SECS}"),
            format!("--fsize={FILE_MAX_OCTETS}"),
            "--core=0".to_owned(),
        ])
        .args(["unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "--", "sh", "-c", WORLD, "office.sh"])
        .arg(home)
        .arg(own_folder(program))
        .arg(program)
        .arg(format!("-env:UserInstallation=file://{}/profile", home.display()))
        .args(["--headless", "--norestore", "--nolockcheck", "--nodefault", "--convert-to"])
        .args(["pdf", "--outdir"])
        .arg(home)
        .arg(&input)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", home)
        .env("TMPDIR", home)
        .env("LANG", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("prlimit of util-linux cannot be started")?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let group = Group(pid.context("the conversion has ended already")?);
    let mut errors = child.stderr.take().context("no standard error")?.take(SAID_MAX_OCTETS);
    let listening = tokio::spawn(async move {
        let mut said = Vec::new();
        errors.read_to_end(&mut said).await.map(|_| said)
    });
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    // What it started and left behind ends with it, and holds nothing open any more.
    drop(group);
    let said = listening.await??;
    if ended.is_err() {
        bail!("it took longer than {} seconds", PATIENCE.as_secs());
    }
    let pdf = tokio::fs::read(home.join("document.pdf")).await.unwrap_or_default();
    if !pdf.starts_with(b"%PDF-") {
        bail!("no PDF came of it: {}", String::from_utf8_lossy(&said).trim());
    }
    Ok(pdf)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    use super::*;

    /// A program in the place of LibreOffice: the lines of a shell.
    fn program(folder: &Path, lines: &str) -> PathBuf {
        let path = folder.join("program/office");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn the_program_sees_programs_its_own_folder_and_nothing_else_and_has_limits() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("queue"), "secret").unwrap();
        let look = format!(
            "cd /
            (printf %%PDF-; umount -a; umount /usr; mount -t tmpfs tmpfs /usr; chroot / true
            cat {0}/queue {0}/../data/queue /proc/1/root/{0}/queue
            ls -d /home /root /srv /run /boot /etc/passwd /etc/shadow /etc/ssl /var/lib /sys
            touch /usr/share/fonts/x /etc/x /x /dev/x \"$(dirname \"$0\")/x\"
            ls /proc | grep -c '^[0-9]'; grep -c : /proc/net/dev; ulimit -v; ulimit -t) \
             > \"$HOME/document.pdf\"",
            data.display()
        );
        let look = program(folder.path(), &look);
        let saw = convert(&look, "docx", b"PK".to_vec()).await.unwrap();
        let saw = String::from_utf8_lossy(&saw);
        let lines: Vec<&str> = saw.lines().collect();
        // Its own processes only: the first, the shell, and what the shell asks.
        let [processes, interfaces, memory, time] = lines[..] else { panic!("{saw}") };
        assert!(processes.strip_prefix("%PDF-").unwrap().parse::<u32>().unwrap() <= 6, "{saw}");
        assert_eq!((interfaces, memory, time), ("1", "3145728", "60"));
        assert!(data.join("queue").exists());
        for written in ["/usr/share/fonts/x", "/etc/x", "/x", "/dev/x"].map(Path::new) {
            assert!(!written.exists(), "{}", written.display());
        }
        assert!(!folder.path().join("program/x").exists());
    }

    #[test]
    fn a_program_has_the_folder_of_its_product() {
        for (program, own) in [
            ("/usr/bin/soffice", ""),
            ("/opt/libreoffice25.2/program/soffice", "/opt/libreoffice25.2"),
            ("/srv/office/soffice", "/srv/office"),
        ] {
            assert_eq!(own_folder(Path::new(program)), Path::new(own), "{program}");
        }
    }

    #[tokio::test]
    async fn what_it_leaves_running_ends_with_it_and_its_exit_code_means_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mark = format!("300.{:09}", std::process::id());
        let left = format!("sleep {mark} &\nprintf %%PDF- > \"$HOME/document.pdf\"; exit 3");
        let started = Instant::now();
        let path = program(folder.path(), &left);
        let pdf = convert(&path, "odt", Vec::new()).await.unwrap();
        assert_eq!(pdf, b"%PDF-");
        let until = Instant::now() + Duration::from_secs(10);
        let runs = || {
            let mut processes = fs::read_dir("/proc").unwrap().flatten();
            let is_it = |line: Vec<u8>| String::from_utf8_lossy(&line).contains(&mark);
            processes.any(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(is_it))
        };
        while runs() {
            assert!(Instant::now() < until, "it still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(started.elapsed() < Duration::from_secs(60));

        let nothing = program(folder.path(), "echo no export filter >&2; exit 0");
        let error = convert(&nothing, "odt", Vec::new()).await.unwrap_err().to_string();
        assert_eq!(error, "no PDF came of it: no export filter");
    }

    /// Debian packages `libreoffice-writer-nogui` and `poppler-utils`.
    #[tokio::test]
    async fn libreoffice_makes_a_pdf_with_the_text_of_a_document() {
        let folder = tempfile::tempdir().unwrap();
        let letter = b"{\\rtf1 Dear Dr. Ortega, the referral of 4711.}".to_vec();
        let office = Path::new("/usr/bin/soffice");
        assert!(is_installed(office), "Debian package libreoffice-writer-nogui");
        let pdf = convert(office, "rtf", letter).await.unwrap();
        let path = folder.path().join("letter.pdf");
        fs::write(&path, pdf).unwrap();
        let text = std::process::Command::new("pdftotext").arg(path).arg("-").output().unwrap();
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        assert!(text.contains("the referral of 4711"), "{text}");
    }
}
