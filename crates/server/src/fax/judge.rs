//! Whether a message may be faxed: what account security says, as facts for the rules.

use fax::offramp::ReturnPath;
use fax::security::Author;
use fax::{Denial, Recipient, RecipientError, Source, Spf};
use mail::header::Header;
use mail::{Address, Domain};
use rules::{Facts, FaxDenial, FaxFacts, Word};
use sender_auth::Outcome;

use config::model::{FaxAccount, Route};

use crate::snapshot::Snapshot;

/// The fax account that a domain of ours belongs to.
pub fn account<'s>(snapshot: &'s Snapshot, domain: &Domain) -> Option<&'s FaxAccount> {
    match &*snapshot.domain(domain)?.route {
        Route::Fax(name) => snapshot.config.fax_account(name),
        Route::Mailboxes | Route::Maildir(_) | Route::Lmtp(_) | Route::Smtp(_) => None,
    }
}

/// The fax account that is asked to send to `recipient`; none where an off-ramp reports to it.
pub fn asked<'s>(snapshot: &'s Snapshot, recipient: &Address) -> Option<&'s FaxAccount> {
    let account = account(snapshot, recipient.domain())?;
    ReturnPath::read(recipient.local()).is_none().then_some(account)
}

/// Reads a recipient of a fax account; `None` where it is none.
///
/// # Errors
///
/// In words for the sender, when it names no number that may be called.
pub fn recipient(
    snapshot: &Snapshot,
    address: &Address,
) -> Option<Result<Recipient, RecipientError>> {
    let account = asked(snapshot, address)?;
    Some(Recipient::read(address.local(), &account.plan))
}

/// What the rules see of a message for `recipient`, as far as it has come; `None` where the
/// recipient is no fax machine. `spf` is that of the reverse-path, where it was asked; the
/// domains of the author are known once the header is.
pub fn facts(
    snapshot: &Snapshot,
    known: &Facts,
    recipient: &Address,
    spf: Option<Spf>,
    authors: Option<&[Domain]>,
) -> Option<FaxFacts> {
    let account = asked(snapshot, recipient)?;
    let source = Source {
        client: known.client_ip?,
        sender: known.sender.as_ref().and_then(|sender| sender.address()),
        signed_in: known.authenticated.as_deref(),
        spf,
        author: authors.map(|domains| Author { domains, dmarc_passes: dmarc_passes(known) }),
    };
    let denial = account.security.decide(&source).err().map(denial);
    Some(FaxFacts { account: account.name.value.clone(), denial })
}

/// The domains of the author; none where nobody can say who that is.
pub fn authors(header: &Header<'_>) -> Vec<Domain> {
    sender_auth::dmarc::Author::of(header).map(|author| author.domains).unwrap_or_default()
}

fn dmarc_passes(known: &Facts) -> bool {
    known.authentication.as_ref().is_some_and(|found| found.dmarc == Some(Word::Pass))
}

/// Whether SPF matters to who may fax to `recipient`.
pub fn asks_spf(snapshot: &Snapshot, recipient: &Address) -> bool {
    asked(snapshot, recipient).is_some_and(|account| account.security.spoofing_protection.is_some())
}

/// The result of SPF as account security has it.
pub const fn spf(outcome: Outcome) -> Spf {
    match outcome {
        Outcome::None => Spf::None,
        Outcome::Neutral => Spf::Neutral,
        Outcome::Pass => Spf::Pass,
        Outcome::Fail => Spf::Fail,
        Outcome::SoftFail => Spf::SoftFail,
        Outcome::TempError => Spf::TempError,
        // SPF never says "policy"; whoever did proves nothing.
        Outcome::Policy | Outcome::PermError => Spf::PermError,
    }
}

const fn denial(denial: Denial) -> FaxDenial {
    match denial {
        Denial::UnknownSender => FaxDenial::UnknownSender,
        Denial::WhiteList => FaxDenial::WhiteList,
        Denial::Spoofing => FaxDenial::Spoofing,
        Denial::SpfUnavailable => FaxDenial::SpfUnavailable,
        Denial::Misaligned => FaxDenial::Misaligned,
    }
}
