//! What verification found.

use std::fmt;
use std::ops::RangeInclusive;

use mail::Timestamp;
use serde::Serialize;

/// The most findings that are told one by one.
const FINDINGS_MAX: usize = 1_000;

/// What an export proves, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The host that wrote it, by its own word.
    pub host: String,
    /// The first entry.
    pub first: u64,
    /// The last entry.
    pub last: u64,
    /// How many entries there are.
    pub entries: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many entries a checkpoint covers.
    pub proven: u64,
    /// The entries after the last checkpoint: in order among themselves, covered only by
    /// the signature at the end of the export.
    pub unsigned_tail: Option<RangeInclusive<u64>>,
    /// Entries that no checkpoint covers because of what is wrong after them.
    pub unproven: Vec<RangeInclusive<u64>>,
    /// When the export was signed as a whole, if its end is there and genuine.
    pub sealed_at: Option<Timestamp>,
    /// The octets read.
    pub octets: u64,
    /// What is wrong, in the order of lines; nothing in an intact export.
    pub findings: Vec<Finding>,
    /// How many findings there are besides those told.
    pub more: u64,
    /// The signature at the end is genuine and not for these lines.
    #[serde(skip)]
    pub(super) differs_from_seal: bool,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// With what.
    pub subject: Subject,
    /// How.
    pub fault: Fault,
    /// The line where it shows.
    pub line: u64,
}

/// A part of an export.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The first line.
    Opening,
    /// An entry by its number.
    Entry(u64),
    /// Entries that follow each other.
    Entries(RangeInclusive<u64>),
    /// The checkpoint of an entry.
    Checkpoint(u64),
    /// The last line.
    End,
    /// A line that belongs to none of these.
    Line,
}

/// What was done to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It is not as it was written.
    Changed,
    /// It is not there.
    Missing,
    /// It is not where it belongs.
    OutOfOrder,
    /// It is there more than once.
    Duplicate,
    /// It does not belong there.
    Inserted,
    /// It was made anew with hashes that fit: it is not what was signed.
    Replaced,
    /// It is signed with a key that was not given.
    UnknownKey,
}

impl Subject {
    /// One entry or several.
    pub(super) fn between(from: u64, to: u64) -> Self {
        if from == to { Self::Entry(from) } else { Self::Entries(from..=to) }
    }
}

impl Report {
    /// Whether nothing is wrong. There may still be an [`unsigned_tail`](Self::unsigned_tail).
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, subject: Subject, fault: Fault, line: u64) {
        let finding = Finding { subject, fault, line };
        if self.findings.contains(&finding) {
            return;
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Puts the findings in order; a difference that nothing else explains is the end's.
    pub(super) fn settle(&mut self) {
        if self.differs_from_seal && self.findings.is_empty() {
            self.add(Subject::End, Fault::Changed, self.entries);
        }
        self.findings.sort_by_key(|finding| finding.line);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, first, last, entries, checkpoints, .. } = self;
        writeln!(
            f,
            "Evidence of {host}: {entries} entries ({first} to {last}), {checkpoints} checkpoints"
        )?;
        if let Some(at) = self.sealed_at {
            writeln!(f, "  signed as a whole at {}", at.to_rfc3339())?;
        }
        writeln!(f, "  {} entries are covered by a checkpoint", self.proven)?;
        for range in &self.unproven {
            writeln!(
                f,
                "  {} can no longer be proven",
                Subject::between(*range.start(), *range.end())
            )?;
        }
        if let Some(tail) = &self.unsigned_tail {
            let tail = Subject::between(*tail.start(), *tail.end());
            writeln!(f, "  no checkpoint follows {tail} yet")?;
        }
        if self.is_intact() {
            return writeln!(f, "INTACT");
        }
        writeln!(f, "NOT INTACT")?;
        for Finding { subject, fault, line } in &self.findings {
            writeln!(f, "  line {line}: {subject}: {fault}")?;
        }
        if self.more > 0 {
            writeln!(f, "  and {} findings more", self.more)?;
        }
        Ok(())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("the first line"),
            Self::Entry(seq) => write!(f, "entry {seq}"),
            Self::Entries(range) => write!(f, "entries {} to {}", range.start(), range.end()),
            Self::Checkpoint(seq) => write!(f, "the checkpoint of entry {seq}"),
            Self::End => f.write_str("the end of the export"),
            Self::Line => f.write_str("this line"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::OutOfOrder => "out of order",
            Self::Duplicate => "there more than once",
            Self::Inserted => "added",
            Self::Replaced => "made anew, not what was signed",
            Self::UnknownKey => "signed with a key that was not given",
        })
    }
}
