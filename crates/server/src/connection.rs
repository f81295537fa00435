//! Where a session meets a socket: bytes in, replies out, time watched.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use smtp::server::{Answer, Input, Output, Phase, Session, Timeout};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::conversation::Conversation;
use crate::stream::Stream;

/// The window over which the data rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// How long the last replies may take to be written.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// How long a peer may take.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For the next whole command.
    pub command: Duration,
    /// For the next octets of content.
    pub data: Duration,
    /// For the whole connection.
    pub session: Option<Duration>,
    /// The least octets a second of content, over a minute.
    pub data_rate: Option<u64>,
}

/// One connection being served.
pub struct Connection {
    /// Its bytes.
    pub stream: Stream,
    /// Its protocol.
    pub session: Session,
    /// What it is told; in a box, because a connection moves when TLS begins.
    pub conversation: Box<Conversation>,
    /// The handshakes of its listener; `None` where there is no TLS.
    pub tls: Option<Arc<tls::Server>>,
    /// How long it may take.
    pub patience: Patience,
    /// Becomes true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

/// What the clock says about a peer that is sending.
struct Pace {
    ends: Option<Instant>,
    command_by: Instant,
    receiving: bool,
    window_began: Instant,
    window_octets: u64,
}

impl Connection {
    /// Serves until one side closes.
    ///
    /// # Errors
    ///
    /// What the socket or TLS says; what was not answered with 250 is forgotten.
    pub async fn serve(mut self) -> io::Result<()> {
        let began = Instant::now();
        let mut pace = Pace {
            ends: self.patience.session.map(|limit| began + limit),
            command_by: began + self.patience.command,
            receiving: false,
            window_began: began,
            window_octets: 0,
        };
        let mut replies = Vec::new();
        loop {
            let mut spoke = false;
            while let Some(output) = self.session.poll() {
                spoke = true;
                match output {
                    Output::Reply(reply) => reply.write_to(&mut replies),
                    Output::Ask(question) => {
                        // On the heap, and only while it lasts: an idle connection stays small.
                        let answer = Box::pin(self.conversation.answer(question)).await;
                        let signed_in = matches!(answer, Answer::Authenticated { .. });
                        self.session.handle(Input::Answer(answer));
                        if signed_in && let Some((octets, recipients)) = self.conversation.limits()
                        {
                            self.session.limit(octets, recipients);
                        }
                    }
                    Output::Content(piece) => self.conversation.content(&piece),
                    Output::Reset => self.conversation.reset(),
                    Output::AuthAbandoned => self.conversation.sign_in_abandoned(),
                    Output::Security(incident) => self.conversation.incident(incident),
                    Output::StartTls => {
                        self.write(&mut replies).await?;
                        self = Box::pin(self.encrypt()).await?;
                    }
                    Output::Close => return self.close(&mut replies).await,
                }
            }
            if spoke {
                self.write(&mut replies).await?;
                pace.command_by = Instant::now() + self.patience.command;
            }
            pace.turn(self.session.phase() == Phase::Content);
            self.listen(&mut pace).await?;
        }
    }

    /// Waits for the next thing to happen and tells the session.
    async fn listen(&mut self, pace: &mut Pace) -> io::Result<()> {
        let by = pace.deadline(&self.patience);
        let (stream, session) = (&mut self.stream, &mut self.session);
        let read = timeout_at(
            by,
            stream.read(|bytes| {
                pace.window_octets += bytes.len() as u64;
                session.handle(Input::Bytes(bytes));
            }),
        );
        let outcome = tokio::select! {
            outcome = read => outcome,
            () = stopped(&mut self.stopping) => {
                self.session.handle(Input::Shutdown);
                return Ok(());
            }
        };
        match outcome {
            Ok(Ok(Some(()))) if pace.is_too_slow(&self.patience) => {
                self.session.handle(Input::Timeout(Timeout::Slow));
            }
            Ok(Ok(Some(()))) => {}
            Ok(Ok(None)) => self.session.handle(Input::End),
            Ok(Err(error)) => return Err(error),
            Err(_) if pace.ends.is_some_and(|ends| by >= ends) => {
                self.session.handle(Input::Timeout(Timeout::Session));
            }
            Err(_) => self.session.handle(Input::Timeout(Timeout::Idle)),
        }
        Ok(())
    }

    async fn encrypt(self) -> io::Result<Self> {
        let Self { stream, mut session, mut conversation, tls, patience, stopping } = self;
        let (Stream::Plain(plain), Some(server)) = (stream, &tls) else {
            return Err(io::Error::other("STARTTLS was offered where TLS cannot begin"));
        };
        let (stream, handshake) = match server.accept(plain, Timestamp::now()).await {
            Ok(encrypted) => encrypted,
            Err(failure) => {
                conversation.handshake_failed(&failure);
                return Err(io::Error::other(failure.to_string()));
            }
        };
        conversation.encrypted(handshake, tls::Binding::of(&stream));
        session.handle(Input::TlsReady);
        let stream = Stream::Tls(Box::new(stream));
        Ok(Self { stream, session, conversation, tls, patience, stopping })
    }

    async fn write(&mut self, replies: &mut Vec<u8>) -> io::Result<()> {
        if !replies.is_empty() {
            timeout(self.patience.command, async {
                self.stream.write_all(replies).await?;
                self.stream.flush().await
            })
            .await??;
            // A long reply's room is not kept by an idle connection.
            *replies = Vec::new();
        }
        Ok(())
    }

    async fn close(mut self, replies: &mut Vec<u8>) -> io::Result<()> {
        let _ = timeout(CLOSING_TIME, async {
            self.write(replies).await?;
            self.stream.shutdown().await?;
            Box::pin(self.conversation.end()).await;
            Ok::<(), io::Error>(())
        })
        .await;
        Ok(())
    }
}

/// Returns when the server stops; never, if it has forgotten to say so.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Pace {
    /// Notes whether content is coming; a new content begins a new window.
    fn turn(&mut self, receiving: bool) {
        if receiving && !self.receiving {
            self.window_began = Instant::now();
            self.window_octets = 0;
        }
        self.receiving = receiving;
    }

    /// When waiting ends: a whole command has one deadline, however many octets
    /// it comes in; content has one for each read.
    fn deadline(&self, patience: &Patience) -> Instant {
        let by = if self.receiving { Instant::now() + patience.data } else { self.command_by };
        self.ends.map_or(by, |ends| ends.min(by))
    }

    /// Whether a whole window of content came too slowly. Begins the next window.
    fn is_too_slow(&mut self, patience: &Patience) -> bool {
        if !self.receiving || self.window_began.elapsed() < RATE_WINDOW {
            return false;
        }
        let rate = self.window_octets / RATE_WINDOW.as_secs();
        self.window_began = Instant::now();
        self.window_octets = 0;
        patience.data_rate.is_some_and(|least| rate < least)
    }
}
