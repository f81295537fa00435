//! MAIL, RCPT, RSET and VRFY.

use mail::{Address, Body, Envelope, Recipient};

use super::exchange::Question;
use super::farewell::Farewell;
use super::session::{Channel, Session};
use super::state::{Asked, State, Transaction};
use crate::command::{Mail, Rcpt};
use crate::refusal::{Fault, Refusal};
use crate::reply::Reply;

impl Session {
    /// MAIL FROM.
    pub(super) fn mail(&mut self, mail: Mail) -> State {
        if let Err(fault) = self.check_mail(&mail) {
            return self.refuse(State::Greeted, fault);
        }
        if self.messages_max().is_some_and(|max| self.counters.messages >= max) {
            return self.part(&State::Greeted, Farewell::TooManyMessages);
        }
        let parameters = mail.parameters;
        let envelope = Envelope {
            body: parameters.body.unwrap_or_default(),
            smtputf8: parameters.smtputf8,
            require_tls: parameters.require_tls,
            dsn_return: parameters.dsn_return,
            envid: parameters.envid,
            ..Envelope::from(mail.path)
        };
        let question = Question::Mail {
            envelope: envelope.clone(),
            declared_octets: parameters.size_octets.filter(|&octets| octets > 0),
        };
        self.ask(question, Asked::Mail(Box::new(Transaction { envelope, refused: false })))
    }

    /// Holds the parameters against what was offered.
    fn check_mail(&self, mail: &Mail) -> Result<(), Fault> {
        let (offered, asked) = (&self.peer.offered, &mail.parameters);
        let encrypted = self.channel == Channel::Tls;
        if asked.require_tls && !encrypted {
            return Err(Fault::RequireTlsInClear);
        }
        let auth_known = !offered.auth.is_empty() || self.peer.identity.is_some();
        for (given, known, keyword) in [
            (asked.size_octets.is_some(), offered.size.is_some(), "SIZE"),
            (asked.body.is_some(), offered.eight_bit_mime, "BODY"),
            (asked.body == Some(Body::BinaryMime), offered.binary_mime, "BODY=BINARYMIME"),
            (asked.smtputf8, offered.smtputf8, "SMTPUTF8"),
            (asked.require_tls, offered.require_tls, "REQUIRETLS"),
            (asked.dsn_return.is_some(), offered.dsn, "RET"),
            (asked.envid.is_some(), offered.dsn, "ENVID"),
            (asked.auth, auth_known, "AUTH"),
        ] {
            if given && !known {
                return Err(Fault::UnknownParameter(keyword.to_owned()));
            }
        }
        let limit_octets = self.message_max_octets();
        if asked.size_octets.is_some_and(|octets| octets > limit_octets) {
            return Err(Fault::TooLarge { limit_octets });
        }
        if mail.beyond_ascii && !asked.smtputf8 {
            return Err(Fault::NeedsSmtpUtf8);
        }
        Ok(())
    }

    /// Policy decided about the sender.
    pub(super) fn mail_answered(
        &mut self,
        transaction: Box<Transaction>,
        permission: Result<(), Refusal>,
    ) -> State {
        match permission {
            Ok(()) => {
                self.counters.messages += 1;
                self.say(State::Addressing(transaction), Reply::new(250, 1, 0, "Ok"))
            }
            Err(refusal) => self.refuse(State::Greeted, refusal),
        }
    }

    /// RCPT TO.
    pub(super) fn rcpt(&mut self, transaction: Box<Transaction>, rcpt: Rcpt) -> State {
        match self.check_rcpt(&transaction, rcpt) {
            Ok(recipient) => {
                self.ask(Question::Rcpt(recipient.clone()), Asked::Rcpt(transaction, recipient))
            }
            Err(fault) => self.refuse_rcpt(transaction, fault),
        }
    }

    fn check_rcpt(&self, transaction: &Transaction, rcpt: Rcpt) -> Result<Recipient, Fault> {
        let limit = self.recipients_max();
        if transaction.envelope.recipients.len() >= limit as usize {
            return Err(Fault::TooManyRecipients { limit });
        }
        if rcpt.beyond_ascii && !transaction.envelope.smtputf8 {
            return Err(Fault::NeedsSmtpUtf8);
        }
        let asked = rcpt.parameters;
        for (given, keyword) in
            [(asked.notify.is_some(), "NOTIFY"), (asked.orcpt.is_some(), "ORCPT")]
        {
            if given && !self.peer.offered.dsn {
                return Err(Fault::UnknownParameter(keyword.to_owned()));
            }
        }
        let address = match rcpt.address {
            Some(address) => address,
            None => Address::new("postmaster", self.settings.hostname.clone())
                .map_err(Fault::Recipient)?,
        };
        Ok(Recipient { address, notify: asked.notify.unwrap_or_default(), orcpt: asked.orcpt })
    }

    /// Policy decided about a recipient.
    pub(super) fn rcpt_answered(
        &mut self,
        mut transaction: Box<Transaction>,
        recipient: Recipient,
        permission: Result<(), Refusal>,
    ) -> State {
        match permission {
            Ok(()) => {
                transaction.envelope.recipients.push(recipient);
                self.say(State::Addressing(transaction), Reply::new(250, 1, 5, "Ok"))
            }
            Err(refusal) => self.refuse_rcpt(transaction, refusal),
        }
    }

    fn refuse_rcpt(
        &mut self,
        mut transaction: Box<Transaction>,
        refusal: impl Into<Refusal>,
    ) -> State {
        transaction.refused = true;
        self.refuse(State::Addressing(transaction), refusal)
    }

    /// RSET: drops the transaction, whatever its state.
    pub(super) fn rset(&mut self, state: &State) -> State {
        self.abandon(state);
        let next = if self.peer.name.is_some() { State::Greeted } else { State::Connected };
        self.idle(next, Reply::new(250, 0, 0, "Ok"))
    }

    /// VRFY: policy may refuse, nobody is told who exists (RFC 5321 section 7.3).
    pub(super) fn vrfy(&mut self, state: State, who: String) -> State {
        if self.counts_as_idle() {
            self.ask(Question::Vrfy(who), Asked::Vrfy(Box::new(state)))
        } else {
            self.part(&state, Farewell::TooManyCommands)
        }
    }

    pub(super) fn vrfy_answered(&mut self, state: State, permission: Result<(), Refusal>) -> State {
        match permission {
            Ok(()) => {
                let text = "Cannot verify, but will take mail and try to deliver it";
                self.say(state, Reply::new(252, 5, 0, text))
            }
            Err(refusal) => self.refuse(state, refusal),
        }
    }

    /// The largest message taken now, in octets.
    pub(super) fn message_max_octets(&self) -> u64 {
        let offered = self.peer.offered.size.filter(|&octets| octets > 0);
        offered.unwrap_or(self.settings.message_max_octets)
    }

    fn recipients_max(&self) -> u32 {
        self.peer.offered.limits.rcpt_max.unwrap_or(self.settings.recipients_max)
    }

    fn messages_max(&self) -> Option<u32> {
        self.peer.offered.limits.mail_max.or(self.settings.messages_max)
    }
}
