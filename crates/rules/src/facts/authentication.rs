//! Who the sender is found to be: SPF, DKIM, DMARC and ARC.

use mail::Domain;
use serde::{Deserialize, Serialize};

use crate::fact::{Fact, Seen};
use crate::test::Word;

/// What the checks of a sender came to, as far as they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthenticationFacts {
    /// SPF of the reverse-path; of the name in EHLO where that is null.
    pub spf: Option<Word>,
    /// SPF of the name in EHLO.
    pub spf_helo: Option<Word>,
    /// The signatures, once the message is there. None found is one `none`.
    pub dkim: Vec<SignatureFacts>,
    /// The domains in the From field.
    pub author: Vec<Domain>,
    /// DMARC.
    pub dmarc: Option<Word>,
    /// What the author's domain asks for.
    pub dmarc_policy: Option<Word>,
    /// What follows for this message.
    pub dmarc_disposition: Option<Word>,
    /// The chain of handlers.
    pub arc: Option<Word>,
    /// The handlers of a chain that passes.
    pub sealers: Vec<Domain>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureFacts {
    /// What it came to.
    pub outcome: Word,
    /// Who signed.
    pub domain: Option<Domain>,
}

/// The words that each check can come to.
pub(crate) mod words {
    use crate::test::Word;

    pub(crate) const SPF: &[Word] = &[
        Word::None,
        Word::Pass,
        Word::Fail,
        Word::SoftFail,
        Word::Neutral,
        Word::TempError,
        Word::PermError,
    ];
    pub(crate) const DKIM: &[Word] = &[
        Word::None,
        Word::Pass,
        Word::Fail,
        Word::Policy,
        Word::Neutral,
        Word::TempError,
        Word::PermError,
    ];
    pub(crate) const DMARC: &[Word] =
        &[Word::None, Word::Pass, Word::Fail, Word::TempError, Word::PermError];
    pub(crate) const POLICIES: &[Word] = &[Word::None, Word::Quarantine, Word::Reject];
    pub(crate) const ARC: &[Word] = &[Word::None, Word::Pass, Word::Fail, Word::TempError];
}

impl AuthenticationFacts {
    /// The values of one of the facts of this subject; none of another's.
    pub(crate) fn seen<'a>(&'a self, fact: &Fact) -> Box<dyn Iterator<Item = Seen<'a>> + 'a> {
        let word = |word: Option<Word>| Box::new(word.into_iter().map(Seen::Word));
        match fact {
            Fact::Spf => word(self.spf),
            Fact::SpfHelo => word(self.spf_helo),
            Fact::Dkim => Box::new(self.dkim.iter().map(|found| Seen::Word(found.outcome))),
            Fact::DkimDomain => Box::new(
                self.dkim
                    .iter()
                    .filter(|found| found.outcome == Word::Pass)
                    .filter_map(|found| found.domain.as_ref())
                    .map(Seen::Domain),
            ),
            Fact::AuthorDomain => Box::new(self.author.iter().map(Seen::Domain)),
            Fact::Dmarc => word(self.dmarc),
            Fact::DmarcPolicy => word(self.dmarc_policy),
            Fact::DmarcDisposition => word(self.dmarc_disposition),
            Fact::Arc => word(self.arc),
            Fact::ArcSealer => Box::new(self.sealers.iter().map(Seen::Domain)),
            _ => Box::new(std::iter::empty()),
        }
    }
}
