//! Kerberos tickets in place of passwords: what the mechanism GSSAPI (RFC 4752) asks of a
//! Kerberos library, and which account a principal opens.
//!
//! The library is one of the system and only in builds with the feature `gssapi`
//! (`kerberos::Library`); what is said to the client is in [`sasl`](crate::sasl) and needs
//! none to be tested.

#[cfg(feature = "gssapi")]
mod library;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mail::{Address, Domain};

#[cfg(feature = "gssapi")]
pub use library::Library;

/// Pieces of tickets that are judged at a time: the library reads files and waits for discs.
pub const TICKETS_AT_A_TIME: usize = 4;
/// How long a client waits for the library's answer to one piece.
pub const TICKET_MAX: Duration = Duration::from_secs(10);

/// Which tickets open which accounts.
#[derive(Debug, Clone)]
pub struct Kerberos {
    /// Who judges tickets.
    pub acceptor: Arc<dyn Acceptor>,
    /// The realm whose principals have accounts. Those of realms that it trusts have none.
    pub realm: String,
    /// Where their accounts are.
    pub domain: Domain,
}

impl Kerberos {
    /// The address of a principal such as `ann@REALM`. Services, hosts and principals of other
    /// realms have none.
    pub fn address_of(&self, principal: &str) -> Option<Address> {
        let (name, realm) = principal.split_once('@')?;
        let plain = |c: char| !matches!(c, '/' | '\\' | '@') && !c.is_control();
        let ours = realm == self.realm && !name.is_empty() && name.chars().all(plain);
        Address::parse(&format!("{name}@{}", self.domain)).ok().filter(|_| ours)
    }
}

/// Judges tickets for one service. Every call may block.
pub trait Acceptor: fmt::Debug + Send + Sync {
    /// Begins with another client.
    ///
    /// # Errors
    ///
    /// [`TicketError::Unavailable`] when the service's own key cannot be read.
    fn accept(&self) -> Result<Box<dyn Context>, TicketError>;
}

/// A security context with one client (RFC 2743 section 1.1.3). Every call may block.
pub trait Context: fmt::Debug + Send + Sync {
    /// Takes a piece of the client's; gives whether the context is complete, and what the
    /// client is to get.
    ///
    /// # Errors
    ///
    /// [`TicketError::Refused`]: forged, expired, replayed, for another service, or no ticket.
    fn step(&mut self, token: &[u8]) -> Result<Established, TicketError>;

    /// `message`, protected against change.
    ///
    /// # Errors
    ///
    /// [`TicketError::Refused`] when the context has ended.
    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, TicketError>;

    /// What the client has protected.
    ///
    /// # Errors
    ///
    /// [`TicketError::Refused`] when it is not the client's.
    fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, TicketError>;

    /// The client's principal, once the context is complete.
    ///
    /// # Errors
    ///
    /// [`TicketError::Refused`] when it cannot be told.
    fn principal(&mut self) -> Result<String, TicketError>;
}

/// How far a context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// Nothing more is needed of the client.
    pub complete: bool,
    /// What the client is to get; empty for nothing.
    pub token: Vec<u8>,
}

/// Why a ticket opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It is not valid here.
    #[error("the ticket is refused: {0}")]
    Refused(String),
    /// It could not be judged.
    #[error("tickets cannot be judged: {0}")]
    Unavailable(String),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A library that believes everything but the word `forged`, and protects by brackets.
    #[derive(Debug)]
    pub(crate) struct Believer {
        /// Whether the client is to get something at the end.
        pub mutual: bool,
        pub principal: &'static str,
    }

    #[derive(Debug)]
    struct Belief {
        mutual: bool,
        principal: &'static str,
    }

    impl Acceptor for Believer {
        fn accept(&self) -> Result<Box<dyn Context>, TicketError> {
            Ok(Box::new(Belief { mutual: self.mutual, principal: self.principal }))
        }
    }

    impl Context for Belief {
        fn step(&mut self, token: &[u8]) -> Result<Established, TicketError> {
            match token {
                b"forged" => Err(TicketError::Refused("forged".to_owned())),
                b"more" => Ok(Established { complete: false, token: b"go on".to_vec() }),
                _ if self.mutual => Ok(Established { complete: true, token: b"me too".to_vec() }),
                _ => Ok(Established { complete: true, token: Vec::new() }),
            }
        }

        fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, TicketError> {
            Ok([b"[", message, b"]"].concat())
        }

        fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, TicketError> {
            let inner = message.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
            inner.map(<[u8]>::to_vec).ok_or(TicketError::Refused("no brackets".to_owned()))
        }

        fn principal(&mut self) -> Result<String, TicketError> {
            Ok(self.principal.to_owned())
        }
    }

    pub(crate) fn kerberos(mutual: bool, principal: &'static str) -> Kerberos {
        let acceptor = Arc::new(Believer { mutual, principal });
        let domain = Domain::parse("mail.test").unwrap();
        Kerberos { acceptor, realm: "MAIL.TEST".to_owned(), domain }
    }

    #[test]
    fn only_people_of_the_realm_have_an_address() {
        let kerberos = kerberos(true, "ann@MAIL.TEST");
        let address = kerberos.address_of("ann@MAIL.TEST").map(|address| address.to_string());
        assert_eq!(address.as_deref(), Some("ann@mail.test"));
        for none in [
            "ann@OTHER.TEST",
            "ann@mail.test",
            "ann@MAIL.TEST@OTHER.TEST",
            "ann/admin@MAIL.TEST",
            "host/mail.test@MAIL.TEST",
            "ann\\@x@MAIL.TEST",
            "@MAIL.TEST",
            "ann",
            "",
        ] {
            assert_eq!(kerberos.address_of(none), None, "{none}");
        }
    }
}
