//! A message's content on its way in and on its way out.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};

use crate::chain::{Hash, to_hash};
use crate::error::StoreError;
use crate::model::BlobId;
use crate::placement::find_body;
use crate::segment::{Extent, Segment, Segments};

/// A body keeps at most this many octets in memory while it comes in; the rest
/// is already in a segment. A body that is no longer than this stays in memory
/// as well, so that it can be delivered without being read back.
pub const BODY_IN_MEMORY_MAX_OCTETS: usize = 64 * 1024;

/// Takes a message's content as it comes. Dropping it abandons the content.
///
/// Writing may put 64 KB into the page cache, never a flush: the flush belongs
/// to the commit.
pub struct BodyWriter {
    segments: Arc<Segments>,
    inline_max_octets: usize,
    tag: u64,
    buffer: BytesMut,
    extents: Vec<Extent>,
    len: u64,
    sha256: Context,
}

/// A complete content, ready to be accepted. It is not durable yet.
///
/// Clones share the content.
#[derive(Clone)]
pub struct Body {
    len: u64,
    sha256: Hash,
    /// The whole content, if it is no longer than [`BODY_IN_MEMORY_MAX_OCTETS`].
    memory: Option<Bytes>,
    /// Where it is if it does not go into a row.
    extents: Arc<[Extent]>,
}

impl BodyWriter {
    pub(crate) fn new(segments: Arc<Segments>, inline_max_octets: usize, tag: u64) -> Self {
        Self {
            segments,
            inline_max_octets: inline_max_octets.min(BODY_IN_MEMORY_MAX_OCTETS),
            tag,
            buffer: BytesMut::new(),
            extents: Vec::new(),
            len: 0,
            sha256: Context::new(&SHA256),
        }
    }

    /// Takes the next octets.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] and [`StoreError::Io`] from the segment; the body is
    /// then lost and the peer is told 452.
    pub fn write(&mut self, mut octets: &[u8]) -> Result<(), StoreError> {
        self.sha256.update(octets);
        self.len += octets.len() as u64;
        while !octets.is_empty() {
            if self.buffer.len() == BODY_IN_MEMORY_MAX_OCTETS {
                self.spill()?;
            }
            let room = BODY_IN_MEMORY_MAX_OCTETS - self.buffer.len();
            let (now, later) = octets.split_at(room.min(octets.len()));
            self.buffer.extend_from_slice(now);
            octets = later;
        }
        Ok(())
    }

    /// How many octets came so far.
    pub fn len_octets(&self) -> u64 {
        self.len
    }

    /// The content is complete.
    ///
    /// # Errors
    ///
    /// As for [`Self::write`].
    pub fn finish(mut self) -> Result<Body, StoreError> {
        let spilled = !self.extents.is_empty();
        if spilled || self.buffer.len() > self.inline_max_octets {
            let part = self.part();
            self.extents.push(self.segments.append(self.tag, part, &self.buffer)?);
        }
        let memory = (!spilled).then(|| self.buffer.freeze());
        Ok(Body {
            len: self.len,
            sha256: to_hash(self.sha256.finish().as_ref()),
            memory,
            extents: self.extents.into(),
        })
    }

    fn spill(&mut self) -> Result<(), StoreError> {
        let part = self.part();
        self.extents.push(self.segments.append(self.tag, part, &self.buffer)?);
        self.buffer.clear();
        Ok(())
    }

    fn part(&self) -> u32 {
        self.extents.len() as u32
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Body {
    /// How long it is, in octets.
    pub fn len_octets(&self) -> u64 {
        self.len
    }

    /// Its SHA-256.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The whole content, if it is no longer than [`BODY_IN_MEMORY_MAX_OCTETS`].
    pub fn in_memory(&self) -> Option<Bytes> {
        self.memory.clone()
    }

    /// The content for its row, if that is where it goes.
    pub(crate) fn inline(&self) -> Option<&Bytes> {
        self.memory.as_ref().filter(|_| self.extents.is_empty())
    }

    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The segments that must be durable before a row may point into them.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.extents.iter().filter_map(|extent| extent.pin.as_ref())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} octets)", self.len)
    }
}

/// The content of a body, part by part, each checked. At most 64 KB in memory.
#[derive(Debug)]
pub struct BodyReader {
    pub(crate) store: crate::Store,
    pub(crate) source: Source,
    pub(crate) blob: Option<BlobId>,
    pub(crate) next: usize,
    pub(crate) len: u64,
}

/// Where a reader takes its parts from.
#[derive(Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    Extents(Arc<[Extent]>),
}

impl BodyReader {
    /// How long the whole body is, in octets.
    pub fn len_octets(&self) -> u64 {
        self.len
    }

    /// The next part, at most [`BODY_IN_MEMORY_MAX_OCTETS`]; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when a part does not match its checksum.
    pub async fn next_part(&mut self) -> Result<Option<Bytes>, StoreError> {
        let part = self.next;
        self.next += 1;
        match &self.source {
            Source::Memory(octets) => Ok((part == 0 && !octets.is_empty()).then(|| octets.clone())),
            Source::Extents(extents) => match extents.get(part).cloned() {
                None => Ok(None),
                Some(extent) => match self.store.read_extent(extent).await {
                    Err(error) => self.read_moved(part, error).await.map(Some),
                    Ok(octets) => Ok(Some(octets)),
                },
            },
        }
    }

    /// A segment may have been compacted meanwhile: asks the rows again, once.
    async fn read_moved(&mut self, part: usize, error: StoreError) -> Result<Bytes, StoreError> {
        let Some(BlobId(blob)) = self.blob else { return Err(error) };
        let found = self.store.read(move |connection| find_body(connection, blob)).await?;
        let Some((_, Source::Extents(extents))) = found else { return Err(error) };
        let Some(extent) = extents.get(part).cloned() else { return Err(error) };
        self.source = Source::Extents(extents);
        self.store.read_extent(extent).await
    }

    /// The rest of the body in one piece.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooMuch`] when the body is longer than `limit_octets`;
    /// otherwise as for [`Self::next_part`].
    pub async fn read_all(mut self, limit_octets: u64) -> Result<Bytes, StoreError> {
        if self.len > limit_octets {
            return Err(StoreError::TooMuch {
                what: "octets of a body read at once",
                given: self.len,
                limit: limit_octets,
            });
        }
        if let (0, Source::Memory(octets)) = (self.next, &self.source) {
            return Ok(octets.clone());
        }
        let mut whole = BytesMut::with_capacity(self.len as usize);
        while let Some(part) = self.next_part().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }
}
