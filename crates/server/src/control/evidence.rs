//! `mailkeep evidence …` and `mailkeep proof`.

use evidence::archive;
use mail::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, exit, running};
use crate::admin::Admin;
use crate::server::Server;

/// What can be asked of the evidence.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// All entries from one number on, with the checkpoints over them.
    Export {
        /// The first entry.
        from: u64,
        /// At most this many.
        limit: u32,
    },
    /// The public key.
    Key,
    /// The entries of one message, with the checkpoints over them.
    Proof {
        /// The message.
        id: String,
    },
    /// Signs the chain as it stands.
    Checkpoint,
}

/// Answers a request about the evidence.
///
/// # Errors
///
/// The store's, and what the evidence has no answer to.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    match request {
        Request::Key => {
            let key = server.evidence_key().to_string();
            let json = json!({ "schema": "mailkeep.evidence-key/1", "key": key });
            Ok(Answer::new(key, json))
        }
        Request::Checkpoint => {
            server.sign_evidence().await?;
            let seq = head(admin).await?;
            let text = match seq {
                0 => "There is no evidence to sign.".to_owned(),
                seq => format!("The evidence is signed up to entry {seq}."),
            };
            Ok(Answer::new(text, json!({ "schema": "mailkeep.checkpoint/1", "seq": seq })))
        }
        Request::Export { from, limit } => export(admin, server, from.max(1), limit).await,
        Request::Proof { id } => proof(admin, server, &id).await,
    }
}

/// The number of the last entry; 0 if there is none.
async fn head(admin: &Admin) -> anyhow::Result<u64> {
    Ok(admin.store().evidence_head().await?.map_or(0, |(seq, _)| seq))
}

async fn export(admin: &Admin, server: &Server, from: u64, limit: u32) -> anyhow::Result<Answer> {
    let detail = Some(format!("from entry {from}"));
    let act = admin.act(None, "export", "the evidence".to_owned(), detail);
    if !act.is_empty() {
        admin.store().append_evidence(act).await?.into_inner();
    }
    server.sign_evidence().await?;
    let last = head(admin).await?;
    if from > last {
        let text = format!("There is no entry {from}; the last one is {last}.");
        return Ok(Answer::failure(exit::FOUND, text));
    }
    let range = from..=from.saturating_add(u64::from(limit)).saturating_sub(1).min(last);
    let host = server.snapshot().config.hostname.to_string();
    let notary = server.notary().lock().await;
    let (signer, now) = (notary.signer(), Timestamp::now());
    let octets = archive::export(admin.store(), Vec::new(), &host, range, signer, now).await?;
    let text = String::from_utf8(octets)?;
    let json = json!({ "schema": "mailkeep.evidence-export/1", "export": text });
    Ok(Answer::new(text, json))
}

async fn proof(admin: &Admin, server: &Server, id: &str) -> anyhow::Result<Answer> {
    let trace = super::trace::one(admin, id).await?.trace;
    server.sign_evidence().await?;
    let host = server.snapshot().config.hostname.to_string();
    let notary = server.notary().lock().await;
    let (signer, now) = (notary.signer(), Timestamp::now());
    let octets = archive::prove(admin.store(), Vec::new(), &host, trace, signer, now).await?;
    let text = String::from_utf8(octets)?;
    let json = json!({ "schema": "mailkeep.proof/1", "id": trace, "proof": text });
    Ok(Answer::new(text, json))
}
