//! The questions of [`sender_auth`] put to the same resolver, with its cache and its limits.

use std::net::IpAddr;

use hickory_proto::dnssec::Proof;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::net::{DnsError, NetError};
use mail::Domain;
use sender_auth::{Asking, Dns, Lack, Question, Record};

use super::Resolver;

/// The most records of one answer that are looked at.
pub const RECORDS_MAX: usize = 256;

impl Dns for Resolver {
    fn ask<'a>(&'a self, name: &'a str, question: Question) -> Asking<'a> {
        Box::pin(async move {
            if let Some(known) = self.configured(name, question) {
                return known;
            }
            let kind = match question {
                Question::A => RecordType::A,
                Question::Aaaa => RecordType::AAAA,
                Question::Mx => RecordType::MX,
                Question::Txt => RecordType::TXT,
                Question::Ptr => RecordType::PTR,
            };
            // Labels as they are: a name made from a macro holds more than letters.
            let labels = name.split('.').map(str::as_bytes);
            let mut fqdn = Name::from_labels(labels).map_err(|_| Lack::NoSuchName)?;
            fqdn.set_fqdn(true);
            let lookup = self.inner.dns.lookup(fqdn, kind).await.map_err(lack)?;
            let answers = lookup.answers();
            if answers.iter().any(|record| record.proof == Proof::Bogus) {
                return Err(Lack::Temporary("a DNSSEC signature does not validate".to_owned()));
            }
            let found: Vec<Record> =
                answers.iter().filter_map(|found| record(&found.data, question)).collect();
            match found.len() {
                0 => Err(Lack::NoRecords),
                1..=RECORDS_MAX => Ok(found),
                _ => Ok(found.into_iter().take(RECORDS_MAX).collect()),
            }
        })
    }
}

impl Resolver {
    /// What the configuration says of the addresses of a name, if it names it.
    fn configured(&self, name: &str, question: Question) -> Option<Result<Vec<Record>, Lack>> {
        if !matches!(question, Question::A | Question::Aaaa) || self.inner.hosts.is_empty() {
            return None;
        }
        let addresses = self.inner.hosts.get(&Domain::parse(name).ok()?)?;
        let of_kind = |ip: &IpAddr| match (ip, question) {
            (IpAddr::V4(v4), Question::A) => Some(Record::A(*v4)),
            (IpAddr::V6(v6), Question::Aaaa) => Some(Record::Aaaa(*v6)),
            _ => None,
        };
        let found: Vec<Record> = addresses.iter().filter_map(of_kind).collect();
        Some(if found.is_empty() { Err(Lack::NoRecords) } else { Ok(found) })
    }
}

/// A record, if it is of the kind that was asked for.
fn record(data: &RData, question: Question) -> Option<Record> {
    match (data, question) {
        (RData::A(a), Question::A) => Some(Record::A(a.0)),
        (RData::AAAA(aaaa), Question::Aaaa) => Some(Record::Aaaa(aaaa.0)),
        (RData::MX(mx), Question::Mx) => Some(Record::Mx(mx.preference, text(&mx.exchange))),
        (RData::TXT(txt), Question::Txt) => {
            Some(Record::Txt(txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect()))
        }
        (RData::PTR(ptr), Question::Ptr) => Some(Record::Ptr(text(&ptr.0))),
        _ => None,
    }
}

/// A name as labels between dots; octets that no name of a host has become `?`.
fn text(name: &Name) -> String {
    let label = |label: &[u8]| -> String {
        let shown = |b: &u8| if b.is_ascii_graphic() && *b != b'.' { char::from(*b) } else { '?' };
        label.iter().map(shown).collect()
    };
    name.iter().map(label).collect::<Vec<_>>().join(".")
}

fn lack(error: NetError) -> Lack {
    let by_code = |code: ResponseCode| match code {
        ResponseCode::NXDomain => Lack::NoSuchName,
        ResponseCode::NoError => Lack::NoRecords,
        other => Lack::Temporary(format!("the server answered {other}")),
    };
    match &error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => by_code(none.response_code),
        NetError::Dns(DnsError::Nsec { response, proof, .. }) => match proof {
            Proof::Secure | Proof::Insecure => by_code(response.response_code),
            Proof::Bogus | Proof::Indeterminate => {
                Lack::Temporary("the denial of existence does not validate".to_owned())
            }
        },
        _ => Lack::Temporary(error.to_string()),
    }
}
