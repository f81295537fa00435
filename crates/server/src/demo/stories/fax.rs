//! A mail becomes fax pages, and one in somebody else's name does not.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use mail::Timestamp;

use super::{PERSON, Stage};
use crate::demo::client::Client;
use crate::demo::page::Page;

/// Where mail becomes a fax to 202 555 0147.
const NUMBER: &str = "2025550147@fax.clinic.test";
/// A machine that no record of clinic.test names.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 6);
/// How the program that wants to be Dr. Lee calls itself.
const FORGER: &str = "mail.forger.test";
/// How every PNG file begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

pub(super) async fn tell(stage: &Stage, page: &mut Page) -> Result<()> {
    drawn(stage, page).await?;
    forged(stage, page).await
}

/// The mail of a user becomes pages, which wait as there is no line.
async fn drawn(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene("Dr. Lee writes to a fax number.");
    let id = stage.send(page, NUMBER, "Results [fax: fine]").await?;
    let fax = stage.operator.fax_of(&id).await?;
    page.check(fax["pages"] == 1, "the mail became a page");
    let word = |name: &str| fax[name].as_str().unwrap_or_default();
    page.quote([format!("{}  {}  {}", word("number"), word("id"), word("detail"))]);
    let is_sent = fax["state"] == "sent";
    page.check(!is_sent, "nothing is called sent where no transport is configured");
    let fax_id = fax["id"].as_str().context("a fax without an id")?;
    let folder = stage.place.folder().join("pages");
    let written = stage.operator.fax_pages(fax_id, &folder).await?;
    let picture = written.first().context("no page was written")?;
    page.scene("The page, as the machine at the other end would print it:");
    page.quote([picture.display().to_string()]);
    let octets = tokio::fs::read(picture).await?;
    page.check(octets.starts_with(PNG), "it is a picture that you can open");
    page.see(&format!("fax show {fax_id}"));
    page.see(&format!("trace {id}"));
    Ok(())
}

/// Somebody else sends in the name of the same user.
async fn forged(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene(&format!("{FORGER} at {ELSEWHERE} sends a fax in the name of Dr. Lee."));
    let begin = Timestamp::now();
    let mut client = Client::connect_from(stage.smtp, FORGER, ELSEWHERE).await?;
    client.hello().await?;
    client.take_said();
    client.expect(&format!("MAIL FROM:<{PERSON}>")).await?;
    let refused = client.say(&format!("RCPT TO:<{NUMBER}>")).await?;
    page.quote(client.take_said());
    client.quit().await;
    page.check(
        refused.text().starts_with("550 5.7.23"),
        "it is refused: SPF of clinic.test does not name that machine",
    );
    let refusal = stage.operator.refusal(NUMBER, begin).await?;
    let rule = refusal.refused().and_then(|refused| refused.rule.as_ref());
    page.check(
        rule.is_some_and(|rule| rule.name == "fax-spoofing-protection"),
        "the record names the rule: fax-spoofing-protection",
    );
    page.see(&format!("trace {}", refusal.id));
    Ok(())
}
