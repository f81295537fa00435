//! `mailkeep serve`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use config::model::{LogFormat, LogLevel};
use delivery::Egress;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{CONFIG_DEFAULT, Global};
use crate::admin;
use crate::control::{self, exit, socket};
use crate::demo;
use crate::revision::{self, Texts};
use crate::server::{Launch, Server};

/// `serve`
#[derive(Args)]
pub struct Options {
    /// Refuse to start on a configuration file with errors, in place of starting on the last
    /// good revision
    #[arg(long)]
    strict_config: bool,
    #[command(flatten)]
    demo: demo::Options,
}

/// Where the store is looked for when the configuration is too broken to say.
const DATA_DEFAULT: &str = "/var/lib/mailkeep";

/// Runs the server until it is told to stop.
pub fn run(global: &Global, options: &Options) -> u8 {
    let file = match config_file(global) {
        Ok(Some(file)) => file,
        Ok(None) => return super::demo::serve(global, &options.demo),
        Err(error) => {
            eprintln!("{error:#}");
            return exit::NO_INPUT;
        }
    };
    let outcome = config::load(&file);
    let findings = outcome.render();
    if !findings.is_empty() {
        eprintln!("{findings}");
    }
    let launch = match (outcome.config.clone(), Texts::of(&file, &outcome.sources)) {
        (Some(config), Some(texts)) => {
            let data = global.data.clone().unwrap_or_else(|| config.data.value.clone());
            Launch {
                file: Some(file),
                config,
                texts,
                instead: None,
                data,
                egress: Egress::Anywhere,
            }
        }
        (None, _) | (_, None) if options.strict_config => {
            eprintln!("{} was not used; nothing was started.", file.display());
            return exit::CONFIGURATION;
        }
        (None, _) | (_, None) => match earlier(global, &file, &outcome) {
            Some(launch) => launch,
            None => {
                eprintln!("{} was not used; nothing was started.", file.display());
                return exit::CONFIGURATION;
            }
        },
    };
    log(*launch.config.log.format, *launch.config.log.level);
    if launch.instead.is_some() {
        tracing::error!(
            "{} HAS ERRORS AND IS NOT USED: the server runs on the last good revision; \
             see \"mailkeep config check\"",
            launch.file.as_deref().unwrap_or(Path::new("the configuration file")).display()
        );
    }
    blocking(async move {
        let server = Server::start(launch).await?;
        attend(server).await
    })
}

/// The last revision of the history that is a configuration today, to be started in place of a
/// file with errors; `None` where there is none.
fn earlier(global: &Global, file: &Path, outcome: &config::Outcome) -> Option<Launch> {
    let data = global
        .data
        .clone()
        .or_else(|| Some(folder(file).join(admin::written(outcome, file, "data")?)))
        .unwrap_or_else(|| PathBuf::from(DATA_DEFAULT));
    if !data.is_dir() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let found = runtime.block_on(async {
        let store = admin::open_store(data.clone()).await?;
        revision::last_good(&store, file).await
    });
    let (number, texts, earlier) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return None,
        Err(error) => {
            eprintln!("The history of the configuration cannot be read: {error:#}");
            return None;
        }
    };
    eprintln!(
        "{} was not used. The server starts on revision v{number} in its place; \
         serve --strict-config would refuse.",
        file.display()
    );
    let instead = Some(outcome.render());
    let file = Some(file.to_owned());
    let egress = Egress::Anywhere;
    Some(Launch { file, config: earlier.config?, texts, instead, data, egress })
}

/// The configuration file that the options name, or the default one if it is there.
///
/// # Errors
///
/// When a file is named and is not there: a demo is not what was asked for.
pub fn config_file(global: &Global) -> Result<Option<PathBuf>> {
    match &global.config {
        Some(file) if file.exists() => Ok(Some(file.clone())),
        Some(file) => Err(anyhow!("There is no configuration file {}.", file.display())),
        None => Ok(Some(PathBuf::from(CONFIG_DEFAULT)).filter(|file| file.exists())),
    }
}

/// Runs `work` on a runtime of its own and gives its exit code.
pub fn blocking<F>(work: F) -> u8
where
    F: Future<Output = Result<()>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("The runtime cannot start: {error}");
            return exit::FAILED;
        }
    };
    match runtime.block_on(work) {
        Ok(()) => exit::FINE,
        Err(error) => {
            tracing::error!("{error:#}");
            eprintln!("{error:#}");
            exit::FAILED
        }
    }
}

/// Answers the control socket and waits until the server is told to stop.
pub async fn attend(server: Arc<Server>) -> Result<()> {
    let answering = control_socket(&server)?;
    let mut reload = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    notify(&[sd_notify::NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = reload.recv() => {
                if let Err(error) = server.reload().await {
                    tracing::error!("the configuration was not reloaded:\n{error:#}");
                }
            }
            _ = terminate.recv() => break,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    tracing::info!("stopping");
    notify(&[sd_notify::NotifyState::Stopping]);
    if let Some(task) = answering {
        task.abort();
    }
    server.stop().await;
    Ok(())
}

/// Opens the control socket, unless the configuration has none.
fn control_socket(server: &Arc<Server>) -> Result<Option<tokio::task::JoinHandle<()>>> {
    let snapshot = server.snapshot();
    let Some(path) = socket::path(Some(&snapshot.config), server.data()) else {
        return Ok(None);
    };
    let listener = socket::bind(&path)
        .with_context(|| format!("the control socket {} cannot be opened", path.display()))?;
    let server = Arc::clone(server);
    Ok(Some(tokio::spawn(socket::serve(listener, move |asked: control::Asked| {
        let admin = crate::admin::Admin::of(&server).asked_by(asked.by);
        async move { control::answer(&admin, asked.request).await }
    }))))
}

/// Tells systemd; without systemd nobody listens.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Begins to log to standard error.
pub fn log(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries speak up only when something is wrong.
    let filter = EnvFilter::new(format!("warn,mailkeep={level},delivery={level},t38={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, as in the demo, changes nothing.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// The folder of a configuration file, from which its relative paths start.
pub fn folder(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}
