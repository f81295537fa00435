//! The first lines of the demo: where it is and how to use it.

use std::path::Path;

use anyhow::Result;

use super::start::PERSON;
use super::{Operator, Place};

/// What people read when the demo has started, and how it is called.
///
/// # Errors
///
/// When the server does not say where it listens.
pub async fn text(
    place: &Place,
    operator: &Operator,
    new_password: Option<&str>,
) -> Result<String> {
    let listeners = operator.listeners().await?;
    let mut lines = Vec::new();
    let kinds = [
        ("smtp", "STARTTLS"),
        ("smtps", "TLS, sign in required"),
        ("submission", "STARTTLS, sign in required"),
    ];
    for (name, kind) in kinds {
        let Some(address) = listeners.get(name) else { continue };
        let label = if lines.is_empty() { "Mail in" } else { "" };
        lines.push(format!(
            "  {label:<12}{name:<11} {address:<16} {kind}",
            address = address.to_string()
        ));
    }
    let password = match new_password {
        Some(password) => format!("{PERSON}, password {password}"),
        None => PERSON.to_owned(),
    };
    let mut line = |label: &str, text: String| lines.push(format!("  {label:<12}{text}"));
    line("Sign in", password);
    line("", format!("(the password is kept in {})", short(&place.password())));
    line("Certificate", format!("made by a local authority: {}", short(&place.authority())));
    line("Rules", short(&place.configuration()));
    line("Data", format!("{}   (delete it to start again)", short(place.folder())));
    lines.push(String::new());
    lines.push(
        "  Domains     clinic.test and secure.clinic.test are yours; partner.test has TLS,"
            .to_owned(),
    );
    lines.push("              oldpartner.test has none, dropper.test breaks it off".to_owned());
    Ok(lines.join("\n"))
}

/// A path as people write it: below their home with a tilde.
pub fn short(path: &Path) -> String {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match home.as_ref().and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}
