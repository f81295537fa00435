//! Certificates for the lab: an authority, what it issues, and what nobody should trust.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::LabError;

/// A certificate authority that lives as long as the lab (ECDSA P-256).
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate chain and its private key.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    chain_pem: String,
    key_der: Vec<u8>,
    key_pem: String,
}

impl Authority {
    /// Makes a new authority called `name`, with a fresh key.
    ///
    /// # Errors
    ///
    /// [`LabError::Certificate`] when no key or certificate can be made.
    pub fn new(name: &str) -> Result<Self, LabError> {
        let wrong = |source| LabError::Certificate { name: name.to_owned(), source };
        let mut params = parameters(&[], Validity::Current).map_err(wrong)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().map_err(wrong)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(wrong)? })
    }

    /// The authority's certificate in PEM: what a CA bundle file needs to trust it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// Issues a certificate for `names` (DNS names, IP addresses or mail addresses), good for
    /// servers and clients until 2045.
    ///
    /// # Errors
    ///
    /// [`LabError::Certificate`] when a name cannot stand in a certificate.
    pub fn issue(&self, names: &[&str]) -> Result<Identity, LabError> {
        self.issue_with(names, Validity::Current)
    }

    /// Issues a certificate for `names` that expired on 1 January 2021.
    ///
    /// # Errors
    ///
    /// [`LabError::Certificate`] when a name cannot stand in a certificate.
    pub fn issue_expired(&self, names: &[&str]) -> Result<Identity, LabError> {
        self.issue_with(names, Validity::Expired)
    }

    fn issue_with(&self, names: &[&str], validity: Validity) -> Result<Identity, LabError> {
        let wrong = |source| LabError::Certificate { name: names.join(", "), source };
        let key = KeyPair::generate().map_err(wrong)?;
        let mut params = parameters(names, validity).map_err(wrong)?;
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer).map_err(wrong)?;
        Ok(Identity::new(&leaf, &key))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Identity {
    /// A certificate for `names` signed by its own key.
    ///
    /// # Errors
    ///
    /// [`LabError::Certificate`] when a name cannot stand in a certificate.
    pub fn self_signed(names: &[&str]) -> Result<Self, LabError> {
        let wrong = |source| LabError::Certificate { name: names.join(", "), source };
        let key = KeyPair::generate().map_err(wrong)?;
        let params = parameters(names, Validity::Current).map_err(wrong)?;
        Ok(Self::new(&params.self_signed(&key).map_err(wrong)?, &key))
    }

    fn new(leaf: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            chain: vec![leaf.der().clone()],
            chain_pem: leaf.pem(),
            key_der: key.serialize_der(),
            key_pem: key.serialize_pem(),
        }
    }

    /// The chain, leaf first, without the authority.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key (PKCS #8).
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key_der.clone().into())
    }

    /// The chain in PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The private key in PEM (PKCS #8).
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Validity {
    Current,
    Expired,
}

fn parameters(names: &[&str], validity: Validity) -> Result<CertificateParams, rcgen::Error> {
    let (people, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|n| n.contains('@'));
    let mut params =
        CertificateParams::new(hosts.into_iter().map(str::to_owned).collect::<Vec<_>>())?;
    for address in people {
        params.subject_alt_names.push(SanType::Rfc822Name(address.try_into()?));
    }
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(first) = names.first() {
        params.distinguished_name.push(DnType::CommonName, *first);
    }
    (params.not_before, params.not_after) = match validity {
        Validity::Current => (date_time_ymd(2020, 1, 1), date_time_ymd(2045, 1, 1)),
        Validity::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
    };
    if !names.is_empty() {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    }
    Ok(params)
}
