//! STARTTLS, done and undone.

use super::{End, Session};
use crate::partner::script::{Stage, Tls};

impl Session {
    pub(super) async fn start_tls(&mut self) -> Result<(), End> {
        const READY: &str = "220 2.0.0 Ready to start TLS";
        if self.wire.encrypted() {
            return self.say("503 5.5.1 TLS is active").await;
        }
        match self.script.tls {
            Tls::NotOffered | Tls::Stripped | Tls::Implicit => {
                self.say("500 5.5.1 Command not known").await
            }
            Tls::Refused => self.say("454 4.7.0 TLS not available for now").await,
            Tls::Garbage => {
                self.say(READY).await?;
                self.wire.swallow().await?;
                self.handshake_failed("answered with garbage");
                self.wire.send(b"500 this is no TLS record\r\n", self.script.octet_delay).await?;
                Err(End::Closed)
            }
            Tls::DroppedInHandshake => {
                self.say(READY).await?;
                self.wire.swallow().await?;
                self.handshake_failed("dropped");
                Err(End::Closed)
            }
            Tls::DroppedAfterHandshake => {
                self.say(READY).await?;
                self.encrypt().await?;
                self.note('-', "dropped after the handshake");
                Err(End::Closed)
            }
            Tls::Injected => {
                self.note('S', READY);
                self.note('S', "(forged) 250 2.0.0 forged");
                self.wire.send(INJECTED.as_bytes(), self.script.octet_delay).await?;
                self.encrypt().await
            }
            Tls::StartTls => {
                if self.answer(Stage::StartTls, None, READY).await? {
                    self.encrypt().await?;
                }
                Ok(())
            }
        }
    }

    /// Does the handshake and forgets what was said before it (RFC 3207 section 4.2).
    pub(super) async fn encrypt(&mut self) -> Result<(), End> {
        let Some(config) = self.config.clone() else {
            self.handshake_failed("the script has no certificate");
            return Err(End::Closed);
        };
        if self.wire.waiting() > 0 {
            self.violation("octets sent in the clear ahead of the handshake");
        }
        match self.wire.encrypt(config).await {
            Ok(seen) => {
                self.note('-', &format!("{} {}", seen.version, seen.suite));
                self.shared.record().counters.handshakes += 1;
                self.tls = Some(seen);
                self.hello = None;
                self.auth = None;
                self.transaction = None;
                Ok(())
            }
            Err(error) => {
                self.handshake_failed(&error.to_string());
                Err(End::Closed)
            }
        }
    }

    fn handshake_failed(&self, why: &str) {
        self.note('-', &format!("handshake failed: {why}"));
        self.shared.record().counters.handshakes_failed += 1;
    }
}

/// The 220 to STARTTLS with a forged reply behind it.
const INJECTED: &str = "220 2.0.0 Ready to start TLS\r\n250 2.0.0 forged\r\n";
