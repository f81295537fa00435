//! `listener NAME { }` and what must agree in it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use mail::Domain;
use tls::{Version, Versions};

use super::{Basics, Builder, derived, limits, name_of};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Severity};
use crate::located::Located;
use crate::model::{
    Auth, ClientCertificates, Extension, Limits, Listener, ListenerTls, Protocol, TlsMode,
    TlsPolicy,
};
use crate::schema::LIMITS;
use crate::source::Span;

const SMTP_PORT: u16 = 25;
const SUBMISSION_PORT: u16 = 587;
const SUBMISSIONS_PORT: u16 = 465;

/// The directives that mean nothing without TLS.
const TLS_ONLY: [&str; 5] =
    ["certificate", "certificate-for", "tls-versions", "tls-suites", "client-certificate"];
/// The directives that mean nothing where metrics are served.
const MAIL_ONLY: [&str; 5] = ["auth", "without", "hostname", "limits", "proxy-protocol"];

impl Basics {
    /// The TLS versions where nothing else is said.
    pub(super) fn tls_versions(&self) -> Versions {
        match self.tls_policy.value {
            TlsPolicy::Modern => Versions::ALL,
            TlsPolicy::Strict => Versions::only(Version::Tls13),
        }
    }
}

impl Builder<'_> {
    pub(super) fn listeners(
        &mut self,
        top: &Section<'_>,
        basics: &Basics,
        limits: Option<&Limits>,
    ) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for item in top.all("listener") {
            listeners.extend(self.listener(item, basics, limits));
        }
        if top.written("listener").is_none() {
            let message = "there is no listener: the server takes no mail";
            let diagnostic = Diagnostic::whole(Code::NoListener, Severity::Warning, message)
                .help("for example: listener mx { port 25; tls starttls; certificate mail }");
            self.report(diagnostic);
        }
        self.unique("listener", listeners.iter().map(|listener| listener.name.clone()));
        self.port_clashes(&listeners);
        listeners
    }

    fn listener(
        &mut self,
        item: &Checked<'_>,
        basics: &Basics,
        outside: Option<&Limits>,
    ) -> Option<Listener> {
        let (name, section) = (name_of(item)?, item.section.as_ref()?);
        let port: Located<u16> = section.value("port")?;
        if section.value::<&str>("protocol").is_none() && section.written("protocol").is_some() {
            return None;
        }
        let protocol = self.protocol(section, &port);
        let tls = self.tls(section, item.statement.head(), &port, &protocol, basics);
        let auth = self.auth(section, &protocol, tls.is_some());
        let sockets = self.sockets(section, &port)?;
        let own_limits = section.section_or_default("limits", &LIMITS);
        Some(Listener {
            name,
            sockets,
            protocol,
            tls: tls?,
            auth,
            from: self.networks(section, "from"),
            proxy_protocol_from: self.networks(section, "proxy-protocol"),
            without: extensions(section),
            hostname: section.value("hostname").unwrap_or_else(|| derived(&basics.hostname)),
            limits: limits::limits(&own_limits, outside)?,
        })
    }

    fn sockets(
        &mut self,
        section: &Section<'_>,
        port: &Located<u16>,
    ) -> Option<Located<Vec<SocketAddr>>> {
        let addresses = section.values::<IpAddr>("address")?;
        for (at, address) in addresses.iter().enumerate() {
            let earlier = addresses[..at].iter().find(|earlier| *earlier == address);
            if let (Some(_), Some(span)) = (earlier, address.span) {
                let message = format!("{} is there twice", address.value);
                self.error(Code::DuplicateEntry, span, message);
            }
        }
        Some(addresses.map(|addresses| {
            addresses.iter().map(|address| SocketAddr::new(address.value, port.value)).collect()
        }))
    }

    fn protocol(&mut self, section: &Section<'_>, port: &Located<u16>) -> Located<Protocol> {
        let protocol = match section.value::<&str>("protocol") {
            Some(word) => word.map(|word| match word {
                "submission" => Protocol::Submission,
                "lmtp" => Protocol::Lmtp,
                "metrics" => Protocol::Metrics,
                "webhooks" => Protocol::Webhooks,
                _ => Protocol::Smtp,
            }),
            None => Located::default_value(match port.value {
                SUBMISSION_PORT | SUBMISSIONS_PORT => Protocol::Submission,
                _ => Protocol::Smtp,
            }),
        };
        if protocol.value == Protocol::Lmtp
            && port.value == SMTP_PORT
            && let Some(span) = protocol.span
        {
            self.error(Code::LmtpOnSmtpPort, span, "LMTP cannot be spoken on port 25");
        }
        if let Protocol::Metrics | Protocol::Webhooks = protocol.value {
            let word = if protocol.value == Protocol::Metrics { "metrics" } else { "webhooks" };
            for (name, span) in MAIL_ONLY.iter().filter_map(|n| Some((n, section.written(n)?))) {
                let message = format!("{name} has no meaning for protocol {word}");
                self.error(Code::NotForProtocol, span, message);
            }
        }
        protocol
    }

    /// The TLS of a listener; the outer `None` when it is wrong.
    #[allow(clippy::option_option)] // Wrong, off, on: three answers that callers tell apart.
    fn tls(
        &mut self,
        section: &Section<'_>,
        head: Span,
        port: &Located<u16>,
        protocol: &Located<Protocol>,
        basics: &Basics,
    ) -> Option<Option<ListenerTls>> {
        let word = section.value::<&str>("tls");
        if word.is_none() && section.written("tls").is_some() {
            return None;
        }
        let default = match protocol.value {
            Protocol::Lmtp | Protocol::Metrics => "off",
            Protocol::Webhooks => "implicit",
            Protocol::Smtp | Protocol::Submission if port.value == SUBMISSIONS_PORT => "implicit",
            Protocol::Smtp | Protocol::Submission => "starttls",
        };
        let word = word.unwrap_or(Located::default_value(default));
        self.mode_fits_port(&word, port, protocol);
        let mode = match word.value {
            "starttls" => TlsMode::StartTls,
            "implicit" => TlsMode::Implicit,
            _ => {
                self.no_tls_settings(section);
                return Some(None);
            }
        };
        let span = word.span;
        let Some(certificate) = section.value("certificate") else {
            if section.written("certificate").is_none() {
                let message = "a listener with TLS needs a certificate";
                let diagnostic = Diagnostic::error(Code::CertificateMissing, head, message)
                    .help("write certificate NAME, or tls off");
                self.report(diagnostic);
            }
            return None;
        };
        let certificates_for: Vec<(Located<Domain>, String)> = section
            .all("certificate-for")
            .filter_map(|item| Some((item.argument(0)?, item.argument::<String>(1)?.value)))
            .collect();
        self.unique("host", certificates_for.iter().map(|(host, _)| host.clone()));
        let versions = match section.list::<Version>("tls-versions") {
            Some(versions) => versions.map(Versions::from),
            None => Located { value: basics.tls_versions(), span: basics.tls_policy.span },
        };
        let suites = section.list("tls-suites").unwrap_or(Located::default_value(Vec::new()));
        Some(Some(ListenerTls {
            mode: Located { value: mode, span },
            certificate,
            certificates_for,
            versions,
            suites,
            client_certificates: self.client_certificates(section),
        }))
    }

    fn mode_fits_port(
        &mut self,
        mode: &Located<&str>,
        port: &Located<u16>,
        protocol: &Located<Protocol>,
    ) {
        let Some(span) = mode.span else { return };
        if protocol.value == Protocol::Metrics && mode.value != "off" {
            let message = "metrics are served without TLS";
            let diagnostic = Diagnostic::error(Code::NotForProtocol, span, message)
                .help("write tls off, and an address that only your own machines reach");
            self.report(diagnostic);
        } else if protocol.value == Protocol::Webhooks && mode.value == "starttls" {
            let message = "webhooks know no STARTTLS";
            let diagnostic = Diagnostic::error(Code::NotForProtocol, span, message)
                .help("write tls implicit, or tls off behind a proxy of yours");
            self.report(diagnostic);
        } else if port.value == SUBMISSIONS_PORT && mode.value != "implicit" {
            let message = "port 465 is TLS from the first octet";
            let diagnostic = Diagnostic::error(Code::SubmissionsNotImplicit, span, message)
                .help("write tls implicit, or use port 587")
                .replace_with("implicit");
            self.report(diagnostic);
        } else if matches!(port.value, SMTP_PORT | SUBMISSION_PORT) && mode.value == "implicit" {
            let message = format!("nobody speaks TLS first on port {}", port.value);
            let diagnostic = Diagnostic::warning(Code::ImplicitOnRelayPort, span, message)
                .help("write tls starttls, or use port 465");
            self.report(diagnostic);
        }
    }

    fn no_tls_settings(&mut self, section: &Section<'_>) {
        for (name, span) in TLS_ONLY.iter().filter_map(|n| Some((n, section.written(n)?))) {
            let message = format!("{name} has no effect with tls off");
            let diagnostic = Diagnostic::error(Code::TlsSettingWithoutTls, span, message)
                .help("remove it, or write tls starttls or tls implicit");
            self.report(diagnostic);
        }
    }

    fn client_certificates(&mut self, section: &Section<'_>) -> Located<ClientCertificates> {
        let Some(item) = section.find("client-certificate") else {
            return Located::default_value(ClientCertificates::Off);
        };
        let authorities = self.readable(item.argument::<PathBuf>(1));
        let authorities = authorities.map(|path| path.value);
        let word = item.argument::<&str>(0).map(|word| word.value);
        let value = match (word, authorities) {
            (Some("require"), Some(authorities)) => ClientCertificates::Require { authorities },
            (Some("ask"), authorities) => ClientCertificates::Ask { authorities },
            (Some(_) | None, _) => ClientCertificates::Off,
        };
        Located::at(value, item.statement.head())
    }

    fn auth(
        &mut self,
        section: &Section<'_>,
        protocol: &Located<Protocol>,
        has_tls: bool,
    ) -> Located<Auth> {
        let Some(word) = section.value::<&str>("auth") else {
            return Located::default_value(match protocol.value {
                Protocol::Submission => Auth::Required,
                Protocol::Smtp if has_tls => Auth::Optional,
                Protocol::Smtp | Protocol::Lmtp | Protocol::Metrics | Protocol::Webhooks => {
                    Auth::Off
                }
            });
        };
        let tls_off = section.value::<&str>("tls").is_some_and(|tls| *tls == "off");
        if let (true, true, Some(span)) = (word.value != "off", tls_off, word.span) {
            let message = format!("auth {} on a listener without TLS", word.value);
            let diagnostic = Diagnostic::error(Code::AuthWithoutTls, span, message)
                .help("write tls starttls or tls implicit, or auth off");
            self.report(diagnostic);
        }
        word.map(|word| match word {
            "required" => Auth::Required,
            "optional" => Auth::Optional,
            _ => Auth::Off,
        })
    }

    fn port_clashes(&mut self, listeners: &[Listener]) {
        let sockets = |listener: &Listener| {
            let name = listener.name.clone();
            listener.sockets.iter().map(move |s| (name.clone(), *s)).collect::<Vec<_>>()
        };
        let all: Vec<(Located<String>, SocketAddr)> = listeners.iter().flat_map(sockets).collect();
        let mut named: Vec<(Option<Span>, Option<Span>)> = Vec::new();
        for (at, (name, socket)) in all.iter().enumerate() {
            let clash = |(other, taken): &&(Located<String>, SocketAddr)| {
                other.span != name.span && clash(*taken, *socket)
            };
            let Some((other, taken)) = all[..at].iter().find(clash) else { continue };
            if named.contains(&(name.span, other.span)) {
                continue;
            }
            named.push((name.span, other.span));
            let (Some(span), Some(first)) = (name.span, other.span) else { continue };
            let message = format!("{} of listener {} is taken", socket, name.value);
            let diagnostic = Diagnostic::error(Code::PortClash, span, message)
                .related(first, format!("{} listens on {taken}", other.value))
                .help("give one of them another port, or addresses of its own");
            self.report(diagnostic);
        }
    }
}

/// Whether two sockets cannot both be listened on. Port 0 is a different one each time,
/// and an IPv6 socket never takes IPv4 connections here.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_address = a.ip() == b.ip()
        || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() != 0 && a.port() == b.port() && same_address
}

fn extensions(section: &Section<'_>) -> Located<Vec<Extension>> {
    let Some(words) = section.list::<&str>("without") else {
        return Located::default_value(Vec::new());
    };
    words.map(|words| {
        let named = |(_, word): &&(Extension, &str)| words.contains(word);
        let mut without: Vec<_> =
            Extension::WORDS.iter().filter(named).map(|(extension, _)| *extension).collect();
        // BINARYMIME needs CHUNKING (RFC 3030 section 3).
        if without.contains(&Extension::Chunking) && !without.contains(&Extension::BinaryMime) {
            without.push(Extension::BinaryMime);
        }
        without
    })
}
