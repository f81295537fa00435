//! Providers that fax by HTTPS: asked to send, then followed to the end by what they tell
//! ([`webhook`]) and by asking again.
//!
//! The attempt has a name before the request leaves, and the same request always carries the
//! same name. So a crash, or an answer that never came, is settled by asking once more; a
//! provider that knows no such names is never asked twice.

mod request;
pub mod webhook;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::model::{FAX_ID, FaxProvider};
use fax::provider::{Meaning, Seen};
use fax::{Outcome, Reason};
use mail::{Timestamp, TraceId};
use smtp::client::Credentials;
use tokio::sync::{mpsc, oneshot, watch};
use web_client::{Client, Limits, Request, Response};

use super::carry::{Carried, Errand, Progress, Reporter};

/// How often one request is repeated in one go.
const TRIES: u32 = 3;
/// The first wait before that; it doubles, unless the provider names another.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The longest wait that a provider may ask for in between.
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// The longest answer that is read, in octets.
const ANSWER_MAX_OCTETS: usize = 256 * 1024;
/// The longest text of a refusal that is repeated, in characters.
const REFUSAL_MAX_CHARS: usize = 200;
/// Things told about one fax that wait to be taken.
const HEARD_MAX: usize = 8;
/// How long a connection to a provider is waited for.
const CONNECT: Duration = Duration::from_secs(10);

/// Something a provider told, and who waits until it is kept.
pub struct Heard {
    /// What it said.
    pub seen: Seen,
    /// Told when it is kept.
    pub kept: oneshot::Sender<Kept>,
}

/// What became of something told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept, or said nothing new.
    Yes,
    /// The attempt ends with it, and is about to be kept.
    Ends,
    /// It is about a fax whose name is not known yet; the provider tells it again.
    TooEarly,
    /// It is about another fax.
    Foreign,
}

/// The attempts that providers may tell of.
#[derive(Default)]
pub struct Hearing(Mutex<HashMap<TraceId, mpsc::Sender<Heard>>>);

/// What is told of one attempt, while it lasts.
struct Ears<'h> {
    hearing: &'h Hearing,
    fax: TraceId,
    heard: mpsc::Receiver<Heard>,
}

impl Hearing {
    /// Who follows a fax.
    pub fn follower(&self, fax: TraceId) -> Option<mpsc::Sender<Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&fax).cloned()
    }

    fn listen(&self, fax: TraceId) -> Ears<'_> {
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(fax, sender);
        Ears { hearing: self, fax, heard }
    }
}

impl Drop for Ears<'_> {
    fn drop(&mut self) {
        self.hearing.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.fax);
    }
}

/// A provider, and how it is reached.
pub struct Line<'a> {
    /// What the configuration says of it.
    pub provider: &'a FaxProvider,
    /// Sends requests.
    pub web: &'a Client,
    /// What to sign in with.
    pub credentials: Option<&'a Credentials>,
    /// Where its webhooks arrive.
    pub hearing: &'a Hearing,
}

/// The name of an attempt: our own, and the provider's once it gave one.
struct Name {
    ours: String,
    theirs: Option<String>,
}

impl Name {
    fn of(text: &str) -> Self {
        match text.split_once(' ') {
            Some((ours, theirs)) => Self { ours: ours.to_owned(), theirs: Some(theirs.to_owned()) },
            None => Self { ours: text.to_owned(), theirs: None },
        }
    }

    fn kept(&self) -> String {
        match &self.theirs {
            Some(theirs) => format!("{} {theirs}", self.ours),
            None => self.ours.clone(),
        }
    }
}

/// What came of a request to send.
enum Submitted {
    /// It has it.
    Taken(Seen),
    /// It will not have it.
    Refused(Reason),
    /// It surely does not have it, and may later.
    Down(String),
    /// Nobody knows whether it has it.
    Unsure(String),
}

/// Sends the fax, unless the provider has it, and follows it to its end.
///
/// # Errors
///
/// When it is not known whether the provider has it; it is asked again later.
pub async fn carry(
    line: &Line<'_>,
    errand: &Errand,
    reporter: &Reporter,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<Carried> {
    let mut ears = line.hearing.listen(errand.id);
    let is_repeated = errand.known_as.is_some();
    let mut name = match &errand.known_as {
        Some(known) => Name::of(known),
        None if *cancelled.borrow() => return Ok(Carried::Ended(Outcome::Cancelled)),
        None => Name { ours: format!("{}-{}", errand.id, errand.attempt), theirs: None },
    };
    if !is_repeated {
        reporter.report(Progress::Named(name.kept())).await?;
    }
    let mut follower = Follower { line, errand, reporter, page: 0, id: name.theirs.clone() };
    if name.theirs.is_none() {
        if is_repeated && line.provider.key.is_none() {
            return Ok(Carried::Ended(Outcome::Not(Reason::Unknown)));
        }
        let seen = match submit(line, errand, &name.ours, is_repeated).await? {
            Submitted::Taken(seen) => seen,
            Submitted::Refused(reason) => return Ok(Carried::Ended(Outcome::Not(reason))),
            Submitted::Down(why) => {
                tracing::warn!(fax = %errand.id, provider = %*line.provider.name, "{why}");
                return Ok(Carried::Ended(Outcome::Not(Reason::TransportDown)));
            }
            Submitted::Unsure(why) => {
                if line.provider.key.is_none() || Timestamp::now() >= errand.expires {
                    tracing::warn!(fax = %errand.id, "a provider leaves it open: {why}");
                    return Ok(Carried::Ended(Outcome::Not(Reason::Unknown)));
                }
                bail!("{why}");
            }
        };
        name.theirs = Some(seen.id.clone());
        reporter.report(Progress::Named(name.kept())).await?;
        follower.id = Some(seen.id.clone());
        if let Some(outcome) = follower.take(&seen).await? {
            return Ok(Carried::Ended(outcome));
        }
    }
    follower.follow(&mut ears).await
}

/// Follows one attempt.
struct Follower<'a> {
    line: &'a Line<'a>,
    errand: &'a Errand,
    reporter: &'a Reporter,
    /// The last page that was reported under way.
    page: u32,
    /// The provider's name for the fax.
    id: Option<String>,
}

impl Follower<'_> {
    async fn follow(&mut self, ears: &mut Ears<'_>) -> Result<Carried> {
        // A name of the provider's makes it be asked at once: a webhook may have been missed.
        let mut wait =
            if self.errand.known_as.is_some() { Duration::ZERO } else { self.line.provider.poll };
        loop {
            let left = self.errand.expires.since(Timestamp::now());
            tokio::select! {
                Some(heard) = ears.heard.recv() => {
                    let outcome = self.hear(heard).await?;
                    if let Some(outcome) = outcome {
                        return Ok(Carried::Ended(outcome));
                    }
                }
                () = tokio::time::sleep(wait.min(left)) => {
                    if left.is_zero() {
                        return Ok(Carried::Ended(Outcome::Not(Reason::Unknown)));
                    }
                    wait = self.line.provider.poll;
                    if let Some(outcome) = self.ask().await? {
                        return Ok(Carried::Ended(outcome));
                    }
                }
            }
        }
    }

    /// Takes what a webhook told.
    async fn hear(&mut self, heard: Heard) -> Result<Option<Outcome>> {
        let Heard { seen, kept } = heard;
        let outcome = if self.id.as_ref().is_some_and(|id| *id == seen.id) {
            self.take(&seen).await?
        } else {
            let _gone = kept.send(if self.id.is_some() { Kept::Foreign } else { Kept::TooEarly });
            return Ok(None);
        };
        let _gone = kept.send(if outcome.is_some() { Kept::Ends } else { Kept::Yes });
        Ok(outcome)
    }

    /// Asks what became of it; what is no answer is asked again later.
    async fn ask(&mut self) -> Result<Option<Outcome>> {
        let (Some(status), Some(id)) = (&self.line.provider.status, &self.id) else {
            return Ok(None);
        };
        let place = status.replace(FAX_ID, &escaped(id)).parse();
        let place = place.context("the provider's name for the fax is no part of an address")?;
        let request = request::signed_in(self.line, Request::get(place))?;
        let answer = match self.line.send(request).await {
            Ok(answer) if answer.is_success() => answer,
            Ok(answer) if answer.status == 404 || answer.status == 410 => {
                return Ok(Some(Outcome::Not(Reason::Unknown)));
            }
            Ok(answer) => {
                tracing::warn!(fax = %self.errand.id, status = answer.status, "not told");
                return Ok(None);
            }
            Err(error) => {
                tracing::warn!(fax = %self.errand.id, %error, "a provider cannot be asked");
                return Ok(None);
            }
        };
        match self.line.provider.reading.read(&answer.body, "") {
            Some(seen) if Some(&seen.id) == self.id.as_ref() => self.take(&seen).await,
            Some(_) | None => {
                tracing::warn!(fax = %self.errand.id, "a provider's answer is not about it");
                Ok(None)
            }
        }
    }

    /// Reports what is new in `seen`; gives how the attempt ended, if it has.
    async fn take(&mut self, seen: &Seen) -> Result<Option<Outcome>> {
        let before = self.errand.first_page.saturating_sub(1);
        let pages = self.errand.pages.saturating_sub(before);
        if let Some(confirmed) = seen.pages.filter(|confirmed| *confirmed > 0) {
            let confirmed = before.saturating_add(confirmed).min(self.errand.pages);
            // The last page counts only together with the word for it.
            let confirmed = if seen.meaning == Some(Meaning::Sent) {
                confirmed
            } else {
                confirmed.min(self.errand.pages.saturating_sub(1))
            };
            if confirmed > 0 {
                self.reporter.report(Progress::Confirmed(confirmed)).await?;
            }
        }
        if seen.meaning == Some(Meaning::Sending) {
            let page = before.saturating_add(seen.pages.unwrap_or(0)).saturating_add(1);
            let page = page.min(self.errand.pages);
            if page > self.page {
                self.page = page;
                self.reporter.report(Progress::Sending(page)).await?;
            }
        }
        if seen.meaning.is_none() {
            tracing::warn!(fax = %self.errand.id, "a provider's word is not known: {seen}");
        }
        Ok(seen.outcome(pages))
    }
}

impl Line<'_> {
    async fn send(&self, request: Request) -> Result<Response, web_client::Error> {
        let limits = Limits {
            connect: CONNECT.min(self.provider.timeout),
            total: self.provider.timeout,
            body_octets: ANSWER_MAX_OCTETS,
        };
        self.web.send(request, limits, Timestamp::now()).await
    }
}

/// Asks the provider to send, again where that may help. `may_have_it` says that an earlier
/// request of this name was not answered: no later one can then surely not have been taken.
async fn submit(
    line: &Line<'_>,
    errand: &Errand,
    ours: &str,
    mut may_have_it: bool,
) -> Result<Submitted> {
    let request = request::submission(line, errand, ours).await?;
    let mut pause = AGAIN_AFTER;
    let mut tries = 1;
    loop {
        let (told, wait) = submit_once(line, request.clone()).await;
        let told = match told {
            Submitted::Taken(_) | Submitted::Refused(_) => return Ok(told),
            Submitted::Down(why) if may_have_it => Submitted::Unsure(why),
            Submitted::Down(_) | Submitted::Unsure(_) => told,
        };
        may_have_it = matches!(told, Submitted::Unsure(_));
        // One that knows no names would not see that it is the same.
        if tries == TRIES || (may_have_it && line.provider.key.is_none()) {
            return Ok(told);
        }
        tries += 1;
        tokio::time::sleep(wait.unwrap_or(pause).min(AGAIN_MAX)).await;
        pause *= 2;
    }
}

async fn submit_once(line: &Line<'_>, request: Request) -> (Submitted, Option<Duration>) {
    let answer = match line.send(request).await {
        Ok(answer) => answer,
        Err(error) => {
            use web_client::Error;
            let why = error.to_string();
            let told = match error {
                // The request has not left.
                Error::NoAddress { .. }
                | Error::NotAllowed { .. }
                | Error::Connect { .. }
                | Error::Tls { .. }
                | Error::Untrusted { .. }
                | Error::Field { .. } => Submitted::Down(why),
                _ => Submitted::Unsure(why),
            };
            return (told, None);
        }
    };
    let wait = answer.field("retry-after").and_then(|seconds| seconds.trim().parse().ok());
    let told = match answer.status {
        200..=299 => match line.provider.reading.read(&answer.body, "") {
            Some(seen) => Submitted::Taken(seen),
            None => Submitted::Unsure("the provider's answer names no fax".to_owned()),
        },
        401 | 403 | 407 => Submitted::Down("the provider does not let us in".to_owned()),
        425 | 429 => Submitted::Down("the provider is busy".to_owned()),
        // It works on the first request of this name (draft-ietf-httpapi-idempotency-key-header).
        408 | 409 => Submitted::Unsure(format!("the provider answers {}", answer.status)),
        300..=499 => Submitted::Refused(refusal(line, &answer)),
        status => Submitted::Unsure(format!("the provider answers {status}")),
    };
    (told, wait.map(Duration::from_secs))
}

/// Why the provider refuses, in its words.
fn refusal(line: &Line<'_>, answer: &Response) -> Reason {
    let json = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    let told = json.as_ref().and_then(|json| json.pointer(&line.provider.reading.reason)?.as_str());
    let words = told.map_or_else(|| String::from_utf8_lossy(&answer.body), Into::into);
    let words: String = words.chars().take(REFUSAL_MAX_CHARS).collect();
    Reason::told(&format!("the provider refuses it: {} {words}", answer.status))
}

/// The text as a part of a path (RFC 3986 section 2.1).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_provider_is_kept_beside_ours_and_leads_no_further_in_a_path() {
        let name = Name::of("01ABC-1 fax/7");
        assert_eq!((name.ours.as_str(), name.theirs.as_deref()), ("01ABC-1", Some("fax/7")));
        assert_eq!(name.kept(), "01ABC-1 fax/7");
        assert_eq!(Name::of("01ABC-1").theirs, None);
        assert_eq!(escaped("../fax?7"), "..%2Ffax%3F7");
    }
}
