//! `fax NAME { }`

use std::path::PathBuf;

use fax::{Cover, Language, Number, Options, Paper, Plan, Prefix, Resolution, Security, SoftFail};
use ipnet::IpNet;
use mail::{Address, Domain};

use super::names::Named;
use super::{Builder, name_of};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{
    FaxAccount, FaxNotices, FaxTransport, FaxUser, LocalDomain, Recipients, Route, Target,
};
use crate::source::Span;

impl Builder<'_> {
    pub(super) fn fax_accounts(&mut self, top: &Section<'_>) -> Vec<FaxAccount> {
        let mut accounts = Vec::new();
        for item in top.all("fax") {
            accounts.extend(self.fax_account(item));
        }
        self.unique("fax", accounts.iter().map(|account| account.name.clone()));
        accounts
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
        Some(FaxAccount {
            domains,
            organisation: section.value("organisation")?,
            main_number,
            plan,
            security,
            users,
            defaults,
            confidentiality: section.value("confidentiality"),
            shows_subject: section.value::<&str>("subject")?.map(|word| word == "shown"),
            pages_max: section.value("pages")?,
            transport: self.fax_transport(section)?,
            notices: FaxNotices {
                accepted: tells("accepted"),
                sent: tells("sent"),
                failed: tells("failed"),
            },
            name,
        })
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
            let mut prefixes = Vec::new();
            for text in written.arguments::<String>(0) {
                match text.value.parse() {
                    Ok(prefix) => prefixes.push(prefix),
                    Err(_) => {
                        let message = format!("\"{}\" is no beginning of numbers", text.value);
                        self.fax_error(text.span, message, "write it with its country code: +1900");
                    }
                }
            }
            prefixes
        };
        let allow = prefixes("allow-numbers");
        let deny = prefixes("deny-numbers");
        let costly = section.value::<bool>("costly-numbers")?.value;
        Some(Plan { country: read, allow, deny, costly })
    }

    /// A number of our own. It is not called, so lists of numbers do not hold for it.
    fn number(&mut self, text: &Located<String>, plan: &Plan) -> Option<Number> {
        match Plan::of(plan.country).read(&text.value) {
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
        let white_list = self.white_list(section);
        let trusted = section.find("trusted-domains");
        let trusted_domains =
            trusted.iter().flat_map(|item| item.arguments::<Domain>(0)).map(|d| d.value).collect();
        let security = Security {
            white_list,
            spoofing_protection,
            users: users.iter().map(|user| user.address.clone()).collect(),
            trusted_domains,
        };
        let is_written = section.written("mail-server-white-list").is_some();
        if security.is_open() && !is_written {
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

    /// Networks separated by commas or blanks.
    fn white_list(&mut self, section: &Section<'_>) -> Vec<IpNet> {
        let Some(item) = section.find("mail-server-white-list") else { return Vec::new() };
        let mut networks: Vec<Located<IpNet>> = Vec::new();
        for text in item.arguments::<String>(0) {
            for word in text.value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                let network =
                    word.parse().or_else(|_| word.parse::<std::net::IpAddr>().map(IpNet::from));
                match network {
                    Ok(network) if network.prefix_len() == 0 => {
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
        networks.into_iter().map(|network| network.value).collect()
    }

    fn fax_transport(&mut self, section: &Section<'_>) -> Option<Located<FaxTransport>> {
        let Some(item) = section.find("transport") else {
            let written = section.written("transport");
            return written.is_none().then(|| Located::default_value(FaxTransport::None));
        };
        let transport = match item.argument::<&str>(0)?.value {
            "spool" => FaxTransport::Spool(item.argument::<PathBuf>(1)?.value),
            "hylafax" => {
                let credentials = item.argument::<String>(3);
                if let Some(Located { value, span: Some(span) }) = &credentials {
                    self.uses(Named::Credentials, value, *span);
                }
                let server = item.argument::<Target>(1)?.value;
                FaxTransport::Hylafax { server, credentials: credentials.map(|name| name.value) }
            }
            _ => FaxTransport::None,
        };
        Some(Located::at(transport, item.statement.head()))
    }

    fn fax_error(&mut self, span: Option<Span>, message: String, help: &str) {
        if let Some(span) = span {
            self.report(Diagnostic::error(Code::FaxNumber, span, message).help(help));
        }
    }
}

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
