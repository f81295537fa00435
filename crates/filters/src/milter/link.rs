//! A session on a connection.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::command::Command;
use super::macros::Macros;
use super::reply::Reply;
use super::session::{Event, Said, Session, Violation};
use super::settings::Milter;
use crate::dial::{Dialer, Stream, within};
use crate::message::Change;

/// Why a filter gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("no connection to {endpoint}: {source}")]
    Connect {
        /// Where it should listen.
        endpoint: String,
        /// What went wrong.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("it did not answer in time")]
    Timeout,
    /// It closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// It broke the protocol.
    #[error("{0}")]
    Violation(#[from] Violation),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Broken(error),
        }
    }
}

/// A connection to a milter, its options agreed. After an error it is of no use.
#[derive(Debug)]
pub struct Link {
    session: Session,
    stream: Stream,
    out: Vec<u8>,
}

impl Link {
    /// Connects and agrees on options.
    ///
    /// # Errors
    ///
    /// When there is no connection or no agreement in time.
    pub async fn open(milter: &Milter, dialer: &Dialer) -> Result<Self, Failure> {
        let stream = dialer.connect(&milter.endpoint, milter.timeouts.connect).await;
        let stream = stream
            .map_err(|source| Failure::Connect { endpoint: milter.endpoint.to_string(), source })?;
        let mut session = Session::new(milter.body_max_octets);
        let out = session.offer();
        let mut link = Self { session, stream, out };
        link.flush(milter.timeouts.command).await?;
        match link.next_event(milter.timeouts.command).await? {
            Event::Ready => Ok(link),
            Event::Progress | Event::Answer(..) => Err(Violation::NotAsked.into()),
        }
    }

    /// The session, to ask what was agreed.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Says `command` and waits for the answer where one comes. Each sign of progress
    /// begins `limit` anew: the caller bounds the whole.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the link is of no use then.
    pub async fn ask(
        &mut self,
        command: &Command<'_>,
        macros: &Macros,
        limit: Duration,
    ) -> Result<Option<(Reply, Vec<Change>)>, Failure> {
        self.must_be_quiet()?;
        match self.session.say(command, macros, &mut self.out) {
            Said::LeftOut => return Ok(None),
            Said::Unanswered => {
                // Small commands without answers travel together.
                if self.out.len() >= TOGETHER_OCTETS || !command_waits(command) {
                    self.flush(limit).await?;
                }
                return Ok(None);
            }
            Said::Asked => {}
        }
        self.flush(limit).await?;
        loop {
            match self.next_event(limit).await? {
                Event::Progress => {}
                Event::Answer(reply, changes) => return Ok(Some((reply, changes))),
                Event::Ready => return Err(Violation::NotAsked.into()),
            }
        }
    }

    /// What came although nothing was asked would be taken for the next answer.
    fn must_be_quiet(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 512];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => return Err(Failure::Closed),
            Ok(read) => self.session.feed(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        match self.session.poll()? {
            None => Ok(()),
            Some(_) => Err(Violation::NotAsked.into()),
        }
    }

    async fn flush(&mut self, limit: Duration) -> Result<(), Failure> {
        if self.out.is_empty() {
            return Ok(());
        }
        within(limit, self.stream.write_all(&self.out)).await?;
        self.out.clear();
        Ok(())
    }

    async fn next_event(&mut self, limit: Duration) -> Result<Event, Failure> {
        let mut buffer = [0; READ_OCTETS];
        loop {
            if let Some(event) = self.session.poll()? {
                return Ok(event);
            }
            let read = within(limit, self.stream.read(&mut buffer)).await?;
            if read == 0 {
                return Err(Failure::Closed);
            }
            self.session.feed(&buffer[..read]);
        }
    }
}

/// Whether a command that is not answered may wait for the next one to be written.
fn command_waits(command: &Command<'_>) -> bool {
    !matches!(command, Command::Abort | Command::Quit | Command::QuitNewConnection)
}

/// Octets read at a time.
const READ_OCTETS: usize = 8 * 1024;
/// Octets of commands without answers that are written together.
const TOGETHER_OCTETS: usize = 64 * 1024;
