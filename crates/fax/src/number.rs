//! Telephone numbers: read, made international, and refused where calling them costs or harms.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most digits of an international number (ITU-T E.164 section 6.2.1).
pub const DIGITS_MAX: usize = 15;
/// The fewest digits behind the country code: shorter numbers are services, not fax machines.
pub const NATIONAL_DIGITS_MIN: usize = 5;
/// The digits of a number behind the country code 1, and of one without its area code (North
/// American Numbering Plan).
const NORTH_AMERICAN_DIGITS: usize = 10;
const NORTH_AMERICAN_LOCAL_DIGITS: usize = 7;
/// The longest text that is looked at, in octets: a local part (RFC 5321 section 4.5.3.1.1).
const TEXT_MAX_OCTETS: usize = 64;

/// Numbers that call for help somewhere in the world. A fax must never ring there.
const EMERGENCY: [&str; 17] = [
    "000", "100", "101", "102", "103", "104", "108", "110", "111", "112", "113", "115", "118",
    "119", "911", "933", "999",
];

/// Satellite networks and shared-cost services by country code; a minute there can cost more
/// than a day elsewhere.
const COSTLY_COUNTRY_CODES: [&str; 7] = ["808", "870", "878", "881", "882", "883", "979"];

/// An international number: `+` and at most [`DIGITS_MAX`] digits (ITU-T E.164).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Number(Box<str>);

/// A country whose national numbers are understood: two letters of ISO 3166.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country(phonenumber::country::Id);

/// The area code of numbers that are written without one: three digits, in countries of the
/// North American plan alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaCode(Box<str>);

/// The beginning of numbers: `+1900`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Box<str>);

/// Which numbers an account may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How numbers without a country code are read.
    pub country: Country,
    /// Stands before numbers without an area code, where they need one to be dialled.
    pub area_code: Option<AreaCode>,
    /// If not empty, only numbers that begin like one of these are called.
    pub allow: Vec<Prefix>,
    /// Numbers that begin like one of these are not called.
    pub deny: Vec<Prefix>,
    /// Whether premium-rate numbers and satellite networks may be called.
    pub costly: bool,
}

/// Why a number is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// There are no digits, or other characters beside them.
    #[error("it is not a fax number")]
    NotANumber,
    /// Fewer than [`NATIONAL_DIGITS_MIN`] digits.
    #[error("the fax number is too short")]
    TooShort,
    /// Seven digits in the North American plan, and no area code to put before them.
    #[error("the fax number has no area code")]
    NoAreaCode,
    /// More than [`DIGITS_MAX`] digits.
    #[error("the fax number has more than {DIGITS_MAX} digits")]
    TooLong,
    /// No country has this code.
    #[error("the fax number has no known country code")]
    Country,
    /// It calls for help.
    #[error("emergency numbers are never called")]
    Emergency,
    /// A premium-rate number or a satellite network.
    #[error("premium-rate numbers and satellite networks are not called")]
    Costly,
    /// On the list of denied numbers, or not on the list of allowed ones.
    #[error("calls to this number are not allowed")]
    Denied,
}

impl Number {
    /// The number as it is dialled and shown: `+12025550100`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }
}

impl Prefix {
    /// Whether `number` begins so.
    pub fn begins(&self, number: &Number) -> bool {
        number.0.starts_with(&*self.0)
    }

    /// Whether every number that begins like `other` begins so too.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&*self.0)
    }

    /// How many digits it has.
    pub fn digits(&self) -> usize {
        self.0.len() - 1
    }
}

impl Plan {
    /// Every number of the world but costly ones, read as in `country`.
    pub fn of(country: Country) -> Self {
        Self { country, area_code: None, allow: Vec::new(), deny: Vec::new(), costly: false }
    }

    /// Every number of the world but costly ones, read as this plan reads them.
    #[must_use]
    pub fn open(&self) -> Self {
        Self { area_code: self.area_code.clone(), ..Self::of(self.country) }
    }

    /// Reads a national or international number and says whether it may be called.
    ///
    /// Blanks, `-`, `.` and brackets between the digits are left out.
    ///
    /// # Errors
    ///
    /// [`NumberError`] says why the number is not called.
    pub fn read(&self, text: &str) -> Result<Number, NumberError> {
        let bare = bare(text)?;
        if EMERGENCY.contains(&bare.trim_start_matches('+')) {
            return Err(NumberError::Emergency);
        }
        let parsed = phonenumber::parse(Some(self.country.0), &bare).map_err(|error| {
            use phonenumber::ParseError;
            match error {
                ParseError::InvalidCountryCode => NumberError::Country,
                ParseError::TooShortAfterIdd | ParseError::TooShortNsn => NumberError::TooShort,
                ParseError::TooLong => NumberError::TooLong,
                // Its list of kinds is not ours to close.
                _ => NumberError::NotANumber,
            }
        })?;
        let code = parsed.code().value().to_string();
        let national = national(&parsed);
        if EMERGENCY.contains(&national.as_str()) {
            return Err(NumberError::Emergency);
        }
        if national.len() < NATIONAL_DIGITS_MIN {
            return Err(NumberError::TooShort);
        }
        if code == "1" && national.len() < NORTH_AMERICAN_DIGITS {
            if national.len() != NORTH_AMERICAN_LOCAL_DIGITS {
                return Err(NumberError::TooShort);
            }
            // With a country code it is complete as its writer thinks.
            let area_code = self.area_code.as_ref().filter(|_| !bare.starts_with('+'));
            let AreaCode(area_code) = area_code.ok_or(NumberError::NoAreaCode)?;
            let complete = Self { area_code: None, ..self.clone() };
            return complete.read(&format!("{area_code}{national}"));
        }
        if code.len() + national.len() > DIGITS_MAX {
            return Err(NumberError::TooLong);
        }
        let number = Number(format!("+{code}{national}").into());
        if !self.costly && is_costly(&parsed, &code) {
            return Err(NumberError::Costly);
        }
        let begins = |prefix: &Prefix| prefix.begins(&number);
        if self.deny.iter().any(begins) || !(self.allow.is_empty() || self.allow.iter().any(begins))
        {
            return Err(NumberError::Denied);
        }
        Ok(number)
    }
}

/// `+` and digits, without what people write between them.
fn bare(text: &str) -> Result<String, NumberError> {
    let text = text.trim();
    if text.len() > TEXT_MAX_OCTETS {
        return Err(NumberError::TooLong);
    }
    let mut bare = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' => bare.push(c),
            '+' if bare.is_empty() => bare.push(c),
            ' ' | '-' | '.' | '(' | ')' => {}
            _ => return Err(NumberError::NotANumber),
        }
    }
    if bare.trim_start_matches('+').is_empty() { Err(NumberError::NotANumber) } else { Ok(bare) }
}

/// The part behind the country code, with the zeros that belong to it (as in Italy).
fn national(number: &phonenumber::PhoneNumber) -> String {
    let national = number.national();
    format!("{}{}", "0".repeat(usize::from(national.zeros())), national.value())
}

fn is_costly(number: &phonenumber::PhoneNumber, code: &str) -> bool {
    use phonenumber::Type;
    COSTLY_COUNTRY_CODES.contains(&code)
        // The area code 900 of the North American plan, also where the number is otherwise odd.
        || (code == "1" && national(number).starts_with("900"))
        || matches!(
            number.number_type(&phonenumber::metadata::DATABASE),
            Type::PremiumRate | Type::SharedCost
        )
}

impl Country {
    /// Whether its numbers are those of the North American plan.
    pub fn is_north_american(&self) -> bool {
        let known = phonenumber::metadata::DATABASE.by_id(self.0.as_ref());
        known.is_some_and(|country| country.country_code() == 1)
    }
}

impl FromStr for AreaCode {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let is_one = matches!(text.as_bytes(), [b'2'..=b'9', b'0'..=b'9', b'0'..=b'9']);
        if is_one && !text.ends_with("11") {
            Ok(Self(text.into()))
        } else {
            Err(NumberError::NotANumber)
        }
    }
}

impl FromStr for Country {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, NumberError> {
        text.to_ascii_uppercase().parse().map(Self).map_err(|_| NumberError::Country)
    }
}

impl FromStr for Prefix {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let bare = bare(text)?;
        if bare.starts_with('+') { Ok(Self(bare.into())) } else { Err(NumberError::Country) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Number {
    type Error = NumberError;
    fn try_from(text: String) -> Result<Self, NumberError> {
        let digits = text.strip_prefix('+').ok_or(NumberError::NotANumber)?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NumberError::NotANumber);
        }
        if digits.len() > DIGITS_MAX {
            return Err(NumberError::TooLong);
        }
        Ok(Self(text.into()))
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(country: &str) -> Plan {
        Plan::of(country.parse().unwrap())
    }

    #[test]
    fn a_number_may_be_written_in_many_ways_and_is_dialled_in_one() {
        for (country, text, dialled) in [
            ("US", "+1.202.555-0123", "+12025550123"),
            ("US", "(202) 555-0123", "+12025550123"),
            ("US", "1 202 555 0123", "+12025550123"),
            ("US", "011 44 20 7946 0958", "+442079460958"),
            ("GB", "020 7946 0958", "+442079460958"),
            ("FR", "01 99 00 12 34", "+33199001234"),
            ("FR", "+1 202 555 0123", "+12025550123"),
            ("DE", "030 23125 000", "+493023125000"),
            ("IT", "06 1234 5678", "+390612345678"),
        ] {
            assert_eq!(plan(country).read(text).unwrap().as_str(), dialled, "{country} {text}");
        }
    }

    #[test]
    fn what_is_no_number_or_must_not_ring_is_refused_in_words() {
        use NumberError as E;
        for (country, text, why) in [
            ("US", "abc", E::NotANumber),
            ("US", "", E::NotANumber),
            ("US", "+", E::NotANumber),
            ("US", "555x0100", E::NotANumber),
            ("US", "12+5550100", E::NotANumber),
            ("US", "911", E::Emergency),
            ("US", "+1911", E::Emergency),
            ("GB", "999", E::Emergency),
            ("FR", "112", E::Emergency),
            ("US", "1234", E::TooShort),
            ("US", "5550100", E::NoAreaCode),
            ("CA", "+1 555 0100", E::NoAreaCode),
            ("US", "55501000", E::TooShort),
            ("US", "202555012", E::TooShort),
            ("US", "+12345678901234567890", E::TooLong),
            ("US", &"5".repeat(65), E::TooLong),
            ("US", "+999 123 4567", E::Country),
            ("US", "1 900 555 0123", E::Costly),
            ("US", "+1 900 555 0123", E::Costly),
            ("GB", "0909 879 0000", E::Costly),
            ("US", "+8816 3145 2800", E::Costly),
        ] {
            assert_eq!(plan(country).read(text), Err(why), "{country} {text}");
        }
    }

    #[test]
    fn an_area_code_stands_before_numbers_without_one_and_nowhere_else() {
        let mut plan = plan("US");
        plan.area_code = Some("202".parse().unwrap());
        for (text, dialled) in [
            ("5550100", "+12025550100"),
            ("555-0100", "+12025550100"),
            ("(415) 555-0100", "+14155550100"),
            ("1 415 555 0100", "+14155550100"),
            ("+44 20 7946 0958", "+442079460958"),
        ] {
            assert_eq!(plan.read(text).unwrap().as_str(), dialled, "{text}");
            assert_eq!(plan.open().read(text).unwrap().as_str(), dialled, "{text}");
        }
        assert_eq!(plan.read("+1 555 0100"), Err(NumberError::NoAreaCode));
        assert_eq!(plan.read("911"), Err(NumberError::Emergency));
        plan.deny = vec!["+1202".parse().unwrap()];
        assert_eq!(plan.read("5550100"), Err(NumberError::Denied));
        plan.area_code = Some("900".parse().unwrap());
        assert_eq!(plan.read("5550100"), Err(NumberError::Costly));
        for wrong in ["", "20", "2025", "1a2", "102", "911", "+202"] {
            assert!(wrong.parse::<AreaCode>().is_err(), "{wrong}");
        }
        let american = |country: &str| country.parse::<Country>().unwrap().is_north_american();
        assert!(american("US") && american("CA") && american("JM") && !american("FR"));
    }

    #[test]
    fn lists_of_an_account_narrow_what_may_be_called() {
        let mut plan = plan("US");
        plan.allow = vec!["+1".parse().unwrap(), "+44".parse().unwrap()];
        plan.deny = vec!["+1 202 555 0199".parse().unwrap()];
        assert!(plan.read("2025550123").is_ok());
        assert_eq!(plan.read("2025550199"), Err(NumberError::Denied));
        assert_eq!(plan.read("+33199001234"), Err(NumberError::Denied));
        plan.costly = true;
        assert!(plan.read("+1 900 555 0123").is_ok());
        assert!("900".parse::<Prefix>().is_err());
    }
}
