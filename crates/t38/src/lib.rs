//! Fax over the network: T.38.
//!
//! A call has three parts. [`sip`] calls and is called; [`sdp`] is what both sides say of the
//! media; [`media`] carries the packets, in datagrams that [`udptl`] reads and writes, between
//! the network and the fax machine of [`engine`]. That machine is libspandsp's, C code that
//! reads what strangers send: it runs in a process that has neither files nor sockets.

pub mod engine;
pub mod media;
pub mod sdp;
pub mod sip;
pub mod udptl;
