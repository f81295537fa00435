//! The person's mailbox: the Maildir that the server delivers to.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use delivery::maildir::folder_of;
use mail::Address;

use super::Place;

/// How long a message may take to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How much of a message is read.
const MESSAGE_MAX_OCTETS: u64 = 1024 * 1024;

/// A message in the mailbox.
#[derive(Debug, Clone)]
pub struct Letter {
    /// All of it.
    pub text: String,
}

/// Waits for the message that all of `words` stand in, and gives the newest such.
///
/// # Errors
///
/// When it does not come.
pub async fn wait_for(place: &Place, address: &str, words: &[&str]) -> Result<Letter> {
    let address = Address::parse(address)?;
    let folder = place.folder().join("mail").join(folder_of(&address)).join("new");
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(letter) = newest(&folder, words) {
            return Ok(letter);
        }
        if tokio::time::Instant::now() > until {
            bail!("no message with {words:?} came to {address} within {PATIENCE:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn newest(folder: &PathBuf, words: &[&str]) -> Option<Letter> {
    // The folder is not there before the first message.
    let entries = fs::read_dir(folder).ok()?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
        .iter()
        .rev()
        .filter_map(|file| read(file).ok())
        .find(|letter| words.iter().all(|word| letter.text.contains(word)))
}

fn read(file: &PathBuf) -> Result<Letter> {
    let mut octets = Vec::new();
    fs::File::open(file)
        .with_context(|| format!("{} cannot be read", file.display()))?
        .take(MESSAGE_MAX_OCTETS)
        .read_to_end(&mut octets)?;
    Ok(Letter { text: String::from_utf8_lossy(&octets).replace("\r\n", "\n") })
}

impl Letter {
    /// A field of the header, as far as its first line goes.
    pub fn field(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\n\n").next().unwrap_or_default();
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The part of a notice that people read: the first one of plain text.
    pub fn words(&self) -> Vec<&str> {
        let begin =
            |line: &&str| !line.to_ascii_lowercase().starts_with("content-type: text/plain");
        let body = self.text.lines().skip_while(begin).skip_while(|line| !line.is_empty());
        let lines: Vec<&str> =
            body.skip(1).take_while(|line| !line.starts_with("--") || *line == "-- ").collect();
        let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
        lines[..end].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_notice_are_its_first_part() {
        let letter = Letter {
            text: "Subject: Not sent: Results\nContent-Type: multipart/report;\n boundary=b\n\n\
                   --b\nContent-Type: text/plain\n\nNot sent.\n\n  Why\n-- \nName\n\n\
                   --b\nContent-Type: message/delivery-status\n\nStatus: 5.7.10\n--b--\n"
                .to_owned(),
        };
        assert_eq!(letter.field("subject"), Some("Not sent: Results"));
        assert_eq!(letter.words(), ["Not sent.", "", "  Why", "-- ", "Name"]);
    }
}
