use std::net::IpAddr;

use expect_test::expect;
use mail::Status;
use tls::{Demands, Observed, Requirement, Source};

use super::*;
use crate::testing::{accepted, address, finished, trace_id};
use crate::{Ending, FinishedRecipient, RuleEffect, Tried};

const AT: Timestamp = Timestamp(1_772_445_731_042);

fn entries(events: Vec<Event>) -> Vec<(u64, Entry)> {
    let at = |n: u64| Timestamp(AT.0 + 1_000 * n as i64);
    let entry = |(n, event)| (88_214 + n, Entry::about(trace_id(1), at(n), event));
    (0..).zip(events).map(entry).collect()
}

fn plaintext_refused() -> Verdict {
    let source = Source::ForceEncrypt { entry: "bank.example".into(), line: 89 };
    let demands = Demands::new().and(source, Requirement::authenticated());
    tls::judge(&demands, &Observed::Plaintext(tls::Plaintext::NotOffered))
}

fn attempt(recipient: &str) -> Attempted {
    Attempted {
        number: 1,
        target: Target { way: TargetKind::Mx, name: "bank.example".into() },
        host: Some("mx1.bank.example".into()),
        ip: Some(IpAddr::from([192, 0, 2, 8])),
        port: Some(25),
        tls: None,
        before: Vec::new(),
        signed: Vec::new(),
        took_ms: 1_234,
        reply: Some("250 2.0.0 ok 1709373731".into()),
        recipients: vec![TriedRecipient {
            address: address(recipient),
            result: TriedResult::Taken,
            status: None,
            reply: None,
        }],
        next: None,
    }
}

#[test]
fn a_trace_tells_what_came_what_was_decided_and_where_it_went() {
    let mut came = accepted(&["dr@bank.example"]);
    if let Event::Accepted(accepted) = &mut came {
        accepted.decision.rules.push(RuleEffect {
            rule: RuleRef {
                number: Some("4".into()),
                name: "use_only_tls12_and_13_when_relaying".into(),
                origin: Some("mailkeep.conf:62".into()),
            },
            stage: "relay".into(),
            effect: "set relay-tls-versions 1.2 1.3".into(),
        });
    }
    let out = Event::Attempted(Box::new(attempt("dr@bank.example")));
    let entries = entries(vec![came, out, finished("dr@bank.example", Ending::Relayed)]);
    expect![[r#"
        Message 01040G2081040G2081040G2081  <a1@clinic.example>  "MRI results"  48 KB  2026-03-02 10:02:11 UTC
          in     submission :587  ESMTPA  192.0.2.77  ana@clinic.example (PLAIN)
                 protection: NOT ENCRYPTED
                 from ana@clinic.example to dr@bank.example
          rules  4 use_only_tls12_and_13_when_relaying (mailkeep.conf:62): set relay-tls-versions 1.2 1.3
                 verdict: relay (revision 41)
          out    -> dr@bank.example   by the MX of bank.example
                 attempt 1 at 2026-03-02 10:02:12 UTC
                 mx1.bank.example 192.0.2.8
                 250 2.0.0 ok 1709373731   1.2 s
          end    2026-03-02 10:02:13 UTC  dr@bank.example  relayed
          proof  mailkeep proof 01040G2081040G2081040G2081     entries 88214 to 88216 of the evidence
    "#]].assert_eq(&text(&entries));
}

#[test]
fn mail_that_was_not_sent_shows_the_demand_and_what_was_found() {
    let mut out = attempt("dr@bank.example");
    out.tls = Some(Box::new(plaintext_refused()));
    out.reply = None;
    out.before.push(Tried {
        host: "mx0.bank.example".into(),
        ip: None,
        why: "connection timed out".into(),
        tls: None,
    });
    out.recipients[0].result = TriedResult::Refused;
    out.recipients[0].status = Some(Status::new(5, 7, 10));
    let mut ended = finished("dr@bank.example", Ending::Bounced);
    if let Event::Finished(Finished { recipients }) = &mut ended {
        recipients[0] = FinishedRecipient {
            reason: Some("the peer does not offer STARTTLS".into()),
            notice: Some(trace_id(2)),
            ..recipients[0].clone()
        };
    }
    let out = Event::Attempted(Box::new(out));
    let entries = entries(vec![accepted(&["dr@bank.example"]), out, ended]);
    expect![[r#"
        Message 01040G2081040G2081040G2081  <a1@clinic.example>  "MRI results"  48 KB  2026-03-02 10:02:11 UTC
          in     submission :587  ESMTPA  192.0.2.77  ana@clinic.example (PLAIN)
                 protection: NOT ENCRYPTED
                 from ana@clinic.example to dr@bank.example
          rules  verdict: relay (revision 41)
          out    -> dr@bank.example   by the MX of bank.example
                 attempt 1 at 2026-03-02 10:02:12 UTC
                 demanded: Force Encrypt "bank.example" (line 89)
                 mx0.bank.example   connection timed out
                 mx1.bank.example 192.0.2.8
                 not met: the peer does not offer STARTTLS
                 1.2 s   protection: NOT SENT
                 dr@bank.example  refused 5.7.10
          end    2026-03-02 10:02:13 UTC  dr@bank.example  bounced: the peer does not offer STARTTLS, sender told in 02081040G2081040G2081040G2
          proof  mailkeep proof 01040G2081040G2081040G2081     entries 88214 to 88216 of the evidence
    "#]].assert_eq(&text(&entries));
}

#[test]
fn the_text_of_others_cannot_draw_on_the_terminal() {
    let mut out = attempt("dr@bank.example");
    out.reply = Some("250 \u{1b}[2Jok\r\n  end    forged".into());
    let text = text(&entries(vec![Event::Attempted(Box::new(out))]));
    assert!(!text.contains('\u{1b}'));
    assert!(!text.lines().any(|line| line.starts_with("  end")));
}

#[test]
fn the_json_form_has_every_entry_with_its_number() {
    let entries = entries(vec![accepted(&["dr@bank.example"])]);
    let json = json(&entries);
    assert_eq!(json["schema"], JSON_SCHEMA);
    assert_eq!(json["entries"][0]["seq"], 88_214);
    assert_eq!(json["entries"][0]["kind"], "accepted");
    assert_eq!(json["entries"][0]["at"], "2026-03-02T10:02:11.042Z");
    assert_eq!(promised(&entries), [address("dr@bank.example")]);
}
