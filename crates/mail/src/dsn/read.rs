//! A delivery status notification that came, read (RFC 3464, RFC 6522). It is a stranger's
//! text: what is too long or too much is cut, what makes no sense is no report.

use super::{RECIPIENTS_MAX, REMOTE_TEXT_MAX_CHARS, clean};
use crate::Status;
use crate::attachment::ContentField;
use crate::header::Header;

/// The parts of a message that are looked at; the report is the second (RFC 6522 section 3).
const PARTS_MAX: usize = 16;
/// The longest line that can be the end of a part, in octets.
const BOUNDARY_MAX_OCTETS: usize = 200;

/// What another server says became of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Our own name for the transaction, as `ENVID` gave it.
    pub envid: Option<String>,
    /// The host that reports, without the kind of its name.
    pub reporting_mta: Option<String>,
    /// What became of each recipient, at most [`RECIPIENTS_MAX`].
    pub recipients: Vec<Reported>,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The address, without its kind.
    pub recipient: String,
    /// What was done.
    pub said: Said,
    /// The status code, where it is one.
    pub status: Option<Status>,
    /// What the last host said, on one line.
    pub diagnostic: Option<String>,
}

/// What another server did about a recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It gave up.
    Failed,
    /// It still tries.
    Delayed,
    /// It arrived.
    Delivered,
    /// It went on to where no reports come from.
    Relayed,
    /// It went on to the members of a list.
    Expanded,
}

impl Report {
    /// The report in a message; `None` where there is none.
    pub fn of_message(message: &[u8]) -> Option<Self> {
        let header = Header::scan(message).ok()?;
        let kind = ContentField::parse(&header.first("Content-Type")?.value());
        let boundary = kind.parameter("boundary")?;
        if kind.value != "multipart/report"
            || boundary.is_empty()
            || boundary.len() > BOUNDARY_MAX_OCTETS
        {
            return None;
        }
        let body = message.get(header.body_start()..)?;
        parts(body, &boundary).into_iter().take(PARTS_MAX).find_map(|part| {
            let header = Header::scan(part).ok()?;
            let kind = ContentField::parse(&header.first("Content-Type")?.value());
            let is_report = kind.value == "message/delivery-status"
                || kind.value == "message/global-delivery-status";
            let body = is_report.then(|| part.get(header.body_start()..))??;
            Self::of_status(&String::from_utf8_lossy(body))
        })
    }

    /// The report in the text of a part `message/delivery-status`: groups of fields with empty
    /// lines between, the first about the message, each other one about a recipient.
    pub fn of_status(text: &str) -> Option<Self> {
        let text = text.replace("\r\n", "\n");
        let mut groups = text.split("\n\n").filter(|group| !group.trim().is_empty());
        let message = fields(groups.next()?);
        let recipients: Vec<Reported> =
            groups.take(RECIPIENTS_MAX).filter_map(|group| recipient(&fields(group))).collect();
        if recipients.is_empty() {
            return None;
        }
        Some(Self {
            envid: find(&message, "original-envelope-id").map(str::to_owned),
            reporting_mta: find(&message, "reporting-mta").map(|value| typed(value).to_owned()),
            recipients,
        })
    }
}

fn recipient(fields: &[(String, String)]) -> Option<Reported> {
    let said = match find(fields, "action")?.to_ascii_lowercase().as_str() {
        "failed" => Said::Failed,
        "delayed" => Said::Delayed,
        "delivered" => Said::Delivered,
        "relayed" => Said::Relayed,
        "expanded" => Said::Expanded,
        _ => return None,
    };
    Some(Reported {
        recipient: typed(find(fields, "final-recipient")?).to_owned(),
        said,
        status: find(fields, "status").and_then(|status| status.parse().ok()),
        diagnostic: find(fields, "diagnostic-code").map(|value| typed(value).to_owned()),
    })
}

/// The fields of a group, names in small letters, values unfolded and cleaned.
fn fields(group: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in group.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.to_owned()));
        }
    }
    for (_, value) in &mut fields {
        *value = clean(value, REMOTE_TEXT_MAX_CHARS);
    }
    fields
}

fn find<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
}

/// What follows the kind: `a@b` of `rfc822; a@b`.
fn typed(value: &str) -> &str {
    value.split_once(';').map_or(value, |(_, value)| value).trim()
}

/// The parts of a multipart body, each with its header.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<&'b [u8]> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (None, 0);
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        let bare = line.trim_ascii_end();
        let after =
            bare.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary.as_bytes()));
        if let Some(after @ (b"" | b"--")) = after {
            if let Some(start) = start {
                parts.push(&body[start..at]);
            }
            if after == b"--" || parts.len() >= PARTS_MAX {
                return parts;
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    // A report whose end is missing is still one.
    parts.extend(start.and_then(|start| body.get(start..)));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "From: MAILER-DAEMON@offramp.example\r\n\
        Subject: Report\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"b 1\"\r\n\
        \r\n\
        preamble\r\n--b 1\r\nContent-Type: text/plain\r\n\r\nAction: failed\r\n\
        --b 1\r\nContent-Type: message/delivery-status\r\n\r\n\
        Reporting-MTA: dns; offramp.example\r\nOriginal-Envelope-Id: 01ABC\r\n\
        \r\n\
        Final-Recipient: rfc822; FAX=+12025550123@offramp.example\r\n\
        Action: Delivered\r\nStatus: 2.1.5\r\nDiagnostic-Code: smtp; 250\r\n\t2 pages\r\n\
        --b 1--\r\n";

    #[test]
    fn a_report_is_found_in_its_part_and_nowhere_else() {
        let report = Report::of_message(REPORT.as_bytes()).unwrap();
        assert_eq!(report.envid.as_deref(), Some("01ABC"));
        assert_eq!(report.reporting_mta.as_deref(), Some("offramp.example"));
        let [recipient] = report.recipients.as_slice() else { panic!("{report:?}") };
        assert_eq!(recipient.recipient, "FAX=+12025550123@offramp.example");
        assert_eq!((recipient.said, recipient.status), (Said::Delivered, "2.1.5".parse().ok()));
        assert_eq!(recipient.diagnostic.as_deref(), Some("250 2 pages"));
        for (from, to) in [
            ("multipart/report", "multipart/mixed"),
            ("message/delivery-status", "text/plain"),
            ("boundary=\"b 1\"", "boundary=\"b2\""),
            ("Action: Delivered", "Action: guessed"),
        ] {
            let other = REPORT.replace(from, to);
            assert_eq!(Report::of_message(other.as_bytes()), None, "{to}");
        }
    }

    #[test]
    fn a_broken_report_is_none_wherever_it_is_cut() {
        for end in 0..REPORT.len() {
            let _is_no_panic = Report::of_message(&REPORT.as_bytes()[..end]);
        }
    }
}
