//! Ordered rules: what an administrator wants done with which mail, and why it was done.
//!
//! Rules are read top to bottom. A *setting* holds until a later rule changes it; the
//! first *verdict* ends it, for that recipient. Facts arrive in stages, and a rule is
//! decided at the first [`Stage`] at which it can be.
//!
//! Deliberately absent: sockets, DNS, clocks, the text of the configuration. Facts come in
//! as a value, a decision goes out as one.

pub mod action;
pub mod fact;
pub mod facts;
pub mod force_encrypt;
pub mod lookup;
pub mod pattern;
pub mod rule;
pub mod size;
pub mod stage;
pub mod table;
pub mod test;
pub mod words;

pub use action::{Action, RelayHost, Response, Setting, SignIn, Verdict};
pub use fact::Fact;
pub use facts::{
    AccountKind, Attachment, Facts, HeaderField, MessageFacts, Moment, RecipientFacts,
};
pub use force_encrypt::ForceEncrypt;
pub use pattern::Pattern;
pub use rule::{Condition, Origin, Rule, Statement};
pub use stage::Stage;
pub use table::{Entries, Table};
pub use test::{DomainPattern, Hours, Relation, Test, Value, Weekday, Word};
