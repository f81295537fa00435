//! Checked statements to the model, and the checks that look at more than one directive.

use std::path::PathBuf;

use ipnet::IpNet;
use mail::{Address, Domain};

use crate::check::{Checked, Checker, Section};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::load::List;
use crate::located::Located;
use crate::model::{Config, Listener, TlsPolicy};
use crate::schema::{Context, LIMITS, TOP};
use crate::source::{Sources, Span};
use crate::tree::Statement;
use crate::world::World;
pub(crate) use analysis::diagnostic as finding;
use names::{Named, Names};

mod analysis;
mod authentication;
mod certificate;
mod directory;
mod domain;
mod fax;
mod fax_gateway;
mod fax_provider;
mod filters;
mod flow;
mod limits;
mod listener;
mod lists;
mod names;
mod policy;
mod sending;
mod sign_in;
mod signing;
mod small;
mod spam_lists;
mod words;

/// What the parts of a configuration are built with.
pub(crate) struct Builder<'s> {
    pub sources: &'s Sources,
    pub world: &'s dyn World,
    pub lists: &'s [List],
    pub diagnostics: Vec<Diagnostic>,
    names: Names,
    /// Where `trusted-networks` is written.
    trusted_networks: Option<Span>,
}

/// What many parts need of the directives outside all blocks.
pub(crate) struct Basics {
    pub hostname: Located<Domain>,
    pub data: Located<PathBuf>,
    pub tls_policy: Located<TlsPolicy>,
}

/// The configuration that statements make, if they make one, and what is wrong with them.
pub(crate) fn config(
    sources: &Sources,
    statements: &[Statement],
    lists: &[List],
    world: &dyn World,
) -> (Option<Config>, Vec<Diagnostic>) {
    let mut checker = Checker::new(sources);
    let top = checker.section(&TOP, statements, None);
    let diagnostics = checker.diagnostics;
    let names = Names::of(&top);
    let trusted_networks = top.written("trusted-networks");
    let mut builder = Builder { sources, world, lists, diagnostics, names, trusted_networks };
    let config = builder.config(&top);
    (config, builder.diagnostics)
}

/// A section of a block that is not written: all defaults.
fn nothing(context: &'static Context) -> Section<'static> {
    Section::empty(context)
}

impl Builder<'_> {
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(crate) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.report(Diagnostic::error(code, span, message));
    }

    /// Every part is built, so that every finding is there, before any is asked for.
    fn config(&mut self, top: &Section<'_>) -> Option<Config> {
        let tls_policy = top.value::<&str>("tls-policy").map(|policy| {
            policy.map(|word| match word {
                "strict" => TlsPolicy::Strict,
                _ => TlsPolicy::Modern,
            })
        });
        // A name in place of a missing one lets the other parts be checked.
        let hostname = top
            .value("hostname")
            .or_else(|| Domain::parse("localhost").ok().map(Located::default_value));
        let basics =
            Basics { hostname: hostname?, data: top.value("data")?, tls_policy: tls_policy? };
        let limits = limits::limits(&top.section_or_default("limits", &LIMITS), None);
        let certificates = self.certificates(top, &basics);
        let credentials = self.all_credentials(top);
        let listeners = self.listeners(top, &basics, limits.as_ref());
        let domains = self.domains(top, &basics, &listeners);
        let fax_accounts = self.fax_accounts(top);
        let fax_providers = self.fax_providers(top, &listeners);
        let fax_gateways = self.fax_gateways(top);
        let domains = self.with_fax_domains(domains, &fax_accounts);
        let sign_in = self.sign_in(top, &basics.hostname);
        let directories = self.directories(top);
        let rate_classes = self.rate_classes(top);
        let (milters, scanners) = (self.milters(top), self.scanners(top));
        let scanning = filters::scanning(top);
        let courses = scanning.as_ref().filter(|_| top.find("scanner").is_some());
        let courses = courses.map(|scanning| scanning.courses);
        let delivery = self.delivery(top, &basics);
        let queue = self.queue(top);
        let (signing, srs) = (self.signing(top), self.srs(top));
        let (arc_sealing, dmarc_reports) = (self.arc_sealing(top), self.dmarc_reports(top));
        let control = small::control(top, &basics);
        let (dns, hosts, mx) = (small::dns(top), self.hosts(top), self.mx(top));
        let timeouts = small::timeouts(top);
        let (evidence, log) = (small::evidence(top), small::log(top));
        let (dnsbl, uribl) = (self.dnsbl(top), self.uribl(top));
        let greylisting = self.greylisting(top);
        let reputation = spam_lists::reputation(top);
        let trusted_networks = self.networks(top, "trusted-networks");
        let default_encryption = delivery
            .as_ref()
            .map_or(tls::Level::Opportunistic, |delivery| delivery.default_encryption.value);
        let authentication = self.sender_authentication(top);
        let rule_set = self.rule_set(top, trusted_networks.value.clone(), default_encryption).map(
            |rule_set| rules::RuleSet {
                scanning: courses,
                sender_must_match: sign_in
                    .as_ref()
                    .map_or_else(Default::default, |sign_in| *sign_in.sender_must_match),
                sender_checks: authentication.as_ref().map(|(_, c)| *c).unwrap_or_default(),
                ..rule_set
            },
        );
        let flow = self.all_flow(top, rule_set.as_ref());
        let policy = rule_set.as_ref().and_then(|rule_set| self.compile(rule_set));
        let ca_bundle = self.readable(top.value("ca-bundle"));
        self.certificates_of_listeners(&listeners);
        self.unused_names();
        let flow::AllFlow { flow, bans, quotas, size_limits } = flow?;
        Some(Config {
            postmaster: postmaster(top, &basics)?,
            authserv_id: top.value("authserv-id").unwrap_or_else(|| derived(&basics.hostname)),
            greeting: top.value("greeting")?,
            tls_policy: basics.tls_policy,
            trusted_networks,
            dns: dns?,
            hosts,
            mx,
            ca_bundle,
            credentials,
            certificates,
            listeners,
            directories,
            sign_in: sign_in?,
            domains,
            fax_accounts,
            fax_providers,
            fax_gateways,
            rule_set: rule_set?,
            policy: policy?,
            limits: limits?,
            timeouts: timeouts?,
            queue: queue?,
            delivery: delivery?,
            rate_classes,
            signing: signing?,
            srs,
            milters,
            scanners,
            scanning: scanning?,
            size_limits,
            quotas,
            flow,
            bans,
            dnsbl,
            uribl,
            greylisting,
            reputation,
            arc_sealing,
            dmarc_reports,
            holding: filters::holding(top)?,
            quarantine: filters::quarantine(top)?,
            evidence: evidence?,
            sender_authentication: authentication?.0,
            log: log?,
            control,
            hostname: basics.hostname,
            data: basics.data,
            sources: self.sources.clone(),
        })
    }

    fn certificates_of_listeners(&mut self, listeners: &[Listener]) {
        for tls in listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
            if let Some(span) = tls.certificate.span {
                self.uses(Named::Certificate, &tls.certificate, span);
            }
            for (host, name) in &tls.certificates_for {
                if let Some(span) = host.span {
                    self.uses(Named::Certificate, name, span);
                }
            }
        }
    }

    /// The networks of a directive, each named once.
    pub(crate) fn networks(&mut self, section: &Section<'_>, name: &str) -> Located<Vec<IpNet>> {
        let Some(item) = section.find(name) else { return Located::default_value(Vec::new()) };
        let networks: Vec<Located<IpNet>> =
            (0..=1).flat_map(|argument| item.arguments(argument)).collect();
        self.overlaps(&networks);
        let values = networks.into_iter().map(|network| network.value).collect();
        Located::at(values, item.statement.head())
    }

    /// Names networks that are there twice or within one another.
    pub(crate) fn overlaps(&mut self, networks: &[Located<IpNet>]) {
        for (at, later) in networks.iter().enumerate() {
            let covered = |earlier: &&Located<IpNet>| {
                earlier.contains(&later.value) || later.contains(&earlier.value)
            };
            let Some(earlier) = networks[..at].iter().find(covered) else { continue };
            let (Some(span), Some(first)) = (later.span, earlier.span) else { continue };
            let diagnostic = if later.value == earlier.value {
                let message = format!("{} is there twice", self.sources.text(span));
                Diagnostic::error(Code::DuplicateEntry, span, message)
            } else {
                let message = format!("{} and {} overlap", later.value, earlier.value);
                Diagnostic::warning(Code::TablesOverlap, span, message)
            };
            self.report(diagnostic.related(first, "the other one"));
        }
    }

    /// Reports a file that must be there and is not, on the machine where it will be needed.
    pub(crate) fn readable(&mut self, path: Option<Located<PathBuf>>) -> Option<Located<PathBuf>> {
        let path = path?;
        if self.world.is_where_it_will_run()
            && let Err(error) = self.world.read(&path, 1)
            && let Some(span) = path.span
        {
            let message = format!("cannot read {}: {error}", path.display());
            self.error(Code::FileUnreadable, span, message);
        }
        Some(path)
    }

    /// Reports a name that is given twice among things of one kind.
    pub(crate) fn unique<T: PartialEq + std::fmt::Display>(
        &mut self,
        what: &str,
        names: impl IntoIterator<Item = Located<T>>,
    ) {
        let mut seen: Vec<Located<T>> = Vec::new();
        for name in names {
            let earlier = seen.iter().find(|earlier| **earlier == name);
            if let (Some(earlier), Some(span)) = (earlier.and_then(|e| e.span), name.span) {
                let message = format!("there are two of the same {what}: {}", name.value);
                let diagnostic = Diagnostic::error(Code::DefinedTwice, span, message)
                    .related(earlier, "the first one");
                self.report(diagnostic);
            }
            seen.push(name);
        }
    }
}

fn postmaster(top: &Section<'_>, basics: &Basics) -> Option<Located<Address>> {
    top.value("postmaster").or_else(|| {
        let address = Address::new("postmaster", basics.hostname.value.clone()).ok()?;
        Some(Located::default_value(address))
    })
}

/// The same value where it is only a default.
pub(crate) fn derived<T: Clone>(value: &Located<T>) -> Located<T> {
    Located::default_value(value.value.clone())
}

/// The name a block begins with.
pub(crate) fn name_of(item: &Checked<'_>) -> Option<Located<String>> {
    item.argument(0)
}
