//! Email to fax: enterprise accounts.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mail::{Address, Domain};

use super::Target;
use crate::located::Located;

/// `fax NAME { }`: an enterprise account.
#[derive(Debug, Clone, PartialEq)]
pub struct FaxAccount {
    /// Its name.
    pub name: Located<String>,
    /// The domains whose local parts are fax numbers; never none.
    pub domains: Vec<Located<Domain>>,
    /// Who sends, in header lines and on cover pages.
    pub organisation: Located<String>,
    /// The number shown to the other machine for who has none of their own.
    pub main_number: fax::Number,
    /// Which numbers are called, and how national ones are read.
    pub plan: fax::Plan,
    /// Who may send.
    pub security: fax::Security,
    /// The users with what is theirs, in the order of `security.users`.
    pub users: Vec<FaxUser>,
    /// What holds where a sender asks for nothing: cover, resolution, paper and language.
    pub defaults: fax::Options,
    /// Templates of its own for cover pages, one a language.
    pub cover_templates: Vec<(fax::Language, String)>,
    /// What is said about confidentiality instead of the words of the language.
    pub confidentiality: Option<Located<String>>,
    /// Whether the subject is printed on cover pages and repeated in notices.
    pub shows_subject: Located<bool>,
    /// Font files for what the fonts of the program do not have, in the order they are asked.
    pub fonts: Vec<PathBuf>,
    /// The program that makes PDF of office files, where it is installed; `None` for none.
    pub office: Option<PathBuf>,
    /// Whether a fax goes without attachments that cannot become pages, and says so.
    pub leaves_out: Located<bool>,
    /// The most pages of a fax.
    pub pages_max: Located<u32>,
    /// What carries the faxes, in order. None: faxes wait, and say so.
    pub transports: Vec<FaxTransport>,
    /// How faxes that come in are fetched and who gets them.
    pub inbound: Option<FaxInbound>,
    /// Whether notices of how a fax ended have its pages.
    pub notice_pages: Located<bool>,
    /// What senders are told of.
    pub notices: FaxNotices,
    /// How long a request to trust domains waits for a decision.
    pub requests_end: Located<Duration>,
    /// How long the pages of a fax that has ended are kept; `None` for ever.
    pub keep_pages: Located<Option<Duration>>,
    /// How long what is known of a fax that has ended is kept; `None` for ever.
    pub keep_records: Located<Option<Duration>>,
}

/// `user ADDRESS { }`: a user of an account, with what is theirs.
#[derive(Debug, Clone, PartialEq)]
pub struct FaxUser {
    /// The sender address.
    pub address: Address,
    /// The number shown instead of the main number.
    pub number: Option<fax::Number>,
    /// What holds where this sender asks for nothing.
    pub defaults: fax::Options,
}

/// `transport`: what carries faxes, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaxTransport {
    /// Where they go.
    pub line: FaxLine,
    /// The beginnings of the numbers it is for; none for every number.
    pub prefixes: Vec<fax::Prefix>,
}

/// Where faxes go. Its `Display` names it among those of an account, also in what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaxLine {
    /// Each fax is put into a folder of this one, for another program.
    Spool(PathBuf),
    /// HylaFAX, by its own protocol.
    Hylafax {
        /// The server; port 4559 unless said.
        server: Target,
        /// The name of the credentials to sign in with.
        credentials: Option<String>,
    },
    /// An off-ramp, by mail to addresses of this domain (ITU-T T.37).
    T37(Domain),
    /// A provider that faxes by HTTPS, by its name.
    Provider(String),
    /// A gateway that is called by SIP and takes T.38, by its name.
    T38(String),
}

/// `inbound { }`: where faxes that come in are fetched, and who gets them.
#[derive(Debug, Clone, PartialEq)]
pub struct FaxInbound {
    /// What receives them.
    pub source: Located<FaxSource>,
    /// Called numbers and who gets their faxes.
    pub routes: Vec<(fax::Number, Address)>,
    /// Who gets the faxes to other numbers.
    pub catch_all: Located<Address>,
    /// Beginnings of the numbers of callers that nobody wants.
    pub junk: Vec<fax::Prefix>,
}

/// What receives faxes. Its `Display` names it in what is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum FaxSource {
    /// HylaFAX, whose files are fetched.
    Hylafax {
        /// The server; port 4559 unless said.
        server: Target,
        /// The name of the credentials to sign in with.
        credentials: Option<String>,
        /// How long between two looks.
        every: Duration,
        /// Which number that the line told is the one that was called, from 1.
        called: u32,
        /// Which one is that of the caller.
        caller: u32,
        /// Whether files are removed from the server once they are taken.
        deletes: bool,
    },
    /// This server, called by a gateway of this name.
    T38(String),
}

/// What senders are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaxNotices {
    /// That a fax was drawn and waits for a line.
    pub accepted: bool,
    /// That it was sent.
    pub sent: bool,
    /// That it was not.
    pub failed: bool,
}

impl FaxAccount {
    /// The account's own template for cover pages in a language.
    pub fn cover_template(&self, language: fax::Language) -> Option<&str> {
        let found = self.cover_templates.iter().find(|(known, _)| *known == language);
        found.map(|(_, template)| template.as_str())
    }

    /// The transports that may carry a fax to `number`, best first.
    pub fn lines_for(&self, number: &fax::Number) -> Vec<&FaxLine> {
        let limits: Vec<&[fax::Prefix]> =
            self.transports.iter().map(|transport| transport.prefixes.as_slice()).collect();
        let places = fax::routing::candidates(&limits, number).into_iter();
        places.filter_map(|place| Some(&self.transports.get(place)?.line)).collect()
    }

    /// The transport of a name.
    pub fn line(&self, name: &str) -> Option<&FaxLine> {
        self.transports.iter().map(|transport| &transport.line).find(|l| l.to_string() == name)
    }

    /// The user whose sender address this is.
    pub fn user(&self, sender: &Address) -> Option<&FaxUser> {
        let key = sender.to_key();
        self.users.iter().find(|user| user.address.to_key() == key)
    }
}

impl fmt::Display for FaxSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hylafax { server, .. } => write!(f, "HylaFAX at {server}"),
            Self::T38(name) => write!(f, "T.38 gateway {name}"),
        }
    }
}

impl fmt::Display for FaxLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spool(folder) => write!(f, "spool folder {}", folder.display()),
            Self::Hylafax { server, credentials: _ } => write!(f, "HylaFAX at {server}"),
            Self::T37(domain) => write!(f, "T.37 off-ramp {domain}"),
            Self::Provider(name) => write!(f, "provider {name}"),
            Self::T38(name) => write!(f, "T.38 gateway {name}"),
        }
    }
}
