//! The `Received` field: how a message came here (RFC 5321 section 4.4).

use std::net::IpAddr;

use crate::header::NewField;
use crate::{Address, Domain, Timestamp, TraceId};

/// The longest name a peer gives itself that is kept, in octets.
const HELO_MAX_OCTETS: usize = 255;
/// The longest cipher suite or group name that is kept, in octets.
const TLS_NAME_MAX_OCTETS: usize = 64;

/// How a message came in, for the `with` clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protocol {
    /// LMTP (RFC 2033), not SMTP.
    pub lmtp: bool,
    /// The peer greeted with EHLO.
    pub extended: bool,
    /// The transaction asked for SMTPUTF8.
    pub smtputf8: bool,
    /// TLS was active.
    pub tls: bool,
    /// The peer authenticated.
    pub authenticated: bool,
}

impl Protocol {
    /// The registered keyword, such as `ESMTPSA` (RFC 3848, RFC 6531 section 4.3).
    pub fn keyword(self) -> &'static str {
        let (tls, auth) = (self.tls, self.authenticated);
        let of = |words: [&'static str; 4]| words[usize::from(tls) * 2 + usize::from(auth)];
        match (self.lmtp, self.smtputf8, self.extended) {
            (true, true, _) => of(["UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"]),
            (true, false, _) => of(["LMTP", "LMTPA", "LMTPS", "LMTPSA"]),
            (false, true, _) => of(["UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"]),
            (false, false, true) => of(["ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"]),
            (false, false, false) => of(["SMTP", "ESMTPA", "ESMTPS", "ESMTPSA"]),
        }
    }
}

/// The TLS session a message came over, for the `tls` clause (RFC 8314 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsClause<'a> {
    /// For people: `TLS 1.3`.
    pub version: &'a str,
    /// The cipher suite by its IANA name, such as `TLS_AES_256_GCM_SHA384`.
    pub suite: &'a str,
    /// The key exchange group by its IANA name, such as `X25519MLKEM768`.
    pub group: Option<&'a str>,
}

/// What a `Received` field says.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The name the peer gave itself in HELO or EHLO, as given; it is cleaned here.
    pub helo: &'a str,
    /// The peer's address; `None` where it shall not be shown.
    pub client: Option<IpAddr>,
    /// The name of that address in DNS, where forward and reverse agree.
    pub client_name: Option<&'a Domain>,
    /// This host.
    pub by: &'a Domain,
    /// How it came.
    pub protocol: Protocol,
    /// The TLS session, if there was one.
    pub tls: Option<TlsClause<'a>>,
    /// The name of the message here.
    pub id: TraceId,
    /// The recipient, only if the transaction has exactly one: others must not be shown
    /// to each other (RFC 5321 section 7.6).
    pub recipient: Option<&'a Address>,
    /// When it came.
    pub at: Timestamp,
}

impl Received<'_> {
    /// The field, folded, with no more of the peer's words than is safe.
    pub fn to_field(&self) -> NewField {
        let mut pieces = vec!["from".to_owned(), clean(self.helo, HELO_MAX_OCTETS)];
        match (self.client_name, self.client) {
            (Some(name), Some(client)) => {
                pieces.push(format!("({name}"));
                pieces.push(format!("{})", literal(client)));
            }
            (None, Some(client)) => pieces.push(format!("({})", literal(client))),
            (_, None) => {}
        }
        let mut words = |text: &[&str]| pieces.extend(text.iter().map(ToString::to_string));
        words(&["by", self.by.as_str(), "with", self.protocol.keyword()]);
        words(&["id", &self.id.to_string()]);
        if let Some(recipient) = self.recipient.filter(|r| !r.needs_smtputf8()) {
            words(&["for", &format!("<{recipient}>")]);
        }
        if let Some(tls) = self.tls {
            words(&["tls", &clean(tls.suite, TLS_NAME_MAX_OCTETS)]);
            if let Some(group) = tls.group {
                words(&["group", &clean(group, TLS_NAME_MAX_OCTETS)]);
            }
            let version = tls.version.split(' ').map(|word| clean(word, TLS_NAME_MAX_OCTETS));
            words(&[&format!("({})", version.collect::<Vec<_>>().join(" "))]);
        }
        if let Some(last) = pieces.last_mut() {
            last.push(';');
        }
        pieces.push(self.at.to_rfc5322());
        NewField::folded("Received", pieces.iter().map(String::as_str))
    }
}

fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// A peer's word with only the characters of names and literals.
fn clean(word: &str, limit: usize) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    let cleaned: String = word.chars().take(limit).map(|c| if safe(c) { c } else { '?' }).collect();
    if cleaned.is_empty() { "unknown".to_owned() } else { cleaned }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn by() -> Domain {
        Domain::parse("mx.clinic.example").unwrap()
    }

    fn received<'a>(by: &'a Domain, helo: &'a str) -> Received<'a> {
        Received {
            helo,
            client: Some([192, 0, 2, 8].into()),
            client_name: None,
            by,
            protocol: Protocol { extended: true, ..Protocol::default() },
            tls: None,
            id: TraceId::from_bytes([7; 16]),
            recipient: None,
            at: Timestamp(1_772_445_731_042),
        }
    }

    #[test]
    fn the_field_says_how_the_message_came() {
        let by = by();
        let name = Domain::parse("mail.partner.example").unwrap();
        let ann = Address::parse("ann@clinic.example").unwrap();
        let mut received = received(&by, "client.partner.example");
        received.client_name = Some(&name);
        received.recipient = Some(&ann);
        received.protocol.tls = true;
        received.protocol.authenticated = true;
        received.tls = Some(TlsClause {
            version: "TLS 1.3",
            suite: "TLS_AES_256_GCM_SHA384",
            group: Some("X25519MLKEM768"),
        });
        expect![[r"
            Received: from client.partner.example (mail.partner.example [192.0.2.8]) by
            	mx.clinic.example with ESMTPSA id 070W3GE1R70W3GE1R70W3GE1R7 for
            	<ann@clinic.example> tls TLS_AES_256_GCM_SHA384 group X25519MLKEM768
            	(TLS 1.3); Mon, 02 Mar 2026 10:02:11 +0000
        "]]
        .assert_eq(&received.to_field().as_str().replace('\r', ""));
    }

    #[test]
    fn a_hello_cannot_forge_a_field() {
        let by = by();
        let field = received(&by, "x (evil)\r\nX-Forged: 1\r\n\r\n").to_field();
        expect![[r"
            Received: from x??evil???X-Forged:?1???? ([192.0.2.8]) by mx.clinic.example
            	with ESMTP id 070W3GE1R70W3GE1R70W3GE1R7; Mon, 02 Mar 2026 10:02:11 +0000
        "]]
        .assert_eq(&field.as_str().replace('\r', ""));
        assert!(received(&by, "").to_field().as_str().contains("from unknown ("));
    }

    #[test]
    fn the_keyword_is_the_registered_one() {
        let p = |lmtp, smtputf8, extended, tls, authenticated| {
            Protocol { lmtp, extended, smtputf8, tls, authenticated }.keyword()
        };
        assert_eq!(p(false, false, false, false, false), "SMTP");
        assert_eq!(p(false, false, true, false, false), "ESMTP");
        assert_eq!(p(false, false, true, true, true), "ESMTPSA");
        assert_eq!(p(false, false, true, false, true), "ESMTPA");
        assert_eq!(p(false, true, true, true, false), "UTF8SMTPS");
        assert_eq!(p(true, false, true, true, false), "LMTPS");
        assert_eq!(p(true, true, true, false, false), "UTF8LMTP");
    }

    proptest! {
        #[test]
        fn lines_stay_short_for_names_of_usual_length(helo in "\\PC{0,40}") {
            let by = by();
            let field = received(&by, &helo).to_field();
            prop_assert!(field.as_str().is_ascii());
            prop_assert!(field.as_str().lines().all(|line| line.len() <= 78));
        }
    }
}
