//! Rspamd: the message by POST to `/checkv2`, JSON back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mail::Timestamp;
use serde::Deserialize;
use web_client::{Client, Limits, Place, Request};

use super::{
    ANSWER_MAX_OCTETS, About, Action, Failure, NAMES_MAX, Scanner, Score, Spam, Verdict, name,
};

/// Recipients that are named to it.
const RECIPIENTS_MAX: usize = 50;

#[derive(Deserialize)]
struct Answer {
    action: String,
    score: f64,
    #[serde(default)]
    required_score: Option<f64>,
    #[serde(default)]
    symbols: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    milter: Option<Milter>,
}

#[derive(Deserialize)]
struct Milter {
    #[serde(default)]
    add_headers: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    remove_headers: BTreeMap<String, serde_json::Value>,
}

/// Reads an answer of `/checkv2`.
pub fn read(answer: &[u8]) -> Option<Verdict> {
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let action = match answer.action.as_str() {
        "no action" => Action::None,
        "greylist" => Action::Greylist,
        "rewrite subject" => Action::RewriteSubject,
        "soft reject" => Action::SoftReject,
        "reject" => Action::Reject,
        // "add header", and what an administrator has defined in Rspamd: they end nothing here.
        _ => Action::AddHeader,
    };
    let mut viruses = Vec::new();
    for (symbol, detail) in &answer.symbols {
        if symbol.starts_with("CLAM_VIRUS") || symbol.ends_with("_VIRUS") {
            let options = detail.get("options").and_then(serde_json::Value::as_array);
            let named = options.into_iter().flatten().filter_map(serde_json::Value::as_str);
            let before = viruses.len();
            viruses.extend(named.map(name).filter(|name| !name.is_empty()).take(NAMES_MAX));
            if viruses.len() == before {
                viruses.push(name(symbol));
            }
        }
    }
    viruses.truncate(NAMES_MAX);
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    if let Some(milter) = answer.milter {
        for (field, value) in milter.add_headers {
            for value in values(&value) {
                add.push((field.clone(), value));
            }
        }
        remove.extend(milter.remove_headers.into_keys());
        add.truncate(NAMES_MAX);
        remove.truncate(NAMES_MAX);
    }
    let spam = Spam {
        score: Score::from_f64(answer.score)?,
        threshold: answer.required_score.and_then(Score::from_f64),
        action,
        symbols: answer.symbols.keys().take(NAMES_MAX).map(|symbol| name(symbol)).collect(),
    };
    Some(Verdict { viruses, spam: Some(spam), add, remove })
}

/// The values of a field: a text, `{ "value": text }`, or a list of either.
fn values(value: &serde_json::Value) -> Vec<String> {
    let one = |value: &serde_json::Value| {
        value.as_str().or_else(|| value.get("value")?.as_str()).map(str::to_owned)
    };
    match value.as_array() {
        Some(list) => list.iter().filter_map(one).collect(),
        None => one(value).into_iter().collect(),
    }
}

/// Has a message judged.
///
/// # Errors
///
/// [`Failure`]: no verdict.
pub async fn scan(
    web: &Client,
    place: &Place,
    scanner: &Scanner,
    message: &[Bytes],
    about: &Arc<About>,
    now: Timestamp,
) -> Result<Verdict, Failure> {
    let place = place.with_target("/checkv2").map_err(|_| Failure::Unreadable)?;
    let body = match message {
        [whole] => whole.clone(),
        parts => {
            let mut whole = BytesMut::new();
            for part in parts {
                whole.extend_from_slice(part);
            }
            whole.freeze()
        }
    };
    let mut request = Request::post(place, "message/rfc822", body);
    let mut tell = |field: &str, value: &str| {
        // What a client said may hold anything; a field may not.
        let plain: String = value.chars().filter(|c| matches!(c, ' '..='~')).collect();
        if !plain.is_empty() {
            request = request.clone().with(field, &plain);
        }
    };
    if let Some(ip) = about.ip {
        tell("IP", &ip.to_canonical().to_string());
    }
    tell("Helo", about.helo.as_deref().unwrap_or_default());
    tell("Hostname", about.client_name.as_deref().unwrap_or("unknown"));
    tell("From", &about.from);
    for recipient in about.recipients.iter().take(RECIPIENTS_MAX) {
        tell("Rcpt", recipient);
    }
    tell("User", about.user.as_deref().unwrap_or_default());
    tell("Queue-Id", &about.id);
    tell("MTA-Name", &about.hostname);
    tell("TLS-Version", about.tls_version.as_deref().unwrap_or_default());
    let response = web.send(request, limits(scanner), now).await?;
    if response.status != 200 {
        return Err(Failure::Status(response.status));
    }
    read(&response.body).ok_or(Failure::Unreadable)
}

/// Asks whether it is there.
///
/// # Errors
///
/// [`Failure`]: it is not, or is another program.
pub async fn ping(
    web: &Client,
    place: &Place,
    scanner: &Scanner,
    now: Timestamp,
) -> Result<String, Failure> {
    let place = place.with_target("/ping").map_err(|_| Failure::Unreadable)?;
    let response = web.send(Request::get(place), limits(scanner), now).await?;
    if response.status != 200 || !response.body.starts_with(b"pong") {
        return Err(Failure::Unreadable);
    }
    Ok(name(response.field("server").unwrap_or("rspamd")))
}

fn limits(scanner: &Scanner) -> Limits {
    Limits { connect: scanner.connect, total: scanner.timeout, body_octets: ANSWER_MAX_OCTETS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_verdict() {
        let verdict = read(
            br#"{"is_skipped":false,"score":15.7,"required_score":15.0,"action":"reject",
                "symbols":{"GTUBE":{"name":"GTUBE","score":0},
                    "CLAM_VIRUS":{"name":"CLAM_VIRUS","score":1,"options":["Eicar"]}},
                "milter":{"add_headers":{"X-Spam":"Yes","X-Two":[{"value":"a","order":0},"b"]},
                    "remove_headers":{"X-Old":0}}}"#,
        )
        .unwrap();
        let spam = verdict.spam.unwrap();
        assert_eq!((spam.score, spam.action), (Score(15_700), Action::Reject));
        assert_eq!(spam.symbols, ["CLAM_VIRUS", "GTUBE"]);
        assert_eq!(verdict.viruses, ["Eicar"]);
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(verdict.add, [field("X-Spam", "Yes"), field("X-Two", "a"), field("X-Two", "b")]);
        assert_eq!(verdict.remove, ["X-Old"]);
    }

    #[test]
    fn what_is_not_an_answer_is_no_verdict() {
        for answer in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"action":"reject"}"#,
            br#"{"score":1}"#,
            br#"{"action":"reject","score":1e300}"#,
            br#"{"action":1,"score":1}"#,
        ] {
            assert_eq!(read(answer), None);
        }
    }
}
