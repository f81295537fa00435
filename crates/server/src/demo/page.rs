//! How the stories look on a terminal, and as JSON.

use std::io::{IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

/// The name and version of the JSON form.
const JSON_SCHEMA: &str = "mailkeep.demo/1";

/// Where lines are wrapped, in characters.
const WIDTH: usize = 94;
/// Stands for lines that are not shown.
const LEFT_OUT: &str = "[...]";

/// Bold.
const STRONG: &str = "\x1b[1m";
/// Faint.
const FAINT: &str = "\x1b[2m";
/// Green, for what holds. The word says it too.
const GOOD: &str = "\x1b[32m";
/// Red and bold, for what does not.
const BAD: &str = "\x1b[1;31m";
/// Back to normal.
const NORMAL: &str = "\x1b[0m";

/// Writes stories as they happen and keeps what they found.
pub struct Page {
    is_shown: bool,
    is_coloured: bool,
    /// The command with its options, for people to copy.
    command: String,
    stories: Vec<Story>,
}

/// What one story found.
#[derive(Debug, Serialize)]
struct Story {
    title: String,
    checks: Vec<Check>,
    see: Vec<String>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    ok: bool,
    what: String,
}

impl Story {
    /// A story that looked at nothing proves nothing.
    fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.ok)
    }
}

impl Page {
    /// A page whose commands begin with `command`; nothing is written unless `is_shown`.
    pub fn new(command: String, is_shown: bool) -> Self {
        let is_coloured = std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { is_shown, is_coloured, command, stories: Vec::new() }
    }

    /// Begins a story.
    pub fn story(&mut self, title: &str) {
        let number = self.stories.len() + 1;
        self.stories.push(Story { title: title.to_owned(), checks: Vec::new(), see: Vec::new() });
        self.line("");
        self.line(&self.in_style(STRONG, &format!("{number}. {title}")));
    }

    /// What happens now.
    pub fn scene(&mut self, text: &str) {
        self.line("");
        self.line(&format!("   {text}"));
    }

    /// What was really said or written, line by line.
    pub fn quote<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) {
        for line in lines {
            for line in wrapped(&clean(line.as_ref())) {
                let line = format!("     {line}");
                self.line(&self.in_style(FAINT, line.trim_end()));
            }
        }
    }

    /// Those of `lines` that are `wanted`, and where others were left out.
    pub fn excerpt<T: AsRef<str>>(
        &mut self,
        lines: impl IntoIterator<Item = T>,
        wanted: impl Fn(&str) -> bool,
    ) {
        let mut left_out = false;
        for line in lines {
            if wanted(line.as_ref()) {
                if std::mem::take(&mut left_out) {
                    self.quote([LEFT_OUT]);
                }
                self.quote([line]);
            } else {
                left_out = true;
            }
        }
        if left_out {
            self.quote([LEFT_OUT]);
        }
    }

    /// Whether something holds that the story is about.
    pub fn check(&mut self, holds: bool, what: impl Into<String>) {
        let what = clean(&what.into());
        let word = if holds { self.in_style(GOOD, "ok  ") } else { self.in_style(BAD, "FAIL") };
        self.line(&format!("   {word}  {what}"));
        if let Some(story) = self.stories.last_mut() {
            story.checks.push(Check { ok: holds, what });
        }
    }

    /// The command that shows it again.
    pub fn see(&mut self, arguments: &str) {
        let command = format!("{} {arguments}", self.command);
        self.line(&format!("   see   {command}"));
        if let Some(story) = self.stories.last_mut() {
            story.see.push(command);
        }
    }

    /// Ends a story; an error in it is something that does not hold.
    pub fn end(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.check(false, format!("{error:#}"));
        }
        let holds = self.stories.last().is_some_and(Story::holds);
        let word = if holds { self.in_style(GOOD, "PASS") } else { self.in_style(BAD, "FAIL") };
        self.line(&format!("   {word}"));
    }

    /// Whether every story held.
    pub fn holds(&self) -> bool {
        !self.stories.is_empty() && self.stories.iter().all(Story::holds)
    }

    /// How many of the stories held, in words.
    pub fn summary(&self) -> String {
        let held = self.stories.iter().filter(|story| story.holds()).count();
        let all = self.stories.len();
        let checks: usize = self.stories.iter().map(|story| story.checks.len()).sum();
        match all - held {
            0 => format!("All {all} stories passed ({checks} checks)."),
            failed => format!("{failed} of {all} stories FAILED."),
        }
    }

    /// What was found, for programs.
    pub fn to_json(&self) -> Value {
        json!({ "schema": JSON_SCHEMA, "ok": self.holds(), "stories": self.stories })
    }

    /// One line.
    pub fn line(&self, text: &str) {
        if self.is_shown {
            // A reader who has gone away misses nothing.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    fn in_style(&self, style: &str, text: &str) -> String {
        if self.is_coloured { format!("{style}{text}{NORMAL}") } else { text.to_owned() }
    }
}

/// `line` in pieces of [`WIDTH`], the later ones a little further from the left than the
/// first. A word that is longer stays whole.
fn wrapped(line: &str) -> Vec<String> {
    let indent = line.len() - line.trim_start().len();
    let mut pieces = vec![String::new()];
    for (at, word) in line.split(' ').enumerate() {
        let piece = pieces.last_mut().map_or(0, |piece| piece.chars().count());
        if at > 0 && piece > indent && piece + 1 + word.chars().count() > WIDTH {
            pieces.push(format!("{:width$}{word}", "", width = indent + 2));
        } else if let Some(piece) = pieces.last_mut() {
            if at > 0 {
                piece.push(' ');
            }
            piece.push_str(word);
        }
    }
    pieces
}

/// Without what would move the cursor: partners write some of it.
fn clean(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn page() -> Page {
        Page::new("mailkeep".to_owned(), false)
    }

    #[test]
    fn a_story_passes_when_every_check_holds() {
        let mut page = page();
        page.story("One");
        page.check(true, "it holds");
        page.see("trace 01");
        page.end(Ok(()));
        assert!(page.holds());
        assert_eq!(page.summary(), "All 1 stories passed (1 checks).");
        assert_eq!(page.to_json()["stories"][0]["see"][0], "mailkeep trace 01");
        page.story("Two");
        page.check(true, "it holds");
        page.check(false, "it does not");
        page.check(true, "it holds");
        page.end(Ok(()));
        assert!(!page.holds());
        assert_eq!(page.summary(), "1 of 2 stories FAILED.");
    }

    #[test]
    fn a_long_line_is_wrapped_and_loses_nothing() {
        assert_eq!(wrapped("  short   one"), ["  short   one"]);
        assert_eq!(wrapped(""), [""]);
        let long = format!("  reply  550 {}", "word ".repeat(50));
        let pieces = wrapped(long.trim_end());
        assert!(pieces.len() > 2);
        assert!(pieces.iter().all(|piece| piece.len() <= WIDTH), "{pieces:#?}");
        assert!(pieces[1..].iter().all(|piece| piece.starts_with("    word")), "{pieces:#?}");
        let again: Vec<_> = pieces.iter().flat_map(|piece| piece.split_whitespace()).collect();
        assert_eq!(again, long.split_whitespace().collect::<Vec<_>>());
        let whole = "x".repeat(WIDTH * 2);
        assert_eq!(wrapped(&whole), [whole]);
    }

    #[test]
    fn a_story_without_checks_or_with_an_error_does_not_pass() {
        let mut empty = page();
        assert!(!empty.holds());
        empty.story("One");
        empty.end(Ok(()));
        assert!(!empty.holds());
        let mut broken = page();
        broken.story("One");
        broken.check(true, "it holds");
        broken.end(Err(anyhow!("the server broke off")));
        assert!(!broken.holds());
    }
}
