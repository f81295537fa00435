//! Mails that tell the sender what became of a fax. They travel as all mail does, so what is
//! demanded of the way to the sender holds for them too.

use std::fmt::Write as _;

use anyhow::Result;
use config::model::FaxAccount;
use evidence::Origin;
use fax::State;
use mail::Address;
use store::Accept;

use super::record::Fax;
use crate::letter::Letter;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// The mail that is due where a fax stands now, if one is.
///
/// # Errors
///
/// When it cannot be written.
pub fn compose(server: &Server, snapshot: &Snapshot, fax: &Fax) -> Result<Vec<Accept>> {
    let Some(account) = snapshot.config.fax_account(&fax.row.account) else {
        return Ok(Vec::new());
    };
    let job = &fax.record.job;
    let notices = account.notices;
    let (is_wanted, headline) = match &job.state {
        State::Queued { .. } if job.counters.dials == 0 && job.confirmed == 0 => {
            (notices.accepted, "was accepted and waits for a line")
        }
        State::Sent => (notices.sent, "was sent"),
        State::HandedOver => (notices.sent, "was handed over"),
        State::Failed { .. } => (notices.failed, "was not sent"),
        State::Cancelled => (notices.failed, "was cancelled"),
        State::Queued { .. }
        | State::Held { .. }
        | State::Dialling
        | State::Sending { .. }
        | State::Waiting { .. }
        | State::Uncertain
        | State::Cancelling => (false, ""),
    };
    if !is_wanted {
        return Ok(Vec::new());
    }
    let text = text(account, fax, headline);
    let letter = Letter::plain(
        snapshot,
        Origin::Notice { about: fax.row.message },
        ("Fax service", &fax_service(fax, snapshot)),
        &fax.record.sender,
        &format!("Fax to {} {headline}", fax.row.number),
        &text,
    )?;
    Ok(vec![letter.accept(server, snapshot)?])
}

fn text(account: &FaxAccount, fax: &Fax, headline: &str) -> String {
    let job = &fax.record.job;
    let mut text = format!("Your fax to {} {headline}.\r\n\r\n", fax.row.number);
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{name:<16} {value}\r\n");
    };
    if let State::Failed { reason } = &job.state {
        line("Reason", reason);
    }
    line("Number", &fax.row.number);
    line("Pages", &job.pages);
    if job.state.is_final() {
        line("Confirmed pages", &job.confirmed);
        line("Calls", &job.counters.dials);
    }
    if let Some(subject) = fax.record.subject.as_ref().filter(|_| *account.shows_subject) {
        line("Subject", subject);
    }
    if let Some(code) = &fax.record.options.billing {
        line("Billing code", code);
    }
    if let Some(name) = &fax.record.transport_id {
        line("Name at the line", name);
    }
    line("From", &account.organisation.value);
    line("Fax", &fax.row.id);
    line("Message", &fax.row.message);
    if !fax.record.missing.is_empty() {
        let _ = write!(
            text,
            "\r\nThese characters of your text are in no font here; a box stands for each: {}\r\n",
            fax.record.missing
        );
    }
    text
}

/// The address that notices come from.
fn fax_service(fax: &Fax, snapshot: &Snapshot) -> Address {
    Address::parse(&fax.row.recipient)
        .and_then(|address| Address::new("fax", address.domain().clone()))
        .unwrap_or_else(|_| snapshot.config.postmaster.value.clone())
}
