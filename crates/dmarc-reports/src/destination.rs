//! Where reports about a domain are wanted, and whether that place wants them.

use mail::{Address, Domain};

/// Destinations of one record that get reports.
pub const DESTINATIONS_MAX: usize = 5;

/// Where reports go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The mailbox.
    pub address: Address,
    /// The largest message it takes, in octets.
    pub max_octets: Option<u64>,
}

/// The mailboxes of `rua=`, at most [`DESTINATIONS_MAX`] (RFC 7489 section 6.2). Other schemes
/// than `mailto:` are left out.
pub fn destinations(rua: &str) -> Vec<Destination> {
    rua.split(',').filter_map(destination).take(DESTINATIONS_MAX).collect()
}

fn destination(uri: &str) -> Option<Destination> {
    let uri = uri.trim();
    let scheme = uri.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"))?;
    let rest = uri.get(scheme.len()..)?;
    let (mailbox, size) = match rest.split_once('!') {
        Some((mailbox, size)) => (mailbox, Some(octets(size)?)),
        None => (rest, None),
    };
    let mailbox = mailbox.split('?').next().unwrap_or_default();
    let address = Address::parse(&unescaped(mailbox)?).ok()?;
    Some(Destination { address, max_octets: size })
}

/// `10m`: a number with its unit, powers of 1,024.
fn octets(size: &str) -> Option<u64> {
    let size = size.trim().to_ascii_lowercase();
    let digits = size.trim_end_matches(['k', 'm', 'g', 't']);
    let shift = match size.strip_prefix(digits)? {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Without `%41` escapes (RFC 6068 section 2).
fn unescaped(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let pair = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&pair).ok()?;
            octets.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).ok()
}

/// The name of the TXT record by which a destination elsewhere says that it wants reports about
/// `domain`; `None` where it need not say so, because it is the domain itself or lies below the
/// same organisation (RFC 7489 section 7.1).
pub fn permission_name(
    domain: &Domain,
    organisation: &Domain,
    destination: &Domain,
) -> Option<String> {
    if destination == organisation || destination.is_below(organisation) {
        return None;
    }
    Some(format!("{domain}._report._dmarc.{destination}"))
}

/// Whether a TXT record gives the permission.
pub fn permits(record: &str) -> bool {
    record.split(';').next().is_some_and(|first| {
        let mut parts = first.split('=').map(str::trim);
        parts.next() == Some("v") && parts.next() == Some("DMARC1") && parts.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_have_sizes_and_other_schemes_are_left_out() {
        let found = destinations(
            "mailto:a@x.example!10m, https://x.example/, MAILTO:b%2Bc@y.example,mailto:bad,mailto:c@z.example!x",
        );
        let shown: Vec<_> = found.iter().map(|d| (d.address.to_string(), d.max_octets)).collect();
        assert_eq!(
            shown,
            [("a@x.example".to_owned(), Some(10 << 20)), ("b+c@y.example".to_owned(), None)]
        );
        let many = "mailto:a@x.example,".repeat(100);
        assert_eq!(destinations(&many).len(), DESTINATIONS_MAX);
    }

    #[test]
    fn a_destination_elsewhere_has_to_agree() {
        let domain = |text| Domain::parse(text).unwrap();
        let (sub, organisation) = (domain("a.clinic.example"), domain("clinic.example"));
        let name = |to| permission_name(&sub, &organisation, &domain(to));
        assert_eq!(name("clinic.example"), None);
        assert_eq!(name("reports.clinic.example"), None);
        let there = name("reports.example").unwrap();
        assert_eq!(there, "a.clinic.example._report._dmarc.reports.example");
        assert!(permits("v=DMARC1;") && permits("v=DMARC1; rua=mailto:x@y.example"));
        assert!(!permits("v=DMARC1x") && !permits("") && !permits("DMARC1"));
    }
}
