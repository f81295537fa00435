//! Listening sockets: who is let in, and how many at a time.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;
/// How long accepting pauses when the system has no room for another connection,
/// so that a full file table does not become a busy loop.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Opens a listening socket.
///
/// # Errors
///
/// When the address is taken, not ours, or needs a privilege.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Takes the next connection; waits out errors that pass.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // A reply is one write; it must not wait for the peer's acknowledgement.
                // A socket that cannot be told so is closed already.
                let _ = stream.set_nodelay(true);
                return (stream, SocketAddr::new(peer.ip().to_canonical(), peer.port()));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// The network that limits count together: IPv4 /24, IPv6 /56.
fn network_of(ip: IpAddr) -> IpNet {
    let prefix = match ip {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 56,
    };
    IpNet::new(ip, prefix).map_or_else(|_| IpNet::from(ip), |net| net.trunc())
}

/// How many connections are open on one listener, in all and by network.
#[derive(Default)]
pub struct Occupancy {
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: u32,
    by_network: HashMap<IpNet, u32>,
}

/// Which limit turned a connection away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowded {
    /// The listener's.
    Listener,
    /// The network's.
    Network,
}

/// One connection's place; dropping it gives the place back.
pub struct Place {
    occupancy: Arc<Occupancy>,
    network: IpNet,
}

impl Occupancy {
    /// Gives `ip` a place, unless a limit is reached. `None` is no limit.
    ///
    /// # Errors
    ///
    /// The limit that is reached.
    pub fn enter(
        self: &Arc<Self>,
        ip: IpAddr,
        limit: Option<u32>,
        network_limit: Option<u32>,
    ) -> Result<Place, Crowded> {
        let network = network_of(ip);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if limit.is_some_and(|limit| counts.all >= limit) {
            return Err(Crowded::Listener);
        }
        let here = counts.by_network.get(&network).copied().unwrap_or(0);
        if network_limit.is_some_and(|limit| here >= limit) {
            return Err(Crowded::Network);
        }
        counts.all += 1;
        counts.by_network.insert(network, here + 1);
        Ok(Place { occupancy: Arc::clone(self), network })
    }

    fn leave(&self, network: &IpNet) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(here) = counts.by_network.get_mut(network) {
            *here -= 1;
            if *here == 0 {
                counts.by_network.remove(network);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.occupancy.leave(&self.network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_counts_together_and_gives_places_back() {
        let occupancy = Arc::new(Occupancy::default());
        let enter = |ip: &str| occupancy.enter(ip.parse().unwrap(), Some(3), Some(2));
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("192.0.2.200").unwrap();
        assert_eq!(enter("192.0.2.3").err(), Some(Crowded::Network));
        let _third = enter("2001:db8::1").unwrap();
        assert_eq!(enter("198.51.100.1").err(), Some(Crowded::Listener));
        drop(first);
        assert!(enter("192.0.2.3").is_ok());
    }
}
