//! Whose the sender's addresses are.

use serde::{Deserialize, Serialize};

use crate::test::Word;

/// Whether the addresses a message is from belong to the account that signed in: its own,
/// with or without a tag, an alias of it, or a group it is in. Absent when nobody signed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ownership {
    /// The reverse-path; `<>` belongs to everybody.
    pub sender: Option<bool>,
    /// Every address in the From field; a field that cannot be understood belongs to nobody.
    pub from: Option<bool>,
}

impl Ownership {
    /// The word that conditions use.
    pub const fn word(is_own: bool) -> Word {
        if is_own { Word::Own } else { Word::Foreign }
    }
}
