//! Giving space back: bodies of a mostly dead segment move to the current one.

use std::sync::Arc;

use rusqlite::OptionalExtension;

use crate::Store;
use crate::error::StoreError;
use crate::segment::{Extent, Segment};
use crate::transaction::Tx;
use crate::writer::Work;

impl Store {
    /// Moves the bodies out of one segment that is mostly dead, if there is
    /// one, so that its file goes. Says whether there was. To be called now and
    /// then, again at once while it says so.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] when there is no room to move them to; everything
    /// stays where it was.
    pub async fn compact(&self) -> Result<bool, StoreError> {
        let segments = Arc::clone(self.segments());
        let found = self
            .read(move |connection| {
                let failed = |e| StoreError::sqlite("look for a segment to compact", &e);
                let mut statement = connection
                    .prepare_cached(
                        "SELECT n FROM segment WHERE live > 0 AND live * ?1 < size ORDER BY n",
                    )
                    .map_err(failed)?;
                let numbers: Vec<i64> = statement
                    .query_map([MOSTLY_DEAD], |row| row.get(0))
                    .and_then(Iterator::collect)
                    .map_err(failed)?;
                Ok(numbers.into_iter().find(|&number| segments.is_idle(number)))
            })
            .await?;
        let Some(number) = found else { return Ok(false) };
        let mut done = Vec::new();
        let mut after = (-1, -1);
        while let Some((blob, from)) = self.next_extent(number, after).await? {
            after = (blob, i64::from(from.part));
            let segments = Arc::clone(self.segments());
            let copied = self
                .read(move |_| {
                    let octets = segments.read(&from)?;
                    let to = segments.append(from.tag, from.part, &octets)?;
                    Ok(Move { blob, from, to })
                })
                .await;
            match copied {
                Ok(one) => done.push(one),
                Err(error) if error.is_full() => return Err(error),
                Err(error) => tracing::error!(%error, "a damaged body stays where it is"),
            }
        }
        let any = !done.is_empty();
        let _ = self.write(Moves(done)).await?;
        Ok(any)
    }

    async fn next_extent(
        &self,
        segment: i64,
        after: (i64, i64),
    ) -> Result<Option<(i64, Extent)>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT blob, at, len, part, tag FROM extent
                     WHERE segment = ?1 AND (blob, part) > (?2, ?3) ORDER BY blob, part LIMIT 1",
                )
                .and_then(|mut statement| {
                    statement
                        .query_row((segment, after.0, after.1), |row| {
                            let extent = Extent {
                                segment,
                                at: row.get::<_, i64>(1)? as u64,
                                len: row.get(2)?,
                                part: row.get(3)?,
                                tag: row.get::<_, i64>(4)? as u64,
                                pin: None,
                            };
                            Ok((row.get(0)?, extent))
                        })
                        .optional()
                })
                .map_err(|e| StoreError::sqlite("look for bodies to move", &e))
        })
        .await
    }
}

struct Move {
    blob: i64,
    from: Extent,
    to: Extent,
}

/// Points the rows to the new places; a body that went meanwhile is let go.
struct Moves(Vec<Move>);

impl Work for Moves {
    type Output = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for Move { blob, from, to } in &self.0 {
            let moved = tx.execute(
                "move a body",
                "UPDATE extent SET segment = ?5, at = ?6
                 WHERE blob = ?1 AND part = ?2 AND segment = ?3 AND at = ?4",
                (*blob, from.part, from.segment, from.at as i64, to.segment, to.at as i64),
            )?;
            if moved > 0 {
                tx.count_live(to)?;
                tx.execute(
                    "count a segment's bodies",
                    "UPDATE segment SET live = live - ?2 WHERE n = ?1",
                    (from.segment, from.len),
                )?;
            }
        }
        tx.state.segments_freed = true;
        Ok(())
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        self.0.iter().filter_map(|one| one.to.pin.clone()).collect()
    }
}

/// A segment is compacted when less than one part in this many is alive.
const MOSTLY_DEAD: i64 = 4;
