//! The text of a policy (RFC 9989 section 4.7).

use super::Policy;

/// The longest record that is read, in octets.
pub const RECORD_MAX_OCTETS: usize = 8 * 1024;
/// Addresses for reports that are kept.
pub const REPORTS_MAX: usize = 10;

/// How alike two domains must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// They belong to one organization.
    Relaxed,
    /// They are the same.
    Strict,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `p=`; none when it is wrong and no report is wanted either.
    pub policy: Option<Policy>,
    /// `sp=`: for names below that exist.
    pub below: Option<Policy>,
    /// `np=`: for names below that do not exist.
    pub missing: Option<Policy>,
    /// `adkim=`
    pub dkim: Alignment,
    /// `aspf=`
    pub spf: Alignment,
    /// `psd=`: whether names are registered below this one.
    pub is_public_suffix: Option<bool>,
    /// `t=y`: the domain is only trying.
    pub is_testing: bool,
    /// `pct=` of the older standard (RFC 7489): to how many in a hundred the policy applies.
    pub percent: u8,
    /// `fo=`, as far as it is of the letters that mean something: which failures the domain
    /// wants reports of one message about. None are sent.
    pub failures: String,
    /// `rua=`
    pub reports: Vec<String>,
    /// The whole text.
    pub text: String,
}

impl Record {
    /// Reads a text; `None` if it is not a policy at all. Tags that are not known, or whose
    /// values are wrong, count as not written.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= RECORD_MAX_OCTETS)?;
        let mut tags = text.split(';').map(|tag| {
            let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
            (name.trim(), value.trim())
        });
        if tags.next() != Some(("v", "DMARC1")) {
            return None;
        }
        let tags: Vec<(String, &str)> =
            tags.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let tag = |name: &str| tags.iter().find(|(known, _)| known == name).map(|(_, v)| *v);
        let is = |name: &str, value: &str| tag(name).is_some_and(|v| v.eq_ignore_ascii_case(value));
        let alignment = |name| if is(name, "s") { Alignment::Strict } else { Alignment::Relaxed };
        let reports: Vec<String> = tag("rua")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|uri| uri.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("mailto:")))
            .take(REPORTS_MAX)
            .map(str::to_owned)
            .collect();
        let wrong = |name| tag(name).is_some_and(|value| Policy::parse(value).is_none());
        let policy = match tag("p").and_then(Policy::parse) {
            Some(policy) if !wrong("sp") && !wrong("np") => Some(policy),
            // Whoever wants reports wants to be told of the mistake (RFC 9989 section 4.7).
            Some(_) | None if !reports.is_empty() => Some(Policy::None),
            Some(_) | None => None,
        };
        Some(Self {
            policy,
            below: tag("sp").and_then(Policy::parse),
            missing: tag("np").and_then(Policy::parse),
            dkim: alignment("adkim"),
            spf: alignment("aspf"),
            is_public_suffix: match tag("psd") {
                Some(value) if value.eq_ignore_ascii_case("y") => Some(true),
                Some(value) if value.eq_ignore_ascii_case("n") => Some(false),
                Some(_) | None => None,
            },
            is_testing: is("t", "y"),
            percent: tag("pct").and_then(|p| p.parse().ok()).filter(|p| *p <= 100).unwrap_or(100),
            failures: tag("fo")
                .filter(|value| value.chars().all(|c| "01dsDS:".contains(c)))
                .unwrap_or_default()
                .to_owned(),
            reports,
            text: text.chars().filter(|c| !c.is_control()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_with_its_defaults() {
        let record = Record::parse(b"v=DMARC1; p=Reject").unwrap();
        assert_eq!(
            (record.policy, record.below, record.percent),
            (Some(Policy::Reject), None, 100)
        );
        assert_eq!((record.dkim, record.spf), (Alignment::Relaxed, Alignment::Relaxed));
        let record = Record::parse(
            b" v = DMARC1 ;p=none;sp=quarantine;np=reject;adkim=s;aspf=S;t=y;psd=n;pct=20;fo=1:d;\
              rua=mailto:a@x.org!10m, https://x.org ,MAILTO:b@y.org; x=1; junk",
        )
        .unwrap();
        assert_eq!(
            (record.below, record.missing),
            (Some(Policy::Quarantine), Some(Policy::Reject))
        );
        assert_eq!((record.dkim, record.spf), (Alignment::Strict, Alignment::Strict));
        assert!(
            record.is_testing && record.is_public_suffix == Some(false) && record.percent == 20
        );
        assert_eq!(record.failures, "1:d");
        assert_eq!(record.reports, ["mailto:a@x.org!10m", "MAILTO:b@y.org"]);
    }

    #[test]
    fn a_text_without_its_version_first_is_no_policy() {
        for text in ["", "p=none; v=DMARC1", "v=DMARC10; p=none", "v=dmarc1; p=none", "v=spf1"] {
            assert_eq!(Record::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_policy_is_none_if_reports_are_wanted() {
        let policy = |text: &str| Record::parse(text.as_bytes()).unwrap().policy;
        assert_eq!(policy("v=DMARC1"), None);
        assert_eq!(policy("v=DMARC1; p=refuse"), None);
        assert_eq!(policy("v=DMARC1; p=reject; sp=x"), None);
        assert_eq!(policy("v=DMARC1; p=refuse; rua=mailto:a@x.org"), Some(Policy::None));
        assert_eq!(policy("v=DMARC1; rua=mailto:a@x.org"), Some(Policy::None));
    }
}
