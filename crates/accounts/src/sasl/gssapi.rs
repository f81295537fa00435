//! GSSAPI (RFC 4752): a Kerberos ticket, and that nothing is wrapped after it.
//!
//! ```text
//!            token            empty                 choice
//!  Opening ───────▶ Closing ─────────▶ Choosing ───────────▶ proved
//!   │  ▲ │ token, nothing to tell ─────────▲
//!   └──┘ more tokens
//! ```
//!
//! Only "no security layer" is offered: TLS protects the connection, and a rule says whether
//! GSSAPI is offered without it.

use super::{Exchange, Failure, Finding, Question, Step, conclude, text};
use crate::kerberos::{Context, TicketError};

/// A GSSAPI exchange: what to say is judged elsewhere, since a Kerberos library may block.
#[derive(Debug)]
pub(super) struct GssApi {
    state: Shell,
}

#[derive(Debug)]
enum Shell {
    Begun,
    Asked,
    Waiting(Box<Negotiation>),
    Over,
}

impl GssApi {
    pub(super) fn new() -> Self {
        Self { state: Shell::Begun }
    }

    fn ask(&mut self, negotiation: Option<Box<Negotiation>>, response: &[u8]) -> Step {
        if response.len() > super::RESPONSE_MAX_OCTETS {
            return Step::Failed(Failure::TooLong);
        }
        self.state = Shell::Asked;
        Step::Ask(Question::Ticket { negotiation, response: response.to_vec() })
    }
}

impl Exchange for GssApi {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        match (std::mem::replace(&mut self.state, Shell::Over), response) {
            (Shell::Begun, None) => {
                self.state = Shell::Begun;
                Step::Challenge(Vec::new())
            }
            (Shell::Begun, Some(token)) => self.ask(None, token),
            (Shell::Waiting(negotiation), Some(response)) => self.ask(Some(negotiation), response),
            (Shell::Waiting(_) | Shell::Asked | Shell::Over, _) => Step::Failed(Failure::Malformed),
        }
    }

    fn answer(&mut self, finding: Finding) -> Step {
        match (std::mem::replace(&mut self.state, Shell::Over), finding) {
            (Shell::Asked, Finding::Ticket { negotiation, challenge }) => {
                self.state = Shell::Waiting(negotiation);
                Step::Challenge(challenge)
            }
            (Shell::Asked, finding) => conclude(finding),
            (Shell::Begun | Shell::Waiting(_) | Shell::Over, _) => Step::Failed(Failure::Malformed),
        }
    }
}

/// The server's side of one exchange. A step of it may block.
#[derive(Debug)]
pub struct Negotiation {
    context: Box<dyn Context>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The context is not complete; so many pieces came.
    Opening(usize),
    /// It is complete, and the client got the last piece.
    Closing,
    /// The client was told that there is no security layer.
    Choosing,
    Over,
}

/// What follows from a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The client is to get this.
    Challenge(Vec<u8>),
    /// The client is this principal.
    Proved {
        principal: String,
        /// Whom it wants to act as, where it is not itself by a shorter name.
        act_as: Option<String>,
    },
}

impl Negotiation {
    pub(crate) fn new(context: Box<dyn Context>) -> Self {
        Self { context, state: State::Opening(0) }
    }

    pub(crate) fn step(&mut self, response: &[u8]) -> Result<Next, Failure> {
        match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Opening(pieces), token) if pieces < PIECES_MAX => self.open(pieces, token),
            (State::Closing, b"") => self.offer(),
            (State::Choosing, choice) => self.choice(choice),
            (State::Opening(_) | State::Closing | State::Over, _) => Err(Failure::Malformed),
        }
    }

    fn open(&mut self, pieces: usize, token: &[u8]) -> Result<Next, Failure> {
        let established = self.context.step(token).map_err(|error| refused(&error))?;
        if established.complete && established.token.is_empty() {
            return self.offer();
        }
        self.state = if established.complete { State::Closing } else { State::Opening(pieces + 1) };
        Ok(Next::Challenge(established.token))
    }

    /// No security layer, and so no buffer for one.
    fn offer(&mut self) -> Result<Next, Failure> {
        let offer = self.context.wrap(&[NO_LAYER, 0, 0, 0]).map_err(|error| refused(&error))?;
        self.state = State::Choosing;
        Ok(Next::Challenge(offer))
    }

    fn choice(&mut self, wrapped: &[u8]) -> Result<Next, Failure> {
        let choice = self.context.unwrap(wrapped).map_err(|error| refused(&error))?;
        // Anything but what was offered, or a buffer without a layer, is refused.
        let act_as = choice.strip_prefix(&[NO_LAYER, 0, 0, 0]).ok_or(Failure::Malformed)?;
        let act_as = match text::utf8(act_as)? {
            "" => None,
            name => Some(text::user(name)?),
        };
        let principal = self.context.principal().map_err(|error| refused(&error))?;
        let itself = |name: &String| {
            *name == principal || principal.split('@').next() == Some(name.as_str())
        };
        Ok(Next::Proved { act_as: act_as.filter(|name| !itself(name)), principal })
    }
}

/// What the client hears; the log hears why.
pub(crate) fn refused(error: &TicketError) -> Failure {
    match error {
        TicketError::Refused(_) => {
            tracing::info!(%error, "a Kerberos ticket opens nothing");
            Failure::BadToken
        }
        TicketError::Unavailable(_) => {
            tracing::warn!(%error, "a Kerberos ticket could not be judged");
            Failure::Unavailable
        }
    }
}

/// Pieces that a client may send before its context is complete; Kerberos needs one.
const PIECES_MAX: usize = 8;
/// The bit of "no security layer" (RFC 4752 section 3.3).
const NO_LAYER: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kerberos::tests::kerberos;

    fn negotiation(mutual: bool) -> Negotiation {
        Negotiation::new(kerberos(mutual, "ann@MAIL.TEST").acceptor.accept().unwrap())
    }

    fn challenge(octets: &[u8]) -> Next {
        Next::Challenge(octets.to_vec())
    }

    #[test]
    fn a_ticket_and_no_layer_prove_the_principal() {
        for (chosen, act_as) in [
            (&b"[\x01\0\0\0]"[..], None),
            (b"[\x01\0\0\0ann]", None),
            (b"[\x01\0\0\0ann@MAIL.TEST]", None),
            (b"[\x01\0\0\0bob@mail.test]", Some("bob@mail.test".to_owned())),
        ] {
            let mut mutual = negotiation(true);
            assert_eq!(mutual.step(b"ticket"), Ok(challenge(b"me too")));
            assert_eq!(mutual.step(b""), Ok(challenge(b"[\x01\0\0\0]")));
            let principal = "ann@MAIL.TEST".to_owned();
            assert_eq!(mutual.step(chosen), Ok(Next::Proved { principal, act_as }));
            assert_eq!(mutual.step(chosen), Err(Failure::Malformed), "it is over");
        }
        let mut one_sided = negotiation(false);
        assert_eq!(one_sided.step(b"ticket"), Ok(challenge(b"[\x01\0\0\0]")));
    }

    #[test]
    fn what_was_not_offered_cannot_be_chosen() {
        for chosen in [
            &b"[\x02\0\0\0]"[..],
            b"[\x04\xff\xff\xff]",
            b"[\x03\0\0\0]",
            b"[\x01\0\x10\0]",
            b"[\x01\0\0]",
            b"[]",
            b"[\x01\0\0\0a\0b]",
            b"[\x01\0\0\0\xff]",
        ] {
            let mut negotiation = negotiation(false);
            negotiation.step(b"ticket").unwrap();
            assert_eq!(negotiation.step(chosen), Err(Failure::Malformed), "{chosen:?}");
        }
        let mut unprotected = negotiation(false);
        unprotected.step(b"ticket").unwrap();
        assert_eq!(unprotected.step(b"\x01\0\0\0"), Err(Failure::BadToken));
    }

    #[test]
    fn forged_tickets_endless_pieces_and_early_choices_are_refused() {
        assert_eq!(negotiation(true).step(b"forged"), Err(Failure::BadToken));
        let mut endless = negotiation(true);
        for _ in 0..PIECES_MAX {
            assert_eq!(endless.step(b"more"), Ok(challenge(b"go on")));
        }
        assert_eq!(endless.step(b"more"), Err(Failure::Malformed));
        let mut early = negotiation(true);
        early.step(b"ticket").unwrap();
        assert_eq!(early.step(b"[\x01\0\0\0]"), Err(Failure::Malformed));
    }

    #[test]
    fn the_exchange_hands_each_response_on() {
        let mut exchange = GssApi::new();
        assert!(matches!(exchange.step(None), Step::Challenge(empty) if empty.is_empty()));
        let step = exchange.step(Some(b"ticket"));
        assert!(matches!(step, Step::Ask(Question::Ticket { negotiation: None, .. })));
        let negotiation = Box::new(negotiation(true));
        let told = exchange.answer(Finding::Ticket { negotiation, challenge: b"x".to_vec() });
        assert!(matches!(told, Step::Challenge(told) if told == b"x"));
        let step = exchange.step(Some(b""));
        assert!(matches!(step, Step::Ask(Question::Ticket { negotiation: Some(_), .. })));
        let failed = exchange.answer(Finding::Refused(Failure::BadToken));
        assert!(matches!(failed, Step::Failed(Failure::BadToken)));
        let mut long = GssApi::new();
        let step = long.step(Some(&vec![0; super::super::RESPONSE_MAX_OCTETS + 1]));
        assert!(matches!(step, Step::Failed(Failure::TooLong)));
    }
}
