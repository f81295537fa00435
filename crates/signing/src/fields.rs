//! Which fields a signature covers.

use mail::header::{Field, Header};

/// Fields that are signed, in the order in which `h=` names them. Those marked are named once
/// more than they occur, so that nobody can add another (RFC 6376 section 8.15): a second
/// `From` or `Subject` is what a reader would see.
const SIGNED: &[(&str, bool)] = &[
    ("From", true),
    ("Sender", true),
    ("Reply-To", true),
    ("Subject", true),
    ("Date", true),
    ("Message-ID", true),
    ("To", true),
    ("Cc", true),
    ("In-Reply-To", false),
    ("References", false),
    ("MIME-Version", true),
    ("Content-Type", true),
    ("Content-Transfer-Encoding", true),
    ("Content-Disposition", false),
    ("List-Id", false),
    ("List-Help", false),
    ("List-Unsubscribe", false),
    ("List-Unsubscribe-Post", false),
    ("List-Post", false),
    ("Autocrypt", false),
];

/// What a signature covers: the names for `h=`, and the fields they mean.
pub(crate) struct Covered<'a> {
    pub(crate) names: Vec<&'static str>,
    pub(crate) fields: Vec<Field<'a>>,
}

/// The fields of `header` that are signed. Of several with one name the lowest comes first
/// (RFC 6376 section 5.4.2); a name with no field left stands for its absence.
pub(crate) fn covered<'a>(header: &Header<'a>) -> Covered<'a> {
    let mut covered = Covered { names: Vec::new(), fields: Vec::new() };
    for &(name, once_more) in SIGNED {
        let mut found: Vec<Field<'a>> = header.all(name).collect();
        found.reverse();
        covered.names.extend(std::iter::repeat_n(name, found.len() + usize::from(once_more)));
        covered.fields.extend(found);
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_is_covered_lowest_first_and_no_more_can_be_added() {
        let message = b"To: a\r\nList-Id: l\r\nFrom: x\r\nTo: b\r\nX-Other: y\r\n\r\n";
        let covered = covered(&Header::scan(message).unwrap());
        let values: Vec<_> = covered.fields.iter().map(mail::header::Field::value).collect();
        assert_eq!(values, ["x", "b", "a", "l"]);
        let count = |name| covered.names.iter().filter(|n| **n == name).count();
        assert_eq!((count("From"), count("To"), count("Subject")), (2, 3, 1));
        assert_eq!((count("List-Id"), count("References"), count("X-Other")), (1, 0, 0));
    }
}
