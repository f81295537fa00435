//! Where a stored body is.

use rusqlite::Connection;

use crate::body::Source;
use crate::error::StoreError;
use crate::segment::Extent;

/// Where a body is: in its row (then it is checked here) or in segments.
pub(crate) fn find_body(
    connection: &Connection,
    blob: i64,
) -> Result<Option<(u64, Source)>, StoreError> {
    let failed = |e| StoreError::sqlite("read a body", &e);
    let mut statement = connection
        .prepare_cached("SELECT size, crc, octets FROM blob WHERE n = ?1")
        .map_err(failed)?;
    let mut rows = statement.query([blob]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let len = row.get::<_, i64>(0).map_err(failed)? as u64;
    let crc: u32 = row.get(1).map_err(failed)?;
    if let Some(octets) = row.get::<_, Option<Vec<u8>>>(2).map_err(failed)? {
        if crc32c::crc32c(&octets) != crc || octets.len() as u64 != len {
            let detail = "its row does not match its checksum".to_owned();
            return Err(StoreError::BodyDamaged { blob, detail });
        }
        return Ok(Some((len, Source::Memory(octets.into()))));
    }
    drop(rows);
    let extents = extents_of(connection, blob)?;
    let placed: u64 = extents.iter().map(|extent| u64::from(extent.len)).sum();
    if placed != len {
        let detail = format!("{placed} of its {len} octets have a place");
        return Err(StoreError::BodyDamaged { blob, detail });
    }
    Ok(Some((len, Source::Extents(extents.into()))))
}

fn extents_of(connection: &Connection, blob: i64) -> Result<Vec<Extent>, StoreError> {
    connection
        .prepare_cached(
            "SELECT segment, at, len, part, tag FROM extent WHERE blob = ?1 ORDER BY part",
        )
        .and_then(|mut statement| {
            statement
                .query_map([blob], |row| {
                    Ok(Extent {
                        segment: row.get(0)?,
                        at: row.get::<_, i64>(1)? as u64,
                        len: row.get(2)?,
                        part: row.get(3)?,
                        tag: row.get::<_, i64>(4)? as u64,
                        pin: None,
                    })
                })?
                .collect()
        })
        .map_err(|e| StoreError::sqlite("look for a body", &e))
}
