//! DIGEST-MD5 (RFC 2831), for authentication alone (`qop=auth`). RFC 6331 made it historic; it
//! is here for the devices that know nothing better.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq as _;

use super::{Channel, Exchange, Failure, Finding, Proved, Question, Step, md5, nonce, text, went};
use crate::password::{DigestKey, Kept, Which};
use crate::sign_in::Authenticated;

/// A DIGEST-MD5 exchange.
#[derive(Debug)]
pub(super) struct DigestMd5 {
    realm: String,
    service: &'static str,
    nonce: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Begun,
    Challenged,
    Asked(Response),
    Judged { proof: String },
    Told(Authenticated),
    Over,
}

/// What the client answered.
#[derive(Debug)]
struct Response {
    user: String,
    act_as: Option<String>,
    cnonce: String,
    uri: String,
    digest: String,
}

impl DigestMd5 {
    pub(super) fn new(channel: &Channel) -> Self {
        let Channel { realm, service, .. } = channel;
        Self { realm: realm.clone(), service, nonce: nonce(), state: State::Begun }
    }

    fn challenge(&self) -> Result<Vec<u8>, Failure> {
        let nonce = self.nonce.as_ref().ok_or(Failure::Unavailable)?;
        let realm = &self.realm;
        let challenge = format!(
            "realm=\"{realm}\",nonce=\"{nonce}\",qop=\"auth\",charset=utf-8,algorithm=md5-sess"
        );
        Ok(challenge.into_bytes())
    }

    fn read(&self, response: &[u8]) -> Result<Response, Failure> {
        let given = directives(text::utf8(response)?)?;
        let value = |name: &str| given.get(name).map(String::as_str);
        let must = |name: &str| value(name).ok_or(Failure::Malformed);
        let uri = must("digest-uri")?;
        let (service, _) = uri.split_once('/').ok_or(Failure::Malformed)?;
        // The nonce is ours and new, and used once: so `nc` can be nothing but 1.
        let sound = value("nonce") == self.nonce.as_deref()
            && must("nc")? == "00000001"
            && value("qop").is_none_or(|qop| qop == "auth")
            && value("realm").unwrap_or_default() == self.realm
            && value("charset").is_none_or(|charset| charset == "utf-8")
            && service.eq_ignore_ascii_case(self.service);
        let (cnonce, digest) = (must("cnonce")?, must("response")?);
        let is_digest = digest.len() == 32 && digest.bytes().all(|c| c.is_ascii_hexdigit());
        if !sound || cnonce.is_empty() || !is_digest {
            return Err(Failure::Malformed);
        }
        Ok(Response {
            user: text::user(must("username")?)?,
            act_as: value("authzid").map(text::user).transpose()?,
            cnonce: cnonce.to_owned(),
            uri: uri.to_owned(),
            digest: digest.to_ascii_lowercase(),
        })
    }

    /// What the client should have answered, and what proves to it that we know the key.
    fn digests(&self, given: &Response, key: &DigestKey) -> (String, String) {
        let nonce = self.nonce.as_deref().unwrap_or_default();
        let mut first = key.octets().to_vec();
        first.extend_from_slice(format!(":{nonce}:{}", given.cnonce).as_bytes());
        if let Some(act_as) = &given.act_as {
            first.extend_from_slice(format!(":{act_as}").as_bytes());
        }
        let first = md5::hex(&md5::digest(&first));
        let over = |method: &str| {
            let second = md5::hex(&md5::digest(format!("{method}:{}", given.uri).as_bytes()));
            let whole = format!("{first}:{nonce}:00000001:{}:auth:{second}", given.cnonce);
            md5::hex(&md5::digest(whole.as_bytes()))
        };
        (over("AUTHENTICATE"), over(""))
    }
}

impl Exchange for DigestMd5 {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        let next = match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Begun, None) => {
                self.challenge().map(|challenge| (State::Challenged, Step::Challenge(challenge)))
            }
            (State::Challenged, Some(response)) => self.read(response).map(|given| {
                let question = Question::Digest { user: given.user.clone() };
                (State::Asked(given), Step::Ask(question))
            }),
            (State::Told(authenticated), Some(b"")) => Ok((State::Over, Step::Done(authenticated))),
            // An initial response would be a reauthentication, and no nonce of ours is used twice.
            (
                State::Begun
                | State::Challenged
                | State::Asked(_)
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
            (State::Asked(given), Finding::Digest(key)) => {
                let usable = key.filter(|key| key.realm == self.realm);
                let digests = usable.map(|key| self.digests(&given, &key));
                let right = digests.as_ref().is_some_and(|(expected, _)| {
                    expected.as_bytes().ct_eq(given.digest.as_bytes()).into()
                });
                let refused = (!right).then_some(Failure::WrongPassword);
                let Response { user, act_as, .. } = given;
                let act_as = act_as.filter(|name| *name != user);
                let proof = digests.map(|(_, proof)| proof).unwrap_or_default();
                let by = Kept::DigestMd5;
                let which = Which::Account;
                let question = Question::Proved(Proved { user, act_as, refused, by, which });
                Ok((State::Judged { proof }, Step::Ask(question)))
            }
            (State::Judged { proof }, Finding::Authenticated(authenticated)) => {
                let told = Step::Challenge(format!("rspauth={proof}").into_bytes());
                Ok((State::Told(authenticated), told))
            }
            (_, Finding::Refused(failure)) => Err(failure),
            (
                State::Begun
                | State::Challenged
                | State::Asked(_)
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

/// `name=value` and `name="value"`, apart by commas; none twice, at most [`DIRECTIVES_MAX`].
fn directives(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(Failure::Malformed)?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim_end().to_owned(), &after[end..])
            }
        };
        let name = name.trim().to_ascii_lowercase();
        if found.len() >= DIRECTIVES_MAX || found.insert(name, value).is_some() {
            return Err(Failure::Malformed);
        }
        let next = after.trim_start_matches([' ', '\t']);
        if !next.is_empty() && !next.starts_with(',') {
            return Err(Failure::Malformed);
        }
        rest = next.trim_start_matches([' ', '\t', ',']);
    }
    Ok(found)
}

/// The value up to its closing quote, and what follows that.
fn quoted_value(text: &str) -> Result<(String, &str), Failure> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(chars.next().ok_or(Failure::Malformed)?.1),
            other => value.push(other),
        }
    }
    Err(Failure::Malformed)
}

/// Directives of one response.
const DIRECTIVES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Password;

    /// The example of RFC 2831 section 4, whose service is IMAP.
    fn example() -> DigestMd5 {
        DigestMd5 {
            realm: "elwood.innosoft.com".to_owned(),
            service: "imap",
            nonce: Some("OA6MG9tEQGm2hh".to_owned()),
            state: State::Begun,
        }
    }

    const RESPONSE: &str = "charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",\
        nonce=\"OA6MG9tEQGm2hh\",nc=00000001,cnonce=\"OA6MHXh6VqTrRk\",\
        digest-uri=\"imap/elwood.innosoft.com\",response=d388dad90d4bbd760a152321f2143af7,qop=auth";

    fn key() -> DigestKey {
        let password = Password::prepare("secret").unwrap();
        DigestKey::new("chris", "elwood.innosoft.com", &password).unwrap()
    }

    fn outcome(
        response: &str,
        key: Option<DigestKey>,
    ) -> Result<(Option<Failure>, String), Failure> {
        let mut exchange = example();
        assert!(matches!(exchange.step(None), Step::Challenge(_)));
        match exchange.step(Some(response.as_bytes())) {
            Step::Ask(Question::Digest { .. }) => {}
            Step::Failed(failure) => return Err(failure),
            other => panic!("{other:?}"),
        }
        let Step::Ask(Question::Proved(proved)) = exchange.answer(Finding::Digest(key)) else {
            panic!("not asked");
        };
        let State::Judged { proof } = &exchange.state else { panic!("not judged") };
        Ok((proved.refused, proof.clone()))
    }

    #[test]
    fn the_example_of_rfc_2831_succeeds() {
        let (refused, proof) = outcome(RESPONSE, Some(key())).unwrap();
        assert_eq!(refused, None);
        assert_eq!(proof, "ea40f60335c427b5527b84dbabcdfffd");
    }

    #[test]
    fn a_wrong_answer_and_no_key_are_the_same() {
        let wrong = RESPONSE.replace("d388", "d389");
        assert_eq!(outcome(&wrong, Some(key())).unwrap().0, Some(Failure::WrongPassword));
        assert_eq!(outcome(RESPONSE, None).unwrap().0, Some(Failure::WrongPassword));
    }

    #[test]
    fn what_belongs_to_another_exchange_is_refused() {
        for (from, to) in [
            ("nc=00000001", "nc=00000002"),
            ("OA6MG9tEQGm2hh", "OA6MG9tEQGm2hi"),
            ("digest-uri=\"imap/", "digest-uri=\"smtp/"),
            ("qop=auth", "qop=auth-conf"),
            ("realm=\"elwood", "realm=\"elmwood"),
            ("charset=utf-8", "charset=latin1"),
            ("username=\"chris\"", "username=\"chris\",username=\"ann\""),
            ("cnonce=\"OA6MHXh6VqTrRk\"", "cnonce=\"\""),
            ("qop=auth", "qop=\"auth"),
            ("response=d388", "response=d3"),
        ] {
            let response = RESPONSE.replace(from, to);
            assert_eq!(outcome(&response, Some(key())).err(), Some(Failure::Malformed), "{to}");
        }
        let early = example().step(Some(RESPONSE.as_bytes()));
        assert!(matches!(early, Step::Failed(Failure::Malformed)));
    }

    #[test]
    fn directives_are_read_with_quotes_and_blanks() {
        let found = directives(" a=1 , b=\"x\\\"y,z\",,c=").unwrap();
        assert_eq!(found["a"], "1");
        assert_eq!(found["b"], "x\"y,z");
        assert_eq!(found["c"], "");
        let many: String = (0..=DIRECTIVES_MAX).map(|n| format!("n{n}=1,")).collect();
        assert_eq!(directives(&many).err(), Some(Failure::Malformed));
    }
}
