//! EXTERNAL (RFC 4422 appendix A): the client already proved itself in the TLS handshake.

use super::{
    Channel, ClientCertificate, Exchange, Failure, Finding, Question, Step, conclude, text,
};

/// An EXTERNAL exchange.
#[derive(Debug)]
pub(super) struct External {
    certificate: Option<ClientCertificate>,
    state: State,
}

#[derive(Debug)]
enum State {
    Begun,
    Asked,
    Over,
}

impl External {
    pub(super) fn new(channel: &Channel) -> Self {
        Self { certificate: channel.certificate.clone(), state: State::Begun }
    }
}

impl Exchange for External {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Begun, None) => {
                self.state = State::Begun;
                Step::Challenge(Vec::new())
            }
            (State::Begun, Some(response)) => {
                let act_as = match text::utf8(response) {
                    Ok("") => Ok(None),
                    Ok(name) => text::user(name).map(Some),
                    Err(failure) => Err(failure),
                };
                match (act_as, self.certificate.take()) {
                    (Ok(act_as), Some(certificate)) => {
                        self.state = State::Asked;
                        Step::Ask(Question::Certificate { certificate, act_as })
                    }
                    (Ok(_), None) => Step::Failed(Failure::NoCertificate),
                    (Err(failure), _) => Step::Failed(failure),
                }
            }
            (State::Asked | State::Over, _) => Step::Failed(Failure::Malformed),
        }
    }

    fn answer(&mut self, finding: Finding) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asked => conclude(finding),
            State::Begun | State::Over => Step::Failed(Failure::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Channel {
        let certificate = ClientCertificate {
            sha256: "ab".repeat(32),
            emails: vec!["ann@clinic.example".to_owned()],
            trusted: true,
        };
        Channel { certificate: Some(certificate), ..Channel::default() }
    }

    #[test]
    fn the_certificate_is_judged_and_the_client_may_name_itself() {
        let mut exchange = External::new(&channel());
        assert!(matches!(exchange.step(None), Step::Challenge(_)));
        let step = exchange.step(Some(b""));
        assert!(matches!(step, Step::Ask(Question::Certificate { act_as: None, .. })));
        let mut named = External::new(&channel());
        let Step::Ask(Question::Certificate { act_as, certificate }) =
            named.step(Some(b"ann@x.test"))
        else {
            panic!("not asked")
        };
        assert_eq!(act_as.as_deref(), Some("ann@x.test"));
        assert!(certificate.trusted);
    }

    #[test]
    fn without_a_certificate_there_is_nothing_to_judge() {
        let mut exchange = External::new(&Channel::default());
        assert!(matches!(exchange.step(Some(b"")), Step::Failed(Failure::NoCertificate)));
        let mut bad = External::new(&channel());
        assert!(matches!(bad.step(Some(b"a\0b")), Step::Failed(Failure::Malformed)));
    }
}
