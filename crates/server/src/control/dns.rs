//! `mailkeep dns …`: what to publish for a domain, and what the resolver remembers.

use clap::Args;
use config::Config;
use mail::{Address, Domain, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signing::{Key, Phase};

use super::columns::Put;
use super::{Answer, NotThere, dkim_key, running};
use crate::admin::Admin;

/// What is asked about DNS.
#[derive(Debug, Clone, Serialize, Deserialize, Args)]
pub struct Request {
    /// A domain, to see the records to publish for it; or "flush", to forget what the resolver
    /// remembers
    #[arg(value_name = "DOMAIN|flush")]
    pub what: String,
    /// What receivers shall do with mail that fails DMARC, in the record shown
    #[arg(long, value_name = "POLICY", default_value = "none",
        value_parser = ["none", "quarantine", "reject"])]
    pub dmarc: String,
}

impl Request {
    /// `dns flush`.
    pub fn flush() -> Self {
        Self { what: FLUSH.to_owned(), dmarc: "none".to_owned() }
    }
}

/// The word that is no domain.
const FLUSH: &str = "flush";
/// The preference of the only MX host.
const PREFERENCE: u16 = 10;

/// One record to publish.
struct Record {
    name: String,
    kind: &'static str,
    value: String,
    note: String,
}

/// Answers `dns …`.
///
/// # Errors
///
/// The store's.
pub async fn answer(admin: &Admin, request: Request) -> anyhow::Result<Answer> {
    if request.what == FLUSH {
        return flush(admin).await;
    }
    let Ok(domain) = Domain::parse(&request.what) else {
        return Err(NotThere(format!("\"{}\" is no domain", request.what)).into());
    };
    let mut records = Vec::new();
    let known = admin.with_config(|config| match config {
        Some(config) => {
            records.extend(ways_in(config, &domain));
            true
        }
        None => false,
    });
    if !known {
        return Err(NotThere("There is no configuration that names this host".to_owned()).into());
    }
    records.extend(keys(admin, &domain).await?);
    let mut policy = format!("v=DMARC1; p={}", request.dmarc);
    if let Some(address) = admin.with_config(|config| config.and_then(reports_to)) {
        policy.push_str(&format!("; rua=mailto:{address}"));
        let organisation = &domain;
        let name = dmarc_reports::permission_name(&domain, organisation, address.domain());
        records.extend(name.map(|name| {
            let note = format!("DMARC: {} takes reports about {domain}", address.domain());
            Record::txt(name, "v=DMARC1".to_owned(), note)
        }));
    }
    let note = match request.dmarc.as_str() {
        "none" => "DMARC: only watch; go on with --dmarc quarantine when all your mail passes",
        _ => "DMARC: what receivers shall do with mail that is not yours",
    };
    records.push(Record::txt(format!("_dmarc.{domain}"), policy, note));
    Ok(shown(&domain, &records))
}

async fn flush(admin: &Admin) -> anyhow::Result<Answer> {
    let server = match running(admin) {
        Ok(server) => server,
        Err(answer) => return Ok(answer),
    };
    server.snapshot().agent.resolver().flush();
    server.forget_shortfalls(None).await?;
    let json = json!({ "schema": "mailkeep.dns/1", "flushed": true });
    Ok(Answer::new("The resolver remembers nothing any more.", json))
}

impl Record {
    fn txt(name: String, value: String, note: impl Into<String>) -> Self {
        Self { name, kind: "TXT", value, note: note.into() }
    }

    /// Its data as a zone file has it.
    fn data(&self) -> String {
        if self.kind == "TXT" { signing::quoted(&self.value) } else { self.value.clone() }
    }

    fn json(&self) -> Value {
        let strings = (self.kind == "TXT").then(|| signing::strings(&self.value));
        json!({ "name": self.name, "type": self.kind, "value": self.value, "strings": strings,
            "zone": self.data(), "note": self.note })
    }
}

/// Where reports about our domains arrive.
fn reports_to(config: &Config) -> Option<Address> {
    config.dmarc_reports.receive_at.as_ref().map(|address| address.value.clone())
}

/// Where mail for the domain goes, and who may send for it; the same for the domain of
/// rewritten senders, if that is the domain or lies below it.
fn ways_in(config: &Config, domain: &Domain) -> Vec<Record> {
    let srs = config.srs.as_ref().map(|srs| &srs.domain.value);
    let below = srs.filter(|srs| srs.is_below(domain));
    let mut records = Vec::new();
    for name in std::iter::once(domain).chain(below) {
        let purpose = if Some(name) == srs { "rewritten senders and " } else { "" };
        records.push(Record {
            name: name.to_string(),
            kind: "MX",
            value: format!("{PREFERENCE} {}.", *config.hostname),
            note: format!("{purpose}mail for {name} comes to this server"),
        });
        records.push(Record::txt(name.to_string(), spf(config), spf_note(config)));
    }
    records
}

fn spf(config: &Config) -> String {
    let mut policy = "v=spf1 mx".to_owned();
    for address in config.delivery.source_addresses.iter() {
        let family = if address.is_ipv4() { "ip4" } else { "ip6" };
        policy.push_str(&format!(" {family}:{address}"));
    }
    policy.push_str(" -all");
    policy
}

fn spf_note(config: &Config) -> String {
    match &config.delivery.relay_host {
        Some(relay) => format!("SPF: add what {} tells its customers to include", relay.host),
        None => "SPF: who may send with this domain as the sender".to_owned(),
    }
}

async fn keys(admin: &Admin, domain: &Domain) -> anyhow::Result<Vec<Record>> {
    let now = Timestamp::now();
    let mut records = Vec::new();
    for (row, kept) in dkim_key::rows(admin).await? {
        if row.domain != *domain && !row.domain.is_below(domain) {
            continue;
        }
        if row.phase(now) == Phase::Gone {
            continue;
        }
        let record = signing::key_record(&Key::from_der(&kept.private)?)?;
        let note = format!("DKIM, {}: {}", row.algorithm, dkim_key::said(&row, now));
        records.push(Record::txt(row.record_name(), record, note));
    }
    Ok(records)
}

fn shown(domain: &Domain, records: &[Record]) -> Answer {
    let mut text = format!("; Records to publish for {}\n", domain.to_unicode());
    for record in records {
        text.put(format_args!(
            "\n; {}\n{}. IN {} {}\n",
            record.note,
            record.name,
            record.kind,
            record.data()
        ));
    }
    if !records.iter().any(|record| record.name.contains("._domainkey.")) {
        text.put(format_args!("\n; There is no DKIM key yet: mailkeep dkim-key new {domain}\n"));
    }
    let records: Vec<Value> = records.iter().map(Record::json).collect();
    let json = json!({ "schema": "mailkeep.dns-records/1", "domain": domain, "records": records });
    Answer::new(text, json)
}
