//! Just enough HTML to find what it points to.

/// Attributes that hold a URL.
const POINTERS: [&str; 9] =
    ["href", "src", "action", "formaction", "background", "data", "poster", "srcset", "content"];
/// The longest attribute that is looked at, in octets.
const VALUE_MAX_OCTETS: usize = 8 * 1024;
/// The longest entity, in octets without `&` and `;`.
const ENTITY_MAX_OCTETS: usize = 8;

/// Gives the value of each attribute that points somewhere else, decoded, until `take`
/// says to stop.
pub(super) fn targets(html: &str, mut take: impl FnMut(&str) -> bool) {
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let name_end = rest.find(|c: char| c.is_whitespace() || ">/".contains(c));
        rest = &rest[name_end.unwrap_or(rest.len())..];
        // The attributes of one tag.
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if rest.is_empty() || rest.starts_with(['>', '<']) {
                break;
            }
            let end = rest.find(|c: char| c.is_whitespace() || "=><".contains(c));
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            let after_name = after.trim_start();
            let Some(value) = after_name.strip_prefix('=') else {
                // A name that is empty would not move on.
                rest = if name.is_empty() { &rest[rest.len().min(1)..] } else { after };
                continue;
            };
            let (value, after) = value_of(value.trim_start());
            rest = after;
            if is_pointer(name) && !taken(value, &mut take) {
                return;
            }
        }
    }
}

/// The value at the start of `text`, without its quotes, and what follows it.
fn value_of(text: &str) -> (&str, &str) {
    let quote = text.chars().next().filter(|c| *c == '"' || *c == '\'');
    match quote {
        Some(quote) => {
            let inner = &text[1..];
            match inner.find(quote) {
                Some(end) => (&inner[..end], &inner[end + 1..]),
                None => (inner, ""),
            }
        }
        None => {
            let end = text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len());
            text.split_at(end)
        }
    }
}

fn is_pointer(name: &str) -> bool {
    POINTERS.iter().any(|pointer| pointer.eq_ignore_ascii_case(name))
}

/// Hands over a value that leaves the message; false when no more are wanted.
fn taken(value: &str, take: &mut impl FnMut(&str) -> bool) -> bool {
    let mut end = value.len().min(VALUE_MAX_OCTETS);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    // Browsers take tabs and line ends out of a URL.
    let plain: String =
        entities(&value[..end]).chars().filter(|c| !"\t\r\n".contains(*c)).collect();
    let plain = plain.trim();
    // <meta http-equiv=refresh content="0; url=…">
    let target = match plain.to_ascii_lowercase().find("url=") {
        Some(at) if !plain[..at].contains("//") => plain[at + 4..].trim_matches(['"', '\'', ' ']),
        Some(_) | None => plain,
    };
    let leaves = target.starts_with("//")
        || target.starts_with("\\\\")
        || target.contains(":/")
        || target.contains(":\\")
        || target.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("mailto:"));
    !leaves || take(target)
}

/// The text with its character references decoded; those that no name has in it stay.
pub(super) fn entities(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let reference = &rest[at + 1..];
        let end = reference
            .bytes()
            .take(ENTITY_MAX_OCTETS)
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'#')
            .count();
        match decoded(&reference[..end]) {
            Some(c) => {
                out.push(c);
                rest = reference[end..].strip_prefix(';').unwrap_or(&reference[end..]);
            }
            None => {
                out.push('&');
                rest = reference;
            }
        }
    }
    out.push_str(rest);
    out
}

fn decoded(reference: &str) -> Option<char> {
    if let Some(number) = reference.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    match reference {
        "amp" | "AMP" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "period" => Some('.'),
        "sol" => Some('/'),
        "colon" => Some(':'),
        "commat" => Some('@'),
        "shy" => Some('\u{ad}'),
        "nbsp" => Some(' '),
        "Tab" => Some('\t'),
        "NewLine" => Some('\n'),
        "bsol" => Some('\\'),
        "hyphen" | "dash" => Some('-'),
        _ => None,
    }
}
