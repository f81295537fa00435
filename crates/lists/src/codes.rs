//! What the addresses mean that a list answers with (RFC 5782 section 2.3).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The most codes of one list.
pub const CODES_MAX: usize = 64;

/// One meaning: which answers have it, its name, and its weight if it has one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Which answers.
    pub pattern: Pattern,
    /// What they say: `exploits`.
    pub name: String,
    /// How much they weigh; `None` for the weight of the list.
    pub weight: Option<u32>,
}

/// An IPv4 address each octet of which is a number, a range `4-7`, `*`, or `&2`: has one of
/// these bits.
///
/// ```
/// let pattern: lists::codes::Pattern = "127.0.0.&6".parse().unwrap();
/// assert!(pattern.fits([127, 0, 0, 2].into()) && !pattern.fits([127, 0, 0, 8].into()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern([Octet; 4]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Octet {
    Any,
    Between(u8, u8),
    Bits(u8),
}

/// Why a text is no [`Pattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("four octets are expected, each a number, a range such as 4-7, * or &BITS")]
pub struct PatternError;

/// The codes of one list; none means that every answer within 127.0.0.0/8 is a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes(pub Vec<Code>);

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Not listed, or listed for something that no code names.
    Unlisted,
    /// Listed.
    Listed {
        /// The names of the codes that fit, in their order; the bare answers if there are none.
        names: Vec<String>,
        /// The greatest weight of those that have one.
        weight: Option<u32>,
    },
    /// The list does not answer the question but refuses it. Never a listing.
    Refused(Refusal),
    /// The answer lies outside 127.0.0.0/8: no list is there, but something that answers
    /// everything, such as the page of a domain that was sold.
    Nonsense(Ipv4Addr),
}

/// Why a list refuses to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 127.255.255.252: the zone is misspelt.
    Zone,
    /// 127.255.255.254: it was asked through a public resolver.
    PublicResolver,
    /// 127.255.255.255: too many questions.
    TooMany,
    /// 127.0.0.1, or another of 127.255.255.0/24: it refuses without saying why.
    Blocked(Ipv4Addr),
    /// 127.0.1.255: it is a list of names and was asked about an address.
    NamesOnly,
}

impl Refusal {
    /// Whether the list refuses every question, so that it is of no use for now.
    pub const fn is_general(self) -> bool {
        !matches!(self, Self::NamesOnly)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zone => f.write_str("127.255.255.252: the zone is misspelt"),
            Self::PublicResolver => f.write_str(
                "127.255.255.254: it does not answer public resolvers; ask through one of your own",
            ),
            Self::TooMany => f.write_str("127.255.255.255: too many questions"),
            Self::Blocked(answer) => write!(f, "{answer}: it refuses our questions"),
            Self::NamesOnly => f.write_str("127.0.1.255: it answers about names only"),
        }
    }
}

impl Pattern {
    /// Whether `answer` is meant.
    pub fn fits(&self, answer: Ipv4Addr) -> bool {
        self.0.iter().zip(answer.octets()).all(|(octet, value)| match octet {
            Octet::Any => true,
            Octet::Between(from, to) => (*from..=*to).contains(&value),
            Octet::Bits(bits) => value & bits != 0,
        })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            if digits { text.parse::<u8>().map_err(|_| PatternError) } else { Err(PatternError) }
        };
        let octet = |text: &str| match (text, text.strip_prefix('&'), text.split_once('-')) {
            ("*", _, _) => Ok(Octet::Any),
            (_, Some(bits), _) => match number(bits)? {
                0 => Err(PatternError),
                bits => Ok(Octet::Bits(bits)),
            },
            (_, None, Some((from, to))) => {
                let (from, to) = (number(from)?, number(to)?);
                if from <= to { Ok(Octet::Between(from, to)) } else { Err(PatternError) }
            }
            (one, None, None) => number(one).map(|value| Octet::Between(value, value)),
        };
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(PatternError).and_then(octet);
        let pattern = Self([next()?, next()?, next()?, next()?]);
        if parts.next().is_some() { Err(PatternError) } else { Ok(pattern) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            match octet {
                Octet::Any => f.write_str("*")?,
                Octet::Between(from, to) if from == to => write!(f, "{from}")?,
                Octet::Between(from, to) => write!(f, "{from}-{to}")?,
                Octet::Bits(bits) => write!(f, "&{bits}")?,
            }
        }
        Ok(())
    }
}

impl Codes {
    /// What `answers` say together. A refusal among them outweighs the rest.
    pub fn meaning(&self, answers: &[Ipv4Addr]) -> Meaning {
        if let Some(refusal) = answers.iter().copied().find_map(refusal) {
            return Meaning::Refused(refusal);
        }
        if let Some(stranger) = answers.iter().find(|answer| !answer.is_loopback()) {
            return Meaning::Nonsense(*stranger);
        }
        if answers.is_empty() {
            return Meaning::Unlisted;
        }
        if self.0.is_empty() {
            let names = answers.iter().map(Ipv4Addr::to_string).collect();
            return Meaning::Listed { names, weight: None };
        }
        let fitting: Vec<&Code> = self
            .0
            .iter()
            .filter(|code| answers.iter().any(|answer| code.pattern.fits(*answer)))
            .collect();
        if fitting.is_empty() {
            return Meaning::Unlisted;
        }
        let weight = fitting.iter().filter_map(|code| code.weight).max();
        Meaning::Listed { names: fitting.iter().map(|code| code.name.clone()).collect(), weight }
    }
}

/// The refusal an answer stands for.
fn refusal(answer: Ipv4Addr) -> Option<Refusal> {
    match answer.octets() {
        [127, 255, 255, 252] => Some(Refusal::Zone),
        [127, 255, 255, 254] => Some(Refusal::PublicResolver),
        [127, 255, 255, 255] => Some(Refusal::TooMany),
        [127, 255, 255, _] | [127, 0, 0, 1] => Some(Refusal::Blocked(answer)),
        [127, 0, 1, 255] => Some(Refusal::NamesOnly),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(pattern: &str, name: &str, weight: Option<u32>) -> Code {
        Code { pattern: pattern.parse().unwrap(), name: name.to_owned(), weight }
    }

    fn meaning(codes: &[Code], answers: &[[u8; 4]]) -> Meaning {
        let answers: Vec<Ipv4Addr> = answers.iter().copied().map(Ipv4Addr::from).collect();
        Codes(codes.to_vec()).meaning(&answers)
    }

    #[test]
    fn codes_name_what_a_client_is_listed_for() {
        let codes = [code("127.0.0.2", "spam", Some(5)), code("127.0.0.4-7", "exploits", Some(8))];
        let listed = meaning(&codes, &[[127, 0, 0, 2], [127, 0, 0, 4]]);
        let names = vec!["spam".to_owned(), "exploits".to_owned()];
        assert_eq!(listed, Meaning::Listed { names, weight: Some(8) });
        assert_eq!(meaning(&codes, &[[127, 0, 0, 10]]), Meaning::Unlisted);
        assert_eq!(meaning(&codes, &[]), Meaning::Unlisted);
    }

    #[test]
    fn bits_of_an_octet_are_meanings_of_their_own() {
        let codes = [code("127.0.0.&2", "black", None), code("127.0.0.&8", "red", Some(2))];
        let names = |meaning| match meaning {
            Meaning::Listed { names, .. } => names.join(","),
            other => format!("{other:?}"),
        };
        assert_eq!(names(meaning(&codes, &[[127, 0, 0, 10]])), "black,red");
        assert_eq!(names(meaning(&codes, &[[127, 0, 0, 2]])), "black");
        assert_eq!(meaning(&codes, &[[127, 0, 0, 4]]), Meaning::Unlisted);
    }

    #[test]
    fn a_refused_question_is_never_a_listing() {
        for (last, refusal) in [
            (252, Refusal::Zone),
            (254, Refusal::PublicResolver),
            (255, Refusal::TooMany),
            (253, Refusal::Blocked([127, 255, 255, 253].into())),
        ] {
            for codes in [&[][..], &[code("127.*.*.*", "all", None)]] {
                let answers = [[127, 255, 255, last], [127, 0, 0, 2]];
                assert_eq!(meaning(codes, &answers), Meaning::Refused(refusal));
            }
        }
        assert!(matches!(meaning(&[], &[[127, 0, 0, 1]]), Meaning::Refused(Refusal::Blocked(_))));
        let names_only = meaning(&[], &[[127, 0, 1, 255]]);
        assert!(matches!(names_only, Meaning::Refused(refusal) if !refusal.is_general()));
    }

    #[test]
    fn the_page_of_a_sold_domain_is_not_a_listing() {
        let answer = [203, 0, 113, 80];
        assert_eq!(meaning(&[], &[answer]), Meaning::Nonsense(answer.into()));
    }

    #[test]
    fn patterns_are_shown_as_they_are_read() {
        for text in ["127.0.0.2", "127.0.0-3.*", "127.0.0.&14"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        for wrong in ["127.0.0", "127.0.0.0.1", "127.0.0.7-4", "127.0.0.&0", "127.0.0.+1", "x"] {
            assert_eq!(wrong.parse::<Pattern>(), Err(PatternError), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_code_makes_a_listing_of_a_refusal(
            pattern in "127\\.(\\*|[0-9]|&255)\\.(\\*|0-255)\\.(\\*|[0-9]|&255)",
            last in 0u8..=255,
        ) {
            let codes = [code(&pattern, "x", None)];
            let listed = matches!(meaning(&codes, &[[127, 255, 255, last]]), Meaning::Listed { .. });
            prop_assert!(!listed);
        }
    }
}
