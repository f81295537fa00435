//! A report as a message (RFC 7489 section 7.2.1.1).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use mail::{Address, Domain, Timestamp};

use crate::report::Report;

/// Columns of base64.
const COLUMNS: usize = 76;

/// What a message with a report needs to be told.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'l> {
    /// The report.
    pub report: &'l Report,
    /// Its XML, packed by [`gzip`](crate::gzip).
    pub packed: &'l [u8],
    /// Whose host sends it.
    pub submitter: &'l Domain,
    /// Who writes.
    pub from: &'l Address,
    /// To whom.
    pub to: &'l Address,
    /// The name of the message.
    pub message_id: &'l str,
    /// Now.
    pub at: Timestamp,
}

/// The name of the file: `receiver!domain!begin!end.xml.gz`.
pub fn file_name(submitter: &Domain, report: &Report) -> String {
    format!("{submitter}!{}!{}!{}.xml.gz", report.policy.domain, report.begin, report.end)
}

impl Letter<'_> {
    /// The message.
    pub fn compose(&self) -> Vec<u8> {
        let Self { report, packed, submitter, from, to, message_id, at } = self;
        let domain = &report.policy.domain;
        let file = file_name(submitter, report);
        let boundary = format!("=_{}", message_id.replace(['@', '<', '>'], "_"));
        let mut text = format!(
            "From: {from}\r\nTo: {to}\r\nDate: {}\r\nMessage-ID: <{message_id}>\r\n\
             Subject: Report Domain: {domain}\r\n Submitter: {submitter}\r\n \
             Report-ID: <{}>\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             This is a DMARC aggregate report about {domain} from {submitter}:\r\n\
             {} messages, {} of them passed.\r\n\r\n\
             --{boundary}\r\nContent-Type: application/gzip\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n filename=\"{file}\"\r\n\r\n",
            at.to_rfc5322(),
            report.id,
            report.messages(),
            report.passed(),
        );
        let encoded = BASE64_STANDARD.encode(packed);
        for line in encoded.as_bytes().chunks(COLUMNS) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push_str("\r\n");
        }
        text.push_str(&format!("--{boundary}--\r\n"));
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, gzip, of_message, write};

    #[test]
    fn a_report_arrives_as_it_was_sent() {
        let report = Report {
            organisation: "mail.example".to_owned(),
            email: "postmaster@mail.example".to_owned(),
            id: "1".to_owned(),
            begin: 0,
            end: 86_399,
            policy: Policy {
                domain: "clinic.example".to_owned(),
                p: "none".to_owned(),
                sp: "none".to_owned(),
                pct: "100".to_owned(),
                fo: "0".to_owned(),
                ..Policy::default()
            },
            rows: Vec::new(),
        };
        let packed = gzip(&write(&report)).unwrap();
        let (submitter, from) =
            (Domain::parse("mail.example").unwrap(), Address::parse("p@mail.example").unwrap());
        let letter = Letter {
            report: &report,
            packed: &packed,
            submitter: &submitter,
            from: &from,
            to: &Address::parse("dmarc@clinic.example").unwrap(),
            message_id: "01J@mail.example",
            at: Timestamp(0),
        };
        let message = letter.compose();
        assert_eq!(of_message(&message).unwrap(), report);
        let text = String::from_utf8(message).unwrap();
        assert!(text.contains("mail.example!clinic.example!0!86399.xml.gz"), "{text}");
        let subject = "Subject: Report Domain: clinic.example\r\n Submitter: mail.example\r\n Report-ID: <1>\r\n";
        assert!(text.contains(subject), "{text}");
    }
}
