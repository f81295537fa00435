//! AUTH PLAIN and LOGIN (RFC 4954, RFC 4616).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{End, Session};
use crate::partner::record::AuthSeen;
use crate::partner::script::Stage;

impl Session {
    pub(super) async fn auth(
        &mut self,
        mechanism: String,
        initial: Option<String>,
    ) -> Result<(), End> {
        let Some(sign_in) = self.script.sign_in.clone() else {
            return self.say("502 5.5.1 AUTH is not offered").await;
        };
        if self.auth.is_some() || self.transaction.is_some() {
            return self.say("503 5.5.1 Not now").await;
        }
        if !self.wire.encrypted() {
            self.note('-', "AUTH in the clear");
        }
        let given = match mechanism.as_str() {
            "PLAIN" => self.exchange(initial, "").await?.and_then(|message| {
                let mut parts = message.split('\0').skip(1).map(str::to_owned);
                Some((parts.next()?, parts.next()?))
            }),
            "LOGIN" => match self.exchange(initial, "Username:").await? {
                Some(user) => {
                    self.exchange(None, "Password:").await?.map(|password| (user, password))
                }
                None => None,
            },
            _ => return self.say("504 5.5.4 Mechanism not known").await,
        };
        let Some((user, password)) = given else {
            return self.say("501 5.5.2 Not understood").await;
        };
        if (user.as_str(), password) != (&sign_in.user, sign_in.password) {
            self.shared.record().counters.sign_ins_failed += 1;
            return self.say("535 5.7.8 Not you").await;
        }
        if self.answer(Stage::Auth, None, "235 2.7.0 Welcome").await? {
            self.shared.record().counters.sign_ins += 1;
            self.auth = Some(AuthSeen { mechanism, user });
        }
        Ok(())
    }

    /// One message of the client: the one it began with, or its answer to `challenge`.
    /// `None` when it is no text in base64.
    async fn exchange(
        &mut self,
        initial: Option<String>,
        challenge: &str,
    ) -> Result<Option<String>, End> {
        let encoded = match initial.as_deref() {
            Some("=") => String::new(),
            Some(initial) => initial.to_owned(),
            None => {
                self.say(&format!("334 {}", BASE64.encode(challenge))).await?;
                let Some(line) = self.wire.line().await? else { return Err(End::Closed) };
                self.note('C', "...");
                String::from_utf8_lossy(&line).trim_end().to_owned()
            }
        };
        Ok(BASE64.decode(encoded).ok().and_then(|octets| String::from_utf8(octets).ok()))
    }
}
