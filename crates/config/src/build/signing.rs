//! `signing { }`, `srs { }`, `arc-sealing { }` and `dmarc-reports { }`.

use mail::Domain;
use signing::{Entry, Table, Who};

use super::Builder;
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::located::Located;
use crate::model::{ArcSealing, DmarcReports, Signing, Srs};
use crate::schema::SIGNING;

impl Builder<'_> {
    pub(super) fn signing(&mut self, top: &Section<'_>) -> Option<Signing> {
        let section = top.section_or_default("signing", &SIGNING);
        let mut entries = Vec::new();
        let mut named: Vec<Located<String>> = Vec::new();
        for item in section.all("sign") {
            let Some(who) = item.argument::<String>(0) else { continue };
            match Who::parse(&who) {
                Ok(read) => {
                    entries.push(entry(item, read));
                    named.push(who.map(|who| who.to_lowercase()));
                }
                Err(error) => {
                    if let Some(span) = who.span {
                        self.error(Code::WrongType, span, error.to_string());
                    }
                }
            }
        }
        self.unique("signing entry", named);
        Some(Signing { table: Table::new(entries), publish_first: section.value("publish-first")? })
    }

    pub(super) fn arc_sealing(&mut self, top: &Section<'_>) -> Option<ArcSealing> {
        let section = top.section("arc-sealing")?;
        Some(ArcSealing { partners: section.list("for")?, domain: section.value("domain")? })
    }

    pub(super) fn dmarc_reports(&mut self, top: &Section<'_>) -> DmarcReports {
        let Some(section) = top.section("dmarc-reports") else { return DmarcReports::default() };
        DmarcReports {
            receive_at: section.value("receive-at"),
            send: section.value("send").is_some_and(|send| send.value),
        }
    }

    pub(super) fn srs(&mut self, top: &Section<'_>) -> Option<Srs> {
        let section = top.section("srs")?;
        Some(Srs { domain: section.value("domain")?, lifetime: section.value("lifetime")? })
    }
}

/// `WHO [as DOMAIN] [keys SELECTOR...]`: the places of the arguments tell the forms apart.
fn entry(item: &Checked<'_>, who: Who) -> Entry {
    let keyword = item.argument::<&str>(1).map(|word| word.value);
    let (domain, selectors_at) = match keyword {
        Some("as") => (item.argument::<Domain>(2).map(|domain| domain.value), 4),
        Some(_) | None => (None, 2),
    };
    let selectors = item.arguments::<String>(selectors_at).map(|word| word.value).collect();
    let domain = domain.unwrap_or_else(|| who.domain().clone());
    Entry { who, domain, selectors }
}
