//! XML to a report. The schema is followed loosely, as the reports in the world follow it.

use crate::report::{Disposition, DkimResult, Policy, Reason, Report, Row, SpfResult};
use crate::unpack::UnpackError;
use crate::xml::{self, Element};

/// Rows of one report; a report with more is refused.
pub const ROWS_MAX: usize = 50_000;
/// Results of one kind in one row; more are left out.
const RESULTS_MAX: usize = 100;

/// Why a report was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No attachment is a report.
    #[error("there is no report in it")]
    NoReport,
    /// Its attachment cannot be unpacked.
    #[error("{0}")]
    Packed(#[from] UnpackError),
    /// It is not XML.
    #[error("it is no XML: {0}")]
    NoXml(String),
    /// It goes beyond a limit.
    #[error("it is larger or deeper than a report can be")]
    TooMuch,
    /// It declares entities or refers to some.
    #[error("it declares a document type or entities, which a report has no use for")]
    DocumentType,
    /// Something it must say is missing.
    #[error("it does not say {0}")]
    Missing(&'static str),
}

/// Reads a report.
///
/// # Errors
///
/// [`ReadError`].
pub fn read(text: &[u8]) -> Result<Report, ReadError> {
    let root = xml::parse(text)?;
    if root.name != "feedback" {
        return Err(ReadError::NoReport);
    }
    let about = root.child("report_metadata").ok_or(ReadError::Missing("who reports"))?;
    let span = about.child("date_range").ok_or(ReadError::Missing("the time it covers"))?;
    let second = |name| span.text_of(name).parse::<i64>().ok();
    let published = root.child("policy_published").ok_or(ReadError::Missing("the policy"))?;
    let records: Vec<&Element> = root.all("record").collect();
    if records.len() > ROWS_MAX {
        return Err(ReadError::TooMuch);
    }
    Ok(Report {
        organisation: needed(about, "org_name", "who reports")?,
        email: about.text_of("email").to_owned(),
        id: needed(about, "report_id", "its identifier")?,
        begin: second("begin").ok_or(ReadError::Missing("when it begins"))?,
        end: second("end").ok_or(ReadError::Missing("when it ends"))?,
        policy: Policy {
            domain: needed(published, "domain", "the domain")?.to_lowercase(),
            adkim: published.text_of("adkim").to_owned(),
            aspf: published.text_of("aspf").to_owned(),
            p: published.text_of("p").to_owned(),
            sp: published.text_of("sp").to_owned(),
            np: published.text_of("np").to_owned(),
            pct: published.text_of("pct").to_owned(),
            fo: published.text_of("fo").to_owned(),
        },
        rows: records.into_iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn needed(element: &Element, name: &str, what: &'static str) -> Result<String, ReadError> {
    let text = element.text_of(name);
    if text.is_empty() { Err(ReadError::Missing(what)) } else { Ok(text.to_owned()) }
}

fn row(record: &Element) -> Result<Row, ReadError> {
    let row = record.child("row").ok_or(ReadError::Missing("a row"))?;
    let nothing = Element::default();
    let judged = row.child("policy_evaluated").unwrap_or(&nothing);
    let names = record.child("identifiers").unwrap_or(&nothing);
    let results = record.child("auth_results").unwrap_or(&nothing);
    let owned = |element: &Element, name| element.text_of(name).to_owned();
    Ok(Row {
        source: row.text_of("source_ip").parse().map_err(|_| ReadError::Missing("a source"))?,
        count: row.text_of("count").parse().map_err(|_| ReadError::Missing("a count"))?,
        disposition: match judged.text_of("disposition") {
            "quarantine" => Disposition::Quarantine,
            "reject" => Disposition::Reject,
            _ => Disposition::None,
        },
        dkim: judged.text_of("dkim").eq_ignore_ascii_case("pass"),
        spf: judged.text_of("spf").eq_ignore_ascii_case("pass"),
        reasons: judged
            .all("reason")
            .take(RESULTS_MAX)
            .map(|reason| Reason { kind: owned(reason, "type"), comment: owned(reason, "comment") })
            .collect(),
        header_from: names.text_of("header_from").to_lowercase(),
        envelope_from: names.text_of("envelope_from").to_lowercase(),
        dkim_results: results
            .all("dkim")
            .take(RESULTS_MAX)
            .map(|dkim| DkimResult {
                domain: owned(dkim, "domain"),
                selector: owned(dkim, "selector"),
                result: owned(dkim, "result"),
            })
            .collect(),
        spf_results: results
            .all("spf")
            .take(RESULTS_MAX)
            .map(|spf| SpfResult {
                domain: owned(spf, "domain"),
                of_helo: spf.text_of("scope") == "helo",
                result: owned(spf, "result"),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As RFC 7489 appendix C has it, in the words of a large receiver.
    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <report_metadata>
    <org_name>receiver.example</org_name>
    <email>noreply@receiver.example</email>
    <report_id>9391651994964116463</report_id>
    <date_range><begin>1772409600</begin><end>1772495999</end></date_range>
  </report_metadata>
  <policy_published>
    <domain>Clinic.example</domain><adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct>
  </policy_published>
  <record>
    <row><source_ip>192.0.2.7</source_ip><count>12</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>
        <reason><type>forwarded</type><comment>a &lt;list&gt;</comment></reason></policy_evaluated></row>
    <identifiers><header_from>clinic.example</header_from></identifiers>
    <auth_results>
      <dkim><domain>clinic.example</domain><selector>20260302r</selector><result>pass</result></dkim>
      <spf><domain>list.example</domain><result>pass</result></spf>
    </auth_results>
  </record>
</feedback>"#;

    #[test]
    fn a_report_says_who_saw_what() {
        let report = read(REPORT.as_bytes()).unwrap();
        assert_eq!((report.messages(), report.passed()), (12, 12));
        assert_eq!(report.policy.domain, "clinic.example");
        assert_eq!(report.rows[0].reasons[0].comment, "a <list>");
        assert_eq!(report.rows[0].dkim_results[0].selector, "20260302r");
    }

    #[test]
    fn what_a_report_must_say_is_missed() {
        for (gone, what) in [
            ("<org_name>receiver.example</org_name>", ReadError::Missing("who reports")),
            ("<count>12</count>", ReadError::Missing("a count")),
            ("<begin>1772409600</begin>", ReadError::Missing("when it begins")),
        ] {
            assert_eq!(read(REPORT.replace(gone, "").as_bytes()).unwrap_err(), what);
        }
        assert_eq!(read(b"<html/>").unwrap_err(), ReadError::NoReport);
    }

    proptest! {
        #[test]
        fn damage_is_never_a_panic(at in 0usize..1_800, with in any::<u8>()) {
            let mut damaged = REPORT.as_bytes().to_vec();
            let at = at.min(damaged.len() - 1);
            damaged[at] = with;
            let _ = read(&damaged);
            damaged.truncate(at);
            prop_assert!(read(&damaged).is_err());
        }
    }
}
