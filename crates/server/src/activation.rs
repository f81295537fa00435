//! Sockets that were opened before this process began, by systemd or another supervisor
//! (`LISTEN_FDS`, sd_listen_fds(3)). Connections made while the server restarts wait in them.

use std::net::SocketAddr;

use listenfd::ListenFd;
use tokio::net::TcpListener;

/// Sockets that were handed over and that no listener has taken yet.
#[derive(Default)]
pub struct Inherited(Vec<std::net::TcpListener>);

impl Inherited {
    /// Those of this process. What is handed over and is no TCP socket that listens is left
    /// alone, with a word in the log.
    pub fn take() -> Self {
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for place in 0..given.len().min(SOCKETS_MAX) {
            match given.take_tcp_listener(place) {
                Ok(Some(socket)) => sockets.push(socket),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(place, %error, "a socket that was handed over is not used");
                }
            }
        }
        Self(sockets)
    }

    /// The socket that listens at `address`, if there is one.
    ///
    /// # Errors
    ///
    /// When the system does not let it be used.
    pub fn at(&mut self, address: SocketAddr) -> std::io::Result<Option<TcpListener>> {
        let here = |socket: &std::net::TcpListener| {
            socket.local_addr().is_ok_and(|local| local == address)
        };
        let Some(place) = self.0.iter().position(here) else { return Ok(None) };
        let socket = self.0.swap_remove(place);
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket).map(Some)
    }

    /// Closes what no listener has taken, and says so: nobody would answer there.
    pub fn close(self) {
        for socket in self.0 {
            let address = socket.local_addr().map_or_else(|_| "?".to_owned(), |a| a.to_string());
            tracing::warn!(address, "a socket was handed over that no listener has; it is closed");
        }
    }
}

/// The most sockets that are taken.
const SOCKETS_MAX: usize = 1_024;
