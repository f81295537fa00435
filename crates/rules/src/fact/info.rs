//! The row of each fact: how the configuration names it, from which stage it is known, what
//! kind of value it has.

use super::{Fact, Info, Kind};
use crate::facts::authentication::words;
use crate::stage::Stage;
use crate::test::Word;

const fn info(
    words: &'static str,
    present: &'static str,
    stages: (Stage, Stage),
    kind: Kind,
    doc: &'static str,
) -> Info {
    Info { words, present, stage: stages.0, settled: stages.1, kind, doc }
}

impl Fact {
    /// Its row in the table.
    pub const fn info(&self) -> Info {
        use Stage::{Auth, Connect, Data, Hello, Mail, Rcpt};
        const ACCOUNTS: &[Word] = &[Word::Mailbox, Word::Alias, Word::Group];
        const OWNERSHIP: &[Word] = &[Word::Own, Word::Foreign];
        const STANDINGS: &[Word] = &[Word::Friendly, Word::Denied, Word::Banned];
        const PARTS: &[Word] =
            &[Word::Message, Word::Header, Word::Attachment, Word::Attachments, Word::Recipients];
        const COUNTS: &[Word] =
            &[Word::Messages, Word::Recipients, Word::Octets, Word::Faxes, Word::Pages];
        const DELIVERY: &[Word] = &[Word::Local, Word::Relaying];
        const SPAM: &[Word] = &[
            Word::None,
            Word::Greylist,
            Word::AddHeader,
            Word::RewriteSubject,
            Word::SoftReject,
            Word::Reject,
        ];
        const MILTER: &[Word] = &[Word::Passed, Word::Quarantined, Word::Failed];
        const SCANNER: &[Word] =
            &[Word::Passed, Word::Infected, Word::Spam, Word::Skipped, Word::Failed];
        const TLS: (Stage, Stage) = (Hello, Mail);
        const LISTS: &[Word] = &[Word::Reject, Word::Allow];
        const DENIALS: &[Word] = &[
            Word::UnknownSender,
            Word::WhiteList,
            Word::Spoofing,
            Word::SpfUnavailable,
            Word::Misaligned,
        ];
        match self {
            Self::Tls => {
                info("connection", "tls", TLS, Kind::Flag, "Whether the connection is under TLS.")
            }
            Self::TlsVersion => {
                info("tls version", "", TLS, Kind::Version, "The TLS version of the connection.")
            }
            Self::TlsCipher => info(
                "tls cipher",
                "",
                TLS,
                Kind::Suite,
                "The cipher suite of the connection, as IANA names it.",
            ),
            Self::ClientCertificate => info(
                "client certificate",
                "present",
                TLS,
                Kind::Flag,
                "Whether the client showed a certificate.",
            ),
            Self::CertificateSubject => info(
                "client certificate subject",
                "",
                TLS,
                Kind::Text,
                "The subject of the client's certificate.",
            ),
            Self::CertificateFingerprint => info(
                "client certificate fingerprint",
                "",
                TLS,
                Kind::Fingerprint,
                "The SHA-256 of the client's certificate, 64 hexadecimal digits.",
            ),
            Self::Listener => info(
                "listener",
                "",
                (Connect, Connect),
                Kind::Text,
                "The name of the listener that took the connection.",
            ),
            Self::ClientIp => {
                info("client ip", "", (Connect, Connect), Kind::Ip, "The address of the client.")
            }
            Self::ClientName => info(
                "client name",
                "known",
                (Connect, Connect),
                Kind::Domain,
                "The name of the client by reverse DNS, confirmed by a look-up back.",
            ),
            Self::Helo => info(
                "helo",
                "",
                (Hello, Hello),
                Kind::Text,
                "The name the client gave in EHLO, HELO or LHLO.",
            ),
            Self::Authenticated => info(
                "authenticated",
                "any",
                (Auth, Mail),
                Kind::Text,
                "The account the client signed in to.",
            ),
            Self::Sender => info(
                "sender",
                "",
                (Mail, Mail),
                Kind::Address,
                "The envelope's sender; `null` for <>.",
            ),
            Self::SenderDomain => info(
                "sender domain",
                "",
                (Mail, Mail),
                Kind::Domain,
                "The domain of the envelope's sender.",
            ),
            Self::Recipient => {
                info("recipient", "", (Rcpt, Rcpt), Kind::Address, "The envelope's recipient.")
            }
            Self::RecipientDomain => info(
                "recipient domain",
                "",
                (Rcpt, Rcpt),
                Kind::Domain,
                "The domain of the envelope's recipient.",
            ),
            Self::RecipientAccount => info(
                "recipient account",
                "known",
                (Rcpt, Rcpt),
                Kind::Words(ACCOUNTS),
                "What the recipient is here: mailbox, alias or group.",
            ),
            Self::Delivery => info(
                "delivery",
                "",
                (Rcpt, Rcpt),
                Kind::Words(DELIVERY),
                "Whether the recipient's domain is ours (local) or not (relaying).",
            ),
            Self::FaxDenial => info(
                "fax denial",
                "present",
                (Rcpt, Data),
                Kind::Words(DENIALS),
                "Why the account security of a fax account is against the message.",
            ),
            Self::RecipientCount => info(
                "recipient count",
                "",
                (Data, Data),
                Kind::Count,
                "How many recipients the transaction has.",
            ),
            Self::SenderAddress => info(
                "sender address",
                "",
                (Mail, Mail),
                Kind::Words(OWNERSHIP),
                "Whether the envelope's sender belongs to the account that signed in (own) or not (foreign).",
            ),
            Self::FromAddress => info(
                "from address",
                "",
                (Data, Data),
                Kind::Words(OWNERSHIP),
                "The same of the addresses in the From field.",
            ),
            Self::MessageSize => info(
                "message size",
                "",
                (Data, Data),
                Kind::Octets,
                "The size of the message as it came.",
            ),
            Self::Header(_) => info(
                "header",
                "present",
                (Data, Data),
                Kind::Text,
                "The unfolded value of each header field of a name.",
            ),
            Self::Subject => {
                info("subject", "present", (Data, Data), Kind::Text, "The decoded subject.")
            }
            Self::AttachmentName => info(
                "attachment name",
                "",
                (Data, Data),
                Kind::Text,
                "The file name of each attachment.",
            ),
            Self::AttachmentType => info(
                "attachment type",
                "",
                (Data, Data),
                Kind::Text,
                "The media type of each attachment.",
            ),
            Self::AttachmentSize => info(
                "attachment size",
                "",
                (Data, Data),
                Kind::Octets,
                "The decoded size of each attachment.",
            ),
            Self::AttachmentCount => info(
                "attachment count",
                "",
                (Data, Data),
                Kind::Count,
                "How many attachments there are.",
            ),
            Self::Scan => info(
                "scan",
                "failed",
                (Data, Data),
                Kind::Flag,
                "Whether a scanner with `on-failure closed` gave no verdict.",
            ),
            Self::Virus => {
                info("virus", "found", (Data, Data), Kind::Flag, "Whether a scanner found a virus.")
            }
            Self::VirusName => {
                info("virus name", "", (Data, Data), Kind::Text, "The name of each virus found.")
            }
            Self::SpamScore => info(
                "spam score",
                "",
                (Data, Data),
                Kind::Score,
                "The spam score; the highest, where several scanners give one.",
            ),
            Self::SpamAction => info(
                "spam action",
                "",
                (Data, Data),
                Kind::Words(SPAM),
                "What a spam scanner wants done; the sternest of several.",
            ),
            Self::Milter(_) => info(
                "milter",
                "",
                (Data, Data),
                Kind::Words(MILTER),
                "What the milter of a name said, where it did not refuse the message itself.",
            ),
            Self::Scanner(_) => info(
                "scanner",
                "",
                (Data, Data),
                Kind::Words(SCANNER),
                "What the scanner of a name said.",
            ),
            Self::Time => {
                info("time", "", (Connect, Connect), Kind::Minute, "The time of day, UTC.")
            }
            Self::Weekday => {
                info("weekday", "", (Connect, Connect), Kind::Weekday, "The day of the week, UTC.")
            }
            Self::Spf => info(
                "spf",
                "",
                (Mail, Mail),
                Kind::Words(words::SPF),
                "What SPF says of the envelope's sender; of the name in EHLO where that is <>.",
            ),
            Self::SpfHelo => info(
                "spf helo",
                "",
                (Mail, Mail),
                Kind::Words(words::SPF),
                "What SPF says of the name in EHLO.",
            ),
            Self::Dkim => info(
                "dkim",
                "",
                (Data, Data),
                Kind::Words(words::DKIM),
                "What came of each DKIM signature; `none` if there is none.",
            ),
            Self::DkimDomain => info(
                "dkim domain",
                "",
                (Data, Data),
                Kind::Domain,
                "The domains whose DKIM signatures pass.",
            ),
            Self::AuthorDomain => info(
                "author domain",
                "known",
                (Data, Data),
                Kind::Domain,
                "The domains in the From field, if it is clear.",
            ),
            Self::Dmarc => info(
                "dmarc",
                "",
                (Data, Data),
                Kind::Words(words::DMARC),
                "Whether the author's domain stands behind the message (DMARC).",
            ),
            Self::DmarcPolicy => info(
                "dmarc policy",
                "",
                (Data, Data),
                Kind::Words(words::POLICIES),
                "What the author's domain asks for if DMARC fails.",
            ),
            Self::DmarcDisposition => info(
                "dmarc disposition",
                "",
                (Data, Data),
                Kind::Words(words::POLICIES),
                "What follows from DMARC for this message, after overrides, trusted handlers and `t=y`.",
            ),
            Self::Arc => info(
                "arc",
                "",
                (Data, Data),
                Kind::Words(words::ARC),
                "What came of the chain of handlers (ARC).",
            ),
            Self::ArcSealer => info(
                "arc sealer",
                "",
                (Data, Data),
                Kind::Domain,
                "The domains that sealed a chain that passes.",
            ),
            Self::ClientStanding => info(
                "client standing",
                "",
                (Connect, Connect),
                Kind::Words(STANDINGS),
                "Whether the client is listed as friendly, denied by the configuration, or banned for a time.",
            ),
            Self::LimitExceeded => info(
                "limit exceeded",
                "",
                (Mail, Mail),
                Kind::Words(PARTS),
                "Which size limit the message is over for this recipient.",
            ),
            Self::QuotaReached => info(
                "quota reached",
                "",
                (Mail, Mail),
                Kind::Words(COUNTS),
                "Which count of a sending quota has no room for more.",
            ),
            Self::Dnsbl => info(
                "dnsbl",
                "listed",
                (Rcpt, Rcpt),
                Kind::Text,
                "The `dnsbl` lists that the client is on, without allow and shadow lists.",
            ),
            Self::DnsblScore => info(
                "dnsbl-score",
                "",
                (Rcpt, Rcpt),
                Kind::Count,
                "The weights of those lists less those of allow lists, at least 0.",
            ),
            Self::DnsblVerdict => info(
                "dnsbl-verdict",
                "",
                (Rcpt, Rcpt),
                Kind::Words(LISTS),
                "What comes of the `dnsbl` lists: reject, or allow where allow lists outweigh the others.",
            ),
            Self::Uribl => info(
                "uribl",
                "listed",
                (Data, Data),
                Kind::Text,
                "The `uribl` lists that a domain in the message is on.",
            ),
            Self::UriblScore => info(
                "uribl-score",
                "",
                (Data, Data),
                Kind::Count,
                "The weights of those lists less those of allow lists, at least 0.",
            ),
            Self::UriblVerdict => info(
                "uribl-verdict",
                "",
                (Data, Data),
                Kind::Words(LISTS),
                "What comes of the `uribl` lists: reject, or allow.",
            ),
            Self::Greylisting => info(
                "greylisting",
                "",
                (Rcpt, Rcpt),
                Kind::Words(&[Word::Waiting]),
                "Whether the sender is a stranger that has to come again: waiting.",
            ),
            Self::Reputation => info(
                "reputation",
                "",
                (Mail, Mail),
                Kind::Count,
                "What came of earlier mail of the sender: 0 is the worst, 50 unknown, 100 the best.",
            ),
        }
    }
}
