//! The story of one message, told from its entries.
//!
//! [`text`] is what people read on a terminal, [`json()`] the same for programs. The words
//! for protection are the fixed ones of [`tls::Protection`] in every line.

use mail::{Address, Timestamp};
use serde_json::{Value, json};
use tls::{Handshake, Protection, Verdict, Verification};

use crate::{
    Accepted, Attempted, Entry, Event, Finished, Origin, Refused, RuleRef, Target, TargetKind,
    TriedRecipient, TriedResult,
};

/// How far the text of a section stands from the left.
const INDENT: &str = "         ";

const SMTP_PORT: u16 = 25;

/// The name and version of the JSON form.
pub const JSON_SCHEMA: &str = "mailkeep.trace/1";

/// The entries of one message with their numbers, in the order of the chain, as text.
pub fn text(entries: &[(u64, Entry)]) -> String {
    let mut page = Page::default();
    page.head(entries);
    for (_, entry) in entries {
        page.entry(entry);
    }
    if let (Some((first, entry)), Some((last, _))) = (entries.first(), entries.last()) {
        let numbers = if first == last {
            format!("entry {first}")
        } else {
            format!("entries {first} to {last}")
        };
        let name = entry.trace.map(|trace| trace.to_string()).unwrap_or_default();
        page.line("proof", &format!("mailkeep proof {name}     {numbers} of the evidence"));
    }
    page.text
}

/// The entries of one message with their numbers, as one JSON object.
pub fn json(entries: &[(u64, Entry)]) -> Value {
    let trace = entries.first().and_then(|(_, entry)| entry.trace);
    let entries: Vec<Value> = entries
        .iter()
        .map(|(seq, entry)| {
            let mut value = json!(entry);
            if let Value::Object(fields) = &mut value {
                fields.insert("seq".into(), json!(seq));
                fields.insert("at".into(), json!(entry.at.to_rfc3339()));
            }
            value
        })
        .collect();
    json!({ "schema": JSON_SCHEMA, "trace": trace, "entries": entries })
}

/// The protection of a session with a client, in the fixed words.
pub fn inbound_protection(origin: &Origin, tls: Option<&Handshake>) -> Protection {
    match (origin, tls.map(|handshake| &handshake.verification)) {
        (Origin::Notice { .. } | Origin::Injected { .. }, _) => Protection::Local,
        (Origin::Listener { .. }, None) => Protection::NotEncrypted,
        (Origin::Listener { .. }, Some(Verification::Trusted { .. })) => Protection::Proven,
        (
            Origin::Listener { .. },
            Some(Verification::NoCertificate | Verification::Untrusted { .. }),
        ) => Protection::Encrypted,
    }
}

#[derive(Default)]
struct Page {
    text: String,
    /// The label of the section last written, so that it stands only once.
    label: &'static str,
}

impl Page {
    fn head(&mut self, entries: &[(u64, Entry)]) {
        let Some((_, first)) = entries.first() else { return };
        let name = first.trace.map(|trace| trace.to_string()).unwrap_or_default();
        let mut head = vec![format!("Message {name}")];
        let accepted = entries.iter().find_map(|(_, entry)| entry.event.accepted());
        if let Some(accepted) = accepted {
            let message = &accepted.message;
            head.extend(message.message_id.as_ref().map(|id| format!("<{}>", clean(id))));
            head.extend(message.subject.as_ref().map(|text| format!("\"{}\"", clean(text))));
            head.push(size(message.octets));
        }
        head.push(time(first.at));
        self.text.push_str(&head.join("  "));
        self.text.push('\n');
    }

    fn entry(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Accepted(accepted) => self.accepted(accepted),
            Event::Refused(refused) => self.refused(refused),
            Event::Attempted(attempted) => self.attempted(entry.at, attempted),
            Event::Finished(finished) => self.finished(entry.at, finished),
            Event::AdminAction(action) => {
                let detail = action.detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default();
                let what = format!("{} {} {}{detail}", action.by, action.action, action.subject);
                self.line("admin", &format!("{}  {}", time(entry.at), clean(&what)));
            }
            Event::ConfigChanged(change) => {
                let what =
                    format!("revision {} by {}: {}", change.revision, change.author, change.reason);
                self.line("config", &format!("{}  {}", time(entry.at), clean(&what)));
            }
            Event::AccountChanged(change) => {
                let what = format!("{} by {}: {}", change.account, change.by, change.change);
                self.line("admin", &format!("{}  {}", time(entry.at), clean(&what)));
            }
            Event::Started(started) => {
                let what =
                    format!("started {} with revision {}", started.version, started.revision);
                self.line("server", &format!("{}  {}", time(entry.at), clean(&what)));
            }
            Event::FaxChanged(fax) => {
                let what = format!(
                    "{} {}, {} of {} pages confirmed  (fax {})",
                    fax.number,
                    fax.detail.as_ref().unwrap_or(&fax.state),
                    fax.confirmed,
                    fax.pages,
                    fax.fax
                );
                self.line("fax", &format!("{}  {}", time(entry.at), clean(&what)));
            }
        }
    }

    fn accepted(&mut self, accepted: &Accepted) {
        self.origin(&accepted.origin, accepted.authenticated.as_ref());
        self.session(&accepted.origin, accepted.tls.as_deref());
        let from = match accepted.envelope.from.address() {
            Some(address) => address.to_string(),
            None => "<>".to_owned(),
        };
        let to: Vec<_> = accepted.recipients.iter().map(|r| r.address.to_string()).collect();
        self.line("in", &format!("from {from} to {}", some_of(&to)));
        self.sender(accepted.sender.as_deref());
        self.filters(&accepted.filters);
        self.lists(&accepted.lists);
        for effect in &accepted.decision.rules {
            self.line("rules", &format!("{}: {}", rule(&effect.rule), clean(&effect.effect)));
        }
        let decision = &accepted.decision;
        self.line(
            "rules",
            &format!("verdict: {} (revision {})", clean(&decision.verdict), decision.revision),
        );
        for promise in &accepted.recipients {
            if let Some(by) = &promise.rule {
                let verdict = clean(&promise.verdict);
                self.line("rules", &format!("{}: {verdict}, by {}", promise.address, rule(by)));
            }
        }
    }

    fn filters(&mut self, filters: &[crate::FilterFinding]) {
        for filter in filters {
            self.line("filter", &format!("{}: {}", clean(&filter.by), clean(&filter.what)));
        }
    }

    fn origin(&mut self, origin: &Origin, authenticated: Option<&crate::Authenticated>) {
        let text = match origin {
            Origin::Listener { name, port, protocol, client } => {
                let listener = format!("{} :{port}", clean(name));
                let named = client.name.as_ref().or(client.helo.as_ref());
                let host = match named {
                    Some(named) => format!("{} ({})", client.ip, clean(named)),
                    None => client.ip.to_string(),
                };
                let who = authenticated
                    .map(|who| format!("{} ({})", clean(&who.identity), clean(&who.mechanism)));
                let parts = [Some(listener), Some(clean(protocol)), Some(host), who];
                parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
            }
            Origin::Notice { about } => format!("written here about {about}"),
            Origin::Injected { by } => format!("handed over by {}", clean(by)),
        };
        self.line("in", &text);
    }

    fn session(&mut self, origin: &Origin, tls: Option<&Handshake>) {
        let protection = format!("protection: {}", inbound_protection(origin, tls));
        let parts = tls.map(session).into_iter().chain([protection]);
        self.line("in", &parts.collect::<Vec<_>>().join("   "));
    }

    fn sender(&mut self, found: Option<&crate::SenderAuthentication>) {
        if let Some(line) = found.map(crate::SenderAuthentication::line).filter(|l| !l.is_empty()) {
            self.line("sender", &clean(&line));
        }
    }

    fn refused(&mut self, refused: &Refused) {
        self.origin(&refused.origin, refused.authenticated.as_ref());
        self.session(&refused.origin, refused.tls.as_deref());
        let recipient = refused.recipient.as_ref().map(|r| format!(" for {r}")).unwrap_or_default();
        let what = format!("refused at {}{recipient}", clean(&refused.stage));
        self.line("in", &what);
        self.sender(refused.sender.as_deref());
        self.filters(&refused.filters);
        self.lists(&refused.lists);
        if let Some(by) = &refused.rule {
            self.line("rules", &rule(by));
        }
        self.line("reply", &clean(&refused.reply));
    }

    fn lists(&mut self, findings: &[lists::Finding]) {
        for finding in findings {
            let codes = finding.codes.join(", ");
            let codes = if codes.is_empty() { codes } else { format!(" ({codes})") };
            let what = match finding.action {
                lists::Action::Reject | lists::Action::Score => {
                    format!("weighs {}", finding.weight)
                }
                lists::Action::Allow => format!("allows {}", finding.weight),
                lists::Action::Shadow => "shadow, counts for nothing".to_owned(),
            };
            let own = finding.reason.as_deref().map(|r| format!("; {r}")).unwrap_or_default();
            let (subject, list) = (&finding.subject, &finding.list);
            self.line(
                "lists",
                &clean(&format!("{subject} is listed by {list}{codes}: {what}{own}")),
            );
        }
    }

    fn attempted(&mut self, at: Timestamp, attempted: &Attempted) {
        let to: Vec<_> = attempted.recipients.iter().map(|r| r.address.to_string()).collect();
        self.label = "";
        self.line("out", &format!("-> {}   {}", some_of(&to), way(&attempted.target)));
        self.line("out", &format!("attempt {} at {}", attempted.number, time(at)));
        if let Some(verdict) = &attempted.tls {
            self.line("out", &format!("demanded: {}", clean(&verdict.because())));
        }
        for tried in &attempted.before {
            let ip = tried.ip.map(|ip| format!(" {ip}")).unwrap_or_default();
            self.line("out", &format!("{}{ip}   {}", clean(&tried.host), clean(&tried.why)));
        }
        if !attempted.signed.is_empty() {
            self.line("out", &format!("signed: {}", clean(&attempted.signed.join(", "))));
        }
        self.host(attempted);
        if let Some(verdict) = &attempted.tls {
            self.verdict(verdict);
        }
        self.results(attempted);
    }

    fn host(&mut self, attempted: &Attempted) {
        let Some(host) = &attempted.host else { return };
        let ip = attempted.ip.map(|ip| format!(" {ip}")).unwrap_or_default();
        let port = attempted.port.filter(|&port| port != SMTP_PORT);
        let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
        let handshake = attempted.tls.as_ref().and_then(|verdict| verdict.observed.handshake());
        let tls =
            handshake.map(|handshake| format!("   {}", session(handshake))).unwrap_or_default();
        self.line("out", &format!("{}{ip}{port}{tls}", clean(host)));
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let leaf = verdict.observed.handshake().and_then(Handshake::leaf);
        if let Some(leaf) = leaf {
            self.line(
                "out",
                &format!(
                    "cert SHA-256 {}..  {}, issuer {}",
                    leaf.sha256.short(),
                    clean(&leaf.subject),
                    clean(&leaf.issuer)
                ),
            );
        }
        if !verdict.proofs.is_empty() {
            let proofs: Vec<_> = verdict.proofs.iter().map(ToString::to_string).collect();
            self.line("out", &format!("verified by: {}", proofs.join(" and ")));
        }
        if let Some(shortfall) = verdict.shortfall() {
            self.line("out", &format!("not met: {}", clean(&shortfall.to_string())));
        }
    }

    fn results(&mut self, attempted: &Attempted) {
        let protection = attempted.tls.as_ref().map(|v| format!("protection: {}", v.protection));
        let parts =
            [attempted.reply.as_deref().map(clean), Some(seconds(attempted.took_ms)), protection];
        self.line("out", &parts.into_iter().flatten().collect::<Vec<_>>().join("   "));
        let all_taken = attempted.recipients.iter().all(|r| r.result == TriedResult::Taken);
        if !all_taken {
            for recipient in &attempted.recipients {
                self.line("out", &result(recipient));
            }
        }
        if let Some(next) = attempted.next {
            self.line("out", &format!("next attempt {}", time(next)));
        }
    }

    fn finished(&mut self, at: Timestamp, finished: &Finished) {
        for recipient in &finished.recipients {
            let reason = recipient.reason.as_deref().map(|reason| format!(": {}", clean(reason)));
            let by = recipient.rule.as_ref().map(|by| format!(", by {}", rule(by)));
            let notice = recipient.notice.map(|notice| format!(", sender told in {notice}"));
            let more = [reason, by, notice].into_iter().flatten().collect::<String>();
            let word = recipient.ending.word();
            let text = format!("{}  {}  {word}{more}", time(at), recipient.address);
            self.line("end", &text);
        }
    }

    fn line(&mut self, label: &'static str, text: &str) {
        let repeated = std::mem::replace(&mut self.label, label) == label;
        let mark = if repeated { INDENT.to_owned() } else { format!("  {label:<7}") };
        self.text.extend([&mark, text, "\n"]);
    }
}

/// `TLS 1.3  X25519MLKEM768  TLS_AES_256_GCM_SHA384`.
fn session(handshake: &Handshake) -> String {
    let group = handshake.group.map(|group| format!("  {group}")).unwrap_or_default();
    format!("{}{group}  {}", handshake.version, handshake.suite)
}

fn way(target: &Target) -> String {
    let name = clean(&target.name);
    match target.way {
        TargetKind::Mx => format!("by the MX of {name}"),
        TargetKind::SmartHost => format!("by the smart host {name}"),
        TargetKind::Lmtp => format!("by LMTP to {name}"),
        TargetKind::Mailbox => format!("into the mailbox {name}"),
        TargetKind::Fax => format!("to the fax account {name}"),
    }
}

fn result(recipient: &TriedRecipient) -> String {
    let word = match recipient.result {
        TriedResult::Taken => "taken",
        TriedResult::Deferred => "deferred",
        TriedResult::Refused => "refused",
    };
    let status = recipient.status.map(|status| format!(" {status}")).unwrap_or_default();
    let reply = recipient.reply.as_deref().map(|r| format!("  {}", clean(r))).unwrap_or_default();
    format!("{}  {word}{status}{reply}", recipient.address)
}

/// `4 use_only_tls13 (mailkeep.conf:89)`.
fn rule(rule: &RuleRef) -> String {
    let number = rule.number.as_deref().map(|n| format!("{n} ")).unwrap_or_default();
    let origin = rule.origin.as_deref().map(|o| format!(" ({o})")).unwrap_or_default();
    clean(&format!("{number}{}{origin}", rule.name))
}

/// The first few, and how many more.
fn some_of(addresses: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown = addresses[..addresses.len().min(SHOWN_MAX)].join(", ");
    match addresses.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn time(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    let day_and_time = text.get(..19).unwrap_or(&text);
    format!("{} UTC", day_and_time.replace('T', " "))
}

fn size(octets: u64) -> String {
    match octets {
        0..=9_999 => format!("{octets} octets"),
        10_000..=9_999_999 => format!("{} KB", octets / 1_000),
        _ => format!("{} MB", octets / 1_000_000),
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

/// Text of others on one line of a terminal.
fn clean(text: &str) -> String {
    let safe = |c: char| {
        !(c.is_control()
            || matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'))
    };
    text.chars().map(|c| if safe(c) { c } else { ' ' }).collect::<String>().trim().to_owned()
}

/// The recipients that entries promised, for a caller that asks what still waits.
pub fn promised(entries: &[(u64, Entry)]) -> Vec<Address> {
    let mut addresses = Vec::new();
    for (_, entry) in entries {
        if let Event::Accepted(accepted) = &entry.event {
            addresses.extend(accepted.recipients.iter().map(|promise| promise.address.clone()));
        }
    }
    addresses
}

#[cfg(test)]
mod tests;
