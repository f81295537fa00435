//! The message as it leaves: our fields, then what was stored, with the changes its rules
//! asked for, signed after all of them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use delivery::{Content, Stored};
use mail::header::Header;
use mail::{Domain, Timestamp};
use signing::BodyHasher;
use store::{BlobId, BodyReader, Store};

use super::{Source, Work};
use crate::message::Way;
use crate::server::Server;
use crate::signatory::{Mandate, Signatures, is_ours};
use crate::snapshot::Snapshot;

/// Bodies up to this size are held in memory while they are sent; larger ones are read
/// from the store piece by piece.
const IN_MEMORY_MAX_OCTETS: u64 = 256 * 1024;

/// The most of a stored body that is hashed at once.
const HASHED_OCTETS: usize = 64 * 1024;

/// What leaves, and who vouches for it.
pub(super) struct Outgoing {
    pub(super) content: Content,
    /// The signatures, each as DOMAIN/SELECTOR.
    pub(super) signed: Vec<String>,
}

/// Octets that follow a head that we write.
#[derive(Clone)]
enum Rest {
    Memory(Bytes),
    Stored(Arc<InStore>),
}

/// The message as it leaves now.
///
/// # Errors
///
/// The store's.
pub(super) async fn outgoing(
    server: &Server,
    snapshot: &Snapshot,
    work: &Work,
    way: &Way,
    to: &Domain,
) -> Result<Outgoing> {
    let ours = &work.record.head;
    let ours_to_sign = is_ours(snapshot, &work.record.facts);
    let signs = if ours_to_sign {
        !snapshot.config.signing.table.entries().is_empty()
    } else {
        seals_for(snapshot, to)
    };
    let looks = signs || !way.changes.is_empty();
    let (first, stored) = first(&server.store, work, looks).await?;
    let (head, from) = if way.changes.is_empty() {
        (Bytes::from(ours.clone()), 0)
    } else {
        let (changed, from) = way.changes.apply(&Header::scan(&first)?)?;
        (joined(ours, &changed), from)
    };
    let rest = |from: usize| match stored {
        None => Rest::Memory(first.slice(from..)),
        Some((blob, octets)) => {
            Rest::Stored(Arc::new(InStore::new(&server.store, blob, octets, from as u64)))
        }
    };
    let mut signatures = Signatures::default();
    if signs {
        // Without changes the header is still in what was stored.
        let (whole, body_from) = if from == 0 {
            let body_from = Header::scan(&first)?.body_start();
            (joined_octets(&head, &first[..body_from]), body_from)
        } else {
            (head.to_vec(), from)
        };
        let mandate = if ours_to_sign {
            let header = Header::scan(&whole)?;
            server.signatory.mandate(snapshot, &header, Timestamp::now())
        } else {
            server.signatory.seal_mandate(snapshot, to, Timestamp::now())
        };
        if let Some(mandate) = mandate {
            signatures = vouch(server, work, mandate, whole, rest(body_from)).await;
        }
    }
    let head = if signatures.fields.is_empty() { head } else { joined(&signatures.fields, &head) };
    let content = match rest(from) {
        Rest::Memory(message) => Content::in_memory(head, message),
        Rest::Stored(message) => {
            tokio::task::spawn_blocking(move || Content::stored(head, message)).await??
        }
    };
    Ok(Outgoing { content, signed: signatures.by })
}

/// Whether mail that passes to this domain is sealed.
fn seals_for(snapshot: &Snapshot, to: &Domain) -> bool {
    snapshot.config.arc_sealing.as_ref().is_some_and(|sealing| sealing.partners.contains(to))
}

/// The signatures of a message with this header. One that cannot be signed leaves without,
/// and the log says so: nobody gains by its being late.
async fn vouch(
    server: &Server,
    work: &Work,
    mandate: Mandate,
    head: Vec<u8>,
    body: Rest,
) -> Signatures {
    let hash = move |hasher: &mut BodyHasher| body.hash(hasher);
    match server.signatory.sign(mandate, head, hash, Timestamp::now()).await {
        Ok(signatures) => signatures,
        Err(error) => {
            tracing::warn!(id = %work.trace, error = format!("{error:#}"),
                "leaves without a signature or seal");
            Signatures::default()
        }
    }
}

/// The message if it is small or at hand, else as much of it as holds its header, if anybody
/// looks at that; and where the whole is, unless this is it.
async fn first(store: &Store, work: &Work, looks: bool) -> Result<(Bytes, Option<(BlobId, u64)>)> {
    Ok(match &work.content {
        Source::Memory(bytes) => (bytes.clone(), None),
        Source::Stored(blob, octets) if *octets <= IN_MEMORY_MAX_OCTETS => {
            (store.read_body(*blob).await?.read_all(IN_MEMORY_MAX_OCTETS).await?, None)
        }
        Source::Stored(blob, octets) => {
            let first = if looks { first_octets(store, *blob).await? } else { Vec::new() };
            (first.into(), Some((*blob, *octets)))
        }
    })
}

impl Rest {
    fn hash(&self, hasher: &mut BodyHasher) -> io::Result<()> {
        match self {
            Self::Memory(octets) => hasher.update(octets),
            Self::Stored(stored) => {
                let mut piece = vec![0; HASHED_OCTETS];
                let mut offset = 0;
                while offset < stored.octets() {
                    let read = stored.read_at(offset, &mut piece)?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    hasher.update(&piece[..read]);
                    offset += read as u64;
                }
            }
        }
        Ok(())
    }
}

fn joined(head: &str, changed: &[u8]) -> Bytes {
    joined_octets(head.as_bytes(), changed).into()
}

fn joined_octets(head: &[u8], more: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(head.len() + more.len());
    all.extend_from_slice(head);
    all.extend_from_slice(more);
    all
}

/// As much of a stored body as holds its header.
pub(crate) async fn first_octets(store: &Store, blob: BlobId) -> Result<Vec<u8>> {
    let mut reader = store.read_body(blob).await?;
    let mut first = Vec::new();
    while first.len() <= mail::header::HEADER_MAX_OCTETS {
        match reader.next_part().await? {
            Some(part) => first.extend_from_slice(&part),
            None => break,
        }
    }
    Ok(first)
}

/// A body in the store, from one place on.
struct InStore {
    store: Store,
    blob: BlobId,
    from: u64,
    octets: u64,
    runtime: tokio::runtime::Handle,
    cursor: Mutex<Option<Cursor>>,
}

/// Where reading has come to. Reads follow each other, so one reader serves many.
struct Cursor {
    reader: BodyReader,
    part: Bytes,
    at: u64,
}

impl Stored for InStore {
    fn octets(&self) -> u64 {
        self.octets.saturating_sub(self.from)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.from + offset;
        self.runtime.block_on(self.read(&mut cursor, wanted, out))
    }
}

impl InStore {
    /// Must be called within the runtime.
    fn new(store: &Store, blob: BlobId, octets: u64, from: u64) -> Self {
        let runtime = tokio::runtime::Handle::current();
        Self { store: store.clone(), blob, from, octets, runtime, cursor: Mutex::new(None) }
    }

    async fn read(
        &self,
        cursor: &mut Option<Cursor>,
        wanted: u64,
        out: &mut [u8],
    ) -> io::Result<usize> {
        let mut here = match cursor.take() {
            Some(here) if here.at <= wanted => here,
            Some(_) | None => {
                let reader = self.store.read_body(self.blob).await.map_err(io::Error::other)?;
                Cursor { reader, part: Bytes::new(), at: 0 }
            }
        };
        loop {
            let skip = wanted - here.at;
            if skip < here.part.len() as u64 {
                let from = &here.part[skip as usize..];
                let read = from.len().min(out.len());
                out[..read].copy_from_slice(&from[..read]);
                *cursor = Some(here);
                return Ok(read);
            }
            here.at += here.part.len() as u64;
            match here.reader.next_part().await.map_err(io::Error::other)? {
                Some(part) => here.part = part,
                None => return Ok(0),
            }
        }
    }
}
