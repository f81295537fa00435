//! The client's session: greeting, EHLO, STARTTLS, AUTH, transactions, QUIT.

use std::collections::VecDeque;

use mail::Domain;

use super::report::{Failure, Phase, Report};
use super::sign_in::{Credentials, Exchange, SignInError};
use super::transaction::{Mailing, Next, Transaction};
use crate::extensions::Extensions;
use crate::reply::{Reader, Reply};

/// Which of the two protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SMTP (RFC 5321).
    Smtp,
    /// LMTP (RFC 2033): LHLO, and one final reply for each recipient.
    Lmtp,
}

/// How a session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name we give in EHLO: ours, or an address literal.
    pub hello: Domain,
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// TLS is active before the greeting (RFC 8314 section 3.3).
    pub implicit_tls: bool,
}

/// What happens to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// Octets from the peer.
    Bytes(&'a [u8]),
    /// The handshake asked for by [`Output::StartTls`] succeeded.
    TlsReady,
    /// Nothing came for as long as [`Session::phase`] allows.
    Timeout,
    /// The connection ended.
    End,
}

/// What a session wants or has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write these octets, at once.
    Send(Vec<u8>),
    /// Do the TLS handshake, then give [`Input::TlsReady`].
    StartTls,
    /// Greeted and ready; [`Session::extensions`] says what the peer offers.
    Ready,
    /// STARTTLS was refused (454 or any other). The session is still whole, in the clear.
    StartTlsRefused(Reply),
    /// What became of [`Session::sign_in`].
    SignedIn(Result<(), SignInError>),
    /// The peer takes content now: call [`Session::content`].
    Content,
    /// What became of [`Session::send`].
    Done(Report),
    /// The session cannot be used further. A transaction under way was
    /// reported by [`Output::Done`] before.
    Failed(Failure),
    /// QUIT was answered, or nothing more is expected: close the connection.
    Close,
}

/// The session is not in the state that this needs; nothing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SMTP session is not ready for this")]
pub struct NotReady;

/// One SMTP or LMTP connection, seen from the client.
///
/// ```text
///             220          250          send            report
///  Greeting ──────▶ Hello ──────▶ Ready ──────▶ Mailing ──────▶ Ready
///                     ▲            │ start_tls
///                     └ Handshaking ◀── StartTls
/// ```
///
/// Drain [`poll`](Self::poll) after each call of the others.
///
/// ```
/// use smtp::client::{Input, Output, Protocol, Session, Settings};
///
/// let hello = "client.example".parse()?;
/// let mut session = Session::new(Settings { hello, protocol: Protocol::Smtp, implicit_tls: false });
/// session.handle(Input::Bytes(b"220 mx.example ESMTP\r\n"));
/// assert_eq!(session.poll(), Some(Output::Send(b"EHLO client.example\r\n".to_vec())));
/// session.handle(Input::Bytes(b"250-mx.example\r\n250 PIPELINING\r\n"));
/// assert_eq!(session.poll(), Some(Output::Ready));
/// assert!(session.extensions().pipelining);
/// # Ok::<(), mail::DomainError>(())
/// ```
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    tls_active: bool,
    state: State,
    reader: Reader,
    offered: Extensions,
    greeting: Option<Reply>,
    reset_due: bool,
    transactions: u32,
    replies: u64,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Greeting,
    Hello(Hello),
    Ready,
    StartTls,
    Handshaking,
    SigningIn(Exchange),
    Mailing(Box<Mailing>),
    Quitting,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hello {
    Extended,
    /// HELO, after EHLO was not known (RFC 5321 section 3.2).
    Plain,
}

impl Session {
    /// A session on a fresh connection; it waits for the greeting.
    pub fn new(settings: Settings) -> Self {
        Self {
            tls_active: settings.implicit_tls,
            settings,
            state: State::Greeting,
            reader: Reader::default(),
            offered: Extensions::default(),
            greeting: None,
            reset_due: false,
            transactions: 0,
            replies: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The next thing the session wants; `None` when it waits for input or a wish.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What the peer offers, as of the last EHLO. Empty after HELO.
    pub fn extensions(&self) -> &Extensions {
        &self.offered
    }

    /// The peer's greeting, once it came.
    pub fn greeting(&self) -> Option<&Reply> {
        self.greeting.as_ref()
    }

    /// Whether TLS is active.
    pub fn is_tls_active(&self) -> bool {
        self.tls_active
    }

    /// Whether a transaction, STARTTLS, AUTH or QUIT may begin.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// How many transactions were begun.
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// How many replies came. Each gives the peer new time for the next.
    pub fn replies(&self) -> u64 {
        self.replies
    }

    /// What is waited for.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Greeting => Phase::Greeting,
            State::Hello(_) => Phase::Hello,
            State::Ready | State::Closed => Phase::Idle,
            State::StartTls | State::Handshaking => Phase::StartTls,
            State::SigningIn(_) => Phase::SignIn,
            State::Mailing(mailing) => mailing.phase(),
            State::Quitting => Phase::Quit,
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input<'_>) {
        let phase = self.phase();
        match (input, &self.state) {
            (_, State::Closed) => {}
            (Input::Bytes(bytes), _) => self.read(bytes),
            (Input::TlsReady, State::Handshaking) => {
                // Nothing said in the clear counts any more (RFC 3207 section 4.2).
                self.tls_active = true;
                self.offered = Extensions::default();
                self.reader = Reader::default();
                self.state = self.hello(Hello::Extended);
            }
            (Input::TlsReady, _) => {}
            (Input::Timeout | Input::End, State::Quitting) => {
                self.outputs.push_back(Output::Close);
                self.state = State::Closed;
            }
            (Input::Timeout, _) => self.fail(Failure::TimedOut { phase }),
            (Input::End, _) => self.fail(Failure::Lost { phase }),
        }
    }

    /// Wishes for STARTTLS.
    ///
    /// # Errors
    ///
    /// [`NotReady`] unless the session is at rest, in the clear, and STARTTLS is offered.
    pub fn start_tls(&mut self) -> Result<(), NotReady> {
        if !self.is_ready() || self.tls_active || !self.offered.starttls {
            return Err(NotReady);
        }
        self.say("STARTTLS\r\n");
        self.state = State::StartTls;
        Ok(())
    }

    /// Signs in. Over a connection without TLS nothing is sent, whatever the peer offers.
    ///
    /// # Errors
    ///
    /// [`NotReady`] unless the session is at rest.
    pub fn sign_in(&mut self, credentials: Credentials) -> Result<(), NotReady> {
        if !self.is_ready() {
            return Err(NotReady);
        }
        if !self.tls_active {
            self.outputs.push_back(Output::SignedIn(Err(SignInError::InTheClear)));
            return Ok(());
        }
        match Exchange::begin(credentials, &self.offered) {
            Ok((exchange, line)) => {
                self.say(&line);
                self.state = State::SigningIn(exchange);
            }
            Err(error) => self.outputs.push_back(Output::SignedIn(Err(error))),
        }
        Ok(())
    }

    /// Sends a message to its recipients. A message the peer cannot take is
    /// reported at once, and nothing is sent.
    ///
    /// # Errors
    ///
    /// [`NotReady`] unless the session is at rest.
    pub fn send(&mut self, transaction: &Transaction<'_>) -> Result<(), NotReady> {
        if !self.is_ready() {
            return Err(NotReady);
        }
        self.transactions += 1;
        let mut mailing = Box::new(Mailing::begin(
            transaction,
            &self.offered,
            self.settings.protocol,
            self.reset_due,
        ));
        let next = mailing.advance();
        self.state = self.follow(mailing, next);
        Ok(())
    }

    /// The next piece of the content that [`Output::Content`] asked for, and
    /// whether it is the last. The end of the data goes out with the last piece.
    ///
    /// # Errors
    ///
    /// [`NotReady`] unless content was asked for.
    pub fn content(&mut self, piece: &[u8], last: bool) -> Result<(), NotReady> {
        let State::Mailing(mailing) = &mut self.state else { return Err(NotReady) };
        if !mailing.wants_content() {
            return Err(NotReady);
        }
        match mailing.content(piece, last) {
            Ok(octets) => self.outputs.push_back(Output::Send(octets)),
            Err(failure) => self.fail(failure),
        }
        Ok(())
    }

    /// Gives up on content that cannot be read to its end. The session fails:
    /// only closing the connection keeps the peer from taking half a message.
    pub fn abandon_content(&mut self) {
        if matches!(&self.state, State::Mailing(mailing) if mailing.wants_content()) {
            self.fail(Failure::ContentCutShort);
        }
    }

    /// Wishes to end. Does nothing unless the session is at rest.
    pub fn quit(&mut self) {
        if self.is_ready() {
            self.say("QUIT\r\n");
            self.state = State::Quitting;
        }
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !matches!(self.state, State::Closed) {
            match self.reader.read(bytes) {
                Ok((taken, reply)) => {
                    bytes = &bytes[taken..];
                    if let Some(reply) = reply {
                        self.reply(reply, bytes.is_empty());
                    }
                }
                Err(error) => self.fail(Failure::Malformed { phase: self.phase(), error }),
            }
        }
    }

    /// `alone`: nothing came after the reply.
    fn reply(&mut self, reply: Reply, alone: bool) {
        let phase = self.phase();
        self.replies += 1;
        let before = self.outputs.len();
        let state = std::mem::replace(&mut self.state, State::Closed);
        self.state = match (state, reply.code()) {
            (State::Quitting, _) => {
                self.outputs.push_back(Output::Close);
                State::Closed
            }
            (State::Mailing(mut mailing), _) => {
                let next = mailing.reply(reply);
                self.follow(mailing, next)
            }
            (_, 421) => self.failed(Failure::Closing { phase, reply }),
            (State::Greeting, 220) => {
                self.greeting = Some(reply);
                self.hello(Hello::Extended)
            }
            (State::Hello(Hello::Extended), 250) => {
                self.offered = Extensions::from_lines(reply.lines());
                self.ready()
            }
            (State::Hello(Hello::Plain), 250) => self.ready(),
            (State::Hello(Hello::Extended), 500..=599)
                if self.settings.protocol == Protocol::Smtp =>
            {
                self.hello(Hello::Plain)
            }
            (State::Greeting | State::Hello(_), 400..=599) => {
                self.failed(Failure::Refused { phase, reply })
            }
            (State::StartTls, 220) if !alone => self.failed(Failure::Injected),
            (State::StartTls, 220) => {
                self.outputs.push_back(Output::StartTls);
                State::Handshaking
            }
            (State::StartTls, 400..=599) => {
                self.outputs.push_back(Output::StartTlsRefused(reply));
                State::Ready
            }
            (State::SigningIn(mut exchange), 334) => {
                let line = exchange.answer();
                self.say(&line);
                State::SigningIn(exchange)
            }
            (State::SigningIn(_), 235) => {
                self.outputs.push_back(Output::SignedIn(Ok(())));
                State::Ready
            }
            (State::SigningIn(_), 400..=599) => {
                self.outputs.push_back(Output::SignedIn(Err(SignInError::Refused(reply))));
                State::Ready
            }
            (State::Ready | State::Handshaking, _) => self.failed(Failure::Unsolicited),
            (State::Greeting | State::Hello(_) | State::StartTls | State::SigningIn(_), _) => {
                self.failed(Failure::Unexpected { phase, reply })
            }
            (State::Closed, _) => State::Closed,
        };
        // What came after the reply was sent before the peer saw what we say
        // now, so it cannot answer it.
        let spoke = self.outputs.iter().skip(before).any(|o| matches!(o, Output::Send(_)));
        if spoke && !alone {
            self.outputs.truncate(before);
            self.fail(Failure::Unsolicited);
        }
    }

    fn follow(&mut self, mailing: Box<Mailing>, next: Next) -> State {
        match next {
            Next::Send(octets) => {
                self.outputs.push_back(Output::Send(octets));
                State::Mailing(mailing)
            }
            Next::Wait => State::Mailing(mailing),
            Next::Content => {
                self.outputs.push_back(Output::Content);
                State::Mailing(mailing)
            }
            Next::Done { report, reset } => {
                self.reset_due = reset;
                self.outputs.push_back(Output::Done(report));
                State::Ready
            }
            Next::Fail { report, failure } => {
                self.outputs.push_back(Output::Done(report));
                self.failed(failure)
            }
        }
    }

    fn hello(&mut self, hello: Hello) -> State {
        let verb = match (self.settings.protocol, hello) {
            (Protocol::Lmtp, _) => "LHLO",
            (Protocol::Smtp, Hello::Extended) => "EHLO",
            (Protocol::Smtp, Hello::Plain) => "HELO",
        };
        let line = format!("{verb} {}\r\n", self.settings.hello);
        self.say(&line);
        State::Hello(hello)
    }

    fn ready(&mut self) -> State {
        self.outputs.push_back(Output::Ready);
        State::Ready
    }

    fn say(&mut self, line: &str) {
        self.outputs.push_back(Output::Send(line.as_bytes().to_vec()));
    }

    fn fail(&mut self, failure: Failure) {
        let state = std::mem::replace(&mut self.state, State::Closed);
        self.state = match state {
            State::Mailing(mut mailing) => {
                let next = mailing.fail(failure);
                self.follow(mailing, next)
            }
            State::Greeting
            | State::Hello(_)
            | State::Ready
            | State::StartTls
            | State::Handshaking
            | State::SigningIn(_)
            | State::Quitting => self.failed(failure),
            State::Closed => State::Closed,
        };
    }

    fn failed(&mut self, failure: Failure) -> State {
        self.outputs.push_back(Output::Failed(failure));
        State::Closed
    }
}
