use std::collections::BTreeMap;

use expect_test::expect;
use mail::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::testing::{accepted, finished, trace_id};
use crate::{Ending, Entry, Exporter, Signer};

/// A chain as the store keeps it.
struct Kept {
    signer: Signer,
    rows: Vec<(Digest, Vec<u8>)>,
    checkpoints: BTreeMap<u64, Checkpoint>,
}

impl Kept {
    /// `entries` entries, two for each of `messages` messages in turn, with a checkpoint
    /// after every `every`.
    fn new(entries: u64, messages: u8, every: u64) -> Self {
        let (signer, _) = Signer::generate().unwrap();
        let mut kept = Self { signer, rows: Vec::new(), checkpoints: BTreeMap::new() };
        let mut before = 0;
        for seq in 1..=entries {
            let who = format!("r{seq}@partner.example");
            let event =
                if seq % 2 == 1 { accepted(&[&who]) } else { finished(&who, Ending::Relayed) };
            let message = ((seq - 1) / 2 % u64::from(messages)) as u8;
            let entry = Entry::about(trace_id(message), Timestamp(seq as i64), event);
            kept.push(entry.to_payload());
            if seq % every == 0 {
                let hash = kept.hash(seq);
                let checkpoint = kept.signer.checkpoint(before, seq, hash, Timestamp(seq as i64));
                kept.checkpoints.insert(seq, checkpoint);
                before = seq;
            }
        }
        kept
    }

    fn push(&mut self, payload: Vec<u8>) {
        let seq = self.rows.len() as u64 + 1;
        let hash = link(self.hash(seq - 1), seq, Digest::of(&payload));
        self.rows.push((hash, payload));
    }

    fn hash(&self, seq: u64) -> Digest {
        if seq == 0 { GENESIS } else { self.rows[seq as usize - 1].0 }
    }

    fn export(&self) -> Vec<u8> {
        self.export_range(1, self.rows.len() as u64)
    }

    fn export_range(&self, first: u64, last: u64) -> Vec<u8> {
        let mut export = Exporter::begin(Vec::new(), "mx.clinic.example", first).unwrap();
        for seq in first..=last {
            let (hash, payload) = &self.rows[seq as usize - 1];
            export.entry(seq, self.hash(seq - 1), payload, *hash).unwrap();
            if let Some(checkpoint) = self.checkpoints.get(&seq) {
                export.checkpoint(checkpoint).unwrap();
            }
        }
        export.finish(&self.signer, Timestamp(99)).unwrap()
    }

    fn verify(&self, export: &[u8]) -> Report {
        verify(export, &[self.signer.public_key()]).unwrap()
    }

    /// What each line of an export is.
    fn subjects(export: &[u8]) -> Vec<Subject> {
        lines(export)
            .iter()
            .map(|line| match serde_json::from_slice(line).unwrap() {
                Record::Opening(_) => Subject::Opening,
                Record::Entry(entry) => Subject::Entry(entry.seq),
                Record::Resume(_) => Subject::Line,
                Record::Checkpoint(checkpoint) => Subject::Checkpoint(checkpoint.seq),
                Record::End(_) => Subject::End,
            })
            .collect()
    }
}

fn lines(export: &[u8]) -> Vec<Vec<u8>> {
    export.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect()
}

fn found(report: &Report) -> Vec<(Subject, Fault)> {
    report.findings.iter().map(|f| (f.subject.clone(), f.fault)).collect()
}

/// Every entry, checkpoint and end that a report names, ranges taken apart.
fn named(report: &Report) -> Vec<Subject> {
    let mut named = Vec::new();
    for finding in &report.findings {
        match &finding.subject {
            Subject::Entries(range) => named.extend(range.clone().map(Subject::Entry)),
            subject => named.push(subject.clone()),
        }
    }
    named
}

#[test]
fn an_untouched_export_is_intact() {
    let kept = Kept::new(12, 3, 5);
    let report = kept.verify(&kept.export());
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.entries, report.checkpoints, report.proven), (12, 2, 10));
    assert_eq!(report.unsigned_tail, Some(11..=12));
    expect![[r"
        Evidence of mx.clinic.example: 12 entries (1 to 12), 2 checkpoints
          signed as a whole at 1970-01-01T00:00:00.099Z
          10 entries are covered by a checkpoint
          no checkpoint follows entries 11 to 12 yet
        INTACT
    "]]
    .assert_eq(&report.to_string());
}

#[test]
fn a_part_of_the_chain_is_verified_as_well() {
    let kept = Kept::new(12, 3, 5);
    let report = kept.verify(&kept.export_range(4, 10));
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.first, report.last, report.proven), (4, 10, 7));
}

#[test]
fn a_chain_without_entries_is_intact() {
    let kept = Kept::new(0, 1, 5);
    let report = kept.verify(&kept.export());
    assert!(report.is_intact(), "{report}");
}

#[test]
fn a_changed_entry_is_named() {
    let kept = Kept::new(12, 3, 5);
    let text = String::from_utf8(kept.export()).unwrap();
    let forged = text.replace("r7@partner", "r0@partner");
    let report = kept.verify(forged.as_bytes());
    assert_eq!(found(&report), [(Subject::Entry(7), Fault::Changed)]);
    assert_eq!(report.proven, 10);
}

#[test]
fn an_entry_made_anew_with_fitting_hashes_is_named() {
    let mut kept = Kept::new(12, 3, 5);
    let (_, payload) = &kept.rows[6];
    let payload = String::from_utf8(payload.clone()).unwrap().replace("r7@", "r0@").into_bytes();
    kept.rows[6] = (link(kept.hash(6), 7, Digest::of(&payload)), payload);
    let mut export = Exporter::begin(Vec::new(), "mx", 1).unwrap();
    for seq in 1..=12 {
        let (hash, payload) = &kept.rows[seq as usize - 1];
        // The one after the forged entry still names the hash that was there.
        let previous = if seq == 8 { Kept::new(7, 3, 5).hash(7) } else { kept.hash(seq - 1) };
        export.entry(seq, previous, payload, *hash).unwrap();
        if let Some(checkpoint) = kept.checkpoints.get(&seq) {
            export.checkpoint(checkpoint).unwrap();
        }
    }
    let export = export.finish(&kept.signer, Timestamp(99)).unwrap();
    let report = kept.verify(&export);
    assert_eq!(found(&report), [(Subject::Entry(7), Fault::Replaced)]);
    assert_eq!(report.unproven, [6..=7]);
}

#[test]
fn a_chain_computed_anew_does_not_fit_the_checkpoint() {
    let mut kept = Kept::new(12, 3, 5);
    let payloads: Vec<_> = kept.rows.drain(6..).map(|(_, payload)| payload).collect();
    for (n, payload) in payloads.into_iter().enumerate() {
        kept.push(if n == 0 { b"{}".to_vec() } else { payload });
    }
    let report = kept.verify(&kept.export());
    assert_eq!(found(&report), [(Subject::Entries(6..=10), Fault::Replaced)]);
    assert_eq!(report.proven, 5);
}

#[test]
fn whoever_has_another_key_proves_nothing() {
    let kept = Kept::new(6, 1, 3);
    let (other, _) = Signer::generate().unwrap();
    let report = verify(&kept.export()[..], &[other.public_key()]).unwrap();
    assert_eq!(
        found(&report),
        [
            (Subject::Checkpoint(3), Fault::UnknownKey),
            (Subject::Checkpoint(6), Fault::UnknownKey),
            (Subject::End, Fault::UnknownKey),
        ]
    );
    assert_eq!(report.proven, 0);
}

#[test]
fn an_older_key_is_accepted_beside_the_new_one() {
    let mut kept = Kept::new(6, 1, 3);
    let old = kept.signer.public_key();
    kept.signer = Signer::generate().unwrap().0;
    let keys = [kept.signer.public_key(), old];
    assert!(verify(&kept.export()[..], &keys).unwrap().is_intact());
}

#[test]
fn an_added_entry_is_named() {
    let kept = Kept::new(6, 1, 3);
    let mut longer = Kept::new(6, 1, 3);
    longer.push(b"{}".to_vec());
    let mut lines_of = lines(&kept.export());
    let forged = lines(&longer.export());
    lines_of.insert(lines_of.len() - 1, forged[forged.len() - 2].clone());
    let report = kept.verify(&lines_of.concat());
    assert_eq!(found(&report), [(Subject::Entry(7), Fault::Inserted)]);
}

#[test]
fn a_line_that_says_nothing_is_named() {
    let kept = Kept::new(6, 1, 3);
    let mut lines = lines(&kept.export());
    lines.insert(3, b"\n".to_vec());
    let report = kept.verify(&lines.concat());
    assert_eq!(found(&report), [(Subject::Line, Fault::Changed)]);
    assert_eq!(report.findings[0].line, 4);
}

#[test]
fn a_range_that_was_cut_out_is_named() {
    let kept = Kept::new(20, 3, 7);
    let mut lines = lines(&kept.export());
    lines.drain(3..=5);
    let report = kept.verify(&lines.concat());
    assert_eq!(found(&report), [(Subject::Entries(3..=5), Fault::Missing)]);
    assert_eq!(report.unproven, [1..=2]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_bit_is_named_with_its_record(
        entries in 1u64..20, every in 1u64..8, place in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let kept = Kept::new(entries, 3, every);
        let export = kept.export();
        let at = place.index(export.len());
        let mut touched = export.clone();
        touched[at] ^= 1 << bit;
        let report = kept.verify(&touched);
        let line = lines(&export[..=at]).len() - 1;
        let subjects = Kept::subjects(&export);
        // A changed line end joins two records, and a new one divides one: its second half is
        // a line that says nothing.
        let (joined, divided) = (export[at] == b'\n', touched[at] == b'\n');
        let expected = &subjects[line..(line + 1 + usize::from(joined)).min(subjects.len())];
        let named = named(&report);
        prop_assert!(!named.is_empty());
        let is_expected = |s: &Subject| expected.contains(s) || (divided && *s == Subject::Line);
        prop_assert!(named.iter().all(is_expected), "{:?} {}", expected, report);
        if !joined && !divided {
            prop_assert_eq!(named.len(), 1);
            prop_assert_eq!(report.findings[0].fault, Fault::Changed);
            prop_assert_eq!(report.findings[0].line, line as u64 + 1);
        }
    }

    #[test]
    fn any_dropped_record_is_named(
        entries in 1u64..20, every in 1u64..8, place in any::<prop::sample::Index>(),
    ) {
        let kept = Kept::new(entries, 3, every);
        let export = kept.export();
        let mut lines = lines(&export);
        let at = place.index(lines.len());
        let subject = Kept::subjects(&export).remove(at);
        lines.remove(at);
        let report = kept.verify(&lines.concat());
        prop_assert_eq!(found(&report), [(subject, Fault::Missing)], "{}", report);
    }

    #[test]
    fn any_two_records_that_changed_places_are_named(
        entries in 1u64..20, every in 1u64..8,
        one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
    ) {
        let kept = Kept::new(entries, 3, every);
        let export = kept.export();
        let mut lines = lines(&export);
        let (i, j) = (one.index(lines.len()), other.index(lines.len()));
        let subjects = Kept::subjects(&export);
        lines.swap(i, j);
        let report = kept.verify(&lines.concat());
        let named = named(&report);
        prop_assert_eq!(i == j, report.is_intact());
        // Between near neighbours there is more than one way to tell it.
        let near = i.abs_diff(j) <= 3;
        let span = &subjects[i.min(j)..=i.max(j)];
        let told = |s: &Subject| *s == subjects[i] || *s == subjects[j] || near && span.contains(s);
        prop_assert!(named.iter().all(told), "{}", report);
        prop_assert!(report.findings.iter().all(|f| f.fault == Fault::OutOfOrder), "{}", report);
        if !near {
            prop_assert_eq!(named.len(), 2, "{}", report);
        }
    }

    #[test]
    fn any_record_that_is_there_twice_is_named(
        entries in 1u64..20, every in 1u64..8,
        place in any::<prop::sample::Index>(), copy in any::<prop::sample::Index>(),
    ) {
        let kept = Kept::new(entries, 3, every);
        let export = kept.export();
        let mut lines = lines(&export);
        let at = place.index(lines.len());
        let subject = Kept::subjects(&export).remove(at);
        let line = lines[at].clone();
        lines.insert(copy.index(lines.len() + 1), line);
        let report = kept.verify(&lines.concat());
        prop_assert!(!report.is_intact());
        prop_assert!(named(&report).iter().all(|s| *s == subject), "{:?} {}", subject, report);
    }

    #[test]
    fn an_export_cut_short_anywhere_is_known_to_be(
        entries in 1u64..20, every in 1u64..8, place in any::<prop::sample::Index>(),
    ) {
        let kept = Kept::new(entries, 3, every);
        let export = kept.export();
        let report = kept.verify(&export[..place.index(export.len())]);
        prop_assert!(found(&report).contains(&(Subject::End, Fault::Missing)), "{}", report);
        prop_assert!(named(&report).iter().all(|s| matches!(s, Subject::End | Subject::Opening)));
    }

    #[test]
    fn any_octets_are_verified_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (signer, _) = Signer::generate().unwrap();
        let report = verify(&octets[..], &[signer.public_key()]).unwrap();
        prop_assert!(!report.is_intact());
    }
}
