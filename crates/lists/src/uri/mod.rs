//! The domains and addresses that a message links to, for lists of them.
//!
//! What people see as a link can be written in many ways to escape a list. [`Links`]
//! undoes those that mail programs and browsers undo too: entities, percent-encoding,
//! invisible characters, numbers in place of addresses, redirections by another's page.
//! The work is bounded by [`HOSTS_MAX`] and by the octets it is given.

mod disguise;
mod host;
mod html;

use std::collections::HashSet;
use std::net::IpAddr;

use linkify::{LinkFinder, LinkKind};
use mail::Domain;

pub use host::Host;

/// The most hosts of one message that are kept.
pub const HOSTS_MAX: usize = 100;
/// The most links of one message that are looked at, the same host again counted.
pub const LINKS_MAX: usize = 10_000;

/// A host that a message links to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Link {
    /// As it stands in the link.
    pub host: Host,
    /// The domain that was registered: `example.co.uk` of `www.example.co.uk`. `None` for
    /// an address.
    pub registered: Option<Domain>,
}

impl Link {
    /// The address, if the link has one in place of a name.
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Address(ip) => Some(ip),
            Host::Name(_) => None,
        }
    }
}

/// Collects the hosts of a message.
#[derive(Debug, Default)]
pub struct Links {
    found: Vec<Link>,
    seen: HashSet<Host>,
    looked_at: usize,
}

impl Links {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those found, in the order of the message, each once.
    pub fn found(&self) -> &[Link] {
        &self.found
    }

    /// The same, for keeping.
    pub fn into_found(self) -> Vec<Link> {
        self.found
    }

    /// Whether no more are looked for.
    pub fn is_full(&self) -> bool {
        self.found.len() >= HOSTS_MAX || self.looked_at >= LINKS_MAX
    }

    /// Takes a decoded part of the message.
    pub fn part(&mut self, octets: &[u8], is_html: bool) {
        // What claims to be UTF-16 shows its ASCII between zeros.
        let text: String = String::from_utf8_lossy(octets).chars().filter(|c| *c != '\0').collect();
        if is_html { self.html(&text) } else { self.text(&text) }
    }

    /// Takes plain text; a name without a scheme counts if it ends as a registered one can.
    pub fn text(&mut self, text: &str) {
        let text = disguise::undo(text);
        let mut finder = LinkFinder::new();
        finder.url_must_have_scheme(false);
        self.find(&finder, &text);
    }

    /// Takes HTML: what its attributes point to, and URLs in its text.
    pub fn html(&mut self, html: &str) {
        html::targets(html, |target| {
            self.url(&disguise::undo(target), true);
            !self.is_full()
        });
        let text = disguise::undo(&html::entities(html));
        self.find(&LinkFinder::new(), &text);
    }

    /// Takes the value of a header field that holds addresses or an identifier: From,
    /// Reply-To, Message-ID.
    pub fn field(&mut self, value: &str) {
        for word in value.split(|c: char| c.is_whitespace() || ",;<>\"()".contains(c)) {
            if let Some((_, domain)) = word.rsplit_once('@')
                && !self.is_full()
            {
                self.looked_at += 1;
                self.host(domain, true);
            }
        }
    }

    fn find(&mut self, finder: &LinkFinder, text: &str) {
        for link in finder.links(text) {
            if self.is_full() {
                return;
            }
            match link.kind() {
                LinkKind::Email => {
                    self.looked_at += 1;
                    let domain = link.as_str().rsplit_once('@').map_or("", |(_, domain)| domain);
                    self.host(domain, true);
                }
                LinkKind::Url => self.url(link.as_str(), link.as_str().contains("://")),
                _ => {}
            }
        }
    }

    /// Takes one URL, and those within it that a page may lead on to.
    fn url(&mut self, url: &str, has_scheme: bool) {
        self.looked_at += 1;
        if let Some(name) = host::of_url(url) {
            self.host(&name, !has_scheme);
        }
        let inner = host::percent_decoded(url);
        let lower = inner.to_ascii_lowercase();
        let starts = lower.match_indices("http").map(|(at, _)| at).skip_while(|at| *at == 0);
        for at in starts.take(INNER_MAX) {
            let rest = &inner[at..];
            if rest.contains("://")
                && let Some(name) = host::of_url(rest)
            {
                self.host(&name, false);
            }
        }
    }

    /// Keeps a host. One that nobody marked as a link must have a known ending.
    fn host(&mut self, text: &str, must_be_known: bool) {
        let Some(host) = Host::parse(text) else { return };
        let registered = match &host {
            Host::Address(_) if must_be_known => return,
            Host::Address(_) => None,
            Host::Name(name) => match registered(name, must_be_known) {
                Some(registered) => Some(registered),
                None => return,
            },
        };
        if self.found.len() < HOSTS_MAX && self.seen.insert(host.clone()) {
            self.found.push(Link { host, registered });
        }
    }
}

/// URLs within one URL that are looked at.
const INNER_MAX: usize = 4;

/// The domain that someone registered, of which `name` is part.
pub fn registered(name: &Domain, must_be_known: bool) -> Option<Domain> {
    let bytes = name.as_str().as_bytes();
    let domain = psl::domain(bytes)?;
    if must_be_known && !domain.suffix().is_known() {
        return None;
    }
    Domain::parse(std::str::from_utf8(domain.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests;
