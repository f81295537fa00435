//! Names of domains as DNS can be asked about them.

/// The longest name, in octets, without its final dot (RFC 1035 section 2.3.4).
pub const NAME_MAX_OCTETS: usize = 253;
/// The longest label, in octets.
pub const LABEL_MAX_OCTETS: usize = 63;

/// The name without its final dot, if DNS can be asked about it: no label is empty or too
/// long, nor is the whole.
pub fn askable(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels = name.split('.').all(|label| (1..=LABEL_MAX_OCTETS).contains(&label.len()));
    (labels && name.len() <= NAME_MAX_OCTETS).then_some(name)
}

/// Whether a name is a domain of mail: askable, of several labels, and not an address.
pub fn is_domain(name: &str) -> bool {
    askable(name).is_some_and(|name| name.contains('.'))
        && !name.starts_with('[')
        && name.parse::<std::net::IpAddr>().is_err()
}

/// Whether `name` is `parent` or a name below it. Case does not matter.
pub fn is_within(name: &str, parent: &str) -> bool {
    let (name, parent) = (name.as_bytes(), parent.as_bytes());
    let Some(rest) = name.len().checked_sub(parent.len()) else { return false };
    let (below, end) = name.split_at(rest);
    end.eq_ignore_ascii_case(parent) && (below.is_empty() || below.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_dns_cannot_have_are_not_asked_about() {
        let long = "a".repeat(64);
        for bad in ["", ".", "a..b", ".a", long.as_str(), &"ab.".repeat(90)] {
            assert_eq!(askable(bad), None, "{bad}");
        }
        assert_eq!(askable("mail.example."), Some("mail.example"));
        assert!(is_domain("_x.example") && !is_domain("host") && !is_domain("[192.0.2.1]"));
        assert!(!is_domain("192.0.2.1"));
    }

    #[test]
    fn a_name_within_another_ends_at_a_dot() {
        assert!(is_within("a.Example", "example") && is_within("EXAMPLE", "example"));
        assert!(!is_within("anexample", "example") && !is_within("ple", "example"));
    }
}
