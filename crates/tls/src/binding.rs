//! What of a connection proves more than its handshake's facts say: its channel binding, and
//! the mail addresses that the client's certificate was issued for.

use rustls::ProtocolVersion;
use tokio_rustls::server::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Secrets and claims of one connection that no record keeps.
#[derive(Clone, Default)]
pub struct Binding {
    /// `tls-exporter` (RFC 9266). With TLS 1.2 it holds only under the extended master secret,
    /// which cannot be seen from here, so that it is there for TLS 1.3 alone.
    pub exporter: Option<[u8; 32]>,
    /// The mail addresses among the subject alternative names of the client's certificate; at
    /// most [`ADDRESSES_MAX`]. Whether to believe them is the verification's to say.
    pub client_addresses: Vec<String>,
}

/// Mail addresses of one certificate that are looked at.
pub const ADDRESSES_MAX: usize = 8;
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
const ADDRESS_MAX_OCTETS: usize = 320;

impl Binding {
    /// That of a connection whose handshake is complete.
    pub fn of<S>(stream: &TlsStream<S>) -> Self {
        let connection = stream.get_ref().1;
        let is_newest = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let exporter = is_newest
            .then(|| connection.export_keying_material([0; 32], LABEL, Some(b"")).ok())
            .flatten();
        let leaf = connection.peer_certificates().and_then(|chain| chain.first());
        Self { exporter, client_addresses: leaf.map(|leaf| addresses(leaf)).unwrap_or_default() }
    }
}

fn addresses(der: &[u8]) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return Vec::new() };
    let address = |name: &GeneralName<'_>| match name {
        GeneralName::RFC822Name(address) if address.len() <= ADDRESS_MAX_OCTETS => {
            Some((*address).to_owned())
        }
        _ => None,
    };
    extension.value.general_names.iter().filter_map(address).take(ADDRESSES_MAX).collect()
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binding")
            .field("exporter", &self.exporter.is_some())
            .field("client_addresses", &self.client_addresses)
            .finish()
    }
}
