//! What the lab's name server knows, and how each name behaves.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TLSA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::LabError;

/// The most names that [`Records`] hold.
pub const NAMES_MAX: usize = 10_000;
/// Time to live of a record for which none was chosen, in seconds.
pub const TTL_DEFAULT_SECS: u32 = 60;
/// Aliases followed for one answer.
const ALIASES_MAX: usize = 8;
/// Octets of one character-string of a TXT record (RFC 1035 section 3.3).
const TXT_PART_MAX_OCTETS: usize = 255;

/// Records by name, and how names behave.
///
/// ```
/// let records = lab::Records::new()
///     .ttl(0)
///     .mx("partner.test", 10, "mx.partner.test")
///     .a("mx.partner.test", [127, 0, 0, 2])
///     .null_mx("nomail.test")
///     .behave("broken.test", lab::Behaviour::ServFail);
/// ```
///
/// A mistake in a name is kept and reported when the records are put to use.
#[derive(Debug, Default)]
pub struct Records {
    names: BTreeMap<Name, Entry>,
    ttl_secs: Option<u32>,
    mistake: Option<LabError>,
}

/// How a name answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// From its records.
    #[default]
    Normal,
    /// The name does not exist, whatever records it has.
    NxDomain,
    /// The server failed.
    ServFail,
    /// The server refuses to answer.
    Refused,
    /// No answer ever comes.
    Silent,
    /// Cut off over UDP, so that the question must be asked again over TCP.
    Truncated,
}

/// What is said to a question: records, or a denial when there are none.
#[derive(Debug)]
pub(super) struct Reply {
    pub code: ResponseCode,
    pub answers: Vec<Record>,
    pub denial: Option<Record>,
    pub truncated: bool,
}

#[derive(Debug, Default)]
struct Entry {
    records: Vec<(u32, RData)>,
    behaviour: Behaviour,
    by_kind: BTreeMap<RecordType, Behaviour>,
}

impl Records {
    /// None yet; their time to live is [`TTL_DEFAULT_SECS`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The time to live, in seconds, of the records added from here on. 0 is honoured.
    #[must_use]
    pub fn ttl(mut self, secs: u32) -> Self {
        self.ttl_secs = Some(secs);
        self
    }

    /// A mail exchanger of `name`.
    #[must_use]
    pub fn mx(self, name: &str, preference: u16, exchange: &str) -> Self {
        self.with(name, |names| Ok(RData::MX(MX::new(preference, names(exchange)?))))
    }

    /// A null MX: `name` takes no mail (RFC 7505).
    #[must_use]
    pub fn null_mx(self, name: &str) -> Self {
        self.with(name, |_| Ok(RData::MX(MX::new(0, Name::root()))))
    }

    /// An IPv4 address of `name`.
    #[must_use]
    pub fn a(self, name: &str, address: impl Into<Ipv4Addr>) -> Self {
        let address = address.into();
        self.with(name, |_| Ok(RData::A(A(address))))
    }

    /// An IPv6 address of `name`.
    #[must_use]
    pub fn aaaa(self, name: &str, address: impl Into<Ipv6Addr>) -> Self {
        let address = address.into();
        self.with(name, |_| Ok(RData::AAAA(AAAA(address))))
    }

    /// An address of `name`, of whichever family.
    #[must_use]
    pub fn address(self, name: &str, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.a(name, v4),
            IpAddr::V6(v6) => self.aaaa(name, v6),
        }
    }

    /// `name` is another name for `target`.
    #[must_use]
    pub fn cname(self, name: &str, target: &str) -> Self {
        self.with(name, |names| Ok(RData::CNAME(CNAME(names(target)?))))
    }

    /// A text of `name`, split into parts of at most 255 octets.
    #[must_use]
    pub fn txt(self, name: &str, text: &str) -> Self {
        self.with(name, |_| {
            let parts = text.as_bytes().chunks(TXT_PART_MAX_OCTETS).collect();
            Ok(RData::TXT(TXT::from_bytes(parts)))
        })
    }

    /// The name that an address belongs to.
    #[must_use]
    pub fn ptr(self, address: IpAddr, target: &str) -> Self {
        let name = Name::from(address).to_ascii();
        self.with(&name, |names| Ok(RData::PTR(PTR(names(target)?))))
    }

    /// A TLSA record (RFC 6698): the numbers of usage, selector and matching type, and the data.
    #[must_use]
    pub fn tlsa(self, name: &str, usage: u8, selector: u8, matching: u8, data: &[u8]) -> Self {
        self.with(name, |_| {
            Ok(RData::TLSA(TLSA::new(
                usage.into(),
                selector.into(),
                matching.into(),
                data.to_vec(),
            )))
        })
    }

    /// How `name` answers, for every type of record.
    #[must_use]
    pub fn behave(mut self, name: &str, behaviour: Behaviour) -> Self {
        if let Err(error) = self.set_behaviour(name, None, behaviour) {
            self.mistake.get_or_insert(error);
        }
        self
    }

    /// How `name` answers for one type of record.
    #[must_use]
    pub fn behave_for(mut self, name: &str, kind: RecordType, behaviour: Behaviour) -> Self {
        if let Err(error) = self.set_behaviour(name, Some(kind), behaviour) {
            self.mistake.get_or_insert(error);
        }
        self
    }

    fn with(
        mut self,
        name: &str,
        data: impl FnOnce(fn(&str) -> Result<Name, LabError>) -> Result<RData, LabError>,
    ) -> Self {
        let ttl_secs = self.ttl_secs.unwrap_or(TTL_DEFAULT_SECS);
        let added = data(parse_name).and_then(|data| {
            self.entry(parse_name(name)?)?.records.push((ttl_secs, data));
            Ok(())
        });
        if let Err(error) = added {
            self.mistake.get_or_insert(error);
        }
        self
    }

    fn entry(&mut self, name: Name) -> Result<&mut Entry, LabError> {
        if self.names.len() >= NAMES_MAX && !self.names.contains_key(&name) {
            return Err(LabError::TooManyNames(NAMES_MAX));
        }
        Ok(self.names.entry(name).or_default())
    }

    pub(super) fn checked(mut self) -> Result<Self, LabError> {
        match self.mistake.take() {
            Some(mistake) => Err(mistake),
            None => Ok(self),
        }
    }

    pub(super) fn merge(&mut self, newer: Self) -> Result<(), LabError> {
        for (name, entry) in newer.names {
            *self.entry(name)? = entry;
        }
        Ok(())
    }

    pub(super) fn set_behaviour(
        &mut self,
        name: &str,
        kind: Option<RecordType>,
        behaviour: Behaviour,
    ) -> Result<(), LabError> {
        let entry = self.entry(parse_name(name)?)?;
        match kind {
            Some(kind) => drop(entry.by_kind.insert(kind, behaviour)),
            None => entry.behaviour = behaviour,
        }
        Ok(())
    }

    /// Answers a question for `name` and `kind`, following aliases; `None` is silence.
    pub(super) fn answer(&self, name: &Name, kind: RecordType) -> Option<Reply> {
        let mut answers = Vec::new();
        let mut owner = name.clone();
        let mut truncated = false;
        for _ in 0..=ALIASES_MAX {
            let entry = self.names.get(&owner);
            match entry.map_or(Behaviour::Normal, |entry| entry.behaviour_for(kind)) {
                Behaviour::Normal => {}
                Behaviour::Truncated => truncated = true,
                Behaviour::Silent => return None,
                Behaviour::NxDomain => {
                    return Some(denied(ResponseCode::NXDomain, answers, truncated));
                }
                Behaviour::ServFail => return Some(failed(ResponseCode::ServFail)),
                Behaviour::Refused => return Some(failed(ResponseCode::Refused)),
            }
            let Some(entry) = entry else {
                let code = if self.has_below(&owner) {
                    ResponseCode::NoError
                } else {
                    ResponseCode::NXDomain
                };
                return Some(denied(code, answers, truncated));
            };
            let before = answers.len();
            answers.extend(entry.of_kind(&owner, kind));
            if answers.len() > before {
                return Some(Reply {
                    code: ResponseCode::NoError,
                    answers,
                    denial: None,
                    truncated,
                });
            }
            let Some((alias, target)) = entry.alias(&owner) else {
                return Some(denied(ResponseCode::NoError, answers, truncated));
            };
            answers.push(alias);
            owner = target;
        }
        Some(failed(ResponseCode::ServFail))
    }

    /// Whether a name below `name` is known, so that `name` exists without records.
    fn has_below(&self, name: &Name) -> bool {
        self.names.range(name.clone()..).next().is_some_and(|(next, _)| name.zone_of(next))
    }
}

impl Entry {
    fn behaviour_for(&self, kind: RecordType) -> Behaviour {
        self.by_kind.get(&kind).copied().unwrap_or(self.behaviour)
    }

    fn of_kind(&self, owner: &Name, kind: RecordType) -> impl Iterator<Item = Record> {
        self.records
            .iter()
            .filter(move |(_, data)| kind == RecordType::ANY || data.record_type() == kind)
            .map(|(ttl, data)| Record::from_rdata(owner.clone(), *ttl, data.clone()))
    }

    fn alias(&self, owner: &Name) -> Option<(Record, Name)> {
        self.records.iter().find_map(|(ttl, data)| match data {
            RData::CNAME(CNAME(target)) => {
                Some((Record::from_rdata(owner.clone(), *ttl, data.clone()), target.clone()))
            }
            _ => None,
        })
    }
}

fn failed(code: ResponseCode) -> Reply {
    Reply { code, answers: Vec::new(), denial: None, truncated: false }
}

/// A denial carries the SOA of the root, with a time to live of nothing, so that no
/// client remembers it (RFC 2308 section 5).
fn denied(code: ResponseCode, answers: Vec<Record>, truncated: bool) -> Reply {
    let soa = SOA::new(Name::root(), Name::root(), 1, 3600, 600, 86_400, 0);
    let denial = Record::from_rdata(Name::root(), 0, RData::SOA(soa));
    Reply { code, answers, denial: Some(denial), truncated }
}

pub(super) fn parse_name(text: &str) -> Result<Name, LabError> {
    // What no host is called, such as the name that a macro of SPF made, is taken as it is.
    let mut name = Name::from_utf8(text)
        .or_else(|_| Name::from_labels(text.split('.').map(str::as_bytes)))
        .map_err(|_| LabError::Name(text.to_owned()))?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(records: &Records, name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
        let reply = records.answer(&parse_name(name).unwrap(), kind).unwrap();
        (reply.code, reply.answers.iter().map(|record| record.data.to_string()).collect())
    }

    #[test]
    fn aliases_are_followed_to_their_records() {
        let records = Records::new()
            .cname("a.test", "b.test")
            .cname("b.test", "c.test")
            .a("c.test", [127, 0, 0, 9])
            .cname("loop.test", "loop.test");
        assert_eq!(
            ask(&records, "A.TEST", RecordType::A),
            (ResponseCode::NoError, vec!["b.test.".into(), "c.test.".into(), "127.0.0.9".into()])
        );
        assert_eq!(ask(&records, "loop.test", RecordType::A).0, ResponseCode::ServFail);
    }

    #[test]
    fn a_name_with_names_below_it_exists() {
        let records = Records::new().a("mx.partner.test", [127, 0, 0, 2]);
        assert_eq!(ask(&records, "partner.test", RecordType::A).0, ResponseCode::NoError);
        assert_eq!(ask(&records, "mx.partner.test", RecordType::MX).0, ResponseCode::NoError);
        assert_eq!(ask(&records, "other.test", RecordType::A).0, ResponseCode::NXDomain);
    }

    #[test]
    fn one_type_of_record_can_fail_alone() {
        let records = Records::new().a("mx.test", [127, 0, 0, 2]).behave_for(
            "mx.test",
            RecordType::TLSA,
            Behaviour::ServFail,
        );
        assert_eq!(ask(&records, "mx.test", RecordType::TLSA).0, ResponseCode::ServFail);
        assert_eq!(ask(&records, "mx.test", RecordType::A).0, ResponseCode::NoError);
    }

    #[test]
    fn a_mistake_is_reported_when_the_records_are_used() {
        let label = "x".repeat(64);
        assert!(matches!(
            Records::new().a(&label, [127, 0, 0, 1]).checked(),
            Err(LabError::Name(_))
        ));
    }
}
