//! The host of a URL, however it is written.

use std::net::{IpAddr, Ipv4Addr};

use mail::Domain;

/// A name or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, in A-labels.
    Name(Domain),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads a name, an address, or a number that browsers take for an address:
    /// `3221225985`, `0xc0.0.2.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.trim_end_matches('.');
        if let Some(v6) = bare.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            return v6.parse().ok().map(|ip| Self::Address(IpAddr::V6(ip)));
        }
        if let Some(ip) = number(bare) {
            return Some(Self::Address(IpAddr::V4(ip)));
        }
        let domain = Domain::parse(bare).ok()?;
        domain.as_str().contains('.').then_some(Self::Name(domain))
    }
}

/// The host of a URL; without a scheme, what stands before the first slash.
pub(super) fn of_url(url: &str) -> Option<String> {
    let url = url.trim_start();
    if let Some(address) = strip_ignoring_case(url, "mailto:") {
        let address = address.split(['?', '&', ',']).next().unwrap_or_default();
        return address.rsplit_once('@').map(|(_, domain)| percent_decoded(domain));
    }
    let rest = match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) && rest.starts_with('/') => rest,
        Some(_) | None => url,
    };
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or_default(),
    };
    (!host.is_empty()).then(|| percent_decoded(host))
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// The text with `%65` and the like decoded.
pub(super) fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((&byte, rest)) = bytes.split_first() {
        let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if byte == b'%' => {
                octets.push(value);
                bytes = &rest[2..];
            }
            Some(_) | None => {
                octets.push(byte);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// An IPv4 address of one to four numbers, each decimal, octal or hexadecimal; the last
/// one fills what is left.
fn number(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 4 {
        return None;
    }
    let mut values = Vec::with_capacity(4);
    for part in &parts {
        let hex = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
        let value = match (hex, part.strip_prefix('0')) {
            (Some(hex), _) => u32::from_str_radix(hex, 16).ok()?,
            (None, Some(octal)) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok()?,
            (None, _) if part.starts_with('+') => return None,
            (None, _) => part.parse().ok()?,
        };
        values.push(value);
    }
    let (last, first) = values.split_last()?;
    // A lone small number is more likely a number.
    if first.is_empty() && *last < 0x0100_0000 {
        return None;
    }
    let mut ip: u32 = 0;
    for value in first {
        ip = (ip << 8) | u32::from(u8::try_from(*value).ok()?);
    }
    let room = 32 - 8 * first.len() as u32;
    if room < 32 && *last >> room != 0 {
        return None;
    }
    let high = if room == 32 { 0 } else { ip << room };
    Some(Ipv4Addr::from(high | last))
}
