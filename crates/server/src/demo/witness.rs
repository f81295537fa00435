//! What the partners saw, told over a socket in the data folder.
//!
//! The stories ask here whether a partner really received something. The lab's partners
//! are written apart from the server and note what comes over their own sockets, so they
//! are a witness that the server cannot talk into anything.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::{Partner, World};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::Place;
use crate::control::socket;

/// The longest question: a host name.
const QUESTION_MAX_OCTETS: u64 = 256;
/// How long a question may take to come.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_MAX_OCTETS: u64 = 64 * 1024 * 1024;
/// Messages told, the latest ones.
const MESSAGES_MAX: usize = 20;
/// Characters told of each message.
const MESSAGE_MAX_CHARS: usize = 64 * 1024;
/// How long the witness rests when the system has no room for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// What one partner saw since it was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Connections to it.
    pub connections: u64,
    /// MAIL commands: envelopes that were begun.
    pub envelopes: u64,
    /// Messages it took.
    pub taken: u64,
    /// Messages of which it saw any content, taken or not.
    pub contents: u64,
    /// Commands and replies, each after the number of its connection.
    pub transcript: Vec<String>,
    /// The messages it took last.
    pub messages: Vec<SeenMessage>,
}

/// A message as a partner received it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMessage {
    /// To whom.
    pub recipients: Vec<String>,
    /// The beginning of its text.
    pub text: String,
    /// The TLS version and suite of the connection.
    pub tls: Option<(String, String)>,
    /// Who had signed in.
    pub user: Option<String>,
}

impl Seen {
    fn by(partner: &Partner) -> Self {
        let counters = partner.counters();
        let messages = partner.messages();
        let latest = &messages[messages.len().saturating_sub(MESSAGES_MAX)..];
        Self {
            connections: counters.connections,
            envelopes: counters.mail,
            taken: counters.accepted,
            contents: counters.accepted + counters.not_accepted,
            transcript: partner.transcript(),
            messages: latest.iter().map(SeenMessage::from).collect(),
        }
    }

    /// Commands and replies of the connections after `earlier`.
    pub fn since(&self, earlier: &Self) -> Vec<String> {
        let later = |line: &&String| {
            let number = line.split_once(' ').and_then(|(number, _)| number.parse::<u64>().ok());
            number.is_some_and(|number| number > earlier.connections)
        };
        let bare = |line: &String| {
            line.split_once(' ').map_or_else(String::new, |(_, said)| said.to_owned())
        };
        self.transcript.iter().filter(later).map(bare).collect()
    }
}

impl From<&lab::Message> for SeenMessage {
    fn from(message: &lab::Message) -> Self {
        Self {
            recipients: message.recipients.iter().map(|r| r.address.clone()).collect(),
            text: message.text().chars().take(MESSAGE_MAX_CHARS).collect(),
            tls: message.tls.as_ref().map(|tls| (tls.version.clone(), tls.suite.clone())),
            user: message.auth.as_ref().map(|auth| auth.user.clone()),
        }
    }
}

/// Answers questions about the partners of `world` until the task ends, and them with it.
///
/// # Errors
///
/// When the socket cannot be made.
pub fn start(place: &Place, world: World) -> Result<JoinHandle<()>> {
    let path = place.witness();
    let listener = socket::bind(&path)
        .with_context(|| format!("the socket {} cannot be opened", path.display()))?;
    let world = Arc::new(world);
    Ok(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let world = Arc::clone(&world);
                    tokio::spawn(async move {
                        if let Err(error) = testify(stream, &world).await {
                            tracing::debug!(%error, "a question to the partners ended early");
                        }
                    });
                }
                Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
            }
        }
    }))
}

async fn testify(stream: UnixStream, world: &World) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut name = String::new();
    let mut read = BufReader::new(read.take(QUESTION_MAX_OCTETS));
    tokio::time::timeout(QUESTION_TIMEOUT, read.read_line(&mut name)).await??;
    let seen = world.partner(name.trim_end()).map(Seen::by);
    write.write_all(&serde_json::to_vec(&seen)?).await?;
    write.shutdown().await
}

/// Asks the demo in `place` what the partner of a domain saw; `None` when no demo runs there.
///
/// # Errors
///
/// When there is no such partner, or the answer breaks off.
pub async fn ask(place: &Place, partner: &str) -> Result<Option<Seen>> {
    let Some(mut stream) = connect(&place.witness()).await? else { return Ok(None) };
    stream.write_all(format!("{partner}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_OCTETS).read_to_end(&mut answer).await?;
    match serde_json::from_slice::<Option<Seen>>(&answer)? {
        Some(seen) => Ok(Some(seen)),
        None => bail!("the demo has no partner {partner}"),
    }
}

async fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_after_the_earlier_look_are_shown() {
        let earlier = Seen { connections: 1, ..Seen::default() };
        let now = Seen {
            connections: 2,
            transcript: vec!["1 C: EHLO a".into(), "2 S: 220 hello".into(), "2 C: QUIT".into()],
            ..Seen::default()
        };
        assert_eq!(now.since(&earlier), ["S: 220 hello", "C: QUIT"]);
    }

    #[tokio::test]
    async fn a_partner_is_asked_over_the_socket() {
        let folder = tempfile::TempDir::new().unwrap();
        let place = Place::new(folder.path().to_owned());
        place.prepare().unwrap();
        assert_eq!(ask(&place, "partner.test").await.unwrap(), None);
        let world = World::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let _witness = start(&place, world).unwrap();
        let seen = ask(&place, "partner.test").await.unwrap().unwrap();
        assert_eq!(seen, Seen::default());
        assert!(ask(&place, "nobody.test").await.is_err());
    }
}
