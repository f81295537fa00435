//! What the checks of a sender came to.

use serde::{Deserialize, Serialize};

/// What SPF, DKIM, DMARC and ARC came to, each in a few words: the result first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SenderAuthentication {
    /// SPF of the reverse-path: `fail bank.example -all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spf: Option<String>,
    /// SPF of the name in EHLO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spf_helo: Option<String>,
    /// Each signature: `pass bank.example s1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dkim: Vec<String>,
    /// DMARC: `fail bank.example p=reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<String>,
    /// ARC: `pass list.example`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arc: Option<String>,
}

impl SenderAuthentication {
    /// Everything on one line.
    pub fn line(&self) -> String {
        let named = |name: &str, found: &str| format!("{name} {found}");
        let spf = self.spf.iter().map(|found| named("spf", found));
        let helo = self.spf_helo.iter().map(|found| named("spf helo", found));
        let dkim = self.dkim.iter().map(|found| named("dkim", found));
        let dmarc = self.dmarc.iter().map(|found| named("dmarc", found));
        let arc = self.arc.iter().map(|found| named("arc", found));
        spf.chain(helo).chain(dkim).chain(dmarc).chain(arc).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stands_on_one_line() {
        let found = SenderAuthentication {
            spf: Some("fail bank.example -all".into()),
            dkim: vec!["pass list.example s1".into(), "fail bank.example s2".into()],
            dmarc: Some("fail bank.example p=reject".into()),
            ..SenderAuthentication::default()
        };
        assert_eq!(
            found.line(),
            "spf fail bank.example -all, dkim pass list.example s1, dkim fail bank.example s2, \
             dmarc fail bank.example p=reject"
        );
        assert_eq!(serde_json::to_string(&SenderAuthentication::default()).unwrap(), "{}");
    }
}
