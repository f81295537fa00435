//! The only door to sending: a connection that met what was demanded.

use crate::demand::Demands;
use crate::observed::{Handshake, Observed, Plaintext};
use crate::verdict::{Outcome, Verdict, judge};

/// A connection and what was seen of it. Nothing may be sent over it but EHLO,
/// AUTH to the peer it proved to be, RSET and QUIT.
#[derive(Debug)]
pub struct Connected<S> {
    stream: S,
    observed: Observed,
}

/// A connection that met its demands. Only [`Connected::admit`] makes one, and
/// only a `Ready` sends an envelope.
///
/// ```
/// use tls::{Connected, Demands, Plaintext, Requirement};
///
/// let demands = Demands::by_default(Requirement::encrypted());
/// let connected = Connected::in_clear("socket", Plaintext::NotOffered);
/// let refused = connected.admit(&demands).unwrap_err();
/// assert_eq!(
///     refused.verdict.to_string(),
///     "Encrypted, by default; not met: the peer does not offer STARTTLS"
/// );
/// ```
///
/// There is no other way to one:
///
/// ```compile_fail,E0451
/// fn forge(verdict: tls::Verdict) -> tls::Ready<()> {
///     tls::Ready { stream: (), verdict }
/// }
/// ```
#[derive(Debug)]
pub struct Ready<S> {
    stream: S,
    verdict: Verdict,
}

/// A connection that did not meet its demands, with the verdict that says why.
#[derive(Debug)]
pub struct Refused<S> {
    /// The connection, for a QUIT.
    pub connected: Connected<S>,
    /// Why; never [`Outcome::Met`].
    pub verdict: Box<Verdict>,
}

impl<S> Connected<S> {
    /// A connection in the clear.
    pub fn in_clear(stream: S, why: Plaintext) -> Self {
        Self { stream, observed: Observed::Plaintext(why) }
    }

    /// A connection with a completed handshake.
    pub fn encrypted(stream: S, handshake: Handshake) -> Self {
        Self { stream, observed: Observed::Encrypted(Box::new(handshake)) }
    }

    /// Something on this server: a mailbox or a pipe.
    pub fn local(stream: S) -> Self {
        Self { stream, observed: Observed::Local }
    }

    /// What was seen.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The stream, for what comes before an envelope.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Gives the stream back; it can then no longer be admitted.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// Sets what was seen against what is demanded.
    ///
    /// # Errors
    ///
    /// [`Refused`] holds the connection and the verdict; the caller says QUIT, tries
    /// the next host, and then tells the sender or waits as the verdict says.
    pub fn admit(self, demands: &Demands) -> Result<Ready<S>, Refused<S>> {
        let verdict = judge(demands, &self.observed);
        match verdict.outcome {
            Outcome::Met => Ok(Ready { stream: self.stream, verdict }),
            Outcome::NotMet(_) => Err(Refused { connected: self, verdict: Box::new(verdict) }),
        }
    }
}

impl<S> Ready<S> {
    /// Why it may be used.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The stream to send over.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Ends the permission and gives the stream back with its verdict.
    pub fn into_parts(self) -> (S, Verdict) {
        (self.stream, self.verdict)
    }

    /// Sets the same connection against the demands of the next message, for reuse.
    ///
    /// # Errors
    ///
    /// As [`Connected::admit`].
    pub fn readmit(self, demands: &Demands) -> Result<Self, Refused<S>> {
        Connected { stream: self.stream, observed: self.verdict.observed }.admit(demands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirement::Requirement;

    #[test]
    fn a_connection_in_the_clear_is_ready_only_where_nothing_forbids_it() {
        let connected = Connected::in_clear(7, Plaintext::NotOffered);
        let lax = Demands::by_default(Requirement::opportunistic());
        let ready = connected.admit(&lax).unwrap();
        let strict = Demands::by_default(Requirement::encrypted());
        let mut refused = ready.readmit(&strict).unwrap_err();
        assert_eq!(*refused.connected.stream_mut(), 7);
        assert_ne!(refused.verdict.outcome, Outcome::Met);
    }
}
