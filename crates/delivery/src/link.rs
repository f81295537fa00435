//! A socket with an SMTP session on it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use smtp::Reply;
use smtp::client::Settings as SessionSettings;
use smtp::client::{
    Credentials, Failure, Fate, Input, Output, Phase, Protocol, Report, Session, SignInError,
    Transaction,
};
use tls::client::TlsStream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout, timeout_at};

use crate::content::{Body, Content, PIECE_OCTETS, Stored};
use crate::settings::{Settings, Timeouts};

/// What octets travel over.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

/// A connection on which SMTP or LMTP is spoken.
pub(crate) struct Link {
    stream: Stream,
    session: Session,
    held: VecDeque<Output>,
    broken_by: Option<io::Error>,
    timeouts: Arc<Timeouts>,
}

/// What became of STARTTLS.
pub(crate) enum StartTls {
    /// The peer waits for the handshake.
    Go,
    /// It refused; the session goes on in the clear.
    Refused(Reply),
}

const READ_OCTETS: usize = 4_096;

impl Link {
    /// Waits for greeting and EHLO.
    pub(crate) async fn greet(
        stream: Stream,
        settings: &Settings,
        timeouts: &Arc<Timeouts>,
        protocol: Protocol,
    ) -> Result<Self, (Failure, Option<io::Error>)> {
        let session = Session::new(SessionSettings {
            hello: settings.hello.clone(),
            protocol,
            implicit_tls: matches!(stream, Stream::Tls(_)),
        });
        let held = VecDeque::new();
        let mut link =
            Self { stream, session, held, broken_by: None, timeouts: Arc::clone(timeouts) };
        match link.ready().await {
            Ok(()) => Ok(link),
            Err(failure) => Err((failure, link.broken_by)),
        }
    }

    /// Says STARTTLS.
    pub(crate) async fn start_tls(&mut self) -> Result<StartTls, Failure> {
        let idle = Failure::Lost { phase: Phase::StartTls };
        self.session.start_tls().map_err(|_| idle)?;
        loop {
            match self.next().await {
                Output::StartTls => return Ok(StartTls::Go),
                Output::StartTlsRefused(reply) => return Ok(StartTls::Refused(reply)),
                Output::Failed(failure) => return Err(failure),
                Output::Close => return Err(Failure::Lost { phase: Phase::StartTls }),
                Output::Send(_)
                | Output::Ready
                | Output::SignedIn(_)
                | Output::Content
                | Output::Done(_) => {}
            }
        }
    }

    /// Takes the TCP stream out, for the handshake. `None` if it is not one.
    pub(crate) fn split(self) -> Option<(TcpStream, Tlsless)> {
        let Self { stream, session, held, broken_by, timeouts } = self;
        match stream {
            Stream::Tcp(tcp) => Some((tcp, Tlsless { session, held, broken_by, timeouts })),
            Stream::Tls(_) | Stream::Unix(_) => None,
        }
    }

    /// Signs in.
    pub(crate) async fn sign_in(
        &mut self,
        credentials: &Credentials,
    ) -> Result<Result<(), SignInError>, Failure> {
        let idle = Failure::Lost { phase: Phase::SignIn };
        self.session.sign_in(credentials.clone()).map_err(|_| idle)?;
        loop {
            match self.next().await {
                Output::SignedIn(result) => return Ok(result),
                Output::Failed(failure) => return Err(failure),
                Output::Close => return Err(Failure::Lost { phase: Phase::SignIn }),
                Output::Send(_)
                | Output::StartTls
                | Output::Ready
                | Output::StartTlsRefused(_)
                | Output::Content
                | Output::Done(_) => {}
            }
        }
    }

    /// Sends one message.
    pub(crate) async fn transact(
        &mut self,
        transaction: &Transaction<'_>,
        content: &Content,
    ) -> (Report, Option<Failure>) {
        let lost = || {
            let failure = Failure::Lost { phase: Phase::Idle };
            let fate = Fate::Broken { failure: failure.clone(), uncertain: false };
            let fates = vec![fate; transaction.envelope.recipients.len()];
            (Report { fates, dsn_passed_on: false }, Some(failure))
        };
        if self.session.send(transaction).is_err() {
            return lost();
        }
        let mut report = None;
        loop {
            match self.next().await {
                Output::Content => self.feed(content).await,
                Output::Done(done) if self.session.is_ready() => return (done, None),
                Output::Done(done) => report = Some(done),
                Output::Failed(failure) => {
                    return report.map_or_else(lost, |report| (report, Some(failure)));
                }
                Output::Close => return lost(),
                Output::Send(_)
                | Output::StartTls
                | Output::Ready
                | Output::StartTlsRefused(_)
                | Output::SignedIn(_) => {}
            }
        }
    }

    /// Says QUIT and waits briefly for the answer.
    pub(crate) async fn quit(mut self) {
        self.session.quit();
        if self.session.phase() == Phase::Quit {
            while !matches!(self.next().await, Output::Close | Output::Failed(_)) {}
        }
        let _ = timeout(self.timeouts.quit, self.stream.shutdown()).await;
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether an idle connection can be used: nothing has come, not even an end.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut octet = [MaybeUninit::uninit()];
        let peeked = match &self.stream {
            Stream::Tcp(tcp) => socket2::SockRef::from(tcp).peek(&mut octet),
            Stream::Tls(tls) => socket2::SockRef::from(tls.get_ref().0).peek(&mut octet),
            Stream::Unix(unix) => socket2::SockRef::from(unix).peek(&mut octet),
        };
        self.session.is_ready()
            && matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        loop {
            match self.next().await {
                Output::Ready => return Ok(()),
                Output::Failed(failure) => return Err(failure),
                Output::Close => return Err(Failure::Lost { phase: Phase::Hello }),
                Output::Send(_)
                | Output::StartTls
                | Output::StartTlsRefused(_)
                | Output::SignedIn(_)
                | Output::Content
                | Output::Done(_) => {}
            }
        }
    }

    /// Gives the session its content, in few writes and bounded memory.
    async fn feed(&mut self, content: &Content) {
        let head = content.head();
        match content.body() {
            Body::Memory(body) => {
                if !head.is_empty() && self.session.content(head, false).is_err() {
                    return;
                }
                let mut rest = &body[..];
                while rest.len() > PIECE_OCTETS {
                    let (piece, after) = rest.split_at(PIECE_OCTETS);
                    rest = after;
                    if self.session.content(piece, false).is_err() || !self.flush().await {
                        return;
                    }
                }
                // A refusal shows in the session's own state.
                let _ = self.session.content(rest, true);
            }
            Body::Stored(body) => {
                let _ = self.session.content(head, body.octets() == 0);
                self.feed_stored(body).await;
            }
        }
    }

    async fn feed_stored(&mut self, body: &Arc<dyn Stored>) {
        let octets = body.octets();
        let mut offset = 0;
        while offset < octets {
            let (source, want) = (Arc::clone(body), (octets - offset).min(PIECE_OCTETS as u64));
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; want as usize];
                source.read_at(offset, &mut piece).map(|read| {
                    piece.truncate(read);
                    piece
                })
            });
            match read.await {
                Ok(Ok(piece)) if !piece.is_empty() => {
                    offset += piece.len() as u64;
                    let last = offset >= octets;
                    if self.session.content(&piece, last).is_err() || !self.flush().await {
                        return;
                    }
                }
                Ok(_) | Err(_) => return self.session.abandon_content(),
            }
        }
    }

    /// The next output that is not octets to write; waits as long as the phase allows.
    async fn next(&mut self) -> Output {
        loop {
            self.flush().await;
            if let Some(output) = self.held.pop_front() {
                return output;
            }
            self.read().await;
        }
    }

    /// Reads until a reply is complete, the phase's time is over or the connection ends.
    async fn read(&mut self) {
        let (phase, replies) = (self.session.phase(), self.session.replies());
        let deadline = Instant::now() + self.patience(phase);
        let mut buffer = [0; READ_OCTETS];
        while self.session.replies() == replies && self.session.phase() == phase {
            let mut room = ReadBuf::new(&mut buffer);
            let read = poll_fn(|cx| Pin::new(&mut self.stream).poll_read(cx, &mut room));
            match timeout_at(deadline, read).await {
                Err(_) => return self.session.handle(Input::Timeout),
                Ok(result) => {
                    let bytes = room.filled();
                    take(&mut self.session, &mut self.broken_by, result.map(|()| bytes));
                }
            }
            if phase == Phase::Idle {
                return;
            }
        }
    }

    /// Writes what the session wants written, in one write where it can be.
    /// Gives whether the session goes on as before.
    async fn flush(&mut self) -> bool {
        let mut octets = Vec::new();
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(more) if octets.is_empty() => octets = more,
                Output::Send(more) => octets.extend_from_slice(&more),
                Output::StartTls
                | Output::Ready
                | Output::StartTlsRefused(_)
                | Output::SignedIn(_)
                | Output::Content
                | Output::Done(_)
                | Output::Failed(_)
                | Output::Close => self.held.push_back(output),
            }
        }
        if octets.is_empty() {
            return self.held.is_empty();
        }
        let limit = self.timeouts.data_block;
        let write = write(&mut self.stream, &mut self.session, &mut self.broken_by, &octets);
        match timeout(limit, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => take(&mut self.session, &mut self.broken_by, Err(error)),
            Err(_) => self.session.handle(Input::Timeout),
        }
        while let Some(output) = self.session.poll() {
            self.held.push_back(output);
        }
        self.held.is_empty()
    }

    fn patience(&self, phase: Phase) -> Duration {
        let timeouts = &self.timeouts;
        match phase {
            Phase::Greeting => timeouts.greeting,
            Phase::Hello | Phase::StartTls | Phase::SignIn => timeouts.hello,
            Phase::Mail => timeouts.mail,
            Phase::Rcpt => timeouts.rcpt,
            Phase::DataStart => timeouts.data_start,
            Phase::DataBlock => timeouts.data_block,
            Phase::DataEnd => timeouts.data_end,
            Phase::Reset | Phase::Quit | Phase::Idle => timeouts.quit,
        }
    }
}

/// A link whose stream is out for a handshake.
pub(crate) struct Tlsless {
    session: Session,
    held: VecDeque<Output>,
    broken_by: Option<io::Error>,
    timeouts: Arc<Timeouts>,
}

impl Tlsless {
    /// Goes on over TLS: EHLO again. Gives the error of the stream too, which
    /// may be a late refusal of the handshake.
    pub(crate) async fn go_on_over(
        self,
        tls: TlsStream<TcpStream>,
    ) -> Result<Link, (Failure, Option<io::Error>)> {
        let Self { session, held, broken_by, timeouts } = self;
        let stream = Stream::Tls(Box::new(tls));
        let mut link = Link { stream, session, held, broken_by, timeouts };
        link.session.handle(Input::TlsReady);
        match link.ready().await {
            Ok(()) => Ok(link),
            Err(failure) => Err((failure, link.broken_by)),
        }
    }
}

/// Hands a read's result to the session. After an end or an error the stream is dead.
fn take(session: &mut Session, broken_by: &mut Option<io::Error>, read: io::Result<&[u8]>) {
    match read {
        Ok([]) => session.handle(Input::End),
        Ok(bytes) => session.handle(Input::Bytes(bytes)),
        Err(error) => {
            *broken_by = Some(error);
            session.handle(Input::End);
        }
    }
}

/// Writes all of `octets`, and while the peer does not take them, hears what it
/// says: a refusal in the midst of the content ends the writing.
async fn write(
    stream: &mut Stream,
    session: &mut Session,
    broken_by: &mut Option<io::Error>,
    octets: &[u8],
) -> io::Result<()> {
    let mut written = 0;
    let mut buffer = [0; READ_OCTETS];
    let replies = session.replies();
    loop {
        let mut room = ReadBuf::new(&mut buffer);
        let heard = poll_fn(|cx| {
            let done = write_some(stream, cx, octets, &mut written)?;
            if done.is_ready() {
                return Poll::Ready(Ok(None));
            }
            Pin::new(&mut *stream).poll_read(cx, &mut room).map(|read| Ok(Some(read)))
        });
        let heard: io::Result<Option<io::Result<()>>> = heard.await;
        match heard? {
            None => return Ok(()),
            Some(read) => {
                let failed = read.is_err();
                let bytes = room.filled();
                let ended = bytes.is_empty();
                take(session, broken_by, read.map(|()| bytes));
                if failed
                    || ended
                    || (session.phase() == Phase::Idle && session.replies() > replies)
                {
                    return Ok(());
                }
            }
        }
    }
}

fn write_some(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    octets: &[u8],
    written: &mut usize,
) -> io::Result<Poll<()>> {
    while *written < octets.len() {
        match Pin::new(&mut *stream).poll_write(cx, &octets[*written..]) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(more)) => *written += more,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => return Ok(Poll::Pending),
        }
    }
    match Pin::new(stream).poll_flush(cx) {
        Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
        Poll::Ready(Err(error)) => Err(error),
        Poll::Pending => Ok(Poll::Pending),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, room),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, room),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, room),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
