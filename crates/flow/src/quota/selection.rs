//! Whom a quota holds, and when.

use std::collections::HashSet;
use std::net::IpAddr;

use mail::{Address, Domain, Timestamp};
use rules::table::AddressPattern;
use rules::{Hours, Moment, Weekday};

use crate::network::Networks;

/// Who sends.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The account that signed in.
    pub account: Option<&'a str>,
    /// The groups the account is in, of those that quotas name ([`groups`](super::Quotas::groups)).
    pub groups: &'a [Address],
    /// The client, while there is one.
    pub client: Option<IpAddr>,
    /// The fax account that is asked to fax, where it is about faxes.
    pub fax_account: Option<&'a str>,
}

impl Sender<'_> {
    /// Under which name its sending is counted: the account, or the client's address.
    pub fn subject(&self) -> String {
        match (self.account, self.client) {
            (Some(account), _) => account.to_lowercase(),
            (None, Some(client)) => crate::network::client_network(client).to_string(),
            (None, None) => String::new(),
        }
    }
}

/// Accounts, groups, networks and times. What is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    accounts: HashSet<String>,
    domains: HashSet<Domain>,
    groups: Vec<Address>,
    fax_accounts: HashSet<String>,
    networks: Option<NetworkList>,
    times: Vec<Hours>,
    weekdays: Vec<Weekday>,
}

/// Networks that can be compared.
#[derive(Debug, Clone)]
struct NetworkList {
    written: Vec<ipnet::IpNet>,
    trie: Networks<()>,
}

impl PartialEq for NetworkList {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Selection {
    /// Adds an account, or everyone of a domain.
    pub fn account(&mut self, pattern: &AddressPattern) {
        match pattern {
            AddressPattern::One(address) => drop(self.accounts.insert(address.to_key())),
            AddressPattern::Everyone(domain) => drop(self.domains.insert(domain.clone())),
        }
    }

    /// Adds the members of a group.
    pub fn group(&mut self, group: Address) {
        self.groups.push(group);
    }

    /// The groups it names.
    pub(super) fn groups(&self) -> &[Address] {
        &self.groups
    }

    /// Adds a network.
    pub fn network(&mut self, network: ipnet::IpNet) {
        let list = self
            .networks
            .get_or_insert_with(|| NetworkList { written: Vec::new(), trie: Networks::default() });
        list.written.push(network);
        list.trie.insert(network, ());
    }

    /// Adds a fax account: everyone who faxes by it, together.
    pub fn fax_account(&mut self, name: String) {
        self.fax_accounts.insert(name);
    }

    /// The fax accounts it names.
    pub fn fax_accounts(&self) -> impl Iterator<Item = &str> {
        self.fax_accounts.iter().map(String::as_str)
    }

    /// Whether it names accounts, groups or networks.
    pub fn names_senders(&self) -> bool {
        !(self.accounts.is_empty() && self.domains.is_empty() && self.groups.is_empty())
            || self.networks.is_some()
    }

    /// Whether it names a network.
    pub const fn names_networks(&self) -> bool {
        self.networks.is_some()
    }

    /// Adds a span of the day, UTC.
    pub fn time(&mut self, hours: Hours) {
        self.times.push(hours);
    }

    /// Adds a day of the week, UTC.
    pub fn weekday(&mut self, weekday: Weekday) {
        self.weekdays.push(weekday);
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `sender` is among whom it names (if it names any) at a time it names (if
    /// it names any).
    pub(super) fn all_of(&self, sender: &Sender<'_>, now: Timestamp) -> bool {
        let names_no_one = self.accounts.is_empty()
            && self.domains.is_empty()
            && self.groups.is_empty()
            && self.fax_accounts.is_empty()
            && self.networks.is_none();
        let names_no_time = self.times.is_empty() && self.weekdays.is_empty();
        let who = if names_no_one { sender.account.is_some() } else { self.names(sender) };
        who && (names_no_time || (self.is_time(now) && self.is_day(now)))
    }

    /// Whether `sender` or the time is named at all. Times on weekdays hold together.
    pub(super) fn any_of(&self, sender: &Sender<'_>, now: Timestamp) -> bool {
        let names_time = !(self.times.is_empty() && self.weekdays.is_empty());
        self.names(sender) || (names_time && self.is_time(now) && self.is_day(now))
    }

    fn names(&self, sender: &Sender<'_>) -> bool {
        let account = sender.account.and_then(|account| Address::parse(account).ok());
        account.is_some_and(|account| {
            self.domains.contains(account.domain()) || self.accounts.contains(&account.to_key())
        }) || sender.groups.iter().any(|group| self.groups.contains(group))
            || self.client_is_named(sender)
            || sender.fax_account.is_some_and(|name| self.fax_accounts.contains(name))
    }

    fn client_is_named(&self, sender: &Sender<'_>) -> bool {
        let (Some(list), Some(client)) = (&self.networks, sender.client) else { return false };
        list.trie.contains(client)
    }

    fn is_time(&self, now: Timestamp) -> bool {
        let minute = Moment(now).minute_of_day();
        self.times.is_empty() || self.times.iter().any(|hours| hours.covers(minute))
    }

    fn is_day(&self, now: Timestamp) -> bool {
        self.weekdays.is_empty() || self.weekdays.contains(&Moment(now).weekday())
    }
}
