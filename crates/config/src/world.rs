//! What a configuration needs from outside its text: files and environment variables.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The most names one folder is listed with.
const FOLDER_ENTRIES_MAX: usize = 100_000;

/// Where includes, lists and secrets are looked for.
pub trait World {
    /// The content of a file, cut off after `limit` octets.
    ///
    /// # Errors
    ///
    /// The system's answer.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;

    /// The files (not folders) in a folder, sorted by name.
    ///
    /// # Errors
    ///
    /// The system's answer.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether secrets and certificate files must be there for the check to pass.
    fn is_where_it_will_run(&self) -> bool;
}

/// The disk and the environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk {
    /// Check the text only: secrets and certificate files need not be there.
    pub text_only: bool,
}

impl World for Disk {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let file = std::fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut octets = Vec::new();
        file.take(limit as u64).read_to_end(&mut octets)?;
        Ok(octets)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)?.take(FOLDER_ENTRIES_MAX) {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn is_where_it_will_run(&self) -> bool {
        !self.text_only
    }
}

/// The disk as it was when a configuration was kept: its files have the texts kept with it, and
/// folders hold no other of them. Secrets and certificates are those of today.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    disk: Disk,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Kept {
    /// Over the disk, with these files.
    pub fn new(disk: Disk, files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        Self { disk, files: files.into_iter().collect() }
    }
}

impl World for Kept {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(octets) => Ok(octets[..octets.len().min(limit)].to_vec()),
            None => self.disk.read(path, limit),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.files.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.disk.variable(name)
    }

    fn is_where_it_will_run(&self) -> bool {
        self.disk.is_where_it_will_run()
    }
}

/// Files and variables in memory; empty by itself, so that a text stands alone.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    variables: BTreeMap<String, String>,
    secrets_needed: bool,
}

impl Memory {
    /// A world without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more file.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// With one more variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// As the machine where the server will run: secrets must be there.
    #[must_use]
    pub fn where_it_will_run(mut self) -> Self {
        self.secrets_needed = true;
        self
    }
}

impl World for Memory {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let octets = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(octets[..octets.len().min(limit)].to_vec())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.files.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn is_where_it_will_run(&self) -> bool {
        self.secrets_needed
    }
}
