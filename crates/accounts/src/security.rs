//! The lines that Fail2Ban and its like read. Their form is fixed and never reworded.
//!
//! ```text
//! security: auth-fail ip=192.0.2.7 service=smtp user="ann@clinic.example" reason=wrong-password
//! security: abuse ip=2001:db8::7 service=smtp kind=rcpt-scan
//! ```
//!
//! They are written as they are, with nothing but a syslog-like head before them: under the
//! journal its own, in a file a time and `mailkeep[PID]: `. No other line of the log may put
//! text of a client's choice right behind that head.

use std::fmt::Write;
use std::net::IpAddr;

use crate::sasl::Failure;

/// Characters of a user name that are shown.
pub const USER_SHOWN_MAX_CHARS: usize = 128;
const SERVICE_MAX_CHARS: usize = 32;

/// What a client does that no honest one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abuse {
    /// Tries names to find mailboxes.
    RcptScan,
    /// Sends commands ahead of replies, or ahead of a handshake, where that is not allowed.
    Pipelining,
    /// Fails one TLS handshake after another.
    BadTlsFlood,
    /// Speaks before the greeting.
    EarlyTalker,
    /// Errs until it is sent away.
    Errors,
    /// Writes to a spamtrap.
    Spamtrap,
}

/// The line for a failed sign-in of `user` at `ip`.
///
/// `service` is a word such as `smtp`. Whatever the client calls itself, the line has one
/// `ip=` that counts and ends with the reason.
pub fn security_line(ip: IpAddr, service: &str, user: &str, reason: Failure) -> String {
    format!(
        "security: auth-fail ip={} service={} user=\"{}\" reason={}",
        ip.to_canonical(),
        word(service),
        escaped(user),
        reason.word()
    )
}

/// The line for abuse by `ip`.
pub fn abuse_line(ip: IpAddr, service: &str, kind: Abuse) -> String {
    let kind = match kind {
        Abuse::RcptScan => "rcpt-scan",
        Abuse::Pipelining => "pipelining",
        Abuse::BadTlsFlood => "bad-tls-flood",
        Abuse::EarlyTalker => "early-talker",
        Abuse::Errors => "errors",
        Abuse::Spamtrap => "spamtrap",
    };
    format!("security: abuse ip={} service={} kind={kind}", ip.to_canonical(), word(service))
}

/// The line for a ban that begins: who, until when (RFC 3339 or `never`), and what led to it.
/// Fail2Ban does not read it; it has its own.
pub fn ban_line(network: impl std::fmt::Display, service: &str, until: &str, kind: &str) -> String {
    format!(
        "security: ban network={network} service={} until={until} kind={}",
        word(service),
        word(kind)
    )
}

/// `text` without quotes, backslashes, controls and look-alikes of line ends, each as
/// `\u{2028}`; cut off after [`USER_SHOWN_MAX_CHARS`] with `...`.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    let mut chars = text.chars();
    for c in chars.by_ref().take(USER_SHOWN_MAX_CHARS) {
        let plain = match c {
            '"' | '\\' => false,
            ' '..='~' => true,
            other => other.is_alphanumeric(),
        };
        if plain {
            shown.push(c);
        } else {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        }
    }
    if chars.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// A word of letters, digits and hyphens; services are named by the configuration.
fn word(text: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let word: String = text.chars().filter(kept).take(SERVICE_MAX_CHARS).collect();
    if word.is_empty() { "unknown".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(ip: &str, user: &str) -> String {
        security_line(ip.parse().unwrap(), "smtp", user, Failure::WrongPassword)
    }

    #[test]
    fn the_form_is_fixed() {
        assert_eq!(
            line("192.0.2.7", "ann@clinic.example"),
            "security: auth-fail ip=192.0.2.7 service=smtp user=\"ann@clinic.example\" \
             reason=wrong-password"
        );
        assert_eq!(
            abuse_line("2001:DB8::7".parse().unwrap(), "submission", Abuse::RcptScan),
            "security: abuse ip=2001:db8::7 service=submission kind=rcpt-scan"
        );
    }

    #[test]
    fn a_mapped_address_is_shown_as_what_it_is() {
        assert!(line("::ffff:192.0.2.7", "ann").contains(" ip=192.0.2.7 "));
    }

    #[test]
    fn a_user_name_cannot_forge_an_address() {
        assert_eq!(
            line("192.0.2.7", "x\" ip=8.8.8.8"),
            "security: auth-fail ip=192.0.2.7 service=smtp user=\"x\\u{22} ip=8.8.8.8\" \
             reason=wrong-password"
        );
        assert!(
            line("192.0.2.7", "a\nsecurity: b\r\u{2028}\u{85}\\")
                .contains("user=\"a\\u{a}security: b\\u{d}\\u{2028}\\u{85}\\u{5c}\" reason")
        );
    }

    #[test]
    fn a_long_user_name_is_cut_off() {
        let shown = line("192.0.2.7", &"x".repeat(5_000));
        assert!(shown.contains("xxx...\" reason=") && shown.len() < 300, "{shown}");
    }

    #[test]
    fn a_service_is_one_word() {
        let ip = "192.0.2.7".parse().unwrap();
        assert!(abuse_line(ip, "mail in\"", Abuse::Pipelining).contains(" service=mailin "));
        assert!(abuse_line(ip, "\n", Abuse::BadTlsFlood).contains(" service=unknown "));
    }

    proptest! {
        #[test]
        fn every_line_is_one_line_with_two_quotes(user in any::<String>(), service in any::<String>()) {
            let line = security_line("192.0.2.7".parse().unwrap(), &service, &user, Failure::UnknownUser);
            prop_assert_eq!(line.matches('"').count(), 2);
            let breaks = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
            prop_assert!(!line.chars().any(breaks));
            prop_assert!(line.starts_with("security: auth-fail ip=192.0.2.7 service="));
            prop_assert!(line.ends_with("\" reason=unknown-user"));
        }
    }
}
