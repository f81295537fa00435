//! What keeps who signed in from writing in another's name.

use super::{rule, test};
use crate::action::{Action, Response, Verdict};
use crate::fact::Fact;
use crate::rule::Rule;
use crate::test::{Relation, Value, Word};

/// Which sender addresses must belong to the account that signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SenderMatch {
    /// None.
    #[default]
    Off,
    /// The envelope's.
    Envelope,
    /// The envelope's, and those of the From field.
    EnvelopeAndHeader,
}

/// The rules, each with what it is for.
pub(super) fn rules(demand: SenderMatch) -> Vec<(Rule, &'static str)> {
    let envelope = (
        foreign(
            "sender-must-match",
            Fact::SenderAddress,
            "This sender address does not belong to your account",
        ),
        "Who signed in sends from addresses of the account alone.",
    );
    let header = (
        foreign(
            "from-must-match",
            Fact::FromAddress,
            "The From address does not belong to your account",
        ),
        "The From field names addresses of the account alone.",
    );
    match demand {
        SenderMatch::Off => Vec::new(),
        SenderMatch::Envelope => vec![envelope],
        SenderMatch::EnvelopeAndHeader => vec![envelope, header],
    }
}

fn foreign(name: &str, fact: Fact, text: &str) -> Rule {
    let when = test(fact, false, Relation::Is(vec![Value::Word(Word::Foreign)]));
    let status = mail::Status::new(5, 7, 1);
    let response = Response { code: 553, status, text: text.into() };
    rule(name, when, vec![Action::Verdict(Verdict::Reject(response))])
}
