//! How fast messages are accepted and completed, durably, and at which cost.
//!
//! `cargo run -p mailkeep-store --example speed -- [messages] [octets] [sessions] [folder]`

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mail::{Address, ReversePath, Timestamp, TraceId};
use store::{Accept, Claim, Ending, Evidence, NewEntry, Options, Settle, Start, Store, StoreError};

/// What a server's evidence entry and envelope facts weigh.
const EVIDENCE_OCTETS: usize = 900;
const FACTS_OCTETS: usize = 400;
const LEASE: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Accepted with its lease, completed at once.
    Relay,
    /// Accepted only; the queue grows.
    Accept,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |or: u64| arguments.next().map_or(Ok(or), |text| text.parse());
    let (messages, octets, sessions) = (number(20_000)?, number(4096)?, number(50)?);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = folder.join(format!("mailkeep-speed-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(measure(&dir, messages, octets as usize, sessions));
    std::fs::remove_dir_all(&dir)?;
    outcome
}

async fn measure(
    dir: &std::path::Path,
    messages: u64,
    octets: usize,
    sessions: u64,
) -> Result<(), Box<dyn Error>> {
    let store = Store::open(dir, Options::default())?;
    run(&store, "accept leased + complete", Way::Relay, messages, octets, sessions).await?;
    run(&store, "accept into the queue", Way::Accept, messages, octets, sessions).await?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut claimed = 0;
    loop {
        let now = Timestamp::now();
        let claim = Claim {
            now,
            until: now.plus(LEASE),
            limit: 500,
            per_destination: 500,
            busy: Vec::new(),
        };
        let work = store.claim_due(claim).await?.into_inner();
        if work.is_empty() {
            break;
        }
        claimed += work.len() as u64;
        let mut settled = Vec::new();
        for claimed in work {
            let store = store.clone();
            settled.push(tokio::spawn(async move {
                let evidence = vec![evidence(claimed.trace, now)];
                let settle = Settle::complete(claimed.lease, now, Ending::Relayed, 1);
                store.settle(settle.with_evidence(evidence)).await.map(|_| ())
            }));
        }
        for task in settled {
            task.await??;
        }
    }
    report("claim + complete", claimed, began, cpu);
    let stats = store.stats().await?;
    println!("open {} batches {}", stats.open_recipients, stats.batches);
    Ok(())
}

async fn run(
    store: &Store,
    name: &str,
    way: Way,
    messages: u64,
    octets: usize,
    sessions: u64,
) -> Result<(), Box<dyn Error>> {
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let left = Arc::new(AtomicU64::new(messages));
    let mut tasks = Vec::new();
    for session in 0..sessions {
        let (store, left) = (store.clone(), Arc::clone(&left));
        tasks.push(tokio::spawn(async move {
            let content = vec![b'x'; octets];
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
            {
                one(&store, &content, way, session).await?;
            }
            Ok::<(), StoreError>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    report(name, messages, began, cpu);
    Ok(())
}

async fn one(store: &Store, content: &[u8], way: Way, session: u64) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let trace = TraceId::generate(now.0);
    let mut body = store.body();
    body.write(content)?;
    let address = |local: &str| Address::parse(&format!("{local}{session}@clinic.example"));
    let (Ok(sender), Ok(recipient)) = (address("ann"), address("bob")) else {
        return Err(StoreError::NotFound("address".to_owned()));
    };
    let start = match way {
        Way::Relay => Start::Leased { until: now.plus(LEASE) },
        Way::Accept => Start::Due(now),
    };
    let accept = Accept {
        trace,
        received: now,
        reverse_path: ReversePath::Address(sender.clone()),
        facts: vec![b'f'; FACTS_OCTETS],
        message_id: Some(format!("<{trace}@clinic.example>")),
        parties: vec![sender, recipient],
        body: body.finish()?,
        entries: vec![NewEntry {
            destination: "clinic.example".to_owned(),
            route: None,
            recipients: vec![b'r'; 120],
            recipient_count: 1,
            expires: now.plus(LEASE),
            start,
        }],
        ended: Vec::new(),
        evidence: vec![evidence(trace, now)],
    };
    let accepted = store.accept(accept).await?.into_inner();
    for (_, lease) in accepted.entries {
        if let Some(lease) = lease {
            let settle = Settle::complete(lease, now, Ending::Relayed, 1);
            let _ = store.settle(settle.with_evidence(vec![evidence(trace, now)])).await?;
        }
    }
    Ok(())
}

fn evidence(trace: TraceId, at: Timestamp) -> Evidence {
    Evidence { trace, at, payload: vec![b'e'; EVIDENCE_OCTETS] }
}

fn report(name: &str, messages: u64, began: Instant, cpu: f64) {
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "{name}: {:.0} messages/s, {:.3} CPU ms per message",
        messages as f64 / seconds,
        cpu * 1000.0 / messages as f64
    );
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
