//! The control socket: one JSON line asks, one JSON line answers.
//!
//! The socket is a file in the data folder that only its owner may open; the
//! peer's user is checked as well (UX section 1.3).

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::Config;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{Answer, Asked, Request, exit};

/// The longest request: an applied configuration or a message to explain.
const REQUEST_MAX_OCTETS: u64 = 64 * 1024 * 1024;
/// How long a peer may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The control socket of a server with this configuration and data folder; `None` if the
/// configuration has switched it off.
pub fn path(config: Option<&Config>, data: &Path) -> Option<PathBuf> {
    match config.map(|config| &config.control) {
        Some(control) if !control.is_default() => control.value.clone(),
        Some(_) | None => Some(data.join("control.sock")),
    }
}

/// Opens the socket at `path`, in place of one that nobody listens on.
///
/// # Errors
///
/// When the folder cannot be written.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers requests until the task is dropped.
pub async fn serve<F, A>(listener: UnixListener, answer: F)
where
    F: Fn(Asked) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = answer.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, answer).await {
                        tracing::debug!(%error, "a control connection ended early");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn converse<F, A>(stream: UnixStream, answer: F) -> io::Result<()>
where
    F: Fn(Asked) -> A,
    A: Future<Output = Answer>,
{
    let peer = stream.peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_MAX_OCTETS));
    tokio::time::timeout(REQUEST_TIMEOUT, read.read_line(&mut line)).await??;
    let answer = if peer != own && peer != 0 {
        Answer::failure(exit::NOT_ALLOWED, "only the server's own user and root may control it")
    } else {
        match serde_json::from_str(&line) {
            Ok(asked) => answer(asked).await,
            Err(error) => Answer::failure(exit::USAGE, format!("not a request: {error}")),
        }
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    write.shutdown().await
}

/// Asks the server that listens at `path`; `None` when none does.
///
/// # Errors
///
/// When the server breaks off.
pub async fn ask(path: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let asked = Asked { by: operator(), request: request.clone() };
    let mut line = serde_json::to_vec(&asked)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(Some(serde_json::from_slice(&answer)?))
}

/// Who sits at the terminal, for the evidence. The server takes the word of its own user and
/// of root for it, since they could replace the evidence's key as well.
pub fn operator() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    match (named("SUDO_USER"), named("USER").or_else(|| named("LOGNAME"))) {
        (Some(person), _) | (None, Some(person)) => person,
        (None, None) if rustix::process::getuid().is_root() => "root".to_owned(),
        (None, None) => format!("uid {}", rustix::process::getuid().as_raw()),
    }
}
