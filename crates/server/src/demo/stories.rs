//! The stories: each plays real mail and checks what came of it.

mod fax;
mod loopback;
mod not_sent;
mod proven;
mod sign_in;
mod smart_host;
mod tls_only;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tls::{Handshake, Version};

use super::client::{Client, Trust};
use super::operator::Trace;
use super::page::Page;
use super::start::PERSON;
use super::witness::{self, Seen};
use super::{Operator, Place};

/// What every story needs.
struct Stage {
    place: Place,
    operator: Operator,
    smtp: SocketAddr,
    submission: SocketAddr,
    trust: Trust,
    password: String,
}

/// Plays every story against the demo in `place` and writes them on `page`. A story that
/// fails does not keep the next ones from being told.
///
/// # Errors
///
/// When there is no demo to play them against.
pub async fn tell(place: &Place, page: &mut Page) -> Result<()> {
    let stage = Stage::set(place).await?;
    page.story("AUTH is hidden before TLS and offered after it");
    let outcome = sign_in::tell(&stage, page).await;
    page.end(outcome);
    page.story("Plaintext to a TLS-only domain is refused, by the name of the rule");
    let outcome = tls_only::tell(&stage, page).await;
    page.end(outcome);
    page.story("A partner is reached over TLS 1.3, and the evidence of it cannot be altered");
    let outcome = proven::tell(&stage, page).await;
    page.end(outcome);
    page.story("A Force Encrypt partner without TLS gets nothing, and the sender is told");
    let outcome = not_sent::tell(&stage, page).await;
    page.end(outcome);
    page.story("A smart host is spoken to with TLS 1.2 or 1.3, or not at all");
    let outcome = smart_host::tell(&stage, page).await;
    page.end(outcome);
    page.story("A mail becomes fax pages, and a forged one does not");
    let outcome = fax::tell(&stage, page).await;
    page.end(outcome);
    page.story("Nothing leaves this machine");
    let outcome = loopback::tell(&stage, page).await;
    page.end(outcome);
    Ok(())
}

impl Stage {
    async fn set(place: &Place) -> Result<Self> {
        let operator = Operator::of(place);
        let listeners = operator.listeners().await?;
        let listener = |name: &str| {
            let address = listeners.get(name).copied();
            address.with_context(|| format!("the demo has no listener \"{name}\""))
        };
        let authority = place.authority();
        let pem = std::fs::read_to_string(&authority)
            .with_context(|| format!("{} cannot be read", authority.display()))?;
        // What an earlier visitor taught the server would spoil the first attempts.
        operator.flush().await?;
        Ok(Self {
            place: place.clone(),
            smtp: listener("smtp")?,
            submission: listener("submission")?,
            trust: Trust::new("mx.clinic.test", pem)?,
            password: place.read_password()?,
            operator,
        })
    }

    /// The person's mail program, signed in under TLS.
    async fn person(&self) -> Result<Client> {
        let (mut client, _) = Client::connect_encrypted(self.submission, &self.trust).await?;
        let reply = client.sign_in(PERSON, &self.password).await?;
        anyhow::ensure!(reply.is_positive(), "{PERSON} cannot sign in: {}", reply.text());
        client.take_said();
        Ok(client)
    }

    /// Sends a message of the person to one recipient, shows how that went and gives the id.
    async fn send(&self, page: &mut Page, to: &str, subject: &str) -> Result<String> {
        let mut client = self.person().await?;
        let id = client.send_message(PERSON, to, &message(PERSON, to, subject)).await?;
        show(page, client.take_said());
        client.quit().await;
        Ok(id)
    }

    /// Follows a message until every recipient reached its end.
    async fn end_of(&self, id: &str) -> Result<Trace> {
        self.operator.follow(id, |trace| trace.finished().is_some()).await
    }

    /// What a partner saw until now.
    async fn seen_by(&self, partner: &str) -> Result<Seen> {
        let seen = witness::ask(&self.place, partner).await?;
        seen.context("the demo's partners do not answer")
    }
}

/// Shows of a session to whom a message went and what became of it.
fn show(page: &mut Page, said: Vec<String>) {
    page.excerpt(said, |line| line.starts_with("C: RCPT") || line.contains("queued as"));
}

/// A short message; the server adds what it lacks.
fn message(from: &str, to: &str, subject: &str) -> String {
    format!("From: <{from}>\nTo: <{to}>\nSubject: {subject}\n\nThe results are as we had hoped.\n")
}

/// The handshake of the last attempt in a trace.
fn handshake(trace: &Trace) -> Option<&Handshake> {
    trace.last_attempt()?.1.tls.as_ref()?.observed.handshake()
}

/// The TLS version of the last attempt in a trace.
fn version(trace: &Trace) -> Option<Version> {
    handshake(trace).map(|handshake| handshake.version)
}
