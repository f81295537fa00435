//! What became of an attempt.

use std::sync::Arc;

use mail::Timestamp;

use crate::Store;
use crate::accept::{HELD, LEASED, WAITING, check, insert};
use crate::error::StoreError;
use crate::model::{ENTRY_BITS, Ending, Lease, Remaining, Settle, Settled};
use crate::segment::Segment;
use crate::synced::Synced;
use crate::transaction::Tx;
use crate::writer::{Act, Work};

impl Store {
    /// Ends an attempt: recipients that are done leave the queue, the others
    /// wait, evidence and notices are written, all in one transaction.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotLeased`] when the lease had expired and the entry is
    /// somebody else's now. [`StoreError::Database`] when the recipients do not
    /// add up. After any error the entry is as it was and comes back when its
    /// lease expires; where the error [may pass](StoreError::may_pass), the same
    /// settlement can be given again before that.
    pub async fn settle(
        &self,
        settle: impl Into<Arc<Settle>>,
    ) -> Result<Synced<Settled>, StoreError> {
        let settle = settle.into();
        for notice in &settle.notices {
            check(notice)?;
        }
        self.write(settle).await
    }

    /// Gives a lease more time. A lease that has expired but was not handed to
    /// another is renewed as well.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotLeased`] when the entry is somebody else's now.
    pub async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<Synced<()>, StoreError> {
        let (entry, token) = (lease.entry, lease.token);
        self.write(Act(move |tx: &mut Tx<'_>| {
            let changed = tx.execute(
                "renew a lease",
                "UPDATE entry SET until = ?3 WHERE n = ?1 AND state = 1 AND token = ?2",
                (entry.0, token, until.0),
            )?;
            if changed == 0 { Err(not_leased(entry.0)) } else { Ok(()) }
        }))
        .await
    }
}

impl Work for Arc<Settle> {
    type Output = Settled;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Settled, StoreError> {
        let ended: u32 = self.ended.iter().map(|&(_, number)| number).sum();
        let remaining = self.remaining.as_ref().map_or(0, |remaining| remaining.recipient_count);
        match &self.remaining {
            None => remove_entry(tx, &self.lease, ended)?,
            Some(remaining) => put_back(tx, &self.lease, remaining, ended, self.at)?,
        }
        let message_finished = if ended > 0 {
            end_recipients(tx, self.lease.entry.0 >> ENTRY_BITS, &self.ended, self.at)?
        } else {
            false
        };
        debug_assert!(ended + remaining > 0, "an entry without recipients");
        tx.append_evidence(&self.evidence)?;
        let mut notices = Vec::with_capacity(self.notices.len());
        for notice in &self.notices {
            notices.push(insert(tx, notice)?);
        }
        Ok(Settled { notices, message_finished })
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        self.notices.iter().flat_map(|notice| notice.body.segments().cloned()).collect()
    }
}

fn not_leased(entry: i64) -> StoreError {
    StoreError::NotLeased { entry, detail: "the lease has ended".to_owned() }
}

fn uneven(had: u32, ended: u32, remaining: u32) -> StoreError {
    StoreError::Database {
        what: "settle an attempt",
        detail: format!("of {had} recipients, {ended} ended and {remaining} go on"),
    }
}

fn remove_entry(tx: &mut Tx<'_>, lease: &Lease, ended: u32) -> Result<(), StoreError> {
    let had = tx.first(
        "remove a queue entry",
        "DELETE FROM entry WHERE n = ?1 AND state = 1 AND token = ?2 RETURNING recipient_count",
        (lease.entry.0, lease.token),
        |row| row.get::<_, u32>(0),
    )?;
    let had = had.ok_or_else(|| not_leased(lease.entry.0))?;
    if had != ended {
        return Err(uneven(had, ended, 0));
    }
    tx.state.tally.leased -= 1;
    Ok(())
}

fn put_back(
    tx: &mut Tx<'_>,
    lease: &Lease,
    remaining: &Remaining,
    ended: u32,
    at: Timestamp,
) -> Result<(), StoreError> {
    let found = tx.first(
        "look at a queue entry",
        "SELECT recipient_count, destination, hold IS NOT NULL FROM entry
         WHERE n = ?1 AND state = 1 AND token = ?2",
        (lease.entry.0, lease.token),
        |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?)),
    )?;
    let (had, destination, hold) = found.ok_or_else(|| not_leased(lease.entry.0))?;
    if had != ended + remaining.recipient_count || remaining.recipient_count == 0 {
        return Err(uneven(had, ended, remaining.recipient_count));
    }
    let due = remaining.due.max(at);
    tx.execute(
        "put a queue entry back",
        "UPDATE entry SET state = ?2, due = ?3, until = 0, token = 0, attempts = attempts + ?4,
           recipient_count = ?5, recipients = ?6, note = ?7 WHERE n = ?1",
        (
            lease.entry.0,
            if hold { HELD } else { WAITING },
            due.0,
            i64::from(remaining.attempted),
            remaining.recipient_count,
            &remaining.recipients,
            &remaining.note,
        ),
    )?;
    tx.state.tally.leased -= 1;
    if hold {
        tx.state.tally.held += 1;
        Ok(())
    } else {
        tx.add_waiting(&destination, due)
    }
}

/// Takes an entry's claim back: it waits, or is held if it was to be.
pub(crate) fn release_lease(tx: &mut Tx<'_>, entry: i64) -> Result<(), StoreError> {
    let released = tx.first(
        "release a lease",
        "UPDATE entry SET state = CASE WHEN hold IS NULL THEN 0 ELSE 2 END, until = 0, token = 0
         WHERE n = ?1 AND state = 1 RETURNING state, destination, due",
        [entry],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)),
    )?;
    let Some((state, destination, due)) = released else { return Ok(()) };
    tx.state.tally.leased -= 1;
    if state == HELD {
        tx.state.tally.held += 1;
        Ok(())
    } else {
        debug_assert!(state != LEASED, "the entry was released");
        tx.add_waiting(&destination, Timestamp(due))
    }
}

/// Counts recipients of a message as ended; the last takes the body with it.
/// Says whether it was the last.
fn end_recipients(
    tx: &mut Tx<'_>,
    message: i64,
    endings: &[(Ending, u32)],
    at: Timestamp,
) -> Result<bool, StoreError> {
    let mut ended = [0_u32; Ending::ALL.len()];
    for &(ending, number) in endings {
        ended[ending as usize] += number;
        tx.state.tally.end(ending, number);
    }
    let number: u32 = ended.iter().sum();
    tx.state.tally.open -= i64::from(number);
    let after = tx.first(
        "count ended recipients",
        "UPDATE message SET open = open - ?2,
           finished = CASE WHEN open = ?2 THEN ?3 END,
           delivered = delivered + ?4, relayed = relayed + ?5, bounced = bounced + ?6,
           discarded = discarded + ?7, quarantined = quarantined + ?8, cancelled = cancelled + ?9
         WHERE n = ?1 RETURNING open, blob, quarantined",
        rusqlite::params![
            message, number, at.0, ended[0], ended[1], ended[2], ended[3], ended[4], ended[5],
        ],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
    )?;
    let (open, blob, quarantined) =
        after.ok_or_else(|| StoreError::NotFound(format!("message with the number {message}")))?;
    if open == 0 && quarantined == 0 {
        tx.release_blob(blob)?;
    }
    Ok(open == 0)
}
