//! The TLS configuration that a script asks for.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::script::{ClientCertificates, Script, Versions};
use crate::LabError;

/// The configuration for `script`, or `None` when it has no certificate.
pub(super) fn configuration(script: &Script) -> Result<Option<Arc<ServerConfig>>, LabError> {
    let Some(identity) = &script.certificate else { return Ok(None) };
    let versions: &[&'static SupportedProtocolVersion] = match script.versions {
        Versions::Both => &[&TLS13, &TLS12],
        Versions::Tls12 => &[&TLS12],
        Versions::Tls13 => &[&TLS13],
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?;
    let builder = match &script.client_certificates {
        ClientCertificates::NotAsked => builder.with_no_client_auth(),
        ClientCertificates::Required(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone())?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(|error| LabError::Tls(error.into()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(identity.chain().to_vec(), identity.key())?;
    Ok(Some(Arc::new(config)))
}
