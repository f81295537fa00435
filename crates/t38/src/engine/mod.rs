//! The fax machine, in a process of its own.

mod confine;
mod spandsp;
pub mod work;
pub mod worker;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use work::{COMMAND, Ended, FILE_MAX_OCTETS, HEAD_OCTETS, Kind, Start, Task};

pub use spandsp::NAME as LIBRARY;

/// How long it may take until the machine is there, or has read what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the machine tells.
#[derive(Debug)]
pub enum Told {
    /// A packet for the other side, to be sent so many times.
    Packet {
        /// The packet.
        octets: Vec<u8>,
        /// How many times.
        times: u8,
    },
    /// So many pages in all were confirmed, or have come; it waits for [`Engine::kept`].
    Pages {
        /// How many.
        pages: u32,
        /// Of those that have come, all so far, as TIFF. Empty for those that were sent.
        file: Vec<u8>,
    },
    /// The call has ended.
    Ended {
        /// How.
        ended: Ended,
        /// The pages that have come, as TIFF. Empty for those that were sent.
        file: Vec<u8>,
    },
}

/// What is wrong with a fax machine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is none, in words for an administrator.
    #[error("there is no fax machine: {0}")]
    None(String),
    /// It ended before it should, or does not answer.
    #[error("the fax machine is gone: {0}")]
    Gone(#[from] std::io::Error),
}

/// A fax machine in a process of its own. Dropping it ends the process.
pub struct Engine {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The octets of a frame that is coming in, so that reading may be broken off.
    frame: Vec<u8>,
    _child: Child,
}

impl Engine {
    /// Starts the machine, with the pages to be sent if there are some, and waits until it is
    /// ready for a call. `program` is one that calls [`worker::run`] when its first argument
    /// is [`COMMAND`].
    ///
    /// # Errors
    ///
    /// When there is none, for example because the library is not installed.
    pub async fn ready(program: &Path, task: &Task, pages: &[u8]) -> Result<Self, EngineError> {
        if pages.len() > FILE_MAX_OCTETS {
            return Err(EngineError::None(format!(
                "a fax of more than {FILE_MAX_OCTETS} octets is more than it takes"
            )));
        }
        let mut child = Command::new(program)
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let none = || EngineError::None("it has no input or output".to_owned());
        let input = child.stdin.take().ok_or_else(none)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(none)?);
        let mut engine = Self { input, output, frame: Vec::new(), _child: child };
        let json = serde_json::to_vec(task).map_err(std::io::Error::other)?;
        engine.tell(Kind::Task, &json).await?;
        if task.sends {
            engine.tell(Kind::File, pages).await?;
        }
        match timeout(PATIENCE, engine.frame()).await {
            Ok(Ok((Kind::Ready, _))) => Ok(engine),
            Ok(Ok((Kind::Failed, words))) => {
                Err(EngineError::None(String::from_utf8_lossy(&words).into_owned()))
            }
            Ok(Ok((kind, _))) => Err(EngineError::None(format!("it begins with {kind:?}"))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(EngineError::None("it does not answer".to_owned())),
        }
    }

    /// The call is there.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub async fn start(&mut self, start: Start) -> Result<(), EngineError> {
        let json = serde_json::to_vec(&start).map_err(std::io::Error::other)?;
        self.tell(Kind::Start, &json).await
    }

    /// 20 ms have passed.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub async fn tick(&mut self) -> Result<(), EngineError> {
        self.tell(Kind::Tick, &[]).await
    }

    /// A packet has come.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub async fn packet(&mut self, sequence: u16, octets: &[u8]) -> Result<(), EngineError> {
        let mut frame = sequence.to_be_bytes().to_vec();
        frame.extend_from_slice(octets);
        self.tell(Kind::Packet, &frame).await
    }

    /// The pages that were told of last are kept.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub async fn kept(&mut self) -> Result<(), EngineError> {
        self.tell(Kind::Kept, &[]).await
    }

    /// The call is over.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub async fn hang_up(&mut self) -> Result<(), EngineError> {
        self.tell(Kind::HangUp, &[]).await
    }

    /// What the machine tells next. May be broken off and asked again.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub async fn told(&mut self) -> Result<Told, EngineError> {
        let gone = |words: &str| EngineError::Gone(std::io::Error::other(words.to_owned()));
        let (kind, mut octets) = self.frame().await?;
        match kind {
            Kind::Packet if octets.len() > 1 => {
                let times = octets.remove(0);
                Ok(Told::Packet { octets, times })
            }
            Kind::Pages => {
                let Some((pages, file)) = octets.split_first_chunk::<4>() else {
                    return Err(gone("it tells of pages and not of how many"));
                };
                Ok(Told::Pages { pages: u32::from_be_bytes(*pages), file: file.to_vec() })
            }
            Kind::Ended => {
                let end = octets.iter().position(|octet| *octet == b'\n').unwrap_or(octets.len());
                let (json, file) = octets.split_at(end);
                let ended: Ended = serde_json::from_slice(json).map_err(std::io::Error::other)?;
                Ok(Told::Ended { ended, file: file.get(1..).unwrap_or_default().to_vec() })
            }
            Kind::Failed => Err(gone(&String::from_utf8_lossy(&octets))),
            kind => Err(gone(&format!("it tells {kind:?}"))),
        }
    }

    /// Tells it something. A machine that has ended cannot be told anything, which is no error
    /// here: what it told last says how it ended, and may not have been read yet.
    async fn tell(&mut self, kind: Kind, octets: &[u8]) -> Result<(), EngineError> {
        let mut frame = kind.head(octets.len()).to_vec();
        frame.extend_from_slice(octets);
        match timeout(PATIENCE, self.input.write_all(&frame)).await {
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Ok(written) => Ok(written?),
            Err(_) => Err(EngineError::Gone(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// The next frame. What has come of one is kept when this is broken off.
    async fn frame(&mut self) -> Result<(Kind, Vec<u8>), EngineError> {
        loop {
            if let Some(head) = self.frame.first_chunk::<HEAD_OCTETS>() {
                let Some((kind, length)) = Kind::read(*head) else {
                    return Err(std::io::Error::other("a frame of no kind").into());
                };
                if self.frame.len() >= HEAD_OCTETS + length {
                    let rest = self.frame.split_off(HEAD_OCTETS + length);
                    let frame = std::mem::replace(&mut self.frame, rest);
                    return Ok((kind, frame[HEAD_OCTETS..].to_vec()));
                }
            }
            if self.output.read_buf(&mut self.frame).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}
