//! Nothing leaves this machine.

use anyhow::Result;
use evidence::Ending;

use super::Stage;
use crate::demo::page::Page;

pub(super) async fn tell(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene(
        "Dr. Lee writes to outside.test. The configuration says: mx { outside.test 192.0.2.25:25 }",
    );
    let id = stage.send(page, "office@outside.test", "Out into the world").await?;
    let trace = stage.end_of(&id).await?;
    page.quote(trace.sections(&["out"]));
    let bounced = trace.finished().is_some_and(|finished| {
        finished.recipients.iter().all(|recipient| recipient.ending == Ending::Bounced)
    });
    let said = trace.text.contains("is not a loopback address");
    page.check(bounced && said, "the demo does not connect beyond loopback");
    page.see(&format!("trace {id}"));
    Ok(())
}
