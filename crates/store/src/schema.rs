//! The tables, and how an older database becomes today's.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use crate::error::StoreError;

/// Marks a database file as ours: "MAIL".
const APPLICATION_ID: i64 = 0x4D41_494C;

/// Each step brings the database to the version that is its place, from one.
/// A step, once released, is never edited.
pub(crate) const MIGRATIONS: &[&str] = &[
    VERSION_1,
    DKIM_KEYS,
    REVISION_FILES,
    FLOW,
    MEMORY,
    DMARC_REPORTS,
    HELD_ACCOUNTS,
    FAX,
    DMARC_SEEN,
    FAX_REQUESTS,
    FAX_RECEIVED,
    FAX_LIKENESS,
];

/// Queue rows: `n` of an entry is its message's `n` times 2^20 plus its place,
/// so the entries of a message are a range and need no index.
///
/// Each index is partial where it can be: the path of a message that is
/// delivered at once touches only the tables themselves and `entry_leased`.
const VERSION_1: &str = "
CREATE TABLE message (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    received INTEGER NOT NULL,
    finished INTEGER,
    recipients INTEGER NOT NULL,
    open INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    relayed INTEGER NOT NULL DEFAULT 0,
    bounced INTEGER NOT NULL DEFAULT 0,
    discarded INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    blob INTEGER,
    size INTEGER NOT NULL,
    sha256 BLOB,
    reverse_path TEXT NOT NULL,
    message_id TEXT,
    facts BLOB NOT NULL
);
CREATE UNIQUE INDEX message_id ON message (id);

CREATE TABLE party (
    name TEXT NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (name, message)
) WITHOUT ROWID;

CREATE TABLE blob (
    n INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL,
    size INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    octets BLOB
);

CREATE TABLE extent (
    blob INTEGER NOT NULL,
    part INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    at INTEGER NOT NULL,
    len INTEGER NOT NULL,
    tag INTEGER NOT NULL,
    PRIMARY KEY (blob, part)
) WITHOUT ROWID;
CREATE INDEX extent_segment ON extent (segment, at);

CREATE TABLE segment (
    n INTEGER PRIMARY KEY,
    live INTEGER NOT NULL,
    size INTEGER NOT NULL
);

CREATE TABLE entry (
    n INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    due INTEGER NOT NULL,
    until INTEGER NOT NULL,
    token INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    queued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    recipient_count INTEGER NOT NULL,
    destination TEXT NOT NULL,
    hold TEXT,
    note TEXT NOT NULL,
    route BLOB,
    recipients BLOB NOT NULL
);
CREATE INDEX entry_waiting ON entry (destination, due) WHERE state = 0;
CREATE INDEX entry_leased ON entry (until) WHERE state = 1;
CREATE INDEX entry_held ON entry (destination) WHERE state = 2;

CREATE TABLE destination (
    name TEXT PRIMARY KEY,
    next_due INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    frozen TEXT
) WITHOUT ROWID;
CREATE INDEX destination_due ON destination (next_due) WHERE waiting > 0 AND frozen IS NULL;

CREATE TABLE evidence (
    seq INTEGER PRIMARY KEY,
    trace BLOB NOT NULL,
    at INTEGER NOT NULL,
    hash BLOB NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX evidence_trace ON evidence (trace, seq);

CREATE TABLE checkpoint (
    seq INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    at INTEGER NOT NULL,
    signature BLOB NOT NULL
);

CREATE TABLE tally (only INTEGER PRIMARY KEY CHECK (only = 1), value TEXT NOT NULL);

CREATE TABLE revision (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    text BLOB NOT NULL
);

CREATE TABLE domain (name TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE account (
    domain TEXT NOT NULL,
    name TEXT NOT NULL,
    row BLOB NOT NULL,
    PRIMARY KEY (domain, name)
) WITHOUT ROWID;

CREATE TABLE probe (name TEXT PRIMARY KEY, until INTEGER NOT NULL, row BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX probe_until ON probe (until);

CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
";

/// Keys that sign mail.
const DKIM_KEYS: &str = "
CREATE TABLE dkim_key (
    domain TEXT NOT NULL,
    selector TEXT NOT NULL,
    row BLOB NOT NULL,
    private BLOB NOT NULL,
    PRIMARY KEY (domain, selector)
) WITHOUT ROWID;
";

/// The files that a configuration includes are part of its revision. Equal texts are kept once.
const REVISION_FILES: &str = "
CREATE TABLE revision_text (
    n INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    text BLOB NOT NULL
);
CREATE TABLE revision_file (
    revision INTEGER NOT NULL,
    path TEXT NOT NULL,
    text INTEGER NOT NULL,
    PRIMARY KEY (revision, path)
) WITHOUT ROWID;
";

/// Bans, quota counters, failed sign-ins.
const FLOW: &str = "
CREATE TABLE flow (
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    until INTEGER,
    row BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE INDEX flow_until ON flow (until) WHERE until IS NOT NULL;
";

/// What is remembered of senders until it is too old: greylisting and reputation.
const MEMORY: &str = "
CREATE TABLE memory (
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    until INTEGER NOT NULL,
    row BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE INDEX memory_until ON memory (kind, until);
";

/// Aggregate reports about our domains.
const DMARC_REPORTS: &str = "
CREATE TABLE dmarc_report (
    n INTEGER PRIMARY KEY,
    received INTEGER NOT NULL,
    domain TEXT NOT NULL,
    organisation TEXT NOT NULL,
    id TEXT NOT NULL,
    begin INTEGER NOT NULL,
    row BLOB NOT NULL
);
CREATE UNIQUE INDEX dmarc_report_id ON dmarc_report (domain, organisation, id);
CREATE INDEX dmarc_report_begin ON dmarc_report (begin);
";

/// Accounts whose outgoing mail is held, and whom each account has written to.
const HELD_ACCOUNTS: &str = "
CREATE TABLE held_account (
    account TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE contact (
    account TEXT NOT NULL,
    recipient TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (account, recipient)
) WITHOUT ROWID;
CREATE INDEX contact_last ON contact (account, last);
CREATE INDEX contact_first ON contact (account, first);
";

/// Faxes. What is to be done about one is found by its due time; a fax that nothing is to
/// be done about has none.
const FAX: &str = "
CREATE TABLE fax (
    id BLOB PRIMARY KEY,
    message BLOB NOT NULL,
    recipient TEXT NOT NULL,
    account TEXT NOT NULL,
    number TEXT NOT NULL,
    state TEXT NOT NULL,
    due INTEGER,
    created INTEGER NOT NULL,
    row BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX fax_message ON fax (message, recipient);
CREATE INDEX fax_due ON fax (due) WHERE due IS NOT NULL;
CREATE INDEX fax_state ON fax (state);
";

/// Requests to trust domains; `ends` is null once one was decided or has ended.
const FAX_REQUESTS: &str = "
CREATE TABLE fax_request (
    id BLOB PRIMARY KEY,
    account TEXT NOT NULL,
    ends INTEGER,
    row BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX fax_request_open ON fax_request (account) WHERE ends IS NOT NULL;
";

/// Files of received faxes that were taken.
const FAX_RECEIVED: &str = "
CREATE TABLE fax_received (
    server TEXT NOT NULL,
    name TEXT NOT NULL,
    mark TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (server, name, mark)
) WITHOUT ROWID;
CREATE INDEX fax_received_at ON fax_received (server, at);
";

/// What tells that two faxes are of the same message, sent twice.
const FAX_LIKENESS: &str = "
ALTER TABLE fax ADD COLUMN likeness BLOB;
CREATE INDEX fax_likeness ON fax (likeness) WHERE likeness IS NOT NULL;
";

/// Mail of domains that want reports, counted until it is reported.
const DMARC_SEEN: &str = "
CREATE TABLE dmarc_seen (
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    row BLOB NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, domain, row)
) WITHOUT ROWID;
";

/// Brings the database at `path` to the newest of `migrations`, each step in
/// its own transaction, and refuses what it does not know.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let unreadable = |error: &rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Corrupt { path: path.to_owned(), detail: error.to_string() }
        }
        _ => StoreError::sqlite("bring the database up to date", error),
    };
    let number = |connection: &Connection, sql: &str| -> rusqlite::Result<i64> {
        connection.query_row(sql, [], |row| row.get(0))
    };
    let tables =
        number(connection, "SELECT count(*) FROM sqlite_schema").map_err(|e| unreadable(&e))?;
    let application = number(connection, "PRAGMA application_id").map_err(|e| unreadable(&e))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(StoreError::Corrupt {
            path: path.to_owned(),
            detail: "it is a database of another program".to_owned(),
        });
    }
    let found = number(connection, "PRAGMA user_version").map_err(|e| unreadable(&e))?;
    let known = migrations.len() as i64;
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    for (version, step) in (1..).zip(migrations).skip(found.max(0) as usize) {
        let step = format!(
            "BEGIN IMMEDIATE; {step} PRAGMA application_id = {APPLICATION_ID}; \
             PRAGMA user_version = {version}; COMMIT;"
        );
        if let Err(error) = connection.execute_batch(&step) {
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            return Err(unreadable(&error));
        }
    }
    Ok(())
}

/// How SQLite would answer a question on an empty database of this schema.
#[cfg(test)]
pub(crate) fn plan(sql: &str, values: &[Box<dyn rusqlite::ToSql>]) -> String {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection, Path::new("mailkeep.db"), MIGRATIONS).unwrap();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values: Vec<&dyn rusqlite::ToSql> = values.iter().map(AsRef::as_ref).collect();
    let lines = statement.query_map(&values[..], |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "mailkeep.db";

    fn version(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_older_database_is_brought_up_step_by_step_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, Path::new(PATH), MIGRATIONS).unwrap();
        connection.execute("INSERT INTO setting VALUES ('key', 'value')", []).unwrap();
        let mut later = MIGRATIONS.to_vec();
        later.push("ALTER TABLE setting ADD COLUMN at INTEGER NOT NULL DEFAULT 7;");
        migrate(&mut connection, Path::new(PATH), &later).unwrap();
        assert_eq!(version(&connection), later.len() as i64);
        let at: i64 = connection.query_row("SELECT at FROM setting", [], |row| row.get(0)).unwrap();
        assert_eq!(at, 7);
        migrate(&mut connection, Path::new(PATH), &later).unwrap();
    }

    #[test]
    fn a_step_that_fails_leaves_the_database_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, Path::new(PATH), MIGRATIONS).unwrap();
        let mut later = MIGRATIONS.to_vec();
        later.push("CREATE TABLE half (n INTEGER); CREATE TABLE message (n INTEGER);");
        assert!(migrate(&mut connection, Path::new(PATH), &later).is_err());
        assert_eq!(version(&connection), MIGRATIONS.len() as i64);
        assert!(connection.prepare("SELECT * FROM half").is_err());
    }

    #[test]
    fn a_newer_or_foreign_database_is_refused_untouched() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, Path::new(PATH), MIGRATIONS).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let refusal = migrate(&mut connection, Path::new(PATH), MIGRATIONS).unwrap_err();
        assert!(matches!(refusal, StoreError::NewerSchema { found: 99, .. }));

        let mut foreign = Connection::open_in_memory().unwrap();
        foreign.execute_batch("CREATE TABLE theirs (n INTEGER)").unwrap();
        let refusal = migrate(&mut foreign, Path::new(PATH), MIGRATIONS).unwrap_err();
        assert!(matches!(refusal, StoreError::Corrupt { .. }));
        assert_eq!(version(&foreign), 0);
    }
}
