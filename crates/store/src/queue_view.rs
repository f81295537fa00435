//! Looking at the queue.

use std::collections::BTreeSet;
use std::fmt::Write;

use mail::{Address, Domain, ReversePath, Timestamp, TraceId};
use rusqlite::{Connection, Row, ToSql};

use crate::Store;
use crate::accept::{HELD, LEASED, WAITING, party_key};
use crate::claim::reverse_path;
use crate::error::StoreError;
use crate::model::{ENTRY_BITS, Ending, EntryId};
use crate::transaction::instant;

/// Which entries are meant; every part given must fit. The default means all.
#[derive(Debug, Clone, Default)]
pub struct QueueFilter {
    /// These entries; at most [`ENTRIES_NAMED_MAX`].
    pub entries: Option<Vec<EntryId>>,
    /// Entries of messages whose names lie in this range (see [`TraceId::range_of_prefix`]).
    pub trace: Option<(TraceId, TraceId)>,
    /// Entries for this destination.
    pub destination: Option<String>,
    /// Entries in this state.
    pub state: Option<EntryStateKind>,
    /// Entries of messages from or to this address.
    pub party: Option<Address>,
    /// Entries of messages from or to this domain.
    pub party_domain: Option<Domain>,
    /// Entries queued before this instant.
    pub queued_before: Option<Timestamp>,
}

/// A state without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryStateKind {
    /// For the next attempt.
    Waiting,
    /// Being delivered.
    Leased,
    /// Until it is released.
    Held,
}

impl EntryStateKind {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Leased, Self::Held];
}

/// What an entry is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryState {
    /// It waits for its next attempt.
    Waiting {
        /// When that is.
        due: Timestamp,
    },
    /// It is being delivered.
    Leased {
        /// When it comes back if nothing is heard.
        until: Timestamp,
    },
    /// It stays until it is released.
    Held {
        /// Why.
        reason: String,
    },
}

/// One entry, as the queue list shows it.
#[derive(Debug, Clone)]
pub struct EntryRow {
    /// Its name.
    pub entry: EntryId,
    /// Its message.
    pub trace: TraceId,
    /// Who is told of failures.
    pub reverse_path: ReversePath,
    /// How long the body is.
    pub size_octets: u64,
    /// What it goes to.
    pub destination: String,
    /// How it goes there, if decided.
    pub route: Option<Vec<u8>>,
    /// What it is doing.
    pub state: EntryState,
    /// When it came into the queue.
    pub queued: Timestamp,
    /// When the queue gives up.
    pub expires: Timestamp,
    /// How many attempts there were.
    pub attempts: u32,
    /// The recipients with their state, as JSON.
    pub recipients: Vec<u8>,
    /// How many recipients that is.
    pub recipient_count: u32,
    /// What the last attempt ended with; empty before the first.
    pub note: String,
}

/// A destination with entries that wait, or that is frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// How many entries wait.
    pub waiting: u64,
    /// When the next is due.
    pub next_due: Timestamp,
    /// Why it is frozen, if it is.
    pub frozen: Option<String>,
}

/// Counts as of the last commit, and the age of the oldest entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Entries that wait.
    pub waiting: u64,
    /// Entries being delivered.
    pub leased: u64,
    /// Entries held.
    pub held: u64,
    /// Recipients that have not ended.
    pub open_recipients: u64,
    /// When the oldest entry came into the queue.
    pub oldest: Option<Timestamp>,
    /// Messages accepted since the store was made.
    pub messages: u64,
    /// Messages refused and recorded since the store was made.
    pub refused: u64,
    /// Recipients accepted since the store was made.
    pub recipients: u64,
    /// Recipients ended since the store was made, by ending.
    pub ended: Vec<(Ending, u64)>,
    /// Entries in the evidence chain.
    pub evidence: u64,
    /// Transactions committed since the store was opened.
    pub batches: u64,
}

impl Store {
    /// Counts, without a scan.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let oldest = self
            .read(|connection| {
                connection
                    .prepare_cached("SELECT queued FROM entry ORDER BY n LIMIT 1")
                    .and_then(|mut s| s.query_map([], |row| instant(row, 0))?.next().transpose())
                    .map_err(|e| StoreError::sqlite("look for the oldest entry", &e))
            })
            .await?;
        let published = self.published();
        let tally = &published.tally;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Stats {
            waiting: count(tally.waiting),
            leased: count(tally.leased),
            held: count(tally.held),
            open_recipients: count(tally.open),
            oldest,
            messages: count(tally.messages),
            refused: count(tally.refused),
            recipients: count(tally.recipients),
            ended: Ending::ALL.into_iter().zip(tally.ended.map(count)).collect(),
            evidence: published.evidence,
            batches: published.batches,
        })
    }

    /// Entries that fit, oldest first, those after `after`, at most `limit`
    /// (and never more than [`QUEUE_PAGE_MAX`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::TooMuch`] when the filter names too many entries.
    pub async fn queue_page(
        &self,
        filter: &QueueFilter,
        after: Option<EntryId>,
        limit: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| page(connection, &filter, after, limit)).await
    }

    /// One entry.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it has left the queue.
    pub async fn entry(&self, entry: EntryId) -> Result<EntryRow, StoreError> {
        let filter = QueueFilter { entries: Some(vec![entry]), ..QueueFilter::default() };
        let found = self.queue_page(&filter, None, 1).await?;
        found.into_iter().next().ok_or_else(|| StoreError::NotFound(format!("entry {}", entry.0)))
    }

    /// Destinations with entries that wait, and those frozen, by name after
    /// `after`, at most `limit` (and never more than [`QUEUE_PAGE_MAX`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn destinations(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Destination>, StoreError> {
        let after = after.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT name, waiting, next_due, frozen FROM destination
                     WHERE name > ?1 ORDER BY name LIMIT ?2",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map((after, limit.min(QUEUE_PAGE_MAX)), |row| {
                            Ok(Destination {
                                name: row.get(0)?,
                                waiting: row.get::<_, i64>(1)?.max(0) as u64,
                                next_due: instant(row, 2)?,
                                frozen: row.get(3)?,
                            })
                        })?
                        .collect()
                })
                .map_err(|e| StoreError::sqlite("list destinations", &e))
        })
        .await
    }

    /// The destinations that an operator froze, as of the last commit.
    pub fn frozen(&self) -> std::sync::Arc<BTreeSet<String>> {
        std::sync::Arc::clone(&self.published().frozen)
    }
}

/// One page of entries that fit.
pub(crate) fn page(
    connection: &Connection,
    filter: &QueueFilter,
    after: Option<EntryId>,
    limit: u32,
) -> Result<Vec<EntryRow>, StoreError> {
    let limit = limit.min(QUEUE_PAGE_MAX);
    let named = filter.entries.as_ref().map_or(0, Vec::len);
    if named > ENTRIES_NAMED_MAX {
        return Err(StoreError::TooMuch {
            what: "entries named at once",
            given: named as u64,
            limit: ENTRIES_NAMED_MAX as u64,
        });
    }
    let crowded = match &filter.destination {
        Some(destination) => is_crowded(connection, destination)?,
        None => true,
    };
    // There is one index for each state: each is asked, and the pages merged.
    let ways = match filter.state {
        None if crowded => vec![(Way::InOrder, None)],
        None => EntryStateKind::ALL.map(|state| (Way::ByIndex, Some(state))).to_vec(),
        Some(EntryStateKind::Waiting) if crowded => {
            vec![(Way::InOrder, Some(EntryStateKind::Waiting))]
        }
        Some(state) => vec![(Way::ByIndex, Some(state))],
    };
    let mut rows = Vec::new();
    for (way, state) in ways {
        rows.extend(page_of_state(connection, filter, way, state, after, limit)?);
    }
    rows.sort_by_key(|row: &EntryRow| row.entry);
    rows.truncate(limit as usize);
    Ok(rows)
}

/// How entries are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In their order, those that do not fit left out.
    InOrder,
    /// By the index of their state, then sorted: for each page, all that it has.
    ByIndex,
}

/// Whether so many entries of a destination wait that sorting them for each
/// page costs more than leaving out those of others.
fn is_crowded(connection: &Connection, destination: &str) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT 1 FROM destination WHERE name = ?1 AND waiting > ?2")
        .and_then(|mut statement| statement.exists((destination, CROWDED)))
        .map_err(|e| StoreError::sqlite("look at a destination", &e))
}

fn page_of_state(
    connection: &Connection,
    filter: &QueueFilter,
    way: Way,
    state: Option<EntryStateKind>,
    after: Option<EntryId>,
    limit: u32,
) -> Result<Vec<EntryRow>, StoreError> {
    let failed = |e| StoreError::sqlite("list the queue", &e);
    let (sql, values) = question(filter, way, state, after, limit);
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    statement.query_map(&values[..], entry_row).and_then(Iterator::collect).map_err(failed)
}

/// The question for a page, and its values in the order of their marks.
fn question(
    filter: &QueueFilter,
    way: Way,
    state: Option<EntryStateKind>,
    after: Option<EntryId>,
    limit: u32,
) -> (String, Vec<Box<dyn ToSql>>) {
    let mut sql = String::from(COLUMNS);
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let _ = match filter.trace {
        // The entries of a message are the range that its number begins.
        Some((low, high)) => {
            values.push(Box::new(low.to_bytes()));
            values.push(Box::new(high.to_bytes()));
            write!(
                sql,
                " FROM message m CROSS JOIN entry e
                    ON e.n >= m.n << {ENTRY_BITS} AND e.n < (m.n + 1) << {ENTRY_BITS}
                  WHERE m.id BETWEEN ? AND ?"
            )
        }
        None => write!(
            sql,
            " FROM entry e CROSS JOIN message m ON m.n = e.n >> {ENTRY_BITS} WHERE TRUE"
        ),
    };
    // The sign keeps SQLite from an index.
    sql.push_str(match way {
        Way::InOrder => " AND e.n > ?",
        Way::ByIndex => " AND +e.n > ?",
    });
    values.push(Box::new(after.map_or(-1, |entry| entry.0)));
    if let Some(entries) = &filter.entries {
        let numbers: Vec<String> = entries.iter().map(|entry| entry.0.to_string()).collect();
        let _ = write!(sql, " AND e.n IN ({})", numbers.join(","));
    }
    if let Some(destination) = &filter.destination {
        sql.push_str(match way {
            Way::ByIndex => " AND e.destination = ?",
            Way::InOrder => " AND +e.destination = ?",
        });
        values.push(Box::new(destination.clone()));
    }
    // Written out, because a partial index is used only for what the text says.
    match (way, state) {
        (_, None) => {}
        (Way::ByIndex, Some(state)) => {
            let _ = write!(sql, " AND e.state = {}", number(state));
        }
        (Way::InOrder, Some(state)) => {
            let _ = write!(sql, " AND +e.state = {}", number(state));
        }
    }
    if let Some(party) = &filter.party {
        let _ = write!(
            sql,
            " AND EXISTS
               (SELECT 1 FROM party WHERE name = ? AND message = e.n >> {ENTRY_BITS})"
        );
        values.push(Box::new(party_key(party)));
    }
    if let Some(domain) = &filter.party_domain {
        let _ = write!(
            sql,
            " AND e.n >> {ENTRY_BITS} IN
               (SELECT message FROM party WHERE name >= ? AND name < ?)"
        );
        let (from, to) = domain_range(domain);
        values.push(Box::new(from));
        values.push(Box::new(to));
    }
    if let Some(before) = filter.queued_before {
        sql.push_str(" AND e.queued < ?");
        values.push(Box::new(before.0));
    }
    sql.push_str(match way {
        Way::InOrder => " ORDER BY e.n LIMIT ?",
        Way::ByIndex => " ORDER BY +e.n LIMIT ?",
    });
    values.push(Box::new(limit));
    (sql, values)
}

fn number(state: EntryStateKind) -> i64 {
    match state {
        EntryStateKind::Waiting => WAITING,
        EntryStateKind::Leased => LEASED,
        EntryStateKind::Held => HELD,
    }
}

/// The keys of a domain's addresses: from the first, up to and without the second.
pub(crate) fn domain_range(domain: &Domain) -> (String, String) {
    // The character after the @ that ends the domain in a key.
    (format!("{domain}@"), format!("{domain}A"))
}

fn entry_row(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    let state = match row.get(6)? {
        WAITING => EntryState::Waiting { due: instant(row, 7)? },
        LEASED => EntryState::Leased { until: instant(row, 8)? },
        HELD => EntryState::Held { reason: row.get::<_, Option<String>>(9)?.unwrap_or_default() },
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(6, other)),
    };
    Ok(EntryRow {
        entry: EntryId(row.get(0)?),
        trace: TraceId::from_bytes(row.get(1)?),
        reverse_path: reverse_path(row, 2)?,
        size_octets: row.get::<_, i64>(3)? as u64,
        destination: row.get(4)?,
        route: row.get(5)?,
        state,
        queued: instant(row, 10)?,
        expires: instant(row, 11)?,
        attempts: row.get(12)?,
        recipients: row.get(13)?,
        recipient_count: row.get(14)?,
        note: row.get(15)?,
    })
}

const COLUMNS: &str = "SELECT e.n, m.id, m.reverse_path, m.size, e.destination, e.route, e.state,
   e.due, e.until, e.hold, e.queued, e.expires, e.attempts, e.recipients, e.recipient_count,
   e.note";
/// With more entries waiting, a destination is walked through in order.
const CROWDED: u32 = 20_000;
/// The most rows of one page.
pub const QUEUE_PAGE_MAX: u32 = 1000;
/// The most entries a filter names.
pub const ENTRIES_NAMED_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::plan;

    fn plan_of(filter: &QueueFilter, way: Way, state: Option<EntryStateKind>) -> String {
        let (sql, values) = question(filter, way, state, Some(EntryId(7)), 100);
        plan(&sql, &values)
    }

    #[test]
    fn a_page_is_found_by_an_index_and_read_no_further_than_needed() {
        let all = QueueFilter::default;
        let walked = plan_of(&all(), Way::InOrder, None);
        assert!(walked.starts_with("SEARCH e USING INTEGER PRIMARY KEY"), "{walked}");
        assert!(!walked.contains("TEMP B-TREE"), "{walked}");

        let here = QueueFilter { destination: Some("a.example".to_owned()), ..all() };
        let walked = plan_of(&here, Way::InOrder, Some(EntryStateKind::Waiting));
        assert!(!walked.contains("TEMP B-TREE"), "{walked}");
        let found = plan_of(&here, Way::ByIndex, Some(EntryStateKind::Waiting));
        assert!(found.contains("entry_waiting (destination=?"), "{found}");
        let found = plan_of(&here, Way::ByIndex, Some(EntryStateKind::Held));
        assert!(found.contains("entry_held (destination=?"), "{found}");
        let found = plan_of(&here, Way::ByIndex, Some(EntryStateKind::Leased));
        assert!(found.contains("entry_leased"), "{found}");

        let named = QueueFilter { trace: TraceId::range_of_prefix("01JNX8Z4"), ..all() };
        let found = plan_of(&named, Way::InOrder, None);
        assert!(found.contains("message_id (id>? AND id<?)"), "{found}");
        assert!(found.contains("SEARCH e USING INTEGER PRIMARY KEY"), "{found}");
    }
}
