//! Gateways that fax by T.38.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::Target;
use crate::located::Located;

/// `fax-gateway NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct FaxGateway {
    /// Its name.
    pub name: Located<String>,
    /// Where it is; port 5060 unless said.
    pub server: Located<Target>,
    /// Our own address towards it.
    pub listen: Located<SocketAddr>,
    /// The host in the addresses that are called; `None` for that of the server.
    pub domain: Option<String>,
    /// Ports for the packets of calls.
    pub media_ports: RangeInclusive<u16>,
    /// Addresses beside the server's that may call.
    pub peers: Vec<IpAddr>,
    /// The name of what to sign in with.
    pub credentials: Option<String>,
    /// The most calls at a time.
    pub calls: usize,
    /// Whether packets go out as fast as a telephone line takes them, and no faster.
    pub is_paced: bool,
}
