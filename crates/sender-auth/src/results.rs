//! The fields that say what was found: Authentication-Results (RFC 8601) and Received-SPF
//! (RFC 7208 section 9.1), written and read.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::{Outcome, arc, dkim, dmarc, spf};

/// The name of the field that carries results.
pub const RESULTS: &str = "Authentication-Results";
/// The name of the field of SPF alone.
pub const RECEIVED_SPF: &str = "Received-SPF";
/// The longest reason that is written, in characters.
const REASON_MAX: usize = 200;

/// Everything that was found about one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// SPF of the reverse-path; of the HELO name where the reverse-path is null.
    pub spf: Option<spf::Finding>,
    /// SPF of the HELO name.
    pub spf_helo: Option<spf::Finding>,
    /// Each signature, the topmost first.
    pub dkim: Vec<dkim::Finding>,
    /// Signatures were looked for, though there may be none.
    pub dkim_checked: bool,
    /// The author's domain.
    pub dmarc: Option<dmarc::Finding>,
    /// The chain of handlers.
    pub arc: Option<arc::Finding>,
}

/// What the fields say of the session.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// The name under which results are written.
    pub authserv_id: &'a str,
    /// This server's name.
    pub receiver: &'a str,
    /// The address of the client.
    pub client: IpAddr,
    /// What it said in EHLO or HELO.
    pub helo: &'a str,
    /// The reverse-path, empty for the null one.
    pub mail_from: &'a str,
}

impl Findings {
    /// The Authentication-Results field with its CRLF; `first` are results of others, such
    /// as `auth=pass smtp.auth=ann@example.com`.
    pub fn results_field(&self, session: &Session<'_>, first: &[String]) -> String {
        let mut parts: Vec<String> = first.to_vec();
        for finding in self.spf.iter().chain(&self.spf_helo) {
            parts.push(spf_result(finding, session));
        }
        if self.dkim_checked && self.dkim.is_empty() {
            parts.push("dkim=none".to_owned());
        }
        parts.extend(self.dkim.iter().map(dkim_result));
        parts.extend(self.arc.iter().map(|finding| arc_result(finding, session)));
        parts.extend(self.dmarc.iter().map(dmarc_result));
        let mut field = format!("{RESULTS}: {}", session.authserv_id);
        if parts.is_empty() {
            field.push_str("; none");
        }
        for part in parts {
            field.push_str(";\r\n\t");
            field.push_str(&part);
        }
        field.push_str("\r\n");
        field
    }

    /// The Received-SPF fields with their CRLF: that of the reverse-path first.
    pub fn received_spf(&self, session: &Session<'_>) -> String {
        let mut fields = String::new();
        for finding in self.spf.iter().chain(&self.spf_helo) {
            let comment = comment(&sentence(finding, session));
            // Writing to a String cannot fail.
            let _ = write!(
                fields,
                "{RECEIVED_SPF}: {} ({comment})\r\n\treceiver={}; identity={};\r\n\tclient-ip={}; \
                 helo={};\r\n\tenvelope-from={}",
                finding.outcome,
                value(session.receiver),
                finding.identity.word(),
                session.client.to_canonical(),
                value(session.helo),
                value(session.mail_from),
            );
            if let Some(term) = &finding.term {
                let _ = write!(fields, ";\r\n\tmechanism={}", value(term));
            }
            if let Some(problem) = &finding.problem {
                let _ = write!(fields, ";\r\n\tproblem={}", value(problem));
            }
            fields.push_str("\r\n");
        }
        fields
    }
}

/// What SPF found, for people.
pub fn sentence(finding: &spf::Finding, session: &Session<'_>) -> String {
    let (domain, client) = (&finding.domain, session.client.to_canonical());
    match finding.outcome {
        Outcome::Pass => format!("{domain} lets {client} send for it"),
        Outcome::Fail => format!("{domain} does not let {client} send for it"),
        Outcome::SoftFail => format!("{domain} rather does not let {client} send for it"),
        Outcome::Neutral | Outcome::Policy => {
            format!("{domain} does not say whether {client} sends for it")
        }
        Outcome::None => format!("{domain} has no SPF record"),
        Outcome::TempError => format!("the SPF record of {domain} could not be had from DNS"),
        Outcome::PermError => format!("the SPF record of {domain} cannot be used"),
    }
}

fn spf_result(finding: &spf::Finding, session: &Session<'_>) -> String {
    let mut text = format!("spf={} ({})", finding.outcome, comment(&sentence(finding, session)));
    if let Some(reason) = finding.explanation.as_ref().or(finding.problem.as_ref()) {
        text.push_str(&reason_tag(reason));
    }
    match finding.identity {
        spf::Identity::MailFrom => {
            let _ = write!(text, " smtp.mailfrom={}", value(session.mail_from));
        }
        spf::Identity::Helo => {
            let _ = write!(text, " smtp.helo={}", value(session.helo));
        }
    }
    text
}

fn dkim_result(finding: &dkim::Finding) -> String {
    let mut text = format!("dkim={}", finding.outcome());
    if let Some(reason) = &finding.reason {
        text.push_str(&reason_tag(reason));
    }
    for (name, known) in [
        ("d", &finding.domain),
        ("i", &finding.identity),
        ("s", &finding.selector),
        ("a", &finding.algorithm),
        ("b", &finding.start),
    ] {
        if let Some(known) = known {
            let _ = write!(text, " header.{name}={}", value(known));
        }
    }
    text
}

fn dmarc_result(finding: &dmarc::Finding) -> String {
    let mut text = format!("dmarc={}", finding.outcome);
    if let Some(policy) = finding.policy {
        let _ = write!(text, " (p={} dis={}", policy.word(), finding.disposition.word());
        if let Some(exception) = finding.exception {
            let _ = write!(text, " because={}", exception.word());
        }
        text.push(')');
    }
    if let Some(reason) = &finding.reason {
        text.push_str(&reason_tag(reason));
    }
    if !finding.domain.is_empty() {
        let _ = write!(text, " header.from={}", value(&finding.domain));
    }
    if let Some(domain) = &finding.policy_domain {
        let _ = write!(text, " policy.published-domain-policy={}", value(domain));
    }
    text
}

fn arc_result(finding: &arc::Finding, session: &Session<'_>) -> String {
    let mut text = format!("arc={}", finding.outcome);
    if let Some(latest) = finding.sealers.last() {
        let _ = write!(text, " (i={} by {})", finding.sealers.len(), comment(latest));
    }
    if let Some(reason) = &finding.reason {
        text.push_str(&reason_tag(reason));
    }
    if finding.outcome != Outcome::None {
        let client = session.client.to_canonical().to_string();
        let _ = write!(text, " smtp.remote-ip={}", value(&client));
    }
    text
}

fn reason_tag(reason: &str) -> String {
    let short: String = reason.chars().take(REASON_MAX).collect();
    format!("\r\n\treason={}", quoted(&short))
}

/// A value as it is if it is a token or an address, else in quotes (RFC 2045 section 5.1).
fn value(text: &str) -> String {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~@".contains(c);
    if !text.is_empty() && text.chars().all(token) { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A text that can stand in a comment.
fn comment(text: &str) -> String {
    let safe = |c: char| if c.is_control() || "()\\".contains(c) { '?' } else { c };
    text.chars().map(safe).take(REASON_MAX).collect()
}

/// The name under which a field claims to have been written: the `authserv-id`, without
/// quotes and past any comment (RFC 8601 section 2.2).
pub fn authserv_id(value: &str) -> Option<String> {
    let mut rest = value.trim_start();
    while let Some(inner) = rest.strip_prefix('(') {
        let mut depth = 1;
        let mut escaped = false;
        let end = inner.find(|c| {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        rest = inner[end + 1..].trim_start();
    }
    if let Some(inner) = rest.strip_prefix('"') {
        let mut name = String::new();
        let mut chars = inner.chars();
        loop {
            match chars.next()? {
                '"' => return Some(name),
                '\\' => name.push(chars.next()?),
                c => name.push(c),
            }
        }
    }
    let end = rest.find([';', ' ', '\t', '\r', '\n', '(']).unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].to_owned())
}

/// The server that a Received-SPF field claims to have been written by (`receiver=`).
pub fn receiver(value: &str) -> Option<&str> {
    value.split(|c: char| c.is_whitespace() || "();".contains(c)).find_map(|word| {
        let (name, value) = word.split_once('=')?;
        name.eq_ignore_ascii_case("receiver").then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const SESSION: Session<'_> = Session {
        authserv_id: "mail.test",
        receiver: "mx.mail.test",
        client: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        helo: "mail server",
        mail_from: "ann smith@bank.example",
    };

    fn findings() -> Findings {
        let spf = spf::Finding {
            identity: spf::Identity::MailFrom,
            domain: "bank.example".into(),
            outcome: Outcome::Fail,
            term: Some("-all".into()),
            problem: None,
            explanation: Some("See \"http://x\"\r\n".into()),
        };
        let helo = spf::Finding {
            identity: spf::Identity::Helo,
            domain: "mail server".into(),
            outcome: Outcome::None,
            term: None,
            explanation: None,
            ..spf.clone()
        };
        let dkim = dkim::Finding {
            outcome: Some(Outcome::Pass),
            domain: Some("bank.example".into()),
            selector: Some("s1".into()),
            algorithm: Some("rsa-sha256".into()),
            start: Some("ab+/cd==".into()),
            ..dkim::Finding::default()
        };
        Findings {
            spf: Some(spf),
            spf_helo: Some(helo),
            dkim: vec![dkim],
            dkim_checked: true,
            dmarc: None,
            arc: Some(arc::Finding {
                outcome: Outcome::Fail,
                sealers: vec!["list.example".into()],
                results: vec![],
                reason: Some("i=1: the seal does not fit".into()),
            }),
        }
    }

    #[test]
    fn results_are_written_so_that_people_and_programs_can_read_them() {
        let field = findings().results_field(&SESSION, &[]).replace('\r', "");
        expect![[r#"
            Authentication-Results: mail.test;
            	spf=fail (bank.example does not let 192.0.2.1 send for it)
            	reason="See \"http://x\"??" smtp.mailfrom="ann smith@bank.example";
            	spf=none (mail server has no SPF record) smtp.helo="mail server";
            	dkim=pass header.d=bank.example header.s=s1 header.a=rsa-sha256 header.b="ab+/cd==";
            	arc=fail (i=1 by list.example)
            	reason="i=1: the seal does not fit" smtp.remote-ip=192.0.2.1
        "#]]
        .assert_eq(&field);
        let nothing = Findings::default().results_field(&SESSION, &[]);
        assert_eq!(nothing, "Authentication-Results: mail.test; none\r\n");
        let none = Findings { dkim_checked: true, ..Findings::default() };
        assert!(none.results_field(&SESSION, &[]).contains("dkim=none"));
    }

    #[test]
    fn received_spf_names_who_was_checked() {
        let fields = findings().received_spf(&SESSION).replace('\r', "");
        expect![[r#"
            Received-SPF: fail (bank.example does not let 192.0.2.1 send for it)
            	receiver=mx.mail.test; identity=mailfrom;
            	client-ip=192.0.2.1; helo="mail server";
            	envelope-from="ann smith@bank.example";
            	mechanism=-all
            Received-SPF: none (mail server has no SPF record)
            	receiver=mx.mail.test; identity=helo;
            	client-ip=192.0.2.1; helo="mail server";
            	envelope-from="ann smith@bank.example"
        "#]]
        .assert_eq(&fields);
    }

    #[test]
    fn the_receiver_is_found_behind_any_comment() {
        let field = findings().received_spf(&SESSION);
        assert_eq!(receiver(field.split_once(':').unwrap().1), Some("mx.mail.test"));
        assert_eq!(receiver("pass (x) Receiver=\"a.test\";client-ip=1"), Some("a.test"));
        assert_eq!(receiver("pass"), None);
    }

    #[test]
    fn whoever_claims_to_have_written_results_is_found() {
        for (value, name) in [
            ("mail.test; none", Some("mail.test")),
            (" \t(a (b) \\) c) mail.test 1; spf=pass", Some("mail.test")),
            ("\"mail.te\\st\" ; none", Some("mail.test")),
            ("mail.test(x)", Some("mail.test")),
            ("; none", None),
            ("", None),
            ("(open", None),
        ] {
            assert_eq!(authserv_id(value).as_deref(), name, "{value}");
        }
    }
}
