//! Secrets by reference: the configuration says where one is kept, never what it is.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::world::World;

/// The longest secret that is read, in octets.
pub const SECRET_MAX_OCTETS: usize = 64 * 1024;

/// Where a secret is kept.
///
/// [`fmt::Debug`], [`fmt::Display`] and JSON show the place, which is not secret;
/// only [`resolve`](Self::resolve) sees the secret itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Secret {
    /// `env:NAME`: an environment variable.
    Environment(String),
    /// `file:PATH`: a file; one line end at its end is not part of the secret.
    File(PathBuf),
    /// `credential:NAME`: a file of systemd's `LoadCredential=`.
    Credential(String),
}

/// A secret that was fetched. It shows itself to nobody who does not ask for it by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Revealed(String);

impl Revealed {
    /// The secret. Keep it out of logs, errors and evidence.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revealed(..)")
    }
}

/// Why a secret could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the environment has no variable {0}")]
    NoVariable(String),
    /// systemd gave the process no credentials.
    #[error("credential {0} was not passed to the server (LoadCredential= in its unit)")]
    NoCredential(String),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// There, and empty.
    #[error("{0} is empty")]
    Empty(String),
    /// Not UTF-8, or longer than [`SECRET_MAX_OCTETS`].
    #[error("{0} does not hold a text of at most {SECRET_MAX_OCTETS} octets")]
    NotText(String),
}

impl Secret {
    /// Reads `env:NAME`, `file:PATH` or `credential:NAME`; a relative path starts at `base`.
    pub fn parse(text: &str, base: &Path) -> Option<Self> {
        let plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        };
        match text.split_once(':')? {
            ("env", name) if plain(name) => Some(Self::Environment(name.to_owned())),
            ("file", path) if !path.is_empty() => Some(Self::File(base.join(path))),
            ("credential", name) if plain(name) => Some(Self::Credential(name.to_owned())),
            _ => None,
        }
    }

    /// Fetches the secret from where it is kept.
    ///
    /// # Errors
    ///
    /// [`SecretError`] names the place; the caller refuses to start or keeps the
    /// running configuration.
    pub fn resolve(&self, world: &dyn World) -> Result<Revealed, SecretError> {
        let text = match self {
            Self::Environment(name) => {
                world.variable(name).ok_or_else(|| SecretError::NoVariable(name.clone()))?
            }
            Self::File(path) => self.read(path, world)?,
            Self::Credential(name) => {
                let folder = world
                    .variable(CREDENTIALS_FOLDER)
                    .ok_or_else(|| SecretError::NoCredential(name.clone()))?;
                self.read(&Path::new(&folder).join(name), world)?
            }
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(Revealed(text.to_owned()))
    }

    fn read(&self, path: &Path, world: &dyn World) -> Result<String, SecretError> {
        let file = |source| SecretError::File { path: path.to_owned(), source };
        let octets = world.read(path, SECRET_MAX_OCTETS + 1).map_err(file)?;
        if octets.len() > SECRET_MAX_OCTETS {
            return Err(SecretError::NotText(self.to_string()));
        }
        String::from_utf8(octets).map_err(|_| SecretError::NotText(self.to_string()))
    }
}

/// The variable in which systemd names the folder of credentials.
const CREDENTIALS_FOLDER: &str = "CREDENTIALS_DIRECTORY";

impl fmt::Display for Secret {
    /// The reference, as the configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Memory;

    #[test]
    fn a_secret_is_fetched_from_where_it_is_kept_and_never_shown() {
        let world = Memory::new()
            .with_variable("SMART", "s3cret")
            .with_variable(CREDENTIALS_FOLDER, "/run/credentials")
            .with_file("/run/credentials/relay", "from systemd\n")
            .with_file("/etc/mailkeep/pw", "from file\r\n");
        for (reference, secret) in [
            ("env:SMART", "s3cret"),
            ("credential:relay", "from systemd"),
            ("file:pw", "from file"),
        ] {
            let reference = Secret::parse(reference, Path::new("/etc/mailkeep")).unwrap();
            let found = reference.resolve(&world).unwrap();
            assert_eq!(found.reveal(), secret);
            assert!(!format!("{reference:?} {reference} {found:?}").contains(secret));
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let world = Memory::new().with_variable("EMPTY", "");
        for (reference, message) in [
            ("env:GONE", "the environment has no variable GONE"),
            ("env:EMPTY", "env:EMPTY is empty"),
            ("credential:x", "credential x was not passed to the server"),
        ] {
            let error = Secret::parse(reference, Path::new("")).unwrap().resolve(&world);
            assert!(error.unwrap_err().to_string().starts_with(message), "{reference}");
        }
        for bad in ["hunter2", "env:", "credential:../etc/passwd", "vault:x"] {
            assert_eq!(Secret::parse(bad, Path::new("")), None, "{bad}");
        }
    }
}
