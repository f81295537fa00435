//! A partner is reached over TLS 1.3, and the evidence of it cannot be altered.

use anyhow::{Context, Result, bail};
use evidence::verify::{Fault, Finding, Subject};
use tls::{Protection, Verification, Version};

use super::{Stage, handshake};
use crate::demo::operator::Trace;
use crate::demo::page::Page;

const RECIPIENT: &str = "office@partner.test";

pub(super) async fn tell(stage: &Stage, page: &mut Page) -> Result<()> {
    page.scene(
        "Dr. Lee writes to partner.test, which must prove who it is (Force Encrypt, verified).",
    );
    let before = stage.seen_by("partner.test").await?;
    let id = stage.send(page, RECIPIENT, "Results").await?;
    let trace = stage.end_of(&id).await?;
    page.quote(trace.sections(&["out", "end"]));
    protection(page, &trace);
    let after = stage.seen_by("partner.test").await?;
    let (version, suite) =
        after.messages.last().and_then(|message| message.tls.clone()).unwrap_or_default();
    let same = handshake(&trace).is_some_and(|h| h.suite.to_string() == suite);
    page.check(
        after.taken == before.taken + 1 && version == "TLSv1.3" && same,
        format!("partner.test itself says that it took one message, over {version} with {suite}"),
    );
    page.see(&format!("trace {id}"));
    unalterable(stage, page, &trace).await
}

/// What the attempt says about its protection.
fn protection(page: &mut Page, trace: &Trace) {
    let verdict = trace.last_attempt().and_then(|(_, attempt)| attempt.tls.as_deref());
    let seen = handshake(trace);
    let group = seen.and_then(|h| h.group).map_or_else(String::new, |group| group.to_string());
    page.check(
        seen.is_some_and(|h| h.version == Version::Tls13),
        format!("TLS 1.3 with key exchange {group}"),
    );
    page.check(
        seen.is_some_and(|h| matches!(&h.verification, Verification::Trusted { name, .. } if name == "mx.partner.test")),
        "the certificate is verified for mx.partner.test",
    );
    let word = verdict.map_or("nothing".to_owned(), |verdict| verdict.protection.to_string());
    page.check(
        verdict.is_some_and(|verdict| verdict.protection == Protection::Proven),
        format!("the word for it is {word}"),
    );
}

/// The record holds with nothing but the public key, and not with one byte changed.
async fn unalterable(stage: &Stage, page: &mut Page, trace: &Trace) -> Result<()> {
    let (seq, _) = trace.last_attempt().context("there was no attempt")?;
    let key = stage.operator.key().await?;
    let export = stage.operator.export().await?;
    page.scene(&format!("An auditor has the exported evidence and the public key {key}."));
    let report = evidence::verify(export.as_bytes(), &[key])?;
    page.quote(report.to_string().lines());
    let covered = (report.first..=report.last).contains(&seq);
    page.check(
        report.is_intact() && covered && report.unproven.is_empty(),
        format!("all {} entries hold, entry {seq} about this delivery among them", report.entries),
    );

    page.scene(&format!("Someone changes one byte of entry {seq}: TLS 1.3 becomes TLS 1.2."));
    let forged = with_one_byte_changed(&export, seq)?;
    let report = evidence::verify(forged.as_bytes(), &[key])?;
    page.quote(report.to_string().lines());
    let named = report.findings.iter().any(|finding| is_change_of(finding, seq));
    let only = report.findings.len() == 1;
    page.check(named && only, format!("the auditor finds it, and names entry {seq}"));
    page.see("evidence export --out FILE");
    page.see(&format!("evidence verify FILE --key {key}"));
    Ok(())
}

fn is_change_of(finding: &Finding, seq: u64) -> bool {
    finding.subject == Subject::Entry(seq) && finding.fault == Fault::Changed
}

/// The export with the TLS version of one entry forged.
fn with_one_byte_changed(export: &str, seq: u64) -> Result<String> {
    let is_entry = |line: &&str| line.contains(&format!("\"seq\":{seq},"));
    let line = export.lines().find(is_entry).context("the entry is not in the export")?;
    let forged = line.replacen(GENUINE, FORGED, 1);
    let differing = line.bytes().zip(forged.bytes()).filter(|(a, b)| a != b).count();
    if line.len() != forged.len() || differing != 1 {
        bail!("the entry does not say {GENUINE}");
    }
    Ok(export.replacen(line, &forged, 1))
}

/// How an entry in an export says TLS 1.3.
const GENUINE: &str = r#"\"version\":\"1.3\""#;
/// The same with one byte changed.
const FORGED: &str = r#"\"version\":\"1.2\""#;
