//! Commands that are answered by the running server, or by its store when no server runs.

use std::future::Future;
use std::io::{IsTerminal, Read, Write};

use super::Global;
use crate::admin::Offline;
use crate::control::{Answer, Request, accounts, dkim_key, exit, socket};

/// Sends `request` to the server that owns the data folder and prints its
/// answer; without a server, opens the store and answers here.
pub fn run(global: &Global, request: &Request) -> u8 {
    let answer = answer(global, request);
    print(global, &answer)
}

/// `account …`: like [`run`], but a password comes from the terminal or standard input.
pub fn run_account(global: &Global, mut request: accounts::Request) -> u8 {
    if let Some(password) = request.password_mut() {
        match read_password() {
            Ok(text) => *password = text,
            Err(error) => {
                eprintln!("The password could not be read: {error}");
                return exit::NO_INPUT;
            }
        }
    }
    if let Some((path, text)) = request.file_mut() {
        match read_file(path) {
            Ok(read) => *text = read,
            Err(error) => {
                eprintln!("{} cannot be read: {error}", path.display());
                return exit::NO_INPUT;
            }
        }
    }
    run(global, &Request::Account(request))
}

/// `dkim-key …`: like [`run`], but a key that is imported comes from standard input.
pub fn run_dkim_key(global: &Global, mut request: dkim_key::Request) -> u8 {
    if let Some(pem) = request.pem_mut()
        && let Err(error) = std::io::stdin().lock().take(PEM_MAX_OCTETS).read_to_string(pem)
    {
        eprintln!("The key could not be read: {error}");
        return exit::NO_INPUT;
    }
    run(global, &Request::DkimKey(request))
}

/// The longest private key in PEM that is read, in octets.
const PEM_MAX_OCTETS: u64 = 64 * 1024;

/// Asks and gives back what was answered: by the server, or from its store.
pub fn answer(global: &Global, request: &Request) -> Answer {
    blocking(async {
        let offline = match Offline::locate(global) {
            Ok(offline) => offline,
            Err(answer) => return answer,
        };
        let Some(path) = offline.control() else { return Box::pin(offline.answer(request)).await };
        match socket::ask(&path, request).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Box::pin(offline.answer(request)).await,
            Err(error) => silent(&offline, &error),
        }
    })
    .unwrap_or_else(|failure| failure)
}

/// Asks a server that runs; `None` when none does.
pub fn ask_running(global: &Global, request: &Request) -> Option<Answer> {
    let answer = blocking(async {
        // Without a place there is no server to be found; whoever needs it says so.
        let offline = Offline::locate(global).ok()?;
        match socket::ask(&offline.control()?, request).await {
            Ok(answer) => answer,
            Err(error) => Some(silent(&offline, &error)),
        }
    });
    answer.unwrap_or_else(Some)
}

fn blocking<T>(work: impl Future<Output = T>) -> Result<T, Answer> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => Ok(runtime.block_on(work)),
        Err(error) => Err(Answer::failure(exit::FAILED, format!("cannot start: {error}"))),
    }
}

fn silent(offline: &Offline, error: &std::io::Error) -> Answer {
    let text = format!("The server in {} does not answer: {error}", offline.data().display());
    Answer::failure(exit::UNAVAILABLE, text)
}

/// Prints an answer as the options want it and gives its exit code.
pub fn print(global: &Global, answer: &Answer) -> u8 {
    if !global.quiet {
        let text = if global.json { answer.json.to_string() } else { answer.text.clone() };
        let failed = answer.json["schema"] == "mailkeep.error/1" && !global.json;
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let written = if failed {
            write!(std::io::stderr(), "{text}{end}")
        } else {
            write!(std::io::stdout(), "{text}{end}")
        };
        if written.is_err() {
            return exit::FAILED;
        }
    }
    answer.exit
}

/// The longest password read, in octets.
const PASSWORD_MAX_OCTETS: u64 = 1024;

/// The longest file read, in octets.
const FILE_MAX_OCTETS: u64 = 16 * 1024 * 1024;

fn read_file(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_MAX_OCTETS).read_to_string(&mut text)?;
    Ok(text)
}

/// One line from standard input; asks for it when that is a terminal.
fn read_password() -> std::io::Result<String> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprint!("New password: ");
    }
    let mut text = String::new();
    let mut taken = input.lock().take(PASSWORD_MAX_OCTETS);
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&mut taken), &mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
