//! Whether a recipient is taken.

use accounts::Resolution;
use fax::offramp::ReturnPath;
use mail::{Address, Recipient, ReversePath, Timestamp};
use rules::{AccountKind, Decision, RecipientFacts, Stage};
use signing::Srs;
use smtp::{Refusal, Reply};

use super::{Conversation, is_open};
use crate::fax::{judge, t37};

impl Conversation {
    /// Asks other directories who is at `address`, where they keep our people.
    pub(super) async fn look_up(&self, address: &Address) -> Result<(), Refusal> {
        let asked = self.server.accounts.directory().look_up(address, Timestamp::now()).await;
        asked.map_err(|_| {
            let text = "The directory of accounts cannot be asked now, try again later";
            Refusal::new(Reply::new(451, 3, 0, text))
        })
    }

    /// Asks the rules, the directory and what is known of the way out.
    pub(super) async fn consider(
        &mut self,
        recipient: &Recipient,
    ) -> Result<RecipientFacts, Refusal> {
        if let Some(srs) = self.server.signatory.srs(&self.snapshot)
            && srs.is_rewritten(&recipient.address)
        {
            return self.consider_returned(&srs, recipient);
        }
        if let Some(path) = t37::return_path(&self.snapshot, &recipient.address) {
            return self.consider_report(path, recipient).await;
        }
        if self.is_for_reports(&recipient.address) {
            return self.consider_our_own(recipient);
        }
        self.look_up(&recipient.address).await?;
        let resolution = self.server.accounts.directory().resolve(&recipient.address);
        let facts = recipient_facts(&recipient.address, &resolution);
        self.wait_for_lists().await;
        self.forget_waiting();
        let taken = self.transaction.as_ref().map_or(0, |t| t.recipients.len());
        self.flow_at_rcpt(&recipient.address, u32::try_from(taken).unwrap_or(u32::MAX));
        let spf = self.spf_for_fax(&recipient.address).await;
        self.facts.fax = judge::facts(&self.snapshot, &self.facts, &recipient.address, spf, None);
        let decision = self.decide_recipient(&facts);
        self.facts.fax = None;
        self.tarpit(&decision.settings).await;
        if let Some(refusal) = self.refusal(&decision) {
            self.note_refusal(&decision, &refusal, Some(recipient));
            return Err(refusal);
        }
        if let Some(Err(error)) = judge::recipient(&self.snapshot, &recipient.address) {
            let refusal = Refusal::new(Reply::new(550, 1, 1, format!("No fax is sent: {error}")));
            self.note_refusal(&decision, &refusal, Some(recipient));
            return Err(refusal);
        }
        let trapped = self.spamtrap(&recipient.address);
        let resolution = if trapped { Resolution::NoSuchUser } else { resolution };
        if let Some((code, status, text)) = resolution.refusal() {
            if matches!(resolution, Resolution::NoSuchUser) && !trapped {
                self.unknown_recipient();
            }
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
        if self.greylist(recipient, &facts).await {
            let decision = self.decide_recipient(&facts);
            if let Some(refusal) = self.refusal(&decision) {
                self.note_refusal(&decision, &refusal, Some(recipient));
                return Err(refusal);
            }
        }
        Ok(facts)
    }

    /// A bounce that comes back to a sender we have rewritten. Only bounces do, so that such
    /// an address opens no other way through this server.
    fn consider_returned(
        &mut self,
        srs: &Srs,
        recipient: &Recipient,
    ) -> Result<RecipientFacts, Refusal> {
        let refuse = |text: String| {
            tracing::info!(ip = %self.peer.ip(), to = %recipient.address, "refused: {text}");
            Refusal::new(Reply::new(550, 7, 1, text))
        };
        if self.facts.sender != Some(ReversePath::Null) {
            return Err(refuse("Only bounces are taken for a rewritten address".to_owned()));
        }
        if let Err(error) = srs.reverse(&recipient.address, Timestamp::now()) {
            return Err(refuse(capitalised(&error.to_string())));
        }
        self.consider_our_own(recipient)
    }

    /// A report of an off-ramp. Only notifications come to such an address, and only while a fax
    /// knows its secret.
    async fn consider_report(
        &mut self,
        path: ReturnPath,
        recipient: &Recipient,
    ) -> Result<RecipientFacts, Refusal> {
        let refuse = |code, status: (u16, u16), text: &'static str| {
            tracing::info!(ip = %self.peer.ip(), fax = ?path, "refused: {text}");
            Refusal::new(Reply::new(code, status.0, status.1, text))
        };
        if self.facts.sender != Some(ReversePath::Null) {
            return Err(refuse(550, (7, 1), "Only notifications are taken for this address"));
        }
        match t37::expecting(&self.server, path).await {
            Ok(Some(_)) => self.consider_our_own(recipient),
            Ok(None) => Err(refuse(550, (1, 1), "No such address here")),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a report cannot be looked up");
                Err(refuse(451, (3, 0), "Try again later"))
            }
        }
    }

    /// Whether an address is the one for reports, and has no mailbox.
    fn is_for_reports(&self, address: &Address) -> bool {
        let reports = self.snapshot.config.dmarc_reports.receive_at.as_ref();
        reports.is_some_and(|reports| reports.value == *address)
            && matches!(
                self.server.accounts.directory().resolve(address),
                Resolution::NoSuchUser | Resolution::NotOurs
            )
    }

    /// An address behind which there is this server itself.
    fn consider_our_own(&mut self, recipient: &Recipient) -> Result<RecipientFacts, Refusal> {
        let facts = RecipientFacts {
            address: recipient.address.clone(),
            is_local: true,
            account: Some(AccountKind::Alias),
        };
        self.facts.recipient = Some(facts.clone());
        let decision = self.snapshot.policy.decide(&self.facts, Stage::Rcpt);
        self.facts.recipient = None;
        if let Some(refusal) = self.refusal(&decision) {
            self.note_refusal(&decision, &refusal, Some(recipient));
            return Err(refusal);
        }
        Ok(facts)
    }

    fn decide_recipient(&mut self, facts: &RecipientFacts) -> Decision {
        self.facts.recipient = Some(facts.clone());
        let decision = self.snapshot.policy.decide(&self.facts, Stage::Rcpt);
        self.facts.recipient = None;
        decision
    }

    /// Refuses on submission what a look at the partner has lately shown to be
    /// impossible: no TLS where Force Encrypt or a rule demands it.
    async fn known_impossible(&self, recipient: &Recipient) -> Option<Refusal> {
        let known = self.server.known_shortfall(&self.snapshot, &self.facts, recipient).await?;
        Some(Refusal::new(Reply::new(550, 7, 10, known)))
    }
}

/// The text with its first letter large, as replies have it.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What rules see of a recipient.
pub(crate) fn recipient_facts(address: &Address, resolution: &Resolution) -> RecipientFacts {
    let account = match resolution {
        Resolution::Account { .. } | Resolution::Disabled(_) => Some(AccountKind::Mailbox),
        Resolution::Alias { .. } | Resolution::CatchAll { .. } => Some(AccountKind::Alias),
        Resolution::Group(_) => Some(AccountKind::Group),
        Resolution::AnyRecipient | Resolution::NoSuchUser | Resolution::NotOurs => None,
    };
    RecipientFacts { address: address.clone(), is_local: resolution.is_ours(), account }
}
