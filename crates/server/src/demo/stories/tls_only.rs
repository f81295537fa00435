//! Plaintext to a TLS-only domain is refused, and nobody else is.

use anyhow::Result;
use mail::Timestamp;

use super::{PERSON, Stage, message, show};
use crate::demo::client::Client;
use crate::demo::page::Page;

/// A stranger who writes from somewhere else.
const STRANGER: &str = "ana@visitor.test";
/// Where that is.
const STRANGERS_SERVER: &str = "mail.visitor.test";
/// A recipient in the TLS-only domain.
const PROTECTED: &str = "records@secure.clinic.test";
/// The rule that protects it.
const RULE: &str = "allow_only_tls_for_secure_clinic_test";

pub(super) async fn tell(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene(&format!("Another mail server connects to {} in the clear.", stage.smtp));
    let begin = Timestamp::now();
    let mut client = Client::connect(stage.smtp, STRANGERS_SERVER).await?;
    client.hello().await?;
    client.take_said();
    client.expect(&format!("MAIL FROM:<{STRANGER}>")).await?;
    let refused = client.say(&format!("RCPT TO:<{PROTECTED}>")).await?;
    let taken = client.say(&format!("RCPT TO:<{PERSON}>")).await?;
    let reply = client.send_content(&message(STRANGER, PERSON, "In the clear")).await?;
    page.quote(client.take_said());
    page.check(
        refused.text().starts_with("550 5.7.10 Accepting only secure delivery"),
        "the recipient at secure.clinic.test is refused, in the rule's words",
    );
    let id = reply.id()?;
    page.check(taken.is_positive(), "the other recipient of the same message is not");

    page.scene("Why, by the record:");
    let refusal = stage.operator.refusal(PROTECTED, begin).await?;
    page.quote(refusal.sections(&["in", "rules", "reply"]));
    let rule = refusal.refused().and_then(|refused| refused.rule.as_ref());
    let named = rule.is_some_and(|rule| rule.name == RULE && rule.origin.is_some());
    page.check(named, format!("it names the rule {RULE} and its line"));
    page.see(&format!("trace {}", refusal.id));
    page.see(&format!("explain --from {STRANGER} --to {PROTECTED} --tls none"));
    page.see(&format!("trace {id}"));

    page.scene("The same server begins TLS and tries again.");
    client.start_tls(&stage.trust).await?;
    client.hello().await?;
    let handshake = client.take_said().into_iter().filter(|line| line.starts_with("--"));
    page.quote(handshake);
    let text = message(STRANGER, PROTECTED, "Under TLS");
    let id = client.send_message(STRANGER, PROTECTED, &text).await?;
    show(page, client.take_said());
    client.quit().await;
    let trace = stage.end_of(&id).await?;
    let delivered = trace.finished().is_some_and(|finished| {
        finished.recipients.iter().all(|r| r.ending == evidence::Ending::Delivered)
    });
    page.check(delivered, "under TLS the same recipient is served");
    page.see(&format!("trace {id}"));
    Ok(())
}
