//! A message for a fax account: the fax service takes it, not the delivery agent.

use std::sync::Arc;

use delivery::{Attempt, Cause, Outcome};
use mail::{Envelope, ReversePath, Status, Timestamp};
use store::{BlobId, Store};

use super::{Source, Work};
use crate::fax::t37;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// The largest message that is faxed, in octets.
const FAXED_MAX_OCTETS: u64 = 100 * 1024 * 1024;

/// The fax service takes the message in place of the delivery agent.
pub(super) async fn attempt(
    server: &Arc<Server>,
    snapshot: &Snapshot,
    work: &Work,
    account: &str,
    envelope: &Envelope,
) -> Attempt {
    let failed = |status, text: &str| {
        let trouble = delivery::Trouble::new(status, Cause::Content, text);
        let outcome = if trouble.status.is_temporary() {
            Outcome::Temporary(trouble)
        } else {
            Outcome::Permanent(trouble)
        };
        Attempt::without_contact(Timestamp::now(), envelope.recipients.len(), &outcome)
    };
    let Some(account) = snapshot.config.fax_account(account) else {
        return failed(Status::new(4, 3, 5), "the fax account is not there at the moment");
    };
    let is_report = work.reverse_path == ReversePath::Null
        && envelope.recipients.iter().all(|r| t37::return_path(snapshot, &r.address).is_some());
    if work.reverse_path == ReversePath::Null && !is_report {
        return failed(Status::new(5, 7, 1), "a message without a sender is not faxed");
    }
    let content = match &work.content {
        Source::Memory(bytes) => bytes.to_vec(),
        Source::Stored(_, octets) if *octets > FAXED_MAX_OCTETS => {
            return failed(Status::new(5, 3, 4), "the message is too large to be faxed");
        }
        Source::Stored(blob, _) => match read_all(&server.store, *blob).await {
            Ok(content) => content,
            Err(error) => {
                tracing::error!(id = %work.trace, %error, "a message to be faxed cannot be read");
                return failed(Status::new(4, 3, 0), "the message cannot be read at the moment");
            }
        },
    };
    let Some(sender) = work.reverse_path.address() else {
        return t37::take_reports(server, snapshot, &envelope.recipients, &content).await;
    };
    let order = crate::fax::make::Order {
        trace: work.trace,
        received: work.received,
        sender,
        account,
        recipients: &envelope.recipients,
        content,
    };
    crate::fax::make::make(server, snapshot, order).await
}

async fn read_all(store: &Store, blob: BlobId) -> Result<Vec<u8>, store::StoreError> {
    Ok(store.read_body(blob).await?.read_all(FAXED_MAX_OCTETS).await?.to_vec())
}
