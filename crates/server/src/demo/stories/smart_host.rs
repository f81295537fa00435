//! A smart host is spoken to with TLS 1.2 or 1.3, or not at all.

use anyhow::Result;
use evidence::Ending;
use lab::world::SMARTHOST_USER;
use tls::{Protection, Version};

use super::{Stage, version};
use crate::demo::operator::Trace;
use crate::demo::page::Page;

pub(super) async fn tell(stage: &Stage, page: &mut Page) -> Result<()> {
    newest(stage, page).await?;
    older(stage, page).await?;
    too_old(stage, page).await
}

/// Both sides speak TLS 1.3, and the host wants a password.
async fn newest(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene("Mail for relayed.test goes by smarthost.test; the rule allows TLS 1.2 and 1.3.");
    let before = stage.seen_by("smarthost.test").await?;
    let id = stage.send(page, "office@relayed.test", "By the smart host").await?;
    let trace = stage.end_of(&id).await?;
    page.quote(trace.sections(&["rules", "out", "end"]));
    let demanded = trace.last_attempt().and_then(|(_, attempt)| attempt.tls.as_ref());
    let because = demanded.map(|verdict| verdict.because()).unwrap_or_default();
    page.check(
        because.contains("use_only_tls12_and_13_when_relaying"),
        "encryption was demanded by the rule use_only_tls12_and_13_when_relaying",
    );
    page.check(relayed(&trace) && version(&trace) == Some(Version::Tls13), "sent over TLS 1.3");
    let after = stage.seen_by("smarthost.test").await?;
    let user = after.messages.last().and_then(|message| message.user.as_deref());
    page.check(
        after.taken == before.taken + 1 && user == Some(SMARTHOST_USER),
        format!("smarthost.test took it from {SMARTHOST_USER}, who signed in"),
    );
    page.see(&format!("trace {id}"));
    Ok(())
}

/// The host has nothing newer than TLS 1.2, and the rule allows it.
async fn older(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene(
        "Mail for older.test goes by a host that has TLS 1.2 only; 1.2 and 1.3 are allowed.",
    );
    let id = stage.send(page, "office@older.test", "By an older host").await?;
    let trace = stage.end_of(&id).await?;
    page.quote(trace.sections(&["out", "end"]));
    page.check(relayed(&trace) && version(&trace) == Some(Version::Tls12), "sent over TLS 1.2");
    page.see(&format!("trace {id}"));
    Ok(())
}

/// The same host, where the rule allows TLS 1.3 only.
async fn too_old(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene("Mail for newest.test goes by the same host; here the rule allows TLS 1.3 only.");
    let before = stage.seen_by("tls12.test").await?;
    let id = stage.send(page, "office@newest.test", "Not by an older host").await?;
    let trace = stage.operator.follow(&id, |trace| trace.last_attempt().is_some()).await?;
    page.quote(trace.sections(&["out"]));
    let verdict = trace.last_attempt().and_then(|(_, attempt)| attempt.tls.as_ref());
    let not_sent = verdict.is_some_and(|verdict| verdict.protection == Protection::NotSent);
    let after = stage.seen_by("tls12.test").await?;
    page.check(
        not_sent && after.envelopes == before.envelopes,
        "NOT SENT: the limit holds although the host offers TLS",
    );
    page.see(&format!("trace {id}"));
    Ok(())
}

fn relayed(trace: &Trace) -> bool {
    let finished = trace.finished();
    finished.is_some_and(|f| f.recipients.iter().all(|r| r.ending == Ending::Relayed))
}
