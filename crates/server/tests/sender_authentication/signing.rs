//! A signer of the tests' own, so that what verifies is not judged by itself. Every tag can
//! be set, also wrongly.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::prelude::{BASE64_STANDARD, Engine as _};

/// A key to sign with.
pub enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")))
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().expect("a key"))
    }

    /// Its `p=`.
    pub fn public(&self) -> String {
        BASE64_STANDARD.encode(match self {
            Self::Rsa(pair) => {
                let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
                    pair.public_key().as_der().expect("a public key");
                der.as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        })
    }

    /// Its record.
    pub fn record(&self) -> String {
        let kind = match self {
            Self::Rsa(_) => "rsa",
            Self::Ed25519(_) => "ed25519",
        };
        format!("v=DKIM1; k={kind}; p={}", self.public())
    }

    fn sign(&self, data: &[u8]) -> String {
        BASE64_STANDARD.encode(match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, data, &mut signature).expect("a signature");
                signature
            }
            Self::Ed25519(pair) => pair.sign(digest(&SHA256, data).as_ref()).as_ref().to_vec(),
        })
    }
}

/// Puts a signature before `message`: a field `name` with `tags`, to which `bh=` (unless it
/// is among them) and `b=` are added.
pub fn sign(message: &str, name: &str, tags: &str, key: &Key) -> String {
    let (head, body) = message.split_once("\r\n\r\n").expect("a header and a body");
    let fields = fields(head);
    let tag = |wanted: &str| {
        let mut tags = tags.split(';').filter_map(|tag| tag.split_once('='));
        tags.find(|(known, _)| known.trim() == wanted).map(|(_, value)| value.trim())
    };
    let (header_form, body_form) = match tag("c") {
        Some(both) => both.split_once('/').unwrap_or((both, "simple")),
        None if name == "DKIM-Signature" => ("simple", "simple"),
        None => ("relaxed", "relaxed"),
    };
    let mut body = canonical_body(body, body_form == "relaxed");
    if let Some(length) = tag("l").and_then(|length| length.parse().ok()) {
        body.truncate(length);
    }
    let hash = BASE64_STANDARD.encode(digest(&SHA256, body.as_bytes()).as_ref());
    let hash = if tag("bh").is_some() { String::new() } else { format!("; bh={hash}") };
    let value = format!(" {tags}{hash}; b=");
    let mut data = String::new();
    let mut used = vec![false; fields.len()];
    for wanted in tag("h").unwrap_or_default().split(':').map(str::trim) {
        let found = (0..fields.len())
            .rev()
            .find(|at| !used[*at] && fields[*at].0.trim().eq_ignore_ascii_case(wanted));
        if let Some(at) = found {
            used[at] = true;
            data.push_str(&canonical_field(&fields[at], header_form == "relaxed"));
        }
    }
    data.push_str(&canonical_field(&(name, &value), header_form == "relaxed"));
    let signature = key.sign(data.trim_end_matches("\r\n").as_bytes());
    format!("{name}:{value}{signature}\r\n{message}")
}

/// Puts a set of ARC before `message`, whose sets before `number` are there already.
pub struct Set<'a> {
    pub number: usize,
    pub results: &'a str,
    /// More tags of the message's signature, after `i a c d s h`.
    pub message_tags: &'a str,
    /// More tags of the seal, after `i a d s`.
    pub seal_tags: &'a str,
    pub domain: &'a str,
}

impl Set<'_> {
    /// The usual one.
    pub fn of(number: usize) -> Self {
        let seal_tags = if number == 1 { "cv=none" } else { "cv=pass" };
        let message_tags = "c=relaxed/relaxed; h=from:subject";
        Set { number, results: "list.test; dmarc=pass", message_tags, seal_tags, domain: "s.test" }
    }

    pub fn seal(&self, message: &str, key: &Key) -> String {
        let Self { number, results, message_tags, seal_tags, domain } = self;
        let tags = format!("i={number}; a=rsa-sha256; d={domain}; s=r; {message_tags}");
        let signed = sign(message, "ARC-Message-Signature", &tags, key);
        let results = format!("ARC-Authentication-Results: i={number}; {results}\r\n");
        let message = format!("{results}{signed}");
        let head = message.split_once("\r\n\r\n").expect("a header").0;
        let all = fields(head);
        let mut data = String::new();
        let of = |name: &str, number: usize| {
            all.iter().find(|(known, value)| {
                let first = value.split(';').next().unwrap_or_default();
                known.eq_ignore_ascii_case(name) && first.trim() == format!("i={number}")
            })
        };
        for set in 1..=*number {
            for name in ["ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"] {
                if let Some(field) = of(name, set) {
                    data.push_str(&canonical_field(field, true));
                }
            }
        }
        let value = format!(" i={number}; a=rsa-sha256; d={domain}; s=r; {seal_tags}; b=");
        data.push_str(&canonical_field(&("ARC-Seal", &value), true));
        let signature = key.sign(data.trim_end_matches("\r\n").as_bytes());
        format!("ARC-Seal:{value}{signature}\r\n{message}")
    }
}

/// Names and values as they stand, folding and all.
fn fields(head: &str) -> Vec<(&str, &str)> {
    let mut fields = Vec::new();
    let mut start = 0;
    let ends = head.match_indices("\r\n").map(|(at, _)| at).chain([head.len()]);
    for end in ends {
        let next = head[end..].strip_prefix("\r\n").unwrap_or_default();
        if !next.starts_with([' ', '\t']) {
            fields.extend(head[start..end].split_once(':'));
            start = end + 2;
        }
    }
    fields
}

fn canonical_field((name, value): &(&str, &str), relaxed: bool) -> String {
    if relaxed {
        let words: Vec<&str> = value.split_whitespace().collect();
        format!("{}:{}\r\n", name.trim().to_lowercase(), words.join(" "))
    } else {
        format!("{name}:{value}\r\n")
    }
}

fn canonical_body(body: &str, relaxed: bool) -> String {
    let mut lines: Vec<String> = body.split("\r\n").map(str::to_owned).collect();
    if relaxed {
        for line in &mut lines {
            let lead = if line.starts_with([' ', '\t']) { " " } else { "" };
            let words: Vec<&str> = line.split([' ', '\t']).filter(|w| !w.is_empty()).collect();
            *line =
                if words.is_empty() { String::new() } else { format!("{lead}{}", words.join(" ")) };
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    match (lines.is_empty(), relaxed) {
        (true, true) => String::new(),
        (true, false) => "\r\n".to_owned(),
        (false, _) => lines.join("\r\n") + "\r\n",
    }
}
