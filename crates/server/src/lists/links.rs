//! What the lists of domains say about the links of a message.

use std::collections::HashSet;
use std::sync::Arc;

use lists::uri::{Host, Link, Links};
use lists::{Finding, query};
use mail::Domain;
use mail::attachment::TextPart;
use rules::lists::Listings;
use tokio::task::JoinSet;

use super::{LinkList, Lists, Source};

/// How much text of one message is searched for links, in octets as it came.
pub const TEXT_MAX_OCTETS: usize = 1024 * 1024;
/// The most questions about one message to one list.
const ASKED_MAX: usize = 50;
/// Text beyond this is searched off the threads that serve sessions.
const QUICK_OCTETS: usize = 32 * 1024;

impl Lists {
    /// Every header field that a list wants to see.
    pub fn fields(&self) -> HashSet<&str> {
        self.links
            .iter()
            .flat_map(|list| list.settings.headers.iter())
            .map(String::as_str)
            .collect()
    }

    /// What every list says about the links in `texts` and in header `fields` (name in
    /// lower case, value), in the order of the configuration.
    pub async fn content(
        self: &Arc<Self>,
        texts: Vec<TextPart>,
        fields: Vec<(String, String)>,
    ) -> Listings {
        let octets: usize = texts.iter().map(|text| text.octets.len()).sum();
        let body = if octets > QUICK_OCTETS {
            // A panic there would be a fault of ours; the message is then judged without.
            tokio::task::spawn_blocking(move || extract(&texts)).await.unwrap_or_default()
        } else {
            extract(&texts)
        };
        let body = Arc::new(body);
        let fields = Arc::new(fields);
        let mut under_way = JoinSet::new();
        for (at, list) in self.links.iter().enumerate() {
            let (lists, list) = (Arc::clone(self), Arc::clone(list));
            let (body, fields) = (Arc::clone(&body), Arc::clone(&fields));
            under_way.spawn(async move {
                let subjects = list.subjects(&body, &fields);
                let found = list.ask_all(subjects, &lists).await;
                lists.note(&list.settings.list, &found);
                (at, found)
            });
        }
        let mut found = under_way.join_all().await;
        found.sort_by_key(|(at, _)| *at);
        Listings(found.into_iter().flat_map(|(_, findings)| findings).collect())
    }

    /// What every list says about one name or address, for people who ask.
    pub async fn link(self: &Arc<Self>, text: &str) -> Option<Listings> {
        let host = Host::parse(text)?;
        let registered = match &host {
            Host::Name(name) => lists::uri::registered(name, false).or_else(|| Some(name.clone())),
            Host::Address(_) => None,
        };
        let link = Link { host, registered };
        let mut all = Vec::new();
        for list in &self.links {
            let subjects = list.subjects(std::slice::from_ref(&link), &[]);
            all.extend(list.ask_all(subjects, self).await);
        }
        Some(Listings(all))
    }
}

fn extract(texts: &[TextPart]) -> Vec<Link> {
    let mut links = Links::new();
    for text in texts {
        if links.is_full() {
            break;
        }
        links.part(&text.octets, text.html);
    }
    links.into_found()
}

impl LinkList {
    /// What this list is asked about, each once.
    fn subjects(&self, body: &[Link], fields: &[(String, String)]) -> Vec<Host> {
        let mut of_fields = Links::new();
        for (_, value) in fields.iter().filter(|(name, _)| self.settings.headers.contains(name)) {
            of_fields.field(value);
        }
        let mut seen = HashSet::new();
        let all = body.iter().chain(of_fields.found());
        let subjects = all.filter_map(|link| match (&link.host, &link.registered) {
            (Host::Address(_), _) if !*self.settings.addresses => None,
            (Host::Address(ip), _) => Some(Host::Address(*ip)),
            (Host::Name(name), _) if *self.settings.whole_hosts => Some(Host::Name(name.clone())),
            (Host::Name(_), Some(registered)) => Some(Host::Name(registered.clone())),
            (Host::Name(_), None) => None,
        });
        let wanted = subjects.filter(|subject| match subject {
            Host::Name(name) => !self.is_exempt(name),
            Host::Address(_) => true,
        });
        wanted.filter(|subject| seen.insert(subject.clone())).take(ASKED_MAX).collect()
    }

    fn is_exempt(&self, name: &Domain) -> bool {
        self.settings.except.iter().any(|except| name == except || name.is_below(except))
    }

    async fn ask_all(self: &Arc<Self>, subjects: Vec<Host>, lists: &Arc<Lists>) -> Vec<Finding> {
        let mut under_way = JoinSet::new();
        for (at, subject) in subjects.into_iter().enumerate() {
            let (list, lists) = (Arc::clone(self), Arc::clone(lists));
            under_way.spawn(async move { (at, list.ask(&subject, &lists).await) });
        }
        let mut found = under_way.join_all().await;
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().filter_map(|(_, finding)| finding).collect()
    }

    async fn ask(&self, subject: &Host, lists: &Lists) -> Option<Finding> {
        let list = &self.settings.list;
        let (shown, codes, weight, reason) = match (&self.source, subject) {
            (Source::Own(own), Host::Name(name)) => {
                let reason = own.domain(name)?.reason.map(str::to_owned);
                (name.to_string(), Vec::new(), None, reason)
            }
            (Source::Own(own), Host::Address(ip)) => {
                let reason = own.address(*ip)?.reason.map(str::to_owned);
                (ip.to_string(), Vec::new(), None, reason)
            }
            (Source::Zone(zone), Host::Name(name)) => {
                let asked = query::domain(name, zone.zone())?;
                let listed = zone.ask(&asked, false, &lists.questions).await?;
                (name.to_string(), listed.codes, listed.weight, listed.reason)
            }
            (Source::Zone(_), Host::Address(ip)) if !query::is_public(*ip) => return None,
            (Source::Zone(zone), Host::Address(ip)) => {
                let asked = query::address(*ip, zone.zone())?;
                let listed = zone.ask(&asked, false, &lists.questions).await?;
                (ip.to_string(), listed.codes, listed.weight, listed.reason)
            }
        };
        Some(Finding {
            list: list.name.value.clone(),
            subject: shown,
            codes,
            action: *list.action,
            weight: weight.unwrap_or(*list.weight),
            reason,
        })
    }
}
