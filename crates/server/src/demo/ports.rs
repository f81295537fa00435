//! The ports of the demo's listeners.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};

/// How far the port of smtps is below that of smtp: 2465 and 2525, after 465 and 25.
const SMTPS_BELOW: u16 = 60;
/// How far the port of submission is above that of smtp: 2587 and 2525, after 587 and 25.
const SUBMISSION_ABOVE: u16 = 62;

/// The ports of the demo's listeners; all 0 when the system chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Mail from other servers.
    pub smtp: u16,
    /// Mail from people's programs, TLS from the first octet.
    pub smtps: u16,
    /// Mail from people's programs, STARTTLS.
    pub submission: u16,
}

impl Ports {
    /// Counts the other ports from that of smtp.
    fn around(smtp: u16) -> Option<Self> {
        if smtp == 0 {
            return Some(Self { smtp, smtps: 0, submission: 0 });
        }
        let smtps = smtp.checked_sub(SMTPS_BELOW).filter(|port| *port > 0)?;
        Some(Self { smtp, smtps, submission: smtp.checked_add(SUBMISSION_ABOVE)? })
    }
}

impl FromStr for Ports {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let ports = text.parse().ok().and_then(Self::around);
        let (least, most) = (SMTPS_BELOW + 1, u16::MAX - SUBMISSION_ABOVE);
        ports.with_context(|| format!("it must be a port from {least} to {most}, or 0"))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.smtp.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_recall_those_of_mail() {
        let ports: Ports = "2525".parse().unwrap();
        assert_eq!(ports, Ports { smtp: 2525, smtps: 2465, submission: 2587 });
    }

    #[test]
    fn zero_leaves_every_port_to_the_system() {
        let ports: Ports = "0".parse().unwrap();
        assert_eq!(ports, Ports { smtp: 0, smtps: 0, submission: 0 });
    }

    #[test]
    fn a_port_without_room_for_the_others_is_refused() {
        for text in ["1", "60", "65474", "65536", "-1", "smtp", ""] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
        assert!("61".parse::<Ports>().is_ok());
        assert!("65473".parse::<Ports>().is_ok());
    }
}
