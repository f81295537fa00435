//! What a long queue costs: acceptance, memory, opening, looking, claiming.
//!
//! `cargo run -p mailkeep-store --example crowd -- [messages] [folder]`

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mail::{Address, Domain, ReversePath, Timestamp, TraceId};
use store::{Accept, Claim, NewEntry, Options, QueueFilter, Start, Store, StoreError, TraceQuery};

const DESTINATIONS: u64 = 5_000;
const SESSIONS: u64 = 50;
const STEPS: u64 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let messages: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = folder.join(format!("mailkeep-crowd-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(measure(&dir, messages));
    std::fs::remove_dir_all(&dir)?;
    outcome
}

async fn measure(dir: &std::path::Path, messages: u64) -> Result<(), Box<dyn Error>> {
    let store = Store::open(dir, Options::default())?;
    for step in 1..=STEPS {
        let began = Instant::now();
        fill(&store, messages / STEPS).await?;
        println!(
            "{:>9} waiting: {:>6.0} accepted/s, {} KB resident",
            step * messages / STEPS,
            (messages / STEPS) as f64 / began.elapsed().as_secs_f64(),
            resident_kb()
        );
    }
    drop(store);
    let began = Instant::now();
    let store = Store::open(dir, Options::default())?;
    println!("open: {:?}", began.elapsed());

    let here = QueueFilter { destination: Some("d7.example".to_owned()), ..QueueFilter::default() };
    let address = Address::parse("bob17@d17.example")?;
    let domain = Domain::parse("d18.example")?;
    let query = TraceQuery { limit: 100, ..TraceQuery::default() };
    let by_address = TraceQuery { address: Some(address), ..query.clone() };
    let by_domain = TraceQuery { domain: Some(domain), ..query.clone() };
    let now = Timestamp::now();
    let claim = |limit| Claim {
        now,
        until: now.plus(Duration::from_secs(600)),
        limit,
        per_destination: 5,
        busy: Vec::new(),
    };
    macro_rules! timed {
        ($name:literal, $ask:expr) => {
            let began = Instant::now();
            let found = $ask.await?.len();
            println!("{}: {:?} for {found}", $name, began.elapsed());
        };
    }
    timed!("queue, first page", store.queue_page(&QueueFilter::default(), None, 100));
    timed!("queue, one destination", store.queue_page(&here, None, 100));
    timed!("trace, newest", store.trace(&query));
    timed!("trace, by address", store.trace(&by_address));
    timed!("trace, by domain", store.trace(&by_domain));
    timed!("claim 100", store.claim_due(claim(100)));
    timed!("claim 100 more", store.claim_due(claim(100)));
    let began = Instant::now();
    let stats = store.stats().await?;
    println!("stats: {:?}, {} waiting", began.elapsed(), stats.waiting);
    Ok(())
}

async fn fill(store: &Store, messages: u64) -> Result<(), Box<dyn Error>> {
    let mut tasks = Vec::new();
    for _ in 0..SESSIONS {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..messages / SESSIONS {
                accept(&store).await?;
            }
            Ok::<(), StoreError>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn accept(store: &Store) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let trace = TraceId::generate(now.0);
    let n = fastrand::u64(..DESTINATIONS);
    let destination = format!("d{n}.example");
    let address = |text: String| {
        Address::parse(&text).map_err(|_| StoreError::NotFound(format!("address {text}")))
    };
    let sender = address(format!("ann{}@home.example", n % 100))?;
    let recipient = address(format!("bob{n}@{destination}"))?;
    let mut body = store.body();
    body.write(&[b'x'; 1000])?;
    let accept = Accept {
        trace,
        received: now,
        reverse_path: ReversePath::Address(sender.clone()),
        facts: vec![b'f'; 300],
        message_id: Some(format!("<{trace}@home.example>")),
        parties: vec![sender, recipient],
        body: body.finish()?,
        entries: vec![NewEntry {
            destination,
            route: None,
            recipients: vec![b'r'; 80],
            recipient_count: 1,
            expires: now.plus(Duration::from_secs(86_400)),
            start: Start::Due(now),
        }],
        ended: Vec::new(),
        evidence: vec![store::Evidence { trace, at: now, payload: vec![b'e'; 600] }],
    };
    store.accept(accept).await.map(|_| ())
}

/// Memory of this process that is not file cache.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}
