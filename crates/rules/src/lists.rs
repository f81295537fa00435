//! What lists, greylisting and reputation say, as rules look at it.

use lists::{Action, Finding, Verdict, Weighed, weigh};
use serde::{Deserialize, Serialize};

use crate::test::Word;

/// What is known from lists and from memory, as far as it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListFacts {
    /// What the lists of clients say; `None` until they were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Listings>,
    /// What the lists of domains say about the links of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Listings>,
    /// The triplet is a stranger that has to come again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
    /// The score of the sender's reputation, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reputation: Option<u32>,
}

/// What several lists found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Listings(pub Vec<Finding>);

impl Listings {
    /// The names of the lists that count against it, each as often as it found something.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let counts = |finding: &&Finding| match finding.action {
            Action::Reject | Action::Score => true,
            Action::Shadow | Action::Allow => false,
        };
        self.0.iter().filter(counts).map(|finding| finding.list.as_str())
    }

    /// The findings added up.
    pub fn weighed(&self) -> Weighed {
        weigh(&self.0)
    }

    /// The verdict as a word of conditions.
    pub(crate) fn verdict(&self) -> Option<Word> {
        match self.weighed().verdict? {
            Verdict::Reject => Some(Word::Reject),
            Verdict::Allow => Some(Word::Allow),
        }
    }

    /// The finding to name in a refusal: the heaviest of a list that rejects, else of one
    /// that counts.
    pub fn reason(&self) -> Option<String> {
        let heaviest = |action: Action| {
            let of_it = self.0.iter().filter(move |finding| finding.action == action);
            of_it.max_by_key(|finding| finding.weight)
        };
        let finding = heaviest(Action::Reject).or_else(|| heaviest(Action::Score))?;
        let codes = if finding.codes.is_empty() {
            String::new()
        } else {
            format!(" ({})", finding.codes.join(", "))
        };
        let own = finding.reason.as_deref().map(|r| format!("; {r}")).unwrap_or_default();
        Some(format!("{} is listed by {}{codes}{own}", finding.subject, finding.list))
    }
}

impl ListFacts {
    /// `text` with `{dnsbl}` and `{uribl}` replaced by what those lists found.
    pub fn worded(facts: Option<&Self>, text: &str) -> String {
        let said = |listings: Option<&Listings>| {
            listings.and_then(Listings::reason).unwrap_or_else(|| "listed".to_owned())
        };
        let client = facts.and_then(|facts| facts.client.as_ref());
        let content = facts.and_then(|facts| facts.content.as_ref());
        text.replace(CLIENT, &said(client)).replace(CONTENT, &said(content))
    }
}

/// Stands in the text of a reply for what lists of clients found.
pub const CLIENT: &str = "{dnsbl}";
/// Stands in the text of a reply for what lists of domains found.
pub const CONTENT: &str = "{uribl}";

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(list: &str, action: Action, weight: u32) -> Finding {
        Finding {
            list: list.to_owned(),
            subject: "192.0.2.1".to_owned(),
            codes: vec!["spam".to_owned()],
            action,
            weight,
            reason: Some("see https://list.example/".to_owned()),
        }
    }

    #[test]
    fn a_refusal_says_who_lists_whom_and_why() {
        let found = vec![
            finding("light", Action::Reject, 1),
            finding("heavy", Action::Reject, 9),
            finding("other", Action::Score, 99),
        ];
        let facts = ListFacts { client: Some(Listings(found)), ..ListFacts::default() };
        assert_eq!(
            ListFacts::worded(Some(&facts), "Refused: {dnsbl}"),
            "Refused: 192.0.2.1 is listed by heavy (spam); see https://list.example/"
        );
        assert_eq!(ListFacts::worded(None, "Refused: {uribl}"), "Refused: listed");
    }

    #[test]
    fn shadow_and_allow_lists_are_no_listing() {
        let quiet = vec![finding("a", Action::Shadow, 1), finding("b", Action::Allow, 1)];
        assert_eq!(Listings(quiet).names().count(), 0);
    }
}
