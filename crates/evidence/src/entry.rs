//! One entry of the evidence.

use mail::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};

use crate::{Event, EvidenceError};

/// The version of the payloads written. Once released, a version is read for ever.
pub const SCHEMA_VERSION: u16 = 1;

/// Something that was decided or seen, as it is kept: JSON, fields in this order.
///
/// The octets of the JSON are what is hashed; reading an entry and writing it again
/// gives the same octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// [`SCHEMA_VERSION`] of the release that wrote it.
    pub v: u16,
    /// The message it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// An entry about a message.
    pub fn about(trace: TraceId, at: Timestamp, event: Event) -> Self {
        Self { v: SCHEMA_VERSION, trace: Some(trace), at, event }
    }

    /// An entry about the server itself.
    pub fn of_server(at: Timestamp, event: Event) -> Self {
        Self { v: SCHEMA_VERSION, trace: None, at, event }
    }

    /// The octets that are kept and hashed.
    pub fn to_payload(&self) -> Vec<u8> {
        // An entry is plain data: there is no map with other keys and no failing part in it.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What the store takes. Entries of the server itself carry the name of nothing:
    /// a trace id of zeros.
    pub fn to_evidence(&self) -> store::Evidence {
        store::Evidence {
            trace: self.trace.unwrap_or(TraceId::from_bytes([0; 16])),
            at: self.at,
            payload: self.to_payload(),
        }
    }

    /// Reads the entry number `seq` (for the error only) from its payload.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Version`] for an entry of a later release, else
    /// [`EvidenceError::Payload`]. The chain can be verified without reading payloads.
    pub fn from_payload(seq: u64, payload: &[u8]) -> Result<Self, EvidenceError> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u16,
        }
        let wrong = |source| EvidenceError::Payload { seq, source };
        let Versioned { v: version } = serde_json::from_slice(payload).map_err(wrong)?;
        if version > SCHEMA_VERSION {
            return Err(EvidenceError::Version { seq, version });
        }
        serde_json::from_slice(payload).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{accepted, finished, trace_id};
    use crate::{ConfigChanged, Digest, Ending};
    use expect_test::expect;

    #[test]
    fn an_entry_read_and_written_again_is_the_same_octets() {
        let change = ConfigChanged {
            revision: 42,
            author: "ann".into(),
            reason: "no \"clear\" text".into(),
            sha256: Digest::of(b"text"),
        };
        for entry in [
            Entry::about(trace_id(1), Timestamp(5), accepted(&["a@b.example", "ü@b.example"])),
            Entry::about(trace_id(1), Timestamp(5), finished("a@b.example", Ending::Discarded)),
            Entry::of_server(Timestamp(6), Event::ConfigChanged(change)),
        ] {
            let payload = entry.to_payload();
            let read = Entry::from_payload(1, &payload).unwrap();
            assert_eq!(read, entry);
            assert_eq!(read.to_payload(), payload);
        }
    }

    #[test]
    fn the_form_of_a_payload_stays_as_it_was_released() {
        let entry = Entry::about(trace_id(1), Timestamp(5), accepted(&["a@b.example"]));
        expect![[r#"{"v":1,"trace":"01040G2081040G2081040G2081","at":5,"kind":"accepted","origin":{"listener":{"name":"submission","port":587,"protocol":"ESMTPA","client":{"ip":"192.0.2.77"}}},"message":{"sha256":"ab530a13e45914982b79f9b7e3fba994cfd1f3fb22f71cea1afbf02b460c6d1d","octets":48213,"subject":"MRI results","message_id":"a1@clinic.example"},"envelope":{"sha256":"026e2aaf6dfbbe85d5798d87e1b822f4b6839427de1f4bddf0b3965667a70873","from":"ana@clinic.example"},"authenticated":{"identity":"ana@clinic.example","mechanism":"PLAIN"},"decision":{"revision":41,"verdict":"relay"},"recipients":[{"address":"a@b.example","verdict":"relay"}]}"#]].assert_eq(&String::from_utf8(entry.to_payload()).unwrap());
        let ended = finished("a@b.example", Ending::Relayed);
        let entry = Entry::about(trace_id(1), Timestamp(6), ended);
        expect![[r#"{"v":1,"trace":"01040G2081040G2081040G2081","at":6,"kind":"finished","recipients":[{"address":"a@b.example","ending":"relayed"}]}"#]].assert_eq(&String::from_utf8(entry.to_payload()).unwrap());
    }

    #[test]
    fn an_entry_of_a_later_release_is_told_from_a_damaged_one() {
        let later = br#"{"v":2,"kind":"unheard-of"}"#;
        let later = Entry::from_payload(7, later).unwrap_err();
        assert!(matches!(later, EvidenceError::Version { seq: 7, version: 2 }));
        let damaged = Entry::from_payload(7, b"{\"v\":1").unwrap_err();
        assert!(matches!(damaged, EvidenceError::Payload { seq: 7, .. }));
    }
}
