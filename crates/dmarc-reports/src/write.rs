//! A report to XML, and packed.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::report::{Report, Row};

/// The XML of a report (RFC 7489 appendix C).
pub fn write(report: &Report) -> String {
    let mut xml = Writer::default();
    xml.text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.block("feedback", |xml| {
        xml.leaf("version", "1.0");
        xml.block("report_metadata", |xml| {
            xml.leaf("org_name", &report.organisation);
            xml.leaf("email", &report.email);
            xml.leaf("report_id", &report.id);
            xml.block("date_range", |xml| {
                xml.leaf("begin", &report.begin.to_string());
                xml.leaf("end", &report.end.to_string());
            });
        });
        let policy = &report.policy;
        xml.block("policy_published", |xml| {
            xml.leaf("domain", &policy.domain);
            xml.leaf_if("adkim", &policy.adkim);
            xml.leaf_if("aspf", &policy.aspf);
            xml.leaf("p", &policy.p);
            xml.leaf_if("sp", if policy.sp.is_empty() { &policy.p } else { &policy.sp });
            xml.leaf_if("np", &policy.np);
            xml.leaf("pct", if policy.pct.is_empty() { "100" } else { &policy.pct });
            xml.leaf("fo", if policy.fo.is_empty() { "0" } else { &policy.fo });
        });
        for row in &report.rows {
            xml.block("record", |xml| record(xml, row));
        }
    });
    xml.text
}

fn record(xml: &mut Writer, row: &Row) {
    let word = |passed| if passed { "pass" } else { "fail" };
    xml.block("row", |xml| {
        xml.leaf("source_ip", &row.source.to_string());
        xml.leaf("count", &row.count.to_string());
        xml.block("policy_evaluated", |xml| {
            xml.leaf("disposition", row.disposition.word());
            xml.leaf("dkim", word(row.dkim));
            xml.leaf("spf", word(row.spf));
            for reason in &row.reasons {
                xml.block("reason", |xml| {
                    xml.leaf("type", &reason.kind);
                    xml.leaf_if("comment", &reason.comment);
                });
            }
        });
    });
    xml.block("identifiers", |xml| {
        // Empty for the null sender, but there: the schema wants it.
        xml.leaf("envelope_from", &row.envelope_from);
        xml.leaf("header_from", &row.header_from);
    });
    xml.block("auth_results", |xml| {
        for dkim in &row.dkim_results {
            xml.block("dkim", |xml| {
                xml.leaf("domain", &dkim.domain);
                xml.leaf_if("selector", &dkim.selector);
                xml.leaf("result", &dkim.result);
            });
        }
        for spf in &row.spf_results {
            xml.block("spf", |xml| {
                xml.leaf("domain", &spf.domain);
                xml.leaf("scope", if spf.of_helo { "helo" } else { "mfrom" });
                xml.leaf("result", &spf.result);
            });
        }
    });
}

#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn block(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.indent();
        self.text.push_str(&format!("<{name}>\n"));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.indent();
        self.text.push_str(&format!("</{name}>\n"));
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.indent();
        self.text.push_str(&format!("<{name}>"));
        for character in text.chars() {
            match character {
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '&' => self.text.push_str("&amp;"),
                // Most control characters cannot stand in XML at all.
                _ if character.is_control() => self.text.push(' '),
                _ => self.text.push(character),
            }
        }
        self.text.push_str(&format!("</{name}>\n"));
    }

    fn leaf_if(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.leaf(name, text);
        }
    }

    fn indent(&mut self) {
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }
}

/// Packed by gzip.
///
/// # Errors
///
/// Memory's; never in practice.
pub fn gzip(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Disposition, DkimResult, Policy, Reason, SpfResult};
    use crate::{read, unpack};

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let report = Report {
            organisation: "Mail & More <x>".to_owned(),
            email: "postmaster@mail.example".to_owned(),
            id: "2026-03-02.clinic.example".to_owned(),
            begin: 1_772_409_600,
            end: 1_772_495_999,
            policy: Policy {
                domain: "clinic.example".to_owned(),
                adkim: "r".to_owned(),
                p: "quarantine".to_owned(),
                sp: "reject".to_owned(),
                pct: "20".to_owned(),
                fo: "1".to_owned(),
                ..Policy::default()
            },
            rows: vec![Row {
                source: "2001:db8::7".parse().unwrap(),
                count: 3,
                disposition: Disposition::Quarantine,
                dkim: false,
                spf: true,
                reasons: vec![Reason { kind: "local_policy".to_owned(), comment: String::new() }],
                header_from: "clinic.example".to_owned(),
                envelope_from: "clinic.example".to_owned(),
                dkim_results: vec![DkimResult {
                    domain: "clinic.example".to_owned(),
                    selector: "s".to_owned(),
                    result: "fail".to_owned(),
                }],
                spf_results: vec![SpfResult {
                    domain: "clinic.example".to_owned(),
                    of_helo: true,
                    result: "pass".to_owned(),
                }],
            }],
        };
        let packed = gzip(&write(&report)).unwrap();
        assert_eq!(read(&unpack(&packed).unwrap()).unwrap(), report);
    }
}
