//! The test's own side of a TLS handshake: it takes any certificate and notes what it saw.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::Wire;

/// How a client wants its TLS.
#[derive(Clone)]
pub struct Terms {
    /// The server name it asks for.
    pub name: String,
    /// Whether only TLS 1.2 is spoken.
    pub only_tls12: bool,
    /// The certificate it shows when it is asked for one.
    pub certificate: Option<lab::Identity>,
}

/// What a handshake came to.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `TLSv1_2` or `TLSv1_3`.
    pub version: String,
    /// The suite by its registered name.
    pub suite: String,
    /// The server's certificate, DER.
    pub certificate: Vec<u8>,
}

impl Terms {
    /// TLS 1.2 or 1.3, asking for `name`, without a certificate.
    pub fn asking_for(name: &str) -> Self {
        Self { name: name.to_owned(), only_tls12: false, certificate: None }
    }

    /// TLS 1.2 alone.
    pub fn tls12(mut self) -> Self {
        self.only_tls12 = true;
        self
    }

    /// With a client certificate.
    pub fn showing(mut self, certificate: lab::Identity) -> Self {
        self.certificate = Some(certificate);
        self
    }
}

/// Shakes hands over `socket`.
pub fn connect(mut socket: TcpStream, terms: &Terms) -> io::Result<(Box<dyn Wire>, Seen)> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] =
        if terms.only_tls12 { &[&rustls::version::TLS12] } else { rustls::ALL_VERSIONS };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAny(provider)));
    let config = match &terms.certificate {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain().to_vec(), identity.key())
            .map_err(io::Error::other)?,
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(terms.name.clone()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    let suite = connection.negotiated_cipher_suite().expect("a suite");
    let certificates = connection.peer_certificates().expect("a certificate");
    let seen = Seen {
        version: format!("{:?}", connection.protocol_version().expect("a version")),
        suite: format!("{:?}", suite.suite()),
        certificate: certificates.first().expect("a leaf").to_vec(),
    };
    Ok((Box::new(StreamOwned::new(connection, socket)), seen))
}

/// Takes any certificate; signatures must still be right.
#[derive(Debug)]
struct TakesAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
