//! Texts a command is about: a file, standard input, a revision.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::{Global, ask};
use crate::control::{Answer, Request, configuration, exit};
use crate::revision::Texts;

/// A configuration text and what people call it.
pub struct Text {
    /// `mailkeep.conf`, `standard input`, `v41`.
    pub name: String,
    /// The file it stands in, or would: where what it includes is looked for.
    pub path: PathBuf,
    /// What it says.
    pub content: String,
    /// The files it reads beside its own, by path, as far as they can be read.
    pub files: BTreeMap<String, String>,
}

impl Text {
    /// The text that `which` names: `v41`, `-`, or a file.
    pub fn named(global: &Global, which: &str) -> Result<Self, Answer> {
        match revision_number(which) {
            Some(number) if !Path::new(which).exists() => Self::revision(global, Some(number)),
            Some(_) | None => Self::read(Path::new(which)),
        }
    }

    /// The text of a file; `-` is standard input.
    pub fn read(path: &Path) -> Result<Self, Answer> {
        let standard = path == Path::new("-");
        let name = if standard { "standard input".to_owned() } else { path.display().to_string() };
        let limit = config::source::FILE_MAX_OCTETS as u64 + 1;
        let mut octets = Vec::new();
        let read = if standard {
            std::io::stdin().take(limit).read_to_end(&mut octets)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut octets))
        };
        read.map_err(|error| {
            Answer::failure(exit::NO_INPUT, format!("{name} cannot be read: {error}"))
        })?;
        let text = String::from_utf8(octets)
            .map_err(|_| Answer::failure(exit::FOUND, format!("{name} is not UTF-8.")))?;
        let path = if standard { PathBuf::from("stdin.conf") } else { path.to_owned() };
        let read = config::read(&path, &text, &config::Disk { text_only: true });
        let files = Texts::of(&path, &read.sources).map(|texts| texts.files).unwrap_or_default();
        Ok(Self { name, path, content: text, files })
    }

    /// What a running server runs on; `None` when none runs.
    pub fn in_force(global: &Global) -> Result<Option<Self>, Answer> {
        let request = Request::Config(configuration::Request::Revision { number: None });
        match ask::ask_running(global, &request) {
            Some(answer) => Self::of(global, answer).map(Some),
            None => Ok(None),
        }
    }

    /// A revision of the history; the newest if no number is given.
    pub fn revision(global: &Global, number: Option<u64>) -> Result<Self, Answer> {
        let request = Request::Config(configuration::Request::Revision { number });
        Self::of(global, ask::answer(global, &request))
    }

    fn of(global: &Global, answer: Answer) -> Result<Self, Answer> {
        if answer.exit != exit::FINE {
            return Err(answer);
        }
        let path = super::file(global).unwrap_or_else(|_| PathBuf::from("mailkeep.conf"));
        let number = answer.json["number"].as_u64().unwrap_or_default();
        let files = answer.json["files"].as_object().into_iter().flatten();
        let files =
            files.map(|(path, text)| (path.clone(), text.as_str().unwrap_or_default().to_owned()));
        let files = files.collect();
        Ok(Self { name: format!("v{number}"), path, content: answer.text, files })
    }
}

/// The number in `v41` or `41`.
pub fn revision_number(text: &str) -> Option<u64> {
    text.strip_prefix('v').unwrap_or(text).parse().ok()
}
