//! The system's Kerberos library (RFC 2744, RFC 4121).

use std::fmt;
use std::sync::{Mutex, PoisonError};

use libgssapi::context::{SecurityContext as _, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet};

use super::{Acceptor, Context, Established, TicketError};

/// Judges tickets with the key that a keytab has for a service.
///
/// Which keytab, and where seen tickets are remembered against replay, is the library's own
/// configuration: `default_keytab_name` in `krb5.conf`, or `KRB5_KTNAME` and `KRB5RCACHEDIR`.
#[derive(Debug)]
pub struct Library {
    service: String,
}

impl Library {
    /// An acceptor for a service such as `smtp/mail.example.com`, with `@REALM` where it is not
    /// of the default realm.
    ///
    /// # Errors
    ///
    /// [`TicketError::Unavailable`] when the keytab has no key of that service.
    pub fn new(service: &str) -> Result<Self, TicketError> {
        let library = Self { service: service.to_owned() };
        library.key()?;
        Ok(library)
    }

    /// The service's key, read anew: keytabs change while we run.
    fn key(&self) -> Result<Cred, TicketError> {
        let read = || {
            let name = Name::new(self.service.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL))?;
            // Kerberos itself and nothing that is negotiated under its name.
            let kerberos = OidSet::singleton(GSS_MECH_KRB5)?;
            Cred::acquire(Some(&name), None, CredUsage::Accept, Some(&kerberos))
        };
        read().map_err(|error: libgssapi::error::Error| {
            TicketError::Unavailable(format!("{}: {error}", self.service))
        })
    }
}

impl Acceptor for Library {
    fn accept(&self) -> Result<Box<dyn Context>, TicketError> {
        let context = ServerCtx::new(Some(self.key()?));
        Ok(Box::new(Accepting { context: Mutex::new(context) }))
    }
}

/// A context of the library. It must not be used by two threads at a time, and through `&mut`
/// it is not; the lock says so to the compiler.
struct Accepting {
    context: Mutex<ServerCtx>,
}

impl Accepting {
    fn context(&mut self) -> &mut ServerCtx {
        self.context.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context for Accepting {
    fn step(&mut self, token: &[u8]) -> Result<Established, TicketError> {
        let context = self.context();
        let answer = context.step(token, None).map_err(refused)?;
        let token = answer.map(|token| token.to_vec()).unwrap_or_default();
        Ok(Established { complete: context.is_complete(), token })
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, TicketError> {
        let wrapped = self.context().wrap(false, message).map_err(refused)?;
        Ok(wrapped.to_vec())
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, TicketError> {
        let inner = self.context().unwrap(message).map_err(refused)?;
        Ok(inner.to_vec())
    }

    fn principal(&mut self) -> Result<String, TicketError> {
        let name = self.context().source_name().map_err(refused)?;
        let shown = name.display_name().map_err(refused)?;
        String::from_utf8(shown.to_vec())
            .map_err(|_| TicketError::Refused("a principal that is not text".to_owned()))
    }
}

impl fmt::Debug for Accepting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepting").finish_non_exhaustive()
    }
}

fn refused(error: libgssapi::error::Error) -> TicketError {
    TicketError::Refused(error.to_string())
}
