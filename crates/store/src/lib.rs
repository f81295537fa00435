//! The only crate that knows a database: rows in SQLite, bodies in blobs.
