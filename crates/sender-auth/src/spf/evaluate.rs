//! The function `check_host()` (RFC 7208 sections 4 to 6).

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use super::macros::{Place, Text, Values, dotted};
use super::record::{Directive, Mechanism, Prefixes, SpfRecord, is_spf};
use super::{
    CLIENT_NAMES_MAX, EXCHANGERS_MAX, EXPLANATION_MAX_OCTETS, LOOKUPS_MAX, Question,
    VOID_LOOKUPS_MAX,
};
use crate::name::{askable, is_domain, is_within};
use crate::{Dns, Lack, Outcome, Question as Kind, Record};

/// What a check came to.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub outcome: Outcome,
    pub term: Option<String>,
    pub problem: Option<String>,
    pub explanation: Option<String>,
    /// Where the explanation is found: its name and the domain whose record says so.
    pub explained: Option<(Text, String)>,
}

impl Verdict {
    /// An outcome without a word more.
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { outcome, term: None, problem: None, explanation: None, explained: None }
    }

    fn error(stop: Stop) -> Self {
        let (outcome, problem) = match stop {
            Stop::Temporary(problem) => (Outcome::TempError, problem),
            Stop::Permanent(problem) => (Outcome::PermError, problem),
        };
        Self { problem: Some(problem), ..Self::of(outcome) }
    }
}

/// An error that ends the whole check.
enum Stop {
    Temporary(String),
    Permanent(String),
}

/// Checks the domain of a question.
pub(super) async fn check_host(dns: &dyn Dns, question: &Question<'_>) -> Verdict {
    let domain = question.domain();
    let client = question.client.to_canonical();
    let mut check = Check { dns, question, client, lookups: 0, voids: 0, names: None };
    let mut verdict = check.host(domain.to_owned()).await.unwrap_or_else(Verdict::error);
    if verdict.outcome == Outcome::Fail
        && let Some((text, domain)) = verdict.explained.take()
    {
        verdict.explanation = check.explanation(&text, &domain).await;
    }
    verdict
}

/// A check under way.
struct Check<'a> {
    dns: &'a dyn Dns,
    question: &'a Question<'a>,
    client: IpAddr,
    /// Terms that asked DNS so far.
    lookups: usize,
    /// Of these, how many found nothing.
    voids: usize,
    /// The client's names by reverse look-up, when they have been asked for.
    names: Option<Vec<String>>,
}

type Checking<'s> = Pin<Box<dyn Future<Output = Result<Verdict, Stop>> + Send + 's>>;

impl Check<'_> {
    /// Checks `domain`; calls itself for `include` and `redirect`, which [`LOOKUPS_MAX`] ends.
    fn host(&mut self, domain: String) -> Checking<'_> {
        Box::pin(async move {
            if !is_domain(&domain) {
                return Ok(Verdict::of(Outcome::None));
            }
            let Some(record) = self.record(&domain).await? else {
                return Ok(Verdict::of(Outcome::None));
            };
            for directive in &record.directives {
                if self.matches(directive, &domain).await? {
                    let explained = record.explanation.clone().map(|text| (text, domain));
                    let term = Some(directive.text.clone());
                    return Ok(Verdict { term, explained, ..Verdict::of(directive.outcome) });
                }
            }
            match &record.redirect {
                Some(target) if !record.has_all() => {
                    self.count_lookup()?;
                    let target = self.expand(target, &domain).await;
                    let verdict = self.host(target.clone()).await?;
                    if verdict.outcome == Outcome::None {
                        return Err(Stop::Permanent(format!("{target} has no SPF record")));
                    }
                    Ok(verdict)
                }
                Some(_) | None => Ok(Verdict::of(Outcome::Neutral)),
            }
        })
    }

    /// The record of a domain (RFC 7208 sections 4.4 and 4.5).
    async fn record(&mut self, domain: &str) -> Result<Option<SpfRecord>, Stop> {
        let texts = match self.dns.ask(domain.trim_end_matches('.'), Kind::Txt).await {
            Ok(records) => records,
            Err(Lack::NoSuchName | Lack::NoRecords) => return Ok(None),
            Err(Lack::Temporary(detail)) => {
                return Err(Stop::Temporary(format!("TXT of {domain}: {detail}")));
            }
        };
        let mut found = texts.iter().filter_map(|record| match record {
            Record::Txt(text) if is_spf(text) => Some(text),
            Record::Txt(_) | Record::A(_) | Record::Aaaa(_) | Record::Mx(..) | Record::Ptr(_) => {
                None
            }
        });
        let Some(text) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(Stop::Permanent(format!("{domain} has several SPF records")));
        }
        let wrong = |problem| Stop::Permanent(format!("the SPF record of {domain}: {problem}"));
        SpfRecord::parse(text).map(Some).map_err(wrong)
    }

    async fn matches(&mut self, directive: &Directive, domain: &str) -> Result<bool, Stop> {
        match &directive.mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(net, prefix) => {
                Ok(within(self.client, (*net).into(), Prefixes { v4: *prefix, v6: 128 }))
            }
            Mechanism::Ip6(net, prefix) => {
                Ok(within(self.client, (*net).into(), Prefixes { v4: 32, v6: *prefix }))
            }
            Mechanism::Include(target) => {
                self.count_lookup()?;
                let target = self.expand(target, domain).await;
                let verdict = self.host(target.clone()).await?;
                match verdict.outcome {
                    Outcome::Pass => Ok(true),
                    Outcome::Fail | Outcome::SoftFail | Outcome::Neutral => Ok(false),
                    Outcome::None => {
                        Err(Stop::Permanent(format!("{target} is included and has no SPF record")))
                    }
                    Outcome::Policy | Outcome::TempError | Outcome::PermError => {
                        Err(Stop::Permanent(verdict.problem.unwrap_or_default()))
                    }
                }
            }
            Mechanism::A(target, prefixes) => {
                self.count_lookup()?;
                let name = self.target(target.as_ref(), domain).await;
                let addresses = self.addresses(&name, true).await?;
                Ok(addresses.into_iter().any(|ip| within(self.client, ip, *prefixes)))
            }
            Mechanism::Mx(target, prefixes) => {
                self.count_lookup()?;
                let name = self.target(target.as_ref(), domain).await;
                self.exchangers_match(&name, *prefixes).await
            }
            Mechanism::Ptr(target) => {
                self.count_lookup()?;
                let name = self.target(target.as_ref(), domain).await;
                Ok(self.client_name(&name, true).await?.is_some())
            }
            Mechanism::Exists(target) => {
                self.count_lookup()?;
                let name = self.target(Some(target), domain).await;
                Ok(!self.ask(&name, Kind::A, true).await?.is_empty())
            }
        }
    }

    async fn exchangers_match(&mut self, name: &str, prefixes: Prefixes) -> Result<bool, Stop> {
        let exchangers = self.ask(name, Kind::Mx, true).await?;
        if exchangers.len() > EXCHANGERS_MAX {
            let problem = format!("{name} has more than {EXCHANGERS_MAX} mail exchangers");
            return Err(Stop::Permanent(problem));
        }
        for exchanger in exchangers {
            let Record::Mx(_, host) = exchanger else { continue };
            let addresses = self.addresses(&host, false).await?;
            if addresses.into_iter().any(|ip| within(self.client, ip, prefixes)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The client's name that is `target` or below it, confirmed by its addresses (RFC 7208
    /// section 5.5). A failure of DNS here is no match.
    async fn client_name(&mut self, target: &str, counts: bool) -> Result<Option<String>, Stop> {
        for name in self.client_names(counts).await? {
            if is_within(&name, target) && self.is_confirmed(&name).await {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The first [`CLIENT_NAMES_MAX`] names of the client, not yet confirmed.
    async fn client_names(&mut self, counts: bool) -> Result<Vec<String>, Stop> {
        if let Some(names) = &self.names {
            return Ok(names.clone());
        }
        let reversed: Vec<String> = {
            let dotted = dotted(self.client);
            dotted.split('.').rev().map(str::to_owned).collect()
        };
        let tree = if self.client.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
        let answer = self.dns.ask(&format!("{}.{tree}", reversed.join(".")), Kind::Ptr).await;
        let records = match answer {
            Ok(records) => records,
            Err(Lack::NoSuchName | Lack::NoRecords) => {
                if counts {
                    self.count_void()?;
                }
                Vec::new()
            }
            Err(Lack::Temporary(_)) => Vec::new(),
        };
        let name = |record| match record {
            Record::Ptr(name) => Some(name),
            Record::A(_) | Record::Aaaa(_) | Record::Mx(..) | Record::Txt(_) => None,
        };
        let names: Vec<String> =
            records.into_iter().filter_map(name).take(CLIENT_NAMES_MAX).collect();
        self.names = Some(names.clone());
        Ok(names)
    }

    async fn is_confirmed(&self, name: &str) -> bool {
        let Some(name) = askable(name) else { return false };
        let kind = if self.client.is_ipv4() { Kind::A } else { Kind::Aaaa };
        let answer = self.dns.ask(name, kind).await.unwrap_or_default();
        answer.iter().filter_map(address).any(|ip| ip == self.client)
    }

    /// The name for `%{p}`: confirmed, best one within `domain` (RFC 7208 section 7.3).
    async fn name_for_macro(&mut self, domain: &str) -> Option<String> {
        let mut names = self.client_names(false).await.unwrap_or_default();
        let rank = |name: &str| (!name.eq_ignore_ascii_case(domain), !is_within(name, domain));
        names.sort_by_key(|name| rank(name));
        for name in names {
            if self.is_confirmed(&name).await {
                return Some(name);
            }
        }
        None
    }

    /// The target of a mechanism; without one, the domain itself.
    async fn target(&mut self, target: Option<&Text>, domain: &str) -> String {
        match target {
            Some(text) => self.expand(text, domain).await,
            None => domain.to_owned(),
        }
    }

    async fn expand(&mut self, text: &Text, domain: &str) -> String {
        let name =
            if text.asks_for_client_name() { self.name_for_macro(domain).await } else { None };
        text.domain(&Values { question: self.question, domain, client_name: name.as_deref() })
    }

    /// The addresses of a name in the client's family.
    async fn addresses(&mut self, name: &str, counts: bool) -> Result<Vec<IpAddr>, Stop> {
        let kind = if self.client.is_ipv4() { Kind::A } else { Kind::Aaaa };
        Ok(self.ask(name, kind, counts).await?.iter().filter_map(address).collect())
    }

    /// Records of a name; none of one that DNS cannot be asked about (RFC 7208 section 4.8).
    async fn ask(&mut self, name: &str, kind: Kind, counts: bool) -> Result<Vec<Record>, Stop> {
        let Some(name) = askable(name) else { return Ok(Vec::new()) };
        match self.dns.ask(name, kind).await {
            Ok(records) => Ok(records),
            Err(Lack::NoSuchName | Lack::NoRecords) => {
                if counts {
                    self.count_void()?;
                }
                Ok(Vec::new())
            }
            Err(Lack::Temporary(detail)) => Err(Stop::Temporary(format!("{name}: {detail}"))),
        }
    }

    fn count_lookup(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            let problem = format!("more than {LOOKUPS_MAX} terms ask DNS");
            return Err(Stop::Permanent(problem));
        }
        Ok(())
    }

    fn count_void(&mut self) -> Result<(), Stop> {
        self.voids += 1;
        if self.voids > VOID_LOOKUPS_MAX {
            let problem = format!("more than {VOID_LOOKUPS_MAX} terms ask DNS for nothing");
            return Err(Stop::Permanent(problem));
        }
        Ok(())
    }

    /// What the domain says to the client it refuses (RFC 7208 section 6.2). Whatever is
    /// wrong with it, there is then no explanation.
    async fn explanation(&mut self, text: &Text, domain: &str) -> Option<String> {
        let name = self.expand(text, domain).await;
        let records = self.dns.ask(askable(&name)?, Kind::Txt).await.ok()?;
        let [Record::Txt(text)] = &records[..] else { return None };
        let text = Text::parse(std::str::from_utf8(text).ok()?, Place::Explanation).ok()?;
        let name =
            if text.asks_for_client_name() { self.name_for_macro(domain).await } else { None };
        let values = Values { question: self.question, domain, client_name: name.as_deref() };
        let shown: String = text
            .expand(&values)
            .chars()
            .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
            .take(EXPLANATION_MAX_OCTETS)
            .collect();
        (!shown.is_empty()).then_some(shown)
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match record {
        Record::A(v4) => Some((*v4).into()),
        Record::Aaaa(v6) => Some((*v6).into()),
        Record::Mx(..) | Record::Txt(_) | Record::Ptr(_) => None,
    }
}

/// Whether `client` is in the network of `network`'s family.
fn within(client: IpAddr, network: IpAddr, prefixes: Prefixes) -> bool {
    match (client, network) {
        (IpAddr::V4(client), IpAddr::V4(network)) => {
            let host = u32::MAX.checked_shr(prefixes.v4.into()).unwrap_or(0);
            client.to_bits() | host == network.to_bits() | host
        }
        (IpAddr::V6(client), IpAddr::V6(network)) => {
            let host = u128::MAX.checked_shr(prefixes.v6.into()).unwrap_or(0);
            client.to_bits() | host == network.to_bits() | host
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
