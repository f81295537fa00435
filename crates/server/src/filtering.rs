//! The filters of one configuration: which listener's mail they see, and how they are reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use config::Config;
use config::model::ScannerEntry;
use delivery::{Egress, Families, Resolver};
use filters::Dialer;
use filters::milter::{Chain, Milter};
use filters::scanner::{self, About, Failure, Reach, Score, Verdict};
use mail::{Domain, Timestamp};
use rules::scan::{FilterFacts, FilterWord, ScanFacts, SpamAction};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use web_client::{Addresses, Names};

/// Messages being filtered at a time: each is held in memory as a whole.
const MESSAGES_AT_A_TIME: usize = 32;

/// The filters of a configuration.
pub struct Filters {
    milters: Vec<(Audience, Arc<Milter>)>,
    scanners: Vec<(Audience, Arc<ScannerEntry>)>,
    /// Whether findings are written into the header.
    pub writes_headers: bool,
    reach: Reach,
    places: Arc<Semaphore>,
}

/// The listeners whose mail a filter sees; `None` for all.
type Audience = Option<Vec<String>>;

/// What the scanners of a listener said together.
#[derive(Debug, Default)]
pub struct Scanned {
    /// For the rules.
    pub facts: ScanFacts,
    /// For the evidence: who said what.
    pub findings: Vec<(String, String)>,
    /// Fields to write at the top.
    pub add: Vec<(String, String)>,
    /// Fields to remove.
    pub remove: Vec<String>,
    looks_for_viruses: bool,
}

/// The resolver of deliveries, asked for the hosts of filters and other servers.
struct ByResolver(Resolver);

impl Names for ByResolver {
    fn addresses<'a>(&'a self, host: &'a Domain) -> Addresses<'a> {
        Box::pin(async move {
            let found = self.0.addresses(host, Families::default()).await;
            found.map(|found| found.list).map_err(|error| error.to_string())
        })
    }
}

/// How other servers are asked by HTTP, and filters reached.
pub fn reach(resolver: &Resolver, tls: &Arc<tls::Client>, egress: Egress) -> Reach {
    let names: Arc<dyn Names> = Arc::new(ByResolver(resolver.clone()));
    let loopback_only = egress == Egress::LoopbackOnly;
    Reach {
        dialer: Dialer::new(Arc::clone(&names), loopback_only),
        web: web_client::Client::new(Arc::clone(tls), names).loopback_only(loopback_only),
    }
}

impl Filters {
    /// The filters that `config` names.
    pub fn new(config: &Config, reach: Reach) -> Self {
        let names = |listeners: &Option<config::Located<Vec<String>>>| {
            listeners.as_ref().map(|listeners| listeners.value.clone())
        };
        let milters = config
            .milters
            .iter()
            .map(|entry| (names(&entry.listeners), Arc::new(entry.milter.clone())))
            .collect();
        let scanners = config
            .scanners
            .iter()
            .map(|entry| (names(&entry.listeners), Arc::new(entry.clone())))
            .collect();
        Self {
            milters,
            scanners,
            writes_headers: *config.scanning.headers,
            reach,
            places: Arc::new(Semaphore::new(MESSAGES_AT_A_TIME)),
        }
    }

    /// The milters of a listener, not connected yet.
    pub fn chain(&self, listener: &str) -> Chain {
        let milters = self.milters.iter().filter(|(audience, _)| hears(audience, listener));
        Chain::new(milters.map(|(_, milter)| Arc::clone(milter)), self.reach.dialer.clone())
    }

    /// Whether a scanner looks at the mail of a listener.
    pub fn scans(&self, listener: &str) -> bool {
        self.scanners.iter().any(|(audience, _)| hears(audience, listener))
    }

    /// A place to hold a message in while it is filtered; waits for one.
    pub async fn place(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Asks the scanners of a listener, all at the same time.
    pub async fn scan(
        &self,
        listener: &str,
        message: Vec<Bytes>,
        about: About,
        now: Timestamp,
    ) -> Scanned {
        let (message, about) = (Arc::new(message), Arc::new(about));
        let mut asked = JoinSet::new();
        let audience = self.scanners.iter().filter(|(audience, _)| hears(audience, listener));
        for (at, (_, entry)) in audience.enumerate() {
            let (entry, reach) = (Arc::clone(entry), self.reach.clone());
            let (message, about) = (Arc::clone(&message), Arc::clone(&about));
            asked.spawn(async move {
                let verdict = scanner::scan(&entry.scanner, &reach, &message, &about, now).await;
                (at, entry, verdict)
            });
        }
        // The order of the configuration, whoever answers first.
        let mut answers = BTreeMap::new();
        while let Some(answer) = asked.join_next().await {
            if let Ok((at, entry, verdict)) = answer {
                answers.insert(at, (entry, verdict));
            }
        }
        let mut scanned = Scanned::default();
        for (entry, verdict) in answers.into_values() {
            scanned.take(&entry, verdict, self.writes_headers);
        }
        if self.writes_headers {
            scanned.summarise();
        }
        scanned
    }
}

fn hears(audience: &Audience, listener: &str) -> bool {
    audience.as_ref().is_none_or(|names| names.iter().any(|name| name == listener))
}

impl Scanned {
    fn take(&mut self, entry: &ScannerEntry, verdict: Result<Verdict, Failure>, headers: bool) {
        let name = entry.name.value.clone();
        self.looks_for_viruses |= matches!(entry.scanner.kind, scanner::Kind::Clamd(_));
        let (said, what) = match verdict {
            Ok(verdict) => {
                let said = said(&verdict);
                let what = describe(&verdict);
                self.judge(verdict, headers);
                (said, what)
            }
            Err(Failure::TooLong(limit)) if !entry.oversized_fails => {
                (FilterWord::Skipped, format!("not asked: longer than {limit} octets"))
            }
            Err(failure) => {
                tracing::warn!(scanner = %name, %failure, "a scanner gave no verdict");
                self.facts.failed |= !entry.is_open;
                (FilterWord::Failed, format!("no verdict: {failure}"))
            }
        };
        self.findings.push((format!("scanner {name}"), what));
        self.facts.filters.push(FilterFacts { name, is_milter: false, said });
    }

    fn judge(&mut self, verdict: Verdict, headers: bool) {
        self.facts.viruses.extend(verdict.viruses);
        if let Some(spam) = verdict.spam {
            let score = spam.score.0;
            self.facts.spam_score = Some(self.facts.spam_score.map_or(score, |s| s.max(score)));
            self.facts.spam_action = self.facts.spam_action.max(Some(action(spam.action)));
            if headers {
                let tests = if spam.symbols.is_empty() {
                    "none".to_owned()
                } else {
                    spam.symbols.join(", ")
                };
                let required = spam.threshold.map(|t| format!(" required={t}")).unwrap_or_default();
                let answer = if is_spam(&spam) { "Yes" } else { "No" };
                let value = format!("{answer}, score={}{required} tests={tests}", spam.score);
                self.add.push(("X-Spam-Status".to_owned(), value));
            }
        }
        if headers {
            self.add.extend(verdict.add);
            self.remove.extend(verdict.remove);
        }
    }

    /// The fields that say it all in short.
    fn summarise(&mut self) {
        for ours in ["X-Virus-Scanned", "X-Spam-Flag", "X-Spam-Score", "X-Spam-Status"] {
            self.remove.push(ours.to_owned());
        }
        let viruses = match &self.facts.viruses[..] {
            _ if self.facts.failed => "no verdict".to_owned(),
            [] => "clean".to_owned(),
            found => format!("infected: {}", found.join(", ")),
        };
        if self.looks_for_viruses {
            self.add.push(("X-Virus-Scanned".to_owned(), viruses));
        }
        if let Some(score) = self.facts.spam_score {
            self.add.push(("X-Spam-Score".to_owned(), Score(score).to_string()));
        }
        if self.facts.spam_action.is_some_and(|action| action >= SpamAction::AddHeader) {
            self.add.push(("X-Spam-Flag".to_owned(), "YES".to_owned()));
        }
    }
}

/// Whether a message counts against who sent it: a virus, or what a scanner marks as spam.
pub fn is_bad(scan: &ScanFacts) -> bool {
    !scan.viruses.is_empty() || scan.spam_action.is_some_and(|a| a >= SpamAction::AddHeader)
}

fn is_spam(spam: &scanner::Spam) -> bool {
    spam.action >= scanner::Action::AddHeader
}

fn said(verdict: &Verdict) -> FilterWord {
    if !verdict.viruses.is_empty() {
        FilterWord::Infected
    } else if verdict.spam.as_ref().is_some_and(is_spam) {
        FilterWord::Spam
    } else {
        FilterWord::Passed
    }
}

fn describe(verdict: &Verdict) -> String {
    let mut parts = Vec::new();
    if !verdict.viruses.is_empty() {
        parts.push(format!("virus: {}", verdict.viruses.join(", ")));
    }
    if let Some(spam) = &verdict.spam {
        let threshold = spam.threshold.map(|t| format!(" of {t}")).unwrap_or_default();
        parts.push(format!("spam score {}{threshold}", spam.score));
        parts.push(format!("action {}", spam.action.word()));
        if !spam.symbols.is_empty() {
            parts.push(format!("tests {}", spam.symbols.join(", ")));
        }
    }
    if parts.is_empty() { "clean".to_owned() } else { parts.join("; ") }
}

fn action(action: scanner::Action) -> SpamAction {
    match action {
        scanner::Action::None => SpamAction::None,
        scanner::Action::Greylist => SpamAction::Greylist,
        scanner::Action::AddHeader => SpamAction::AddHeader,
        scanner::Action::RewriteSubject => SpamAction::RewriteSubject,
        scanner::Action::SoftReject => SpamAction::SoftReject,
        scanner::Action::Reject => SpamAction::Reject,
    }
}
