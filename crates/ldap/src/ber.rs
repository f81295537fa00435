//! As much of BER (X.690) as LDAP uses: definite lengths and tags of one octet (RFC 4511
//! section 5.1).

use crate::Error;

/// Octets of one message that is read.
pub const MESSAGE_MAX_OCTETS: usize = 256 * 1024;

/// Tags.
pub mod tag {
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// OCTET STRING.
    pub const OCTETS: u8 = 0x04;
    /// ENUMERATED.
    pub const ENUMERATED: u8 = 0x0a;
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
}

/// One value: its tag, its length, its content.
pub fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut octets = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => octets.push(short),
        Ok(_) | Err(_) => {
            let length = content.len().to_be_bytes();
            let skipped = length.iter().take_while(|octet| **octet == 0).count();
            let significant = &length[skipped..];
            octets.push(0x80 | significant.len() as u8);
            octets.extend_from_slice(significant);
        }
    }
    octets.extend_from_slice(content);
    octets
}

/// An INTEGER or ENUMERATED that is not negative.
pub fn number(tag: u8, number: u32) -> Vec<u8> {
    let octets = number.to_be_bytes();
    let skipped = octets.iter().take_while(|octet| **octet == 0).count().min(3);
    let mut content = octets[skipped..].to_vec();
    if content.first().is_some_and(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    value(tag, &content)
}

/// Reads values one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value, whatever its tag.
    pub fn any(&mut self) -> Result<(u8, &'a [u8]), Error> {
        match whole(self.0)? {
            Some((tag, header, length)) => {
                let content = &self.0[header..header + length];
                self.0 = &self.0[header + length..];
                Ok((tag, content))
            }
            None => Err(Error::Malformed("a value is cut off")),
        }
    }

    /// The next value, which has this tag.
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], Error> {
        match self.any()? {
            (found, content) if found == tag => Ok(content),
            (_, _) => Err(Error::Malformed("a value is of another kind")),
        }
    }

    /// The next value, a number that is not negative.
    pub fn number(&mut self, tag: u8) -> Result<u32, Error> {
        let content = self.expect(tag)?;
        if content.is_empty() || content.len() > 5 || content[0] >= 0x80 {
            return Err(Error::Malformed("a number is out of range"));
        }
        let number = content.iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
        u32::try_from(number).map_err(|_| Error::Malformed("a number is out of range"))
    }

    /// The next value, text.
    pub fn text(&mut self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(self.expect(tag::OCTETS)?).into_owned())
    }
}

/// Tag, octets of the header and of the content of the value that begins here; `None` while it
/// is not whole.
pub fn whole(octets: &[u8]) -> Result<Option<(u8, usize, usize)>, Error> {
    let [tag, first, ..] = octets else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Error::Malformed("a tag has more than one octet"));
    }
    let (header, length) = if *first < 0x80 {
        (2, usize::from(*first))
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return Err(Error::Malformed("a length is indefinite or too long"));
        }
        let Some(octets) = octets.get(2..2 + count) else { return Ok(None) };
        (2 + count, octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)))
    };
    if length > MESSAGE_MAX_OCTETS {
        return Err(Error::Malformed("a value is too long"));
    }
    Ok((octets.len() >= header + length).then_some((*tag, header, length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let written = value(tag::OCTETS, &content);
            assert_eq!(Reader(&written).expect(tag::OCTETS).unwrap(), content);
        }
        for n in [0, 1, 127, 128, 255, 256, 65_535, u32::MAX] {
            let written = number(tag::INTEGER, n);
            assert_eq!(Reader(&written).number(tag::INTEGER).unwrap(), n);
        }
        assert_eq!(number(tag::INTEGER, 128), [2, 2, 0, 128]);
    }

    #[test]
    fn what_is_not_our_part_of_ber_is_refused() {
        for bad in [
            &[0x30, 0x80, 0][..],
            &[0x1f, 1, 0],
            &[0x04, 0x85, 1, 1, 1, 1, 1],
            &[0x04, 0x84, 0xff, 0, 0, 0],
        ] {
            assert!(whole(bad).is_err(), "{bad:?}");
        }
        for short in [&[][..], &[0x30], &[0x30, 2, 1], &[0x30, 0x82, 1]] {
            assert!(whole(short).unwrap().is_none(), "{short:?}");
        }
        assert!(Reader(&[2, 1, 0x80]).number(tag::INTEGER).is_err());
        assert!(Reader(&[2, 0]).number(tag::INTEGER).is_err());
    }

    proptest! {
        #[test]
        fn no_octets_make_the_reader_panic(octets in any::<Vec<u8>>()) {
            let mut reader = Reader(&octets);
            while let Ok((_, content)) = reader.any() {
                let _ = Reader(content).any();
                let _ = Reader(content).number(tag::INTEGER);
            }
        }
    }
}
