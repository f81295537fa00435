//! Whose the addresses are that a message says it is from.

use mail::header::Header;
use mail::{Address, ReversePath};
use rules::Ownership;

use super::Conversation;

impl Conversation {
    /// Whose the reverse-path is; nothing when nobody signed in.
    pub(super) fn sender_ownership(&self, sender: &ReversePath) -> Option<Ownership> {
        let account = Address::parse(self.sign_in.identity()?).ok()?;
        let directory = self.server.accounts.directory();
        let is_own = sender.address().is_none_or(|sender| directory.may_send_as(&account, sender));
        Some(Ownership { sender: Some(is_own), from: None })
    }

    /// The same with whose the addresses in the From field are.
    pub(super) fn header_ownership(&self, header: &Header<'_>) -> Option<Ownership> {
        let known = self.facts.ownership?;
        let account = Address::parse(self.sign_in.identity()?).ok()?;
        let directory = self.server.accounts.directory();
        let from = authors(header);
        let is_own = !from.is_empty()
            && from.iter().all(|address| {
                address.as_ref().is_some_and(|address| directory.may_send_as(&account, address))
            });
        Some(Ownership { from: Some(is_own), ..known })
    }
}

/// The addresses of every From field (RFC 5322 section 3.6.2), at most [`AUTHORS_MAX`]; `None`
/// in place of one that cannot be understood.
fn authors(header: &Header<'_>) -> Vec<Option<Address>> {
    let values: Vec<String> =
        header.all("From").map(|field| plain(&field.value()).unwrap_or_default()).collect();
    let mailboxes = values.iter().flat_map(|value| value.split([',', ';']));
    mailboxes
        .map(|mailbox| match mailbox.split_once('<') {
            Some((_, rest)) => rest.split_once('>').map(|(address, _)| address.trim()),
            // The name of a group stands before its colon.
            None => Some(mailbox.rsplit(':').next().unwrap_or_default().trim()),
        })
        .filter(|address| *address != Some(""))
        .take(AUTHORS_MAX)
        .map(|address| Address::parse(address?).ok())
        .collect()
}

/// The text without comments and quoted parts, so that none of it is taken for an address.
/// `None` when they are not closed.
fn plain(value: &str) -> Option<String> {
    let mut plain = String::new();
    let mut comments = 0_u32;
    let mut quoted = false;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, quoted, comments) {
            ('\\', true, _) | ('\\', false, 1..) => drop(chars.next()?),
            ('"', _, 0) => quoted = !quoted,
            ('(', false, _) => comments += 1,
            (')', false, 1..) => comments -= 1,
            (_, false, 0) => plain.push(c),
            (_, _, _) => {}
        }
    }
    (!quoted && comments == 0).then_some(plain)
}

/// Authors of one message that are looked at.
const AUTHORS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn from(fields: &str) -> Vec<Option<String>> {
        let message = format!("{fields}Subject: x\r\n\r\n");
        let header = Header::scan(message.as_bytes()).unwrap();
        authors(&header).into_iter().map(|address| Some(address?.to_string())).collect()
    }

    #[test]
    fn authors_are_found_and_nothing_else_is_taken_for_one() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(from("From: ann@x.test\r\n"), [some("ann@x.test")]);
        assert_eq!(from("From: Ann <ann@x.test>\r\n"), [some("ann@x.test")]);
        assert_eq!(from("From: \"bob@x.test, <c@x.test>\" <ann@x.test>\r\n"), [some("ann@x.test")]);
        assert_eq!(from("From: ann@x.test (bob@x.test, \\) x)\r\n"), [some("ann@x.test")]);
        assert_eq!(from("From: a@x.test, B <b@x.test>\r\n"), [some("a@x.test"), some("b@x.test")]);
        assert_eq!(
            from("From: a@x.test\r\nFrom: b@x.test\r\n"),
            [some("a@x.test"), some("b@x.test")]
        );
        assert_eq!(from("From: Friends: a@x.test;\r\n"), [some("a@x.test")]);
        assert_eq!(from("From: Ann\r\n"), [None]);
        assert_eq!(from("From: \"open <ann@x.test>\r\n"), []);
        assert_eq!(from(""), []);
    }
}
