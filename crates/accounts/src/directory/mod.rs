//! Which domains are ours, and who has a mailbox or an alias there.
//!
//! A domain is ours when the configuration names it ([`Directory::configure`]) or when it was
//! added here ([`Directory::add_domain`]). Questions are answered from memory; a change is
//! first durable in the store and then visible. One process owns the store, so its memory is
//! never behind; [`Directory::reload`] reads everything again all the same.

mod row;
mod source;
mod table;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use aws_lc_rs::rand;
use mail::{Address, Domain, Timestamp};
use store::{AccountRow, DomainRow, Store};
use tokio::sync::Mutex;

pub use row::{Account, Alias, Credentials, Entry, Group, Kind};
pub use source::{Asking, Person, REMEMBERED_MAX, Source, Unavailable, Voucher};
pub use table::{
    ALIASES_MAX, DomainSettings, EXPANDED_MAX, Expansion, MEMBERS_MAX, PATTERNS_MAX, Recipients,
    Resolution,
};

use crate::AccountError;
use crate::password::{APP_PASSWORDS_MAX, AppPassword, Kept, Keys, PasswordHash};
use row::{StoredDomain, key_of};
use source::Remembered;
use table::Table;

/// The name of the secret among the store's settings.
const SECRET: &str = "sign-in-secret";
const SECRET_OCTETS: usize = 32;
/// Rows read from the store at a time.
const PAGE_ROWS: u32 = 1_000;

/// Client certificates of one account.
pub const CERTIFICATES_MAX: usize = 16;

/// Domains, accounts and aliases, in memory over the store.
pub struct Directory {
    store: Store,
    /// Known to this server alone; stable, so that what is made up for accounts that do not
    /// exist stays the same.
    secret: Vec<u8>,
    table: RwLock<Table>,
    sources: RwLock<Vec<Arc<dyn Source>>>,
    remembered: std::sync::Mutex<Remembered>,
    /// Held over a change from its check to its being visible.
    changing: Mutex<()>,
}

impl Directory {
    /// Reads every domain, account and alias that `store` has.
    ///
    /// # Errors
    ///
    /// [`AccountError::Store`], or [`AccountError::Row`] when a row is not ours.
    pub async fn open(store: Store) -> Result<Self, AccountError> {
        let table = RwLock::new(read(&store).await?);
        let mut fresh = vec![0; SECRET_OCTETS];
        rand::fill(&mut fresh).map_err(|_| AccountError::Hashing("no randomness".to_owned()))?;
        let secret = store.setting_or(SECRET, fresh).await?.into_inner();
        Ok(Self {
            store,
            secret,
            table,
            sources: RwLock::default(),
            remembered: std::sync::Mutex::default(),
            changing: Mutex::new(()),
        })
    }

    /// Reads everything again, keeping what the configuration said.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); memory then stays as it was.
    pub async fn reload(&self) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        let mut fresh = read(&self.store).await?;
        let mut table = self.table_mut();
        fresh.configure(table.settings());
        *table = fresh;
        Ok(())
    }

    /// Takes the domains of the configuration in place of those it named before.
    pub fn configure(&self, domains: Vec<DomainSettings>) {
        self.table_mut().configure(domains);
    }

    /// Asks these directories for people that are not here, in place of those before. Whom one
    /// of the same name vouched for stays known until it is asked again.
    pub fn set_sources(&self, sources: Vec<Arc<dyn Source>>) {
        let gone = self.remembered().change_sources(&sources);
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = sources;
        let mut table = self.table_mut();
        for address in &gone {
            table.remove_guest(address);
        }
    }

    /// Sees to it that [`resolve`](Self::resolve) knows what other directories say of
    /// `address`, and of the members if it is a group: asks those that serve its domain, unless
    /// they were asked lately. Does nothing where nobody else is to be asked.
    ///
    /// # Errors
    ///
    /// [`Unavailable`]: nobody knows whether there is such a person (451 4.3.0). Somebody who
    /// was known before stays known.
    pub async fn look_up(&self, address: &Address, now: Timestamp) -> Result<(), Unavailable> {
        if self.sources.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
        if let Some(Expansion { gone, .. }) = self.expand(address) {
            for member in &gone {
                self.look_up_one(member, now).await?;
            }
            return Ok(());
        }
        self.look_up_one(address, now).await
    }

    async fn look_up_one(&self, address: &Address, now: Timestamp) -> Result<(), Unavailable> {
        if !self.is_ours(address.domain()) || self.table().is_at_home(address) {
            return Ok(());
        }
        let without_tag = self.table().without_tag(address);
        for asked in [Some(address.clone()), without_tag].into_iter().flatten() {
            if self.ask_sources(&asked, now).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a source knows somebody at exactly this address.
    async fn ask_sources(&self, address: &Address, now: Timestamp) -> Result<bool, Unavailable> {
        let serves = |source: &&Arc<dyn Source>| source.serves(address.domain());
        let sources: Vec<Arc<dyn Source>> = {
            let all = self.sources.read().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter(serves).cloned().collect()
        };
        let Some(first) = sources.first() else { return Ok(false) };
        if let Some(known) = self.remembered().fresh(address, &**first, now) {
            return Ok(known);
        }
        for source in &sources {
            match source.find(address, now).await {
                Ok(Some(person)) if self.is_ours(person.address.domain()) => {
                    self.welcome(address, &person, source, now);
                    return Ok(true);
                }
                Ok(Some(_) | None) => {}
                // Who was known stays known while the directory is away.
                Err(_) if self.remembered().voucher(address).is_some() => return Ok(true),
                Err(why) => {
                    tracing::warn!(directory = source.name(), why, "a directory cannot be asked");
                    return Err(Unavailable { source_name: source.name().to_owned(), why });
                }
            }
        }
        self.forget_if_full(address, None, now);
        self.table_mut().remove_guest(address);
        Ok(false)
    }

    /// Lets a person that a source knows be found here, and the name by which it was asked.
    fn welcome(&self, asked: &Address, person: &Person, source: &Arc<dyn Source>, now: Timestamp) {
        let voucher = Voucher { source: Arc::clone(source), id: person.id.clone() };
        self.forget_if_full(&person.address, Some(voucher.clone()), now);
        let account = Account {
            address: person.address.clone(),
            kind: Kind::Person,
            disabled: false,
            created: now,
            credentials: Credentials::default(),
        };
        self.table_mut().put_guest(Entry::Account(account));
        if asked.to_key() != person.address.to_key() {
            self.forget_if_full(asked, Some(voucher), now);
            let (address, target) = (asked.clone(), person.address.clone());
            self.table_mut().put_guest(Entry::Alias(Alias { address, target, created: now }));
        }
    }

    fn forget_if_full(&self, address: &Address, said: Option<Voucher>, now: Timestamp) {
        let full = self.remembered().note(address, said, now);
        if full {
            self.table_mut().clear_guests();
        }
    }

    /// The directory that vouches for the account of this address, where it is not ours.
    pub fn voucher(&self, account: &Address) -> Option<Voucher> {
        if self.table().is_at_home(account) {
            return None;
        }
        self.remembered().voucher(account)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `address` is to us. Answers from memory, in less than a microsecond.
    pub fn resolve(&self, address: &Address) -> Resolution {
        self.table().resolve(address)
    }

    /// Whether `domain` is ours.
    pub fn is_ours(&self, domain: &Domain) -> bool {
        self.table().is_ours(domain)
    }

    /// What is at exactly this address.
    pub fn entry(&self, address: &Address) -> Option<Entry> {
        self.table().entry(address)
    }

    /// The account of exactly this address, without aliases and sub-addresses.
    pub fn account(&self, address: &Address) -> Option<Arc<Account>> {
        self.table().account(address).cloned()
    }

    /// The account that signs in under this name: its address, in any case.
    pub fn sign_in_account(&self, user: &str) -> Option<Arc<Account>> {
        self.account(&Address::parse(user).ok()?)
    }

    /// Our domains, sorted.
    pub fn domains(&self) -> Vec<Domain> {
        self.table().domains()
    }

    /// Every account and alias, sorted by domain and local part; also those of domains that
    /// are not ours at present.
    pub fn entries(&self) -> Vec<Entry> {
        self.table().entries()
    }

    /// Makes `name` one of our domains.
    ///
    /// # Errors
    ///
    /// [`AccountError::DomainExists`], [`AccountError::Literal`] or [`AccountError::Store`].
    pub async fn add_domain(&self, name: Domain, now: Timestamp) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        if name.literal().is_some() {
            return Err(AccountError::Literal(name));
        }
        if self.is_ours(&name) {
            return Err(AccountError::DomainExists(name));
        }
        self.put_domain(&name, now, true).await?;
        self.table_mut().set_added(&name, true);
        Ok(())
    }

    /// Makes `name` a domain of others again.
    ///
    /// # Errors
    ///
    /// [`AccountError::NotOurs`], [`AccountError::DomainConfigured`] when only the
    /// configuration can do that, [`AccountError::DomainInUse`] while it has accounts or
    /// aliases, or [`AccountError::Store`].
    pub async fn remove_domain(&self, name: &Domain) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        let (ours, configured, added, entries) = {
            let table = self.table();
            let (ours, configured) = (table.is_ours(name), table.is_configured(name));
            (ours, configured, table.is_added(name), table.entries_of(name))
        };
        if !ours {
            return Err(AccountError::NotOurs(name.clone()));
        }
        if configured || !added {
            return Err(AccountError::DomainConfigured(name.clone()));
        }
        if entries > 0 {
            return Err(AccountError::DomainInUse { domain: name.clone(), entries });
        }
        self.store.remove_domain(name).await?.into_inner();
        self.table_mut().set_added(name, false);
        Ok(())
    }

    /// Makes an account. Without a password it receives mail and cannot sign in.
    ///
    /// # Errors
    ///
    /// [`AccountError::NotOurs`], [`AccountError::Exists`] or [`AccountError::Store`].
    pub async fn add_account(
        &self,
        address: Address,
        password: Option<PasswordHash>,
        kind: Kind,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        self.check_new(&address)?;
        let changed = password.is_some().then_some(now);
        let credentials = Credentials { password, changed, ..Credentials::default() };
        let account = Account { address, kind, disabled: false, created: now, credentials };
        self.put_new(Entry::Account(account), now).await
    }

    /// Makes `address` another name for `target`, which may be anywhere.
    ///
    /// # Errors
    ///
    /// [`AccountError::NotOurs`], [`AccountError::Exists`], [`AccountError::NoAccount`] when
    /// the target is of our domains and not there, [`AccountError::AliasLoop`] or
    /// [`AccountError::Store`].
    pub async fn add_alias(
        &self,
        address: Address,
        target: Address,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        self.check_new(&address)?;
        if address.to_key() == target.to_key() {
            return Err(AccountError::AliasLoop(address));
        }
        let is_pattern = address.local().contains('*');
        if is_pattern && self.table().patterns_of(address.domain()) >= PATTERNS_MAX {
            return Err(AccountError::Patterns(address.domain().clone()));
        }
        if self.table().follow(target.clone()).is_none() {
            return Err(match self.table().entry(&target) {
                Some(_) => AccountError::AliasLoop(address),
                None => AccountError::NoAccount(target),
            });
        }
        self.put_new(Entry::Alias(Alias { address, target, created: now }), now).await
    }

    /// Gives an account a new password with the other verifiers of it; `remember` old hashes
    /// are kept.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoAccount`], [`AccountError::IsAlias`] or [`AccountError::Store`].
    pub async fn set_password(
        &self,
        address: &Address,
        password: PasswordHash,
        keys: Keys,
        remember: usize,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        self.change(address, |account| {
            let credentials = &mut account.credentials;
            credentials.history.splice(0..0, credentials.password.replace(password));
            credentials.history.truncate(remember);
            credentials.keys = keys;
            credentials.changed = Some(now);
        })
        .await
    }

    /// Replaces the verifiers of a password that was just seen, unless it has become another.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoAccount`], [`AccountError::IsAlias`] or [`AccountError::Store`].
    pub(crate) async fn renew(
        &self,
        address: &Address,
        seen: &PasswordHash,
        fresh: Option<PasswordHash>,
        keys: Keys,
    ) -> Result<(), AccountError> {
        self.change(address, |account| {
            if account.credentials.password.as_ref() == Some(seen) {
                account.credentials.keys = keys;
                account.credentials.password = Some(fresh.unwrap_or_else(|| seen.clone()));
            }
        })
        .await
    }

    /// Gives an account one more app password.
    ///
    /// # Errors
    ///
    /// [`AccountError::AppPasswords`] when it has [`APP_PASSWORDS_MAX`],
    /// [`AccountError::NoAccount`], [`AccountError::IsAlias`] or [`AccountError::Store`].
    pub async fn add_app_password(
        &self,
        address: &Address,
        made: AppPassword,
    ) -> Result<(), AccountError> {
        self.try_change(address, |account| {
            let all = &mut account.credentials.app_passwords;
            if all.len() >= APP_PASSWORDS_MAX {
                return Err(AccountError::AppPasswords);
            }
            all.push(made);
            Ok(())
        })
        .await
    }

    /// Replaces the keys of an app password that was just seen, if it is still there.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoAccount`], [`AccountError::IsAlias`] or [`AccountError::Store`].
    pub(crate) async fn renew_app_password(
        &self,
        address: &Address,
        id: &str,
        keys: Keys,
    ) -> Result<(), AccountError> {
        self.change(address, |account| {
            let apps = &mut account.credentials.app_passwords;
            if let Some(app) = apps.iter_mut().find(|app| app.id == id) {
                app.keys = keys;
            }
        })
        .await
    }

    /// Revokes the app password of this id.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoAppPassword`], [`AccountError::NoAccount`], [`AccountError::IsAlias`]
    /// or [`AccountError::Store`].
    pub async fn revoke_app_password(
        &self,
        address: &Address,
        id: &str,
    ) -> Result<(), AccountError> {
        self.try_change(address, |account| {
            let all = &mut account.credentials.app_passwords;
            let before = all.len();
            all.retain(|one| one.id != id);
            if all.len() == before {
                return Err(AccountError::NoAppPassword(id.to_owned()));
            }
            Ok(())
        })
        .await
    }

    /// Notes whether an account has a second factor, so that its password alone opens no mail
    /// protocol.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoAccount`], [`AccountError::IsAlias`] or [`AccountError::Store`].
    pub async fn set_second_factor(&self, address: &Address, on: bool) -> Result<(), AccountError> {
        self.change(address, |account| account.credentials.second_factor = on).await
    }

    /// Lets the client certificate with this SHA-256 open an account; at most
    /// [`CERTIFICATES_MAX`] do.
    ///
    /// # Errors
    ///
    /// [`AccountError::Certificate`] when it is no SHA-256, or opens an account already;
    /// [`AccountError::NoAccount`], [`AccountError::IsAlias`] or [`AccountError::Store`].
    pub async fn add_certificate(
        &self,
        address: &Address,
        sha256: &str,
    ) -> Result<(), AccountError> {
        let sha256 = sha256.replace(':', "").to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            let text = "a fingerprint is a SHA-256: 64 hexadecimal digits, with or without colons";
            return Err(AccountError::Certificate(text.to_owned()));
        }
        if let Some(account) = self.certificate_account(&sha256) {
            let text = format!("this certificate opens {} already", account.address);
            return Err(AccountError::Certificate(text));
        }
        self.try_change(address, |account| {
            let all = &mut account.credentials.certificates;
            if all.len() >= CERTIFICATES_MAX {
                let text = format!("an account can have {CERTIFICATES_MAX} certificates");
                return Err(AccountError::Certificate(text));
            }
            all.push(sha256);
            Ok(())
        })
        .await
    }

    /// Takes back what [`add_certificate`](Self::add_certificate) did.
    ///
    /// # Errors
    ///
    /// [`AccountError::Certificate`] when the account has it not;
    /// [`AccountError::NoAccount`], [`AccountError::IsAlias`] or [`AccountError::Store`].
    pub async fn remove_certificate(
        &self,
        address: &Address,
        sha256: &str,
    ) -> Result<(), AccountError> {
        let sha256 = sha256.replace(':', "").to_ascii_lowercase();
        self.try_change(address, |account| {
            let all = &mut account.credentials.certificates;
            let before = all.len();
            all.retain(|one| *one != sha256);
            if all.len() == before {
                let text = format!("{address} has no certificate of this fingerprint");
                return Err(AccountError::Certificate(text));
            }
            Ok(())
        })
        .await
    }

    /// The account that the client certificate with this SHA-256 opens.
    pub fn certificate_account(&self, sha256: &str) -> Option<Arc<Account>> {
        self.table().certificate_account(sha256).cloned()
    }

    /// Whether any account has had this verifier since the directory was read.
    pub fn has_keys(&self, kind: Kept) -> bool {
        self.table().has_keys(kind)
    }

    /// A secret of this server.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Disables an account, or enables it again.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoAccount`], [`AccountError::IsAlias`] or [`AccountError::Store`].
    pub async fn set_disabled(
        &self,
        address: &Address,
        disabled: bool,
    ) -> Result<(), AccountError> {
        self.change(address, |account| account.disabled = disabled).await
    }

    /// Makes `address` a name for many, or replaces its members.
    ///
    /// # Errors
    ///
    /// [`AccountError::NotOurs`], [`AccountError::Exists`] when the address is an account or an
    /// alias, [`AccountError::Members`] when they are none or too many,
    /// [`AccountError::NoAccount`] for a member of our domains that is not there, or
    /// [`AccountError::Store`].
    pub async fn put_group(
        &self,
        address: Address,
        members: Vec<Address>,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        let created = match self.table().entry(&address) {
            Some(Entry::Group(group)) => Some(group.created),
            Some(Entry::Account(_) | Entry::Alias(_)) | None => None,
        };
        if created.is_none() {
            self.check_new(&address)?;
        }
        if members.is_empty() || members.len() > MEMBERS_MAX {
            return Err(AccountError::Members(address));
        }
        for member in &members {
            if self.table().follow(member.clone()).is_none() {
                return Err(AccountError::NoAccount(member.clone()));
            }
        }
        let group = Group { address, members, created: created.unwrap_or(now) };
        self.put_new(Entry::Group(group), now).await
    }

    /// Everybody in the group of this address; `None` when there is no such group.
    pub fn expand(&self, address: &Address) -> Option<Expansion> {
        self.table().expand(address)
    }

    /// Whether mail from `sender` is mail from `account`: from its address with or without a
    /// tag, from an alias of it, or from a group it is in.
    pub fn may_send_as(&self, account: &Address, sender: &Address) -> bool {
        self.table().may_send_as(account, sender)
    }

    /// Whether `account` is in the group of this address, itself or through other groups.
    pub fn is_member(&self, group: &Address, account: &Address) -> bool {
        self.expand(group).is_some_and(|expansion| expansion.members.contains(account))
    }

    /// Removes an account, an alias or a group. Mail that was delivered stays where it is; aliases that
    /// led to it lead nowhere from now on.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoAccount`] or [`AccountError::Store`].
    pub async fn remove(&self, address: &Address) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        if self.table().entry(address).is_none() {
            return Err(AccountError::NoAccount(address.clone()));
        }
        self.store.remove_account(address.domain(), &key_of(address)).await?.into_inner();
        self.table_mut().remove(address);
        Ok(())
    }

    fn check_new(&self, address: &Address) -> Result<(), AccountError> {
        let table = self.table();
        if !table.is_ours(address.domain()) {
            return Err(AccountError::NotOurs(address.domain().clone()));
        }
        match table.entry(address) {
            Some(_) => Err(AccountError::Exists(address.clone())),
            None => Ok(()),
        }
    }

    async fn put_new(&self, entry: Entry, now: Timestamp) -> Result<(), AccountError> {
        let domain = entry.address().domain();
        let (added, entries) = {
            let table = self.table();
            (table.is_added(domain), table.entries_of(domain))
        };
        if !added && entries == 0 {
            self.put_domain(domain, now, false).await?;
        }
        self.put(entry).await
    }

    async fn change(
        &self,
        address: &Address,
        change: impl FnOnce(&mut Account),
    ) -> Result<(), AccountError> {
        let always = |account: &mut Account| {
            change(account);
            Ok(())
        };
        self.try_change(address, always).await
    }

    async fn try_change(
        &self,
        address: &Address,
        change: impl FnOnce(&mut Account) -> Result<(), AccountError>,
    ) -> Result<(), AccountError> {
        let _changing = self.changing.lock().await;
        let entry = self.table().entry(address);
        match entry {
            Some(Entry::Account(mut account)) => {
                change(&mut account)?;
                self.put(Entry::Account(account)).await
            }
            Some(Entry::Alias(_)) => Err(AccountError::IsAlias(address.clone())),
            Some(Entry::Group(_)) => Err(AccountError::IsGroup(address.clone())),
            None => Err(AccountError::NoAccount(address.clone())),
        }
    }

    async fn put(&self, entry: Entry) -> Result<(), AccountError> {
        let domain = entry.address().domain().clone();
        let row = AccountRow { domain, name: key_of(entry.address()), row: entry.to_json()? };
        self.store.put_account(row).await?.into_inner();
        self.table_mut().put(entry);
        Ok(())
    }

    async fn put_domain(
        &self,
        name: &Domain,
        now: Timestamp,
        added: bool,
    ) -> Result<(), AccountError> {
        let row = StoredDomain { name: name.clone(), created: now, added }.to_json()?;
        self.store.put_domain(DomainRow { name: name.clone(), row }).await?.into_inner();
        Ok(())
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("domains", &self.domains()).finish_non_exhaustive()
    }
}

async fn read(store: &Store) -> Result<Table, AccountError> {
    let mut table = Table::default();
    let mut after = String::new();
    loop {
        let rows = store.domains(&after, PAGE_ROWS).await?;
        let Some(last) = rows.last() else { return Ok(table) };
        last.name.as_str().clone_into(&mut after);
        for row in rows {
            let stored = StoredDomain::from_json(row.name.as_str(), &row.row)?;
            table.set_added(&stored.name, stored.added);
            read_entries(store, &stored.name, &mut table).await?;
        }
    }
}

async fn read_entries(
    store: &Store,
    domain: &Domain,
    table: &mut Table,
) -> Result<(), AccountError> {
    let mut after = String::new();
    loop {
        let rows = store.accounts(domain, &after, PAGE_ROWS).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        last.name.clone_into(&mut after);
        for row in rows {
            table.put(Entry::from_json(&format!("{}@{domain}", row.name), &row.row)?);
        }
    }
}
