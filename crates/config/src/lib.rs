//! The configuration text: lossless tree, diagnostics, the typed model, edits.
//!
//! [`load`] and [`parse`] give a [`Config`] and every [`Diagnostic`] at once. A configuration
//! with an error is no configuration: a reload takes all of it or nothing.
//! The language is a few lexical rules ([`lexer`]) and one table of directives ([`schema`]),
//! from which checks, defaults, the JSON twin ([`json`]) and the manual page ([`manual`]) follow.
//!
//! Deliberately absent: sockets, DNS, the store, and what the values do.

mod build;
mod check;
pub mod code;
pub mod diagnostic;
pub mod diff;
pub mod edit;
pub mod format;
pub mod json;
pub mod lexer;
mod load;
pub mod located;
pub mod manual;
pub mod model;
pub mod quantity;
pub mod schema;
pub mod secret;
pub mod source;
pub mod tree;
pub mod value;
pub mod world;

pub use code::{Code, explain_code};
pub use diagnostic::{Diagnostic, Severity};
pub use load::{Outcome, load, load_in, parse, read};
pub use located::Located;
pub use manual::manual_markdown;
pub use model::Config;
pub use secret::{Revealed, Secret, SecretError};
pub use source::{FileId, Sources, Span};
pub use world::{Disk, Kept, Memory, World};
