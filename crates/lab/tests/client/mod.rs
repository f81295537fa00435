//! A plain SMTP client for the tests of the lab: lines out, replies in.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection that has been greeted, or none.
pub struct Client<S> {
    stream: S,
    /// What arrived behind the last reply.
    pub unread: Vec<u8>,
}

pub async fn connect(address: SocketAddr) -> Client<TcpStream> {
    Client { stream: TcpStream::connect(address).await.unwrap(), unread: Vec::new() }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// The next reply, its lines joined by `|`; empty when the server closed.
    pub async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            while !self.unread.contains(&b'\n') {
                if self.stream.read_buf(&mut self.unread).await.unwrap_or(0) == 0 {
                    return lines.join("|");
                }
            }
            let end = self.unread.iter().position(|octet| *octet == b'\n').unwrap();
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap().trim_end().to_owned();
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return lines.join("|");
            }
        }
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends a line and returns its reply.
    pub async fn say(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Sends lines and checks the start of each reply.
    pub async fn talk(&mut self, exchange: &[(&str, &str)]) {
        for (line, wanted) in exchange {
            let reply = if line.is_empty() { self.reply().await } else { self.say(line).await };
            assert!(reply.starts_with(wanted), "{line}: {reply}");
        }
    }
}

impl Client<TcpStream> {
    /// Does a TLS handshake after a 220 to STARTTLS.
    pub async fn encrypt(
        self,
        config: ClientConfig,
        name: &str,
    ) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, self.stream).await?;
        Ok(Client { stream, unread: Vec::new() })
    }
}

/// A configuration that trusts `authority`, with a client certificate where one is given.
pub fn trusting(authority: &lab::Authority, own: Option<&lab::Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots);
    match own {
        Some(own) => builder.with_client_auth_cert(own.chain().to_vec(), own.key()).unwrap(),
        None => builder.with_no_client_auth(),
    }
}
