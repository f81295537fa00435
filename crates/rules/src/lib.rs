//! Ordered rules: what an administrator wants done with which mail, and why it was done.
//!
//! Rules are read top to bottom. A *setting* holds until a later rule changes it; the
//! first *verdict* ends it, for that recipient. Facts arrive in stages, and a rule is
//! decided at the first [`Stage`] at which it can be.
//!
//! Deliberately absent: sockets, DNS, clocks, the text of the configuration. Facts come in
//! as a value, a decision goes out as one.

pub mod action;
pub mod analysis;
pub mod built_in;
pub mod decision;
pub mod explanation;
pub mod fact;
pub mod facts;
pub mod fax;
mod flow_facts;
pub mod force_encrypt;
pub mod hints;
pub mod list_rules;
pub mod lists;
pub mod lookup;
mod matcher;
pub mod pattern;
pub mod policy;
pub mod rule;
pub mod scan;
pub mod settings;
mod show;
pub mod size;
pub mod stage;
pub mod story;
pub mod table;
pub mod test;
pub mod words;

pub use action::{Action, RelayHost, Response, Setting, SignIn, Verdict};
pub use analysis::{Finding, Severity, analyse};
pub use built_in::{SenderChecks, Treatment};
pub use decision::{Decision, Outcome};
pub use explanation::Explanation;
pub use fact::Fact;
pub use facts::{
    AccountKind, Attachment, Facts, HeaderField, MessageFacts, Moment, Ownership, RecipientFacts,
};
pub use facts::{AuthenticationFacts, SignatureFacts};
pub use fax::{FaxDenial, FaxFacts};
pub use flow_facts::FlowFacts;
pub use force_encrypt::ForceEncrypt;
pub use list_rules::ListRules;
pub use lists::ListFacts;
pub use pattern::Pattern;
pub use policy::{Number, Policy, RuleId, RuleSet};
pub use rule::{Condition, Origin, Rule, Statement};
pub use settings::Settings;
pub use stage::Stage;
pub use story::Story;
pub use table::{Entries, Table};
pub use test::{DomainPattern, Hours, Relation, Test, Value, Weekday, Word};
