//! xtext: how DSN parameters carry any text (RFC 3461 section 4).

use std::fmt::Write;

/// Why a text is not xtext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XtextError {
    /// A character that xtext would have written as `+` and two hexadecimal digits.
    #[error("it has a character that xtext must encode")]
    Character,
    /// `+` without two upper-case hexadecimal digits after it.
    #[error("it has a + without two hexadecimal digits")]
    Escape,
    /// What it stands for is not printable text.
    #[error("it stands for a control character or for octets that are not UTF-8")]
    Unprintable,
}

/// Decodes xtext. The text may stand for UTF-8, as RFC 6533 uses it, and never for
/// control characters.
///
/// # Errors
///
/// [`XtextError`] when the text is not xtext.
pub fn decode(text: &str) -> Result<String, XtextError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => octets.push(escaped(rest.next(), rest.next()).ok_or(XtextError::Escape)?),
            b'=' | 0..=b' ' | 0x7f => return Err(XtextError::Character),
            plain => octets.push(plain),
        }
    }
    let decoded = String::from_utf8(octets).map_err(|_| XtextError::Unprintable)?;
    if decoded.chars().any(char::is_control) {
        return Err(XtextError::Unprintable);
    }
    Ok(decoded)
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| match byte? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

/// Encodes `text` as xtext, in ASCII.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'+' && byte != b'=' {
            encoded.push(char::from(byte));
        } else {
            // Writing to memory cannot fail.
            let _ = write!(encoded, "+{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_xtext_is_decoded() {
        assert_eq!(decode("a+2Bb+3Dc+20d"), Ok("a+b=c d".to_owned()));
        assert_eq!(decode("a+2bb"), Err(XtextError::Escape));
        assert_eq!(decode("a+2"), Err(XtextError::Escape));
        assert_eq!(decode("a=b"), Err(XtextError::Character));
        assert_eq!(decode("a+0D+0Ab"), Err(XtextError::Unprintable));
        assert_eq!(decode("+FF"), Err(XtextError::Unprintable));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_the_same(text in "\\PC{0,60}") {
            prop_assert!(encode(&text).is_ascii());
            prop_assert_eq!(decode(&encode(&text)), Ok(text));
        }
    }
}
