//! What a condition can look at: one table of words, stages, kinds and getters.
//!
//! A new fact is a variant of [`Fact`], its row in [`Fact::info`] (`fact/info.rs`), and its line in
//! [`Fact::seen`]; parsing, staging, evaluation, analysis and explanations follow from these.

mod info;

use std::fmt;
use std::net::IpAddr;

use mail::{Address, Domain};
use tls::{Fingerprint, Suite, Version};

use crate::facts::{Facts, Ownership};
use crate::lists::Listings;
use crate::stage::Stage;
use crate::test::{Weekday, Word};

/// Something that is known about a connection, a message or a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fact {
    /// The connection is under TLS.
    Tls,
    /// The TLS version of the connection.
    TlsVersion,
    /// The cipher suite of the connection.
    TlsCipher,
    /// The client showed a certificate.
    ClientCertificate,
    /// The subject of the client's certificate.
    CertificateSubject,
    /// The SHA-256 of the client's certificate, in hexadecimal.
    CertificateFingerprint,
    /// The name of the listener.
    Listener,
    /// The address of the client.
    ClientIp,
    /// The name of the client by reverse look-up, confirmed forward.
    ClientName,
    /// What the client said in EHLO.
    Helo,
    /// The account that signed in.
    Authenticated,
    /// The reverse-path.
    Sender,
    /// The domain of the reverse-path.
    SenderDomain,
    /// The forward-path.
    Recipient,
    /// The domain of the forward-path.
    RecipientDomain,
    /// What kind of account the recipient is here.
    RecipientAccount,
    /// Whether the recipient is ours or another server's.
    Delivery,
    /// Why account security of a fax account is against the message.
    FaxDenial,
    /// How many recipients the transaction has.
    RecipientCount,
    /// Whose the reverse-path is.
    SenderAddress,
    /// Whose the addresses in the From field are.
    FromAddress,
    /// The size of the message.
    MessageSize,
    /// The values of the header fields of this name.
    Header(String),
    /// The decoded subject.
    Subject,
    /// The names of attachments.
    AttachmentName,
    /// The media types of attachments.
    AttachmentType,
    /// The sizes of attachments.
    AttachmentSize,
    /// How many attachments there are.
    AttachmentCount,
    /// A scanner without which no mail is to pass gave no verdict.
    Scan,
    /// A scanner found a virus.
    Virus,
    /// The names of the viruses found.
    VirusName,
    /// The spam score.
    SpamScore,
    /// What a spam scanner wants done.
    SpamAction,
    /// What the milter of this name said.
    Milter(String),
    /// What the scanner of this name said.
    Scanner(String),
    /// The time of day.
    Time,
    /// The day of the week.
    Weekday,
    /// What SPF says of the reverse-path.
    Spf,
    /// What SPF says of the name in EHLO.
    SpfHelo,
    /// What came of each signature.
    Dkim,
    /// The domains whose signatures are good.
    DkimDomain,
    /// The domains of the authors.
    AuthorDomain,
    /// Whether the author's domain stands behind the message.
    Dmarc,
    /// What the author's domain asks for if not.
    DmarcPolicy,
    /// What follows for this message.
    DmarcDisposition,
    /// What came of the chain of handlers.
    Arc,
    /// The domains of the handlers of a good chain.
    ArcSealer,
    /// What flow control holds of the client.
    ClientStanding,
    /// Which limit the message is over.
    LimitExceeded,
    /// Which count of a quota has no room.
    QuotaReached,
    /// The lists of clients that the client is on.
    Dnsbl,
    /// What those lists weigh together.
    DnsblScore,
    /// What comes of those lists.
    DnsblVerdict,
    /// The lists of domains that a link of the message is on.
    Uribl,
    /// What those lists weigh together.
    UriblScore,
    /// What comes of those lists.
    UriblVerdict,
    /// Whether the sender has to come again.
    Greylisting,
    /// The score of the sender's reputation.
    Reputation,
}

/// What values a fact has, and so what it can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There or not there.
    Flag,
    /// A TLS version.
    Version,
    /// A cipher suite.
    Suite,
    /// The SHA-256 of a certificate.
    Fingerprint,
    /// A text.
    Text,
    /// A mailbox.
    Address,
    /// A domain.
    Domain,
    /// An IP address.
    Ip,
    /// A count.
    Count,
    /// A size in octets.
    Octets,
    /// A score, in thousandths moved up so that it keeps its order.
    Score,
    /// A few words.
    Words(&'static [Word]),
    /// A minute of the day.
    Minute,
    /// A day of the week.
    Weekday,
}

/// The row of a fact in the table.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// How the configuration names it.
    pub words: &'static str,
    /// The word for "it is there at all", where a condition may ask that; else empty.
    pub present: &'static str,
    /// The stage from which it has a value.
    pub stage: Stage,
    /// The stage from which its *absence* is final. Between the two a value
    /// that is there stays, but one that is not there may still come.
    pub settled: Stage,
    /// Its kind of value.
    pub kind: Kind,
    /// One line for the manual.
    pub doc: &'static str,
}

/// One value of a fact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen<'a> {
    /// It is there; it has no further value.
    Present,
    /// A TLS version.
    Version(Version),
    /// A cipher suite.
    Suite(Suite),
    /// The SHA-256 of a certificate.
    Fingerprint(Fingerprint),
    /// A text.
    Text(&'a str),
    /// A mailbox.
    Address(&'a Address),
    /// A domain.
    Domain(&'a Domain),
    /// An IP address.
    Ip(IpAddr),
    /// A count, or octets.
    Number(u64),
    /// One of a few words.
    Word(Word),
    /// A minute of the day.
    Minute(u16),
    /// A day of the week.
    Weekday(Weekday),
}

impl Fact {
    /// Whether it is about the TLS of the connection, and so may change with STARTTLS.
    pub fn is_of_tls(&self) -> bool {
        matches!(
            self,
            Self::Tls
                | Self::TlsVersion
                | Self::TlsCipher
                | Self::ClientCertificate
                | Self::CertificateSubject
                | Self::CertificateFingerprint
        )
    }

    /// Every fact; [`Fact::Header`] without a name.
    pub const ALL: [Self; 58] = [
        Self::Tls,
        Self::TlsVersion,
        Self::TlsCipher,
        Self::ClientCertificate,
        Self::CertificateSubject,
        Self::CertificateFingerprint,
        Self::Listener,
        Self::ClientIp,
        Self::ClientName,
        Self::Helo,
        Self::Authenticated,
        Self::Sender,
        Self::SenderDomain,
        Self::Recipient,
        Self::RecipientDomain,
        Self::RecipientAccount,
        Self::Delivery,
        Self::FaxDenial,
        Self::RecipientCount,
        Self::SenderAddress,
        Self::FromAddress,
        Self::MessageSize,
        Self::Header(String::new()),
        Self::Subject,
        Self::AttachmentName,
        Self::AttachmentType,
        Self::AttachmentSize,
        Self::AttachmentCount,
        Self::Scan,
        Self::Virus,
        Self::VirusName,
        Self::SpamScore,
        Self::SpamAction,
        Self::Milter(String::new()),
        Self::Scanner(String::new()),
        Self::Time,
        Self::Weekday,
        Self::Spf,
        Self::SpfHelo,
        Self::Dkim,
        Self::DkimDomain,
        Self::AuthorDomain,
        Self::Dmarc,
        Self::DmarcPolicy,
        Self::DmarcDisposition,
        Self::Arc,
        Self::ArcSealer,
        Self::ClientStanding,
        Self::LimitExceeded,
        Self::QuotaReached,
        Self::Dnsbl,
        Self::DnsblScore,
        Self::DnsblVerdict,
        Self::Uribl,
        Self::UriblScore,
        Self::UriblVerdict,
        Self::Greylisting,
        Self::Reputation,
    ];

    /// Whether any value of this fact in `facts` passes `test`.
    pub fn seen<'a>(&self, facts: &'a Facts, mut test: impl FnMut(Seen<'a>) -> bool) -> bool {
        let mut all =
            |mut values: &mut dyn Iterator<Item = Seen<'a>>| Iterator::any(&mut values, &mut test);
        let sender = facts.sender.as_ref();
        let recipient = facts.recipient.as_ref();
        let tls = facts.tls.as_deref();
        let certificate = tls.and_then(|tls| tls.leaf());
        let message = facts.message.as_ref();
        let scan = facts.scan.as_ref();
        let said = |name: &str, is_milter: bool| {
            let by = |filter: &&crate::scan::FilterFacts| {
                filter.is_milter == is_milter && filter.name == name
            };
            scan.and_then(|scan| scan.filters.iter().find(by))
        };
        let flow = facts.flow.as_ref();
        let word = |word: &Word| Seen::Word(*word);
        let lists = facts.lists.as_ref();
        let client = lists.and_then(|lists| lists.client.as_ref());
        let content = lists.and_then(|lists| lists.content.as_ref());
        match self {
            Self::Tls => all(&mut tls.iter().map(|_| Seen::Present)),
            Self::TlsVersion => all(&mut tls.iter().map(|tls| Seen::Version(tls.version))),
            Self::TlsCipher => all(&mut tls.iter().map(|tls| Seen::Suite(tls.suite))),
            Self::ClientCertificate => all(&mut certificate.iter().map(|_| Seen::Present)),
            Self::CertificateSubject => {
                all(&mut certificate.iter().map(|c| Seen::Text(&c.subject)))
            }
            Self::CertificateFingerprint => {
                all(&mut certificate.iter().map(|c| Seen::Fingerprint(c.sha256)))
            }
            Self::Listener => all(&mut facts.listener.iter().map(|name| Seen::Text(name))),
            Self::ClientIp => all(&mut facts.client_ip.iter().map(|ip| Seen::Ip(*ip))),
            Self::ClientName => all(&mut facts.client_name.iter().map(Seen::Domain)),
            Self::Helo => all(&mut facts.helo.iter().map(|name| Seen::Text(name))),
            Self::Authenticated => all(&mut facts.authenticated.iter().map(|a| Seen::Text(a))),
            Self::Sender => all(&mut sender
                .iter()
                .map(|path| path.address().map_or(Seen::Word(Word::Null), Seen::Address))),
            Self::SenderDomain => all(&mut sender
                .and_then(|path| path.address())
                .iter()
                .map(|address| Seen::Domain(address.domain()))),
            Self::Recipient => all(&mut recipient.iter().map(|r| Seen::Address(&r.address))),
            Self::RecipientDomain => {
                all(&mut recipient.iter().map(|r| Seen::Domain(r.address.domain())))
            }
            Self::RecipientAccount => {
                all(&mut recipient.and_then(|r| r.account).iter().map(|a| Seen::Word(a.word())))
            }
            Self::Delivery => all(&mut recipient
                .iter()
                .map(|r| Seen::Word(if r.is_local { Word::Local } else { Word::Relaying }))),
            Self::FaxDenial => all(&mut facts
                .fax
                .as_ref()
                .and_then(|fax| fax.denial)
                .iter()
                .map(|denial| Seen::Word(denial.word()))),
            Self::RecipientCount => {
                all(&mut facts.recipient_count.iter().map(|n| Seen::Number(u64::from(*n))))
            }
            Self::SenderAddress => all(&mut facts
                .ownership
                .and_then(|ownership| ownership.sender)
                .iter()
                .map(|is_own| Seen::Word(Ownership::word(*is_own)))),
            Self::FromAddress => all(&mut facts
                .ownership
                .and_then(|ownership| ownership.from)
                .iter()
                .map(|is_own| Seen::Word(Ownership::word(*is_own)))),
            Self::MessageSize => all(&mut message.iter().map(|m| Seen::Number(m.size_octets))),
            Self::Header(name) => all(&mut message
                .iter()
                .flat_map(|m| &m.headers)
                .filter(|field| field.name.eq_ignore_ascii_case(name))
                .map(|field| Seen::Text(&field.value))),
            Self::Subject => {
                all(&mut message.and_then(|m| m.subject.as_deref()).iter().map(|s| Seen::Text(s)))
            }
            Self::AttachmentName => all(&mut message
                .iter()
                .flat_map(|m| &m.attachments)
                .filter_map(|a| a.name.as_deref())
                .map(Seen::Text)),
            Self::AttachmentType => all(&mut message
                .iter()
                .flat_map(|m| &m.attachments)
                .map(|a| Seen::Text(&a.media_type))),
            Self::AttachmentSize => all(&mut message
                .iter()
                .flat_map(|m| &m.attachments)
                .map(|a| Seen::Number(a.size_octets))),
            Self::AttachmentCount => {
                all(&mut message.iter().map(|m| Seen::Number(m.attachments.len() as u64)))
            }
            Self::Scan => all(&mut scan.iter().filter(|s| s.failed).map(|_| Seen::Present)),
            Self::Virus => {
                all(&mut scan.iter().filter(|s| !s.viruses.is_empty()).map(|_| Seen::Present))
            }
            Self::VirusName => {
                all(&mut scan.iter().flat_map(|s| &s.viruses).map(|v| Seen::Text(v)))
            }
            Self::SpamScore => all(&mut scan
                .and_then(|s| s.spam_score)
                .iter()
                .map(|score| Seen::Number(crate::scan::to_number(*score)))),
            Self::SpamAction => {
                all(&mut scan.and_then(|s| s.spam_action).iter().map(|a| Seen::Word(a.word())))
            }
            Self::Milter(name) => {
                all(&mut said(name, true).iter().map(|f| Seen::Word(f.said.word())))
            }
            Self::Scanner(name) => {
                all(&mut said(name, false).iter().map(|f| Seen::Word(f.said.word())))
            }
            Self::Time => all(&mut facts.now.iter().map(|now| Seen::Minute(now.minute_of_day()))),
            Self::Weekday => all(&mut facts.now.iter().map(|now| Seen::Weekday(now.weekday()))),
            Self::Spf
            | Self::SpfHelo
            | Self::Dkim
            | Self::DkimDomain
            | Self::AuthorDomain
            | Self::Dmarc
            | Self::DmarcPolicy
            | Self::DmarcDisposition
            | Self::Arc
            | Self::ArcSealer => {
                facts.authentication.as_deref().is_some_and(|found| all(&mut found.seen(self)))
            }
            Self::ClientStanding => all(&mut flow.and_then(|f| f.standing).iter().map(word)),
            Self::LimitExceeded => all(&mut flow.and_then(|f| f.exceeded).iter().map(word)),
            Self::QuotaReached => all(&mut flow.and_then(|f| f.quota).iter().map(word)),
            Self::Dnsbl => all(&mut client.iter().flat_map(|l| l.names()).map(Seen::Text)),
            Self::DnsblScore => {
                all(&mut client.iter().map(|l| Seen::Number(l.weighed().score.into())))
            }
            Self::DnsblVerdict => {
                all(&mut client.and_then(Listings::verdict).iter().map(|word| Seen::Word(*word)))
            }
            Self::Uribl => all(&mut content.iter().flat_map(|l| l.names()).map(Seen::Text)),
            Self::UriblScore => {
                all(&mut content.iter().map(|l| Seen::Number(l.weighed().score.into())))
            }
            Self::UriblVerdict => {
                all(&mut content.and_then(Listings::verdict).iter().map(|word| Seen::Word(*word)))
            }
            Self::Greylisting => {
                let waiting = lists.is_some_and(|lists| lists.waiting);
                all(&mut waiting.then_some(Seen::Word(Word::Waiting)).into_iter())
            }
            Self::Reputation => all(&mut lists
                .and_then(|lists| lists.reputation)
                .iter()
                .map(|score| Seen::Number(u64::from(*score)))),
        }
    }

    /// The name that stands behind its words, where one does.
    pub fn name(&self) -> Option<&str> {
        if let Self::Header(name) | Self::Milter(name) | Self::Scanner(name) = self {
            Some(name)
        } else {
            None
        }
    }

    /// A number as this fact has it: `25MB` for octets, `100` for a count.
    pub(crate) fn amount(&self, number: u64) -> String {
        match self.info().kind {
            Kind::Octets => crate::size::Octets(number).to_string(),
            Kind::Score => crate::scan::show(number),
            Kind::Flag
            | Kind::Version
            | Kind::Suite
            | Kind::Fingerprint
            | Kind::Text
            | Kind::Address
            | Kind::Domain
            | Kind::Ip
            | Kind::Count
            | Kind::Words(_)
            | Kind::Minute
            | Kind::Weekday => number.to_string(),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().words)?;
        if let Some(name) = self.name() { write!(f, " {name}") } else { Ok(()) }
    }
}
