//! `domain NAME { }`

use std::net::IpAddr;
use std::path::PathBuf;

use super::{Basics, Builder};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{Host, Listener, LmtpTarget, LocalDomain, Recipients, Route, Target};
use crate::source::Span;

impl Builder<'_> {
    pub(super) fn domains(
        &mut self,
        top: &Section<'_>,
        basics: &Basics,
        listeners: &[Listener],
    ) -> Vec<LocalDomain> {
        let mut domains = Vec::new();
        for item in top.all("domain") {
            domains.extend(self.domain(item, basics, listeners));
        }
        domains
    }

    fn domain(
        &mut self,
        item: &Checked<'_>,
        basics: &Basics,
        listeners: &[Listener],
    ) -> Option<LocalDomain> {
        let section = item.section.as_ref()?;
        let route = self.route(section)?;
        self.route_leads_elsewhere(&route, basics, listeners);
        let recipients = match section.value::<&str>("recipients") {
            Some(word) => word.map(|word| match word {
                "accounts" => Recipients::Accounts,
                _ => Recipients::Any,
            }),
            None if route.value == Route::Mailboxes => Located::default_value(Recipients::Accounts),
            None => Located::default_value(Recipients::Any),
        };
        let catch_all = section.value("catch-all");
        if recipients.value == Recipients::Any
            && let Some(span) = section.written("catch-all")
        {
            let message = "every recipient is taken, so none is left for catch-all";
            let diagnostic = Diagnostic::error(Code::ConflictingDirectives, span, message)
                .help("remove it, or write recipients accounts");
            self.report(diagnostic);
        }
        let encryption = self.encryption(section, &route);
        Some(LocalDomain { name: item.argument(0)?, route, recipients, catch_all, encryption })
    }

    fn route(&mut self, section: &Section<'_>) -> Option<Located<Route>> {
        let written = section.written("deliver-to");
        if let (Some(mailboxes), Some(deliver)) = (section.written("mailboxes"), written) {
            let message = "mailboxes local and deliver-to exclude each other";
            let diagnostic = Diagnostic::error(Code::ConflictingDirectives, deliver, message)
                .related(mailboxes, "here the mailboxes are local");
            self.report(diagnostic);
        }
        let Some(item) = section.find("deliver-to") else {
            let span = section.written("mailboxes");
            return written.is_none().then_some(Located { value: Route::Mailboxes, span });
        };
        let route = match item.argument::<&str>(0)?.value {
            "maildir" => Route::Maildir(item.argument::<PathBuf>(1)?.value),
            "lmtp" => match item.argument::<Target>(1) {
                Some(target) => Route::Lmtp(LmtpTarget::Tcp(target.value)),
                None => Route::Lmtp(LmtpTarget::Unix(item.argument::<PathBuf>(1)?.value)),
            },
            _ => Route::Smtp(item.arguments(1).map(|target| target.value).collect()),
        };
        Some(Located::at(route, item.statement.head()))
    }

    fn encryption(&mut self, section: &Section<'_>, route: &Route) -> Located<tls::Level> {
        let Some(word) = section.value::<&str>("encryption") else {
            return Located::default_value(tls::Level::Opportunistic);
        };
        let has_network = match route {
            Route::Smtp(_) | Route::Lmtp(LmtpTarget::Tcp(_)) => true,
            Route::Mailboxes
            | Route::Maildir(_)
            | Route::Lmtp(LmtpTarget::Unix(_))
            | Route::Fax(_) => false,
        };
        if let (false, Some(span)) = (has_network, word.span) {
            let message = "this mail never leaves the machine, so there is nothing to encrypt";
            self.error(Code::ConflictingDirectives, span, message);
        }
        word.map(level)
    }

    /// Mail that would come straight back is refused here, not after a hundred hops.
    fn route_leads_elsewhere(
        &mut self,
        route: &Located<Route>,
        basics: &Basics,
        listeners: &[Listener],
    ) {
        let (targets, default_port): (&[Target], u16) = match &route.value {
            Route::Smtp(targets) => (targets, 25),
            Route::Lmtp(LmtpTarget::Tcp(target)) => (std::slice::from_ref(target), 24),
            Route::Mailboxes
            | Route::Maildir(_)
            | Route::Lmtp(LmtpTarget::Unix(_))
            | Route::Fax(_) => return,
        };
        let Some(span): Option<Span> = route.span else { return };
        for target in targets {
            let port = target.port.unwrap_or(default_port);
            let here = match &target.host {
                Host::Name(name) => *name == *basics.hostname,
                Host::Address(address) => {
                    let covers = |ip: IpAddr| {
                        ip == *address
                            || (ip.is_unspecified()
                                && address.is_loopback()
                                && ip.is_ipv4() == address.is_ipv4())
                    };
                    listeners
                        .iter()
                        .flat_map(|listener| listener.sockets.iter())
                        .any(|socket| socket.port() == port && covers(socket.ip()))
                }
            };
            if here {
                let message = format!("{target} is this server itself");
                let diagnostic = Diagnostic::error(Code::RouteLoop, span, message)
                    .help("name the server that keeps the mailboxes, or write mailboxes local");
                self.report(diagnostic);
            }
        }
    }
}

/// The level that a word of the schema means.
pub(super) fn level(word: &str) -> tls::Level {
    match word {
        "none" => tls::Level::None,
        "required" => tls::Level::Encrypted,
        "verified" => tls::Level::Authenticated,
        _ => tls::Level::Opportunistic,
    }
}
