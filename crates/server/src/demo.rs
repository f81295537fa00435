//! The demo: a whole mail server with partners of its own, on loopback alone.
//!
//! [`Demo::start`] starts the lab's DNS and partners and, beside them, an ordinary server
//! on an ordinary configuration. [`stories::tell`] then plays real mail against it, over
//! sockets alone: SMTP for mail, the control socket for what an operator sees, and the
//! [`witness`] for what the partners received. So it makes no difference whether the
//! server runs in the same process or was started before by `mailkeep serve`.
//!
//! Nothing here connects beyond loopback, and neither does the server: it is started with
//! [`delivery::Egress::LoopbackOnly`].

mod client;
mod configuration;
mod mailbox;
mod operator;
pub mod page;
mod place;
mod ports;
mod reply;
mod start;
pub mod stories;
mod witness;

pub mod banner;

use std::path::PathBuf;

use clap::Args;

pub use operator::Operator;
pub use place::Place;
pub use ports::Ports;
pub use start::Demo;

/// Where the demo listens.
#[derive(Args, Clone, Debug)]
#[group(id = "demo-server")]
pub struct Options {
    /// Demo: the port of smtp; smtps is 60 below it, submission 62 above it; 0 is any free ports
    #[arg(long, value_name = "PORT", default_value = "2525")]
    pub port_base: Ports,
}

/// Where the demo keeps its data when nobody names a folder.
pub fn data_default() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    folder("XDG_DATA_HOME")
        .filter(|folder| folder.is_absolute())
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(std::env::temp_dir)
        .join("mailkeep/demo")
}
