//! The texts of a configuration: its file and those it reads beside it, kept together and
//! brought back together.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use config::source::Sources;
use config::{Disk, Kept, Outcome};
use evidence::Digest;
use mail::Timestamp;
use store::{NewRevision, RevisionFile, RevisionRow, Store, StoreError};

use crate::cli::serve::folder;

/// How many names are tried for a file that is set aside.
const NAMES_MAX: usize = 1_000;
/// How many revisions are looked at for one that still works.
const LOOK_BACK: u32 = 100;

/// The text of a configuration file, and those of the files it reads, by path; a relative one
/// starts at the folder of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The configuration file.
    pub root: String,
    /// The others.
    pub files: BTreeMap<String, String>,
}

impl Texts {
    /// What was read for the configuration in `file`; `None` if not even that could be read.
    pub fn of(file: &Path, sources: &Sources) -> Option<Self> {
        let mut files = sources.files();
        let root = files.next()?.text().to_owned();
        let folder = folder(file);
        let files = files.map(|file| {
            let path = file.path().strip_prefix(&folder).unwrap_or(file.path());
            (path.to_string_lossy().into_owned(), file.text().to_owned())
        });
        Some(Self { root, files: files.collect() })
    }

    /// Those of a revision.
    ///
    /// # Errors
    ///
    /// When the revision holds no text.
    pub fn of_revision(row: RevisionRow) -> Result<Self> {
        let text = |octets| String::from_utf8(octets).context("the revision is no text");
        let files = row.files.into_iter().map(|file| Ok((file.path, text(file.text)?)));
        Ok(Self { root: text(row.text)?, files: files.collect::<Result<_>>()? })
    }

    /// The configuration that they are for `file`. Secrets and certificates are today's.
    pub fn read(&self, file: &Path) -> Outcome {
        let folder = folder(file);
        let files = self.files.iter();
        let files = files.map(|(path, text)| (folder.join(path), text.clone().into_bytes()));
        config::read(file, &self.root, &Kept::new(Disk::default(), files))
    }

    /// The SHA-256 of the text; where there are other files, of the text, and then of each
    /// file's path, its length as 8 octets, big-endian, and its text.
    pub fn digest(&self) -> Digest {
        let mut octets = self.root.clone().into_bytes();
        for (path, text) in &self.files {
            octets.extend_from_slice(path.as_bytes());
            octets.extend_from_slice(&(text.len() as u64).to_be_bytes());
            octets.extend_from_slice(text.as_bytes());
        }
        Digest::of(&octets)
    }

    /// Keeps them as a revision unless they are the newest already; gives its number.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn keep(
        &self,
        store: &Store,
        author: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        if let Some(newest) = store.revision(None).await?
            && self.are(&newest)
        {
            return Ok(newest.number);
        }
        let file = |(path, text): (&String, &String)| RevisionFile {
            path: path.clone(),
            text: text.clone().into_bytes(),
        };
        let revision = NewRevision {
            at,
            author: author.to_owned(),
            reason: reason.to_owned(),
            text: self.root.clone().into_bytes(),
            files: self.files.iter().map(file).collect(),
        };
        Ok(store.add_revision(revision).await?.into_inner())
    }

    /// Whether `row` has just these texts.
    pub fn are(&self, row: &RevisionRow) -> bool {
        row.text == self.root.as_bytes()
            && row.files.len() == self.files.len()
            && self
                .files
                .iter()
                .zip(&row.files)
                .all(|((path, text), kept)| *path == kept.path && text.as_bytes() == kept.text)
    }

    /// Writes those that differ to where they belong. Files that `file` would include beside
    /// them get another name; gives their old ones.
    ///
    /// # Errors
    ///
    /// The system's. Each file is then either as it was or as it should be.
    pub fn write(&self, file: &Path) -> Result<Vec<PathBuf>> {
        let folder = folder(file);
        for (path, text) in &self.files {
            put(&folder.join(path), text)?;
        }
        put(file, &self.root)?;
        let now = config::load(file);
        let others = now.sources.files().skip(1).map(config::source::File::path).filter(|path| {
            let name = path.strip_prefix(&folder).unwrap_or(path);
            !self.files.contains_key(name.to_string_lossy().as_ref())
        });
        let mut aside = Vec::new();
        for path in others {
            set_aside(path).with_context(|| format!("{} cannot be set aside", path.display()))?;
            aside.push(path.to_owned());
        }
        Ok(aside)
    }
}

/// The newest revision that still is a configuration for `file`, with its number and texts.
///
/// # Errors
///
/// The store's.
pub async fn last_good(store: &Store, file: &Path) -> Result<Option<(u64, Texts, Outcome)>> {
    for row in store.revisions(None, LOOK_BACK).await? {
        let Some(row) = store.revision(Some(row.number)).await? else { continue };
        let number = row.number;
        let Ok(texts) = Texts::of_revision(row) else { continue };
        let outcome = texts.read(file);
        if outcome.config.is_some() {
            return Ok(Some((number, texts, outcome)));
        }
    }
    Ok(None)
}

fn put(path: &Path, text: &str) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    replace(path, text).with_context(|| format!("{} was not written", path.display()))
}

/// Puts `text` into `file`, whole or not at all, with its permissions kept.
///
/// # Errors
///
/// The system's; the file is then as it was.
pub fn replace(file: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    std::fs::create_dir_all(folder(file))?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = file.with_file_name(name);
    let mut new = std::fs::File::create(&beside)?;
    if let Ok(old) = std::fs::metadata(file) {
        new.set_permissions(old.permissions())?;
    }
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    std::fs::rename(&beside, file)
}

/// Gives a file a name that no pattern of an include fits by accident.
fn set_aside(path: &Path) -> Result<()> {
    for number in 1..=NAMES_MAX {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".set-aside-{number}"));
        let aside = path.with_file_name(name);
        if !aside.exists() {
            return Ok(std::fs::rename(path, aside)?);
        }
    }
    Err(anyhow!("{NAMES_MAX} of its name are there already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_were_and_what_is_too_much_is_set_aside() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("mailkeep.conf");
        let listener = "hostname a.test\ninclude parts/*.conf\ntable t domains file list\n";
        std::fs::create_dir(folder.path().join("parts")).unwrap();
        std::fs::write(&file, listener).unwrap();
        std::fs::write(folder.path().join("list"), "x.test\n").unwrap();
        std::fs::write(folder.path().join("parts/a.conf"), "domain b.test { }\n").unwrap();
        let read = || Texts::of(&file, &config::load(&file).sources).unwrap();
        let before = read();
        assert_eq!(before.files.len(), 2);

        std::fs::write(folder.path().join("list"), "y.test\n").unwrap();
        std::fs::remove_file(folder.path().join("parts/a.conf")).unwrap();
        std::fs::write(folder.path().join("parts/b.conf"), "domain c.test { }\n").unwrap();
        let changed = read();
        assert_ne!(changed, before);
        assert_ne!(changed.digest(), before.digest());

        let aside = before.write(&file).unwrap();
        assert_eq!(aside, [folder.path().join("parts/b.conf")]);
        assert_eq!(read(), before);
        assert!(folder.path().join("parts/b.conf.set-aside-1").exists());
        assert!(before.write(&file).unwrap().is_empty());
    }

    #[test]
    fn without_other_files_the_digest_is_that_of_the_text() {
        let texts = Texts { root: "hostname a.test\n".to_owned(), files: BTreeMap::new() };
        assert_eq!(texts.digest(), Digest::of(b"hostname a.test\n"));
    }
}
