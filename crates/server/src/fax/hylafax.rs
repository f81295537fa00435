//! HylaFAX, by the client protocol of hfaxd: commands and replies as in FTP, files over
//! connections of their own.
//!
//! Every call is one job with one dial; repeating is our business, so that reasons are
//! counted apart. Between looks no connection is kept, so hfaxd may restart.

pub mod recvq;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::model::{Host, Target};
use fax::{Outcome, Paper, Reason, Resolution};
use smtp::client::Credentials;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::timeout;

use super::carry::{Carried, Errand, Progress, Reporter};
use super::draw;
use crate::snapshot::Snapshot;

/// The port of hfaxd.
const PORT: u16 = 4559;

/// One reply, or one connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks in a row that may fail before the job counts as lost from sight.
const FAILURES_MAX: u32 = 30;
/// The longest line of a reply, in octets, and the most lines.
const LINE_MAX_OCTETS: u64 = 4_096;
const LINES_MAX: usize = 64;

/// A server, and how to sign in.
pub struct Server<'a> {
    pub address: SocketAddr,
    pub credentials: Option<&'a Credentials>,
}

impl<'a> Server<'a> {
    /// The server that the configuration names.
    ///
    /// # Errors
    ///
    /// When its name has no address, or the demo may not connect to it.
    pub async fn find(
        snapshot: &'a Snapshot,
        target: &Target,
        credentials: Option<&str>,
    ) -> Result<Self> {
        let port = target.port.unwrap_or(PORT);
        let address = match &target.host {
            Host::Address(address) => SocketAddr::new(*address, port),
            Host::Name(name) => tokio::net::lookup_host((name.as_str(), port))
                .await?
                .next()
                .with_context(|| format!("{name} has no address"))?,
        };
        if !snapshot.egress.allows(address.ip()) {
            bail!("the demo does not connect beyond this machine");
        }
        Ok(Self { address, credentials: credentials.and_then(|name| snapshot.credentials(name)) })
    }
}

/// Gives the fax to the server, unless it has it, and follows it to its end.
///
/// # Errors
///
/// When the server cannot be reached or refuses before it has the job: nothing was sent.
pub async fn carry(
    server: &Server<'_>,
    errand: &Errand,
    reporter: &Reporter,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<Carried> {
    let job = match &errand.known_as {
        Some(known) => known.clone(),
        None => match submit(server, errand, reporter).await? {
            Ok(job) => job,
            Err(reason) => return Ok(Carried::Ended(Outcome::Not(reason))),
        },
    };
    let (mut failures, mut killed, mut confirmed, mut page) = (0, false, 0, 0);
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            changed = cancelled.changed(), if !killed => {
                if changed.is_err() { return Ok(Carried::Lost); }
            }
        }
        let wants_kill = *cancelled.borrow() && !killed;
        match look(server, &job, wants_kill).await {
            Ok(seen) => {
                failures = 0;
                killed |= wants_kill;
                let outcome = seen.outcome(killed);
                // The last page counts only together with the word for it.
                let last = errand.pages.saturating_sub(u32::from(outcome != Some(Outcome::Sent)));
                let done = errand.first_page.saturating_sub(1).saturating_add(seen.pages).min(last);
                // Before the end of the call: the next one begins behind these.
                if seen.pages > 0 && done > confirmed {
                    confirmed = done;
                    reporter.report(Progress::Confirmed(done)).await?;
                }
                if let Some(outcome) = outcome {
                    return Ok(Carried::Ended(outcome));
                }
                if seen.state == "ACTIVE" && done + 1 > page && done < errand.pages {
                    page = done + 1;
                    if seen.pages > 0 {
                        reporter.report(Progress::Sending(page)).await?;
                    }
                }
            }
            Err(error) => {
                failures += 1;
                tracing::debug!(fax = %errand.id, error = format!("{error:#}"), "no look at hfaxd");
                if failures >= FAILURES_MAX {
                    return Ok(Carried::Lost);
                }
            }
        }
    }
}

/// What a look at a job saw.
struct Seen {
    state: String,
    status: String,
    pages: u32,
}

impl Seen {
    fn outcome(&self, killed: bool) -> Option<Outcome> {
        match self.state.as_str() {
            "DONE" => Some(Outcome::Sent),
            "FAILED" if killed || self.status.contains("aborted by request") => {
                Some(Outcome::Cancelled)
            }
            "FAILED" => Some(Outcome::Not(reason(&self.status))),
            _ => None,
        }
    }
}

/// The reason in hfaxd's words.
fn reason(status: &str) -> Reason {
    let says = |words: &str| status.to_ascii_lowercase().contains(words);
    if says("busy") {
        Reason::Busy
    } else if says("no answer") {
        Reason::NoAnswer
    } else if says("no carrier") {
        Reason::NoCarrier
    } else if says("dial tone") || says("dialtone") || (says("modem") && !says("remote modem")) {
        Reason::TransportDown
    } else if says("dialing") || says("rejected") || says("blacklist") {
        Reason::NumberRefused
    } else if says("document") || says("tiff") || says("convert") {
        Reason::DocumentRefused
    } else {
        Reason::Interrupted
    }
}

/// The name of the job at the server; the reason, if the server refuses it for good.
async fn submit(
    server: &Server<'_>,
    errand: &Errand,
    reporter: &Reporter,
) -> Result<Result<String, Reason>> {
    // HylaFAX finds the end of a page by whole octets: where the last row ends within one, as
    // those of MMR do, that row is lost. In profile S every row ends with an octet.
    let pages = draw::simple(errand.pages_from_first()?).await?;
    let mut session = Session::open(server).await?;
    for command in ["TZONE GMT", "TYPE I", "MODE S", "FORM TIFF"] {
        session.ask(command).await?.done(command)?;
    }
    let document = session.store(&pages).await?;
    let made = session.ask("JNEW").await?.done("JNEW")?;
    let job = made.after("jobid: ").context("hfaxd named no job")?;
    let (resolution, number) = (vertical(errand), dialled(errand));
    let (width, height) = match errand.options.paper {
        Some(Paper::Letter) => (216, 279),
        Some(Paper::A4) | None => (209, 296),
    };
    let parameters = [
        ("FROMUSER", "\"mailkeep\"".to_owned()),
        ("LASTTIME", "000259".to_owned()),
        ("MAXDIALS", "1".to_owned()),
        ("MAXTRIES", "1".to_owned()),
        ("SCHEDPRI", "127".to_owned()),
        ("DIALSTRING", format!("\"{number}\"")),
        ("EXTERNAL", format!("\"{number}\"")),
        ("NOTIFYADDR", "\"root@localhost\"".to_owned()),
        ("NOTIFY", "\"none\"".to_owned()),
        ("JOBINFO", format!("\"{}\"", errand.id)),
        ("TSI", format!("\"{}\"", errand.caller)),
        ("VRES", resolution.to_string()),
        ("PAGEWIDTH", width.to_string()),
        ("PAGELENGTH", height.to_string()),
        // Ours has its own header line, and white at its foot is part of the page.
        ("PAGECHOP", "\"none\"".to_owned()),
        ("USETAGLINE", "NO".to_owned()),
        ("USEECM", "YES".to_owned()),
    ];
    for (name, value) in parameters {
        let command = format!("JPARM {name} {value}");
        let reply = session.ask(&command).await?;
        // Older servers know no TSI of a job.
        if name != "TSI" {
            reply.done(&command)?;
        }
    }
    if let Some(subaddress) = &errand.options.subaddress {
        let command = format!("JPARM SUBADDR \"{subaddress}\"");
        session.ask(&command).await?.done(&command)?;
    }
    let command = format!("JPARM DOCUMENT {document}");
    session.ask(&command).await?.done(&command)?;
    // Durable before the server may dial: a crash from here on is reconciled by this name.
    reporter.report(Progress::Named(job.clone())).await?;
    let reply = session.ask("JSUBM").await?;
    session.close().await;
    Ok(if reply.code < 400 { Ok(job) } else { Err(reason(&reply.text)) })
}

async fn look(server: &Server<'_>, job: &str, kill: bool) -> Result<Seen> {
    let mut session = Session::open(server).await?;
    if kill {
        // A job that has just ended cannot be killed; its state says so.
        let _reply = session.ask(&format!("JKILL {job}")).await?;
    }
    let command = format!("JOB {job}");
    session.ask(&command).await?.done(&command)?;
    let state = session.parameter("STATE").await?;
    let status = session.parameter("STATUS").await?;
    let pages = session.parameter("NPAGES").await?.trim().parse().unwrap_or(0);
    session.close().await;
    Ok(Seen { state: state.trim().to_owned(), status, pages })
}

fn vertical(errand: &Errand) -> u32 {
    match errand.options.resolution {
        Some(Resolution::Standard) => 98,
        Some(Resolution::Superfine) => 391,
        Some(Resolution::Fine) | None => 196,
    }
}

/// The number for HylaFAX's dial rules, which know `+` and the country code.
fn dialled(errand: &Errand) -> String {
    errand.number.clone()
}

/// A word with blanks stands in quotes.
fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("\"{word}\"") } else { word.to_owned() }
}

/// A connection to hfaxd.
struct Session {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    peer: SocketAddr,
}

/// A reply: its code, and its lines without it.
struct Reply {
    code: u16,
    text: String,
}

impl Reply {
    /// # Errors
    ///
    /// When the reply to `command` is a refusal.
    fn done(self, command: &str) -> Result<Self> {
        if self.code >= 400 {
            let command = command.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            bail!("hfaxd answered {command} with {} {}", self.code, self.text);
        }
        Ok(self)
    }

    /// The word after `mark`.
    fn after(&self, mark: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(mark)?;
        let word = rest.split([' ', '\n']).next()?.trim_end_matches('.');
        (!word.is_empty()).then(|| word.to_owned())
    }
}

impl Session {
    async fn open(server: &Server<'_>) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(server.address))
            .await
            .with_context(|| format!("{} does not answer", server.address))?
            .with_context(|| format!("no connection to {}", server.address))?;
        let peer = stream.peer_addr()?;
        let (reader, writer) = stream.into_split();
        let mut session = Self { reader: BufReader::new(reader), writer, peer };
        session.reply().await?.done("the connection")?;
        let (user, password) = match server.credentials {
            Some(credentials) => (credentials.username(), Some(credentials.password())),
            None => ("mailkeep", None),
        };
        let reply = session.ask(&format!("USER {user}")).await?.done("USER")?;
        if reply.code == 331 {
            let password = password.context("hfaxd asks for a password and there is none")?;
            // The reply may repeat it, so it is not shown.
            let reply = session.ask(&format!("PASS {}", quoted(password))).await?;
            if reply.code >= 400 {
                bail!("hfaxd does not accept the password of {user}: {}", reply.code);
            }
        }
        Ok(session)
    }

    async fn ask(&mut self, command: &str) -> Result<Reply> {
        if command.contains(['\r', '\n']) {
            bail!("a command may not have more than one line");
        }
        timeout(PATIENCE, self.writer.write_all(format!("{command}\r\n").as_bytes())).await??;
        self.reply().await
    }

    async fn parameter(&mut self, name: &str) -> Result<String> {
        Ok(self.ask(&format!("JPARM {name}")).await?.done("JPARM")?.text)
    }

    async fn reply(&mut self) -> Result<Reply> {
        let mut text = String::new();
        for _ in 0..LINES_MAX {
            let mut line = String::new();
            let mut limited = (&mut self.reader).take(LINE_MAX_OCTETS);
            if timeout(PATIENCE, limited.read_line(&mut line)).await?? == 0 {
                bail!("hfaxd closed the connection");
            }
            let line = line.trim_end();
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let rest = line.get(4..).unwrap_or_default();
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(if code.is_some() { rest } else { line });
            if let Some(code) = code
                && line.as_bytes().get(3) != Some(&b'-')
            {
                return Ok(Reply { code, text });
            }
        }
        bail!("hfaxd does not end its reply")
    }

    /// Opens a connection for a file or list.
    async fn passive(&mut self) -> Result<TcpStream> {
        let reply = self.ask("PASV").await?.done("PASV")?;
        let inside = reply.text.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let numbers: Vec<u16> = inside
            .map(|(inside, _)| inside.split(',').filter_map(|n| n.trim().parse().ok()).collect())
            .unwrap_or_default();
        let [_, _, _, _, high, low] = numbers[..] else { bail!("hfaxd named no port") };
        // The host it names is not believed: data goes where the commands go.
        let address = SocketAddr::new(self.peer.ip(), high.wrapping_mul(256).wrapping_add(low));
        Ok(timeout(PATIENCE, TcpStream::connect(address)).await??)
    }

    /// Stores a file and gives its name at the server.
    async fn store(&mut self, octets: &[u8]) -> Result<String> {
        let mut data = self.passive().await?;
        let opened = self.ask("STOT").await?.done("STOT")?;
        timeout(PATIENCE * 4, data.write_all(octets)).await??;
        data.shutdown().await?;
        drop(data);
        let stored = self.reply().await?.done("the document")?;
        opened.after("FILE: ").or_else(|| stored.after("FILE: ")).context("hfaxd named no document")
    }

    async fn close(mut self) {
        // The connection is of no more use whatever the answer.
        let _bye = self.ask("QUIT").await;
    }
}
