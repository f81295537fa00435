//! Prints one security line for each client that a filter has to find, in a fixed order, for
//! the test of the shipped Fail2Ban filter.

use std::net::AddrParseError;

use accounts::sasl::Failure;
use accounts::security::{Abuse, abuse_line, security_line};

fn main() -> Result<(), AddrParseError> {
    for line in lines()? {
        println!("{line}");
    }
    Ok(())
}

/// The lines.
pub fn lines() -> Result<Vec<String>, AddrParseError> {
    let forged = "x\" ip=8.8.8.8";
    let forged_line =
        "x\nmailkeep[1]: security: auth-fail ip=8.8.8.8 service=smtp user=\"\" reason=x";
    let long = "ü".repeat(1_000);
    let mut lines = Vec::new();
    for (ip, user, reason) in [
        ("192.0.2.1", "ann@clinic.example", Failure::WrongPassword),
        ("2001:db8::2", "ann@clinic.example", Failure::UnknownUser),
        ("192.0.2.3", forged, Failure::UnknownUser),
        ("192.0.2.4", forged_line, Failure::LockedOut),
        ("::ffff:192.0.2.5", long.as_str(), Failure::Disabled),
        ("192.0.2.6", "", Failure::Malformed),
        ("192.0.2.7", "a reason=b kind=rcpt-scan <ADDR> %(x)s", Failure::ActAs),
    ] {
        lines.push(security_line(ip.parse()?, "submission", user, reason));
    }
    for (ip, kind) in [
        ("192.0.2.8", Abuse::RcptScan),
        ("2001:db8::9", Abuse::Pipelining),
        ("192.0.2.10", Abuse::BadTlsFlood),
    ] {
        lines.push(abuse_line(ip.parse()?, "smtp", kind));
    }
    Ok(lines)
}
