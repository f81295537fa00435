//! The directory in memory: which domains are ours, and who is there.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use mail::{Address, Domain, Status};

use crate::password::Kept;

use super::row::{Account, Alias, Credentials, Entry, Group, key_of};

/// Aliases followed for one address.
pub const ALIASES_MAX: usize = 8;

/// Members of one group, as it is kept.
pub const MEMBERS_MAX: usize = 1_000;
/// Members of one group, when all groups in it are opened.
pub const EXPANDED_MAX: usize = 5_000;
/// Aliases with `*` of one domain.
pub const PATTERNS_MAX: usize = 200;

/// Who is in a group in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// Everybody, each once.
    pub members: Vec<Address>,
    /// Members that are not there, or disabled.
    pub gone: Vec<Address>,
    /// There are more than [`EXPANDED_MAX`], and the rest is not told.
    pub cut: bool,
}

/// Whether `text` is what `pattern` allows, in which `*` is any number of characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What the configuration says about a domain of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainSettings {
    /// The domain.
    pub name: Domain,
    /// Which recipients it takes.
    pub recipients: Recipients,
    /// Who gets the mail for recipients that have no account.
    pub catch_all: Option<Address>,
    /// What sets a sub-address apart: with `+`, `ann+news` is mail for `ann` (RFC 5233).
    pub tag_separator: Option<char>,
}

/// Which recipients a domain takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipients {
    /// Those with an account or an alias here.
    Accounts,
    /// All; the next server knows who exists.
    Any,
}

/// What an address is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// An account.
    Account {
        /// The account.
        account: Arc<Account>,
        /// The tag of a sub-address, in the case given.
        tag: Option<String>,
    },
    /// An alias.
    Alias {
        /// What it stands for in the end.
        target: Address,
        /// The account of that address; `None` when it is not ours.
        account: Option<Arc<Account>>,
    },
    /// A group; [`Directory::expand`](super::Directory::expand) tells who is in it.
    Group(Arc<Group>),
    /// No account, but the domain's catch-all has its mail.
    CatchAll {
        /// Who gets it.
        target: Address,
        /// The account of that address; `None` when it is not ours.
        account: Option<Arc<Account>>,
    },
    /// No account, and the domain takes all recipients: the next server knows who exists.
    AnyRecipient,
    /// The account is disabled.
    Disabled(Arc<Account>),
    /// The domain is ours and has no such recipient.
    NoSuchUser,
    /// The domain is not ours.
    NotOurs,
}

impl Resolution {
    /// Whether the domain is ours.
    pub fn is_ours(&self) -> bool {
        *self != Self::NotOurs
    }

    /// The account whose mailbox gets the mail.
    pub fn account(&self) -> Option<&Arc<Account>> {
        match self {
            Self::Account { account, .. } => Some(account),
            Self::Alias { account, .. } | Self::CatchAll { account, .. } => account.as_ref(),
            Self::AnyRecipient
            | Self::Disabled(_)
            | Self::Group(_)
            | Self::NoSuchUser
            | Self::NotOurs => None,
        }
    }

    /// The address that the mail goes on to, where it is not the one asked for: the end of an
    /// alias, or a catch-all.
    pub fn redirected(&self) -> Option<&Address> {
        match self {
            Self::Alias { target, .. } | Self::CatchAll { target, .. } => Some(target),
            Self::Account { .. }
            | Self::AnyRecipient
            | Self::Disabled(_)
            | Self::Group(_)
            | Self::NoSuchUser
            | Self::NotOurs => None,
        }
    }

    /// Code, enhanced status and text that refuse a recipient of a domain of ours; `None` when
    /// there is nothing to refuse, or it is for rules to say (relaying).
    pub fn refusal(&self) -> Option<(u16, Status, &'static str)> {
        match self {
            Self::NoSuchUser => Some((550, Status::new(5, 1, 1), "No such user here")),
            Self::Disabled(_) => Some((550, Status::new(5, 2, 1), "Mailbox disabled")),
            Self::Account { .. }
            | Self::Alias { .. }
            | Self::CatchAll { .. }
            | Self::Group(_)
            | Self::AnyRecipient
            | Self::NotOurs => None,
        }
    }
}

impl DomainSettings {
    /// A domain whose accounts are here, without catch-all, with `+` for sub-addresses.
    pub fn new(name: Domain) -> Self {
        Self { name, recipients: Recipients::Accounts, catch_all: None, tag_separator: Some('+') }
    }
}

/// Domains with their entries.
#[derive(Debug, Default)]
pub(super) struct Table {
    domains: HashMap<Domain, Place>,
    /// Which account a client certificate opens, by its SHA-256.
    certificates: HashMap<Box<str>, Address>,
    /// Verifiers that some account has or had.
    kept: HashSet<Kept>,
}

#[derive(Debug, Default)]
struct Place {
    configured: Option<DomainSettings>,
    added: bool,
    /// By local part in lower case.
    entries: HashMap<Box<str>, Slot>,
    /// What other directories said, in the same way; never written down.
    guests: HashMap<Box<str>, Slot>,
    /// The keys of aliases with `*` in them, the most particular first.
    patterns: Vec<Box<str>>,
}

#[derive(Debug, Clone)]
enum Slot {
    Account(Arc<Account>),
    Alias(Alias),
    Group(Arc<Group>),
}

impl Table {
    pub fn configure(&mut self, settings: Vec<DomainSettings>) {
        for place in self.domains.values_mut() {
            place.configured = None;
        }
        for settings in settings {
            let place = self.domains.entry(settings.name.clone()).or_default();
            place.configured = Some(settings);
        }
        self.tidy();
    }

    /// What the configuration said of each domain.
    pub fn settings(&self) -> Vec<DomainSettings> {
        self.domains.values().filter_map(|place| place.configured.clone()).collect()
    }

    pub fn set_added(&mut self, name: &Domain, added: bool) {
        self.domains.entry(name.clone()).or_default().added = added;
        self.tidy();
    }

    /// Places of domains that are no longer ours stay while they have entries: the domain may
    /// come back with the next configuration.
    fn tidy(&mut self) {
        self.domains.retain(|_, place| place.is_ours() || !place.entries.is_empty());
    }

    pub fn put(&mut self, entry: Entry) {
        self.forget_certificates(entry.address());
        if let Entry::Account(account) = &entry {
            for sha256 in &account.credentials.certificates {
                self.certificates.insert(sha256.as_str().into(), account.address.clone());
            }
            let Credentials { keys, app_passwords, .. } = &account.credentials;
            for keys in app_passwords.iter().map(|app| &app.keys).chain([keys]) {
                self.kept.extend(Kept::ALL.into_iter().filter(|kind| keys.has(*kind)));
            }
        }
        let key = entry.key().into_boxed_str();
        let place = self.domains.entry(entry.address().domain().clone()).or_default();
        // Looking through all entries for each new one would take the square of their number.
        let is_pattern = key.contains('*');
        place.entries.insert(key, Slot::of(entry));
        if is_pattern {
            place.find_patterns();
        }
    }

    pub fn remove(&mut self, address: &Address) {
        self.forget_certificates(address);
        if let Some(place) = self.domains.get_mut(address.domain()) {
            let key = key_of(address);
            place.entries.remove(key.as_str());
            if key.contains('*') {
                place.find_patterns();
            }
        }
        self.tidy();
    }

    fn forget_certificates(&mut self, address: &Address) {
        if let Some(Slot::Account(account)) = self.slot(address).cloned() {
            for sha256 in &account.credentials.certificates {
                self.certificates.remove(sha256.as_str());
            }
        }
    }

    pub fn certificate_account(&self, sha256: &str) -> Option<&Arc<Account>> {
        self.account(self.certificates.get(sha256)?)
    }

    pub fn has_keys(&self, kind: Kept) -> bool {
        self.kept.contains(&kind)
    }

    pub fn entry(&self, address: &Address) -> Option<Entry> {
        self.slot(address).map(Slot::to_entry)
    }

    fn slot(&self, address: &Address) -> Option<&Slot> {
        self.domains.get(address.domain())?.entries.get(key_of(address).as_str())
    }

    pub fn is_ours(&self, domain: &Domain) -> bool {
        self.domains.get(domain).is_some_and(Place::is_ours)
    }

    pub fn is_configured(&self, domain: &Domain) -> bool {
        self.domains.get(domain).is_some_and(|place| place.configured.is_some())
    }

    pub fn is_added(&self, domain: &Domain) -> bool {
        self.domains.get(domain).is_some_and(|place| place.added)
    }

    pub fn domains(&self) -> Vec<Domain> {
        let mut ours: Vec<Domain> = self
            .domains
            .iter()
            .filter(|(_, place)| place.is_ours())
            .map(|(name, _)| name.clone())
            .collect();
        ours.sort();
        ours
    }

    pub fn entries(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> = self
            .domains
            .values()
            .flat_map(|place| place.entries.values())
            .map(Slot::to_entry)
            .collect();
        all.sort_by(|a, b| {
            let key = |entry: &Entry| (entry.address().domain().clone(), entry.key());
            key(a).cmp(&key(b))
        });
        all
    }

    pub fn entries_of(&self, domain: &Domain) -> usize {
        self.domains.get(domain).map_or(0, |place| place.entries.len())
    }

    /// The account of exactly this address, without aliases and tags.
    pub fn account(&self, address: &Address) -> Option<&Arc<Account>> {
        if !self.is_ours(address.domain()) {
            return None;
        }
        let guest = || self.domains.get(address.domain())?.guests.get(key_of(address).as_str());
        match self.slot(address).or_else(guest)? {
            Slot::Account(account) => Some(account),
            Slot::Alias(_) | Slot::Group(_) => None,
        }
    }

    /// Whether anything here is at this address, with or without its tag; then no other
    /// directory is asked.
    pub fn is_at_home(&self, address: &Address) -> bool {
        let place = self.domains.get(address.domain());
        place.is_some_and(|place| place.is_at_home(&key_of(address)))
    }

    /// The address without its tag, if it has one.
    pub fn without_tag(&self, address: &Address) -> Option<Address> {
        let separator = self.domains.get(address.domain())?.tag_separator()?;
        let (base, _) = address.local().split_once(separator)?;
        Address::parse(&format!("{base}@{}", address.domain())).ok()
    }

    /// Takes what another directory said of an address.
    pub fn put_guest(&mut self, entry: Entry) {
        let key = entry.key().into_boxed_str();
        if let Some(place) = self.domains.get_mut(entry.address().domain()) {
            place.guests.insert(key, Slot::of(entry));
        }
    }

    /// Forgets what another directory said of an address.
    pub fn remove_guest(&mut self, address: &Address) {
        if let Some(place) = self.domains.get_mut(address.domain()) {
            place.guests.remove(key_of(address).as_str());
        }
    }

    /// Forgets everything that other directories said.
    pub fn clear_guests(&mut self) {
        for place in self.domains.values_mut() {
            place.guests.clear();
        }
    }

    /// How many aliases with `*` a domain has.
    pub fn patterns_of(&self, domain: &Domain) -> usize {
        self.domains.get(domain).map_or(0, |place| place.patterns.len())
    }

    /// Everybody in the group of this address: each once, groups in groups opened, aliases
    /// followed. Who is not there any more, or is disabled, is left out. `None` when there is
    /// no such group.
    pub fn expand(&self, address: &Address) -> Option<Expansion> {
        let Resolution::Group(first) = self.resolve(address) else { return None };
        let mut expansion = Expansion::default();
        let mut opened: HashSet<String> = HashSet::from([first.address.to_key()]);
        let mut named = HashSet::new();
        let mut waiting = VecDeque::from([first]);
        while let Some(group) = waiting.pop_front() {
            for member in &group.members {
                let reached = match self.resolve(member) {
                    Resolution::Account { account, .. } => account.address.clone(),
                    Resolution::Alias { target, .. } | Resolution::CatchAll { target, .. } => {
                        target
                    }
                    Resolution::AnyRecipient | Resolution::NotOurs => member.clone(),
                    Resolution::Group(inner) => {
                        if opened.insert(inner.address.to_key()) {
                            waiting.push_back(inner);
                        }
                        continue;
                    }
                    Resolution::Disabled(_) | Resolution::NoSuchUser => {
                        expansion.gone.push(member.clone());
                        continue;
                    }
                };
                // An alias may stand for a group; then that is opened too.
                if let Resolution::Group(inner) = self.resolve(&reached) {
                    if opened.insert(inner.address.to_key()) {
                        waiting.push_back(inner);
                    }
                    continue;
                }
                if expansion.members.len() >= EXPANDED_MAX {
                    expansion.cut = true;
                    return Some(expansion);
                }
                if named.insert(reached.to_key()) {
                    expansion.members.push(reached);
                }
            }
        }
        Some(expansion)
    }

    /// Whether mail from `sender` is mail from `account`: its own address with or without a tag,
    /// an alias of it, or a group it is in.
    pub fn may_send_as(&self, account: &Address, sender: &Address) -> bool {
        match self.resolve(sender) {
            Resolution::Account { account: owner, .. }
            | Resolution::Alias { account: Some(owner), .. } => owner.address == *account,
            Resolution::Group(group) => self
                .expand(&group.address)
                .is_some_and(|expansion| expansion.members.contains(account)),
            Resolution::Alias { account: None, .. }
            | Resolution::CatchAll { .. }
            | Resolution::AnyRecipient
            | Resolution::Disabled(_)
            | Resolution::NoSuchUser
            | Resolution::NotOurs => false,
        }
    }

    pub fn resolve(&self, address: &Address) -> Resolution {
        let Some(place) = self.domains.get(address.domain()).filter(|place| place.is_ours()) else {
            return Resolution::NotOurs;
        };
        let local = key_of(address);
        match place.find(&local) {
            Some((slot, tag)) => {
                // Lower case can be longer, so the tag is cut out of what was given by its own
                // separator and not by its place in the key.
                let tag = tag.map(|()| place.tag_of(address.local()).to_owned());
                self.reach(slot, tag)
            }
            None => match (place.catch_all(), place.recipients()) {
                (Some(target), _) => match self.follow(target.clone()) {
                    Some((target, account)) => Resolution::CatchAll { target, account },
                    None => Resolution::NoSuchUser,
                },
                (None, Recipients::Any) => Resolution::AnyRecipient,
                (None, Recipients::Accounts) => Resolution::NoSuchUser,
            },
        }
    }

    fn reach(&self, slot: &Slot, tag: Option<String>) -> Resolution {
        match slot {
            Slot::Account(account) if account.disabled => Resolution::Disabled(Arc::clone(account)),
            Slot::Account(account) => Resolution::Account { account: Arc::clone(account), tag },
            Slot::Group(group) => Resolution::Group(Arc::clone(group)),
            Slot::Alias(alias) => match self.follow(alias.target.clone()) {
                Some((_, Some(account))) if account.disabled => Resolution::Disabled(account),
                Some((target, account)) => match self.slot(&target) {
                    Some(Slot::Group(group)) => Resolution::Group(Arc::clone(group)),
                    Some(Slot::Account(_) | Slot::Alias(_)) | None => {
                        Resolution::Alias { target, account }
                    }
                },
                None => Resolution::NoSuchUser,
            },
        }
    }

    /// Where an alias leads in the end; `None` when it leads nowhere: to nobody of ours, or
    /// over more than [`ALIASES_MAX`] others.
    pub fn follow(&self, start: Address) -> Option<(Address, Option<Arc<Account>>)> {
        let mut target = start;
        for _ in 0..ALIASES_MAX {
            let Some(place) = self.domains.get(target.domain()).filter(|place| place.is_ours())
            else {
                return Some((target, None));
            };
            match place.find(&key_of(&target)) {
                Some((Slot::Account(account), _)) => {
                    let account = Arc::clone(account);
                    return Some((target, Some(account)));
                }
                Some((Slot::Alias(alias), _)) => target = alias.target.clone(),
                Some((Slot::Group(group), _)) => return Some((group.address.clone(), None)),
                None => {
                    return (place.recipients() == Recipients::Any).then_some((target, None));
                }
            }
        }
        None
    }
}

impl Place {
    fn is_ours(&self) -> bool {
        self.configured.is_some() || self.added
    }

    fn recipients(&self) -> Recipients {
        self.configured.as_ref().map_or(Recipients::Accounts, |settings| settings.recipients)
    }

    fn catch_all(&self) -> Option<&Address> {
        self.configured.as_ref()?.catch_all.as_ref()
    }

    fn tag_separator(&self) -> Option<char> {
        self.configured.as_ref().map_or(Some('+'), |settings| settings.tag_separator)
    }

    fn is_at_home(&self, local: &str) -> bool {
        let base = self.tag_separator().and_then(|separator| local.split_once(separator));
        self.entries.contains_key(local)
            || base.is_some_and(|(base, _)| self.entries.contains_key(base))
    }

    /// The entry of a local part in lower case: its own, or that of the part before its tag.
    fn find(&self, local: &str) -> Option<(&Slot, Option<()>)> {
        if let Some(slot) = self.entries.get(local) {
            return Some((slot, None));
        }
        let base = self.tag_separator().and_then(|separator| local.split_once(separator));
        if let Some(slot) = base.and_then(|(base, _)| self.entries.get(base)) {
            return Some((slot, Some(())));
        }
        if let Some(slot) = self.guests.get(local) {
            return Some((slot, None));
        }
        if let Some(slot) = base.and_then(|(base, _)| self.guests.get(base)) {
            return Some((slot, Some(())));
        }
        let pattern = self.patterns.iter().find(|pattern| fits(pattern, local))?;
        self.entries.get(pattern).map(|slot| (slot, None))
    }

    /// Finds the aliases with `*` anew. The more other characters one has, the more particular
    /// it is.
    fn find_patterns(&mut self) {
        let mut patterns: Vec<Box<str>> = (self.entries.iter())
            .filter(|(key, slot)| key.contains('*') && matches!(slot, Slot::Alias(_)))
            .map(|(key, _)| key.clone())
            .collect();
        patterns.sort_by_key(|key| {
            (std::cmp::Reverse(key.chars().filter(|c| *c != '*').count()), key.clone())
        });
        self.patterns = patterns;
    }

    fn tag_of<'a>(&self, local: &'a str) -> &'a str {
        self.tag_separator()
            .and_then(|separator| local.split_once(separator))
            .map_or("", |(_, tag)| tag)
    }
}

impl Slot {
    fn of(entry: Entry) -> Self {
        match entry {
            Entry::Account(account) => Self::Account(Arc::new(account)),
            Entry::Alias(alias) => Self::Alias(alias),
            Entry::Group(group) => Self::Group(Arc::new(group)),
        }
    }

    fn to_entry(&self) -> Entry {
        match self {
            Self::Account(account) => Entry::Account(Account::clone(account)),
            Self::Group(group) => Entry::Group(Group::clone(group)),
            Self::Alias(alias) => Entry::Alias(alias.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::row::{Credentials, Kind};
    use mail::Timestamp;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn account(text: &str) -> Entry {
        Entry::Account(Account {
            address: address(text),
            kind: Kind::Person,
            disabled: text.starts_with("gone"),
            created: Timestamp(0),
            credentials: Credentials::default(),
        })
    }

    fn alias(from: &str, to: &str) -> Entry {
        Entry::Alias(Alias { address: address(from), target: address(to), created: Timestamp(0) })
    }

    fn table() -> Table {
        let mut table = Table::default();
        let domain = |name: &str| DomainSettings::new(Domain::parse(name).unwrap());
        table.configure(vec![
            domain("clinic.test"),
            DomainSettings { catch_all: Some(address("ann@clinic.test")), ..domain("catch.test") },
            DomainSettings { recipients: Recipients::Any, ..domain("inner.test") },
            DomainSettings { tag_separator: None, ..domain("plain.test") },
        ]);
        for entry in [
            account("Ann@clinic.test"),
            account("c++@clinic.test"),
            account("gone@clinic.test"),
            account("bob@plain.test"),
            account("eve@other.test"),
            alias("office@clinic.test", "front@clinic.test"),
            alias("front@clinic.test", "ann@clinic.test"),
            alias("boss@clinic.test", "boss@partner.test"),
            alias("old@clinic.test", "gone@clinic.test"),
            alias("a@clinic.test", "b@clinic.test"),
            alias("b@clinic.test", "a@clinic.test"),
            alias("lost@clinic.test", "nobody@clinic.test"),
            alias("deep@clinic.test", "anyone@inner.test"),
        ] {
            table.put(entry);
        }
        table
    }

    fn shown(resolution: &Resolution) -> String {
        let name = |account: &Arc<Account>| account.address.to_string();
        match resolution {
            Resolution::Account { account, tag: None } => name(account),
            Resolution::Account { account, tag: Some(tag) } => {
                format!("{} tag {tag}", name(account))
            }
            Resolution::Alias { target, account } => {
                format!("alias {target} {}", account.is_some())
            }
            Resolution::CatchAll { target, account } => {
                format!("catch-all {target} {}", account.is_some())
            }
            Resolution::Group(group) => format!("group {}", group.address),
            Resolution::AnyRecipient => "any".to_owned(),
            Resolution::Disabled(account) => format!("disabled {}", name(account)),
            Resolution::NoSuchUser => "nobody".to_owned(),
            Resolution::NotOurs => "not ours".to_owned(),
        }
    }

    #[test]
    fn addresses_are_found_by_what_they_are() {
        let table = table();
        for (asked, found) in [
            ("ann@clinic.test", "Ann@clinic.test"),
            ("ANN@Clinic.Test", "Ann@clinic.test"),
            ("ann+News@clinic.test", "Ann@clinic.test tag News"),
            ("ann+@clinic.test", "Ann@clinic.test tag "),
            ("c++@clinic.test", "c++@clinic.test"),
            ("bob+x@plain.test", "nobody"),
            ("office@clinic.test", "alias ann@clinic.test true"),
            ("office+tag@clinic.test", "alias ann@clinic.test true"),
            ("boss@clinic.test", "alias boss@partner.test false"),
            ("deep@clinic.test", "alias anyone@inner.test false"),
            ("gone@clinic.test", "disabled gone@clinic.test"),
            ("old@clinic.test", "disabled gone@clinic.test"),
            ("a@clinic.test", "nobody"),
            ("lost@clinic.test", "nobody"),
            ("nobody@clinic.test", "nobody"),
            ("nobody@catch.test", "catch-all ann@clinic.test true"),
            ("nobody@inner.test", "any"),
            ("eve@other.test", "not ours"),
            ("ann@sub.clinic.test", "not ours"),
        ] {
            assert_eq!(shown(&table.resolve(&address(asked))), found, "{asked}");
        }
    }

    #[test]
    fn entries_of_a_domain_wait_for_its_return() {
        let mut table = table();
        table.configure(Vec::new());
        assert_eq!(table.resolve(&address("ann@clinic.test")), Resolution::NotOurs);
        assert_eq!(table.account(&address("ann@clinic.test")), None);
        assert!(table.domains().is_empty());
        table.configure(vec![DomainSettings::new(Domain::parse("clinic.test").unwrap())]);
        assert!(table.account(&address("ann@clinic.test")).is_some());
    }

    #[test]
    fn one_of_a_hundred_thousand_is_found() {
        let mut table = table();
        for n in 0..100_000 {
            table.put(account(&format!("user{n}@clinic.test")));
        }
        let asked = address("User77777@clinic.test");
        let Resolution::Account { account, .. } = table.resolve(&asked) else {
            panic!("nobody is at {asked}");
        };
        assert_eq!(account.address, address("user77777@clinic.test"));
    }

    fn group(text: &str, members: &[&str]) -> Entry {
        let members = members.iter().map(|member| address(member)).collect();
        Entry::Group(Group { address: address(text), members, created: mail::Timestamp(0) })
    }

    #[test]
    fn a_group_is_opened_once_however_its_members_lead_round() {
        let mut table = table();
        table.put(account("eve@clinic.test"));
        table.put(account("max@clinic.test"));
        table.put(group(
            "all@clinic.test",
            &["staff@clinic.test", "eve@clinic.test", "x@other.test"],
        ));
        table.put(group(
            "staff@clinic.test",
            &["all@clinic.test", "Max@clinic.test", "gone@clinic.test"],
        ));
        let expansion = table.expand(&address("all@clinic.test")).unwrap();
        let members: Vec<String> = expansion.members.iter().map(Address::to_string).collect();
        assert_eq!(members, ["eve@clinic.test", "x@other.test", "max@clinic.test"]);
        assert_eq!(expansion.gone, [address("gone@clinic.test")]);
        assert!(!expansion.cut);
        assert!(table.expand(&address("eve@clinic.test")).is_none());
        assert!(table.may_send_as(&address("max@clinic.test"), &address("all@clinic.test")));
        assert!(table.may_send_as(&address("eve@clinic.test"), &address("eve+tag@clinic.test")));
        assert!(!table.may_send_as(&address("eve@clinic.test"), &address("staff2@clinic.test")));
        assert!(!table.may_send_as(&address("eve@clinic.test"), &address("max@clinic.test")));
    }

    #[test]
    fn a_group_that_is_too_large_is_cut() {
        let mut table = table();
        let names: Vec<String> = (0..8_000).map(|n| format!("n{n}@other.test")).collect();
        for (at, part) in names.chunks(1_000).enumerate() {
            let members: Vec<&str> = part.iter().map(String::as_str).collect();
            table.put(group(&format!("part{at}@clinic.test"), &members));
        }
        let parts: Vec<String> = (0..8).map(|at| format!("part{at}@clinic.test")).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        table.put(group("everybody@clinic.test", &parts));
        let expansion = table.expand(&address("everybody@clinic.test")).unwrap();
        assert_eq!((expansion.members.len(), expansion.cut), (EXPANDED_MAX, true));
    }

    #[test]
    fn an_alias_with_a_star_takes_what_nothing_else_does() {
        let mut table = table();
        table.put(account("eve@clinic.test"));
        table.put(account("max@clinic.test"));
        let alias = |text: &str, target: &str| {
            let (address, target) = (address(text), address(target));
            Entry::Alias(Alias { address, target, created: mail::Timestamp(0) })
        };
        table.put(alias("sales-*@clinic.test", "eve@clinic.test"));
        table.put(alias("sales-*-fr@clinic.test", "max@clinic.test"));
        table.put(alias("sales-max@clinic.test", "max@clinic.test"));
        let reached =
            |text: &str| table.resolve(&address(text)).account().map(|a| a.address.to_string());
        assert_eq!(reached("Sales-2026@clinic.test").as_deref(), Some("eve@clinic.test"));
        assert_eq!(reached("sales-2026-fr@clinic.test").as_deref(), Some("max@clinic.test"));
        assert_eq!(reached("sales-max@clinic.test").as_deref(), Some("max@clinic.test"));
        assert_eq!(table.resolve(&address("sale-1@clinic.test")), Resolution::NoSuchUser);
        assert!(fits("a*b*c", "a-b-c") && !fits("a*b*c", "a-c") && !fits("ab*b", "ab"));
    }
}
