//! `dnsbl NAME { }`, `uribl NAME { }`, `greylisting { }`, `reputation { }`.

use lists::Action;
use lists::codes::{CODES_MAX, Code as ListCode, Codes};
use mail::Domain;
use rules::ListRules;

use super::{Builder, name_of};
use crate::check::Section;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{Dnsbl, Greylisting, List, ListSource, Reputation, Uribl};
use crate::schema::{CODES, GREYLISTING, REPUTATION};

impl Builder<'_> {
    pub(super) fn dnsbl(&mut self, top: &Section<'_>) -> Vec<Dnsbl> {
        let mut all = Vec::new();
        for item in top.all("dnsbl") {
            let (Some(name), Some(section)) = (name_of(item), &item.section) else { continue };
            let except = self.networks(section, "except");
            if let Some(list) = self.list(name, section) {
                all.push(Dnsbl { list, except });
            }
        }
        self.unique("dnsbl", all.iter().map(|dnsbl| dnsbl.list.name.clone()));
        all
    }

    pub(super) fn uribl(&mut self, top: &Section<'_>) -> Vec<Uribl> {
        let mut all = Vec::new();
        for item in top.all("uribl") {
            let (Some(name), Some(section)) = (name_of(item), &item.section) else { continue };
            if let Some(list) = self.list(name, section)
                && let Some(uribl) = uribl(list, section)
            {
                all.push(uribl);
            }
        }
        self.unique("uribl", all.iter().map(|uribl| uribl.list.name.clone()));
        all
    }

    fn list(&mut self, name: Located<String>, section: &Section<'_>) -> Option<List> {
        let zone = section.value::<Domain>("zone");
        let file = self.readable(section.value("file"));
        let source = match (zone, file) {
            (Some(zone), Some(file)) => {
                if let (Some(span), Some(first)) = (file.span, zone.span) {
                    let message = "a list is in a zone or in a file";
                    let diagnostic = Diagnostic::error(Code::ConflictingDirectives, span, message)
                        .related(first, "the zone");
                    self.report(diagnostic);
                }
                return None;
            }
            (Some(zone), None) => ListSource::Zone(zone.value),
            (None, Some(file)) => ListSource::File(file),
            (None, None) => match Domain::parse(&name) {
                Ok(zone) if zone.as_str().contains('.') => ListSource::Zone(zone),
                Ok(_) | Err(_) => {
                    if let Some(span) = name.span {
                        let message = format!("list {} has neither zone nor file", *name);
                        let diagnostic = Diagnostic::error(Code::Missing, span, message)
                            .help("write zone bl.example.net, or name the list by its zone");
                        self.report(diagnostic);
                    }
                    return None;
                }
            },
        };
        let codes = self.codes(section);
        Some(List {
            name,
            source,
            action: section.value::<&str>("action")?.map(action),
            weight: section.value("weight")?,
            codes,
            timeout: section.value("timeout")?,
            self_test: section.value("self-test")?,
            test_every: section.value("test-every")?,
        })
    }

    fn codes(&mut self, section: &Section<'_>) -> Codes {
        let section = section.section_or_default("codes", &CODES);
        let mut codes = Vec::new();
        for item in section.all("") {
            let (Some(answers), Some(name)) =
                (item.argument::<String>(0), item.argument::<String>(1))
            else {
                continue;
            };
            let weight = item.argument::<u32>(2).map(|weight| weight.value);
            match answers.parse() {
                Ok(pattern) if codes.len() < CODES_MAX => {
                    codes.push(ListCode { pattern, name: name.value, weight });
                }
                Ok(_) => {
                    let message = format!("a list has at most {CODES_MAX} codes");
                    self.error(Code::OutOfBounds, item.statement.head(), message);
                    break;
                }
                Err(error) => {
                    let message = format!("\"{}\" is no answer of a list: {error}", *answers);
                    if let Some(span) = answers.span {
                        self.error(Code::WrongType, span, message);
                    }
                }
            }
        }
        Codes(codes)
    }

    pub(super) fn greylisting(&mut self, top: &Section<'_>) -> Option<Greylisting> {
        top.find("greylisting")?;
        let section = top.section_or_default("greylisting", &GREYLISTING);
        let except = self.networks(&section, "except");
        let delay: Located<std::time::Duration> = section.value("delay")?;
        let window: Located<std::time::Duration> = section.value("window")?;
        if *window <= *delay
            && let Some(span) = window.span.or(delay.span)
        {
            let message = "nobody can come again after the delay and within the window";
            let diagnostic = Diagnostic::error(Code::ConflictingDirectives, span, message)
                .help("write a window that is longer than the delay");
            self.report(diagnostic);
        }
        let settings = lists::greylist::Settings {
            delay: *delay,
            window: *window,
            keep: *section.value::<std::time::Duration>("keep")?,
            after: *section.value::<Option<u32>>("allow-after")?,
        };
        Some(Greylisting { settings, except })
    }
}

fn uribl(list: List, section: &Section<'_>) -> Option<Uribl> {
    let fields = section.list::<&str>("headers")?;
    Some(Uribl {
        list,
        except: section.list("except").unwrap_or(Located::default_value(Vec::new())),
        whole_hosts: section.value::<&str>("ask")?.map(|what| what == "host"),
        addresses: section.value("addresses")?,
        headers: fields.map(|fields| {
            fields.into_iter().filter(|field| *field != "none").map(str::to_owned).collect()
        }),
        test_listed: section.value("test-listed")?,
        test_unlisted: section.value("test-unlisted")?,
    })
}

pub(super) fn reputation(top: &Section<'_>) -> Option<Reputation> {
    top.find("reputation")?;
    let section = top.section_or_default("reputation", &REPUTATION);
    Some(Reputation { half_life: section.value("half-life")? })
}

/// The built-in rules that these blocks ask for.
pub(super) fn list_rules(top: &Section<'_>) -> ListRules {
    let rejects = |name: &str| {
        let sections = top.all(name).filter_map(|item| item.section.as_ref());
        sections
            .filter_map(|s| s.value::<&str>("action"))
            .any(|a| action(a.value) == Action::Reject)
    };
    ListRules {
        dnsbl: rejects("dnsbl"),
        uribl: rejects("uribl"),
        greylisting: top.find("greylisting").is_some(),
    }
}

fn action(word: &str) -> Action {
    match word {
        "score" => Action::Score,
        "shadow" => Action::Shadow,
        "allow" => Action::Allow,
        _ => Action::Reject,
    }
}
