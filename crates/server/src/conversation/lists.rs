//! Lists, greylisting and reputation in a session: asked early, waited for late.

use std::time::Duration;

use mail::Recipient;
use mail::attachment::TextPart;
use mail::header::Header;
use rules::lists::Listings;
use rules::{Decision, ListFacts, RecipientFacts, Settings, list_rules};
use tokio::task::JoinHandle;

use super::Conversation;
use crate::filtering::is_bad;
use crate::lists::Outcome;

/// What the lists are being asked about the client.
pub(super) type Lookup = Option<JoinHandle<Listings>>;

impl Conversation {
    /// Begins to ask the lists about the client, if they are to be asked at all.
    pub(super) fn ask_lists(&mut self) {
        let lists = &self.snapshot.lists;
        if lists.reads_clients() && !self.site.requires_sign_in() && !self.is_trusted() {
            self.lookup = Some(lists.look_up(self.peer.ip()));
        }
    }

    /// Makes what the lists found a fact. Who signed in is not judged by them.
    pub(super) async fn wait_for_lists(&mut self) {
        if let Some(lookup) = self.lookup.take() {
            // It ends within the time of the slowest list; a failure is no listing.
            let listings = lookup.await.unwrap_or_default();
            self.list_facts().client = Some(listings);
        }
        if self.facts.authenticated.is_some()
            && let Some(facts) = &mut self.facts.lists
        {
            facts.client = None;
        }
    }

    /// Forgets what was known of the last message.
    pub(super) fn forget_lists(&mut self) {
        if let Some(facts) = &mut self.facts.lists {
            *facts = ListFacts { client: facts.client.take(), ..ListFacts::default() };
        }
    }

    /// Makes the sender's reputation a fact.
    pub(super) async fn recall_sender(&mut self) {
        let lists = std::sync::Arc::clone(&self.snapshot.lists);
        if lists.keeps_reputation() {
            let domain = self.sender_domain();
            let score = lists.reputation(&self.server, self.peer.ip(), domain.as_ref()).await;
            self.list_facts().reputation = score;
        }
    }

    /// Remembers what came of the client's mail.
    pub(super) fn remember_sender(&self, outcome: Outcome) {
        let domain = self.sender_domain();
        let lists = &self.snapshot.lists;
        lists.remember(&self.server, self.peer.ip(), domain.as_ref(), outcome);
    }

    /// What scanners make of the message for the reputation of its sender, if it is bad.
    pub(super) fn scanned_badly(&self) -> Option<Outcome> {
        let scan = self.facts.scan.as_ref()?;
        let outcome = if scan.viruses.is_empty() { Outcome::Spam } else { Outcome::Virus };
        is_bad(scan).then_some(outcome)
    }

    /// Notes in the reputation that a rule of lists refused.
    pub(super) fn note_listed(&self, decision: &Decision) {
        let rule = decision.by.and_then(|id| self.snapshot.policy.rule(id));
        let by_list = rule.is_some_and(|rule| {
            rule.origin.is_built_in()
                && [list_rules::DNSBL, list_rules::URIBL].contains(&&*rule.name)
        });
        if by_list {
            self.remember_sender(Outcome::Spam);
        }
    }

    /// What greylisting said of one recipient says nothing of the next.
    pub(super) fn forget_waiting(&mut self) {
        if let Some(facts) = &mut self.facts.lists {
            facts.waiting = false;
        }
    }

    /// Whether the recipient has to be tried again later; makes it a fact.
    pub(super) async fn greylist(&mut self, recipient: &Recipient, facts: &RecipientFacts) -> bool {
        let lists = std::sync::Arc::clone(&self.snapshot.lists);
        let is_for_strangers = lists.greylists()
            && facts.is_local
            && !self.site.is_lmtp()
            && self.facts.authenticated.is_none()
            && !self.is_trusted()
            && !self.is_allowed();
        let Some(sender) = self.facts.sender.clone().filter(|_| is_for_strangers) else {
            return false;
        };
        let (server, ip) = (&self.server, self.peer.ip());
        let proven = self.sender_domain().filter(|_| self.known_spf() == Some(fax::Spf::Pass));
        let proven = proven.as_ref();
        let waiting = lists.is_waiting(server, ip, proven, &sender, &recipient.address).await;
        self.list_facts().waiting = waiting;
        waiting
    }

    /// Asks the lists of domains about the message and makes the answer a fact.
    pub(super) async fn read_links(&mut self, header: &Header<'_>, texts: Vec<TextPart>) {
        let lists = std::sync::Arc::clone(&self.snapshot.lists);
        if !lists.reads_links() || self.facts.authenticated.is_some() || self.is_trusted() {
            return;
        }
        let wanted = lists.fields();
        let fields = header
            .fields()
            .map(|field| (field.name().to_ascii_lowercase(), field))
            .filter(|(name, _)| wanted.contains(name.as_str()))
            .take(FIELDS_MAX)
            .map(|(name, field)| (name, field.value().into_owned()))
            .collect();
        let found = lists.content(texts, fields).await;
        self.list_facts().content = Some(found);
    }

    /// Lets the client wait where a rule says so.
    pub(super) async fn tarpit(&self, settings: &Settings) {
        let Some(delay) = settings.tarpit.as_ref().map(|chosen| chosen.value) else { return };
        let longest = Duration::from_secs(rules::words::TARPIT_MAX_SECS);
        // Whoever opens many connections to be delayed in each is not helped by it.
        let Ok(_place) = self.server.tarpit.try_acquire() else { return };
        tokio::time::sleep(delay.min(longest)).await;
    }

    fn list_facts(&mut self) -> &mut ListFacts {
        self.facts.lists.get_or_insert_default()
    }

    /// A client of one of our own networks.
    fn is_trusted(&self) -> bool {
        let ip = self.peer.ip().to_canonical();
        self.snapshot.config.trusted_networks.iter().any(|network| network.contains(&ip))
    }

    /// Whether lists speak for the client.
    fn is_allowed(&self) -> bool {
        let client = self.facts.lists.as_ref().and_then(|lists| lists.client.as_ref());
        client.is_some_and(|l| l.weighed().verdict == Some(::lists::Verdict::Allow))
    }

    fn sender_domain(&self) -> Option<mail::Domain> {
        self.facts.sender.as_ref()?.address().map(|address| address.domain().clone())
    }
}

/// Header fields of one message whose domains are asked about.
const FIELDS_MAX: usize = 20;
