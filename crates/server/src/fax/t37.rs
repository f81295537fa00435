//! Off-ramps (ITU-T T.37, RFC 2305, RFC 3965): the fax goes on as mail, and a notification
//! tells what became of it.
//!
//! The mail travels by the ordinary queue, so routes, Force Encrypt and every other demand
//! hold for it. It is put there in the transaction that says so of the fax. Before an attempt
//! the queue asks the fax ([`begin`]), which calls then, and tells it how the attempt ended
//! ([`end`]): whatever a crash interrupts is uncertain, and is not sent again. The last word
//! is the off-ramp's own ([`take_reports`]).

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use config::model::FaxAccount;
use delivery::{Attempt, Cause, Delivered, Onward, Outcome as Delivery, Trouble};
use evidence::Origin;
use fax::offramp::{self, ReturnPath};
use fax::{Event, Number, Outcome, Reason, State};
use mail::dsn::Report;
use mail::header::NewField;
use mail::{
    Address, Domain, DsnReturn, Notify, Recipient, ReversePath, Status, Timestamp, TraceId,
};
use queue::Transition;
use store::{Accept, Ending, QueueFilter};

use super::carry::{ASK_AGAIN, Errand};
use super::record::Fax;
use super::{draw, judge, notice};
use crate::letter::{Letter, Sending};
use crate::server::Server;
use crate::snapshot::Snapshot;

/// Octets of the file in a line of its base 64, which has 76 characters (RFC 2045 section 6.8).
const LINE_OCTETS: usize = 57;
/// How often a fax that cannot be written down is tried again.
const KEEP_TRIES: u32 = 6;
/// The first wait before that; it doubles.
const KEEP_AGAIN: Duration = Duration::from_millis(250);
/// The name of the fax service in traces.
const HOST: &str = "fax";

/// What the queue does with a mail it is about to attempt.
pub enum Passage {
    /// It is no fax: as always.
    Ordinary,
    /// It is this fax, which calls now.
    Fax(Box<Fax>),
    /// It is a fax that is not wanted any more, or of which nobody knows whether it was sent.
    Stopped,
}

/// Whether a report of an off-ramp is what an address of ours is for.
pub fn return_path(snapshot: &Snapshot, address: &Address) -> Option<ReturnPath> {
    judge::account(snapshot, address.domain())?;
    ReturnPath::read(address.local())
}

/// The fax whose off-ramp reports to `path`; `None` where the secret is not that of its last
/// attempt.
///
/// # Errors
///
/// The store's.
pub async fn expecting(server: &Server, path: ReturnPath) -> Result<Option<Fax>> {
    let fax = Fax::find(server, path.fax).await?;
    Ok(fax.filter(|fax| fax.record.report_secret.is_some_and(|secret| same(secret, path.secret))))
}

fn same(one: TraceId, other: TraceId) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(&one.to_bytes(), &other.to_bytes()).is_ok()
}

/// Mails a fax to the off-ramp `domain`; or waits for its report, where the server stopped
/// while the mail was sent.
///
/// # Errors
///
/// The store's.
pub async fn carry(
    server: &Server,
    snapshot: &Snapshot,
    fax: &mut Fax,
    domain: &Domain,
    is_question: bool,
) -> Result<()> {
    let now = Timestamp::now();
    if is_question {
        if now < fax.record.job.expires {
            return fax.look_again(server, now.plus(ASK_AGAIN)).await;
        }
        let event = fax.ended_round(Event::Ended(Outcome::Not(Reason::Unknown)));
        return fax.apply(server, snapshot, &event, now).await;
    }
    let (mail, secret) = match compose(server, snapshot, fax, domain).await {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(fax = %fax.row.id, error = format!("{error:#}"), "no mail was made");
            let event = given_up(snapshot, fax, Reason::TransportDown)?;
            return fax.apply(server, snapshot, &event, now).await;
        }
    };
    fax.mailed(server, snapshot, secret, mail, now).await
}

/// The mail to the off-ramp, and the secret of its return path.
async fn compose(
    server: &Server,
    snapshot: &Snapshot,
    fax: &Fax,
    domain: &Domain,
) -> Result<(Accept, TraceId)> {
    let errand = Errand::of(server, fax);
    let tiff = draw::simple(errand.pages_from_first()?).await?;
    let number = Number::try_from(errand.number)?;
    let to = offramp::address(&number, errand.options.subaddress.as_deref(), domain)?;
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).ok().context("there are no random numbers")?;
    let secret = TraceId::from_bytes(random);
    let service = notice::fax_service(fax, snapshot);
    let path = ReturnPath { fax: fax.row.id, secret }.at(service.domain())?;
    let at = Timestamp::now();
    let trace = TraceId::generate(at.0);
    let hostname = &snapshot.config.hostname.value;
    let fields = [
        ("From", format!("<{service}>")),
        ("To", format!("<{to}>")),
        ("Date", at.to_rfc5322()),
        ("Message-ID", format!("<{trace}@{hostname}>")),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        // RFC 3950 section 2, RFC 3949.
        ("Content-Type", "image/tiff; application=faxbw".to_owned()),
        ("Content-Disposition", format!("attachment; filename=\"{}.tif\"", fax.row.id)),
        ("Content-Transfer-Encoding", "base64".to_owned()),
    ];
    let mut content = String::new();
    for (name, value) in fields {
        content.push_str(NewField::new(name, &value)?.as_str());
    }
    content.push_str("\r\n");
    for line in tiff.chunks(LINE_OCTETS) {
        BASE64_STANDARD.encode_string(line, &mut content);
        content.push_str("\r\n");
    }
    let letter = Letter {
        trace,
        at,
        origin: Origin::Notice { about: fax.row.message },
        to: vec![to],
        content: content.into_bytes(),
        body: mail::Body::SevenBit,
        smtputf8: false,
    };
    let sending = Sending {
        reverse_path: ReversePath::Address(path),
        notify: Notify { success: true, failure: true, delay: false },
        dsn_return: Some(DsnReturn::Headers),
        envid: Some(fax.row.id.to_string()),
        gives_up: Some(fax.record.job.expires),
    };
    Ok((letter.post(server, snapshot, sending)?, secret))
}

/// What happens when its mail is given up: another transport carries it, or it has failed.
fn given_up(snapshot: &Snapshot, fax: &mut Fax, reason: Reason) -> Result<Event> {
    let account = snapshot.config.fax_account(&fax.row.account);
    let event = Event::Ended(Outcome::Not(reason));
    let Some(line) = account.and_then(|account: &FaxAccount| fax.own_line(account)) else {
        return Ok(fax.ended_round(event));
    };
    let diverted = fax.diverted(line);
    let next = account.map(|account| fax.next_line(account)).transpose()?.flatten();
    Ok(match next {
        Some((next, _)) if next != line => diverted,
        Some(_) | None => fax.ended_round(event),
    })
}

/// Looks whether the mail of a fax still waits: an operator may have taken it out.
///
/// # Errors
///
/// The store's.
pub async fn look(server: &Server, snapshot: &Snapshot, fax: &mut Fax) -> Result<()> {
    let now = Timestamp::now();
    let mail = fax.record.transport_id.as_deref().and_then(|name| name.parse::<TraceId>().ok());
    let waits = match mail {
        Some(mail) => {
            let filter = QueueFilter { trace: Some((mail, mail)), ..QueueFilter::default() };
            !server.store.queue_page(&filter, None, 1).await?.is_empty()
        }
        None => false,
    };
    let reason = match waits {
        // The queue gives it up at the same time, unless it is held there.
        true if now < fax.record.job.expires.plus(ASK_AGAIN) => {
            return fax.look_again(server, now.plus(ASK_AGAIN)).await;
        }
        true => Reason::Expired,
        false => Reason::told("its mail to the off-ramp was taken out of the queue"),
    };
    let event = fax.ended_round(Event::Ended(Outcome::Not(reason)));
    fax.apply(server, snapshot, &event, now).await
}

/// Asks the fax whose mail is about to be attempted; from here on it calls.
///
/// # Errors
///
/// The store's.
pub async fn begin(
    server: &Server,
    snapshot: &Snapshot,
    sender: &ReversePath,
    mail: TraceId,
) -> Result<Passage> {
    let path = sender.address().and_then(|sender| ReturnPath::read(sender.local()));
    let Some(path) = path else { return Ok(Passage::Ordinary) };
    let Some(mut fax) = Fax::find(server, path.fax).await? else { return Ok(Passage::Ordinary) };
    if fax.record.report_secret != Some(path.secret) {
        return Ok(Passage::Stopped);
    }
    let is_wanted = fax.record.transport_id == Some(mail.to_string())
        && matches!(fax.record.job.state, State::Mailed { .. });
    if !is_wanted {
        return Ok(Passage::Stopped);
    }
    fax.apply(server, snapshot, &Event::Started, Timestamp::now()).await?;
    let has_expired = fax.record.job.state.is_final();
    Ok(if has_expired { Passage::Stopped } else { Passage::Fax(Box::new(fax)) })
}

impl Passage {
    /// How the queue ends a mail that is stopped.
    pub fn stopped() -> queue::Trouble {
        let text = "The fax is not sent any more";
        queue::Trouble::new(Status::new(5, 0, 0), mail::dsn::Reason::Cancelled, text)
    }

    /// Nothing was attempted: the mail waits again.
    pub async fn put_back(self, server: &Server, snapshot: &Snapshot) {
        keep(server, snapshot, self, |_| Ok(Event::Mailed(None))).await;
    }
}

/// Tells the fax how the attempt at its mail ended, before the queue forgets it.
pub async fn end(server: &Server, snapshot: &Snapshot, passage: Passage, followed: &Transition) {
    keep(server, snapshot, passage, |fax| match followed.ended.first() {
        None => Ok(Event::Mailed(followed.attempted.then(|| followed.note.clone()))),
        Some(end) => match end.ending {
            Ending::Delivered | Ending::Relayed => {
                Ok(fax.ended_round(Event::Ended(Outcome::HandedOver)))
            }
            Ending::Bounced | Ending::Discarded | Ending::Quarantined | Ending::Cancelled => {
                let text = format!("its mail to the off-ramp was given up: {}", end.text);
                given_up(snapshot, fax, Reason::told(&text))
            }
        },
    })
    .await;
    server.faxes.wake();
}

/// Writes down what happens to a fax whose mail was attempted; again where that fails. Where
/// it cannot be done the fax stays as it is, is uncertain after the next start, and is not
/// sent again.
async fn keep(
    server: &Server,
    snapshot: &Snapshot,
    passage: Passage,
    event: impl Fn(&mut Fax) -> Result<Event>,
) {
    let Passage::Fax(mut fax) = passage else { return };
    let mut pause = KEEP_AGAIN;
    for _ in 0..KEEP_TRIES {
        let kept = match event(&mut fax) {
            Ok(event) => fax.apply(server, snapshot, &event, Timestamp::now()).await,
            Err(error) => Err(error),
        };
        let Err(error) = kept else { return };
        // A report may have been quicker, or a person has cancelled it: that counts.
        match Fax::find(server, fax.row.id).await {
            Ok(Some(fresh)) if fresh.row.row != fax.row.row => {
                let is_under_way =
                    matches!(fresh.record.job.state, State::Dialling | State::Cancelling);
                *fax = fresh;
                if !is_under_way {
                    return;
                }
            }
            Ok(_) | Err(_) => {
                tracing::warn!(fax = %fax.row.id, error = format!("{error:#}"), "not kept");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }
}

/// Takes what came to return paths. Whatever it is, it ends here.
pub async fn take_reports(
    server: &Server,
    snapshot: &Snapshot,
    recipients: &[Recipient],
    content: &[u8],
) -> Attempt {
    let started = Timestamp::now();
    let mut outcomes = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        let taken = match return_path(snapshot, &recipient.address) {
            Some(path) => take(server, snapshot, path, content).await,
            None => Ok(()),
        };
        outcomes.push(match taken {
            Ok(()) => Delivery::Delivered(Delivered {
                contact: 0,
                host: HOST.to_owned(),
                reply: None,
                onward: Onward::Final,
            }),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a report could not be kept");
                let text = "the report cannot be kept at the moment";
                Delivery::Temporary(Trouble::new(Status::new(4, 3, 0), Cause::Content, text))
            }
        });
    }
    Attempt::local(HOST, started, Timestamp::now(), outcomes)
}

async fn take(
    server: &Server,
    snapshot: &Snapshot,
    path: ReturnPath,
    content: &[u8],
) -> Result<()> {
    let ignored = |why: &str| tracing::info!(fax = %path.fax, "a report is ignored: {why}");
    let Some(mut fax) = expecting(server, path).await? else {
        ignored("nothing waits for it");
        return Ok(());
    };
    let Some(report) = Report::of_message(content) else {
        ignored("it is none");
        return Ok(());
    };
    if report.envid.as_ref().is_some_and(|envid| *envid != fax.row.id.to_string()) {
        ignored("it is about something else");
        return Ok(());
    }
    let Some(outcome) = offramp::reported(&report) else {
        ignored("it is not the last");
        return Ok(());
    };
    let event = Event::Reported(outcome);
    let now = Timestamp::now();
    if let Err(misplaced) = fax.record.job.apply(&event, now) {
        ignored(&misplaced.to_string());
        return Ok(());
    }
    fax.apply(server, snapshot, &event, now).await
}
