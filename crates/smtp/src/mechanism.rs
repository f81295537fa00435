//! Names of SASL mechanisms (RFC 4422, RFC 4954).

use std::fmt;
use std::str::FromStr;

/// A SASL mechanism that the AUTH command or keyword can name.
///
/// The session only carries the exchange; which mechanisms work is up to who answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login): user name and password asked one by one.
    Login,
    /// CRAM-MD5 (RFC 2195).
    CramMd5,
    /// DIGEST-MD5 (RFC 2831).
    DigestMd5,
    /// SCRAM-SHA-1 (RFC 5802).
    ScramSha1,
    /// SCRAM-SHA-1-PLUS, with channel binding.
    ScramSha1Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-256-PLUS, with channel binding.
    ScramSha256Plus,
    /// OAUTHBEARER (RFC 7628).
    OAuthBearer,
    /// XOAUTH2, its vendor's forerunner.
    XOAuth2,
    /// EXTERNAL: what TLS already proved (RFC 4422 appendix A).
    External,
    /// GSSAPI, Kerberos (RFC 4752).
    GssApi,
}

impl Mechanism {
    /// Every mechanism known by name.
    pub const ALL: [Self; 12] = [
        Self::Plain,
        Self::Login,
        Self::CramMd5,
        Self::DigestMd5,
        Self::ScramSha1,
        Self::ScramSha1Plus,
        Self::ScramSha256,
        Self::ScramSha256Plus,
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::External,
        Self::GssApi,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::DigestMd5 => "DIGEST-MD5",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::External => "EXTERNAL",
            Self::GssApi => "GSSAPI",
        }
    }

    /// Whether a reader of the exchange learns the password or token.
    pub const fn reveals_secret(self) -> bool {
        match self {
            Self::Plain | Self::Login | Self::OAuthBearer | Self::XOAuth2 => true,
            Self::CramMd5
            | Self::DigestMd5
            | Self::ScramSha1
            | Self::ScramSha1Plus
            | Self::ScramSha256
            | Self::ScramSha256Plus
            | Self::External
            | Self::GssApi => false,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no mechanism we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a known authentication mechanism")]
pub struct MechanismError(String);

impl FromStr for Mechanism {
    type Err = MechanismError;
    /// In any case of letters (RFC 4954 section 4).
    fn from_str(text: &str) -> Result<Self, MechanismError> {
        let named = Self::ALL.into_iter().find(|m| m.name().eq_ignore_ascii_case(text));
        named.ok_or_else(|| MechanismError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for mechanism in Mechanism::ALL {
            assert_eq!(mechanism.to_string().to_lowercase().parse(), Ok(mechanism));
        }
        assert!("FOO".parse::<Mechanism>().is_err());
    }
}
