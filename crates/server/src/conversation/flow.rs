//! Flow control in a session: size limits, quotas, spamtraps, and what counts towards a ban.

use std::collections::BTreeMap;

use accounts::Directory;
use accounts::security::{self, Abuse};
use flow::size::Direction;
use flow::{Incident, Quotas, Reached, Sender, SizeLimits, Standing, Taken, Usage, What};
use mail::{Address, Timestamp};
use rules::built_in;
use rules::size::Octets;
use rules::{Decision, FlowFacts, MessageFacts, Word};
use smtp::{Refusal, Reply};

use super::Conversation;
use crate::fax::{judge, quota};
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// Unknown recipients in one session that make a search for mailboxes of it; each as many
/// more count again.
const RCPT_SCAN: u32 = 5;

/// What flow control knows of a session beside the facts.
#[derive(Default)]
pub(super) struct Flow {
    /// Why flow control refuses what is asked now, in words.
    why: Option<Why>,
    /// The size the client declared.
    declared_octets: u64,
    /// Recipients that do not exist here.
    unknown: u32,
}

/// What was counted for a message, to be kept with it or given back.
#[derive(Default)]
pub(super) struct Charged {
    /// For who signed in, or the client.
    pub mail: Taken,
    /// For who faxes, by each fax account.
    pub faxes: Vec<Taken>,
}

impl Charged {
    /// Takes all of it back: the message was not accepted.
    pub fn give_back(&self, guard: &Guard) {
        for taken in self.faxes.iter().chain([&self.mail]) {
            guard.give_back(taken);
        }
    }
}

/// The words of a refusal, in place of those of the built-in rule.
struct Why {
    text: String,
    /// A reply for what will never fit, in place of the rule's "later".
    never: Option<(u16, u16, u16)>,
}

impl Conversation {
    /// The limits of the largest message and of recipients as they hold for this session,
    /// when they are not those of the listener.
    pub fn limits(&self) -> Option<(u64, u32)> {
        let sizes = &self.snapshot.flow.sizes;
        if sizes.is_empty() {
            return None;
        }
        let own = &self.site.listener().limits;
        let base = self.base_limits();
        let limits = match self.direction() {
            Direction::Out => sizes.limits(Direction::Out, self.own_address().as_ref()).or(base),
            // Whom it is for is not known yet.
            Direction::In => sizes.most(Direction::In, base),
        };
        Some((limits.message.unwrap_or(*own.message), limits.recipients.unwrap_or(*own.recipients)))
    }

    /// Begins a transaction: looks whether a quota is used up or the size too large.
    pub(super) fn flow_at_mail(&mut self, declared_octets: Option<u64>) {
        self.flow.declared_octets = declared_octets.unwrap_or(0);
        let octets = self.flow.declared_octets.max(1);
        let usage = Usage { messages: 1, recipients: 1, octets, ..Usage::default() };
        let size =
            MessageFacts { size_octets: self.flow.declared_octets, ..MessageFacts::default() };
        let own = self.own_address();
        self.clear_flow();
        if self.direction() == Direction::Out {
            let limits = self.size_limits(own.as_ref());
            self.note_exceeded(&limits, &size, 0, 0);
        }
        self.note_quota(usage, &[What::Messages, What::Recipients, What::Octets]);
    }

    /// Looks at one more recipient after `taken` of them.
    pub(super) fn flow_at_rcpt(&mut self, recipient: &Address, taken: u32) {
        let size =
            MessageFacts { size_octets: self.flow.declared_octets, ..MessageFacts::default() };
        self.clear_flow();
        let limits = self.size_limits_for(recipient);
        self.note_exceeded(&limits, &size, 0, taken.saturating_add(1));
        let usage = Usage { recipients: u64::from(taken) + 1, ..Usage::default() };
        self.note_quota(usage, &[What::Recipients]);
        self.note_fax_quota(recipient);
    }

    /// Looks whether one more fax has room, if the recipient is one.
    fn note_fax_quota(&mut self, recipient: &Address) {
        let Some(from) = self.facts.sender.as_ref().and_then(|path| path.address()) else { return };
        let Some(account) = judge::asked(&self.snapshot, recipient) else { return };
        let account = account.name.value.clone();
        let so_far = self.transaction.iter().flat_map(|t| &t.recipients);
        let mut faxes = self.faxes(so_far.map(|known| &known.address));
        *faxes.entry(account.clone()).or_default() += 1;
        let now = Timestamp::now();
        // All of the sender's, and those of the account that is asked for one more.
        let faxing = quota::Faxing { from, account: &account };
        let reached = quota::check_sender(
            &self.server,
            &self.snapshot,
            from,
            faxes.values().sum::<u64>(),
            now,
        )
        .and_then(|()| {
            let own = faxes.get(&account).copied().unwrap_or(1);
            quota::check(&self.server, &self.snapshot, faxing, own, now)
        });
        if let Err(reached) = reached {
            self.quota_reached(&reached, now);
        }
    }

    /// How many of `recipients` are fax machines, by the account that faxes.
    pub(super) fn faxes<'a>(
        &self,
        recipients: impl Iterator<Item = &'a Address>,
    ) -> BTreeMap<String, u64> {
        let mut faxes = BTreeMap::new();
        for account in recipients.filter_map(|address| judge::asked(&self.snapshot, address)) {
            *faxes.entry(account.name.value.clone()).or_default() += 1;
        }
        faxes
    }

    /// Looks at the whole message for one recipient.
    pub(super) fn flow_at_data(&mut self, recipient: &Address, header_octets: u64, usage: Usage) {
        let Some(message) = self.facts.message.take() else { return };
        self.clear_flow();
        let limits = self.size_limits_for(recipient);
        self.note_exceeded(&limits, &message, header_octets, 0);
        self.facts.message = Some(message);
        self.note_quota(usage, &[What::Messages, What::Recipients, What::Octets]);
    }

    /// Only what holds for the client is left.
    pub(super) fn clear_flow(&mut self) {
        self.flow.why = None;
        if let Some(flow) = &mut self.facts.flow {
            *flow = FlowFacts { standing: flow.standing, ..FlowFacts::default() };
        }
    }

    /// Whether the header is held to a limit of size limits, and not to that of the listener.
    pub(super) fn has_size_limits(&self) -> bool {
        !self.snapshot.flow.sizes.is_empty()
    }

    /// Counts what is about to be accepted, `faxes` of it for fax accounts.
    pub(super) fn charge(
        &mut self,
        usage: Usage,
        faxes: &BTreeMap<String, u64>,
    ) -> Result<Charged, Refusal> {
        let now = Timestamp::now();
        let mut charged = Charged { mail: self.charge_mail(usage, now)?, faxes: Vec::new() };
        let from = self.facts.sender.as_ref().and_then(|path| path.address());
        for (account, faxes) in faxes {
            let Some(from) = from else { break };
            let faxing = quota::Faxing { from, account };
            match quota::take_faxes(&self.server, &self.snapshot, faxing, *faxes, now) {
                Ok(taken) => charged.faxes.push(taken),
                Err(reached) => {
                    charged.give_back(&self.server.guard);
                    Metrics::count(&self.server.metrics.quotas, reached.limit.what.word());
                    return Err(Why::quota(&reached, now).refusal(452, 5, 3));
                }
            }
        }
        Ok(charged)
    }

    fn charge_mail(&self, usage: Usage, now: Timestamp) -> Result<Taken, Refusal> {
        let groups = self.groups();
        let sender = Sender {
            account: self.facts.authenticated.as_deref(),
            groups: &groups,
            client: Some(self.peer.ip()),
            fax_account: None,
        };
        let taken = self.server.guard.take(&self.snapshot.flow, &sender, usage, now);
        taken.map_err(|reached| {
            Metrics::count(&self.server.metrics.quotas, reached.limit.what.word());
            let why = Why::quota(&reached, now);
            why.refusal(450, 7, 1)
        })
    }

    /// The refusal of a built-in rule of flow control, in the words of the case at hand.
    pub(super) fn flow_refusal(&self, decision: &Decision, refusal: Refusal) -> Refusal {
        let rule = decision.by.and_then(|id| self.snapshot.policy.rule(id));
        let ours = rule.is_some_and(|rule| {
            rule.origin.is_built_in() && built_in::FLOW.contains(&rule.name.as_str())
        });
        match &self.flow.why {
            Some(why) if ours => match (why.never, refusal.reply.status()) {
                (None, Some(status)) => {
                    why.refusal(refusal.reply.code(), status.subject, status.detail)
                }
                (Some(_) | None, _) => why.refusal(550, 7, 1),
            },
            Some(_) | None => refusal,
        }
    }

    /// A recipient was not found here.
    pub(super) fn unknown_recipient(&mut self) {
        self.flow.unknown = self.flow.unknown.saturating_add(1);
        if self.flow.unknown.is_multiple_of(RCPT_SCAN) {
            self.abuse(Abuse::RcptScan, Incident::RcptScan);
        }
    }

    /// Mail to a spamtrap: counted, and refused like mail to anyone unknown.
    pub(super) fn spamtrap(&mut self, recipient: &Address) -> bool {
        let trapped = self.snapshot.flow.is_spamtrap(recipient);
        if trapped {
            self.abuse(Abuse::Spamtrap, Incident::Spamtrap);
        }
        trapped
    }

    /// Writes the line for Fail2Ban and counts the incident.
    pub(super) fn abuse(&self, abuse: Abuse, incident: Incident) {
        let line = security::abuse_line(self.peer.ip(), self.site.service(), abuse);
        tracing::warn!(target: "mailkeep", "{line}");
        self.count_incident(incident);
    }

    /// Counts an incident towards a ban.
    pub(super) fn count_incident(&self, incident: Incident) {
        self.server.note_incident(&self.snapshot, self.peer.ip(), self.site.service(), incident);
    }

    /// Whether a ban came up during this session.
    pub(super) fn is_banned_by_now(&self) -> bool {
        let standing =
            self.server.guard.standing(&self.snapshot.flow, self.peer.ip(), Timestamp::now());
        standing == Some(Standing::Banned)
    }

    /// Out is what comes from who signed in or from a trusted network.
    fn direction(&self) -> Direction {
        direction(&self.snapshot, self.facts.authenticated.as_deref(), self.peer.ip())
    }

    /// The account that signed in, as an address.
    pub(super) fn own_account(&self) -> Option<Address> {
        Address::parse(self.facts.authenticated.as_deref()?).ok()
    }

    fn own_address(&self) -> Option<Address> {
        let sender = || self.facts.sender.as_ref().and_then(|path| path.address()).cloned();
        self.own_account().or_else(sender)
    }

    fn base_limits(&self) -> SizeLimits {
        let own = &self.site.listener().limits;
        SizeLimits {
            message: Some(*own.message),
            header: Some(*own.header),
            recipients: Some(*own.recipients),
            ..SizeLimits::default()
        }
    }

    fn size_limits(&self, whose: Option<&Address>) -> SizeLimits {
        self.snapshot.flow.sizes.limits(self.direction(), whose).or(self.base_limits())
    }

    /// The limits of mail for `recipient`: its own, or for mail that goes out the sender's.
    fn size_limits_for(&self, recipient: &Address) -> SizeLimits {
        if !self.has_size_limits() {
            return SizeLimits::default();
        }
        match self.direction() {
            Direction::In => self.size_limits(Some(recipient)),
            Direction::Out => self.size_limits(self.own_address().as_ref()),
        }
    }

    fn note_exceeded(
        &mut self,
        limits: &SizeLimits,
        message: &MessageFacts,
        header_octets: u64,
        recipients: u32,
    ) {
        if !self.has_size_limits() {
            return;
        }
        let Some((word, text)) = exceeded(limits, message, header_octets, recipients) else {
            return;
        };
        self.facts.flow.get_or_insert_default().exceeded = Some(word);
        self.flow.why = Some(Why { text, never: None });
    }

    /// The groups of who signed in, of those that quotas name.
    fn groups(&self) -> Vec<Address> {
        let account = self.facts.authenticated.as_deref();
        groups_of(account, &self.snapshot.flow.quotas, self.server.accounts.directory())
    }

    fn note_quota(&mut self, usage: Usage, about: &[What]) {
        let now = Timestamp::now();
        let groups = self.groups();
        let sender = Sender {
            account: self.facts.authenticated.as_deref(),
            groups: &groups,
            client: Some(self.peer.ip()),
            fax_account: None,
        };
        let Err(reached) = self.server.guard.check(&self.snapshot.flow, &sender, usage, now) else {
            return;
        };
        if about.contains(&reached.limit.what) {
            self.quota_reached(&reached, now);
        }
    }

    fn quota_reached(&mut self, reached: &Reached, now: Timestamp) {
        Metrics::count(&self.server.metrics.quotas, reached.limit.what.word());
        self.facts.flow.get_or_insert_default().quota = Some(word_of(reached.limit.what));
        self.flow.why = Some(Why::quota(reached, now));
    }
}

/// The groups that `account` is in, of those that `quotas` name.
pub fn groups_of(account: Option<&str>, quotas: &Quotas, directory: &Directory) -> Vec<Address> {
    let Some(account) = account.and_then(|account| Address::parse(account).ok()) else {
        return Vec::new();
    };
    quotas.groups().filter(|group| directory.is_member(group, &account)).cloned().collect()
}

impl Why {
    fn quota(reached: &Reached, now: Timestamp) -> Self {
        let Reached { quota, limit, free_at } = reached;
        let max = amount(limit.what, limit.max);
        let what = format!("Sending quota {quota} allows {max} per {}", limit.period.word());
        match free_at {
            Some(at) => {
                let until = crate::control::columns::until(*at, now);
                let at = crate::control::columns::time(*at);
                Self { text: format!("{what}; there is room again {until}, at {at}"), never: None }
            }
            None => {
                let never = match limit.what {
                    What::Recipients => Some((550, 5, 3)),
                    What::Messages | What::Octets => Some((552, 3, 4)),
                    // Each number is a fax of its own: what has no room can go in another time.
                    What::Faxes | What::Pages => None,
                };
                Self { text: format!("{what}, and this alone is more"), never }
            }
        }
    }

    fn refusal(&self, code: u16, subject: u16, detail: u16) -> Refusal {
        let (code, subject, detail) = self.never.unwrap_or((code, subject, detail));
        Refusal::new(Reply::new(code, subject, detail, self.text.clone()))
    }
}

/// Which limit a message is over, in a word and in a sentence. What is 0 is not known yet.
pub(crate) fn exceeded(
    limits: &SizeLimits,
    message: &MessageFacts,
    header_octets: u64,
    recipients: u32,
) -> Option<(Word, String)> {
    let sizes = || message.attachments.iter().map(|attachment| attachment.size_octets);
    let over = |limit: Option<u64>, octets: u64| limit.filter(|limit| octets > *limit);
    if let Some(limit) = limits.recipients.filter(|limit| recipients > *limit) {
        let text = format!("At most {limit} recipients for one message, send the others another");
        return Some((Word::Recipients, text));
    }
    let all = sizes().fold(0, u64::saturating_add);
    let found = [
        (Word::Message, "The message", limits.message, message.size_octets),
        (Word::Header, "The header", limits.header, header_octets),
        (Word::Attachment, "An attachment", limits.attachment, sizes().max().unwrap_or(0)),
        (Word::Attachments, "The attachments together", limits.attachments, all),
    ];
    found.into_iter().find_map(|(word, what, limit, octets)| {
        let limit = over(limit, octets)?;
        let verb = if word == Word::Attachments { "have" } else { "has" };
        Some((word, format!("{what} {verb} {octets} octets, more than the {limit} allowed")))
    })
}

/// Which way mail goes that `authenticated` sends from `client`.
pub(crate) fn direction(
    snapshot: &Snapshot,
    authenticated: Option<&str>,
    client: std::net::IpAddr,
) -> Direction {
    let trusted = || snapshot.config.trusted_networks.iter().any(|net| net.contains(&client));
    if authenticated.is_some() || trusted() { Direction::Out } else { Direction::In }
}

/// A count as people read it.
pub(crate) fn amount(what: What, number: u64) -> String {
    match what {
        What::Messages | What::Recipients | What::Faxes | What::Pages => {
            format!("{number} {}", what.word())
        }
        What::Octets => Octets(number).to_string(),
    }
}

/// Which limit leaves no room, in a sentence without its end.
pub(crate) fn reached_in_words(reached: &Reached, now: Timestamp) -> String {
    Why::quota(reached, now).text
}

/// The fact of a count.
pub(crate) fn word_of(what: What) -> Word {
    match what {
        What::Messages => Word::Messages,
        What::Recipients => Word::Recipients,
        What::Octets => Word::Octets,
        What::Faxes => Word::Faxes,
        What::Pages => Word::Pages,
    }
}

/// The fact of a standing.
pub(crate) fn standing_word(standing: Standing) -> Word {
    match standing {
        Standing::Friendly => Word::Friendly,
        Standing::Denied => Word::Denied,
        Standing::Banned => Word::Banned,
    }
}

impl Server {
    /// Counts an incident, and says so if it leads to a ban.
    pub fn note_incident(
        &self,
        snapshot: &Snapshot,
        ip: std::net::IpAddr,
        service: &str,
        incident: Incident,
    ) {
        Metrics::count(&self.metrics.incidents, incident.word());
        let now = Timestamp::now();
        let Some(ban) = self.guard.incident(&snapshot.flow, ip, incident, now) else { return };
        Metrics::count(&self.metrics.bans, incident.word());
        let until = ban.until.map_or_else(|| "never".to_owned(), Timestamp::to_rfc3339);
        let line = security::ban_line(ban.network, service, &until, incident.word());
        tracing::warn!(target: "mailkeep", "{line}");
    }
}
