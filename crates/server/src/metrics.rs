//! What the server counts, in the form Prometheus reads.
//!
//! Labels never hold an address or a domain, so their number is bounded.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// One word that says which.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Which {
    /// The word.
    pub kind: String,
}

/// Which list, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListLabel {
    /// The list's name in the configuration.
    pub list: String,
    /// What it said.
    pub outcome: String,
}

/// What lists said, and which are suspended.
#[derive(Debug, Clone, Default)]
pub struct ListCounts {
    /// Answers about clients and messages.
    pub answers: Family<ListLabel, Counter>,
    /// 1 while a list is suspended.
    pub suspended: Family<Which, Gauge>,
}

/// Counts by one word.
pub type Counts = Family<Which, Counter>;

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    /// Connections accepted, by listener.
    pub connections: Counts,
    /// Connections open now.
    pub open: Gauge,
    /// Connections turned away, by limit.
    pub turned_away: Counts,
    /// Handshakes, by version or `failed`.
    pub handshakes: Counts,
    /// Messages answered with 250.
    pub accepted: Counter,
    /// Octets of those.
    pub accepted_octets: Counter,
    /// Commands refused by a rule or a limit, by stage.
    pub refused: Counts,
    /// Sign-ins, by outcome.
    pub sign_ins: Counts,
    /// Incidents, by kind.
    pub incidents: Counts,
    /// Bans the server made, by the last incident.
    pub bans: Counts,
    /// Refusals by a sending quota, by what it counts.
    pub quotas: Counts,
    /// Triplets that greylisting looked at, by what it said.
    pub greylisting: Counts,
    /// What lists said.
    pub lists: ListCounts,
    /// Recipients that reached an end, by ending.
    pub ended: Counts,
    /// Attempts, by the fixed word for their protection.
    pub attempts: Counts,
    /// Seconds from the last octet of a message to its 250.
    pub commit_seconds: Histogram,
    /// Entries in the queue when last looked at.
    pub queued: Gauge<i64, AtomicI64>,
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("mailkeep");
        let mut counts = |name: &str, help: &str| {
            let family = Counts::default();
            registry.register(name, help, family.clone());
            family
        };
        let connections = counts("connections", "Connections accepted, by listener");
        let turned_away = counts("connections_turned_away", "Connections turned away, by limit");
        let handshakes = counts("tls_handshakes", "TLS handshakes of clients, by version");
        let refused = counts("refused", "Commands refused, by stage");
        let sign_ins = counts("sign_ins", "Sign-ins, by outcome");
        let incidents = counts("incidents", "What clients did that counts towards a ban, by kind");
        let bans = counts("bans", "Bans the server made, by the last incident");
        let quotas = counts("quota_refusals", "Refusals by a sending quota, by what it counts");
        let greylisting = counts("greylisting", "Triplets looked at, by what was said");
        let ended = counts("recipients_ended", "Recipients that reached an end, by ending");
        let attempts = counts("attempts", "Delivery attempts, by protection");
        let lists = ListCounts::default();
        registry.register(
            "list_answers",
            "Clients and messages judged by a list, by what it said",
            lists.answers.clone(),
        );
        registry.register(
            "list_suspended",
            "1 while a list is suspended because it is broken",
            lists.suspended.clone(),
        );
        let open = Gauge::default();
        registry.register("connections_open", "Connections open now", open.clone());
        let accepted = Counter::default();
        registry.register("accepted", "Messages answered with 250", accepted.clone());
        let accepted_octets = Counter::default();
        registry.register(
            "accepted_octets",
            "Octets of accepted messages",
            accepted_octets.clone(),
        );
        let commit_seconds = Histogram::new(exponential_buckets(0.0005, 2.0, 14));
        registry.register(
            "commit_seconds",
            "Seconds from the end of a message to its 250",
            commit_seconds.clone(),
        );
        let queued = Gauge::default();
        registry.register("queue_entries", "Entries in the queue", queued.clone());
        Self {
            registry,
            connections,
            open,
            turned_away,
            handshakes,
            accepted,
            accepted_octets,
            refused,
            sign_ins,
            incidents,
            bans,
            quotas,
            greylisting,
            lists,
            ended,
            attempts,
            commit_seconds,
            queued,
        }
    }

    /// Adds one to the count of `kind`.
    pub fn count(counts: &Counts, kind: &str) {
        counts.get_or_create(&Which { kind: kind.to_owned() }).inc();
    }

    /// The page a scraper reads.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to memory cannot fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_was_counted() {
        let metrics = Metrics::new();
        Metrics::count(&metrics.refused, "rcpt");
        metrics.accepted.inc();
        let page = metrics.page();
        assert!(page.contains("mailkeep_refused_total{kind=\"rcpt\"} 1"), "{page}");
        assert!(page.contains("mailkeep_accepted_total 1"), "{page}");
    }
}
