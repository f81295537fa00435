//! Who signs in: the judge of SASL's questions, and the proof it gives.

pub mod choose;
mod offer;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use mail::{Address, Timestamp};

use crate::AccountError;
use crate::directory::{Account, Credentials, Directory};
use crate::failures::{Failures, Gate};
use crate::kerberos::{TICKET_MAX, TICKETS_AT_A_TIME};
use crate::password::{
    AppPassword, Owner, Password, ScramRing, Service, Verifier, Which, find_app_password,
};
use crate::sasl::{self, gssapi, gssapi::Next};
use crate::sasl::{ClientCertificate, Failure, Finding, Negotiation, Proved, Question};
use crate::settings::{Certificates, SignInSettings};
use crate::token::{Token, TokenRefusal};
use crate::workers::Workers;

/// An account that proved itself. Only [`SignIn`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    account: Arc<Account>,
}

impl Authenticated {
    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The account's address: the identity that rules, logs and evidence know.
    pub fn address(&self) -> &Address {
        &self.account.address
    }
}

/// Judges sign-ins against the directory, and counts the failures.
#[derive(Debug)]
pub struct SignIn {
    directory: Arc<Directory>,
    verifier: Verifier,
    tickets: Workers,
    failures: Mutex<Failures>,
    settings: RwLock<Arc<SignInSettings>>,
}

/// A judged sign-in.
#[derive(Debug)]
pub struct Judged {
    /// For [`Exchange::answer`](crate::sasl::Exchange::answer).
    pub finding: Finding,
    /// The name the client gave: for [`security_line`](crate::security::security_line) when
    /// the finding is a refusal, and for the log.
    pub user: String,
    /// How long the driver waits before it tells the client.
    pub delay: Duration,
}

/// What proved an account, as far as more depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The account's own password.
    Password,
    /// An app password, a token or a certificate: a second factor is no matter of theirs.
    Other,
}

impl SignIn {
    /// A judge over `directory`, with the default settings.
    pub fn new(directory: Arc<Directory>, verifier: Verifier, failures: Failures) -> Self {
        let settings = RwLock::new(Arc::new(SignInSettings::default()));
        let tickets = Workers::new(TICKETS_AT_A_TIME);
        Self { directory, verifier, tickets, failures: Mutex::new(failures), settings }
    }

    /// Judges by `settings` from now on.
    pub fn configure(&self, settings: SignInSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// What it judges by.
    pub fn settings(&self) -> Arc<SignInSettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers an exchange's question for a client at `ip` that wants to send mail.
    ///
    /// A client that is locked out is refused unchecked ([`Failure::LockedOut`]). An account
    /// that does not exist, one that is disabled and a wrong password take the same work.
    pub async fn judge(&self, question: Question, ip: IpAddr, now: Timestamp) -> Judged {
        let mut user = named(&question);
        let gate = self.failures().gate(ip, &user, now);
        if let Gate::Locked(_) = gate {
            let finding = Finding::Refused(Failure::LockedOut);
            return Judged { finding, user, delay: Duration::ZERO };
        }
        let result = match question {
            // Keys are no outcome: nothing is counted before the proof.
            Question::Scram { user, hash } => {
                let account = self.directory.sign_in_account(&user);
                let kept = account.and_then(|account| account.credentials.scram(hash));
                let owner = Owner { user: &user, secret: self.directory.secret() };
                let keys = kept.unwrap_or_else(|| ScramRing::of_nobody(hash, &owner));
                return Judged { finding: Finding::Scram(keys), user, delay: Duration::ZERO };
            }
            Question::Cram { user } => {
                let key = self.directory.sign_in_account(&user);
                let key = key.and_then(|account| account.credentials.keys.cram_md5.clone());
                return Judged { finding: Finding::Cram(key), user, delay: Duration::ZERO };
            }
            Question::Digest { user } => {
                let key = self.directory.sign_in_account(&user);
                let key = key.and_then(|account| account.credentials.keys.digest_md5.clone());
                return Judged { finding: Finding::Digest(key), user, delay: Duration::ZERO };
            }
            Question::Password(given) => self.judge_password(given, ip, now).await,
            Question::Proved(proved) => self.judge_proved(&proved, ip, now),
            Question::Token { user, token } => self.judge_token(user.as_deref(), &token, now).await,
            Question::Ticket { negotiation, response } => {
                match self.negotiate(negotiation, response).await {
                    Ok((negotiation, Next::Challenge(challenge))) => {
                        let finding = Finding::Ticket { negotiation, challenge };
                        return Judged { finding, user, delay: Duration::ZERO };
                    }
                    Ok((_, Next::Proved { principal, act_as })) => {
                        let judged = self.judge_principal(&principal, act_as.as_deref(), now).await;
                        user = principal;
                        judged
                    }
                    Err(failure) => Err(failure),
                }
            }
            Question::Certificate { certificate, act_as } => {
                self.judge_certificate(&certificate, act_as.as_deref(), now)
            }
        };
        let mut failures = self.failures();
        let (finding, gate) = match result {
            Ok(authenticated) => {
                failures.succeeded(ip, &user, now);
                (Finding::Authenticated(authenticated), gate)
            }
            Err(failure) if failure.counts() => {
                (Finding::Refused(failure), failures.failed(ip, &user, now))
            }
            Err(failure) => (Finding::Refused(failure), gate),
        };
        let delay = match gate {
            Gate::Slow(delay) => delay,
            Gate::Open | Gate::Locked(_) => Duration::ZERO,
        };
        Judged { finding, user, delay }
    }

    async fn judge_password(
        &self,
        given: sasl::Credentials,
        ip: IpAddr,
        now: Timestamp,
    ) -> Result<Authenticated, Failure> {
        let sasl::Credentials { user, act_as, password } = given;
        let account = self.find(&user, now).await?;
        if let Some(account) = &account
            && let Some(voucher) = self.directory.voucher(&account.address)
        {
            return match voucher.source.is_password(&voucher.id, &password, now).await {
                Ok(true) => self.admit(account, act_as.as_deref(), By::Other, now),
                Ok(false) => Err(Failure::WrongPassword),
                Err(why) => {
                    tracing::warn!(
                        directory = voucher.source.name(),
                        why,
                        "a password cannot be checked"
                    );
                    Err(Failure::Unavailable)
                }
            };
        }
        if let Some(account) = &account
            && let Some(app) = find_app_password(&account.credentials.app_passwords, &password)
        {
            let admitted = self.admit_app(account, app, act_as.as_deref(), ip, now)?;
            self.renew_app(account, app, &password).await;
            return Ok(admitted);
        }
        let hash = account.as_ref().and_then(|account| account.credentials.password.clone());
        let right = self.verifier.verify(hash, password.clone()).await;
        match (right, account) {
            (Err(error), _) => {
                report(&error);
                Err(Failure::Unavailable)
            }
            (Ok(_), None) => Err(Failure::UnknownUser),
            (Ok(false), Some(_)) => Err(Failure::WrongPassword),
            (Ok(true), Some(account)) => {
                let admitted = self.admit(&account, act_as.as_deref(), By::Password, now)?;
                self.renew(&account, password).await;
                Ok(admitted)
            }
        }
    }

    fn judge_proved(
        &self,
        proved: &Proved,
        ip: IpAddr,
        now: Timestamp,
    ) -> Result<Authenticated, Failure> {
        let account = self.directory.sign_in_account(&proved.user);
        let account = account.ok_or(Failure::UnknownUser)?;
        if let Some(failure) = proved.refused {
            return Err(failure);
        }
        let (Credentials { keys, app_passwords, .. }, act_as) =
            (&account.credentials, proved.act_as.as_deref());
        // Taken away or changed while the client thought: its proof was of another state.
        match &proved.which {
            Which::Account if !keys.has(proved.by) => Err(Failure::WrongPassword),
            Which::Account => self.admit(&account, act_as, By::Password, now),
            Which::App(id) => {
                let app = app_passwords.iter().find(|app| app.id == *id && app.keys.has(proved.by));
                let app = app.ok_or(Failure::WrongPassword)?;
                self.admit_app(&account, app, act_as, ip, now)
            }
        }
    }

    /// A client that proved an app password, as far as that holds here.
    fn admit_app(
        &self,
        account: &Arc<Account>,
        app: &AppPassword,
        act_as: Option<&str>,
        ip: IpAddr,
        now: Timestamp,
    ) -> Result<Authenticated, Failure> {
        if !app.holds(Service::Smtp, ip, now) {
            return Err(Failure::AppPasswordScope);
        }
        self.admit(account, act_as, By::Other, now)
    }

    async fn judge_token(
        &self,
        user: Option<&str>,
        token: &Token,
        now: Timestamp,
    ) -> Result<Authenticated, Failure> {
        let settings = self.settings();
        let tokens = settings.tokens.as_ref().ok_or(Failure::Mechanism)?;
        let identity = match tokens.judge(token, now).await {
            Ok(identity) => identity,
            Err(refusal @ TokenRefusal::Keys(_)) => {
                tracing::warn!(%refusal, "a token could not be checked");
                return Err(Failure::Unavailable);
            }
            Err(refusal) => {
                tracing::info!(user, %refusal, "a token opens nothing");
                return Err(Failure::BadToken);
            }
        };
        let account = self.find(&identity, now).await?.ok_or(Failure::UnknownUser)?;
        self.admit(&account, user, By::Other, now)
    }

    /// The next piece of a Kerberos client, off the async threads: the library may block.
    async fn negotiate(
        &self,
        negotiation: Option<Box<Negotiation>>,
        response: Vec<u8>,
    ) -> Result<(Box<Negotiation>, Next), Failure> {
        let kerberos = self.settings().kerberos.clone().ok_or(Failure::Mechanism)?;
        let work = move || {
            let mut negotiation = match negotiation {
                Some(negotiation) => negotiation,
                None => {
                    let context = kerberos.acceptor.accept();
                    Box::new(Negotiation::new(context.map_err(|error| gssapi::refused(&error))?))
                }
            };
            let next = negotiation.step(&response)?;
            Ok((negotiation, next))
        };
        match tokio::time::timeout(TICKET_MAX, self.tickets.compute(work)).await {
            Ok(Ok(worked)) => worked,
            Ok(Err(error)) => {
                report(&error);
                Err(Failure::Unavailable)
            }
            Err(_) => {
                tracing::warn!("the Kerberos library does not answer in time");
                Err(Failure::Unavailable)
            }
        }
    }

    async fn judge_principal(
        &self,
        principal: &str,
        act_as: Option<&str>,
        now: Timestamp,
    ) -> Result<Authenticated, Failure> {
        let settings = self.settings();
        let kerberos = settings.kerberos.as_ref().ok_or(Failure::Mechanism)?;
        let address = kerberos.address_of(principal).ok_or(Failure::UnknownUser)?;
        let account = self.find(&address.to_string(), now).await?.ok_or(Failure::UnknownUser)?;
        self.admit(&account, act_as, By::Other, now)
    }

    /// The account that signs in under this name, here or in another directory.
    async fn find(&self, user: &str, now: Timestamp) -> Result<Option<Arc<Account>>, Failure> {
        if let Ok(address) = Address::parse(user)
            && self.directory.look_up(&address, now).await.is_err()
        {
            return Err(Failure::Unavailable);
        }
        Ok(self.directory.sign_in_account(user))
    }

    fn judge_certificate(
        &self,
        certificate: &ClientCertificate,
        act_as: Option<&str>,
        now: Timestamp,
    ) -> Result<Authenticated, Failure> {
        let account = self.certificate_account(certificate).ok_or(Failure::NoCertificate)?;
        self.admit(&account, act_as, By::Other, now)
    }

    /// The one account that a certificate opens.
    fn certificate_account(&self, certificate: &ClientCertificate) -> Option<Arc<Account>> {
        let by_address = match self.settings().certificates {
            Certificates::Off => return None,
            Certificates::Fingerprint => false,
            Certificates::Address => true,
        };
        if let Some(account) = self.directory.certificate_account(&certificate.sha256) {
            return Some(account);
        }
        match &certificate.emails[..] {
            [email] if by_address && certificate.trusted => self.directory.sign_in_account(email),
            // Two addresses would be two accounts, and none of them is meant.
            _ => None,
        }
    }

    /// The last word on a client that proved `account`.
    fn admit(
        &self,
        account: &Arc<Account>,
        act_as: Option<&str>,
        by: By,
        now: Timestamp,
    ) -> Result<Authenticated, Failure> {
        if account.disabled {
            return Err(Failure::Disabled);
        }
        if !acts_as_itself(act_as, account) {
            return Err(Failure::ActAs);
        }
        let credentials = &account.credentials;
        if by == By::Password {
            if credentials.second_factor {
                return Err(Failure::AppPasswordNeeded);
            }
            if self.settings().policy.has_expired(credentials.changed, account.created, now) {
                return Err(Failure::PasswordExpired);
            }
        }
        Ok(Authenticated { account: Arc::clone(account) })
    }

    /// Makes the verifiers of a password anew, now that it is seen, where the configuration
    /// wants others than there are. A failure is no reason to refuse the client.
    async fn renew(&self, account: &Account, password: Password) {
        let Some(hash) = &account.credentials.password else { return };
        let settings = self.settings();
        let outdated = hash.is_outdated(self.verifier.cost());
        if !outdated && account.credentials.keys.are(&settings.kept) {
            return;
        }
        let renewed = async {
            let fresh =
                if outdated { Some(self.verifier.hash(password.clone()).await?) } else { None };
            let keys = self.keys(&account.address, password, &settings).await?;
            self.directory.renew(&account.address, hash, fresh, keys).await
        };
        if let Err(error) = renewed.await {
            report(&error);
        }
    }

    /// The same for the keys of an app password.
    async fn renew_app(&self, account: &Account, app: &AppPassword, password: &Password) {
        let settings = self.settings();
        if app.keys.are(&AppPassword::kept(&settings.kept)) {
            return;
        }
        let renewed = async {
            let keys = self.app_keys(&account.address, password, &settings).await?;
            self.directory.renew_app_password(&account.address, &app.id, keys).await
        };
        if let Err(error) = renewed.await {
            report(&error);
        }
    }

    /// The directory it judges against.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Makes hashes for new passwords.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The failures counted so far.
    pub fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom a question is about, as far as the client said.
fn named(question: &Question) -> String {
    match question {
        Question::Password(credentials) => credentials.user.clone(),
        Question::Scram { user, .. } | Question::Cram { user } | Question::Digest { user } => {
            user.clone()
        }
        Question::Proved(proved) => proved.user.clone(),
        Question::Token { user, .. } => user.clone().unwrap_or_default(),
        // Whose it is shows at its end.
        Question::Ticket { .. } => String::new(),
        Question::Certificate { certificate, act_as } => act_as
            .clone()
            .or_else(|| certificate.emails.first().cloned())
            .unwrap_or_else(|| certificate.sha256.clone()),
    }
}

/// Nobody acts as another; naming oneself, in whatever case, is no such wish.
fn acts_as_itself(act_as: Option<&str>, account: &Account) -> bool {
    act_as.is_none_or(|name| {
        Address::parse(name).is_ok_and(|name| name.to_key() == account.address.to_key())
    })
}

fn report(error: &AccountError) {
    tracing::warn!(%error, "a sign-in could not be checked");
}
