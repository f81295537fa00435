//! Whether a recipient is taken.

use accounts::Resolution;
use mail::{Address, Recipient};
use rules::{AccountKind, RecipientFacts, Stage};
use smtp::{Refusal, Reply};

use super::{Conversation, is_open};

impl Conversation {
    /// Asks the rules, the directory and what is known of the way out.
    pub(super) async fn consider(
        &mut self,
        recipient: &Recipient,
    ) -> Result<RecipientFacts, Refusal> {
        let resolution = self.server.accounts.directory().resolve(&recipient.address);
        let facts = recipient_facts(&recipient.address, &resolution);
        self.facts.recipient = Some(facts.clone());
        let decision = self.snapshot.policy.decide(&self.facts, Stage::Rcpt);
        self.facts.recipient = None;
        if let Some(refusal) = self.refusal(&decision) {
            self.note_refusal(&decision, &refusal, Some(recipient));
            return Err(refusal);
        }
        if let Some((code, status, text)) = resolution.refusal() {
            return Err(Refusal::new(Reply::new(code, status.subject, status.detail, text)));
        }
        if !facts.is_local
            && self.site.is_submission()
            && is_open(&decision.outcome)
            && let Some(refusal) = self.known_impossible(recipient).await
        {
            self.note_refusal(&decision, &refusal, Some(recipient));
            return Err(refusal);
        }
        Ok(facts)
    }

    /// Refuses on submission what a look at the partner has lately shown to be
    /// impossible: no TLS where Force Encrypt or a rule demands it.
    async fn known_impossible(&self, recipient: &Recipient) -> Option<Refusal> {
        let known = self.server.known_shortfall(&self.snapshot, &self.facts, recipient).await?;
        Some(Refusal::new(Reply::new(550, 7, 10, known)))
    }
}

/// What rules see of a recipient.
pub(crate) fn recipient_facts(address: &Address, resolution: &Resolution) -> RecipientFacts {
    let account = match resolution {
        Resolution::Account { .. } | Resolution::Disabled(_) => Some(AccountKind::Mailbox),
        Resolution::Alias { .. } | Resolution::CatchAll { .. } => Some(AccountKind::Alias),
        Resolution::AnyRecipient | Resolution::NoSuchUser | Resolution::NotOurs => None,
    };
    RecipientFacts { address: address.clone(), is_local: resolution.is_ours(), account }
}
