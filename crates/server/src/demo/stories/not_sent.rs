//! A Force Encrypt partner without TLS gets nothing, and the sender is told.

use anyhow::Result;
use evidence::Ending;
use tls::Protection;

use super::{PERSON, Stage};
use crate::demo::mailbox;
use crate::demo::operator::Trace;
use crate::demo::page::Page;
use crate::demo::witness::Seen;

/// A partner without TLS.
const PLAIN: &str = "oldpartner.test";
/// A partner whose TLS breaks off.
const BROKEN: &str = "dropper.test";

pub(super) async fn tell(stage: &Stage, page: &mut Page) -> Result<()> {
    without_tls(stage, page).await?;
    known_by_now(stage, page).await?;
    broken_off(stage, page).await
}

/// No TLS is on offer: the message is given back at once.
async fn without_tls(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene("Dr. Lee writes to oldpartner.test, which stands in the Force Encrypt list.");
    let before = stage.seen_by(PLAIN).await?;
    let id = stage.send(page, &format!("office@{PLAIN}"), "For your eyes only").await?;
    let trace = stage.end_of(&id).await?;
    let after = stage.seen_by(PLAIN).await?;

    page.scene("All that oldpartner.test saw:");
    page.quote(after.since(&before));
    page.check(saw_nothing(&before, &after), "it was greeted, and got neither sender nor message");
    page.scene("The record:");
    page.quote(trace.sections(&["out"]));
    page.check(is_not_sent(&trace), "the word for it is NOT SENT");
    let bounced = trace.finished().is_some_and(|finished| {
        finished.recipients.iter().all(|recipient| recipient.ending == Ending::Bounced)
    });
    page.check(bounced, "the message was given back to its sender");
    page.see(&format!("trace {id}"));

    page.scene("The notice in the mailbox of Dr. Lee:");
    let notice =
        mailbox::wait_for(&stage.place, PERSON, &["Auto-Submitted: auto-replied", &id]).await?;
    let subject = notice.field("subject").unwrap_or_default();
    page.quote([format!("Subject: {subject}"), String::new()]);
    page.quote(notice.words());
    page.check(subject.starts_with("Not sent"), "it says that the message was not sent, and why");
    Ok(())
}

/// The second message is refused while the sender still looks at it.
async fn known_by_now(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene("Dr. Lee writes to the same partner again.");
    let before = stage.seen_by(PLAIN).await?;
    let mut client = stage.person().await?;
    client.expect(&format!("MAIL FROM:<{PERSON}>")).await?;
    let refused = client.say(&format!("RCPT TO:<office@{PLAIN}>")).await?;
    page.quote(client.take_said());
    client.quit().await;
    let after = stage.seen_by(PLAIN).await?;
    let quiet = after.connections == before.connections;
    page.check(
        refused.code().starts_with('5') && quiet,
        "refused at once, before the message is handed over; oldpartner.test is not bothered",
    );
    Ok(())
}

/// A fault that may pass: the message waits, and the sender knows.
async fn broken_off(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene("Dr. Lee writes to dropper.test, whose TLS breaks off in the handshake.");
    let before = stage.seen_by(BROKEN).await?;
    let id = stage.send(page, &format!("office@{BROKEN}"), "Also secret").await?;
    let trace = stage.operator.follow(&id, |trace| trace.last_attempt().is_some()).await?;
    page.quote(trace.sections(&["out", "end"]));
    let waits = trace.last_attempt().is_some_and(|(_, attempt)| attempt.next.is_some());
    page.check(waits && trace.finished().is_none(), "the message waits, as the fault may pass");
    page.check(is_not_sent(&trace), "the word for it is NOT SENT");
    let notice =
        mailbox::wait_for(&stage.place, PERSON, &["Auto-Submitted: auto-replied", &id]).await?;
    let subject = notice.field("subject").unwrap_or_default().to_owned();

    page.scene("The early notice in the mailbox of Dr. Lee:");
    page.quote([format!("Subject: {subject}"), String::new()]);
    page.quote(notice.words());
    page.check(
        subject.starts_with("Delayed"),
        "it says that the message waits, why, and until when",
    );
    let after = stage.seen_by(BROKEN).await?;
    page.check(
        after.connections > before.connections && saw_nothing(&before, &after),
        "dropper.test got neither sender nor message in the meantime",
    );
    page.see(&format!("trace {id}"));
    page.see(&format!("queue show {id}"));
    Ok(())
}

fn saw_nothing(before: &Seen, after: &Seen) -> bool {
    after.connections > before.connections
        && after.envelopes == before.envelopes
        && after.contents == before.contents
}

fn is_not_sent(trace: &Trace) -> bool {
    trace.last_attempt().is_some_and(|(_, attempt)| {
        attempt.tls.as_ref().is_some_and(|verdict| verdict.protection == Protection::NotSent)
    })
}
