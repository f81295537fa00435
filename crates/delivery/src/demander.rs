//! The question that delivery asks of policy: how must this host be reached?

use std::net::IpAddr;

use mail::Domain;
use tls::Demands;

/// A host about to be contacted.
#[derive(Debug, Clone, Copy)]
pub struct Approach<'a> {
    /// The recipients' domain.
    pub domain: &'a Domain,
    /// The host's name, where it has one.
    pub host: &'a str,
    /// Its address; `None` for a Unix socket.
    pub ip: Option<IpAddr>,
    /// Its name and address came from DNSSEC-signed records that validated.
    pub dns_secure: bool,
}

/// Says what protection is demanded on the way to a host. Asked for every host
/// of every attempt, since Force Encrypt entries may name the addresses of mail
/// exchangers; so it answers from memory.
///
/// A closure will do.
pub trait Demander: Send + Sync {
    /// The demands, each with its source.
    fn demands(&self, approach: &Approach<'_>) -> Demands;
}

impl<F: Fn(&Approach<'_>) -> Demands + Send + Sync> Demander for F {
    fn demands(&self, approach: &Approach<'_>) -> Demands {
        self(approach)
    }
}
