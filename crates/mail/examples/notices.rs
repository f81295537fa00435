//! Writes one notice of each kind into a folder, for programs of others to read.
//!
//! `cargo run -p mailkeep-mail --example notices -- FOLDER`

use std::path::PathBuf;
use std::time::Duration;

use mail::dsn::{Action, Notice, Original, Reason, RecipientNotice, Shortfall};
use mail::{Address, Domain, DsnReturn, Status, Timestamp, TraceId};

const ORIGINAL: &str = "From: Ana <ana@clinic.example>\r\nTo: dr@bank.example\r\n\
    Subject: =?utf-8?q?R=C3=B6ntgen?=\r\nMessage-ID: <m1@clinic.example>\r\n\r\n\
    The results are in.\r\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    let now = Timestamp(1_772_449_331_000);
    let host = Domain::parse("mx.clinic.example")?;
    let to = Address::parse("ana@clinic.example")?;
    let until = now.plus(Duration::from_secs(14_400));
    let delayed = Action::Delayed { retry_until: until };
    let shortfall = Reason::Protection(Shortfall {
        domain: Domain::parse("bank.example")?,
        demanded: "an encrypted connection to a verified server".into(),
        demanded_by: "Force Encrypt".into(),
        found: "mx1.bank.example does not offer TLS".into(),
    });
    let cases = [
        ("failed", "nobody@bank.example", Action::Failed, Status::new(5, 1, 1), Reason::Refused),
        (
            "unprotected",
            "dr@bank.example",
            Action::Failed,
            Status::new(5, 7, 10),
            shortfall.clone(),
        ),
        ("delayed", "dr@bank.example", delayed, Status::new(4, 7, 10), shortfall),
        ("delivered", "dr@bank.example", Action::Delivered, Status::new(2, 1, 5), Reason::Done),
        ("global", "jürgen@bank.example", Action::Failed, Status::new(5, 1, 1), Reason::Refused),
    ];
    for (name, recipient, action, status, reason) in cases {
        let recipients = [RecipientNotice {
            recipient: Address::parse(recipient)?,
            orcpt: Some(format!("rfc822;{recipient}")),
            action,
            status,
            reason,
            remote_mta: Some("mx1.bank.example".into()),
            reply: Some("550-5.1.1 No\r\n\r\n--such\r\nX-Forged: user\u{1b}[2J".into()),
            last_attempt: Some(now),
        }];
        let notice = Notice {
            id: TraceId::generate(now.0),
            at: now,
            reporting_mta: &host,
            from: None,
            to: &to,
            smtputf8: name == "global",
            original_id: TraceId::generate(now.0),
            envid: Some("QQ314159\r\nX-Forged: 1"),
            arrival: now,
            received_from: Some("desk.clinic.example"),
            dsn_return: Some(DsnReturn::Full),
            recipients: &recipients,
            original: Original { content: ORIGINAL.as_bytes(), whole: true },
        };
        std::fs::write(folder.join(format!("{name}.eml")), notice.compose().content)?;
    }
    Ok(())
}
