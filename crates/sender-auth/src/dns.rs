//! The questions that are put to DNS, and the answers as mail needs them.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::Pin;

/// The types of record that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Texts.
    Txt,
    /// Names of an address, asked for under `in-addr.arpa` or `ip6.arpa`.
    Ptr,
}

/// One record of an answer. Only records of the type that was asked for are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A mail exchanger's preference and name, without the final dot; empty for the root.
    Mx(u16, String),
    /// The character-strings of a text, joined without anything between them.
    Txt(Vec<u8>),
    /// A name without the final dot.
    Ptr(String),
}

/// Why there is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// NXDOMAIN.
    #[error("the name does not exist")]
    NoSuchName,
    /// The name has no record of this type.
    #[error("the name has no such record")]
    NoRecords,
    /// No reliable answer: silence, a failure of the servers, an invalid signature. It may
    /// be otherwise later, and is never taken for "there is none".
    #[error("DNS gave no reliable answer: {0}")]
    Temporary(String),
}

/// An answer under way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Vec<Record>, Lack>> + Send + 'a>>;

/// Something that answers questions. Each answer must come in bounded time.
pub trait Dns: Send + Sync {
    /// The records of one type of `name`: labels between dots, without a final dot, of any
    /// printable characters. Never an empty list.
    fn ask<'a>(&'a self, name: &'a str, question: Question) -> Asking<'a>;
}

impl<T: Dns + ?Sized> Dns for &T {
    fn ask<'a>(&'a self, name: &'a str, question: Question) -> Asking<'a> {
        (**self).ask(name, question)
    }
}
