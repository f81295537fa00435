//! Characters that hide a name from a program and not from a person.

/// Undoes them: invisible characters go, wide ones become narrow, `[.]` a dot, `hxxp` http.
pub(super) fn undo(text: &str) -> String {
    let mut plain: String = text.chars().filter_map(visible).collect();
    for (written, meant) in [("[.]", "."), ("(.)", "."), ("[dot]", "."), ("(dot)", ".")] {
        if plain.contains(written) {
            plain = plain.replace(written, meant);
        }
    }
    for (written, meant) in [("hxxp", "http"), ("HXXP", "http"), ("hXXp", "http")] {
        if plain.contains(written) {
            plain = plain.replace(written, meant);
        }
    }
    letters(plain)
}

/// Decodes `%65` where it stands for a character of a name.
fn letters(text: String) -> String {
    if !text.contains('%') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 3);
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value.filter(|value| value.is_ascii_alphanumeric() || b".-".contains(value)) {
            Some(value) => {
                out.push(char::from(value));
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn visible(c: char) -> Option<char> {
    match c {
        '\u{ad}'
        | '\u{34f}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}' => None,
        '\u{3002}' | '\u{ff61}' | '\u{2024}' => Some('.'),
        '\\' => Some('/'),
        // The full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0),
        c => Some(c),
    }
}
