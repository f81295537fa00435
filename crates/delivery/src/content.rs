//! The content of a message on its way out: added header fields, then what was stored.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use smtp::client::{BareLineEnd, Survey};

/// Content that is not held in memory. Reads may block: they run on a thread for it.
pub trait Stored: Send + Sync {
    /// Its length.
    fn octets(&self) -> u64;

    /// Fills as much of `out` as there is from `offset` on; gives how much.
    ///
    /// # Errors
    ///
    /// The disk's. The message waits.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize>;
}

/// Content to send: cheap to clone, so that one message can go to many destinations.
#[derive(Clone)]
pub struct Content {
    head: Bytes,
    body: Body,
    survey: Result<smtp::client::Content, BareLineEnd>,
    binary: smtp::client::Content,
}

#[derive(Clone)]
pub(crate) enum Body {
    Memory(Bytes),
    Stored(Arc<dyn Stored>),
}

/// The most content read from the store at once.
pub(crate) const PIECE_OCTETS: usize = 128 * 1024;

impl Content {
    /// Content in memory: `head` (whole header fields of ours, or nothing) goes before `message`.
    pub fn in_memory(head: impl Into<Bytes>, message: impl Into<Bytes>) -> Self {
        let (head, message) = (head.into(), message.into());
        let mut survey = Survey::new();
        survey.add(&head);
        survey.add(&message);
        Self::surveyed(head, Body::Memory(message), survey)
    }

    /// Content in the store. It is read once here, to learn what it needs of a peer.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn stored(head: impl Into<Bytes>, message: Arc<dyn Stored>) -> io::Result<Self> {
        let head = head.into();
        let mut survey = Survey::new();
        survey.add(&head);
        let mut piece = vec![0; PIECE_OCTETS];
        let mut offset = 0;
        while offset < message.octets() {
            let read = message.read_at(offset, &mut piece)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            survey.add(&piece[..read]);
            offset += read as u64;
        }
        Ok(Self::surveyed(head, Body::Stored(message), survey))
    }

    fn surveyed(head: Bytes, body: Body, survey: Survey) -> Self {
        let binary = survey.clone().finish_binary();
        Self { head, body, survey: survey.finish(), binary }
    }

    /// Its length.
    pub fn octets(&self) -> u64 {
        self.binary.octets
    }

    /// What was found in it.
    ///
    /// # Errors
    ///
    /// [`BareLineEnd`]: it may not travel by DATA.
    pub fn survey(&self) -> Result<smtp::client::Content, BareLineEnd> {
        self.survey
    }

    /// What was found in it, when it travels by BDAT.
    pub fn survey_as_binary(&self) -> smtp::client::Content {
        self.binary
    }

    pub(crate) fn head(&self) -> &Bytes {
        &self.head
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("survey", &self.survey).finish_non_exhaustive()
    }
}
