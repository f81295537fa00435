//! What tests of faxes ask a server, and how they read the mails that faxes become.

use base64::Engine as _;
use serde_json::Value;

use super::{Server, wait_for};

/// The faxes that the server knows.
pub fn faxes(server: &Server) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&server.ok(&["fax", "jobs", "--json"])).unwrap();
    answer["faxes"].as_array().cloned().unwrap_or_default()
}

/// Waits until a fax stands so.
pub fn wait_for_state(server: &Server, state: &str) -> Value {
    wait_for(|| faxes(server).into_iter().find(|fax| fax["state"] == state))
        .unwrap_or_else(|| panic!("no fax is {state}: {:?}\n{}", faxes(server), server.log()))
}

/// Waits until there is a fax.
pub fn wait_for_fax(server: &Server) -> Value {
    wait_for(|| faxes(server).into_iter().next())
        .unwrap_or_else(|| panic!("no fax: {}", server.log()))
}

/// Waits until no mail is under way: one may come twice where the server falls between a
/// mailbox and its own books.
pub fn wait_until_quiet(server: &Server) {
    let is_quiet = || {
        let queue: Value = serde_json::from_str(&server.ok(&["queue", "list", "--json"])).ok()?;
        queue["entries"].as_array()?.is_empty().then_some(())
    };
    assert!(wait_for(is_quiet).is_some(), "{}", server.log());
}

/// The attached file of a kind in a mail.
pub fn attached(mail: &str, kind: &str) -> Vec<u8> {
    let (_, part) = mail.split_once(&format!("Content-Type: {kind}")).expect("an attachment");
    let (_, body) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n")).unwrap();
    let coded: String = body.lines().take_while(|line| !line.starts_with("--")).collect();
    base64::prelude::BASE64_STANDARD.decode(coded).expect("base64")
}
