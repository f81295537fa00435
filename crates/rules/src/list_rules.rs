//! The built-in rules of lists and greylisting; there are those that the configuration asks for.

use mail::Status;

use crate::action::{Action, Response, Verdict};
use crate::fact::Fact;
use crate::lists::{CLIENT, CONTENT};
use crate::rule::{Condition, Origin, Rule, Statement};
use crate::test::{Relation, Test, Value, Word};

/// The name of the rule that refuses listed clients.
pub const DNSBL: &str = "dnsbl";
/// The name of the rule that refuses listed links.
pub const URIBL: &str = "uribl";
/// The name of the rule that lets strangers come again.
pub const GREYLISTING: &str = "greylisting";

/// Which of these rules there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListRules {
    /// There is a list of clients that rejects.
    pub dnsbl: bool,
    /// There is a list of domains that rejects.
    pub uribl: bool,
    /// Strangers are asked to come again.
    pub greylisting: bool,
}

impl ListRules {
    /// The rules, each with what it is for.
    pub(crate) fn rules(self) -> Vec<(Rule, &'static str)> {
        let mut rules = Vec::new();
        if self.dnsbl {
            let verdict = Verdict::Reject(response(550, 5, format!("Refused: {CLIENT}")));
            rules.push((
                rule(DNSBL, test(Fact::DnsblVerdict, Word::Reject), verdict),
                "Clients on a list that rejects are refused, unless allow lists outweigh it.",
            ));
        }
        if self.greylisting {
            let text = "Greylisted: please try again in a few minutes".to_owned();
            let verdict = Verdict::Defer(response(451, 4, text));
            rules.push((
                rule(GREYLISTING, test(Fact::Greylisting, Word::Waiting), verdict),
                "Strangers are asked to come again, as every real mail server does.",
            ));
        }
        if self.uribl {
            let verdict = Verdict::Reject(response(550, 5, format!("Refused: {CONTENT}")));
            rules.push((
                rule(URIBL, test(Fact::UriblVerdict, Word::Reject), verdict),
                "Messages with links to domains on a list that rejects are refused.",
            ));
        }
        rules
    }
}

fn test(fact: Fact, word: Word) -> Condition {
    let relation = Relation::Is(vec![Value::Word(word)]);
    Condition::Test(Test { fact, negated: false, relation, origin: Origin::BUILT_IN })
}

fn response(code: u16, class: u8, text: String) -> Response {
    Response { code, status: Status::new(class, 7, 1), text }
}

fn rule(name: &str, when: Condition, verdict: Verdict) -> Rule {
    let then = vec![Statement { action: Action::Verdict(verdict), origin: Origin::BUILT_IN }];
    Rule { name: name.into(), origin: Origin::BUILT_IN, when, then }
}
