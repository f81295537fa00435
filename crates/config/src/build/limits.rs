//! `limits { }`, outside and in listeners.

use crate::check::{FromValue, Section};
use crate::located::Located;
use crate::model::Limits;

/// A limit that is written here, or the one outside, or the default.
fn limit<T: FromValue + Clone>(
    section: &Section<'_>,
    name: &str,
    outside: Option<&Located<T>>,
) -> Option<Located<T>> {
    match outside {
        Some(outside) if section.written(name).is_none() => Some(outside.clone()),
        Some(_) | None => section.value(name),
    }
}

/// The limits of a block; what it does not say comes from `outside`.
pub(super) fn limits(section: &Section<'_>, outside: Option<&Limits>) -> Option<Limits> {
    let o = outside;
    Some(Limits {
        message: limit(section, "message", o.map(|o| &o.message))?,
        header: limit(section, "header", o.map(|o| &o.header))?,
        line: limit(section, "line", o.map(|o| &o.line))?,
        recipients: limit(section, "recipients", o.map(|o| &o.recipients))?,
        connections: limit(section, "connections", o.map(|o| &o.connections))?,
        connections_per_network: limit(
            section,
            "connections-per-network",
            o.map(|o| &o.connections_per_network),
        )?,
        messages_per_connection: limit(
            section,
            "messages-per-connection",
            o.map(|o| &o.messages_per_connection),
        )?,
        commands: limit(section, "commands", o.map(|o| &o.commands))?,
        errors: limit(section, "errors", o.map(|o| &o.errors))?,
        sign_in_failures: limit(section, "sign-in-failures", o.map(|o| &o.sign_in_failures))?,
        received_hops: limit(section, "received-hops", o.map(|o| &o.received_hops))?,
        data_rate: limit(section, "data-rate", o.map(|o| &o.data_rate))?,
    })
}
