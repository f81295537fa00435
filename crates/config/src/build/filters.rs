//! `milter NAME { }`, `scanner NAME { }` and `scanning { }`.

use std::str::FromStr;

use filters::Endpoint;
use filters::milter::{Milter, OnFailure, Timeouts};
use filters::scanner::{Kind, Scanner};
use rules::built_in::Course;

use super::names::Named;
use super::{Builder, name_of};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::located::Located;
use crate::model::{Holding, MilterEntry, Quarantine, ScannerEntry, Scanning};
use crate::schema::{HOLDING, QUARANTINE, SCANNING};

/// The longest body that a milter may put in place of another, in octets.
const BODY_MAX_OCTETS: usize = 64 << 20;

impl Builder<'_> {
    pub(super) fn milters(&mut self, top: &Section<'_>) -> Vec<MilterEntry> {
        let entries: Vec<MilterEntry> =
            top.all("milter").filter_map(|item| self.milter(item)).collect();
        self.unique("milter", entries.iter().map(|entry| entry.name.clone()));
        entries
    }

    fn milter(&mut self, item: &Checked<'_>) -> Option<MilterEntry> {
        let (name, section) = (name_of(item)?, item.section.as_ref()?);
        let listeners = self.listeners_of(section);
        let endpoint = self.place::<Endpoint>(section);
        let time = |name: &str| Some(section.value::<std::time::Duration>(name)?.value);
        let milter = Milter {
            name: name.value.clone(),
            endpoint: endpoint?,
            timeouts: Timeouts {
                connect: time("connect-timeout")?,
                command: time("command-timeout")?,
                content: time("content-timeout")?,
                end: time("end-timeout")?,
                message: time("message-timeout")?,
            },
            on_failure: match section.value::<&str>("on-failure")?.value {
                "accept" => OnFailure::Accept,
                "reject" => OnFailure::Reject,
                "quarantine" => OnFailure::Quarantine,
                _ => OnFailure::Tempfail,
            },
            body_max_octets: BODY_MAX_OCTETS,
        };
        Some(MilterEntry { name, listeners, milter })
    }

    pub(super) fn scanners(&mut self, top: &Section<'_>) -> Vec<ScannerEntry> {
        let entries: Vec<ScannerEntry> =
            top.all("scanner").filter_map(|item| self.scanner(item)).collect();
        self.unique("scanner", entries.iter().map(|entry| entry.name.clone()));
        entries
    }

    fn scanner(&mut self, item: &Checked<'_>) -> Option<ScannerEntry> {
        let (name, section) = (name_of(item)?, item.section.as_ref()?);
        let listeners = self.listeners_of(section);
        let kind = match section.value::<&str>("type")?.value {
            "clamd" => self.place(section).map(Kind::Clamd),
            "spamd" => self.place(section).map(Kind::Spamd),
            _ => self.web_place(section).map(Kind::Rspamd),
        };
        let time = |name: &str| Some(section.value::<std::time::Duration>(name)?.value);
        let scanner = Scanner {
            name: name.value.clone(),
            kind: kind?,
            connect: time("connect-timeout")?,
            timeout: time("timeout")?,
            max_octets: section.value("max-size")?.value,
        };
        Some(ScannerEntry {
            name,
            listeners,
            is_open: section.value::<&str>("on-failure")?.value == "open",
            oversized_fails: section.value::<&str>("oversized")?.value == "fail",
            scanner,
        })
    }

    /// Where a filter listens.
    fn place<T: FromStr>(&mut self, section: &Section<'_>) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let place: Located<String> = section.value("at")?;
        self.read_place(&place, &place.value)
    }

    fn read_place<T: FromStr>(&mut self, place: &Located<String>, text: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        match text.parse() {
            Ok(read) => Some(read),
            Err(error) => {
                if let Some(span) = place.span {
                    self.error(Code::WrongType, span, format!("\"{}\": {error}", place.value));
                }
                None
            }
        }
    }

    /// The same for a server of HTTP, where the scheme may be left out.
    fn web_place(&mut self, section: &Section<'_>) -> Option<web_client::Place> {
        let place: Located<String> = section.value("at")?;
        let text = if place.contains("://") || place.starts_with("unix:") {
            place.value.clone()
        } else {
            format!("http://{}", place.value)
        };
        self.read_place(&place, &text)
    }

    /// The listeners a filter is for; each must be there.
    fn listeners_of(&mut self, section: &Section<'_>) -> Option<Located<Vec<String>>> {
        let listeners = section.values::<String>("listeners")?;
        for listener in listeners.iter() {
            if let Some(span) = listener.span {
                self.uses(Named::Listener, listener, span);
            }
        }
        Some(listeners.map(|listeners| listeners.into_iter().map(|l| l.value).collect()))
    }
}

/// `scanning { }`
pub(super) fn scanning(top: &Section<'_>) -> Option<Scanning> {
    let section = top.section_or_default("scanning", &SCANNING);
    let course = |name: &str| {
        Some(match section.value::<&str>(name)?.value {
            "quarantine" => Course::Quarantine,
            "rules" => Course::Rules,
            _ => Course::Reject,
        })
    };
    Some(Scanning {
        courses: rules::built_in::Scanning { virus: course("virus")?, spam: course("spam")? },
        headers: section.value("headers")?,
    })
}

/// `holding { }`
pub(super) fn holding(top: &Section<'_>) -> Option<Holding> {
    let section = top.section_or_default("holding", &HOLDING);
    Some(Holding {
        spam: section.value("spam")?,
        first_time_recipients: section.value("first-time-recipients")?,
        window: section.value("window")?,
    })
}

/// `quarantine { }`
pub(super) fn quarantine(top: &Section<'_>) -> Option<Quarantine> {
    let section = top.section_or_default("quarantine", &QUARANTINE);
    Some(Quarantine { keep: section.value("keep")? })
}
