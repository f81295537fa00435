//! One connection to a partner, from greeting to close.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Shared;
use super::command::{Command, parse};
use super::record::{AuthSeen, Message, Outcome, Recipient, TlsSeen};
use super::script::{Act, Protocol, Script, Stage, Tls};
use super::wire::{IDLE_MAX, Wire};

/// Commands of one connection; then it is closed.
const COMMANDS_MAX: usize = 100_000;
/// Octets of a line of content, its CRLF included (RFC 5321 section 4.5.3.1.6).
const CONTENT_LINE_MAX_OCTETS: usize = 1_000;
/// The 220 to STARTTLS with a forged reply behind it.
const INJECTED: &str = "220 2.0.0 Ready to start TLS\r\n250 2.0.0 forged\r\n";

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

/// What MAIL and RCPT said, and the chunks so far.
#[derive(Default)]
struct Transaction {
    sender: String,
    parameters: Vec<String>,
    recipients: Vec<Recipient>,
    chunks: Option<Vec<u8>>,
    too_large: bool,
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

    async fn start_tls(&mut self) -> Result<(), End> {
        const READY: &str = "220 2.0.0 Ready to start TLS";
        if self.wire.encrypted() {
            return self.say("503 5.5.1 TLS is active").await;
        }
        match self.script.tls {
            Tls::NotOffered | Tls::Stripped | Tls::Implicit => {
                self.say("500 5.5.1 Command not known").await
            }
            Tls::Refused => self.say("454 4.7.0 TLS not available for now").await,
            Tls::Garbage => {
                self.say(READY).await?;
                self.wire.swallow().await?;
                self.handshake_failed("answered with garbage");
                self.wire.send(b"500 this is no TLS record\r\n", self.script.octet_delay).await?;
                Err(End::Closed)
            }
            Tls::DroppedInHandshake => {
                self.say(READY).await?;
                self.wire.swallow().await?;
                self.handshake_failed("dropped");
                Err(End::Closed)
            }
            Tls::DroppedAfterHandshake => {
                self.say(READY).await?;
                self.encrypt().await?;
                self.note('-', "dropped after the handshake");
                Err(End::Closed)
            }
            Tls::Injected => {
                self.note('S', READY);
                self.note('S', "(forged) 250 2.0.0 forged");
                self.wire.send(INJECTED.as_bytes(), self.script.octet_delay).await?;
                self.encrypt().await
            }
            Tls::StartTls => {
                if self.answer(Stage::StartTls, None, READY).await? {
                    self.encrypt().await?;
                }
                Ok(())
            }
        }
    }

    /// Does the handshake and forgets what was said before it (RFC 3207 section 4.2).
    async fn encrypt(&mut self) -> Result<(), End> {
        let Some(config) = self.config.clone() else {
            self.handshake_failed("the script has no certificate");
            return Err(End::Closed);
        };
        if self.wire.waiting() > 0 {
            self.violation("octets sent in the clear ahead of the handshake");
        }
        match self.wire.encrypt(config).await {
            Ok(seen) => {
                self.note('-', &format!("{} {}", seen.version, seen.suite));
                self.shared.record().counters.handshakes += 1;
                self.tls = Some(seen);
                self.hello = None;
                self.auth = None;
                self.transaction = None;
                Ok(())
            }
            Err(error) => {
                self.handshake_failed(&error.to_string());
                Err(End::Closed)
            }
        }
    }

    fn handshake_failed(&self, why: &str) {
        self.note('-', &format!("handshake failed: {why}"));
        self.shared.record().counters.handshakes_failed += 1;
    }

    async fn auth(&mut self, mechanism: String, initial: Option<String>) -> Result<(), End> {
        let Some(sign_in) = self.script.sign_in.clone() else {
            return self.say("502 5.5.1 AUTH is not offered").await;
        };
        if self.auth.is_some() || self.transaction.is_some() {
            return self.say("503 5.5.1 Not now").await;
        }
        if !self.wire.encrypted() {
            self.note('-', "AUTH in the clear");
        }
        let given = match mechanism.as_str() {
            "PLAIN" => self.exchange(initial, "").await?.and_then(|message| {
                let mut parts = message.split('\0').skip(1).map(str::to_owned);
                Some((parts.next()?, parts.next()?))
            }),
            "LOGIN" => match self.exchange(initial, "Username:").await? {
                Some(user) => {
                    self.exchange(None, "Password:").await?.map(|password| (user, password))
                }
                None => None,
            },
            _ => return self.say("504 5.5.4 Mechanism not known").await,
        };
        let Some((user, password)) = given else {
            return self.say("501 5.5.2 Not understood").await;
        };
        if (user.as_str(), password) != (&sign_in.user, sign_in.password) {
            self.shared.record().counters.sign_ins_failed += 1;
            return self.say("535 5.7.8 Not you").await;
        }
        if self.answer(Stage::Auth, None, "235 2.7.0 Welcome").await? {
            self.shared.record().counters.sign_ins += 1;
            self.auth = Some(AuthSeen { mechanism, user });
        }
        Ok(())
    }

    /// One message of the client: the one it began with, or its answer to `challenge`.
    /// `None` when it is no text in base64.
    async fn exchange(
        &mut self,
        initial: Option<String>,
        challenge: &str,
    ) -> Result<Option<String>, End> {
        let encoded = match initial.as_deref() {
            Some("=") => String::new(),
            Some(initial) => initial.to_owned(),
            None => {
                self.say(&format!("334 {}", BASE64.encode(challenge))).await?;
                let Some(line) = self.wire.line().await? else { return Err(End::Closed) };
                self.note('C', "...");
                String::from_utf8_lossy(&line).trim_end().to_owned()
            }
        };
        Ok(BASE64.decode(encoded).ok().and_then(|octets| String::from_utf8(octets).ok()))
    }

    async fn mail(&mut self, sender: String, parameters: Vec<String>) -> Result<(), End> {
        {
            let mut record = self.shared.record();
            record.counters.mail += 1;
            if !self.wire.encrypted() {
                record.counters.mail_in_clear += 1;
            }
        }
        if self.hello.is_none() || self.transaction.is_some() {
            return self.say("503 5.5.1 Bad sequence of commands").await;
        }
        if self.script.sign_in.as_ref().is_some_and(|sign_in| sign_in.required)
            && self.auth.is_none()
        {
            return self.say("530 5.7.0 Sign in first").await;
        }
        if let Some(unknown) = self.not_offered(&parameters, &MAIL_PARAMETERS) {
            return self.say(&format!("555 5.5.4 {unknown} was not offered")).await;
        }
        let declared = parameters.iter().find_map(|parameter| {
            let (keyword, value) = parameter.split_once('=')?;
            if keyword.eq_ignore_ascii_case("SIZE") { value.parse::<usize>().ok() } else { None }
        });
        if declared.is_some_and(|octets| octets > self.script.size()) {
            return self.say("552 5.3.4 Too big").await;
        }
        if self.answer(Stage::Mail, None, "250 2.1.0 Sender noted").await? {
            self.transaction = Some(Transaction { sender, parameters, ..Transaction::default() });
        }
        Ok(())
    }

    async fn rcpt(&mut self, address: String, parameters: Vec<String>) -> Result<(), End> {
        self.shared.record().counters.rcpt += 1;
        let taken = match &self.transaction {
            Some(transaction) if transaction.chunks.is_none() => transaction.recipients.len(),
            Some(_) | None => return self.say("503 5.5.1 Bad sequence of commands").await,
        };
        if let Some(unknown) = self.not_offered(&parameters, &RCPT_PARAMETERS) {
            return self.say(&format!("555 5.5.4 {unknown} was not offered")).await;
        }
        if taken >= self.script.recipients_max {
            return self.say("452 4.5.3 Too many recipients").await;
        }
        if self.answer(Stage::Rcpt, Some(&address), "250 2.1.5 Recipient noted").await?
            && let Some(transaction) = &mut self.transaction
        {
            transaction.recipients.push(Recipient { address, parameters });
        }
        Ok(())
    }

    /// The first parameter whose extension was not offered; noted as the client's mistake.
    fn not_offered(&self, parameters: &[String], known: &[(&str, &str)]) -> Option<String> {
        let unknown = parameters.iter().find(|parameter| {
            let keyword = parameter.split('=').next().unwrap_or_default();
            !known.iter().any(|(name, extension)| {
                name.eq_ignore_ascii_case(keyword)
                    && (self.script.offers(extension)
                        || (*extension == "AUTH" && self.script.sign_in.is_some()))
            })
        })?;
        self.violation(&format!("the parameter {unknown} was used and not offered"));
        Some(unknown.clone())
    }

    async fn data(&mut self) -> Result<(), End> {
        let transaction = match &self.transaction {
            Some(transaction) if transaction.chunks.is_some() => {
                return self.say("503 5.5.1 BDAT has begun").await;
            }
            Some(transaction) => transaction,
            None => return self.say("503 5.5.1 Bad sequence of commands").await,
        };
        if transaction.recipients.is_empty() {
            return self.say("554 5.5.1 No valid recipients").await;
        }
        if has_parameter(&transaction.parameters, "BODY=BINARYMIME") {
            self.violation("BINARYMIME content was to come by DATA");
            return self.say("503 5.5.1 BINARYMIME needs BDAT").await;
        }
        if !self.answer(Stage::Data, None, "354 Go ahead").await? {
            return Ok(());
        }
        let mut content = Vec::new();
        let mut too_large = false;
        loop {
            let Some(line) = self.wire.line().await? else {
                self.note('-', "closed by the client within the content");
                return Err(End::Closed);
            };
            if line == b".\r\n" {
                break;
            }
            self.judge(&line);
            let line = line.strip_prefix(b".").unwrap_or(&line);
            too_large |= content.len() + line.len() > self.script.size();
            if !too_large {
                content.extend_from_slice(line);
            }
        }
        self.note('C', &format!("({} octets and a final dot)", content.len()));
        self.complete(content, too_large, false).await
    }

    /// Notes what a line of content does against the rules (RFC 5321 section 2.3.8).
    fn judge(&self, line: &[u8]) {
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return self.violation("a bare LF in the content");
        };
        if text.contains(&b'\r') {
            self.violation("a bare CR in the content");
        }
        if text.contains(&0) {
            self.violation("a NUL in the content");
        }
        if line.len() > CONTENT_LINE_MAX_OCTETS + usize::from(text.starts_with(b".")) {
            self.violation("a line of content is longer than 998 octets");
        }
        if !text.is_ascii()
            && let Some(transaction) = &self.transaction
            && !has_parameter(&transaction.parameters, "BODY=8BITMIME")
            && !has_parameter(&transaction.parameters, "SMTPUTF8")
        {
            self.violation("eight-bit content without BODY=8BITMIME");
        }
    }

    async fn bdat(&mut self, octets: usize, last: bool) -> Result<(), End> {
        let size = self.script.size();
        let ready =
            self.transaction.as_ref().is_some_and(|transaction| !transaction.recipients.is_empty());
        let first = self.transaction.as_ref().is_some_and(|given| given.chunks.is_none());
        if octets > size {
            self.say("552 5.3.4 Too big").await?;
            return Err(End::Closed);
        }
        let Some(chunk) = self.wire.exactly(octets).await? else {
            self.note('-', "closed by the client within a chunk");
            return Err(End::Closed);
        };
        if !self.script.offers("CHUNKING") {
            self.violation("BDAT was used and not offered");
            return self.say("502 5.5.1 BDAT is not offered").await;
        }
        if !ready {
            return self.say("503 5.5.1 Bad sequence of commands").await;
        }
        if first
            && let Some(act) = self.shared.fault(Stage::Data, None)
            && !self.act(act).await?
        {
            self.transaction = None;
            return Ok(());
        }
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let chunks = transaction.chunks.get_or_insert_default();
        transaction.too_large |= chunks.len() + chunk.len() > size;
        if !transaction.too_large {
            chunks.extend_from_slice(&chunk);
        }
        if last {
            let content = transaction.chunks.take().unwrap_or_default();
            let too_large = transaction.too_large;
            return self.complete(content, too_large, true).await;
        }
        self.say(&format!("250 2.0.0 {octets} octets noted")).await
    }

    /// Keeps the message and tells the client what became of it.
    async fn complete(
        &mut self,
        content: Vec<u8>,
        too_large: bool,
        chunked: bool,
    ) -> Result<(), End> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        let told: Vec<Act> = if too_large {
            vec![Act::Reply("552 5.3.4 Too big".to_owned())]
        } else {
            self.verdicts(&transaction.recipients)
        };
        let outcome = told
            .iter()
            .find(|act| act.is_positive())
            .or_else(|| told.last())
            .map_or(Outcome::Unanswered, Act::outcome);
        self.shared.keep(Message {
            hello: self.hello.clone().unwrap_or_default(),
            sender: transaction.sender,
            sender_parameters: transaction.parameters,
            recipients: transaction.recipients,
            content: content.into(),
            outcome,
            tls: self.tls.clone(),
            auth: self.auth.clone(),
            peer: self.peer,
            connection: self.connection,
            chunked,
        });
        for act in told {
            self.act(act).await?;
        }
        Ok(())
    }

    /// One reply, or in LMTP one for each recipient in its order (RFC 2033 section 4.2).
    fn verdicts(&self, recipients: &[Recipient]) -> Vec<Act> {
        let verdict = |recipient: Option<&str>, proper: String| {
            self.shared.fault(Stage::Content, recipient).unwrap_or(Act::Reply(proper))
        };
        match self.script.protocol {
            Protocol::Smtp => vec![verdict(None, "250 2.0.0 Taken".to_owned())],
            Protocol::Lmtp => recipients
                .iter()
                .map(|recipient| {
                    let address = recipient.address.as_str();
                    verdict(Some(address), format!("250 2.1.5 <{address}> has it"))
                })
                .collect(),
        }
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

fn has_parameter(parameters: &[String], wanted: &str) -> bool {
    parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(wanted))
}

/// Parameters of MAIL and the extensions they belong to.
const MAIL_PARAMETERS: [(&str, &str); 7] = [
    ("SIZE", "SIZE"),
    ("BODY", "8BITMIME"),
    ("SMTPUTF8", "SMTPUTF8"),
    ("RET", "DSN"),
    ("ENVID", "DSN"),
    ("AUTH", "AUTH"),
    ("REQUIRETLS", "REQUIRETLS"),
];
/// Parameters of RCPT and the extensions they belong to.
const RCPT_PARAMETERS: [(&str, &str); 2] = [("NOTIFY", "DSN"), ("ORCPT", "DSN")];
