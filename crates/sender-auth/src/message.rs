//! A message that is verified while it passes: its header is kept, its body only hashed.

use mail::header::{HEADER_MAX_OCTETS, Header, HeaderBuffer};

use crate::arc::{self, Chain};
use crate::canonical::{BodyHash, Canonicalization};
use crate::dkim::{self, HashedBody, Signature, Terms, parts};
use crate::dmarc::{Author, FromError};
use crate::{Dns, Outcome};

/// Different ways to hash the body that one message may ask for.
pub const BODY_HASHES_MAX: usize = 6;

/// A message that comes in pieces. Holds its header and [`BODY_HASHES_MAX`] small buffers.
pub struct Reading {
    terms: Terms,
    header: HeaderBuffer,
    /// Octets of the message so far, until its header is complete.
    seen: usize,
    head: Option<Head>,
}

/// What the header asks for.
struct Head {
    signatures: Vec<(usize, Result<Signature, Box<dkim::Finding>>)>,
    chain: Chain,
    bodies: Vec<(Canonicalization, Option<u64>, BodyHash)>,
}

/// A message that has come to its end.
pub struct Message {
    terms: Terms,
    header: HeaderBuffer,
    signatures: Vec<(usize, Result<Signature, Box<dkim::Finding>>)>,
    chain: Chain,
    bodies: Vec<HashedBody>,
}

impl Reading {
    /// A message of which nothing has come yet.
    pub fn new(terms: Terms) -> Self {
        Self { terms, header: HeaderBuffer::default(), seen: 0, head: None }
    }

    /// Takes the next piece, as it came over the wire.
    pub fn push(&mut self, piece: &[u8]) {
        let body = if self.head.is_some() {
            piece
        } else {
            self.header.push(piece);
            let before = self.seen;
            self.seen += piece.len();
            let kept = self.header.as_bytes();
            // What the buffer did not keep is the body, unless the header is too large.
            let complete = kept.ends_with(b"\n\r\n") || kept == b"\r\n" || kept.ends_with(b"\n\n");
            if !complete || kept.len() > HEADER_MAX_OCTETS {
                return;
            }
            self.head = Some(Head::of(kept, &self.terms));
            piece.get(kept.len().saturating_sub(before)..).unwrap_or_default()
        };
        for (.., hash) in self.head.iter_mut().flat_map(|head| &mut head.bodies) {
            hash.push(body);
        }
    }

    /// The whole message.
    pub fn finish(self) -> Message {
        let Self { terms, header, head, .. } = self;
        let head = head.unwrap_or_else(|| Head::of(header.as_bytes(), &terms));
        let hashed = |(how, limit, hash): (_, _, BodyHash)| {
            let digest = hash.finish();
            HashedBody {
                how,
                limit,
                sha256: digest.sha256.as_ref().to_vec(),
                octets: digest.octets,
            }
        };
        let bodies = head.bodies.into_iter().map(hashed).collect();
        Message { terms, header, signatures: head.signatures, chain: head.chain, bodies }
    }
}

impl Head {
    fn of(octets: &[u8], terms: &Terms) -> Self {
        let Ok(header) = Header::scan(octets) else {
            return Self { signatures: Vec::new(), chain: Chain::Absent, bodies: Vec::new() };
        };
        let signatures: Vec<_> = header
            .fields()
            .enumerate()
            .filter(|(_, field)| field.name().trim_end().eq_ignore_ascii_case(dkim::FIELD))
            .take(terms.signatures.min(dkim::SIGNATURES_MAX))
            .map(|(at, field)| (at, Signature::parse(parts(field.as_bytes()).1)))
            .collect();
        let chain = Chain::read(&header);
        let mut bodies: Vec<(Canonicalization, Option<u64>, BodyHash)> = Vec::new();
        let asked = signatures.iter().filter_map(|(_, signature)| signature.as_ref().ok());
        for signature in chain.latest().into_iter().chain(asked) {
            let (how, limit) = (signature.body, signature.length);
            let known = bodies.iter().any(|(h, l, _)| (*h, *l) == (how, limit));
            if !known && bodies.len() < BODY_HASHES_MAX {
                bodies.push((how, limit, BodyHash::new(how, limit)));
            }
        }
        Self { signatures, chain, bodies }
    }
}

impl Message {
    /// The domains of the authors.
    ///
    /// # Errors
    ///
    /// [`FromError`], also for a header that cannot be read.
    pub fn author(&self) -> Result<Author, FromError> {
        self.header.header().map_err(|_| FromError::Unclear).and_then(|header| Author::of(&header))
    }

    /// What each signature comes to, in the order of their fields.
    pub async fn verify_dkim(&self, dns: &dyn Dns, now_secs: u64) -> Vec<dkim::Finding> {
        let mut findings = Vec::with_capacity(self.signatures.len());
        let Ok(header) = self.header.header() else { return findings };
        for (at, signature) in &self.signatures {
            let signature = match signature {
                Ok(signature) => signature,
                Err(finding) => {
                    findings.push((**finding).clone());
                    continue;
                }
            };
            let signed = (*at, signature);
            let verified =
                dkim::verify(dns, &header, signed, &self.bodies, &self.terms, now_secs).await;
            let (outcome, reason) = match verified {
                Ok(()) => (Outcome::Pass, None),
                Err(fault) => (fault.outcome, Some(fault.reason)),
            };
            let finding = signature.about();
            findings.push(dkim::Finding { outcome: Some(outcome), reason, ..finding });
        }
        findings
    }

    /// What the chain of handlers comes to.
    pub async fn verify_arc(&self, dns: &dyn Dns) -> arc::Finding {
        match self.header.header() {
            Ok(header) => {
                self.chain.verify(dns, &header, &self.bodies, self.terms.rsa_min_bits).await
            }
            Err(error) => arc::Finding {
                outcome: Outcome::Fail,
                sealers: Vec::new(),
                results: Vec::new(),
                reason: Some(error.to_string()),
            },
        }
    }
}
