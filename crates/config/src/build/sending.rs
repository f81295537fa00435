//! `queue { }`, `delivery { }` and `rate-class NAME { }`.

use std::net::IpAddr;

use rules::{Action, RelayHost, Setting};
use tls::{Version, Versions};

use super::domain::level;
use super::{Basics, Builder, derived, name_of};
use crate::check::Section;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{Delivery, IpFamilies, Queue, RateClass};
use crate::quantity::format_duration;
use crate::schema::{DELIVERY, QUEUE};

impl Builder<'_> {
    pub(super) fn queue(&mut self, top: &Section<'_>) -> Option<Queue> {
        let section = top.section_or_default("queue", &QUEUE);
        let retry = section.list("retry")?;
        let lifetime: Located<std::time::Duration> = section.value("lifetime")?;
        if let Some(beyond) = retry.iter().find(|wait| **wait > lifetime.value)
            && let Some(span) = retry.span
        {
            let (wait, lifetime) = (format_duration(*beyond), format_duration(lifetime.value));
            let message = format!("a wait of {wait} is longer than the lifetime of {lifetime}");
            let diagnostic = Diagnostic::error(Code::RetryBeyondLifetime, span, message)
                .help("shorten the wait or lengthen lifetime");
            self.report(diagnostic);
        }
        Some(Queue {
            retry,
            jitter_percent: section.value("jitter")?,
            lifetime,
            bounce_lifetime: section.value("bounce-lifetime")?,
            delay_notice: section.value("delay-notice")?,
            policy_notice: section.value("policy-notice")?,
            failure_copies: section.value("failure-copies")?,
            concurrency: section.value("concurrency")?,
            per_destination: section.value("per-destination")?,
        })
    }

    pub(super) fn delivery(&mut self, top: &Section<'_>, basics: &Basics) -> Option<Delivery> {
        let section = top.section_or_default("delivery", &DELIVERY);
        let tls_versions = match section.list::<Version>("tls-versions") {
            Some(versions) => versions.map(Versions::from),
            None => Located { value: basics.tls_versions(), span: basics.tls_policy.span },
        };
        let families = section.value::<&str>("addresses")?.map(|word| match word {
            "ipv4" => IpFamilies::Ipv4,
            "ipv6" => IpFamilies::Ipv6,
            _ => IpFamilies::Both,
        });
        Some(Delivery {
            default_encryption: section.value::<&str>("default-encryption")?.map(level),
            relay_host: self.default_relay(&section),
            tls_versions,
            port: section.value("port")?,
            hostname: section.value("hostname").unwrap_or_else(|| derived(&basics.hostname)),
            families,
            source_addresses: self.source_addresses(&section),
            loopback: section.value("loopback")?,
            messages_per_connection: section.value("messages-per-connection")?,
            idle: section.value("idle")?,
            probe_cache: section.value("probe-cache")?,
        })
    }

    /// Read as the action of the same name is.
    fn default_relay(&mut self, section: &Section<'_>) -> Option<Located<RelayHost>> {
        let statement = section.find("relay-host")?.statement;
        match self.action(statement)? {
            Action::Set(Setting::RelayHost(host)) => Some(Located::at(host, statement.head())),
            Action::Set(_) | Action::Verdict(_) => None,
        }
    }

    fn source_addresses(&mut self, section: &Section<'_>) -> Located<Vec<IpAddr>> {
        let Some(addresses) = section.values::<IpAddr>("source-address") else {
            return Located::default_value(Vec::new());
        };
        for (at, address) in addresses.iter().enumerate() {
            let same = |other: &&Located<IpAddr>| other.is_ipv4() == address.is_ipv4();
            let other = addresses[..at].iter().find(same).and_then(|other| other.span);
            if let (Some(other), Some(span)) = (other, address.span) {
                let message = "there is one source address for each family";
                let diagnostic = Diagnostic::error(Code::ConflictingDirectives, span, message)
                    .related(other, "the other one");
                self.report(diagnostic);
            }
        }
        addresses.map(|addresses| addresses.into_iter().map(|address| address.value).collect())
    }

    pub(super) fn rate_classes(&mut self, top: &Section<'_>) -> Vec<RateClass> {
        let mut classes = Vec::new();
        for item in top.all("rate-class") {
            let (Some(name), Some(section)) = (name_of(item), &item.section) else { continue };
            let (Some(messages), Some(period)) =
                (section.value("messages"), section.value("period"))
            else {
                continue;
            };
            classes.push(RateClass { name, messages, period });
        }
        self.unique("rate-class", classes.iter().map(|class| class.name.clone()));
        classes
    }
}
