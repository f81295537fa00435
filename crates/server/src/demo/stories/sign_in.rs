//! AUTH is hidden before TLS and offered after it.

use anyhow::Result;

use super::{PERSON, Stage, message};
use crate::demo::client::{Client, LAPTOP};
use crate::demo::page::Page;
use crate::demo::reply::Reply;

/// The rule that withholds AUTH.
const RULE: &str = "disableAUTH_on_non_SSL";

pub(super) async fn tell(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene(&format!("A mail program connects to {} in the clear.", stage.submission));
    let mut client = Client::connect(stage.submission, LAPTOP).await?;
    let hello = client.hello().await?;
    page.quote(client.take_said());
    let count = hello.extensions().count();
    page.check(auth(&hello).is_none(), format!("none of the {count} extensions offered is AUTH"));

    page.scene("It tries to sign in all the same.");
    let refused = client.sign_in("visitor@clinic.test", "a password for nobody").await?;
    page.quote(client.take_said());
    page.check(refused.code() == "538", "refused before the password is looked at");
    let why = stage.operator.explain("submission", PERSON, PERSON).await?;
    page.scene("Why, by the policy:");
    page.quote(why.lines().skip_while(|line| !line.starts_with("  ehlo")).take(2));
    page.check(why.contains(RULE), format!("it names the rule {RULE}"));
    page.see(&format!("explain --from {PERSON} --to {PERSON} --listener submission --tls none"));

    page.scene("It begins TLS and asks again.");
    client.start_tls(&stage.trust).await?;
    let hello = client.hello().await?;
    page.excerpt(client.take_said(), |line| {
        line.contains("STARTTLS") || line.contains("AUTH") || !line.starts_with("S: 250")
    });
    let offered = auth(&hello);
    let words = offered.unwrap_or("nothing");
    page.check(offered == Some("AUTH PLAIN LOGIN"), format!("under TLS it offers {words}"));

    page.scene("It signs in and sends a message to itself.");
    let signed_in = client.sign_in(PERSON, &stage.password).await?;
    let text = message(PERSON, PERSON, "A note to myself");
    let id = client.send_message(PERSON, PERSON, &text).await?;
    page.excerpt(client.take_said(), |line| {
        line.contains("AUTH") || line.contains("235 ") || line.contains("queued as")
    });
    client.quit().await;
    page.check(signed_in.code() == "235", format!("{PERSON} is signed in"));
    let trace = stage.end_of(&id).await?;
    page.quote(trace.sections(&["in", "rules"]));
    let by_tls = trace.accepted().is_some_and(|a| a.authenticated.is_some() && a.tls.is_some());
    page.check(by_tls, "the record says who signed in, and under which TLS");
    page.see(&format!("trace {id}"));
    Ok(())
}

/// What the server says about AUTH.
fn auth(hello: &Reply) -> Option<&str> {
    hello.extensions().find(|extension| extension.to_ascii_uppercase().starts_with("AUTH"))
}
