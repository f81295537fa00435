//! Parameters of MAIL and RCPT (RFC 5321 section 4.1.2).

use mail::{Body, DsnReturn, Notify};

use crate::refusal::Fault;
use crate::xtext;

/// The longest ENVID, encoded, in octets (RFC 3461 section 4.4).
pub const ENVID_MAX_OCTETS: usize = 100;
/// The longest ORCPT, encoded, in octets (RFC 3461 section 4.2).
pub const ORCPT_MAX_OCTETS: usize = 500;

/// What MAIL asks for. Which of it is offered is the session's to check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=`: the client's estimate, in octets (RFC 1870).
    pub size_octets: Option<u64>,
    /// `BODY=` (RFC 6152, RFC 3030).
    pub body: Option<Body>,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `REQUIRETLS` (RFC 8689).
    pub require_tls: bool,
    /// `RET=` (RFC 3461).
    pub dsn_return: Option<DsnReturn>,
    /// `ENVID=`, decoded (RFC 3461).
    pub envid: Option<String>,
    /// `AUTH=` was given (RFC 4954 section 5). Its claim is never believed, so only its form is read.
    pub auth: bool,
}

/// What RCPT asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// `NOTIFY=` (RFC 3461).
    pub notify: Option<Notify>,
    /// `ORCPT=`: `type;address`, decoded (RFC 3461).
    pub orcpt: Option<String>,
}

impl MailParameters {
    /// Reads the text after the reverse-path.
    ///
    /// # Errors
    ///
    /// [`Fault`] names the parameter and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut parameters = Self::default();
        for_each(text, |keyword, value| match keyword {
            "SIZE" => set(&mut parameters.size_octets, read_size(value)?, keyword),
            "BODY" => set(&mut parameters.body, read_body(value)?, keyword),
            "RET" => set(&mut parameters.dsn_return, read_return(value)?, keyword),
            "ENVID" => set(&mut parameters.envid, read_envid(value)?, keyword),
            "SMTPUTF8" => switch(&mut parameters.smtputf8, value, "SMTPUTF8"),
            "REQUIRETLS" => switch(&mut parameters.require_tls, value, "REQUIRETLS"),
            "AUTH" => {
                let value = value.ok_or(Fault::ParameterValue("AUTH", "an address or <>"))?;
                xtext::decode(value).map_err(|error| Fault::Xtext("AUTH", error))?;
                switch(&mut parameters.auth, None, "AUTH")
            }
            unknown => Err(Fault::UnknownParameter(unknown.to_owned())),
        })?;
        Ok(parameters)
    }
}

impl RcptParameters {
    /// Reads the text after the forward-path.
    ///
    /// # Errors
    ///
    /// [`Fault`] names the parameter and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut parameters = Self::default();
        for_each(text, |keyword, value| match keyword {
            "NOTIFY" => set(&mut parameters.notify, read_notify(value)?, keyword),
            "ORCPT" => set(&mut parameters.orcpt, read_orcpt(value)?, keyword),
            unknown => Err(Fault::UnknownParameter(unknown.to_owned())),
        })?;
        Ok(parameters)
    }
}

/// Calls `each` with every keyword, in upper case, and its value.
fn for_each(
    text: &str,
    mut each: impl FnMut(&str, Option<&str>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for word in text.split([' ', '\t']).filter(|word| !word.is_empty()) {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let alphanumeric = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if keyword.is_empty() || !keyword.bytes().all(alphanumeric) {
            return Err(Fault::Syntax("keyword or keyword=value after the address"));
        }
        each(&keyword.to_ascii_uppercase(), value)?;
    }
    Ok(())
}

fn set<T>(slot: &mut Option<T>, value: T, keyword: &str) -> Result<(), Fault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::RepeatedParameter(keyword.to_owned())),
    }
}

fn switch(slot: &mut bool, value: Option<&str>, keyword: &'static str) -> Result<(), Fault> {
    if value.is_some() {
        return Err(Fault::ParameterValue(keyword, "no value"));
    }
    if std::mem::replace(slot, true) {
        return Err(Fault::RepeatedParameter(keyword.to_owned()));
    }
    Ok(())
}

/// At most 20 digits (RFC 1870 section 3); more than 64 bits hold is as good as endless.
fn read_size(value: Option<&str>) -> Result<u64, Fault> {
    let digits = value.filter(|v| {
        !v.is_empty() && v.len() <= 20 && v.bytes().all(|digit| digit.is_ascii_digit())
    });
    let digits = digits.ok_or(Fault::ParameterValue("SIZE", "a number of octets"))?;
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn read_body(value: Option<&str>) -> Result<Body, Fault> {
    match value.map(str::to_ascii_uppercase).as_deref() {
        Some("7BIT") => Ok(Body::SevenBit),
        Some("8BITMIME") => Ok(Body::EightBitMime),
        Some("BINARYMIME") => Ok(Body::BinaryMime),
        _ => Err(Fault::ParameterValue("BODY", "7BIT, 8BITMIME or BINARYMIME")),
    }
}

fn read_return(value: Option<&str>) -> Result<DsnReturn, Fault> {
    match value.map(str::to_ascii_uppercase).as_deref() {
        Some("FULL") => Ok(DsnReturn::Full),
        Some("HDRS") => Ok(DsnReturn::Headers),
        _ => Err(Fault::ParameterValue("RET", "FULL or HDRS")),
    }
}

fn read_envid(value: Option<&str>) -> Result<String, Fault> {
    let value = value
        .filter(|v| !v.is_empty() && v.len() <= ENVID_MAX_OCTETS)
        .ok_or(Fault::ParameterValue("ENVID", "1 to 100 characters of xtext"))?;
    xtext::decode(value).map_err(|error| Fault::Xtext("ENVID", error))
}

fn read_notify(value: Option<&str>) -> Result<Notify, Fault> {
    let wrong = Fault::ParameterValue("NOTIFY", "NEVER, or a list of SUCCESS, FAILURE and DELAY");
    value.and_then(|v| v.parse().ok()).ok_or(wrong)
}

fn read_orcpt(value: Option<&str>) -> Result<String, Fault> {
    let wrong = Fault::ParameterValue("ORCPT", "type;address, up to 500 characters of xtext");
    let value = value.filter(|v| v.len() <= ORCPT_MAX_OCTETS).ok_or(wrong.clone())?;
    let (kind, address) = value.split_once(';').ok_or(wrong.clone())?;
    let atom = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if kind.is_empty() || !kind.bytes().all(atom) || address.is_empty() {
        return Err(wrong);
    }
    let address = xtext::decode(address).map_err(|error| Fault::Xtext("ORCPT", error))?;
    Ok(format!("{kind};{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parameters_are_read_in_any_case_and_order() {
        let text = "ret=hdrs SIZE=100 body=8bitmime SMTPUTF8 envid=a+2Bb REQUIRETLS AUTH=<>";
        assert_eq!(
            MailParameters::parse(text),
            Ok(MailParameters {
                size_octets: Some(100),
                body: Some(Body::EightBitMime),
                smtputf8: true,
                require_tls: true,
                dsn_return: Some(DsnReturn::Headers),
                envid: Some("a+b".to_owned()),
                auth: true,
            })
        );
        assert_eq!(
            RcptParameters::parse("ORCPT=rfc822;bob+2Bx@a.example NOTIFY=SUCCESS,DELAY"),
            Ok(RcptParameters {
                notify: Some(Notify { success: true, failure: false, delay: true }),
                orcpt: Some("rfc822;bob+x@a.example".to_owned()),
            })
        );
    }

    #[test]
    fn wrong_parameters_are_named() {
        for text in [
            "SIZE",
            "SIZE=",
            "SIZE=-1",
            "SIZE=+1",
            "SIZE=1k",
            "SIZE=123456789012345678901",
            "BODY=9BIT",
            "RET=ALL",
            "ENVID=",
            "ENVID=a=b",
            "SMTPUTF8=1",
            "AUTH=",
            "=x",
            "S_Z=1",
            "SIZE=1 size=2",
            "SMTPUTF8 SMTPUTF8",
            "NOTIFY=NEVER",
            "XFOO=1",
        ] {
            // An empty AUTH= is well-formed xtext of nothing.
            assert_eq!(MailParameters::parse(text).is_err(), text != "AUTH=", "{text}");
        }
        let long = format!("ORCPT=rfc822;{}", "a".repeat(ORCPT_MAX_OCTETS));
        for text in
            ["NOTIFY=", "NOTIFY=NEVER,DELAY", "ORCPT=bob", "ORCPT=;bob", "ORCPT=rfc822;", &long]
        {
            assert!(RcptParameters::parse(text).is_err(), "{text}");
        }
        assert_eq!(read_size(Some("99999999999999999999")), Ok(u64::MAX));
    }
}
