//! Lists of `tag=value` between semicolons (RFC 6376 section 3.2), as signatures, keys and
//! policies are written.

use std::str;

/// The most tags of a list that are read.
pub const TAGS_MAX: usize = 64;

/// Tags and their values, in the order they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags<'a> {
    list: Vec<(&'a str, &'a str)>,
}

/// Why a text is not a list of tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Octets that are not UTF-8.
    #[error("it is not text")]
    NotText,
    /// Something without `=`, or with a name that is none.
    #[error("\"{0}\" is not a tag")]
    NotATag(String),
    /// A tag stands twice, which makes the whole list invalid.
    #[error("the tag {0}= stands twice")]
    Twice(String),
    /// More than [`TAGS_MAX`].
    #[error("there are more than {TAGS_MAX} tags")]
    TooMany,
}

impl<'a> Tags<'a> {
    /// Reads a list. Folding and blanks round names and values are taken off.
    ///
    /// # Errors
    ///
    /// [`TagError`]; the list as a whole then counts for nothing.
    pub fn parse(text: &'a [u8]) -> Result<Self, TagError> {
        let text = str::from_utf8(text).map_err(|_| TagError::NotText)?;
        let mut list: Vec<(&str, &str)> = Vec::new();
        let mut parts = text.split(';').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() && part.trim_matches(is_blank).is_empty() {
                break;
            }
            if list.len() == TAGS_MAX {
                return Err(TagError::TooMany);
            }
            let wrong =
                || TagError::NotATag(part.trim_matches(is_blank).chars().take(40).collect());
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let name = name.trim_matches(is_blank);
            let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
            if !first || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(wrong());
            }
            if list.iter().any(|(known, _)| *known == name) {
                return Err(TagError::Twice(name.to_owned()));
            }
            list.push((name, value.trim_matches(is_blank)));
        }
        Ok(Self { list })
    }

    /// The value of a tag; names are compared with regard to case (RFC 6376 section 3.2).
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.list.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The value of a tag without any blanks or folding inside, as base64 is written.
    pub fn compact(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.chars().filter(|c| !is_blank(*c)).collect())
    }

    /// The value of a tag as a list between colons.
    pub fn colons(&self, name: &str) -> Option<Vec<&'a str>> {
        self.get(name)
            .map(|value| value.split(':').map(|part| part.trim_matches(is_blank)).collect())
    }

    /// The tag that stands first.
    pub fn first(&self) -> Option<(&'a str, &'a str)> {
        self.list.first().copied()
    }

    /// All tags, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.list.iter().copied()
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_folding_are_no_part_of_a_value() {
        let tags = Tags::parse(b" v=1; b = ab\r\n\tcd ;h=from : to ; ").unwrap();
        assert_eq!(tags.get("v"), Some("1"));
        assert_eq!(tags.compact("b").as_deref(), Some("abcd"));
        assert_eq!(tags.colons("h").unwrap(), ["from", "to"]);
        assert_eq!((tags.first(), tags.get("B")), (Some(("v", "1")), None));
        assert_eq!(Tags::parse(b"p=").unwrap().get("p"), Some(""));
    }

    #[test]
    fn a_list_with_one_bad_tag_counts_for_nothing() {
        for (text, wrong) in [
            (&b"v=1; v=1"[..], "the tag v= stands twice"),
            (b"v=1; b", "\"b\" is not a tag"),
            (b"v=1;; b=2", "\"\" is not a tag"),
            (b"1v=1", "\"1v=1\" is not a tag"),
            (b"v\xff=1", "it is not text"),
        ] {
            assert_eq!(Tags::parse(text).unwrap_err().to_string(), wrong);
        }
        let many: String = (0..65).map(|n| format!("t{n}=;")).collect();
        assert_eq!(Tags::parse(many.as_bytes()), Err(TagError::TooMany));
    }
}
