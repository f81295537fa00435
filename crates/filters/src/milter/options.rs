//! What both sides agree on at the start.

use super::macros::{Stage, Symbols};

/// The newest version we speak.
pub const VERSION: u32 = 6;
/// The oldest.
pub const VERSION_MIN: u32 = 2;

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $bit:ident = $value:expr;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name(pub u32);

        impl $name {
            $($(#[$each])* pub const $bit: Self = Self($value);)*

            /// Whether all bits of `other` are set.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The bits of both.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

bits! {
    /// What a filter may do (`SMFIF_`).
    Actions {
        /// Add fields.
        ADD_FIELDS = 0x01;
        /// Replace the body.
        CHANGE_BODY = 0x02;
        /// Add recipients.
        ADD_RECIPIENTS = 0x04;
        /// Remove recipients.
        REMOVE_RECIPIENTS = 0x08;
        /// Change and remove fields.
        CHANGE_FIELDS = 0x10;
        /// Set the message aside.
        QUARANTINE = 0x20;
        /// Change the reverse-path.
        CHANGE_SENDER = 0x40;
        /// Add recipients with parameters.
        ADD_RECIPIENTS_WITH_PARAMETERS = 0x80;
        /// Choose the macros of a stage.
        CHOOSE_SYMBOLS = 0x100;
        /// All of them.
        ALL = 0x1ff;
    }
}

bits! {
    /// Which steps a filter leaves out, and which it does not answer (`SMFIP_`).
    Steps {
        /// No connect.
        NO_CONNECT = 0x01;
        /// No HELO.
        NO_HELO = 0x02;
        /// No MAIL.
        NO_MAIL = 0x04;
        /// No RCPT.
        NO_RCPT = 0x08;
        /// No body.
        NO_BODY = 0x10;
        /// No header fields.
        NO_HEADERS = 0x20;
        /// No end of header.
        NO_EOH = 0x40;
        /// Fields are not answered.
        UNANSWERED_HEADER = 0x80;
        /// No unknown commands.
        NO_UNKNOWN = 0x100;
        /// No DATA.
        NO_DATA = 0x200;
        /// Understands that a filter has seen enough of a body.
        SKIP = 0x400;
        /// Connect is not answered.
        UNANSWERED_CONNECT = 0x1000;
        /// HELO is not answered.
        UNANSWERED_HELO = 0x2000;
        /// MAIL is not answered.
        UNANSWERED_MAIL = 0x4000;
        /// RCPT is not answered.
        UNANSWERED_RCPT = 0x8000;
        /// DATA is not answered.
        UNANSWERED_DATA = 0x1_0000;
        /// Unknown commands are not answered.
        UNANSWERED_UNKNOWN = 0x2_0000;
        /// The end of the header is not answered.
        UNANSWERED_EOH = 0x4_0000;
        /// The body is not answered.
        UNANSWERED_BODY = 0x8_0000;
        /// Values keep the space after the colon.
        LEADING_SPACE = 0x10_0000;
        /// Everything we offer. Recipients that were refused are not shown to filters.
        ALL = 0x1f_f7ff;
    }
}

/// What was agreed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The version both speak.
    pub version: u32,
    /// What the filter may do.
    pub actions: Actions,
    /// What it leaves out.
    pub steps: Steps,
    /// The macros it asked for, by stage, where it asked.
    pub symbols: Symbols,
}

/// Why there is no agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// The answer is too short.
    #[error("the answer to the options is too short")]
    Short,
    /// A version we do not speak.
    #[error("the filter speaks version {0}")]
    Version(u32),
    /// It wants to do what was not offered.
    #[error("the filter wants actions {0:#x}, which were not offered")]
    Actions(u32),
    /// It wants steps that were not offered.
    #[error("the filter wants protocol steps {0:#x}, which were not offered")]
    Steps(u32),
    /// Its list of macros cannot be read.
    #[error("the filter's list of macros cannot be read")]
    Symbols,
}

/// Our offer as it is sent.
pub(super) fn offer() -> [u8; 12] {
    let mut content = [0; 12];
    content[..4].copy_from_slice(&VERSION.to_be_bytes());
    content[4..8].copy_from_slice(&Actions::ALL.0.to_be_bytes());
    content[8..].copy_from_slice(&Steps::ALL.0.to_be_bytes());
    content
}

impl Options {
    /// Reads a filter's answer to our offer.
    ///
    /// # Errors
    ///
    /// What the two cannot agree on; the connection is of no use then.
    pub fn read(content: &[u8]) -> Result<Self, Disagreement> {
        let (version, rest) = number(content).ok_or(Disagreement::Short)?;
        let (actions, rest) = number(rest).ok_or(Disagreement::Short)?;
        let (steps, mut rest) = number(rest).ok_or(Disagreement::Short)?;
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return Err(Disagreement::Version(version));
        }
        if actions & !Actions::ALL.0 != 0 {
            return Err(Disagreement::Actions(actions));
        }
        if steps & !Steps::ALL.0 != 0 {
            return Err(Disagreement::Steps(steps));
        }
        let mut symbols = Symbols::default();
        while !rest.is_empty() {
            let (stage, after) = number(rest).ok_or(Disagreement::Symbols)?;
            let end = after.iter().position(|&b| b == 0).ok_or(Disagreement::Symbols)?;
            let names = std::str::from_utf8(&after[..end]).map_err(|_| Disagreement::Symbols)?;
            let stage = Stage::from_number(stage).ok_or(Disagreement::Symbols)?;
            symbols.choose(stage, names);
            rest = &after[end + 1..];
        }
        Ok(Self { version, actions: Actions(actions), steps: Steps(steps), symbols })
    }
}

/// The number at the front, and what follows.
pub(super) fn number(content: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = content.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(version: u32, actions: u32, steps: u32, rest: &[u8]) -> Vec<u8> {
        [&version.to_be_bytes()[..], &actions.to_be_bytes(), &steps.to_be_bytes(), rest].concat()
    }

    #[test]
    fn a_filter_that_asks_for_what_was_offered_gets_it() {
        let options = Options::read(&answer(6, 0x11, 0x10_0007, b"\0\0\0\x02i {mail_addr}\0"));
        let options = options.unwrap();
        assert!(options.actions.has(Actions::ADD_FIELDS) && options.steps.has(Steps::NO_MAIL));
        assert_eq!(options.symbols.of(Stage::Mail), ["i", "{mail_addr}"]);
        assert_eq!(Options::read(&answer(2, 0x3f, 0x7f, b"")).unwrap().version, 2);
    }

    #[test]
    fn a_filter_that_asks_for_more_is_not_used() {
        for (content, error) in [
            (answer(1, 0, 0, b""), Disagreement::Version(1)),
            (answer(7, 0, 0, b""), Disagreement::Version(7)),
            (answer(6, 0x200, 0, b""), Disagreement::Actions(0x200)),
            (answer(6, 0, 0x800, b""), Disagreement::Steps(0x800)),
            (answer(6, 0, 0x8000_0000, b""), Disagreement::Steps(0x8000_0000)),
            (answer(6, 0, 0, b"\0\0\0\x09i\0"), Disagreement::Symbols),
            (answer(6, 0, 0, b"\0\0\0\x01i"), Disagreement::Symbols),
            (b"\0\0\0\x06".to_vec(), Disagreement::Short),
        ] {
            assert_eq!(Options::read(&content), Err(error));
        }
    }
}
