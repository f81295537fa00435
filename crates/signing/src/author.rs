//! Who a message says it is from.

use mail::Address;
use mail::header::Header;

/// The one author of a message, as its `From` field names them. `None` where the field is
/// missing, is there twice, names several people or cannot be read: nobody vouches for that.
pub fn author(header: &Header<'_>) -> Option<Address> {
    let mut fields = header.all("From");
    let field = fields.next()?;
    if fields.next().is_some() {
        return None;
    }
    let value = field.value();
    let bare = without_comments_and_quotes(&value)?;
    if bare.contains([',', ';']) || bare.matches('<').count() > 1 {
        return None;
    }
    let spec = match bare.split_once('<') {
        Some((_, rest)) => {
            let (inside, after) = rest.split_once('>')?;
            if !after.trim().is_empty() {
                return None;
            }
            inside.to_owned()
        }
        None => bare,
    };
    Address::parse(spec.trim()).ok()
}

/// The value without comments and display names in quotes, so that a comma or an angle
/// bracket in those does not count. A quoted local part is not wanted here.
fn without_comments_and_quotes(value: &str) -> Option<String> {
    let mut bare = String::with_capacity(value.len());
    let mut depth = 0_u32;
    let mut quoted = false;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted || depth > 0 => {
                characters.next()?;
            }
            '"' if depth == 0 => quoted = !quoted,
            _ if quoted => {}
            '(' => depth = depth.checked_add(1)?,
            ')' => depth = depth.checked_sub(1)?,
            _ if depth > 0 => {}
            _ => bare.push(character),
        }
    }
    (!quoted && depth == 0).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(from: &str) -> Option<String> {
        let message = format!("{from}\r\n\r\n");
        author(&Header::scan(message.as_bytes()).unwrap()).map(|address| address.to_string())
    }

    #[test]
    fn the_author_is_the_one_address_of_from() {
        for from in [
            "From: ann@example.com",
            "From: <ann@example.com>",
            "From: Ann <ann@example.com>",
            "From: \"Ann, \\\"<b@c.d>\\\"\" <ann@example.com>",
            "From: ann@example.com (home, <x@y.z>)",
            "From: Ann\r\n <ann@example.com>",
        ] {
            assert_eq!(of(from).as_deref(), Some("ann@example.com"), "{from}");
        }
    }

    #[test]
    fn nobody_is_the_author_where_a_reader_could_see_another() {
        for from in [
            "Subject: x",
            "From: ann@example.com\r\nFrom: bob@example.com",
            "From: ann@example.com, bob@example.com",
            "From: <ann@example.com> <bob@example.com>",
            "From: Ann <ann@example.com> bob@example.com",
            "From: \"Ann <ann@example.com>",
            "From: (ann@example.com",
            "From: undisclosed:;",
        ] {
            assert_eq!(of(from), None, "{from}");
        }
    }
}
