//! One connection to a partner, from greeting to close.

mod encryption;
mod sign_in;
mod transaction;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Shared;
use super::command::{Command, parse};
use super::record::{AuthSeen, Outcome, TlsSeen};
use super::script::{Act, Protocol, Script, Stage, Tls};
use super::wire::{IDLE_MAX, Wire};
use transaction::Transaction;

/// Commands of one connection; then it is closed.
const COMMANDS_MAX: usize = 100_000;
/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let (script, tls) = {
        let play = shared.play();
        (Arc::clone(&play.script), play.tls.clone())
    };
    let connection = {
        let mut record = shared.record();
        record.counters.connections += 1;
        record.counters.connections
    };
    let mut session = Session {
        wire: Wire::new(stream),
        shared,
        script,
        config: tls,
        peer,
        connection,
        hello: None,
        tls: None,
        auth: None,
        transaction: None,
    };
    if let Err(End::Broken(error)) = session.run().await {
        session.note('-', &format!("broken: {error}"));
    }
    session.wire.close().await;
}

struct Session {
    wire: Wire,
    shared: Arc<Shared>,
    script: Arc<Script>,
    config: Option<Arc<ServerConfig>>,
    peer: SocketAddr,
    connection: u64,
    hello: Option<String>,
    tls: Option<TlsSeen>,
    auth: Option<AuthSeen>,
    transaction: Option<Transaction>,
}

/// Why a session is over.
enum End {
    /// It was closed on purpose.
    Closed,
    /// The client left, fell silent, or broke the connection.
    Broken(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Session {
    async fn run(&mut self) -> Result<(), End> {
        if self.script.tls == Tls::Implicit {
            self.encrypt().await?;
        }
        let protocol = match self.script.protocol {
            Protocol::Smtp => "ESMTP",
            Protocol::Lmtp => "LMTP",
        };
        let greeting = format!("220 {} {protocol} lab", self.script.name);
        self.answer(Stage::Connect, None, &greeting).await?;
        for _ in 0..COMMANDS_MAX {
            let Some(line) = self.wire.line().await? else {
                self.note('-', "closed by the client");
                return Ok(());
            };
            let command = self.command(&line);
            if command == Command::Quit {
                self.answer(Stage::Quit, None, "221 2.0.0 Bye").await?;
                return Ok(());
            }
            self.obey(command).await?;
        }
        self.say("421 4.7.0 Too many commands").await
    }

    /// Reads a command line, and judges how it was sent.
    fn command(&mut self, line: &[u8]) -> Command {
        let Some(text) = line.strip_suffix(b"\r\n") else {
            self.violation("a command ends in a bare LF");
            return Command::Malformed;
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let command = parse(&text);
        match &command {
            Command::Auth { mechanism, .. } => self.note('C', &format!("AUTH {mechanism} ...")),
            _ => self.note('C', &text),
        }
        let may_be_followed = match &command {
            Command::Mail { .. } | Command::Rcpt { .. } | Command::Rset => {
                self.script.offers("PIPELINING")
            }
            Command::Bdat { .. } => true,
            Command::Ehlo(_)
            | Command::Lhlo(_)
            | Command::Helo(_)
            | Command::StartTls
            | Command::Auth { .. }
            | Command::Data
            | Command::Noop
            | Command::Quit
            | Command::Malformed
            | Command::Unknown => false,
        };
        if self.wire.waiting() > 0 && !may_be_followed {
            self.violation(&format!("octets sent ahead of the reply to {text:?}"));
        }
        command
    }

    async fn obey(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Ehlo(name) if self.script.protocol == Protocol::Smtp => {
                self.hello(name, Stage::Ehlo).await
            }
            Command::Lhlo(name) if self.script.protocol == Protocol::Lmtp => {
                self.hello(name, Stage::Ehlo).await
            }
            Command::Helo(name) if self.script.protocol == Protocol::Smtp => {
                self.hello(name, Stage::Helo).await
            }
            Command::Ehlo(_) | Command::Lhlo(_) | Command::Helo(_) | Command::Unknown => {
                self.say("500 5.5.1 Command not known").await
            }
            Command::StartTls => self.start_tls().await,
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial).await,
            Command::Mail { path, parameters } => self.mail(path, parameters).await,
            Command::Rcpt { path, parameters } => self.rcpt(path, parameters).await,
            Command::Data => self.data().await,
            Command::Bdat { octets, last } => self.bdat(octets, last).await,
            Command::Rset => {
                self.transaction = None;
                self.answer(Stage::Rset, None, "250 2.0.0 Forgotten").await.map(drop)
            }
            Command::Noop => self.say("250 2.0.0 Done").await,
            Command::Quit => Err(End::Closed),
            Command::Malformed => self.say("501 5.5.4 Syntax error").await,
        }
    }

    async fn hello(&mut self, name: String, stage: Stage) -> Result<(), End> {
        let mut reply = format!("250 {} greets {name}", self.script.name);
        if stage == Stage::Ehlo {
            for line in self.script.offered(self.wire.encrypted()) {
                reply.push('\n');
                reply.push_str(&line);
            }
        }
        self.transaction = None;
        if self.answer(stage, None, &reply).await? {
            self.hello = Some(name);
        }
        Ok(())
    }

    /// Says `proper`, or does what a fault wants at this stage. True when the client was told
    /// to go on.
    async fn answer(
        &mut self,
        stage: Stage,
        recipient: Option<&str>,
        proper: &str,
    ) -> Result<bool, End> {
        match self.shared.fault(stage, recipient) {
            Some(act) => self.act(act).await,
            None => self.say(proper).await.map(|()| true),
        }
    }

    async fn act(&mut self, act: Act) -> Result<bool, End> {
        let positive = act.is_positive();
        match act {
            Act::Reply(text) => self.say(&text).await.map(|()| positive),
            Act::Farewell(text) => {
                self.say(&text).await?;
                Err(End::Closed)
            }
            Act::Close => {
                self.note('-', "closed without a word");
                Err(End::Closed)
            }
            Act::Silence => {
                self.note('-', "silent");
                let until_the_client_leaves = async {
                    while self.wire.swallow().await? > 0 {}
                    io::Result::Ok(())
                };
                timeout(IDLE_MAX, until_the_client_leaves).await.map_err(io::Error::from)??;
                Err(End::Closed)
            }
        }
    }

    /// Sends a reply; its lines are told apart by `\n`, and all carry the code of the first.
    async fn say(&mut self, text: &str) -> Result<(), End> {
        tokio::time::sleep(self.script.reply_delay).await;
        let code = text.get(..3).unwrap_or_default();
        let count = text.lines().count();
        let mut reply = String::new();
        for (at, line) in text.lines().enumerate() {
            let words = if at == 0 { line.get(4..).unwrap_or_default() } else { line };
            let mark = if at + 1 == count { ' ' } else { '-' };
            let line = format!("{code}{mark}{words}");
            self.note('S', &line);
            reply.push_str(&line);
            reply.push_str("\r\n");
        }
        self.wire.send(reply.as_bytes(), self.script.octet_delay).await?;
        Ok(())
    }

    fn note(&self, who: char, text: &str) {
        self.shared.record().line(self.connection, who, text);
    }

    fn violation(&self, what: &str) {
        self.shared.record().violation(format!("connection {}: {what}", self.connection));
    }
}

impl Act {
    /// Whether the client is told to go on.
    fn is_positive(&self) -> bool {
        match self {
            Self::Reply(text) => text.starts_with(['2', '3']),
            Self::Farewell(_) | Self::Close | Self::Silence => false,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Reply(_) if self.is_positive() => Outcome::Accepted,
            Self::Reply(text) | Self::Farewell(text) => Outcome::Refused(text.clone()),
            Self::Close | Self::Silence => Outcome::Unanswered,
        }
    }
}
