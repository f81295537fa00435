//! The catalogue of errors: one code for each cause, with its explanation.

use std::fmt;

/// Declares the codes once, so that none can be without number or explanation.
macro_rules! catalogue {
    ($($name:ident $number:literal $title:literal $explanation:literal)*) => {
        /// The cause of a diagnostic. Codes are never given a new meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $title] $name),* }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number shown after the letter C.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number),* }
            }

            /// What went wrong, in one line.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// Why it is an error and what to do, in Markdown.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation),* }
            }
        }
    };
}

catalogue! {
    FileUnreadable 1 "A file cannot be read"
        "The configuration file, or a file it includes or takes a list from, is missing or may not be read by the server's user. Check the path (relative paths start at the folder of the file that names them) and the permissions."
    NotUtf8 2 "A file is not UTF-8"
        "Configuration files are UTF-8. Save the file in that encoding; the place named is the first octet that is not."
    FileTooLarge 3 "A file is too large"
        "One file may have at most 16 MB. Put long lists into several `table ... file` files."
    QuoteNotClosed 4 "A quote is not closed"
        "A quoted word ends on the line it began on. Add the closing `\"`; write a quote inside quotes as `\\\"`."
    BadEscape 5 "An escape is not known"
        "Inside quotes only `\\\"` and `\\\\` are escapes. Write a backslash as `\\\\`."
    BraceNotOpened 6 "A closing brace closes nothing"
        "There is one `}` more than `{`. Usually a block above was closed twice."
    BraceNotClosed 7 "A brace is not closed"
        "The block that begins here has no `}`. Everything up to the end of the file was read as its inside."
    BraceWithoutName 8 "A brace stands alone"
        "`{` must stand on the line of the statement that it belongs to: `listener mx {`, not `listener mx` and `{` on the next line."
    TooDeep 9 "Blocks nest too deep"
        "Blocks may nest 16 deep."
    TooManyStatements 10 "Too many statements"
        "One file may have at most 500,000 statements."
    TooManyWords 11 "Too many words"
        "One statement may have at most 4,096 words. Put long lists into a `table`."
    TextAfterBlock 12 "Text follows a block"
        "A statement ends after its `}`. Begin the next one on a new line or after a `;`."
    QuoteInWord 13 "A quote stands inside a word"
        "Quotes stand around a whole word: `\"John Lee\"`, not `John\" \"Lee`."
    HiddenCharacter 14 "A character cannot be seen"
        "Control characters, zero-width characters, no-break spaces and changes of writing direction make a text read differently from what it says, so they are refused, in comments too. They often come with text pasted from a web page: delete and retype the place."
    IncludeCycle 15 "A file includes itself"
        "Following the includes leads back to a file that is being read. Remove one of them."
    IncludeDepth 16 "Includes nest too deep"
        "Included files may include others 8 levels deep, and 1,000 files in all."
    IncludeNothing 17 "An include finds no file"
        "No file has this name. A pattern with `*` may match nothing; a plain name may not."
    IncludeNotHere 18 "An include stands in the wrong place"
        "`include` may stand outside all blocks and inside `rules { }`."

    UnknownDirective 101 "A directive, condition or action is not known"
        "Nothing of this name exists here. The help line names the closest one, or all that are allowed. A directive is never ignored: a misspelt protection would be no protection."
    GivenTwice 102 "A directive is given twice"
        "This directive can be given once in its block. Keep one of the two."
    Missing 103 "A directive is missing"
        "The block does not work without this directive."
    UnknownValue 104 "A value is not one of those allowed"
        "The help line lists the words that can stand here."
    TooManyValues 105 "More values than the directive takes"
        "The directive takes fewer values. Often a `;` was forgotten between two statements on one line: `port 2525; tls starttls`."
    TooFewValues 106 "A value is missing"
        "The directive needs more values than were given."
    BlockMissing 107 "A block is missing"
        "This statement needs a block in braces after its words."
    BlockNotAllowed 108 "A block is not allowed"
        "This directive takes values only, no block in braces."
    WrongType 109 "A value is of the wrong kind"
        "The message says what kind of value stands here, with an example."
    OutOfBounds 110 "A value is out of bounds"
        "The message names the least and the greatest value allowed."
    UnknownCondition 111 "A condition is not known"
        "Nothing of this name can be tested in `when`. The help line names the closest condition, or all of them."
    UnknownOperator 112 "A comparison is not known"
        "Conditions are written `SUBJECT is VALUE`, `is not`, `in TABLE`, `not in TABLE`, `matches PATTERN`, `over NUMBER`, `under NUMBER`; which of them can be used depends on the subject, and the help line lists them."
    UnknownName 113 "A name is not defined"
        "The configuration has no certificate, table or listener of this name."
    DefinedTwice 114 "A name is defined twice"
        "Names are unique among things of one kind, whatever file they stand in."
    BadName 115 "A name is not well formed"
        "Names begin with a letter and hold letters, digits, `-`, `_` and `.`, at most 64 characters."
    BadPattern 116 "A pattern is not well formed"
        "In patterns `*` stands for any number of characters and `?` for one; a pattern between slashes, as `/^ann@/`, is a regular expression."
    NoListener 117 "There is no listener"
        "Without a listener the server takes no mail. Add one: `listener mx { port 25; tls starttls; certificate mail }`."
    Unused 118 "A definition is not used"
        "Nothing refers to this certificate or table. That is allowed, and often a misspelt name elsewhere."

    StageTooLate 201 "An action belongs to an earlier stage than its conditions"
        "Facts arrive in stages: connect, hello, auth, mail, rcpt, data, relay. A rule runs as soon as all its facts are known, and what its action decides must not be over by then: whether AUTH is offered cannot depend on the recipient."
    UnreachableRule 202 "A rule can never decide"
        "An earlier rule always ends the evaluation before this one is reached. Move it up, or narrow the earlier rule's conditions."
    NeverMatches 203 "A rule can never match"
        "Its conditions contradict each other."
    SettingUndone 204 "A setting is undone by a later rule"
        "A later rule changes the same setting whenever this rule sets it, so this one has no effect. In particular a rule that switches authentication off everywhere must come before the one that allows it on TLS."
    DeadActions 205 "Actions follow a verdict"
        "The first verdict (accept, reject, defer, discard, quarantine) ends the rule. Move the other actions before it."
    PlaintextAuthentication 206 "Passwords can travel in the clear"
        "Some connection without TLS is offered authentication by this rule. Anyone on the way can read the password."
    OpenRelay 207 "The server is an open relay"
        "A rule accepts mail from strangers to domains that are not ours. Spammers find such servers within hours. Add `client in NETWORKS` or `connection is authenticated` to its conditions."
    TablesOverlap 208 "Entries overlap"
        "One entry already covers the other. The more particular one decides where they differ; where they do not, one of them can go."
    RuleQuestionable 209 "A rule is probably not what was meant"
        "The rule is legal, but the message says why its effect is likely to surprise."
    WeakensForceEncrypt 210 "A rule would weaken Force Encrypt"
        "Force Encrypt is applied last and always holds: a rule may demand more for a listed domain or address and never less. Remove the rule, or take the entry out of `force-encrypt`."
    OldTls 211 "TLS 1.0 and 1.1 are not available"
        "TLS 1.0 and TLS 1.1 must not be used (RFC 8996): their hashes are broken and browsers and mail providers dropped them years ago. This build cannot speak them. Old scanners and printers that know nothing newer need a build with the `legacy-tls` feature, on a listener of their own."
    AnalysisLimit 212 "The analysis stopped early"
        "The rules are too many or too deep for every combination to be looked at. What was found is right, but there may be more."

    PortClash 301 "Two listeners want the same port"
        "Two listeners cannot share an address and port. An address such as `0.0.0.0` or `::` takes the port on every address."
    SubmissionsNotImplicit 302 "Port 465 without implicit TLS"
        "Port 465 is TLS from the first octet (RFC 8314 section 3.3). A client that connects there never sends STARTTLS. Write `tls implicit`, or use port 587 for STARTTLS."
    AuthWithoutTls 303 "Authentication on a listener without TLS"
        "This listener never has TLS, so every password would travel in the clear. Write `tls starttls` or `tls implicit`, or `auth off`."
    CertificateMissing 304 "A listener with TLS has no certificate"
        "TLS needs a certificate: name one with `certificate NAME`."
    TlsSettingWithoutTls 305 "A TLS setting on a listener without TLS"
        "With `tls off` this setting would have no effect. Remove it, or switch TLS on."
    NotForProtocol 306 "A setting that the listener's protocol does not have"
        "The listener's `protocol` has no use for this setting, and nothing is ignored silently."
    ConflictingDirectives 307 "Two directives contradict each other"
        "Only one of the two can hold. The message says which."
    RetryBeyondLifetime 309 "A retry lies beyond the lifetime"
        "The message has expired before this retry comes."
    RouteLoop 310 "A route leads back to this server"
        "Mail sent there would come back. Name the server that really keeps the mailboxes."
    ImplicitOnRelayPort 311 "Implicit TLS on a port that speaks STARTTLS"
        "Other servers (port 25) and mail programs (port 587) begin in the clear and ask for STARTTLS there; with implicit TLS they cannot connect."
    LmtpOnSmtpPort 312 "LMTP on port 25"
        "LMTP must not be spoken on port 25, where other servers expect SMTP (RFC 2033 section 5)."

    OldVerifier 320 "A verifier is kept that a thief can use"
        "CRAM-MD5 and DIGEST-MD5 need a verifier that is as good as the password for that mechanism: whoever reads the store, or a copy of it, can sign in. It is kept beside the Argon2id hash for every account whose password is set or seen from now on. Name them only while a device needs them; when they are no longer named they go with the next sign-in."
    KeysInTheClear 321 "Keys would be fetched without TLS"
        "Whoever can change the answer of the key server can sign in as anyone. Fetch keys over https, or from this machine."
    BadFilter 322 "An LDAP filter is not well formed"
        "Filters are written as in RFC 4515: `(mail=%u)`, `(&(objectClass=person)(mail=%u))`. `=`, `*` and `=*` can be used, with `&`, `|` and `!`; `%u`, `%l` and `%d` stand for the address, its local part and its domain, and `%%` for a percent sign."
    DirectoryInTheClear 323 "Passwords would travel to a directory in the clear"
        "With `ldap://` and `starttls off` every password that is checked can be read on the way. Use `ldaps://` or STARTTLS; only a directory on this machine may do without."
    NotInThisBuild 324 "This build cannot do that"
        "Sign-in by Kerberos needs the system's Kerberos library, so it is only in builds made with the feature `gssapi`: `cargo build --release --features gssapi`."

    HostBitsSet 401 "A network has host bits set"
        "The address has bits outside the prefix, so it is not clear which network is meant. The help line offers the network that contains it; a single host is written without `/`."
    DuplicateEntry 402 "An entry is there twice"
        "The same entry stands on an earlier line. Where they differ, only one can hold."
    EveryAddress 403 "A network that is every address"
        "`/0` matches every address there is. In a list of exceptions that switches the protection off, in `trusted-networks` it makes an open relay. For all outgoing mail write `delivery { default-encryption required }`; for all incoming mail write a rule."
    BadEntry 404 "An entry is not well formed"
        "One entry a line: a domain, a domain with a leading dot for its subdomains, an IP address or a network. Nothing of the list is used until every line is right."

    EntryExpired 405 "An entry has expired"
        "The date after `until` has passed, so the entry no longer holds. Renew it or remove it."

    SecretMissing 501 "A secret is not there"
        "The variable, file or credential that holds the secret does not exist or is empty. Secrets are named as `env:NAME`, `file:PATH` or `credential:NAME` (systemd's LoadCredential=), never written into the configuration."
    SecretInClear 502 "A secret stands in the configuration"
        "Configuration is read, copied, compared and kept in revisions, so secrets do not belong in it. Name where the secret is kept: `env:NAME`, `file:PATH` or `credential:NAME`."

    FaxTrustUnrestrained 601 "Trusted fax domains without a restraint"
        "Anyone could send faxes in the name of a trusted domain. Say which mail servers may deliver (`mail-server-white-list`), or have SPF confirm the sender (`spoofing-protection on softfail reject`), or both."
    FaxSourcesOpen 602 "Faxes are accepted from every mail server"
        "The Mail Server White List is empty and Spoofing Protection is off, so whoever knows a user's address can send faxes in that name."
    FaxNumber 603 "A telephone number or country cannot be"
        "Numbers are written nationally, as in the `country` of the account, or internationally with `+`; beginnings of numbers always with `+`. Emergency, premium-rate and satellite numbers cannot be one's own."
    FaxTransportUnused 604 "A fax transport that is never used"
        "No fax can ever go this way: the numbers it is for are denied or not among `allow-numbers`, or the same transport stands on an earlier line."
    FaxNumbersUnserved 605 "Some fax numbers have no transport"
        "Every transport of the account is limited to some numbers. A fax to any other waits, says that there is no transport, and is given up after a day. Write one transport without `for`, or let `allow-numbers` name only what there is a transport for."
    FaxTransportLoop 606 "A fax transport that leads back to this server"
        "The off-ramp's domain belongs to a fax account of this server, so a fax mailed there would come back as a fax. Name the domain of the server that has the telephone line."
    FaxProviderSilent 607 "A fax provider that tells nothing"
        "Nobody would know what became of a fax. Let the provider be asked (leave `status off` out), or let it tell by webhooks: `callback`, `webhook-secret`, and a listener with `protocol webhooks`. Webhooks that are not signed are not believed."
    FaxProviderClear 608 "Fax pages in the clear"
        "The pages of a fax go to a provider by `https` only, and so do its webhooks. `http` is for a server on this very machine."
    FaxPagesPrivate 609 "Pages in notices of a private account"
        "`subject private` keeps everything about the content out of notices, and pages are all content. Write one or the other."
    FaxCoverTemplate 610 "A template of a cover page is wrong"
        "Each line of a template is `title LEFT | RIGHT`, `field LABEL | VALUE`, `rule`, `body`, `notice TEXT`, a comment with `#`, or empty. The manual says what may stand between braces."
    FaxRouteTrusted 611 "A fax is given to someone who is no user"
        "Senders of a trusted domain may send faxes and nothing else. Who gets faxes is a `user` of the account, or of a domain that is not among its `trusted-domains`."
    FaxQuotaByNetwork 612 "A quota of faxes chooses by network"
        "Faxes and pages are counted for the address in MAIL FROM, and pages once the client has gone. Choose by `accounts`, `groups` or a table of addresses, or put the limits of faxes into a quota of their own."
    FaxFont 613 "A font for faxes is none"
        "`fonts` names font files one by one: TrueType (`.ttf`), OpenType (`.otf`) or a collection (`.ttc`), at most eight. Web fonts (`.woff`) have to be unpacked first."
    FaxGateway 614 "A fax gateway that cannot be reached so"
        "A SIP gateway answers to the address that it is told, so `listen` is one address of this machine and no wildcard; and the packets of calls need at least one port. `every`, `called`, `caller` and `delete` are about files that HylaFAX has received; a call by T.38 tells both numbers itself, and leaves no file elsewhere."
    FaxQuotaOfAccount 615 "A quota of fax accounts that holds something else"
        "A quota `for fax-accounts` counts faxes and pages of all who fax by an account together. It names accounts that are configured, limits `faxes` and `pages` and nothing else, and names no senders beside them; who sends may still be left out with `except`."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{:03}", self.number())
    }
}

impl Code {
    /// The code written as `C101` or `c101`.
    pub fn find(text: &str) -> Option<Self> {
        let number: u16 = text.strip_prefix(['C', 'c'])?.parse().ok()?;
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }
}

/// The page behind a code, in Markdown, for `mailkeep help C101`.
pub fn explain_code(code: &str) -> Option<String> {
    let code = Code::find(code)?;
    Some(format!("# {code}: {}\n\n{}\n", code.title(), code.explanation()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_ordered_and_unique() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.number() < b.number()));
    }

    #[test]
    fn a_code_is_found_by_what_the_diagnostic_shows() {
        assert_eq!(Code::UnknownDirective.to_string(), "C101");
        assert_eq!(Code::find("C007"), Some(Code::BraceNotClosed));
        assert_eq!(Code::find("C999"), None);
        assert!(explain_code("c101").unwrap().starts_with("# C101: A directive"));
    }
}
