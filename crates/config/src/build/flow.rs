//! `flow { }`, `bans { }`, `quota NAME { }` and `size-limits NAME { }`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flow::size::Direction;
use flow::{Incident, Limit, Period, Rate, Selection, SizeLimits as Sizes, SizeRule, What};
use ipnet::IpNet;
use mail::{Address, Domain};
use rules::{Entries, Hours, RuleSet, Weekday};

use super::names::Named;
use super::{Builder, name_of};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{Bans, Flow, Quota, SizeLimits};
use crate::schema::{BANS, FLOW};
use crate::source::Span;

/// What all of it comes to.
pub(super) struct AllFlow {
    pub flow: Flow,
    pub bans: Bans,
    pub quotas: Vec<Quota>,
    pub size_limits: Vec<SizeLimits>,
}

impl Builder<'_> {
    /// Tables are looked up in `set`; where that is wrong they count as empty.
    pub(super) fn all_flow(&mut self, top: &Section<'_>, set: Option<&RuleSet>) -> Option<AllFlow> {
        let flow = self.flow(top, set);
        let bans = bans(top);
        let quotas = self.quotas(top, set);
        let size_limits = self.size_limits(top);
        Some(AllFlow { flow: flow?, bans: bans?, quotas, size_limits })
    }

    fn flow(&mut self, top: &Section<'_>, set: Option<&RuleSet>) -> Option<Flow> {
        let section = top.section_or_default("flow", &FLOW);
        let friendly = match section.written("friendly") {
            Some(_) => self.networks_or_tables(&section, "friendly", set),
            None => loopback(),
        };
        Some(Flow {
            friendly,
            deny: self.networks_or_tables(&section, "deny", set),
            client_rate: rate(&section, "client-rate")?,
            network_rate: rate(&section, "network-rate")?,
        })
    }

    fn networks_or_tables(
        &mut self,
        section: &Section<'_>,
        name: &str,
        set: Option<&RuleSet>,
    ) -> Vec<IpNet> {
        let mut written: Vec<Located<IpNet>> = Vec::new();
        let mut listed = Vec::new();
        for item in section.all(name) {
            written.extend((0..=1).flat_map(|at| item.arguments::<IpNet>(at)));
            let Some(table) = item.argument::<String>(1) else { continue };
            match self.table(set, &table) {
                Some(Entries::Networks(networks)) => listed.extend(networks.iter().copied()),
                Some(other) => {
                    let kind = other.kind();
                    self.wrong_table(&table, kind, "networks");
                }
                None => {}
            }
        }
        self.overlaps(&written);
        written.into_iter().map(|network| network.value).chain(listed).collect()
    }

    fn table<'t>(
        &mut self,
        set: Option<&'t RuleSet>,
        name: &Located<String>,
    ) -> Option<&'t Entries> {
        if let Some(span) = name.span {
            self.uses(Named::Table, name, span);
        }
        let table = set?.tables.iter().find(|table| table.name == name.value)?;
        Some(&table.entries)
    }

    fn wrong_table(&mut self, name: &Located<String>, kind: &str, wanted: &str) {
        let Some(span) = name.span else { return };
        let message = format!("table {} lists {kind}, and not {wanted}", name.value);
        self.error(Code::WrongType, span, message);
    }

    fn quotas(&mut self, top: &Section<'_>, set: Option<&RuleSet>) -> Vec<Quota> {
        let mut quotas = Vec::new();
        for item in top.all("quota") {
            let (Some(name), Some(section)) = (name_of(item), &item.section) else { continue };
            let limits: Vec<Limit> = [
                ("messages", What::Messages),
                ("recipients", What::Recipients),
                ("octets", What::Octets),
                ("faxes", What::Faxes),
                ("pages", What::Pages),
            ]
            .into_iter()
            .flat_map(|(word, what)| section.all(word).filter_map(move |item| limit(item, what)))
            .collect();
            let nothing = ["messages", "recipients", "octets", "faxes", "pages"]
                .iter()
                .all(|word| section.written(word).is_none());
            if nothing && let Some(span) = name.span {
                let message = format!("quota {} limits nothing", name.value);
                let diagnostic = Diagnostic::error(Code::Missing, span, message)
                    .help("give it a limit, for example: messages 100 per hour");
                self.report(diagnostic);
            }
            let holds = self.selection(section, "for", set);
            let except = self.selection(section, "except", set);
            let faxes = limits.iter().any(|limit| matches!(limit.what, What::Faxes | What::Pages));
            if faxes
                && (holds.names_networks() || except.names_networks())
                && let Some(span) = name.span
            {
                let message = format!("quota {} counts faxes and names a network", name.value);
                self.error(Code::FaxQuotaByNetwork, span, message);
            }
            self.fax_quota(top, &name, &holds, &limits);
            let Some(warn_at) = section.value::<Option<u32>>("warn-at") else { continue };
            let quota = flow::Quota {
                name: name.value.clone(),
                limits,
                holds,
                except,
                warn_at_percent: warn_at.value.and_then(|percent| percent.try_into().ok()),
            };
            quotas.push(Quota { name, quota });
        }
        self.unique("quota", quotas.iter().map(|quota| quota.name.clone()));
        quotas
    }

    /// Says what a quota of fax accounts cannot hold.
    fn fax_quota(
        &mut self,
        top: &Section<'_>,
        name: &Located<String>,
        holds: &Selection,
        limits: &[Limit],
    ) {
        let named: Vec<&str> = holds.fax_accounts().collect();
        let Some(span) = name.span.filter(|_| !named.is_empty()) else { return };
        let known: Vec<String> =
            top.all("fax").filter_map(name_of).map(|account| account.value).collect();
        let is_mail =
            |limit: &Limit| matches!(limit.what, What::Messages | What::Recipients | What::Octets);
        let name = &name.value;
        let message = if let Some(unknown) = named.iter().find(|n| !known.iter().any(|k| k == *n)) {
            format!("quota {name} names the fax account {unknown}, which is not there")
        } else if holds.names_senders() {
            format!("quota {name} names fax accounts and senders")
        } else if limits.iter().any(is_mail) {
            format!("quota {name} holds fax accounts and limits mail")
        } else {
            return;
        };
        self.error(Code::FaxQuotaOfAccount, span, message);
    }

    fn selection(&mut self, section: &Section<'_>, name: &str, set: Option<&RuleSet>) -> Selection {
        let mut selection = Selection::default();
        for item in section.all(name) {
            let Some(kind) = item.argument::<&str>(0) else { continue };
            match kind.value {
                "accounts" => {
                    let mut list = Entries::Addresses(Vec::new());
                    for pattern in item.arguments::<String>(1) {
                        if let (Err(error), Some(span)) = (list.push(&pattern), pattern.span) {
                            self.error(Code::BadEntry, span, error.to_string());
                        }
                    }
                    select(&mut selection, &list);
                }
                "groups" => item.arguments(1).for_each(|group| selection.group(group.value)),
                "fax-accounts" => {
                    item.arguments::<String>(1).for_each(|name| selection.fax_account(name.value));
                }
                "networks" => {
                    let networks: Vec<Located<IpNet>> = item.arguments(1).collect();
                    self.overlaps(&networks);
                    for network in networks {
                        selection.network(network.value);
                    }
                }
                "table" => {
                    let Some(table) = item.argument::<String>(1) else { continue };
                    let Some(entries) = self.table(set, &table) else { continue };
                    if !select(&mut selection, entries) {
                        let kind = entries.kind();
                        self.wrong_table(&table, kind, "addresses or networks");
                    }
                }
                "times" => {
                    for text in item.arguments::<String>(1) {
                        match (Hours::parse(&text), text.span) {
                            (Some(hours), _) => selection.time(hours),
                            (None, Some(span)) => self.no_hours(&text, span),
                            (None, None) => {}
                        }
                    }
                }
                _ => {
                    for day in item.arguments::<&str>(1) {
                        let is = |weekday: &&Weekday| weekday.word() == day.value;
                        Weekday::ALL
                            .iter()
                            .find(is)
                            .into_iter()
                            .for_each(|d| selection.weekday(*d));
                    }
                }
            }
        }
        selection
    }

    fn no_hours(&mut self, text: &str, span: Span) {
        let message = format!("\"{text}\" is not a span of the day");
        let diagnostic =
            Diagnostic::error(Code::WrongType, span, message).help("write it as 08:00-18:30, UTC");
        self.report(diagnostic);
    }

    fn size_limits(&mut self, top: &Section<'_>) -> Vec<SizeLimits> {
        let mut all = Vec::new();
        for item in top.all("size-limits") {
            let (Some(name), Some(section)) = (name_of(item), &item.section) else { continue };
            let octets = |word: &str| section.value::<u64>(word).map(|value| value.value);
            let limits = Sizes {
                message: octets("message"),
                header: octets("header"),
                attachment: octets("attachment"),
                attachments: octets("attachments"),
                recipients: section.value::<u32>("recipients").map(|value| value.value),
            };
            let words = ["message", "header", "attachment", "attachments", "recipients"];
            if words.iter().all(|word| section.written(word).is_none())
                && let Some(span) = name.span
            {
                let message = format!("size-limits {} limits nothing", name.value);
                let diagnostic = Diagnostic::error(Code::Missing, span, message)
                    .help("give it a limit, for example: message 25MB");
                self.report(diagnostic);
            }
            let direction = section.value::<&str>("direction").map(|word| match word.value {
                "out" => Direction::Out,
                _ => Direction::In,
            });
            let rule = SizeRule {
                direction,
                accounts: values::<Address>(section, "accounts"),
                domains: values::<Domain>(section, "domains"),
                limits,
            };
            all.push(SizeLimits { name, rule });
        }
        self.unique("size-limits", all.iter().map(|limits| limits.name.clone()));
        all
    }
}

fn values<T: crate::check::FromValue>(section: &Section<'_>, name: &str) -> Vec<T> {
    section.list(name).map_or_else(Vec::new, |list| list.value)
}

fn bans(top: &Section<'_>) -> Option<Bans> {
    let section = top.section_or_default("bans", &BANS);
    let weights = section.all("weight").filter_map(|item| {
        let word = item.argument::<&str>(0)?;
        let incident = Incident::ALL.into_iter().find(|known| known.word() == word.value)?;
        Some((incident, item.argument::<u32>(1)?.value))
    });
    let spamtraps = section.all("spamtrap").flat_map(|item| item.arguments::<Address>(0));
    Some(Bans {
        incidents: section.value("incidents")?,
        within: section.value("within")?,
        time: section.value("time")?,
        time_max: section.value("time-max")?,
        weights: weights.collect(),
        spamtraps: spamtraps.map(|address| address.value).collect(),
        entries: section.value("entries")?,
    })
}

fn loopback() -> Vec<IpNet> {
    let v4 = IpNet::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8).map(|net| net.trunc());
    let v6 = IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST));
    v4.into_iter().chain([v6]).collect()
}

/// A rate that is written, `off` or not; `None` where it is wrong.
fn rate(section: &Section<'_>, name: &str) -> Option<Located<Option<Rate>>> {
    let Some(item) = section.find(name) else {
        return section.written(name).is_none().then(|| Located::default_value(None));
    };
    let rate = item
        .argument::<u32>(0)
        .zip(item.argument(1))
        .map(|(count, period)| Rate { count: count.value, period: period.value });
    Some(Located::at(rate, item.statement.head()))
}

fn limit(item: &Checked<'_>, what: What) -> Option<Limit> {
    let period = match item.argument::<&str>(2)?.value {
        "minute" => Period::Minute,
        "hour" => Period::Hour,
        "day" => Period::Day,
        _ => Period::Month,
    };
    Some(Limit { what, max: item.argument::<u64>(0)?.value, period })
}

/// Adds the entries of a list; false if they are of no kind that selects.
fn select(selection: &mut Selection, entries: &Entries) -> bool {
    match entries {
        Entries::Addresses(list) => list.iter().for_each(|pattern| selection.account(pattern)),
        Entries::Networks(list) => list.iter().for_each(|network| selection.network(*network)),
        Entries::Domains(_) | Entries::Patterns(_) => return false,
    }
    true
}
