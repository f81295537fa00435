//! SCRAM-SHA-1 and SCRAM-SHA-256, each with its -PLUS form (RFC 5802, RFC 7677), bound to the
//! channel by `tls-exporter` (RFC 9266).
//!
//! ```text
//!         client-first          keys              client-final          outcome       ""
//!  Begun ─────────────▶ Asked ────────▶ Challenged ───────────▶ Judged ────────▶ Told ──▶ done
//!                                server-first                         server-final
//! ```

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Channel, Exchange, Failure, Finding, Proved, Question, Step, nonce, text, went};
use crate::password::{ScramHash, ScramRing, Which};
use crate::sign_in::Authenticated;

/// A SCRAM exchange.
pub(super) struct Scram {
    hash: ScramHash,
    binding: Binding,
    nonce: Option<String>,
    state: State,
}

/// What this side can do about channel binding.
enum Binding {
    /// This is the -PLUS form, and these octets prove the channel.
    Demanded([u8; 32]),
    /// This is the form without. A client that could bind, and believes that the server cannot,
    /// was lied to if the -PLUS form is offered.
    Without { plus_offered: bool },
}

enum State {
    Begun,
    Asked(Hello),
    Challenged { hello: Hello, keys: ScramRing, server_first: String, nonce: String },
    Judged { signature: Vec<u8> },
    Told(Authenticated),
    Over,
}

/// What the client-first message said.
struct Hello {
    /// `n,,` or the like, as it came: it comes back under base64.
    gs2: String,
    act_as: Option<String>,
    user: String,
    nonce: String,
    /// The message without the GS2 header.
    bare: String,
}

impl Scram {
    /// The form without channel binding.
    pub(super) fn new(hash: ScramHash, channel: &Channel) -> Self {
        let binding = Binding::Without { plus_offered: channel.plus_offered };
        Self { hash, binding, nonce: nonce(), state: State::Begun }
    }

    /// The -PLUS form; only a channel with an exporter can have it.
    pub(super) fn plus(hash: ScramHash, channel: &Channel) -> Option<Self> {
        let binding = Binding::Demanded(channel.exporter?);
        Some(Self { hash, binding, nonce: nonce(), state: State::Begun })
    }

    fn first(&mut self, response: &[u8]) -> Result<(State, Step), Failure> {
        let hello = Hello::read(text::utf8(response)?, &self.binding)?;
        let question = Question::Scram { user: hello.user.clone(), hash: self.hash };
        Ok((State::Asked(hello), Step::Ask(question)))
    }

    fn challenge(&mut self, hello: Hello, keys: ScramRing) -> Result<(State, Step), Failure> {
        let own = self.nonce.take().ok_or(Failure::Unavailable)?;
        let nonce = format!("{}{own}", hello.nonce);
        let (salt, iterations) = keys.salt().ok_or(Failure::Unavailable)?;
        let salt = BASE64_STANDARD.encode(salt);
        let server_first = format!("r={nonce},s={salt},i={iterations}");
        let step = Step::Challenge(server_first.clone().into_bytes());
        Ok((State::Challenged { hello, keys, server_first, nonce }, step))
    }

    fn last(
        &self,
        response: &[u8],
        hello: Hello,
        keys: &ScramRing,
        server_first: &str,
        nonce: &str,
    ) -> Result<(State, Step), Failure> {
        let message = text::utf8(response)?;
        let (unproven, proof) = message.rsplit_once(",p=").ok_or(Failure::Malformed)?;
        let proof = BASE64_STANDARD.decode(proof).map_err(|_| Failure::Malformed)?;
        let mut attributes = unproven.split(',');
        let bound = attributes.next().and_then(|part| part.strip_prefix("c="));
        let bound = bound.and_then(|text| BASE64_STANDARD.decode(text).ok());
        let bound = bound.ok_or(Failure::Malformed)?;
        let given = attributes.next().and_then(|part| part.strip_prefix("r="));
        let given = given.ok_or(Failure::Malformed)?;
        let extended = attributes.next().is_some_and(|part| part.starts_with("m="));
        // A nonce of another exchange is a replay.
        if given != nonce || extended {
            return Err(Failure::Malformed);
        }
        let mut expected = hello.gs2.clone().into_bytes();
        if let Binding::Demanded(exporter) = &self.binding {
            expected.extend_from_slice(exporter);
        }
        let signed = format!("{},{server_first},{unproven}", hello.bare);
        // Both are looked at in any case, so that they take the same time.
        let admitted = keys.admit(self.hash, signed.as_bytes(), &proof);
        let refused = match (bound == expected, admitted.is_some()) {
            (true, true) => None,
            (false, true) => Some(Failure::ChannelBinding),
            (true | false, false) => Some(Failure::WrongPassword),
        };
        // Who proves nothing gets no further.
        let (which, signature) = admitted.unwrap_or((Which::Account, Vec::new()));
        let Hello { user, act_as, .. } = hello;
        let proved = Proved { user, act_as, refused, by: self.hash.kept(), which };
        Ok((State::Judged { signature }, Step::Ask(Question::Proved(proved))))
    }
}

impl Exchange for Scram {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        let next = match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Begun, None) => Ok((State::Begun, Step::Challenge(Vec::new()))),
            (State::Begun, Some(response)) => self.first(response),
            (State::Challenged { hello, keys, server_first, nonce }, Some(response)) => {
                self.last(response, hello, &keys, &server_first, &nonce)
            }
            (State::Told(authenticated), Some(b"")) => Ok((State::Over, Step::Done(authenticated))),
            (
                State::Asked(_)
                | State::Challenged { .. }
                | State::Judged { .. }
                | State::Told(_)
                | State::Over,
                _,
            ) => Err(Failure::Malformed),
        };
        went(&mut self.state, next)
    }

    fn answer(&mut self, finding: Finding) -> Step {
        let next = match (std::mem::replace(&mut self.state, State::Over), finding) {
            (State::Asked(hello), Finding::Scram(keys)) => self.challenge(hello, keys),
            (State::Judged { signature }, Finding::Authenticated(authenticated)) => {
                let told = format!("v={}", BASE64_STANDARD.encode(signature));
                Ok((State::Told(authenticated), Step::Challenge(told.into_bytes())))
            }
            (_, Finding::Refused(failure)) => Err(failure),
            (
                State::Begun
                | State::Asked(_)
                | State::Challenged { .. }
                | State::Judged { .. }
                | State::Told(_)
                | State::Over,
                Finding::Authenticated(_)
                | Finding::Scram(_)
                | Finding::Cram(_)
                | Finding::Digest(_)
                | Finding::Ticket { .. },
            ) => Err(Failure::Malformed),
        };
        went(&mut self.state, next)
    }
}

impl Hello {
    fn read(message: &str, binding: &Binding) -> Result<Self, Failure> {
        let mut parts = message.splitn(3, ',');
        let (Some(flag), Some(act_as), Some(bare)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(Failure::Malformed);
        };
        match (binding, flag) {
            (Binding::Demanded(_), "p=tls-exporter")
            | (Binding::Without { .. }, "n")
            | (Binding::Without { plus_offered: false }, "y") => {}
            // RFC 5802 section 6: somebody took -PLUS out of what we offer.
            (Binding::Without { plus_offered: true }, "y") | (Binding::Demanded(_), _) => {
                return Err(Failure::ChannelBinding);
            }
            (Binding::Without { .. }, _) => return Err(Failure::Malformed),
        }
        let act_as = match act_as.strip_prefix("a=") {
            // GNU SASL writes this where nobody is named.
            Some("") => None,
            Some(name) => Some(text::user(&saslname(name)?)?),
            None if act_as.is_empty() => None,
            None => return Err(Failure::Malformed),
        };
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|part| part.strip_prefix("n="));
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r="));
        let (Some(user), Some(nonce)) = (user, nonce) else { return Err(Failure::Malformed) };
        let printable = |octet: u8| (0x21..=0x7e).contains(&octet);
        if nonce.is_empty() || nonce.len() > NONCE_MAX_OCTETS || !nonce.bytes().all(printable) {
            return Err(Failure::Malformed);
        }
        let user = text::user(&text::saslprep(&saslname(user)?)?)?;
        Ok(Self {
            gs2: message[..message.len() - bare.len()].to_owned(),
            act_as: act_as.filter(|name| *name != user),
            user,
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
        })
    }
}

/// `=2C` is a comma and `=3D` an equals sign; no other `=` may stand there.
fn saslname(text: &str) -> Result<String, Failure> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        name.push_str(before);
        name.push(match after.get(..2) {
            Some("2C") => ',',
            Some("3D") => '=',
            Some(_) | None => return Err(Failure::Malformed),
        });
        rest = &after[2..];
    }
    name.push_str(rest);
    Ok(name)
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Octets of a client's nonce.
const NONCE_MAX_OCTETS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::tests_keys::pencil;

    fn channel(exporter: Option<[u8; 32]>) -> Channel {
        Channel { exporter, plus_offered: exporter.is_some(), ..Channel::default() }
    }

    fn with_nonce(mut scram: Scram, nonce: &str) -> Scram {
        scram.nonce = Some(nonce.to_owned());
        scram
    }

    fn ring(hash: ScramHash) -> ScramRing {
        ScramRing::of([(Which::Account, pencil(hash))]).unwrap()
    }

    fn challenge(step: Step) -> String {
        match step {
            Step::Challenge(octets) => String::from_utf8(octets).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn failure(step: Step) -> Failure {
        match step {
            Step::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn proved(step: Step) -> Proved {
        match step {
            Step::Ask(Question::Proved(proved)) => proved,
            other => panic!("{other:?}"),
        }
    }

    /// One exchange up to its outcome.
    fn play(mut scram: Scram, first: &str, server_first: &str, last: &str) -> Step {
        let hash = scram.hash;
        let Step::Ask(Question::Scram { user, .. }) = scram.step(Some(first.as_bytes())) else {
            panic!("not asked for keys");
        };
        assert_eq!(user, "user");
        let told = challenge(scram.answer(Finding::Scram(ring(hash))));
        assert_eq!(told, server_first);
        scram.step(Some(last.as_bytes()))
    }

    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn sha256() -> Scram {
        let scram = Scram::new(ScramHash::Sha256, &channel(None));
        with_nonce(scram, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    }

    #[test]
    fn the_example_of_rfc_7677_succeeds() {
        let outcome = proved(play(sha256(), FIRST, SERVER_FIRST, LAST));
        assert_eq!((outcome.refused, outcome.user.as_str()), (None, "user"));
        let keys = pencil(ScramHash::Sha256);
        let signed =
            format!("{},{SERVER_FIRST},{}", &FIRST[3..], LAST.split(",p=").next().unwrap());
        let signature =
            BASE64_STANDARD.encode(keys.signature(ScramHash::Sha256, signed.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn the_example_of_rfc_5802_succeeds() {
        let scram = Scram::new(ScramHash::Sha1, &channel(None));
        let outcome = proved(play(
            with_nonce(scram, "3rfcNHYJY1ZVvWVs7j"),
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        ));
        assert_eq!(outcome.refused, None);
    }

    #[test]
    fn a_wrong_proof_is_a_wrong_password() {
        let last = LAST.replace("p=dHz", "p=eHz");
        let outcome = proved(play(sha256(), FIRST, SERVER_FIRST, &last));
        assert_eq!(outcome.refused, Some(Failure::WrongPassword));
        let short = format!("{},p=AAAA", LAST.split(",p=").next().unwrap());
        let outcome = proved(play(sha256(), FIRST, SERVER_FIRST, &short));
        assert_eq!(outcome.refused, Some(Failure::WrongPassword));
    }

    #[test]
    fn a_replayed_answer_is_refused() {
        let replayed = LAST.replace("hNlF$k0", "hNlF$k1");
        assert_eq!(failure(play(sha256(), FIRST, SERVER_FIRST, &replayed)), Failure::Malformed);
    }

    #[test]
    fn a_client_that_was_told_we_cannot_bind_is_protected() {
        let first = b"y,,n=user,r=abc";
        let mut offered = Scram::new(ScramHash::Sha256, &channel(Some([7; 32])));
        assert_eq!(failure(offered.step(Some(first))), Failure::ChannelBinding);
        let mut without = Scram::new(ScramHash::Sha256, &channel(None));
        assert!(matches!(without.step(Some(first)), Step::Ask(_)));
    }

    #[test]
    fn the_plus_form_wants_its_own_channel() {
        assert!(Scram::plus(ScramHash::Sha256, &channel(None)).is_none());
        for first in ["n,,n=user,r=abc", "y,,n=user,r=abc", "p=tls-unique,,n=user,r=abc"] {
            let mut plus = Scram::plus(ScramHash::Sha256, &channel(Some([7; 32]))).unwrap();
            assert_eq!(failure(plus.step(Some(first.as_bytes()))), Failure::ChannelBinding);
        }
        let mut plain = Scram::new(ScramHash::Sha256, &channel(Some([7; 32])));
        let first = b"p=tls-exporter,,n=user,r=abc";
        assert_eq!(failure(plain.step(Some(first))), Failure::Malformed);
    }

    #[test]
    fn a_proof_bound_to_another_channel_is_refused() {
        let first = "p=tls-exporter,,n=user,r=abc";
        let run = |bound: [u8; 32]| {
            let scram = Scram::plus(ScramHash::Sha256, &channel(Some([7; 32]))).unwrap();
            let hash = ScramHash::Sha256;
            let server_first = "r=abcxyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
            let header = [b"p=tls-exporter,,".to_vec(), bound.to_vec()].concat();
            let unproven = format!("c={},r=abcxyz", BASE64_STANDARD.encode(header));
            let signed = format!("n=user,r=abc,{server_first},{unproven}");
            let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
            let mut salted = [0; 32];
            let rounds = std::num::NonZeroU32::new(4096).unwrap();
            let algorithm = aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256;
            aws_lc_rs::pbkdf2::derive(algorithm, rounds, &salt, b"pencil", &mut salted);
            let client = hash.hmac(&salted, b"Client Key");
            let signature = hash.hmac(&hash.digest(&client), signed.as_bytes());
            let proof: Vec<u8> = client.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
            let last = format!("{unproven},p={}", BASE64_STANDARD.encode(proof));
            proved(play(with_nonce(scram, "xyz"), first, server_first, &last)).refused
        };
        assert_eq!(run([7; 32]), None);
        assert_eq!(run([8; 32]), Some(Failure::ChannelBinding));
    }

    #[test]
    fn malformed_messages_end_the_exchange() {
        for first in [
            "",
            "n",
            "n,,",
            "n,,n=user",
            "n,,r=abc,n=user",
            "n,,m=x,n=user,r=abc",
            "n,,n=us=er,r=abc",
            "n,,n=us=2,r=abc",
            "n,,n=,r=abc",
            "n,,n=user,r=",
            "n,b=x,n=user,r=abc",
            "x,,n=user,r=abc",
            "n,,n=us\u{e000}er\u{7},r=abc",
        ] {
            let mut scram = Scram::new(ScramHash::Sha256, &channel(None));
            assert_eq!(failure(scram.step(Some(first.as_bytes()))), Failure::Malformed, "{first}");
            assert_eq!(failure(scram.step(Some(FIRST.as_bytes()))), Failure::Malformed);
        }
        for last in ["", "c=biws", "c=biws,r=x,p=!", "c=!,r=x,p=AAAA", "r=x,c=biws,p=AAAA"] {
            assert_eq!(failure(play(sha256(), FIRST, SERVER_FIRST, last)), Failure::Malformed);
        }
    }

    #[test]
    fn commas_and_equals_signs_in_names_come_through() {
        assert_eq!(saslname("a=2Cb=3Dc").unwrap(), "a,b=c");
        assert_eq!(saslname("ann").unwrap(), "ann");
    }
}
