//! What lists say about clients and links, and how far they are to be believed.
//!
//! [`query`] makes the names to ask (RFC 5782), [`codes::Codes`] reads the answers,
//! [`health::Health`] suspends a list that is broken, [`weigh`] adds up what several lists
//! say, [`own::OwnList`] is a list from a file, [`uri`] finds the domains that a message
//! links to, [`greylist`] and [`reputation`] remember senders.
//!
//! Deliberately absent: DNS, clocks, disk. Questions, answers and instants are passed in.

pub mod codes;
pub mod greylist;
pub mod health;
pub mod own;
pub mod query;
pub mod reputation;
pub mod uri;
mod weigh;

pub use weigh::{Action, Finding, Verdict, Weighed, weigh};

/// The longest reason of a list that is shown to a client, in octets.
pub const REASON_MAX_OCTETS: usize = 200;

/// A list's own words made fit for a reply: visible ASCII, one line, at most
/// [`REASON_MAX_OCTETS`]. `None` when nothing is left.
///
/// ```
/// assert_eq!(lists::reason("see\r\n250 OK").as_deref(), Some("see 250 OK"));
/// assert_eq!(lists::reason("\u{7}"), None);
/// ```
pub fn reason(text: &str) -> Option<String> {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word: String = word.chars().filter(char::is_ascii_graphic).collect();
        if word.is_empty() {
            continue;
        }
        if out.len() + word.len() + 1 > REASON_MAX_OCTETS {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&word);
    }
    (!out.is_empty()).then_some(out)
}
