//! What a partner offers, and where it misbehaves.

use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::authority::{Authority, Identity};

/// How a partner behaves, from its greeting to its last reply.
///
/// ```
/// use lab::{Fault, Script, Stage};
/// let busy = Script::named("mx.busy.test")
///     .fault(Fault::at(Stage::Rcpt).reply("450 4.2.0 Try again later").first(2));
/// ```
#[derive(Debug, Clone)]
pub struct Script {
    pub(super) name: String,
    pub(super) protocol: Protocol,
    pub(super) tls: Tls,
    pub(super) certificate: Option<Identity>,
    pub(super) versions: Versions,
    pub(super) client_certificates: ClientCertificates,
    pub(super) extensions: Vec<String>,
    pub(super) sign_in: Option<SignIn>,
    pub(super) recipients_max: usize,
    pub(super) octets_max: usize,
    pub(super) reply_delay: Duration,
    pub(super) octet_delay: Duration,
    pub(super) faults: Vec<Fault>,
}

/// Which protocol a partner speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP (RFC 5321).
    Smtp,
    /// LMTP (RFC 2033): a reply for each recipient after the content.
    Lmtp,
}

/// What becomes of STARTTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Not offered, and refused as unknown.
    NotOffered,
    /// Offered and done.
    StartTls,
    /// TLS from the first octet.
    Implicit,
    /// Struck out by somebody on the path: EHLO shows `XXXXXXXX` in its place, and the
    /// command is refused as unknown, though the server behind has a certificate.
    Stripped,
    /// Offered, and answered `454 4.7.0`.
    Refused,
    /// Offered, and 220 is followed by octets that are no TLS.
    Garbage,
    /// Offered, and the connection is closed once the client has begun its handshake.
    DroppedInHandshake,
    /// Offered and done, and then the connection is closed at once.
    DroppedAfterHandshake,
    /// Offered and done, but a forged plaintext reply rides behind the 220
    /// (RFC 3207 section 6; CVE-2011-0411).
    Injected,
}

/// Which TLS versions a partner speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 and 1.3.
    Both,
    /// TLS 1.2 alone.
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

/// Whether the client's certificate is asked for.
#[derive(Debug, Clone)]
pub enum ClientCertificates {
    /// Not asked for.
    NotAsked,
    /// Asked for; one of this authority is demanded.
    Required(CertificateDer<'static>),
}

/// Who may sign in, and whether they must.
#[derive(Debug, Clone)]
pub(super) struct SignIn {
    pub user: String,
    pub password: String,
    pub required: bool,
}

impl Script {
    /// A partner called `name` that speaks SMTP without TLS, offers the usual extensions and
    /// accepts everything.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            protocol: Protocol::Smtp,
            tls: Tls::NotOffered,
            certificate: None,
            versions: Versions::Both,
            client_certificates: ClientCertificates::NotAsked,
            extensions: EXTENSIONS.iter().map(|line| (*line).to_owned()).collect(),
            sign_in: None,
            recipients_max: RECIPIENTS_MAX,
            octets_max: CONTENT_MAX_OCTETS,
            reply_delay: Duration::ZERO,
            octet_delay: Duration::ZERO,
            faults: Vec::new(),
        }
    }

    /// Offers STARTTLS with `certificate`.
    #[must_use]
    pub fn certificate(mut self, certificate: Identity) -> Self {
        self.certificate = Some(certificate);
        if self.tls == Tls::NotOffered {
            self.tls = Tls::StartTls;
        }
        self
    }

    /// What becomes of STARTTLS. All but [`Tls::NotOffered`], [`Tls::Stripped`],
    /// [`Tls::Refused`] and [`Tls::Garbage`] need a [`certificate`](Self::certificate).
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Which TLS versions it speaks; both, if nothing is said.
    #[must_use]
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Demands a client certificate issued by `authority`.
    #[must_use]
    pub fn client_certificates_of(mut self, authority: &Authority) -> Self {
        self.client_certificates = ClientCertificates::Required(authority.certificate().clone());
        self
    }

    /// Speaks LMTP.
    #[must_use]
    pub fn lmtp(mut self) -> Self {
        self.protocol = Protocol::Lmtp;
        self
    }

    /// The lines of the EHLO reply in place of the usual ones, without STARTTLS and AUTH.
    /// A `SIZE` here is kept to.
    #[must_use]
    pub fn extensions(mut self, lines: &[&str]) -> Self {
        self.extensions = lines.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// Offers AUTH PLAIN and LOGIN to `user`; mail without signing in is still accepted.
    #[must_use]
    pub fn user(mut self, user: &str, password: &str) -> Self {
        self.sign_in =
            Some(SignIn { user: user.to_owned(), password: password.to_owned(), required: false });
        self
    }

    /// Offers AUTH PLAIN and LOGIN to `user`, and refuses MAIL from anybody else (530 5.7.0).
    #[must_use]
    pub fn only_user(self, user: &str, password: &str) -> Self {
        let mut script = self.user(user, password);
        if let Some(sign_in) = &mut script.sign_in {
            sign_in.required = true;
        }
        script
    }

    /// Recipients taken in one transaction; those beyond are told 452 4.5.3.
    #[must_use]
    pub fn recipients_max(mut self, recipients: usize) -> Self {
        self.recipients_max = recipients.min(RECIPIENTS_MAX);
        self
    }

    /// A tarpit: waits before every reply, and between each two octets of it.
    #[must_use]
    pub fn slow(mut self, before_reply: Duration, between_octets: Duration) -> Self {
        self.reply_delay = before_reply;
        self.octet_delay = between_octets;
        self
    }

    /// Adds a place where it misbehaves. The first fault that fits is used.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The name it greets with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The extension lines for a session, STARTTLS and AUTH included.
    pub(super) fn offered(&self, encrypted: bool) -> Vec<String> {
        let mut lines = self.extensions.clone();
        if !encrypted {
            match self.tls {
                Tls::NotOffered | Tls::Implicit => {}
                Tls::Stripped => lines.push("XXXXXXXX".to_owned()),
                Tls::StartTls
                | Tls::Refused
                | Tls::Garbage
                | Tls::DroppedInHandshake
                | Tls::DroppedAfterHandshake
                | Tls::Injected => lines.push("STARTTLS".to_owned()),
            }
        }
        if self.sign_in.is_some() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        lines
    }

    /// Whether the EHLO reply has `keyword`.
    pub(super) fn offers(&self, keyword: &str) -> bool {
        self.extensions.iter().any(|line| {
            line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
        })
    }

    /// The octets it takes: its SIZE, where it has one, and [`CONTENT_MAX_OCTETS`] at most.
    pub(super) fn size(&self) -> usize {
        let declared = self.extensions.iter().find_map(|line| {
            let (word, value) = line.split_once(' ')?;
            if word.eq_ignore_ascii_case("SIZE") { value.parse().ok() } else { None }
        });
        declared.filter(|octets| *octets > 0).unwrap_or(self.octets_max).min(self.octets_max)
    }
}

/// A moment of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The greeting.
    Connect,
    /// EHLO or LHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// STARTTLS.
    StartTls,
    /// AUTH, at its verdict.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, or the first BDAT.
    Data,
    /// The content is complete.
    Content,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

/// One place where a partner misbehaves, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(super) stage: Stage,
    pub(super) act: Act,
    recipient: Option<String>,
    skip: u32,
    left: Option<u32>,
}

/// What is done in place of the proper reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Says this.
    Reply(String),
    /// Says this, then closes.
    Farewell(String),
    /// Closes without a word.
    Close,
    /// Never answers.
    Silence,
}

impl Fault {
    /// A fault at `stage`. Until told otherwise it closes the connection without a word,
    /// every time.
    #[must_use]
    pub fn at(stage: Stage) -> Self {
        Self { stage, act: Act::Close, recipient: None, skip: 0, left: None }
    }

    /// Says `text`, such as `450 4.2.0 Later`; several lines are told apart by `\n`.
    #[must_use]
    pub fn reply(mut self, text: &str) -> Self {
        self.act = Act::Reply(text.to_owned());
        self
    }

    /// Says `text` and closes, as a 421 does.
    #[must_use]
    pub fn farewell(mut self, text: &str) -> Self {
        self.act = Act::Farewell(text.to_owned());
        self
    }

    /// Closes without a word. At [`Stage::Content`]: the message is complete, and its sender
    /// never learns what became of it.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.act = Act::Close;
        self
    }

    /// Never answers.
    #[must_use]
    pub fn silence(mut self) -> Self {
        self.act = Act::Silence;
        self
    }

    /// Only for this recipient. At [`Stage::Content`] it means something in LMTP alone.
    #[must_use]
    pub fn recipient(mut self, address: &str) -> Self {
        self.recipient = Some(address.to_ascii_lowercase());
        self
    }

    /// Only the first `times` it fits, counted over all connections.
    #[must_use]
    pub fn first(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    /// Not the first `times` it fits, counted over all connections.
    #[must_use]
    pub fn after(mut self, times: u32) -> Self {
        self.skip = times;
        self
    }

    /// Whether the fault strikes now; counts when it fits.
    pub(super) fn strikes(&mut self, stage: Stage, recipient: Option<&str>) -> bool {
        let fits = self.stage == stage
            && match (&self.recipient, recipient) {
                (None, _) => true,
                (Some(wanted), Some(given)) => wanted.eq_ignore_ascii_case(given),
                (Some(_), None) => false,
            };
        if !fits {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// Recipients of one transaction.
pub const RECIPIENTS_MAX: usize = 1_000;
/// Octets of one message, whatever a script says.
pub const CONTENT_MAX_OCTETS: usize = 64 << 20;

const EXTENSIONS: [&str; 8] = [
    "PIPELINING",
    "SIZE 67108864",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "CHUNKING",
    "BINARYMIME",
    "ENHANCEDSTATUSCODES",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_told_and_where_told() {
        let mut fault = Fault::at(Stage::Rcpt).recipient("Ann@partner.test").after(1).first(2);
        let mut hits = Vec::new();
        for _ in 0..5 {
            assert!(!fault.strikes(Stage::Mail, None));
            assert!(!fault.strikes(Stage::Rcpt, Some("bob@partner.test")));
            hits.push(fault.strikes(Stage::Rcpt, Some("ann@PARTNER.test")));
        }
        assert_eq!(hits, [false, true, true, false, false]);
    }

    #[test]
    fn stripped_starttls_leaves_its_scar() {
        let script = Script::named("mx.test").tls(Tls::Stripped);
        assert!(script.offered(false).contains(&"XXXXXXXX".to_owned()));
        assert!(!script.offered(false).contains(&"STARTTLS".to_owned()));
    }
}
