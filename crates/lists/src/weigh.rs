//! What several lists say together.

use serde::{Deserialize, Serialize};

/// What a list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Who is listed is refused, unless allow lists outweigh it.
    Reject,
    /// Who is listed gets its weight in the score.
    Score,
    /// A listing is recorded and changes nothing.
    Shadow,
    /// Its weight is taken from the score.
    Allow,
}

/// One list's listing of one client or domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The list's name in the configuration.
    pub list: String,
    /// The address or domain that is listed.
    pub subject: String,
    /// What for, in the words of the codes.
    pub codes: Vec<String>,
    /// What the list is for.
    pub action: Action,
    /// How much it weighs.
    pub weight: u32,
    /// The list's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What comes of all findings about one client or message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Refuse it.
    Reject,
    /// Allow lists outweigh the others.
    Allow,
}

/// Findings added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighed {
    /// The weights of all lists, less those that allow; never below 0.
    pub score: u32,
    /// What comes of it; `None` when nothing does.
    pub verdict: Option<Verdict>,
}

/// Adds up findings. A list counts once, with its heaviest finding. Allow lists outweigh
/// the others when together they weigh at least as much.
pub fn weigh(findings: &[Finding]) -> Weighed {
    let mut heaviest: Vec<&Finding> = Vec::new();
    for finding in findings {
        match heaviest.iter_mut().find(|known| known.list == finding.list) {
            Some(known) if known.weight < finding.weight => *known = finding,
            Some(_) => {}
            None => heaviest.push(finding),
        }
    }
    let sum = |wanted: &[Action]| -> u32 {
        let counted = heaviest.iter().filter(|finding| wanted.contains(&finding.action));
        counted.fold(0, |sum, finding| sum.saturating_add(finding.weight))
    };
    let against = sum(&[Action::Reject, Action::Score]);
    let allowed = sum(&[Action::Allow]);
    let rejects = heaviest.iter().any(|finding| finding.action == Action::Reject);
    let allows = heaviest.iter().any(|finding| finding.action == Action::Allow);
    let verdict = match (allows && allowed >= against, rejects) {
        (true, _) => Some(Verdict::Allow),
        (false, true) => Some(Verdict::Reject),
        (false, false) => None,
    };
    Weighed { score: against.saturating_sub(allowed), verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(list: &str, action: Action, weight: u32) -> Finding {
        Finding {
            list: list.to_owned(),
            subject: "192.0.2.1".to_owned(),
            codes: Vec::new(),
            action,
            weight,
            reason: None,
        }
    }

    #[test]
    fn allow_lists_outweigh_what_weighs_no_more() {
        let bad = finding("bad", Action::Reject, 5);
        let good = |weight| finding("good", Action::Allow, weight);
        for (findings, score, verdict) in [
            (vec![], 0, None),
            (vec![bad.clone()], 5, Some(Verdict::Reject)),
            (vec![bad.clone(), good(4)], 1, Some(Verdict::Reject)),
            (vec![bad.clone(), good(5)], 0, Some(Verdict::Allow)),
            (vec![bad, finding("worse", Action::Score, 3), good(5)], 3, Some(Verdict::Reject)),
            (vec![good(1)], 0, Some(Verdict::Allow)),
            (vec![finding("some", Action::Score, 3)], 3, None),
        ] {
            assert_eq!(weigh(&findings), Weighed { score, verdict }, "{findings:?}");
        }
    }

    #[test]
    fn a_shadow_list_changes_nothing() {
        let shadow = finding("new", Action::Shadow, 100);
        assert_eq!(weigh(&[shadow]), Weighed { score: 0, verdict: None });
    }

    #[test]
    fn ten_links_on_one_list_weigh_as_one() {
        let links = vec![finding("links", Action::Score, 4); 10];
        assert_eq!(weigh(&links).score, 4);
    }
}
