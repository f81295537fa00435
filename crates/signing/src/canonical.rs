//! The relaxed forms of a field and of a body (RFC 6376 sections 3.4.2 and 3.4.4), as those who
//! verify have them.

use sender_auth::canonical::{self, Canonicalization};

/// SHA-256 of a body in its relaxed form: what `bh=` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHash(pub [u8; 32]);

/// Takes a body piece by piece and hashes its relaxed form.
pub struct BodyHasher(canonical::BodyHash);

impl Default for BodyHasher {
    fn default() -> Self {
        Self(canonical::BodyHash::new(Canonicalization::Relaxed, None))
    }
}

impl BodyHasher {
    /// Takes the next piece; it may end anywhere.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.push(piece);
    }

    /// The hash of everything taken. Empty lines at the end do not count, and a body that is
    /// not empty ends with one line end.
    pub fn finish(self) -> BodyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().sha256.as_ref());
        BodyHash(hash)
    }
}

/// Appends the relaxed form of a field, with its line end: the name in lower case, the value
/// unfolded, each run of white space one space, none around it.
pub(crate) fn relaxed_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    canonical::field(Canonicalization::Relaxed, name.as_bytes(), value, out);
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use proptest::prelude::*;

    use super::*;

    fn relaxed(body: &[u8]) -> BodyHash {
        let mut hasher = BodyHasher::default();
        hasher.update(body);
        hasher.finish()
    }

    fn sha256(octets: &[u8]) -> BodyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, octets).as_ref());
        BodyHash(hash)
    }

    #[test]
    fn the_example_of_the_standard_has_its_relaxed_form() {
        // RFC 6376 section 3.4.5.
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(relaxed(body), sha256(b" C\r\nD E\r\n"));
        let mut field = Vec::new();
        relaxed_field("A", b" X\r\n", &mut field);
        relaxed_field("B ", b" Y\t\r\n\tZ  \r\n", &mut field);
        assert_eq!(field, b"a:X\r\nb:Y Z\r\n");
    }

    #[test]
    fn a_body_of_nothing_or_of_empty_lines_is_empty() {
        for body in [&b""[..], b"\r\n", b"\r\n\r\n", b" \t\r\n \r\n"] {
            assert_eq!(relaxed(body), sha256(b""), "{body:?}");
        }
    }

    #[test]
    fn a_last_line_without_its_end_gets_one_and_empty_lines_inside_stay() {
        assert_eq!(relaxed(b"a\r\n\r\n\r\nb"), sha256(b"a\r\n\r\n\r\nb\r\n"));
        assert_eq!(relaxed(b"a"), sha256(b"a\r\n"));
        assert_eq!(relaxed(b"a \r\n \r\n"), sha256(b"a\r\n"));
    }

    #[test]
    fn a_bare_cr_is_content() {
        assert_eq!(relaxed(b"a\rb\r"), sha256(b"a\rb\r\r\n"));
        assert_eq!(relaxed(b"a\r\r\nb"), sha256(b"a\r\r\nb\r\n"));
    }

    proptest! {
        #[test]
        fn where_a_piece_ends_does_not_matter(
            body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'x')], 0..200),
            at in 0usize..200,
        ) {
            let at = at.min(body.len());
            let mut hasher = BodyHasher::default();
            hasher.update(&body[..at]);
            hasher.update(&body[at..]);
            prop_assert_eq!(hasher.finish(), relaxed(&body));
        }
    }
}
