//! Scripted partners for tests that are not asynchronous.

use std::net::SocketAddr;
use std::time::Duration;

use lab::partner::Message;
use lab::{Authority, Dns, Partner, Records, Script};
use tokio::runtime::Runtime;

/// The lab's partners and name server, on a runtime of their own.
pub struct Lab {
    runtime: Runtime,
    /// Issues the good certificates.
    pub authority: Authority,
}

impl Lab {
    /// An empty lab.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let authority = Authority::new("Test authority").expect("an authority");
        Self { runtime, authority }
    }

    /// A certificate that the lab's authority issued.
    pub fn identity(&self, name: &str) -> lab::Identity {
        self.authority.issue(&[name]).expect("a certificate")
    }

    /// A partner on any port of 127.0.0.1.
    pub fn partner(&self, script: Script) -> Partner {
        self.runtime.block_on(Partner::start_anywhere(script)).expect("a partner")
    }

    /// A partner at this address.
    pub fn partner_at(&self, address: SocketAddr, script: Script) -> Partner {
        self.runtime.block_on(Partner::start(address, script)).expect("a partner")
    }

    /// A name server.
    pub fn dns(&self, records: Records) -> Dns {
        self.runtime.block_on(Dns::start(([127, 0, 0, 1], 0).into(), records)).expect("DNS")
    }

    /// Waits until a partner has taken `count` messages.
    pub fn wait_for(&self, partner: &Partner, count: usize) -> Vec<Message> {
        self.runtime
            .block_on(partner.wait_for(count, Duration::from_secs(30)))
            .unwrap_or_else(|waited| panic!("{waited}"))
    }
}
