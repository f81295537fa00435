//! Other people's programs. One that is missing is a failure of the test, never a pass.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::examples::root;

/// How long a program may take.
const PROGRAM_TIME: Duration = Duration::from_secs(50);

/// Where a program is.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"])
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| missing(name))
}

/// A file of a peer that is unpacked and not installed.
pub fn unpacked(file: &str) -> PathBuf {
    let path = root().join("target/peers").join(file);
    if !path.exists() {
        missing(file);
    }
    path.canonicalize().expect("a path")
}

fn missing(what: &str) -> ! {
    panic!("{what} is missing: run cargo xtask peers");
}

/// Runs a program to its end and gives everything it printed, its status and output together.
pub fn run(command: &mut Command) -> Ran {
    run_with_input(command, b"")
}

/// The same with something on its standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Ran {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}: run cargo xtask peers"));
    child.stdin.take().expect("standard input").write_all(input).ok();
    let output = wait(child, &shown);
    Ran::from(&output)
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code, if it had one.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ran {
    /// Everything it printed.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// What it printed, provided that it ended well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.all());
        self.stdout
    }
}

impl From<&Output> for Ran {
    fn from(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A program that a test talks to through its standard input and output. It ends with the test.
pub struct Pipes(Child);

impl Pipes {
    /// Starts the program.
    pub fn open(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(
            child
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}: run cargo xtask peers")),
        )
    }
}

impl Read for Pipes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.stdout.as_mut().expect("standard output").read(buffer)
    }
}

impl Write for Pipes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.stdin.as_mut().expect("standard input").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.stdin.as_mut().expect("standard input").flush()
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that runs beside the test and writes down what it sees.
pub struct Sessions {
    child: Child,
    folder: TempDir,
}

impl Sessions {
    /// Starts the program; its output goes to a file in `folder`.
    pub fn open(command: &mut Command, folder: TempDir) -> Self {
        let file = std::fs::File::create(folder.path().join("output")).expect("a file");
        let other = file.try_clone().expect("a file");
        let child = command.stdin(Stdio::piped()).stdout(file).stderr(other).spawn();
        let child =
            child.unwrap_or_else(|error| panic!("{command:?}: {error}: run cargo xtask peers"));
        Self { child, folder }
    }

    /// Everything it printed so far.
    pub fn said(&self) -> String {
        let printed = std::fs::read(self.folder.path().join("output")).unwrap_or_default();
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait(mut child: Child, shown: &str) -> Output {
    let stdout = collect(child.stdout.take().expect("standard output"));
    let stderr = collect(child.stderr.take().expect("standard error"));
    let until = Instant::now() + PROGRAM_TIME;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{shown} did not end within {PROGRAM_TIME:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output {
        status,
        stdout: stdout.join().expect("output"),
        stderr: stderr.join().expect("output"),
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.read_to_end(&mut all);
        all
    })
}
