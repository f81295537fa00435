//! Which mechanisms can succeed at all.

use super::SignIn;
use crate::password::Kept;
use crate::sasl::Channel;
use crate::settings::Certificates;

impl SignIn {
    /// Whether any account could sign in over `channel` by the mechanism of this registered
    /// name. The others are not worth offering.
    pub fn works(&self, mechanism: &str, channel: &Channel) -> bool {
        let settings = self.settings();
        let kept = |kind| settings.kept.contains(&kind) && self.directory.has_keys(kind);
        match mechanism {
            "PLAIN" | "LOGIN" => true,
            "SCRAM-SHA-1" => kept(Kept::ScramSha1),
            "SCRAM-SHA-256" => kept(Kept::ScramSha256),
            "SCRAM-SHA-1-PLUS" => channel.exporter.is_some() && kept(Kept::ScramSha1),
            "SCRAM-SHA-256-PLUS" => channel.exporter.is_some() && kept(Kept::ScramSha256),
            "CRAM-MD5" => kept(Kept::CramMd5),
            "DIGEST-MD5" => kept(Kept::DigestMd5),
            "OAUTHBEARER" | "XOAUTH2" => settings.tokens.is_some(),
            "GSSAPI" => settings.kerberos.is_some(),
            "EXTERNAL" => {
                settings.certificates != Certificates::Off
                    && channel
                        .certificate
                        .as_ref()
                        .is_some_and(|certificate| self.certificate_account(certificate).is_some())
            }
            _ => false,
        }
    }
}
