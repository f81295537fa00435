//! Off-ramps (ITU-T T.37): servers that take a fax as mail and call the number themselves.
//!
//! The fax goes to `FAX=+12025550123/T33S=6377@offramp.example` (RFC 3191, RFC 3192). What
//! became of it comes back as a delivery status notification to a [`ReturnPath`] that was made
//! for this one attempt and that nobody can guess.

use std::fmt;

use mail::dsn::{Report, Said};
use mail::{Address, AddressError, Domain, TraceId};

use crate::job::{Outcome, Reason};
use crate::number::Number;

/// How the local part of a return path begins.
const MARK: &str = "t37";

/// Where the address of a fax at an off-ramp is (RFC 3192 section 2): the number, and the
/// sub-address behind it where there is one.
///
/// # Errors
///
/// When `domain` takes no addresses.
pub fn address(
    number: &Number,
    subaddress: Option<&str>,
    domain: &Domain,
) -> Result<Address, AddressError> {
    let behind = subaddress.map(|digits| format!("/T33S={digits}")).unwrap_or_default();
    Address::new(&format!("FAX={number}{behind}"), domain.clone())
}

/// The local part of the address that an off-ramp reports to: `t37.FAX.SECRET`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReturnPath {
    /// The fax.
    pub fax: TraceId,
    /// 128 random bits of the attempt, written as names are.
    pub secret: TraceId,
}

impl ReturnPath {
    /// Reads a local part, in any case; `None` where it is no return path.
    pub fn read(local: &str) -> Option<Self> {
        let mut parts = local.split('.');
        let (mark, fax, secret) = (parts.next()?, parts.next()?, parts.next()?);
        if !mark.eq_ignore_ascii_case(MARK) || parts.next().is_some() {
            return None;
        }
        Some(Self { fax: fax.parse().ok()?, secret: secret.parse().ok()? })
    }

    /// The address in `domain`.
    ///
    /// # Errors
    ///
    /// When `domain` takes no addresses.
    pub fn at(self, domain: &Domain) -> Result<Address, AddressError> {
        Address::new(&format!("{MARK}.{}.{}", self.fax, self.secret), domain.clone())
    }
}

impl fmt::Debug for ReturnPath {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}.{}.…", self.fax)
    }
}

/// What a notification says of a fax. `None` while the last word is still to come: it was
/// passed on, or waits. One that speaks of more than one recipient is as bad as its worst.
pub fn reported(report: &Report) -> Option<Outcome> {
    let mut all_delivered = !report.recipients.is_empty();
    for recipient in &report.recipients {
        match recipient.said {
            Said::Failed => {
                let status = recipient.status.map(|status| status.to_string());
                let words = recipient.diagnostic.clone().or(status);
                let words = words.unwrap_or_else(|| "it does not say why".to_owned());
                let text = format!("the off-ramp could not deliver it: {words}");
                return Some(Outcome::Not(Reason::told(&text)));
            }
            Said::Delivered => {}
            Said::Delayed | Said::Relayed | Said::Expanded => all_delivered = false,
        }
    }
    all_delivered.then_some(Outcome::Sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_at_an_off_ramp_names_the_number_and_what_is_behind_it() {
        let number = Number::try_from("+12025550123".to_owned()).unwrap();
        let domain: Domain = "offramp.example".parse().unwrap();
        let plain = address(&number, None, &domain).unwrap();
        assert_eq!(plain.to_string(), "FAX=+12025550123@offramp.example");
        let deep = address(&number, Some("6377"), &domain).unwrap();
        assert_eq!(deep.to_string(), "FAX=+12025550123/T33S=6377@offramp.example");
    }

    #[test]
    fn a_return_path_is_read_back_in_any_case_and_nothing_else_is_one() {
        let path =
            ReturnPath { fax: TraceId::generate(1), secret: TraceId::from_bytes([0xA5; 16]) };
        let address = path.at(&"fax.clinic.example".parse().unwrap()).unwrap();
        assert_eq!(ReturnPath::read(address.local()), Some(path));
        assert_eq!(ReturnPath::read(&address.local().to_lowercase()), Some(path));
        assert!(!format!("{path:?}").contains(&path.secret.to_string()), "the secret is not shown");
        for other in ["5550100", "anne.anderson.5550100", "t37", "t37.x.y", "t37.."] {
            assert_eq!(ReturnPath::read(other), None, "{other}");
        }
        assert_eq!(ReturnPath::read(&format!("{}.x", address.local())), None);
    }

    #[test]
    fn a_report_is_the_last_word_only_when_it_says_delivered_or_failed() {
        let report = |actions: &[&str]| {
            let mut text = "Reporting-MTA: dns; offramp.example\r\n".to_owned();
            for action in actions {
                text.push_str(&format!(
                    "\r\nFinal-Recipient: rfc822; FAX=+1@x\r\nAction: {action}\r\nStatus: 5.1.1\r\n\
                     Diagnostic-Code: smtp; 550 no such number\r\n"
                ));
            }
            reported(&Report::of_status(&text).unwrap())
        };
        assert_eq!(report(&["delivered"]), Some(Outcome::Sent));
        for open in ["relayed", "expanded", "delayed"] {
            assert_eq!(report(&[open]), None, "{open}");
            assert_eq!(report(&["delivered", open]), None, "{open}");
        }
        let Some(Outcome::Not(reason)) = report(&["delivered", "failed"]) else { panic!() };
        assert_eq!(reason.to_string(), "the off-ramp could not deliver it: 550 no such number");
    }
}
