//! A fax that goes out by T.38.

use std::future::Future;

use anyhow::Result;
use config::model::FaxGateway;
use fax::{Outcome, Reason};
use t38::engine::work::{Ended, Task};
use t38::media::{self, Keeper};
use t38::sip::NotConnected;
use tokio::sync::watch;

use super::super::carry::{Carried, Errand, Progress, Reporter};
use super::{GOODBYE_MAX, machine, raised};
use crate::server::Server;

/// Behind the name of a call that was answered: pages may have gone.
const ANSWERED: &str = " answered";

/// Calls, sends, and says what came of it.
///
/// # Errors
///
/// Before the call: nothing was sent. Later there is none.
pub async fn carry(
    server: &Server,
    gateway: &FaxGateway,
    errand: &Errand,
    reporter: &Reporter,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<Carried> {
    let not = |reason: Reason| Ok(Carried::Ended(Outcome::Not(reason)));
    if let Some(name) = &errand.known_as {
        // The call broke off with the server. There is nobody to ask, but what was confirmed
        // is known: each page was kept as confirmed before the next one went.
        return Ok(Carried::Ended(left_behind(name, errand)));
    }
    let line = server.fax_lines.get(&gateway.name)?;
    let pages = errand.pages_from_first()?;
    let task = Task {
        sends: true,
        ident: errand.caller.clone(),
        subaddress: errand.options.subaddress.clone(),
        is_paced: gateway.is_paced,
    };
    let mut machine = machine(&task, &pages).await?;
    let call_id = format!("{}-{}-{:08x}", errand.id, errand.attempt, fastrand::u32(..));
    // Kept before anything is dialled, so that a crash from here on is known as one.
    reporter.report(Progress::Named(call_id.clone())).await?;
    let (number, caller) = (&errand.number, &errand.caller);
    let given_up = to_end(cancelled, server);
    let mut call = match line.call(number, caller, &call_id, given_up).await {
        Ok(call) => call,
        Err(NotConnected::Cancelled) if *cancelled.borrow() => {
            return Ok(Carried::Ended(Outcome::Cancelled));
        }
        Err(error) => {
            tracing::info!(fax = %errand.id, %error, "no call");
            return not(no_call(&error));
        }
    };
    reporter.report(Progress::Named(format!("{call_id}{ANSWERED}"))).await?;
    reporter.report(Progress::Sending(errand.first_page)).await?;
    let (socket, other) = (call.socket(), call.other.clone());
    let over = async {
        tokio::select! {
            () = call.over() => {}
            () = to_end(cancelled, server) => {}
        }
    };
    let mut told = Told { reporter, before: errand.first_page - 1, pages: errand.pages };
    let done = media::carry(&mut machine, &socket, &other, over, &mut told).await;
    let _ended = tokio::time::timeout(GOODBYE_MAX, call.hang_up()).await;
    Ok(Carried::Ended(match done {
        Ok(done) => {
            let all = errand.first_page - 1 + done.ended.pages;
            let (lost, recovered) = (done.lost, done.recovered);
            let words = &done.ended.words;
            tracing::info!(fax = %errand.id, pages = all, words, lost, recovered, "a call ended");
            if all >= errand.pages {
                Outcome::Sent
            } else if *cancelled.borrow() {
                Outcome::Cancelled
            } else {
                Outcome::Not(reason(&done.ended))
            }
        }
        Err(error) => {
            // The pages that were confirmed are kept, and the next call goes on behind them.
            tracing::warn!(fax = %errand.id, %error, "a call broke off");
            Outcome::Not(Reason::Interrupted)
        }
    }))
}

/// Until somebody wants the fax stopped, or the server stops: the page under way goes again
/// with the next call, after the start.
async fn to_end(cancelled: &watch::Receiver<bool>, server: &Server) {
    tokio::select! {
        () = raised(cancelled.clone()) => {}
        () = raised(server.stopping()) => {}
    }
}

/// Tells of pages as they are confirmed.
struct Told<'a> {
    reporter: &'a Reporter,
    /// Pages confirmed by earlier calls.
    before: u32,
    pages: u32,
}

impl Keeper for Told<'_> {
    fn pages(&mut self, pages: u32, _file: &[u8]) -> impl Future<Output = bool> + Send {
        let (done, reporter, all) = (self.before + pages, self.reporter, self.pages);
        async move {
            if reporter.report(Progress::Confirmed(done)).await.is_err() {
                return false;
            }
            done >= all || reporter.report(Progress::Sending(done + 1)).await.is_ok()
        }
    }
}

/// What became of a fax whose call the server did not survive.
fn left_behind(name: &str, errand: &Errand) -> Outcome {
    if errand.confirmed >= errand.pages {
        Outcome::Sent
    } else if name.ends_with(ANSWERED) {
        // The page that was under way may have arrived.
        Outcome::Not(Reason::Unknown)
    } else {
        // Nobody had answered, so no page had gone.
        Outcome::Not(Reason::Interrupted)
    }
}

/// Why there was no call (RFC 3261, 21).
fn no_call(error: &NotConnected) -> Reason {
    match error {
        NotConnected::NoAnswer => Reason::NoAnswer,
        NotConnected::NoLine(_) | NotConnected::Cancelled => Reason::TransportDown,
        NotConnected::NoFax(_) => Reason::told(&error.to_string()),
        NotConnected::Refused { code, .. } => match code {
            486 | 600 => Reason::Busy,
            408 | 480 | 487 => Reason::NoAnswer,
            404 | 410 | 484 | 485 | 604 => Reason::NumberRefused,
            401 | 407 | 500..=599 => Reason::TransportDown,
            _ => Reason::told(&error.to_string()),
        },
    }
}

/// Why a call ended before the last page (`t30_err_e` of libspandsp).
fn reason(ended: &Ended) -> Reason {
    match ended.code {
        // The tone, the first message, or an answer to it never came.
        1..=3 | 17 | 19 => Reason::NoCarrier,
        8..=12 => {
            Reason::told(&format!("the other machine cannot take the pages: {}", ended.words))
        }
        41..=47 => Reason::DocumentRefused,
        _ => Reason::Interrupted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_ends_have_reasons_for_people() {
        let refused = |code| NotConnected::Refused { code, phrase: "Words".to_owned() };
        for (code, reason) in [
            (486, Reason::Busy),
            (480, Reason::NoAnswer),
            (404, Reason::NumberRefused),
            (503, Reason::TransportDown),
            (403, Reason::Told("the gateway answers 403 Words".to_owned())),
        ] {
            assert_eq!(no_call(&refused(code)), reason);
        }
        let ended = |code| Ended { code, words: "words".into(), pages: 0, station: String::new() };
        assert_eq!(reason(&ended(3)), Reason::NoCarrier);
        assert_eq!(reason(&ended(41)), Reason::DocumentRefused);
        assert_eq!(reason(&ended(21)), Reason::Interrupted);
        assert!(matches!(reason(&ended(11)), Reason::Told(words) if words.ends_with(": words")));
    }
}
