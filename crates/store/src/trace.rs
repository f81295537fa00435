//! Finding a message and what happened to it.

use mail::{Address, Domain, ReversePath, Timestamp, TraceId};
use rusqlite::{Connection, Row, ToSql};

use crate::Store;
use crate::accept::{message_id_key, party_key};
use crate::chain::Hash;
use crate::claim::reverse_path;
use crate::error::StoreError;
use crate::model::{BlobId, Ending};
use crate::queue_view::domain_range;
use crate::transaction::instant;

/// Which messages are meant; every part given must fit. The default means all.
#[derive(Debug, Clone, Default)]
pub struct TraceQuery {
    /// Messages whose names lie in this range (see [`TraceId::range_of_prefix`]).
    pub ids: Option<(TraceId, TraceId)>,
    /// Messages from or to this address.
    pub address: Option<Address>,
    /// Messages from or to this domain.
    pub domain: Option<Domain>,
    /// Messages with this Message-ID, with or without angle brackets.
    pub message_id: Option<String>,
    /// Messages that came at this instant or later.
    pub from: Option<Timestamp>,
    /// Messages that came before this instant.
    pub to: Option<Timestamp>,
    /// The page after the one that ended with this message.
    pub after: Option<TraceId>,
    /// How many at most; never more than [`TRACE_PAGE_MAX`]. Zero means that.
    pub limit: u32,
}

/// One message, accepted or refused.
#[derive(Debug, Clone)]
pub struct MessageRow {
    /// Its name.
    pub trace: TraceId,
    /// When it came.
    pub received: Timestamp,
    /// When its last recipient ended; `None` while one is open.
    pub finished: Option<Timestamp>,
    /// Who is told of failures.
    pub reverse_path: ReversePath,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// How long its body is.
    pub size_octets: u64,
    /// The SHA-256 of its body; `None` for a refused message.
    pub sha256: Option<Hash>,
    /// Its body, while a recipient is open; `None` for a refused message.
    pub blob: Option<BlobId>,
    /// How many recipients it had.
    pub recipients: u32,
    /// How many of them have not ended.
    pub open: u32,
    /// How many ended how; endings without any are left out.
    pub ended: Vec<(Ending, u32)>,
    /// Its facts, as given when it was accepted or refused.
    pub facts: Vec<u8>,
}

impl MessageRow {
    /// Whether it was refused, not accepted.
    pub fn is_refused(&self) -> bool {
        self.sha256.is_none()
    }
}

impl Store {
    /// Messages that fit, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] when the rows cannot be read.
    pub async fn trace(&self, query: &TraceQuery) -> Result<Vec<MessageRow>, StoreError> {
        let query = query.clone();
        self.read(move |connection| find(connection, &query)).await
    }

    /// The message called `trace`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none.
    pub async fn message(&self, trace: TraceId) -> Result<MessageRow, StoreError> {
        let query = TraceQuery { ids: Some((trace, trace)), limit: 1, ..TraceQuery::default() };
        let found = self.trace(&query).await?.into_iter().next();
        found.ok_or_else(|| StoreError::NotFound(format!("message {trace}")))
    }
}

fn find(connection: &Connection, query: &TraceQuery) -> Result<Vec<MessageRow>, StoreError> {
    let failed = |e| StoreError::sqlite("look for messages", &e);
    let (sql, values) = question(query);
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    statement.query_map(&values[..], message_row).and_then(Iterator::collect).map_err(failed)
}

/// The question and its values. An address, a Message-ID or a domain is
/// followed in the order of its messages' numbers, anything else in the order
/// of names; both begin with the newest and stop at the limit.
fn question(query: &TraceQuery) -> (String, Vec<Box<dyn ToSql>>) {
    let mut parties = Vec::new();
    parties.extend(query.address.as_ref().map(party_key));
    parties.extend(query.message_id.as_ref().map(|id| message_id_key(id)));
    let mut sql = String::from(COLUMNS);
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let order = match (parties.is_empty(), &query.domain) {
        (false, _) => Order::Party,
        (true, Some(_)) => Order::Number,
        (true, None) => Order::Name,
    };
    let mut parties = parties.into_iter();
    sql.push_str(match parties.next() {
        None => " FROM message m WHERE TRUE",
        Some(first) => {
            values.push(Box::new(first));
            " FROM party p CROSS JOIN message m ON m.n = p.message WHERE p.name = ?"
        }
    });
    for party in parties {
        sql.push_str(" AND EXISTS (SELECT 1 FROM party WHERE name = ? AND message = m.n)");
        values.push(Box::new(party));
    }
    if let Some(domain) = &query.domain {
        sql.push_str(" AND m.n IN (SELECT message FROM party WHERE name >= ? AND name < ?)");
        let (from, to) = domain_range(domain);
        values.push(Box::new(from));
        values.push(Box::new(to));
    }
    if let Some((low, high)) = query.ids {
        sql.push_str(" AND m.id BETWEEN ? AND ?");
        values.push(Box::new(low.to_bytes()));
        values.push(Box::new(high.to_bytes()));
    }
    if let Some(from) = query.from {
        // Names are given a moment before a message is complete.
        sql.push_str(" AND m.received >= ? AND m.id >= ?");
        values.push(Box::new(from.0));
        values.push(Box::new(first_name(from.0.saturating_sub(NAME_AHEAD_MS))));
    }
    if let Some(to) = query.to {
        sql.push_str(" AND m.received < ? AND m.id < ?");
        values.push(Box::new(to.0));
        values.push(Box::new(first_name(to.0)));
    }
    if let Some(after) = query.after {
        sql.push_str(match order {
            Order::Party => " AND p.message < (SELECT n FROM message WHERE id = ?)",
            Order::Number => " AND m.n < (SELECT n FROM message WHERE id = ?)",
            Order::Name => " AND m.id < ?",
        });
        values.push(Box::new(after.to_bytes()));
    }
    sql.push_str(match order {
        Order::Party => " ORDER BY p.message DESC LIMIT ?",
        Order::Number => " ORDER BY m.n DESC LIMIT ?",
        Order::Name => " ORDER BY m.id DESC LIMIT ?",
    });
    let limit = if query.limit == 0 { TRACE_PAGE_MAX } else { query.limit.min(TRACE_PAGE_MAX) };
    values.push(Box::new(limit));
    (sql, values)
}

/// The order in which messages are followed, newest first in each.
#[derive(Debug, Clone, Copy)]
enum Order {
    Party,
    Number,
    Name,
}

/// The lowest name that begins at `ms`.
fn first_name(ms: i64) -> [u8; 16] {
    ((ms.max(0) as u128) << 80).to_be_bytes()
}

fn message_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let mut ended = Vec::new();
    for (place, ending) in Ending::ALL.into_iter().enumerate() {
        let number: u32 = row.get(10 + place)?;
        if number > 0 {
            ended.push((ending, number));
        }
    }
    Ok(MessageRow {
        trace: TraceId::from_bytes(row.get(0)?),
        received: instant(row, 1)?,
        finished: row.get::<_, Option<i64>>(2)?.map(Timestamp),
        reverse_path: reverse_path(row, 3)?,
        message_id: row.get(4)?,
        size_octets: row.get::<_, i64>(5)? as u64,
        sha256: row.get(6)?,
        blob: row.get::<_, Option<i64>>(7)?.map(BlobId),
        recipients: row.get(8)?,
        open: row.get(9)?,
        ended,
        facts: row.get(16)?,
    })
}

const COLUMNS: &str = "SELECT m.id, m.received, m.finished, m.reverse_path, m.message_id, m.size,
   m.sha256, m.blob, m.recipients, m.open, m.delivered, m.relayed, m.bounced, m.discarded,
   m.quarantined, m.cancelled, m.facts";
/// The most messages of one page.
pub const TRACE_PAGE_MAX: u32 = 1000;
/// A message's name may be this much older than its receipt: the longest that
/// a session may take over one message.
const NAME_AHEAD_MS: i64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::plan;

    #[test]
    fn no_way_to_find_a_message_reads_all_of_them() {
        let address = Address::parse("ann@clinic.example").ok();
        let domain = Domain::parse("clinic.example").ok();
        let all = TraceQuery::default;
        for query in [
            all(),
            TraceQuery { ids: TraceId::range_of_prefix("01JNX8Z4"), ..all() },
            TraceQuery { address: address.clone(), ..all() },
            TraceQuery { domain, ..all() },
            TraceQuery { address, message_id: Some("a@b".to_owned()), ..all() },
            TraceQuery { from: Some(Timestamp(5)), to: Some(Timestamp(6)), ..all() },
        ] {
            let (sql, values) = question(&query);
            let plan = plan(&sql, &values);
            assert!(!plan.contains("SCAN message"), "{query:?}: {plan}");
            let newest_first = plan.contains("SCAN m USING INDEX message_id");
            assert!(plan.contains("SEARCH") || newest_first, "{query:?}: {plan}");
            assert!(!plan.contains("USE TEMP B-TREE FOR ORDER BY"), "{query:?}: {plan}");
        }
    }
}
