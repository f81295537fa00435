//! The demo's data folder and what lies where in it.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::certificates::authority_file;

/// The letters of passwords: none that is taken for another.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Groups of four letters in a password; five bits a letter.
const GROUPS: usize = 5;

/// The demo's data folder.
#[derive(Debug, Clone)]
pub struct Place {
    folder: PathBuf,
}

impl Place {
    /// The demo in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration, written at every start for people to read.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("demo.conf")
    }

    /// The certificate that the listeners' certificates come from.
    pub fn authority(&self) -> PathBuf {
        authority_file(&self.folder)
    }

    /// The certificate that the partners' certificates come from.
    pub fn partners_authority(&self) -> PathBuf {
        self.folder.join("lab/ca.pem")
    }

    /// The password that the smart host wants.
    pub fn smart_host_password(&self) -> PathBuf {
        self.folder.join("lab/smarthost.password")
    }

    /// The password of the demo's person.
    pub fn password(&self) -> PathBuf {
        self.folder.join("dr.lee.password")
    }

    /// Where the partners tell what they saw.
    pub fn witness(&self) -> PathBuf {
        self.folder.join("witness.sock")
    }

    /// Makes the folder, readable for its owner alone.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn prepare(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let lab = self.folder.join("lab");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&lab)
            .with_context(|| format!("the folder {} cannot be made", lab.display()))
    }

    /// The password of the demo's person, as it was written at the first start.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn read_password(&self) -> Result<String> {
        let path = self.password();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(text.trim_end().to_owned())
    }
}

/// A password nobody can guess: 100 bits from the system, in letters people can type.
///
/// # Errors
///
/// When the system has no randomness to give.
pub fn random_password() -> Result<String> {
    let mut random = [0; GROUPS * 4];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("the system gives no random numbers")?;
    let letters: Vec<u8> =
        random.iter().map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()]).collect();
    let groups: Vec<_> = letters.chunks(4).map(String::from_utf8_lossy).collect();
    Ok(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_five_groups_and_never_the_same() {
        let password = random_password().unwrap();
        assert_eq!(password.len(), 24);
        assert_eq!(password.split('-').count(), 5);
        assert_ne!(password, random_password().unwrap());
    }

    #[test]
    fn the_folder_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::TempDir::new().unwrap();
        let place = Place::new(folder.path().join("demo"));
        place.prepare().unwrap();
        let mode = fs::metadata(place.folder()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
