//! A small SMTP client for the stories. It says what it is told and keeps every line.
//!
//! It is no part of the server: it knows nothing of `smtp`, so that what it shows is what
//! any client would see.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mail::{Domain, Timestamp};
use tls::{Anchor, Handshake, Offer, Peer, Verification};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::reply::Reply;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest line of a reply, in octets (RFC 5321 section 4.5.3.1.5 allows 512).
const LINE_MAX_OCTETS: u64 = 4096;
/// The most lines of a reply.
const LINES_MAX: usize = 100;
/// The name of a person's mail program.
pub const LAPTOP: &str = "laptop.clinic.test";

/// What bytes go over.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to the server.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
    name: &'static str,
    said: Vec<String>,
}

/// What the client needs to begin TLS.
#[derive(Clone)]
pub struct Trust {
    client: Arc<tls::Client>,
    host: Domain,
}

impl Trust {
    /// Trusts the server called `host` if its certificate comes from the authority in `pem`.
    ///
    /// # Errors
    ///
    /// When that is no certificate.
    pub fn new(host: &str, pem: String) -> Result<Self> {
        let roots = Arc::new(tls::Roots::only([pem])?);
        Ok(Self { client: Arc::new(tls::Client::new(roots)), host: Domain::parse(host)? })
    }
}

impl Client {
    /// Connects as the host `name` and waits for the greeting.
    ///
    /// # Errors
    ///
    /// When nobody listens or the greeting does not come.
    pub async fn connect(address: SocketAddr, name: &'static str) -> Result<Self> {
        Self::connect_from(address, name, Ipv4Addr::LOCALHOST).await
    }

    /// The same from another address of loopback.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_from(
        address: SocketAddr,
        name: &'static str,
        from: Ipv4Addr,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = timeout(PATIENCE, socket.connect(address))
            .await?
            .with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(Box::new(stream)), name, said: Vec::new() };
        client.reply().await?;
        Ok(client)
    }

    /// Connects, says EHLO, and then once more under TLS.
    ///
    /// # Errors
    ///
    /// When one of these steps fails.
    pub async fn connect_encrypted(
        address: SocketAddr,
        trust: &Trust,
    ) -> Result<(Self, Handshake)> {
        let mut client = Self::connect(address, LAPTOP).await?;
        client.hello().await?;
        let handshake = client.start_tls(trust).await?;
        client.hello().await?;
        Ok((client, handshake))
    }

    /// Says EHLO.
    ///
    /// # Errors
    ///
    /// When no reply comes.
    pub async fn hello(&mut self) -> Result<Reply> {
        self.say(&format!("EHLO {}", self.name)).await
    }

    /// Says a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// When no reply comes.
    pub async fn say(&mut self, command: &str) -> Result<Reply> {
        self.say_hidden(command, command).await
    }

    /// Says a command of which only `shown` is kept.
    async fn say_hidden(&mut self, command: &str, shown: &str) -> Result<Reply> {
        self.said.push(format!("C: {shown}"));
        self.send(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Says a command that must succeed.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn expect(&mut self, command: &str) -> Result<Reply> {
        let reply = self.say(command).await?;
        if !reply.is_positive() {
            bail!("{command} was answered with {}", reply.text());
        }
        Ok(reply)
    }

    /// Signs in with AUTH PLAIN; the password is not kept.
    ///
    /// # Errors
    ///
    /// When no reply comes.
    pub async fn sign_in(&mut self, user: &str, password: &str) -> Result<Reply> {
        let response = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        let shown = format!("AUTH PLAIN (as {user})");
        self.say_hidden(&format!("AUTH PLAIN {response}"), &shown).await
    }

    /// Says STARTTLS and shakes hands. The name of the server and its authority are checked.
    ///
    /// # Errors
    ///
    /// When the server does not want to, or its certificate proves nothing.
    pub async fn start_tls(&mut self, trust: &Trust) -> Result<Handshake> {
        self.expect("STARTTLS").await?;
        if !self.stream.buffer().is_empty() {
            bail!("octets came between the reply to STARTTLS and the handshake");
        }
        let nothing: Box<dyn Stream> = Box::new(tokio::io::empty());
        let plain = std::mem::replace(&mut self.stream, BufReader::new(nothing)).into_inner();
        let peer = Peer::new(&trust.host, Anchor::Configured);
        let (offer, now) = (Offer::default(), Timestamp::now());
        let shaking = trust.client.connect(plain, &peer, &offer, now);
        let (stream, handshake) = timeout(PATIENCE, shaking)
            .await?
            .map_err(|failure| anyhow!("no TLS with {}: {failure}", trust.host))?;
        if !matches!(handshake.verification, Verification::Trusted { .. }) {
            bail!("the certificate does not prove {}: {:?}", trust.host, handshake.verification);
        }
        self.stream = BufReader::new(Box::new(stream));
        self.said.push(format!("-- {} --", describe(&handshake)));
        Ok(handshake)
    }

    /// Sends one message to one recipient and gives the id the server names.
    ///
    /// # Errors
    ///
    /// When it is not taken.
    pub async fn send_message(&mut self, from: &str, to: &str, text: &str) -> Result<String> {
        self.expect(&format!("MAIL FROM:<{from}>")).await?;
        self.expect(&format!("RCPT TO:<{to}>")).await?;
        self.send_content(text).await?.id()
    }

    /// Sends DATA and the content, whose lines end in LF here and begin with no dot.
    ///
    /// # Errors
    ///
    /// When no reply comes.
    pub async fn send_content(&mut self, text: &str) -> Result<Reply> {
        let reply = self.say("DATA").await?;
        if reply.code() != "354" {
            return Ok(reply);
        }
        self.said.push(format!("C: ({} lines, then a dot)", text.lines().count()));
        let content: String = text.lines().flat_map(|line| [line, "\r\n"]).collect();
        self.send(format!("{content}.\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Ends the session.
    pub async fn quit(mut self) {
        // What was to be seen has been seen.
        let _ = self.say("QUIT").await;
    }

    /// What was said since this was last asked.
    pub fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    async fn send(&mut self, octets: &[u8]) -> Result<()> {
        timeout(PATIENCE, async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        })
        .await??;
        Ok(())
    }

    async fn reply(&mut self) -> Result<Reply> {
        let mut lines = Vec::new();
        while lines.len() < LINES_MAX {
            let mut line = String::new();
            let mut limited = (&mut self.stream).take(LINE_MAX_OCTETS);
            timeout(PATIENCE, limited.read_line(&mut line)).await??;
            if !line.ends_with('\n') {
                bail!("the server broke off after {:?}", self.said.last());
            }
            let line = line.trim_end().to_owned();
            self.said.push(format!("S: {line}"));
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                return Ok(Reply { lines });
            }
        }
        bail!("a reply of more than {LINES_MAX} lines")
    }
}

/// `TLS 1.3, X25519MLKEM768, TLS_AES_256_GCM_SHA384`.
pub fn describe(handshake: &Handshake) -> String {
    let group = handshake.group.map_or_else(String::new, |group| format!("{group}, "));
    format!("{}, {group}{}", handshake.version, handshake.suite)
}
