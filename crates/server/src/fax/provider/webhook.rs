//! What providers tell by themselves: webhooks, signed as Standard Webhooks are.
//!
//! The signature is HMAC-SHA256 over `id.time.body`. One that is too old, ahead of our clock,
//! or was taken before is not taken; so a webhook that somebody kept says nothing later.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fax::State;
use mail::{Timestamp, TraceId};
use tokio::sync::oneshot;

use super::super::record::Fax;
use super::{Heard, Kept};
use crate::server::Server;

/// How a secret begins that is written in base 64.
const SECRET_PREFIX: &str = "whsec_";
/// How a signature of this kind begins.
const SIGNATURE_PREFIX: &str = "v1,";
/// Signatures of one webhook that are looked at; there are two while a secret changes.
const SIGNATURES_MAX: usize = 4;
/// The longest id, in octets.
const ID_MAX_OCTETS: usize = 256;
/// Webhooks that are remembered; a repeated one says nothing new in any case.
const TAKEN_MAX: usize = 10_000;
/// How long it may take until the end of an attempt is kept.
const KEEPING: Duration = Duration::from_secs(5);
/// Between two looks whether it is.
const KEPT_LOOK: Duration = Duration::from_millis(50);

/// A webhook as it came.
#[derive(Debug, Clone, Copy)]
pub struct Webhook<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// What a provider is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is kept, or says nothing new.
    Taken,
    /// There is no such provider, or it has no webhooks.
    NotThere,
    /// It is not signed as it should be, or not of this time.
    Unsigned,
    /// It cannot be understood, or is about another fax.
    Senseless,
    /// It is to be told again.
    Later,
}

/// The webhooks that were taken lately.
#[derive(Default)]
pub struct Taken(Mutex<VecDeque<(Timestamp, String)>>);

impl Taken {
    fn has(&self, id: &str) -> bool {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.iter().any(|(_, known)| known == id)
    }

    /// Remembers one for twice the window: as long as its time can be of use.
    fn remember(&self, id: String, window: Duration, now: Timestamp) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while taken.front().is_some_and(|(until, _)| *until <= now) || taken.len() >= TAKEN_MAX {
            taken.pop_front();
        }
        taken.push_back((now.plus(window * 2), id));
    }
}

/// The octets of a secret: base 64 behind `whsec_`, or the text itself.
pub fn secret(text: &str) -> Vec<u8> {
    let encoded = text.strip_prefix(SECRET_PREFIX);
    encoded
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Whether a webhook is signed with `secret` and of this time.
pub fn is_genuine(webhook: &Webhook<'_>, secret: &[u8], window: Duration, now: Timestamp) -> bool {
    let Ok(seconds) = webhook.timestamp.parse::<i64>() else { return false };
    let at = Timestamp(seconds.saturating_mul(1_000));
    // One of the two is zero.
    if at.since(now) > window || now.since(at) > window || webhook.id.len() > ID_MAX_OCTETS {
        return false;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut signed = format!("{}.{}.", webhook.id, webhook.timestamp).into_bytes();
    signed.extend_from_slice(webhook.body);
    let signatures = webhook.signature.split(' ').take(SIGNATURES_MAX);
    let mut decoded = signatures
        .filter_map(|signature| signature.strip_prefix(SIGNATURE_PREFIX))
        .filter_map(|signature| BASE64_STANDARD.decode(signature).ok());
    decoded.any(|signature| hmac::verify(&key, &signed, &signature).is_ok())
}

/// Takes what `provider` tells of `fax`. What is answered with [`Answer::Taken`] is on the disk.
pub async fn take(server: &Server, provider: &str, fax: &str, webhook: Webhook<'_>) -> Answer {
    let snapshot = server.snapshot();
    let found = snapshot.config.fax_provider(provider);
    let Some(webhooks) = found.and_then(|provider| provider.webhooks.as_ref()) else {
        return Answer::NotThere;
    };
    let (Some(found), Some(secret)) = (found, snapshot.webhook_secret(provider)) else {
        return Answer::NotThere;
    };
    let now = Timestamp::now();
    if !is_genuine(&webhook, secret, webhooks.window, now) {
        tracing::warn!(provider, "a webhook is not signed as it should be");
        return Answer::Unsigned;
    }
    let name = format!("{provider}/{fax}/{}", webhook.id);
    if server.faxes.webhooks.has(&name) {
        return Answer::Taken;
    }
    let Ok(fax) = fax.parse::<TraceId>() else { return Answer::Senseless };
    let Some(seen) = found.reading.read(webhook.body, &webhooks.fax_at) else {
        return Answer::Senseless;
    };
    let answer = match server.faxes.hearing.follower(fax) {
        Some(follower) => {
            let (kept, told) = oneshot::channel();
            if follower.try_send(Heard { seen, kept }).is_err() {
                return Answer::Later;
            }
            match tokio::time::timeout(KEEPING, told).await {
                Ok(Ok(Kept::Yes)) => Answer::Taken,
                Ok(Ok(Kept::Foreign)) => Answer::Senseless,
                Ok(Ok(Kept::Ends)) => ended(server, fax).await,
                Ok(Ok(Kept::TooEarly) | Err(_)) | Err(_) => Answer::Later,
            }
        }
        // Late news of a fax that has ended says nothing; one that nobody follows just now
        // is followed again soon.
        None if is_followed(server, fax).await => Answer::Later,
        None => Answer::Taken,
    };
    if answer == Answer::Taken {
        server.faxes.webhooks.remember(name, webhooks.window, now);
    }
    answer
}

/// Waits until the end of an attempt is kept.
async fn ended(server: &Server, fax: TraceId) -> Answer {
    let until = Timestamp::now().plus(KEEPING);
    while Timestamp::now() < until {
        if !server.faxes.is_under_way(fax) {
            return if is_followed(server, fax).await { Answer::Later } else { Answer::Taken };
        }
        tokio::time::sleep(KEPT_LOOK).await;
    }
    Answer::Later
}

/// Whether an attempt at a fax has not ended.
async fn is_followed(server: &Server, fax: TraceId) -> bool {
    match Fax::find(server, fax).await {
        Ok(Some(fax)) => matches!(
            fax.record.job.state,
            State::Dialling | State::Sending { .. } | State::Uncertain | State::Cancelling
        ),
        Ok(None) => false,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(300);
    const NOW: Timestamp = Timestamp(1_674_087_231_000);

    fn signature(secret: &[u8], id: &str, timestamp: &str, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(tag))
    }

    #[test]
    fn a_webhook_is_believed_only_when_each_part_of_it_is_signed_and_it_is_of_this_time() {
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(secret.len(), 24);
        let good = signature(&secret, "msg_1", "1674087231", "{}");
        let two = format!("v1,AAAA v1a,AAAA {good}");
        let genuine = |id: &str, timestamp: &str, signature: &str, body: &str| {
            let webhook = Webhook { id, timestamp, signature, body: body.as_bytes() };
            is_genuine(&webhook, &secret, WINDOW, NOW)
        };
        assert!(genuine("msg_1", "1674087231", &good, "{}"));
        assert!(genuine("msg_1", "1674087231", &two, "{}"));
        for (id, timestamp, signature, body) in [
            ("msg_2", "1674087231", good.as_str(), "{}"),
            ("msg_1", "1674087232", &good, "{}"),
            ("msg_1", "1674087231", &good, "{ }"),
            ("msg_1", "1674087231", "", "{}"),
            ("msg_1", "1674087231", "v1,", "{}"),
            ("msg_1", "now", &good, "{}"),
        ] {
            assert!(!genuine(id, timestamp, signature, body), "{id} {timestamp} {body}");
        }
        for seconds in ["1674086930", "1674087532"] {
            let stale = signature_of(&secret, seconds);
            assert!(!genuine("msg_1", seconds, &stale, "{}"), "{seconds}");
        }
        for seconds in ["1674086931", "1674087531"] {
            assert!(genuine("msg_1", seconds, &signature_of(&secret, seconds), "{}"), "{seconds}");
        }
    }

    fn signature_of(secret: &[u8], seconds: &str) -> String {
        signature(secret, "msg_1", seconds, "{}")
    }

    #[test]
    fn the_webhooks_that_are_remembered_are_bounded_in_time_and_number() {
        let taken = Taken::default();
        taken.remember("a".to_owned(), WINDOW, NOW);
        assert!(taken.has("a") && !taken.has("b"));
        taken.remember("b".to_owned(), WINDOW, NOW.plus(WINDOW * 2));
        assert!(!taken.has("a") && taken.has("b"));
        for number in 0..TAKEN_MAX {
            taken.remember(number.to_string(), WINDOW, NOW);
        }
        assert!(taken.0.lock().unwrap().len() <= TAKEN_MAX);
    }
}
