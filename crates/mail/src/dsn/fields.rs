//! The part for programs: per-message and per-recipient fields (RFC 3464 section 2).

use super::{Action, Notice, REMOTE_TEXT_MAX_CHARS, RecipientNotice, clean};
use crate::Address;
use crate::header::NewField;

/// The longest single word that is written; longer ones are broken.
const WORD_MAX_CHARS: usize = 200;
/// The longest name of a host or envelope that is repeated, in characters.
const NAME_MAX_CHARS: usize = 255;

/// The fields of `notice`. Only where `global` may they hold characters beyond ASCII.
pub(super) fn delivery_status(notice: &Notice<'_>, global: bool) -> String {
    let mut fields = Fields { text: String::new(), global };
    fields.add("Reporting-MTA", &format!("dns; {}", notice.reporting_mta));
    if let Some(envid) = notice.envid {
        fields.add("Original-Envelope-Id", &clean(envid, NAME_MAX_CHARS));
    }
    if let Some(from) = notice.received_from {
        fields.add("Received-From-MTA", &format!("dns; {}", clean(from, NAME_MAX_CHARS)));
    }
    fields.add("Arrival-Date", &notice.arrival.to_rfc5322());
    for recipient in notice.recipients() {
        fields.text.push_str("\r\n");
        fields.recipient(recipient);
    }
    fields.text
}

struct Fields {
    text: String,
    global: bool,
}

impl Fields {
    fn recipient(&mut self, recipient: &RecipientNotice) {
        if let Some((kind, address)) = recipient.orcpt.as_deref().and_then(|o| o.split_once(';')) {
            let value = format!(
                "{}; {}",
                clean(kind, NAME_MAX_CHARS),
                self.address_text(&clean(address, 2 * NAME_MAX_CHARS))
            );
            self.add("Original-Recipient", &value);
        }
        let value = self.typed_address(&recipient.recipient);
        self.add("Final-Recipient", &value);
        self.add("Action", recipient.action.word());
        self.add("Status", &recipient.status.to_string());
        if let Some(host) = &recipient.remote_mta {
            self.add("Remote-MTA", &format!("dns; {}", clean(host, NAME_MAX_CHARS)));
        }
        if let Some(reply) = &recipient.reply {
            let reply = clean(reply, REMOTE_TEXT_MAX_CHARS);
            self.add("Diagnostic-Code", &format!("smtp; {reply}"));
        }
        if let Some(at) = recipient.last_attempt {
            self.add("Last-Attempt-Date", &at.to_rfc5322());
        }
        match recipient.action {
            Action::Delayed { retry_until } => {
                self.add("Will-Retry-Until", &retry_until.to_rfc5322());
            }
            Action::Failed | Action::Delivered | Action::Relayed | Action::Expanded => {}
        }
    }

    fn typed_address(&self, address: &Address) -> String {
        let kind = if address.needs_smtputf8() { "utf-8" } else { "rfc822" };
        format!("{kind}; {}", self.address_text(&address.to_string()))
    }

    /// An address as it may stand here: beyond ASCII only in the global form, else as
    /// `\x{E9}` (RFC 6533 section 3).
    fn address_text(&self, address: &str) -> String {
        if self.global || address.is_ascii() {
            return address.to_owned();
        }
        let escaped = |c: char| {
            if c.is_ascii() { c.to_string() } else { format!("\\x{{{:02X}}}", u32::from(c)) }
        };
        address.chars().map(escaped).collect()
    }

    fn add(&mut self, name: &str, value: &str) {
        let replace = |c: char| if c.is_ascii() || self.global { c } else { '?' };
        let value: String = value.chars().map(replace).collect();
        let words = value.split(' ').flat_map(pieces);
        self.text.push_str(NewField::folded(name, words).as_str());
    }
}

/// A word in pieces of at most [`WORD_MAX_CHARS`].
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.char_indices().nth(WORD_MAX_CHARS).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}
