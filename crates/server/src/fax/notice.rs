//! Mails that tell the sender what became of a fax. They travel as all mail does, so what is
//! demanded of the way to the sender holds for them too.

use std::fmt::Write as _;

use anyhow::Result;
use config::model::FaxAccount;
use evidence::Origin;
use fax::State;
use mail::Address;
use store::Accept;

use super::record::{self, Fax};
use crate::letter::{Attachment, Letter};
use crate::server::Server;
use crate::snapshot::Snapshot;

/// The largest file of pages that a notice takes along, in octets.
const PAGES_MAX_OCTETS: usize = 8 * 1024 * 1024;

/// The mail that is due where a fax stands now, if one is.
///
/// # Errors
///
/// When it cannot be written.
pub async fn compose(server: &Server, snapshot: &Snapshot, fax: &Fax) -> Result<Vec<Accept>> {
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
        | State::Mailed { .. }
        | State::Uncertain
        | State::Cancelling => (false, ""),
    };
    if !is_wanted {
        return Ok(Vec::new());
    }
    let mut text = text(account, fax, headline);
    let wants_pages = *account.notice_pages && job.state.is_final();
    let pages = if wants_pages { Some(pages(server, fax).await) } else { None };
    if let Some(Err(why)) = &pages {
        // Writing to a String cannot fail.
        let _ = write!(text, "\r\nThe pages are not attached: {why}.\r\n");
    }
    let letter = Letter::plain(
        snapshot,
        Origin::Notice { about: fax.row.message },
        ("Fax service", &fax_service(fax, snapshot)),
        &fax.record.sender,
        &format!("Fax to {} {headline}", fax.row.number),
        &text,
    )?;
    let letter = match pages {
        Some(Ok(pages)) => letter.with(pages)?,
        Some(Err(_)) | None => letter,
    };
    Ok(vec![letter.accept(server, snapshot)?])
}

/// The pages as they were drawn, as PDF.
///
/// # Errors
///
/// Why they are not there, in words.
async fn pages(server: &Server, fax: &Fax) -> Result<Attachment, String> {
    let path = record::file(server.data(), fax.row.id);
    let file = tokio::fs::read(&path).await.map_err(|_| "they are no longer kept".to_owned())?;
    if file.len() > PAGES_MAX_OCTETS {
        return Err(format!("they have {} octets, {PAGES_MAX_OCTETS} are the most", file.len()));
    }
    let name = format!("{}.pdf", fax.row.id);
    let octets = pages::paper::pdf(&file).map_err(|trouble| trouble.to_string())?;
    Ok(Attachment { name, kind: "application/pdf", octets })
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
    if job.state == State::HandedOver {
        line("Result", &"the off-ramp took it; you hear again when it reports what became of it");
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
    if !fax.record.left_out.is_empty() {
        text.push_str("\r\nWarning: not everything is in the fax, and the fax says so.\r\n");
        for left_out in &fax.record.left_out {
            let _ = write!(text, "  {left_out}\r\n");
        }
    }
    if !fax.record.missing.is_empty() {
        let _ = write!(
            text,
            "\r\nWarning: no font here has some characters of your text, and a box stands for each. \
             {}\r\n",
            fax.record.missing
        );
    }
    text
}

/// The address that notices come from, and faxes to off-ramps.
pub fn fax_service(fax: &Fax, snapshot: &Snapshot) -> Address {
    Address::parse(&fax.row.recipient)
        .and_then(|address| Address::new("fax", address.domain().clone()))
        .unwrap_or_else(|_| snapshot.config.postmaster.value.clone())
}
