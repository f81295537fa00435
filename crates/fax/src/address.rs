//! The local part of a fax address: a number, perhaps a name, perhaps options.
//!
//! ```text
//! 5550100   +1.202.555-0123   FAX=+12025550123/T33S=6377      RFC 3191, RFC 3192
//! anne.anderson.5550100       5550100/nocover/bill=1234       5550100^COMPANY=Clinic^NOCOVER
//! ```

use crate::number::{Number, NumberError, Plan};
use crate::options::{OptionError, Options};

/// Whom a fax address means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The number that is called.
    pub number: Number,
    /// What the address asks for.
    pub options: Options,
}

/// Why a local part is no fax address. [`std::fmt::Display`] is for the sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// The number.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// An option.
    #[error(transparent)]
    Option(#[from] OptionError),
}

impl Recipient {
    /// Reads the local part of a fax address, in any of its forms.
    ///
    /// # Errors
    ///
    /// [`RecipientError`] when it names no number that may be called, or an unknown option.
    pub fn read(local: &str, plan: &Plan) -> Result<Self, RecipientError> {
        let mut words = local.split(['/', '^']);
        let first = words.next().unwrap_or_default();
        let first = strip_prefix_in_any_case(first, "fax=").unwrap_or(first);
        let mut options = Options::default();
        let number = match name_and_number(first) {
            Some((name, number)) => {
                options.set("to", Some(&name))?;
                plan.read(number)?
            }
            None => plan.read(first)?,
        };
        for word in words {
            options.set_word(word)?;
        }
        Ok(Self { number, options })
    }
}

/// `anne.anderson.5550100`: the last field is the number, the others are a name.
fn name_and_number(text: &str) -> Option<(String, &str)> {
    let (name, number) = text.rsplit_once('.')?;
    let is_number = number.bytes().all(|b| b.is_ascii_digit() || b == b'+' || b == b'-');
    let is_name = name.chars().any(char::is_alphabetic);
    (is_number && is_name).then(|| (name.replace(['.', '_'], " "), number))
}

fn strip_prefix_in_any_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Cover;

    fn read(local: &str) -> Result<Recipient, RecipientError> {
        let mut plan = Plan::of("US".parse().unwrap());
        plan.area_code = Some("202".parse().unwrap());
        Recipient::read(local, &plan)
    }

    #[test]
    fn every_form_of_a_fax_address_rings_the_same_machine() {
        for local in [
            "5550100",
            "+12025550100",
            "+1 202 555 0100",
            "+1-202-555-0100",
            "FAX=+12025550100",
            "fax=+1.202.555.0100/T33S=12",
            "anne.anderson.5550100",
            "Anne_Anderson.5550100",
            "5550100/nocover/bill=1234",
            "5550100^COMPANY=Clinic^NOCOVER",
            "+12025550100/ATTN=Anne_Anderson/ORG=Clinic",
        ] {
            assert_eq!(read(local).unwrap().number.as_str(), "+12025550100", "{local}");
        }
    }

    #[test]
    fn an_address_carries_a_name_a_sub_address_and_options() {
        let anne = read("anne.anderson.5550100").unwrap().options;
        assert_eq!(anne.name.as_deref(), Some("anne anderson"));
        let machine = read("FAX=+12025550100/T33S=6377").unwrap().options;
        assert_eq!(machine.subaddress.as_deref(), Some("6377"));
        let flags = read("5550100^COMPANY=Good_Clinic^NOCOVER").unwrap().options;
        assert_eq!(flags.company.as_deref(), Some("Good Clinic"));
        assert_eq!(flags.cover, Some(Cover::Never));
    }

    #[test]
    fn what_is_no_fax_address_is_refused_in_words() {
        for (local, says) in [
            ("abc", "not a fax number"),
            ("FAX=", "not a fax number"),
            ("anne.anderson", "not a fax number"),
            ("911", "emergency"),
            ("19005550123", "premium-rate"),
            ("5550100/nocovr", "\"nocovr\" is not known"),
            ("5550100//", "is not known"),
        ] {
            let error = read(local).unwrap_err().to_string();
            assert!(error.contains(says), "{local}: {error}");
        }
    }
}
