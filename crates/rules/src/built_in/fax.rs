//! The rules of account security for mail that becomes faxes.

use super::{rule, test};
use crate::action::{Action, Response, Verdict};
use crate::fact::Fact;
use crate::fax::FaxDenial;
use crate::rule::Rule;
use crate::test::{Relation, Value};

/// A rule for each denial, and what it is for.
pub(super) fn rules() -> [(Rule, &'static str); FaxDenial::ALL.len()] {
    FaxDenial::ALL.map(|denial| {
        let (name, reason) = words(denial);
        let is = Relation::Is(vec![Value::Word(denial.word())]);
        let then = vec![Action::Verdict(verdict(denial))];
        (rule(name, test(Fact::FaxDenial, false, is), then), reason)
    })
}

const fn words(denial: FaxDenial) -> (&'static str, &'static str) {
    match denial {
        FaxDenial::UnknownSender => (
            "fax-senders",
            "Faxes are sent only for users of the account and addresses of its trusted domains.",
        ),
        FaxDenial::WhiteList => (
            "fax-mail-server-white-list",
            "Where a Mail Server White List is set, mail to be faxed comes from the servers on it.",
        ),
        FaxDenial::Spoofing => (
            "fax-spoofing-protection",
            "Where Spoofing Protection is on, SPF must confirm the sender's domain.",
        ),
        FaxDenial::SpfUnavailable => (
            "fax-spf-unavailable",
            "While SPF cannot be checked, the sender is asked to try again.",
        ),
        FaxDenial::Misaligned => (
            "fax-author",
            "What SPF proves is the envelope's sender; the author must be of the same domain.",
        ),
    }
}

fn verdict(denial: FaxDenial) -> Verdict {
    let response = |code, class, detail| Response {
        code,
        status: mail::Status::new(class, 7, detail),
        text: denial.text().into(),
    };
    match denial {
        FaxDenial::SpfUnavailable => Verdict::Defer(response(451, 4, 24)),
        FaxDenial::Spoofing => Verdict::Reject(response(550, 5, 23)),
        FaxDenial::UnknownSender | FaxDenial::WhiteList | FaxDenial::Misaligned => {
            Verdict::Reject(response(550, 5, 1))
        }
    }
}
