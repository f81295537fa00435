//! Greeting, and the step to TLS.

use super::exchange::{Output, Question};
use super::farewell::Farewell;
use super::session::{Channel, Peer, Session};
use super::settings::Protocol;
use super::state::{Asked, State};
use crate::command::Greeting;
use crate::extensions::{Extensions, Limits};
use crate::refusal::{Fault, Refusal};
use crate::reply::Reply;

impl Session {
    /// Policy decided about the connection.
    pub(super) fn connected(&mut self, permission: Result<(), Refusal>) -> State {
        if self.refuses_early_talker() {
            return self.part(&State::Connected, Farewell::EarlyTalker);
        }
        match permission {
            Ok(()) => {
                let protocol = match self.settings.protocol {
                    Protocol::Smtp => "ESMTP",
                    Protocol::Lmtp => "LMTP",
                };
                let greeting =
                    format!("{} {protocol} {}", self.settings.hostname, self.settings.banner);
                self.say(State::Connected, Reply::plain(220, greeting))
            }
            Err(refusal) => self.refuse(State::Rejected, refusal),
        }
    }

    /// EHLO, HELO or LHLO: each also ends a transaction (RFC 5321 section 4.1.4).
    pub(super) fn hello_command(
        &mut self,
        state: State,
        greeting: Greeting,
        name: String,
    ) -> State {
        let extended = match (self.settings.protocol, greeting) {
            (Protocol::Smtp, Greeting::Helo) => false,
            (Protocol::Smtp, Greeting::Ehlo) | (Protocol::Lmtp, Greeting::Lhlo) => true,
            (Protocol::Smtp, Greeting::Lhlo)
            | (Protocol::Lmtp, Greeting::Helo | Greeting::Ehlo) => {
                return self.refuse(state, Fault::UnknownCommand);
            }
        };
        if !self.counts_as_idle() {
            return self.part(&state, Farewell::TooManyCommands);
        }
        self.abandon(&state);
        self.ask(Question::Hello { name: name.clone(), extended }, Asked::Hello { name, extended })
    }

    /// Policy decided what to offer.
    pub(super) fn greeted(
        &mut self,
        name: String,
        extended: bool,
        offer: Result<Extensions, Refusal>,
    ) -> State {
        let identity = self.peer.identity.take();
        match offer {
            Ok(extensions) => {
                let offered = self.fit(extensions, extended);
                let mut text = self.settings.hostname.to_string();
                if extended {
                    for line in offered.to_lines() {
                        text.push('\n');
                        text.push_str(&line);
                    }
                }
                self.peer = Peer { name: Some(name), extended, offered, identity };
                self.say(State::Greeted, Reply::plain(250, text))
            }
            Err(refusal) => {
                self.peer = Peer { identity, ..Peer::default() };
                self.refuse(State::Connected, refusal)
            }
        }
    }

    /// Leaves out of `extensions` what cannot be kept on this connection.
    fn fit(&self, extensions: Extensions, extended: bool) -> Extensions {
        if !extended {
            return Extensions { size: extensions.size, ..Extensions::default() };
        }
        let encrypted = self.channel == Channel::Tls;
        let limits = extensions.limits;
        Extensions {
            starttls: extensions.starttls && !encrypted,
            require_tls: extensions.require_tls && encrypted,
            binary_mime: extensions.binary_mime && extensions.chunking,
            limits: Limits {
                rcpt_max: limits.rcpt_max.map(|max| max.min(self.settings.recipients_max)),
                mail_max: self
                    .settings
                    .messages_max
                    .map_or(limits.mail_max, |own| limits.mail_max.map(|max| max.min(own))),
                rcpt_domain_max: limits.rcpt_domain_max,
            },
            ..extensions
        }
    }

    /// Grants STARTTLS, and forgets everything the peer said in the clear. Input that came
    /// ahead of the handshake ends the session (RFC 3207 section 4.2; CVE-2011-0411).
    pub(super) fn start_tls(&mut self, more: bool) -> State {
        if self.channel == Channel::Tls {
            return self.refuse(State::Greeted, Fault::BadSequence("TLS is active already"));
        }
        if !self.peer.offered.starttls {
            return self.refuse(State::Greeted, Fault::NotOffered("STARTTLS"));
        }
        if more {
            return self.part(&State::Greeted, Farewell::StartTlsInjection);
        }
        self.peer = Peer::default();
        self.push(Output::Reply(Reply::new(220, 0, 0, "Ready to start TLS")));
        self.push(Output::StartTls);
        State::Handshaking
    }
}
