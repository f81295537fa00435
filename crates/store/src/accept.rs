//! Taking responsibility for a message.

use std::sync::Arc;

use mail::{Address, Timestamp};
use rusqlite::ErrorCode;

use crate::Store;
use crate::error::StoreError;
use crate::model::{
    Accept, Accepted, BlobId, ENTRIES_MAX, ENTRY_BITS, Ending, EntryId, FACTS_MAX_OCTETS, Lease,
    NewEntry, Refusal, Start,
};
use crate::segment::Segment;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::Work;

impl Store {
    /// Takes responsibility for a message: body, queue entries, evidence and
    /// the ways to find it, all or nothing.
    ///
    /// An entry born leased ([`Start::Leased`]) comes back with its lease, and
    /// nobody else will claim it; if its destination is frozen it waits instead
    /// and comes back without one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]: answer 452. [`StoreError::Duplicate`]: the trace id
    /// is taken. [`StoreError::TooMuch`]: beyond a named limit. After any error
    /// nothing of the message is kept.
    pub async fn accept(&self, accept: Accept) -> Result<Synced<Accepted>, StoreError> {
        check(&accept)?;
        self.write(accept).await
    }

    /// Keeps a refused message so that it can be found.
    ///
    /// # Errors
    ///
    /// As for [`Self::accept`].
    pub async fn record_refusal(&self, refusal: Refusal) -> Result<Synced<()>, StoreError> {
        check_facts(&refusal.facts)?;
        self.write(refusal).await
    }
}

/// Holds a message against the named limits.
pub(crate) fn check(accept: &Accept) -> Result<(), StoreError> {
    if accept.entries.len() > ENTRIES_MAX {
        return Err(StoreError::TooMuch {
            what: "destination groups of one message",
            given: accept.entries.len() as u64,
            limit: ENTRIES_MAX as u64,
        });
    }
    check_facts(&accept.facts)
}

fn check_facts(facts: &[u8]) -> Result<(), StoreError> {
    if facts.len() > FACTS_MAX_OCTETS {
        return Err(StoreError::TooMuch {
            what: "octets of facts of one message",
            given: facts.len() as u64,
            limit: FACTS_MAX_OCTETS as u64,
        });
    }
    Ok(())
}

impl Work for Accept {
    type Output = Accepted;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Accepted, StoreError> {
        insert(tx, self)
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        self.body.segments().cloned().collect()
    }

    fn needs_room(&self) -> bool {
        true
    }
}

/// Inserts a message and everything that belongs to it.
pub(crate) fn insert(tx: &mut Tx<'_>, accept: &Accept) -> Result<Accepted, StoreError> {
    let n = tx.state.message + 1;
    let open: u32 = accept.entries.iter().map(|entry| entry.recipient_count).sum();
    let mut ended = [0_u32; Ending::ALL.len()];
    for &(ending, number) in &accept.ended {
        ended[ending as usize] += number;
        tx.state.tally.end(ending, number);
    }
    let recipients = open + ended.iter().sum::<u32>();
    let keeps_body = open > 0 || ended[Ending::Quarantined as usize] > 0;
    tx.execute(
        "insert a message",
        "INSERT INTO message (n, id, received, finished, recipients, open, delivered, relayed,
           bounced, discarded, quarantined, cancelled, blob, size, sha256, reverse_path,
           message_id, facts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        rusqlite::params![
            n,
            accept.trace.to_bytes(),
            accept.received.0,
            (open == 0).then_some(accept.received.0),
            recipients,
            open,
            ended[0],
            ended[1],
            ended[2],
            ended[3],
            ended[4],
            ended[5],
            n,
            accept.body.len_octets() as i64,
            accept.body.sha256(),
            accept.reverse_path.to_string(),
            accept.message_id,
            accept.facts,
        ],
    )
    .map_err(|error| duplicate(tx, error, accept.trace))?;
    if keeps_body {
        insert_body(tx, n, accept)?;
    }
    insert_parties(tx, n, &accept.parties)?;
    if let Some(id) = &accept.message_id {
        insert_party(tx, n, &message_id_key(id))?;
    }
    let mut entries = Vec::with_capacity(accept.entries.len());
    for (place, entry) in accept.entries.iter().enumerate() {
        entries.push(insert_entry(tx, n << ENTRY_BITS | place as i64, entry, accept.received)?);
    }
    tx.append_evidence(&accept.evidence)?;
    tx.state.message = n;
    tx.state.tally.messages += 1;
    tx.state.tally.recipients += i64::from(recipients);
    tx.state.tally.open += i64::from(open);
    Ok(Accepted { trace: accept.trace, blob: BlobId(n), entries })
}

/// A taken trace id is the only constraint a message row can break.
fn duplicate(tx: &Tx<'_>, error: StoreError, trace: mail::TraceId) -> StoreError {
    let taken = tx.statement("look for a message", "SELECT 1 FROM message WHERE id = ?1").and_then(
        |mut s| {
            s.exists([trace.to_bytes()]).map_err(|e| StoreError::sqlite("look for a message", &e))
        },
    );
    match taken {
        Ok(true) => StoreError::Duplicate(trace),
        Ok(false) | Err(_) => error,
    }
}

fn insert_body(tx: &mut Tx<'_>, n: i64, accept: &Accept) -> Result<(), StoreError> {
    let inline = accept.body.inline();
    tx.execute(
        "insert a body",
        "INSERT INTO blob (n, refs, size, crc, octets) VALUES (?1, 1, ?2, ?3, ?4)",
        (
            n,
            accept.body.len_octets() as i64,
            inline.map_or(0, |octets| crc32c::crc32c(octets)),
            inline.map(|octets| &octets[..]),
        ),
    )?;
    tx.insert_extents(n, accept.body.extents())
}

fn insert_parties(tx: &mut Tx<'_>, n: i64, parties: &[Address]) -> Result<(), StoreError> {
    for party in parties {
        insert_party(tx, n, &party_key(party))?;
    }
    Ok(())
}

fn insert_party(tx: &mut Tx<'_>, n: i64, name: &str) -> Result<(), StoreError> {
    tx.execute(
        "note who a message concerns",
        "INSERT OR IGNORE INTO party (name, message) VALUES (?1, ?2)",
        (name, n),
    )?;
    Ok(())
}

/// The key of an address: its domain first, so that a domain's mail is a range.
pub(crate) fn party_key(address: &Address) -> String {
    format!("{}@{}", address.domain(), address.local().to_lowercase())
}

/// The key of a Message-ID, with its angle brackets; as an address has none,
/// the two do not meet.
pub(crate) fn message_id_key(id: &str) -> String {
    let id = id.trim().trim_start_matches('<').trim_end_matches('>');
    let end = id.char_indices().map(|(at, _)| at).take_while(|&at| at <= MESSAGE_ID_MAX_OCTETS);
    let end = if id.len() > MESSAGE_ID_MAX_OCTETS { end.last().unwrap_or(0) } else { id.len() };
    format!("<{}>", &id[..end])
}

fn insert_entry(
    tx: &mut Tx<'_>,
    n: i64,
    entry: &NewEntry,
    received: Timestamp,
) -> Result<(EntryId, Option<Lease>), StoreError> {
    let frozen = tx.state.frozen.contains(&entry.destination);
    let (state, due, until, hold) = match &entry.start {
        Start::Leased { until } if !frozen => (LEASED, received, *until, None),
        Start::Leased { .. } => (WAITING, received, Timestamp(0), None),
        Start::Due(due) => (WAITING, *due, Timestamp(0), None),
        Start::Held(hold) => (HELD, received, Timestamp(0), Some(&hold.reason)),
    };
    let lease = (state == LEASED).then(|| {
        tx.state.token += 1;
        Lease { entry: EntryId(n), token: tx.state.token }
    });
    tx.execute(
        "insert a queue entry",
        "INSERT INTO entry (n, state, due, until, token, attempts, queued, expires,
           recipient_count, destination, hold, note, route, recipients)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9, ?10, '', ?11, ?12)",
        rusqlite::params![
            n,
            state,
            due.0,
            until.0,
            lease.as_ref().map_or(0, |lease| lease.token),
            received.0,
            entry.expires.0,
            entry.recipient_count,
            entry.destination,
            hold,
            entry.route,
            entry.recipients,
        ],
    )?;
    match state {
        LEASED => tx.state.tally.leased += 1,
        HELD => tx.state.tally.held += 1,
        _ => tx.add_waiting(&entry.destination, due)?,
    }
    Ok((EntryId(n), lease))
}

impl Work for Refusal {
    type Output = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let n = tx.state.message + 1;
        tx.execute(
            "insert a refusal",
            "INSERT INTO message (n, id, received, finished, recipients, open, size,
               reverse_path, facts)
             VALUES (?1, ?2, ?3, ?3, 0, 0, 0, ?4, ?5)",
            (n, self.trace.to_bytes(), self.at.0, self.reverse_path.to_string(), &self.facts),
        )
        .map_err(|error| duplicate(tx, error, self.trace))?;
        insert_parties(tx, n, &self.parties)?;
        tx.append_evidence(&self.evidence)?;
        tx.state.message = n;
        tx.state.tally.refused += 1;
        Ok(())
    }

    fn needs_room(&self) -> bool {
        true
    }
}

/// Whether SQLite says that the file is not what it should be.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// States of an entry, as kept in its row; the partial indexes name them.
pub(crate) const WAITING: i64 = 0;
pub(crate) const LEASED: i64 = 1;
pub(crate) const HELD: i64 = 2;
/// Longer Message-IDs are found by this many octets of theirs.
const MESSAGE_ID_MAX_OCTETS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_group_a_domain_and_never_meet_those_of_message_ids() {
        let key = |text: &str| party_key(&Address::parse(text).unwrap());
        assert_eq!(key("Ann@Clinic.example"), "clinic.example@ann");
        assert_eq!(message_id_key(" <a@b> "), "<a@b>");
        assert_eq!(message_id_key("a@b"), "<a@b>");
        assert!(message_id_key(&"ä".repeat(300)).len() <= MESSAGE_ID_MAX_OCTETS + 2);
    }
}
