//! What an operator's request can reach: a running server, or its store alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accounts::{Cost, Directory, Failures, SignIn, Verifier};
use config::Config;
use config::tree::Tree;
use delivery::Egress;
use evidence::{AccountChanged, AdminAction, Entry, Event};
use mail::{Timestamp, TraceId};
use store::{Options, Store, StoreError};

use crate::cli::{Global, serve};
use crate::control::{self, Answer, Request, exit, socket};
use crate::identity;
use crate::server::{Server, domain_settings};

/// Who asks, and what that can reach.
pub struct Admin {
    by: String,
    reach: Reach,
}

/// A running server, or what it left on the disk.
enum Reach {
    /// A running server.
    Running(Arc<Server>),
    /// A store without a server.
    Store(Box<Alone>),
}

/// A store without a server, and what the configuration says about it.
struct Alone {
    store: Store,
    accounts: SignIn,
    config: Option<Config>,
    file: Option<PathBuf>,
}

impl Admin {
    /// A running server, asked by nobody in particular.
    pub fn of(server: &Arc<Server>) -> Self {
        Self { by: "the server".to_owned(), reach: Reach::Running(Arc::clone(server)) }
    }

    /// The same, asked by `who`.
    #[must_use]
    pub fn asked_by(mut self, who: String) -> Self {
        self.by = who;
        self
    }

    /// Who asks.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// The store.
    pub fn store(&self) -> &Store {
        match &self.reach {
            Reach::Running(server) => &server.store,
            Reach::Store(alone) => &alone.store,
        }
    }

    /// Accounts and passwords.
    pub fn accounts(&self) -> &SignIn {
        match &self.reach {
            Reach::Running(server) => &server.accounts,
            Reach::Store(alone) => &alone.accounts,
        }
    }

    /// The server, if one runs.
    pub fn server(&self) -> Option<&Arc<Server>> {
        match &self.reach {
            Reach::Running(server) => Some(server),
            Reach::Store(_) => None,
        }
    }

    /// The configuration file, unless this is the demo.
    pub fn file(&self) -> Option<&Path> {
        match &self.reach {
            Reach::Running(server) => server.file(),
            Reach::Store(alone) => alone.file.as_deref(),
        }
    }

    /// The configuration in the file, where no server runs and it has no errors.
    pub fn config_at_rest(&self) -> Option<&Config> {
        match &self.reach {
            Reach::Running(_) => None,
            Reach::Store(alone) => alone.config.as_ref(),
        }
    }

    /// Shows the configuration in force, or the one in the file, to `look`.
    pub fn with_config<T>(&self, look: impl FnOnce(Option<&Config>) -> T) -> T {
        match &self.reach {
            Reach::Running(server) => look(Some(&server.snapshot().config)),
            Reach::Store(alone) => look(alone.config.as_ref()),
        }
    }

    /// Lets the server look at the queue now, if one runs.
    pub fn wake(&self) {
        if let Some(server) = self.server() {
            server.dispatcher.wake();
        }
    }

    /// Whether the evidence is kept.
    pub fn keeps_evidence(&self) -> bool {
        match &self.reach {
            Reach::Running(server) => server.keeps_evidence(),
            // Without a configuration, rather too much than too little.
            Reach::Store(alone) => {
                alone.config.as_ref().is_none_or(|config| *config.evidence.record)
            }
        }
    }

    /// The entry that says who did `action`, to be written in the transaction that does it.
    /// `trace` is the message it was done to, if it was one.
    pub fn act(
        &self,
        trace: Option<TraceId>,
        action: &str,
        subject: String,
        detail: Option<String>,
    ) -> Vec<store::Evidence> {
        let event = Event::AdminAction(AdminAction {
            by: self.by.clone(),
            action: action.to_owned(),
            subject,
            detail,
        });
        self.evidence(trace, event)
    }

    /// What is to be written of `event`; nothing when the evidence is off.
    pub fn evidence(&self, trace: Option<TraceId>, event: Event) -> Vec<store::Evidence> {
        if !self.keeps_evidence() {
            return Vec::new();
        }
        let now = Timestamp::now();
        let entry = match trace {
            Some(trace) => Entry::about(trace, now, event),
            None => Entry::of_server(now, event),
        };
        vec![entry.to_evidence()]
    }

    /// Records that an account or a domain was changed.
    ///
    /// # Errors
    ///
    /// The store's. The change itself stands.
    pub async fn note_account_change(&self, account: &str, change: &str) -> Result<(), StoreError> {
        let event = Event::AccountChanged(AccountChanged {
            by: self.by.clone(),
            account: account.to_owned(),
            change: change.to_owned(),
        });
        let evidence = self.evidence(None, event);
        if !evidence.is_empty() {
            self.store().append_evidence(evidence).await?.into_inner();
        }
        Ok(())
    }
}

/// The place of a server that may not be running.
pub struct Offline {
    data: PathBuf,
    config: Option<Config>,
    file: Option<PathBuf>,
    /// What is wrong with the configuration, where the data folder was read from it all the
    /// same: a server that runs can still be asked.
    findings: Option<String>,
    control: Option<PathBuf>,
}

impl Offline {
    /// Finds the data folder: the one that is named, else the configuration's, else the demo's.
    ///
    /// # Errors
    ///
    /// An answer that says what is missing.
    pub fn locate(global: &Global) -> Result<Self, Answer> {
        let file = serve::config_file(global)
            .map_err(|error| Answer::failure(exit::NO_INPUT, format!("{error:#}")))?;
        let Some(file) = file else {
            let data = global.data.clone().unwrap_or_else(crate::demo::data_default);
            let control = socket::path(None, &data);
            return Ok(Self { data, config: None, file: None, findings: None, control });
        };
        let outcome = config::load(&file);
        let (data, findings) = match (&global.data, &outcome.config) {
            (Some(data), _) => (data.clone(), None),
            (None, Some(config)) => (config.data.value.clone(), None),
            // A file that is being changed must not keep anyone from the server that runs.
            (None, None) => match written(&outcome, &file, "data") {
                Some(data) => (serve::folder(&file).join(data), Some(outcome.render())),
                None => return Err(Answer::failure(exit::CONFIGURATION, outcome.render())),
            },
        };
        let control = match (&outcome.config, written(&outcome, &file, "control")) {
            (None, Some(path)) if path == "off" => None,
            (None, Some(path)) => Some(serve::folder(&file).join(path)),
            (Some(_), _) | (None, None) => socket::path(outcome.config.as_ref(), &data),
        };
        Ok(Self { data, config: outcome.config, file: Some(file), findings, control })
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The control socket of its server, unless it has none.
    pub fn control(&self) -> Option<PathBuf> {
        self.control.clone()
    }

    /// Opens the store and answers from it.
    pub async fn answer(self, request: &Request) -> Answer {
        if let Some(findings) = self.findings {
            return Answer::failure(exit::CONFIGURATION, findings);
        }
        if let (Some(config), Request::Fax(request)) = (&self.config, request)
            && let Some(answer) = control::fax::by_configuration(config, request)
        {
            return answer;
        }
        if self.data.is_dir() || makes_folder(request) {
            return self.answer_there(request).await;
        }
        if !matches!(request, Request::Explain(_)) {
            return not_running(&self.data);
        }
        // The question leaves nothing behind, so it gets a folder of its own for a moment.
        let away = std::env::temp_dir()
            .join(format!("mailkeep-{}", TraceId::generate(Timestamp::now().0)));
        let answer = Self { data: away.clone(), ..self }.answer_there(request).await;
        if let Err(error) = std::fs::remove_dir_all(&away) {
            eprintln!("{} was not removed: {error}", away.display());
        }
        answer
    }

    async fn answer_there(self, request: &Request) -> Answer {
        match self.open().await {
            Ok(admin) => control::answer(&admin, request.clone()).await,
            Err(error) => Answer::failure(exit::UNAVAILABLE, format!("{error:#}")),
        }
    }

    async fn open(self) -> anyhow::Result<Admin> {
        let Self { data, config, file, findings: _, control: _ } = self;
        let store = open_store(data).await?;
        let directory = Arc::new(Directory::open(store.clone()).await?);
        if let Some(config) = &config {
            directory.configure(domain_settings(config));
        }
        let verifier = Verifier::new(Cost::default(), 1)?;
        let accounts = SignIn::new(directory, verifier, Failures::default());
        if let Some(config) = &config {
            accounts.configure(identity::settings(config, None, Egress::LoopbackOnly)?);
        }
        let alone = Alone { store, accounts, config, file };
        Ok(Admin { by: socket::operator(), reach: Reach::Store(Box::new(alone)) })
    }
}

/// The word after `name` in a configuration that has errors.
pub fn written(outcome: &config::Outcome, file: &Path, name: &str) -> Option<String> {
    let (id, source) = outcome.sources.numbered().find(|(_, source)| source.path() == file)?;
    let (tree, _) = Tree::parse(id, source.text());
    let statement = tree.statements.iter().find(|statement| statement.name().text == name)?;
    statement.arguments().first().map(|word| word.text.clone())
}

/// Opens the store of a folder. A command that looks into it, or a server that is stopping,
/// has it only for a moment; that moment is waited for.
///
/// # Errors
///
/// The store's.
pub async fn open_store(data: PathBuf) -> anyhow::Result<Store> {
    let opened = tokio::task::spawn_blocking(move || {
        let until = Instant::now() + STORE_PATIENCE;
        loop {
            match Store::open(&data, Options::default()) {
                Err(StoreError::InUse { .. }) if Instant::now() < until => {
                    std::thread::sleep(STORE_PAUSE);
                }
                outcome => return outcome,
            }
        }
    });
    Ok(opened.await??)
}

/// How long another process may still have the store.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two looks.
const STORE_PAUSE: Duration = Duration::from_millis(20);

/// Whether a request makes sense before a server has ever run.
fn makes_folder(request: &Request) -> bool {
    match request {
        Request::Account(_)
        | Request::AppPassword(_)
        | Request::Domain(_)
        | Request::DkimKey(_) => true,
        Request::Config(request) => {
            matches!(request, control::configuration::Request::Apply { .. })
        }
        Request::Status
        | Request::Reload
        | Request::Dns(_)
        | Request::Dmarc(_)
        | Request::Queue(_)
        | Request::Hold(_)
        | Request::Quarantine(_)
        | Request::Ban(_)
        | Request::Quota(_)
        | Request::Trace(_)
        | Request::Explain(_)
        | Request::Evidence(_)
        | Request::Ledger(_)
        | Request::Lists(_)
        | Request::Fax(_)
        | Request::ForceEncrypt(_) => false,
    }
}

fn not_running(data: &Path) -> Answer {
    Answer::failure(
        exit::UNAVAILABLE,
        format!(
            "No server runs in {}, and none has: there is no such folder.\n\
             Start one with \"mailkeep serve\", or name another folder with --data.",
            data.display()
        ),
    )
}
