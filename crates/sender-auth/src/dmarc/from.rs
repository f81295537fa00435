//! Who the author is: the domains in the From field (RFC 5322 section 3.6.2).

use mail::Domain;
use mail::header::Header;

/// The most authors a message may have.
pub const AUTHORS_MAX: usize = 10;
/// How deep comments may stand in one another.
const COMMENTS_MAX: usize = 16;

/// The domains of the authors, each once, in order. Never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The domains.
    pub domains: Vec<Domain>,
}

/// Why nobody can say who the author is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FromError {
    /// There is no From field.
    #[error("the message has no From field")]
    Missing,
    /// There are several.
    #[error("the message has more than one From field")]
    Several,
    /// The field names nobody, or more than [`AUTHORS_MAX`].
    #[error("the From field has no address that can be understood")]
    Unclear,
}

impl Author {
    /// Finds the authors of a message.
    ///
    /// # Errors
    ///
    /// [`FromError`]; such a message must not be shown as from anybody.
    pub fn of(header: &Header<'_>) -> Result<Self, FromError> {
        let mut fields = header.all("From");
        let field = fields.next().ok_or(FromError::Missing)?;
        if fields.next().is_some() {
            return Err(FromError::Several);
        }
        Self::parse(&field.value()).ok_or(FromError::Unclear)
    }

    /// Reads the value of the field: mailboxes with names, quoted texts, comments, groups.
    fn parse(value: &str) -> Option<Self> {
        let mut domains: Vec<Domain> = Vec::new();
        for address in mailboxes(value)? {
            let (local, domain) = address.rsplit_once('@')?;
            if local.trim().is_empty() || local.contains('@') {
                return None;
            }
            let domain = Domain::parse(domain.trim()).ok()?;
            if !domains.contains(&domain) {
                domains.push(domain);
            }
            if domains.len() > AUTHORS_MAX {
                return None;
            }
        }
        (!domains.is_empty()).then_some(Self { domains })
    }
}

/// The addresses without names, comments and brackets. In place of a quoted text stands `q`,
/// so that nothing in it is taken for more than text.
fn mailboxes(value: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut angle: Option<String> = None;
    let mut in_angle = false;
    let mut depth = 0;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if depth > 0 {
            match c {
                '(' if depth < COMMENTS_MAX => depth += 1,
                '(' => return None,
                ')' => depth -= 1,
                '\\' => drop(chars.next()?),
                _ => {}
            }
            continue;
        }
        match (c, in_angle) {
            ('(', _) => depth = 1,
            ('"', _) => {
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => drop(chars.next()?),
                        _ => {}
                    }
                }
                if in_angle { angle.get_or_insert_default() } else { &mut plain }.push('q');
            }
            ('<', _) if angle.is_some() => return None,
            ('<', _) => {
                in_angle = true;
                angle = Some(String::new());
            }
            ('>', true) => in_angle = false,
            ('>', false) => return None,
            // The end of a group's name, and of the group.
            (':', false) => plain.clear(),
            (',' | ';', false) => end(&mut found, &mut plain, &mut angle),
            // A route before an address is obsolete and is left out.
            (':' | ',', true) => angle = Some(String::new()),
            (c, true) => angle.get_or_insert_default().push(c),
            (c, false) => plain.push(c),
        }
    }
    if depth > 0 || in_angle {
        return None;
    }
    end(&mut found, &mut plain, &mut angle);
    Some(found)
}

fn end(found: &mut Vec<String>, plain: &mut String, angle: &mut Option<String>) {
    let plain = std::mem::take(plain);
    let address = angle.take().unwrap_or(plain);
    if !address.trim().is_empty() {
        found.push(address.trim().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(value: &str) -> Option<Vec<String>> {
        let author = Author::parse(value)?;
        Some(author.domains.iter().map(Domain::to_string).collect())
    }

    #[test]
    fn the_domain_is_that_of_the_address_and_of_nothing_else() {
        for (value, expected) in [
            ("ann@clinic.example", "clinic.example"),
            ("Ann <ann@Clinic.Example>", "clinic.example"),
            ("\"ann@evil.example\" <ann@clinic.example>", "clinic.example"),
            ("\"a, <b@evil.example>\" <ann@clinic.example>", "clinic.example"),
            ("ann@evil.example <ann@clinic.example>", "clinic.example"),
            ("(c@evil.example (x) \\) ) ann@clinic.example (y)", "clinic.example"),
            ("\"odd@local\"@clinic.example", "clinic.example"),
            ("<@relay.example:ann@clinic.example>", "clinic.example"),
            ("Ann <ann@münchen.example>", "xn--mnchen-3ya.example"),
            ("ann @ clinic.example", "clinic.example"),
            ("ann@[192.0.2.1]", "[192.0.2.1]"),
        ] {
            assert_eq!(domains(value).unwrap(), [expected], "{value}");
        }
    }

    #[test]
    fn several_authors_have_several_domains() {
        let two = domains("a@one.example, B <b@two.example>, c@one.example").unwrap();
        assert_eq!(two, ["one.example", "two.example"]);
        assert_eq!(domains("us: a@one.example, b@two.example;").unwrap().len(), 2);
    }

    #[test]
    fn an_address_that_is_not_clear_is_none() {
        let deep = "(".repeat(20);
        let many: String = (0..11).map(|n| format!("a@d{n}.example,")).collect();
        for bad in [
            "",
            "Ann",
            "<>",
            "ann@",
            "@x.org",
            "<a@x.org> <b@y.org>",
            "a@x.org>",
            "<a@x.org",
            "\"a@x.org",
            "a@b@x.org",
            "a@x..org",
            "undisclosed:;",
            &deep,
            &many,
        ] {
            assert_eq!(domains(bad), None, "{bad}");
        }
    }
}
