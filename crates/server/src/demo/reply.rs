//! What the server answers to the stories' client.

use anyhow::{Result, bail};
use mail::TraceId;

/// What the server answered to one command.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its lines, each with its code.
    pub lines: Vec<String>,
}

impl Reply {
    /// The code of the first line.
    pub fn code(&self) -> &str {
        self.lines.first().and_then(|line| line.get(..3)).unwrap_or_default()
    }

    /// Whether it says yes.
    pub fn is_positive(&self) -> bool {
        self.code().starts_with('2')
    }

    /// All of it on one line.
    pub fn text(&self) -> String {
        self.lines.join(" / ")
    }

    /// The keywords and parameters after EHLO.
    pub fn extensions(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().skip(1).filter_map(|line| line.get(4..))
    }

    /// The id under which the message was queued.
    ///
    /// # Errors
    ///
    /// When the reply names none: the message was not taken.
    pub fn id(&self) -> Result<String> {
        let text = self.text();
        let last = text.rsplit(' ').next().unwrap_or_default();
        if !self.is_positive() || last.parse::<TraceId>().is_err() {
            bail!("the message was not taken: {text}");
        }
        Ok(last.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(lines: &[&str]) -> Reply {
        Reply { lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn the_id_of_a_message_is_the_last_word_of_a_positive_reply() {
        let id = TraceId::generate(5).to_string();
        assert_eq!(reply(&[&format!("250 2.0.0 Ok: queued as {id}")]).id().unwrap(), id);
        assert!(reply(&[&format!("451 4.3.0 not {id}")]).id().is_err());
        assert!(reply(&["250 2.0.0 Ok"]).id().is_err());
    }

    #[test]
    fn extensions_come_after_the_name() {
        let ehlo = reply(&["250-mx.clinic.test", "250-SIZE 5", "250 STARTTLS"]);
        assert_eq!(ehlo.extensions().collect::<Vec<_>>(), ["SIZE 5", "STARTTLS"]);
        assert_eq!(ehlo.code(), "250");
    }
}
