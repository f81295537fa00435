//! `fax NAME { }`

use std::path::PathBuf;
use std::time::Duration;

use fax::template::Template;
use fax::{
    AreaCode, Country, Cover, Language, Number, Options, Paper, Plan, Prefix, Principal,
    Resolution, Security, SoftFail,
};
use ipnet::IpNet;
use mail::{Address, Domain};

use super::names::Named;
use super::{Builder, name_of};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{
    FaxAccount, FaxInbound, FaxLine, FaxNotices, FaxSource, FaxTransport, FaxUser, LocalDomain,
    Recipients, Route, Target,
};
use crate::source::Span;

impl Builder<'_> {
    pub(super) fn fax_accounts(&mut self, top: &Section<'_>) -> Vec<FaxAccount> {
        let mut accounts = Vec::new();
        for item in top.all("fax") {
            accounts.extend(self.fax_account(item));
        }
        self.unique("fax", accounts.iter().map(|account| account.name.clone()));
        self.off_ramps(top, &accounts);
        let servers = accounts.iter().filter_map(|account| account.inbound.as_ref());
        // Files of HylaFAX are taken by one account; calls are told apart by their numbers.
        let servers = servers.filter(|i| matches!(*i.source, FaxSource::Hylafax { .. }));
        let servers = servers.map(|i| i.source.clone().map(|s| format!("inbound from {s}")));
        self.unique("fax source", servers.collect::<Vec<_>>());
        accounts
    }

    /// Says which off-ramps are fax accounts of this server: a fax would come back as a fax.
    fn off_ramps(&mut self, top: &Section<'_>, accounts: &[FaxAccount]) {
        let ours: Vec<&Domain> =
            accounts.iter().flat_map(|account| &account.domains).map(|name| &name.value).collect();
        let sections = top.all("fax").filter_map(|item| item.section.as_ref());
        for item in sections.flat_map(|section| section.all("transport")) {
            let is_t37 = item.argument::<&str>(0).is_some_and(|word| word.value == "t37");
            let Some(domain) = item.argument::<Domain>(1).filter(|_| is_t37) else { continue };
            if let Some(span) = domain.span.filter(|_| ours.contains(&&domain.value)) {
                let message = format!("{} is a fax account of this server", domain.value);
                let error = Diagnostic::error(Code::FaxTransportLoop, span, message);
                self.report(error.help("name the domain of another server, the off-ramp"));
            }
        }
    }

    /// The domains of accounts as domains of ours, beside those that are written.
    pub(super) fn with_fax_domains(
        &mut self,
        mut domains: Vec<LocalDomain>,
        accounts: &[FaxAccount],
    ) -> Vec<LocalDomain> {
        for account in accounts {
            for name in &account.domains {
                domains.push(LocalDomain {
                    name: name.clone(),
                    route: Located {
                        value: Route::Fax(account.name.value.clone()),
                        span: name.span,
                    },
                    recipients: Located::default_value(Recipients::Any),
                    catch_all: None,
                    encryption: Located::default_value(tls::Level::None),
                });
            }
        }
        self.unique("domain", domains.iter().map(|domain| domain.name.clone()));
        domains
    }

    fn fax_account(&mut self, item: &Checked<'_>) -> Option<FaxAccount> {
        let section = item.section.as_ref()?;
        let name = name_of(item)?;
        let domains: Vec<Located<Domain>> = section.values("domains")?.value;
        let plan = self.plan(section)?;
        let transports = self.fax_transports(section, &plan);
        let main_number = section.value("main-number").and_then(|n| self.number(&n, &plan))?;
        let users = self.fax_users(section, &plan);
        let security = self.security(section, &users, &name)?;
        let defaults = Options {
            cover: section.value::<&str>("cover").map(|word| cover(word.value)),
            resolution: section.value::<&str>("resolution").map(|word| resolution(word.value)),
            paper: section.value::<&str>("paper").map(|word| match word.value {
                "letter" => Paper::Letter,
                _ => Paper::A4,
            }),
            language: section.value::<&str>("language").map(|word| language(word.value)),
            ..Options::default()
        };
        let words = section.values::<&str>("notices")?.value;
        let tells = |event: &str| words.iter().any(|word| word.value == event);
        let inbound = match section.find("inbound").and_then(|item| item.section.as_ref()) {
            Some(inbound) => Some(self.fax_inbound(inbound, &plan, &security)?),
            None => None,
        };
        let notice_pages: Located<bool> = section.value("notice-pages")?;
        if let (true, "private", Some(span)) =
            (*notice_pages, section.value::<&str>("subject")?.value, notice_pages.span)
        {
            let message = "a private account has no pages in its notices";
            let error = Diagnostic::error(Code::FaxPagesPrivate, span, message);
            self.report(error.help("leave out `notice-pages on` or `subject private`"));
        }
        Some(FaxAccount {
            inbound,
            notice_pages,
            domains,
            organisation: section.value("organisation")?,
            main_number,
            plan,
            security,
            users,
            defaults,
            cover_templates: self.cover_templates(section),
            confidentiality: section.value("confidentiality"),
            fonts: self.fonts(section),
            office: match section.find("office").and_then(|item| item.argument::<&str>(0)) {
                Some(word) if *word == "off" => None,
                _ => Some(section.value::<PathBuf>("office")?.value),
            },
            shows_subject: section.value::<&str>("subject")?.map(|word| word == "shown"),
            leaves_out: section.value::<&str>("bad-attachments")?.map(|word| word == "leave-out"),
            pages_max: section.value("pages")?,
            transports,
            notices: FaxNotices {
                accepted: tells("accepted"),
                sent: tells("sent"),
                failed: tells("failed"),
            },
            requests_end: section.value("requests-end")?,
            keep_pages: section.value("keep-pages")?,
            keep_records: section.value("keep-records")?,
            name,
        })
    }

    fn cover_templates(&mut self, section: &Section<'_>) -> Vec<(Language, String)> {
        let (mut templates, mut named) = (Vec::new(), Vec::new());
        for item in section.all("cover-template") {
            let (Some(word), Some(path)) = (item.argument::<&str>(0), item.argument::<PathBuf>(1))
            else {
                continue;
            };
            if let Some(template) = self.cover_template(&path) {
                templates.push((language(word.value), template));
            }
            named.push(word);
        }
        self.unique("cover-template", named);
        templates
    }

    /// The text of a template, found to be one. Nothing where it need not be there.
    fn cover_template(&mut self, path: &Located<PathBuf>) -> Option<String> {
        let span = path.span?;
        let shown = path.display();
        let octets = match self.world.read(path, TEMPLATE_MAX_OCTETS + 1) {
            Ok(octets) => octets,
            Err(error) => {
                if self.world.is_where_it_will_run() {
                    let message = format!("cannot read {shown}: {error}");
                    self.error(Code::FileUnreadable, span, message);
                }
                return None;
            }
        };
        if octets.len() > TEMPLATE_MAX_OCTETS {
            let message = format!("{shown} is larger than {TEMPLATE_MAX_OCTETS} octets");
            self.error(Code::FileTooLarge, span, message);
            return None;
        }
        let Ok(text) = String::from_utf8(octets) else {
            self.error(Code::NotUtf8, span, format!("{shown} is not UTF-8"));
            return None;
        };
        if let Err(wrong) = Template::parse(&text) {
            self.error(Code::FaxCoverTemplate, span, format!("{shown}: {wrong}"));
            return None;
        }
        Some(text)
    }

    /// Font files, each found to begin like one.
    fn fonts(&mut self, section: &Section<'_>) -> Vec<PathBuf> {
        /// TrueType in both of its forms, OpenType and a collection of either.
        const BEGINNINGS: [&[u8]; 4] = [&[0, 1, 0, 0], b"true", b"OTTO", b"ttcf"];
        let Some(written) = section.find("fonts") else { return Vec::new() };
        let paths: Vec<Located<PathBuf>> = written.arguments(0).collect();
        for path in &paths {
            let Some(span) = path.span else { continue };
            let shown = path.display();
            match self.world.read(path, BEGINNINGS[0].len()) {
                Ok(octets) if BEGINNINGS.contains(&octets.as_slice()) => {}
                Ok(_) => {
                    let message = format!("{shown} is no TrueType or OpenType font");
                    self.error(Code::FaxFont, span, message);
                }
                Err(error) if self.world.is_where_it_will_run() => {
                    let message = format!("cannot read {shown}: {error}");
                    self.error(Code::FileUnreadable, span, message);
                }
                Err(_) => {}
            }
        }
        if let Some(Some(span)) = paths.get(fax::work::FONTS_MAX).map(|path| path.span) {
            let most = fax::work::FONTS_MAX;
            self.error(Code::FaxFont, span, format!("{most} fonts are the most"));
        }
        paths.into_iter().map(|path| path.value).collect()
    }

    fn plan(&mut self, section: &Section<'_>) -> Option<Plan> {
        let country: Located<String> = section.value("country")?;
        let Ok(read) = country.value.parse() else {
            let message = format!("\"{}\" is no country", country.value);
            self.fax_error(country.span, message, "write two letters, such as US, CA or FR");
            return None;
        };
        let mut prefixes = |name: &str| -> Vec<Prefix> {
            let Some(written) = section.find(name) else { return Vec::new() };
            let prefixes = self.prefixes(&written.arguments(0).collect::<Vec<_>>()).into_iter();
            prefixes.map(|prefix| prefix.value).collect()
        };
        let allow = prefixes("allow-numbers");
        let deny = prefixes("deny-numbers");
        let costly = section.value::<bool>("costly-numbers")?.value;
        let area_code = self.area_code(section, read);
        Some(Plan { country: read, area_code, allow, deny, costly })
    }

    fn area_code(&mut self, section: &Section<'_>, country: Country) -> Option<AreaCode> {
        let text: Located<String> = section.value("area-code")?;
        if !country.is_north_american() {
            let message = "this country has no numbers without an area code";
            let help = "leave it out: it is for countries whose code is +1";
            self.fax_error(text.span, message.to_owned(), help);
            return None;
        }
        let Ok(area_code) = text.value.parse() else {
            let message = format!("\"{}\" is no area code", text.value);
            self.fax_error(text.span, message, "write three digits, such as 202");
            return None;
        };
        Some(area_code)
    }

    fn prefixes(&mut self, written: &[Located<String>]) -> Vec<Located<Prefix>> {
        let mut prefixes = Vec::new();
        for text in written {
            match text.value.parse() {
                Ok(value) => prefixes.push(Located { value, span: text.span }),
                Err(_) => {
                    let message = format!("\"{}\" is no beginning of numbers", text.value);
                    self.fax_error(text.span, message, "write it with its country code: +1900");
                }
            }
        }
        prefixes
    }

    /// A number of our own. It is not called, so lists of numbers do not hold for it.
    fn number(&mut self, text: &Located<String>, plan: &Plan) -> Option<Number> {
        match plan.open().read(&text.value) {
            Ok(number) => Some(number),
            Err(error) => {
                let message = format!("\"{}\" cannot be our number: {error}", text.value);
                self.fax_error(text.span, message, "write it as it is dialled: +1 202 555 0100");
                None
            }
        }
    }

    fn fax_users(&mut self, section: &Section<'_>, plan: &Plan) -> Vec<FaxUser> {
        let mut users = Vec::new();
        let mut names = Vec::new();
        for item in section.all("user") {
            let Some(address) = item.argument::<Address>(0) else { continue };
            let own = item.section.as_ref();
            let word = |name: &str| own.and_then(|own| own.value::<&str>(name)).map(|w| w.value);
            let defaults = Options {
                cover: word("cover").map(cover),
                resolution: word("resolution").map(resolution),
                language: word("language").map(language),
                ..Options::default()
            };
            let number = own
                .and_then(|own| own.value::<String>("number"))
                .and_then(|number| self.number(&number, plan));
            names.push(address.clone());
            users.push(FaxUser { address: address.value, number, defaults });
        }
        self.unique("user", names);
        users
    }

    fn security(
        &mut self,
        section: &Section<'_>,
        users: &[FaxUser],
        name: &Located<String>,
    ) -> Option<Security> {
        let spoofing = section.find("spoofing-protection");
        if spoofing.is_none() && section.written("spoofing-protection").is_some() {
            return None;
        }
        let spoofing_protection =
            spoofing.and_then(|item| item.argument::<&str>(2)).map(|decision| {
                match decision.value {
                    "accept" => SoftFail::Accept,
                    _ => SoftFail::Reject,
                }
            });
        let (white_list, has_mistakes) = self.white_list(section);
        let trusted = section.find("trusted-domains");
        let trusted_domains =
            trusted.iter().flat_map(|item| item.arguments::<Domain>(0)).map(|d| d.value).collect();
        let security = Security {
            white_list,
            spoofing_protection,
            users: users.iter().map(|user| user.address.clone()).collect(),
            trusted_domains,
        };
        // A list that cannot be read is no empty list.
        if security.is_open() && !has_mistakes {
            if let Some(span) = section.written("trusted-domains") {
                let message = "domains are trusted and nothing restrains who sends in their name";
                let diagnostic = Diagnostic::error(Code::FaxTrustUnrestrained, span, message)
                    .help("write mail-server-white-list or spoofing-protection on");
                self.report(diagnostic);
            } else if let Some(span) = name.span {
                let message = "mail to be faxed is accepted from every mail server";
                let diagnostic = Diagnostic::warning(Code::FaxSourcesOpen, span, message)
                    .help("write mail-server-white-list or spoofing-protection on");
                self.report(diagnostic);
            }
        }
        Some(security)
    }

    /// Networks separated by commas or blanks, and whether there are mistakes among them.
    fn white_list(&mut self, section: &Section<'_>) -> (Vec<IpNet>, bool) {
        let Some(item) = section.find("mail-server-white-list") else {
            return (Vec::new(), section.written("mail-server-white-list").is_some());
        };
        let mut has_mistakes = false;
        let mut networks: Vec<Located<IpNet>> = Vec::new();
        for text in item.arguments::<String>(0) {
            for word in text.value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                let network =
                    word.parse().or_else(|_| word.parse::<std::net::IpAddr>().map(IpNet::from));
                match network {
                    Ok(network) if network.prefix_len() == 0 => {
                        has_mistakes = true;
                        let message = format!("{network} is every mail server");
                        let help = "leave the white list out to accept every mail server";
                        if let Some(span) = text.span {
                            let error = Diagnostic::error(Code::EveryAddress, span, message);
                            self.report(error.help(help));
                        }
                    }
                    Ok(network) => {
                        networks.push(Located { value: network.trunc(), span: text.span });
                    }
                    Err(_) => {
                        has_mistakes = true;
                        let message = format!("\"{word}\" is no address or network");
                        if let Some(span) = text.span {
                            let error = Diagnostic::error(Code::WrongType, span, message);
                            self.report(
                                error.help("write 192.0.2.25, 10.20.0.0/16 or 2001:db8::/48"),
                            );
                        }
                    }
                }
            }
        }
        self.overlaps(&networks);
        (networks.into_iter().map(|network| network.value).collect(), has_mistakes)
    }

    fn fax_inbound(
        &mut self,
        section: &Section<'_>,
        plan: &Plan,
        security: &Security,
    ) -> Option<FaxInbound> {
        let source = self.fax_source(section)?;
        let catch_all: Located<Address> = section.value("catch-all")?;
        let mut receivers = vec![catch_all.clone()];
        let (mut routes, mut names) = (Vec::new(), Vec::new());
        for item in section.all("route") {
            let (Some(text), Some(address)) =
                (item.argument::<String>(0), item.argument::<Address>(1))
            else {
                continue;
            };
            let Some(number) = self.number(&text, plan) else { continue };
            names.push(text.map(|_| number.clone()));
            receivers.push(address.clone());
            routes.push((number, address.value));
        }
        self.unique("route", names);
        for receiver in receivers {
            if security.principal(&receiver.value) == Some(Principal::Trusted)
                && let Some(span) = receiver.span
            {
                let message = format!("{} is of a trusted domain and no user", receiver.value);
                let error = Diagnostic::error(Code::FaxRouteTrusted, span, message);
                self.report(error.help("write `user` for that address, or name somebody else"));
            }
        }
        let junk: Vec<Located<String>> =
            section.find("junk").map(|item| item.arguments(0).collect()).unwrap_or_default();
        Some(FaxInbound {
            source,
            routes,
            catch_all,
            junk: self.prefixes(&junk).into_iter().map(|prefix| prefix.value).collect(),
        })
    }

    /// `from`, with what is said of it beside.
    fn fax_source(&mut self, section: &Section<'_>) -> Option<Located<FaxSource>> {
        let from = section.find("from")?;
        let word = from.argument::<&str>(0)?;
        let source = if word.value == "t38" {
            let name: Located<String> = from.argument(1)?;
            self.uses_written(Named::FaxGateway, &name);
            for idle in ["every", "called", "caller", "delete"] {
                if let Some(span) = section.written(idle) {
                    let message = format!("`{idle}` is about files of HylaFAX");
                    let error = Diagnostic::error(Code::FaxGateway, span, message);
                    self.report(error.help("leave it out"));
                }
            }
            FaxSource::T38(name.value)
        } else {
            let server: Located<Target> = from.argument(1)?;
            let credentials: Option<Located<String>> = from.argument(3);
            if let Some(name) = &credentials {
                self.uses_written(Named::Credentials, name);
            }
            FaxSource::Hylafax {
                server: server.value,
                credentials: credentials.map(|name| name.value),
                every: section.value::<Duration>("every")?.value,
                called: section.value::<u32>("called")?.value,
                caller: section.value::<u32>("caller")?.value,
                deletes: section.value::<bool>("delete")?.value,
            }
        };
        Some(Located { value: source, span: Some(from.statement.head()) })
    }

    fn fax_transports(&mut self, section: &Section<'_>, plan: &Plan) -> Vec<FaxTransport> {
        let mut transports: Vec<FaxTransport> = Vec::new();
        let (mut none, mut is_good) = (None, true);
        for item in section.all("transport") {
            let Some(word) = item.argument::<&str>(0) else {
                is_good = false;
                continue;
            };
            let (line, limit_at) = match word.value {
                "spool" => match item.argument::<PathBuf>(1) {
                    Some(folder) => (FaxLine::Spool(folder.value), 3),
                    None => continue,
                },
                "hylafax" => match self.hylafax(item) {
                    Some(line) => line,
                    None => continue,
                },
                "t37" => match item.argument::<Domain>(1) {
                    Some(domain) => (FaxLine::T37(domain.value), 3),
                    None => continue,
                },
                "provider" => match item.argument::<String>(1) {
                    Some(name) => {
                        self.uses_written(Named::FaxProvider, &name);
                        (FaxLine::Provider(name.value), 3)
                    }
                    None => continue,
                },
                "t38" => match item.argument::<String>(1) {
                    Some(name) => {
                        self.uses_written(Named::FaxGateway, &name);
                        (FaxLine::T38(name.value), 3)
                    }
                    None => continue,
                },
                _ => {
                    none = Some(item.statement.head());
                    continue;
                }
            };
            if transports.iter().any(|known| known.line == line) {
                let message = format!("{line} is named twice");
                let help = "write the beginnings of its numbers together, behind one `for`";
                self.unused_transport(item.statement.head(), message, help);
                continue;
            }
            let limit: Vec<Located<String>> = item.arguments(limit_at).collect();
            let prefixes = self.prefixes(&limit);
            is_good &= prefixes.len() == limit.len();
            self.check_prefixes(&prefixes, plan, item.statement.head(), &line);
            let prefixes = prefixes.into_iter().map(|prefix| prefix.value).collect();
            transports.push(FaxTransport { line, prefixes });
        }
        if let (Some(none), false) = (none, transports.is_empty()) {
            let message = "\"transport none\" stands beside another transport".to_owned();
            self.unused_transport(none, message, "leave it out");
        }
        let limits: Vec<&[Prefix]> = transports.iter().map(|t| t.prefixes.as_slice()).collect();
        if is_good
            && !transports.is_empty()
            && !fax::routing::serves_all(&limits, plan)
            && let Some(span) = section.written("transport")
        {
            let message = "faxes to some of the allowed numbers have no transport";
            let diagnostic = Diagnostic::warning(Code::FaxNumbersUnserved, span, message)
                .help("write a transport without `for`, or narrow `allow-numbers`");
            self.report(diagnostic);
        }
        transports
    }

    /// A HylaFAX server, and the place of the beginnings of its numbers.
    fn hylafax(&mut self, item: &Checked<'_>) -> Option<(FaxLine, usize)> {
        let server = item.argument::<Target>(1)?.value;
        let signs_in = item.argument::<&str>(2).is_some_and(|word| word.value == "credentials");
        let credentials = if signs_in { item.argument::<String>(3) } else { None };
        if let Some(name) = &credentials {
            self.uses_written(Named::Credentials, name);
        }
        let credentials = credentials.map(|name| name.value);
        Some((FaxLine::Hylafax { server, credentials }, if signs_in { 5 } else { 3 }))
    }

    /// Says which beginnings no fax will ever have.
    fn check_prefixes(
        &mut self,
        prefixes: &[Located<Prefix>],
        plan: &Plan,
        head: Span,
        line: &FaxLine,
    ) {
        let is_used = |prefix: &Located<Prefix>| fax::routing::is_used(&prefix.value, plan);
        if !prefixes.is_empty() && !prefixes.iter().any(is_used) {
            let message = format!("no fax ever goes to {line}");
            let help = "its numbers are denied or not among `allow-numbers`";
            self.unused_transport(head, message, help);
            return;
        }
        for (place, prefix) in prefixes.iter().enumerate() {
            let Some(span) = prefix.span else { continue };
            let (value, before) = (&prefix.value, &prefixes[..place]);
            if before.iter().any(|other| other.value == *value) {
                let message = format!("{value} is there twice");
                self.report(Diagnostic::warning(Code::DuplicateEntry, span, message));
            } else if !is_used(prefix) {
                let message = format!("no fax is ever sent to a number that begins with {value}");
                let help = "such numbers are denied or not among `allow-numbers`";
                self.unused_transport(span, message, help);
            }
        }
    }

    fn unused_transport(&mut self, span: Span, message: String, help: &str) {
        self.report(Diagnostic::warning(Code::FaxTransportUnused, span, message).help(help));
    }

    fn fax_error(&mut self, span: Option<Span>, message: String, help: &str) {
        if let Some(span) = span {
            self.report(Diagnostic::error(Code::FaxNumber, span, message).help(help));
        }
    }
}

/// The largest template of a cover page.
const TEMPLATE_MAX_OCTETS: usize = 64 * 1024;

fn cover(word: &str) -> Cover {
    match word {
        "always" => Cover::Always,
        "never" => Cover::Never,
        _ => Cover::Text,
    }
}

fn resolution(word: &str) -> Resolution {
    match word {
        "standard" => Resolution::Standard,
        "superfine" => Resolution::Superfine,
        _ => Resolution::Fine,
    }
}

fn language(word: &str) -> Language {
    if word == "fr" { Language::Fr } else { Language::En }
}
