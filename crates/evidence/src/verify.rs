//! Verifying an export with nothing but the public key.
//!
//! [`verify()`] reads line by line, in bounded memory, and gives a [`Report`] that names
//! each record that was changed, dropped, added or moved. Whoever holds the private key
//! can sign anything; against everybody else:
//!
//! - a touched entry no longer has the hash that its own line gives;
//! - a dropped or moved one leaves a gap in the numbers and in the hashes around it;
//! - entries made anew with matching hashes do not lead to the hash of the next checkpoint;
//! - checkpoints name each other, so none can be left out;
//! - the signature at the end covers every line, so the export cannot be cut short.

mod order;
mod reader;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use crate::checkpoint::PublicKey;
use crate::record::{End, EntryLine, FORMAT, Opening, Record};
use crate::{Checkpoint, Digest, GENESIS, link};
use order::{Order, Place};
use reader::{Line, Reader};
pub use report::{Fault, Finding, Report, Subject};

/// Verifies an export against any of `keys`: the current one and those before it.
///
/// # Errors
///
/// Only when reading fails. What is wrong with the export is in the report.
pub fn verify(export: impl BufRead, keys: &[PublicKey]) -> io::Result<Report> {
    let mut reader = Reader::new(export);
    let mut verifier = Verifier::new(keys);
    while let Some(line) = reader.next()? {
        let following = reader.next_entry()?;
        verifier.take(line, following);
    }
    Ok(verifier.finish(reader.octets()))
}

/// Where the verification stands.
struct Verifier<'k> {
    keys: &'k [PublicKey],
    report: Report,
    opening: Option<Opening>,
    opening_line: u64,
    end: Option<Ended>,
    end_line: u64,
    order: Order,
    chain: Chain,
    checkpoints: Checkpoints,
    /// Lines that could not be read, with the number of the entry before and after them.
    unreadable: Vec<Unreadable>,
    last_line: u64,
    /// The last line has no end.
    cut_short: bool,
}

struct Ended {
    end: End,
    line: u64,
    /// SHA-256 of all lines before it.
    digest: Digest,
}

struct Unreadable {
    line: u64,
    from: u64,
    to: u64,
    explained: bool,
}

/// The hashes that connect what was read to what comes.
#[derive(Default)]
struct Chain {
    /// The last entry in place: its hash as written, and as computed from its line.
    last: Option<(Digest, Digest)>,
    /// The first entry, in place and connected to the last one, that no checkpoint covers.
    open_from: Option<u64>,
    /// Entries that are made anew or were preceded by one that is; which of both shows at
    /// the next checkpoint.
    breaks: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Checkpoints {
    /// The entries of those in place, genuine or not.
    seen: BTreeSet<u64>,
    /// The entries of genuine ones that were not in place, with their line.
    strays: BTreeMap<u64, u64>,
    /// Those that another one names and that were not in place, with the line of that one.
    wanted: Vec<(u64, u64)>,
    count: u64,
}

/// The most checkpoints, unreadable lines and breaks that are remembered one by one.
const REMEMBERED_MAX: usize = 100_000;

impl<'k> Verifier<'k> {
    fn new(keys: &'k [PublicKey]) -> Self {
        Self {
            keys,
            report: Report::default(),
            opening: None,
            opening_line: 0,
            end: None,
            end_line: 0,
            order: Order::default(),
            chain: Chain::default(),
            checkpoints: Checkpoints::default(),
            unreadable: Vec::new(),
            last_line: 0,
            cut_short: false,
        }
    }

    /// Takes one line; `following` is the number of the next entry, if there is one.
    fn take(&mut self, line: Line, following: Option<u64>) {
        self.last_line = line.number;
        self.cut_short = !line.complete;
        let altered = !line.canonical;
        match line.record {
            None => self.take_unreadable(line.number, following),
            Some(Record::Opening(opening)) => self.take_opening(opening, line.number, altered),
            Some(Record::Entry(entry)) => {
                self.take_entry(&entry, line.number, altered, following);
            }
            Some(Record::Resume(resume)) => {
                let is_proof = self.opening.as_ref().is_none_or(|o| o.message.is_some());
                if !is_proof || altered {
                    self.report.add(Subject::Line, Fault::Inserted, line.number);
                }
                self.interrupt(self.order.last_in_place());
                self.order.expect(resume.seq);
            }
            Some(Record::Checkpoint(checkpoint)) => {
                self.take_checkpoint(&checkpoint, line.number, altered, following);
            }
            Some(Record::End(end)) => {
                if altered {
                    self.report.add(Subject::End, Fault::Changed, line.number);
                }
                if self.end.is_some() {
                    self.report.add(Subject::End, Fault::Duplicate, line.number);
                } else {
                    self.end = Some(Ended { end, line: line.number, digest: line.before });
                }
            }
        }
    }

    fn take_opening(&mut self, opening: Opening, line: u64, altered: bool) {
        let whole = !altered && opening.format == FORMAT && opening == opening.checked();
        if !whole {
            self.report.add(Subject::Opening, Fault::Changed, line);
        }
        if self.opening.is_some() {
            return self.report.add(Subject::Opening, Fault::Duplicate, line);
        }
        if line == 1 && whole {
            self.order.expect(opening.first);
        }
        self.opening_line = line;
        self.opening = Some(opening);
    }

    fn take_unreadable(&mut self, line: u64, following: Option<u64>) {
        let from = self.order.position();
        let mut explained = false;
        if line == 1 {
            self.report.add(Subject::Opening, Fault::Changed, line);
            explained = true;
        } else if let (Some(expected), Some(next)) = (self.order.expected(), following) {
            // One line can hold no more than two records: when the LF between them was changed.
            if next > expected && next - expected <= 2 {
                for seq in expected..next {
                    self.report.add(Subject::Entry(seq), Fault::Changed, line);
                }
                self.interrupt(self.order.last_in_place());
                self.order.expect(next);
                explained = true;
            }
        }
        let to = self.order.position();
        if self.unreadable.len() < REMEMBERED_MAX {
            self.unreadable.push(Unreadable { line, from, to, explained });
        } else {
            self.report.add(Subject::Line, Fault::Changed, line);
        }
    }

    fn take_entry(&mut self, entry: &EntryLine, line: u64, altered: bool, following: Option<u64>) {
        self.report.entries += 1;
        let payload = entry.payload_digest();
        let hash_of = |seq| payload.map(|payload| link(entry.previous, seq, payload));
        let expected = self.order.expected();
        let whole = hash_of(entry.seq) == Some(entry.hash);
        let renumbered = |e: &u64| !whole && *e != entry.seq && hash_of(*e) == Some(entry.hash);
        let seq = expected.filter(renumbered).unwrap_or(entry.seq);
        if altered || !whole {
            self.report.add(Subject::Entry(seq), Fault::Changed, line);
        }
        let before = self.order.last_in_place();
        match self.order.place(seq, following, line) {
            Place::Here => {}
            Place::AfterGap => self.interrupt(before),
            Place::InsteadOfAnother => return self.interrupt(before),
            Place::Stray => return,
        }
        let computed = hash_of(seq).unwrap_or(entry.hash);
        if !self.connects(entry, seq, computed) {
            self.leave_open(before);
            if self.chain.breaks.len() < REMEMBERED_MAX {
                self.chain.breaks.push((seq, line));
            }
        }
        self.chain.last = Some((entry.hash, computed));
        self.chain.open_from.get_or_insert(seq);
    }

    /// Whether the entry `seq` follows from the one in place before it.
    fn connects(&self, entry: &EntryLine, seq: u64, computed: Digest) -> bool {
        let (written, derived) = match self.chain.last {
            Some(last) => last,
            None if seq == 1 => (GENESIS, GENESIS),
            None => return true,
        };
        // Where the line's own reference was touched, its hash still tells what it followed.
        let follows = |before: Digest| {
            let through_hash = |payload| link(before, seq, payload) == entry.hash;
            entry.previous == before
                || computed != entry.hash && entry.payload_digest().is_some_and(through_hash)
        };
        follows(written) || follows(derived)
    }

    /// What stood before, up to the entry `through`, is not connected with what comes.
    fn interrupt(&mut self, through: u64) {
        self.leave_open(through);
        self.chain.last = None;
    }

    /// What no checkpoint covers yet, up to the entry `through`, will not be covered later.
    fn leave_open(&mut self, through: u64) {
        if let Some(from) = self.chain.open_from.take()
            && self.report.unproven.len() < REMEMBERED_MAX
        {
            self.report.unproven.push(from..=through);
        }
    }

    fn take_checkpoint(
        &mut self,
        checkpoint: &Checkpoint,
        line: u64,
        altered: bool,
        following: Option<u64>,
    ) {
        self.checkpoints.count += 1;
        let position = self.order.position();
        let Some(key) = self.keys.iter().find(|key| key.id() == checkpoint.key) else {
            let known = self
                .keys
                .iter()
                .any(|key| Checkpoint { key: key.id(), ..checkpoint.clone() }.is_signed_by(key));
            let fault = if known { Fault::Changed } else { Fault::UnknownKey };
            return self.distrust_checkpoint(position, fault, line);
        };
        if altered || !checkpoint.is_signed_by(key) {
            return self.distrust_checkpoint(position, Fault::Changed, line);
        }
        let seq = checkpoint.seq;
        let after_gap =
            seq > position && following.map_or(self.order.expected().is_some(), |next| next > seq);
        if seq != position && !after_gap {
            return self.checkpoints.stray(seq, line);
        }
        self.want_checkpoint(checkpoint.previous, line);
        if !self.checkpoints.see(seq) {
            self.report.add(Subject::Checkpoint(seq), Fault::Duplicate, line);
        }
        if seq == position {
            return self.prove(checkpoint, line);
        }
        // The entry it covers is gone; its hash is known from here all the same.
        self.interrupt(self.order.last_in_place());
        self.order.expect_after_gap(seq + 1, line);
        self.chain.last = Some((checkpoint.hash, checkpoint.hash));
    }

    /// Holds the chain against a checkpoint that is genuine and in place.
    fn prove(&mut self, checkpoint: &Checkpoint, line: u64) {
        let holds = match self.chain.last {
            Some((written, derived)) => [written, derived].contains(&checkpoint.hash),
            None => true,
        };
        let written = self.chain.last.map_or(checkpoint.hash, |(written, _)| written);
        let breaks = std::mem::take(&mut self.chain.breaks);
        if holds {
            // What led here is genuine, so whatever it does not follow from is not.
            for (seq, line) in breaks {
                self.report.add(Subject::Entry(seq - 1), Fault::Replaced, line - 1);
            }
            if let Some(from) = self.chain.open_from.take() {
                self.report.proven += checkpoint.seq + 1 - from;
            }
        } else {
            let from = breaks.first().map(|&(seq, _)| seq);
            let from = from.or(self.chain.open_from).unwrap_or(checkpoint.seq);
            let subject = Subject::between(from, checkpoint.seq);
            self.report.add(subject, Fault::Replaced, line);
            self.leave_open(checkpoint.seq);
        }
        self.chain.last = Some((written, checkpoint.hash));
    }

    fn distrust_checkpoint(&mut self, position: u64, fault: Fault, line: u64) {
        self.report.add(Subject::Checkpoint(position), fault, line);
        self.checkpoints.see(position);
    }

    /// Notes that the checkpoint of the entry `seq`, 0 for none, should have come by now.
    fn want_checkpoint(&mut self, seq: u64, line: u64) {
        let before_the_export = seq < self.order.first().unwrap_or(0);
        let proof = self.opening.as_ref().is_some_and(|opening| opening.message.is_some());
        if seq == 0 || before_the_export || proof || self.checkpoints.seen.contains(&seq) {
            return;
        }
        if self.checkpoints.wanted.len() < REMEMBERED_MAX {
            self.checkpoints.wanted.push((seq, line));
        }
    }

    fn finish_checkpoints(&mut self) {
        let Checkpoints { seen, strays, wanted, .. } = std::mem::take(&mut self.checkpoints);
        // One that stands between an entry and a copy of it is where it belongs.
        let held =
            |seq: &u64, line: &u64| self.order.copied_at(seq + 1).is_some_and(|at| at > *line);
        for (seq, line) in strays.iter().filter(|(seq, line)| !held(seq, line)) {
            let fault = if seen.contains(seq) { Fault::Duplicate } else { Fault::OutOfOrder };
            self.report.add(Subject::Checkpoint(*seq), fault, *line);
        }
        for (seq, line) in wanted.into_iter().filter(|(seq, _)| !strays.contains_key(seq)) {
            let (fault, line) = match self.unread(|unread| (unread.from..=unread.to).contains(&seq))
            {
                Some(unread) => (Fault::Changed, unread),
                None => (Fault::Missing, line),
            };
            self.report.add(Subject::Checkpoint(seq), fault, line);
        }
    }

    fn finish_entries(&mut self) {
        for (subject, fault, line) in self.order.conclude() {
            let missing = match (&subject, fault) {
                (Subject::Entry(seq), Fault::Missing) => *seq..=*seq,
                (Subject::Entries(range), Fault::Missing) => range.clone(),
                (_, _) => {
                    self.report.add(subject, fault, line);
                    continue;
                }
            };
            // One line can hold no more than two records.
            let (from, to) = (*missing.start(), *missing.end());
            let fits = |unread: &Unreadable| from == unread.from + 1 && to <= unread.from + 2;
            match self.unread(fits) {
                Some(line) => {
                    for seq in missing {
                        self.report.add(Subject::Entry(seq), Fault::Changed, line);
                    }
                }
                None => self.report.add(subject, fault, line),
            }
        }
    }

    /// The line that could not be read for which `fits` holds: what it said is known now.
    fn unread(&mut self, fits: impl Fn(&Unreadable) -> bool) -> Option<u64> {
        let unread = self.unreadable.iter_mut().find(|unread| fits(unread))?;
        unread.explained = true;
        Some(unread.line)
    }

    fn finish(mut self, octets: u64) -> Report {
        self.report.octets = octets;
        self.finish_end();
        if let Some(tail) = self.chain.open_from.take() {
            self.report.unsigned_tail = Some(tail..=self.order.last_in_place());
        }
        // Without a later checkpoint it is not known which side of a break is genuine.
        for (seq, line) in std::mem::take(&mut self.chain.breaks) {
            self.report.add(Subject::Entries(seq - 1..=seq), Fault::Replaced, line);
        }
        self.report.checkpoints = self.checkpoints.count;
        self.finish_checkpoints();
        self.finish_entries();
        self.finish_frame();
        for unread in self.unreadable.iter().filter(|unread| !unread.explained) {
            self.report.add(Subject::Line, Fault::Changed, unread.line);
        }
        self.report.first = self.order.first().unwrap_or(0);
        self.report.last = self.order.position();
        self.report.settle();
        self.report
    }

    /// First and last line. A copy of another record before the one or behind the other
    /// does not make these the ones that moved.
    fn finish_frame(&mut self) {
        let copied = self.report.findings.iter().any(|finding| finding.fault == Fault::Duplicate);
        let unread = self.unreadable.first().is_some_and(|first| first.line == 1);
        match self.opening.take() {
            Some(opening) => {
                if self.opening_line != 1 && !(copied && self.opening_line == 2) && !unread {
                    self.report.add(Subject::Opening, Fault::OutOfOrder, self.opening_line);
                }
                self.report.host = opening.host;
            }
            None if unread => {}
            None => self.report.add(Subject::Opening, Fault::Missing, 1),
        }
        let behind = self.last_line - self.end_line.min(self.last_line);
        let unread = self.unreadable.last().is_some_and(|last| last.line == self.last_line);
        if self.end_line != 0 && behind != 0 && !((copied || unread) && behind == 1) {
            self.report.add(Subject::End, Fault::OutOfOrder, self.end_line);
        }
    }

    fn finish_end(&mut self) {
        let Some(Ended { end, line, digest }) = self.end.take() else {
            let last_line = self.last_line;
            let unread = self.unreadable.last_mut().filter(|u| u.line == last_line && !u.explained);
            let fault = match unread {
                Some(unread) if !self.cut_short => {
                    unread.explained = true;
                    Fault::Changed
                }
                Some(unread) => {
                    unread.explained = true;
                    Fault::Missing
                }
                None => Fault::Missing,
            };
            return self.report.add(Subject::End, fault, self.last_line);
        };
        let signed = self.keys.iter().any(|key| end.is_signed_by(key));
        if !signed {
            let touched = |key: &PublicKey| End { key: key.id(), ..end.clone() }.is_signed_by(key);
            let known = self.keys.iter().any(|key| key.id() == end.key || touched(key));
            let fault = if known { Fault::Changed } else { Fault::UnknownKey };
            return self.report.add(Subject::End, fault, line);
        }
        self.report.sealed_at = Some(end.at);
        self.end_line = line;
        let intended = self.opening.clone().map(|o| Digest::of(&Record::Opening(o).to_line()));
        if intended.is_some_and(|opening| opening != end.opening) {
            self.report.add(Subject::Opening, Fault::Changed, self.opening_line);
        }
        self.order.ends_at(end.last, line);
        if self.order.position() > end.last {
            let added = Subject::between(end.last + 1, self.order.position());
            self.report.add(added, Fault::Inserted, line);
        }
        self.want_checkpoint(end.checkpoint, line);
        self.report.differs_from_seal = end.digest != digest || end.entries != self.report.entries;
    }
}

impl Checkpoints {
    /// Notes the checkpoint of the entry `seq`; false if it was there before.
    fn see(&mut self, seq: u64) -> bool {
        if self.seen.len() == REMEMBERED_MAX {
            self.seen.pop_first();
        }
        self.seen.insert(seq)
    }

    fn stray(&mut self, seq: u64, line: u64) {
        if self.strays.len() < REMEMBERED_MAX {
            self.strays.insert(seq, line);
        }
    }
}

#[cfg(test)]
mod tests;
