//! One listener at work: what its sessions share.

use std::net::SocketAddr;
use std::sync::Arc;

use config::Config;
use config::model::{Auth, ClientCertificates, Extension, Listener, Protocol, TlsMode};
use ipnet::IpNet;
use smtp::Extensions;
use smtp::server::Settings;
use tls::{ClientCertificate, Entry, Keyring, RootSources, Roots, Server};

use anyhow::{Context, Result};

use crate::certificates::Certificates;
use crate::connection::Patience;
use crate::listener::Occupancy;

/// A listener of the configuration, ready to serve.
pub struct Site {
    /// Its name.
    pub name: String,
    /// Where it listens. Port 0 has become the one the system chose.
    pub address: SocketAddr,
    /// What sessions are given.
    pub settings: Arc<Settings>,
    /// What EHLO offers before rules are asked.
    pub offer: Extensions,
    /// Its handshakes.
    pub tls: Option<Arc<Server>>,
    /// The certificates it shows, for reading again.
    pub keyring: Option<Arc<Keyring>>,
    /// How long clients may take.
    pub patience: Patience,
    /// Who is connected.
    pub occupancy: Arc<Occupancy>,
    listener: Listener,
}

impl Site {
    /// Makes a listener of `config` ready.
    ///
    /// # Errors
    ///
    /// When its certificates or authorities cannot be used.
    pub fn new(
        config: &Config,
        listener: &Listener,
        address: SocketAddr,
        certificates: &Certificates,
        occupancy: Arc<Occupancy>,
    ) -> Result<Self> {
        let keyring = keyring(listener, certificates)
            .with_context(|| format!("listener \"{}\"", *listener.name))?;
        let tls = match &keyring {
            Some(keyring) => Some(Arc::new(handshakes(config, listener, keyring)?)),
            None => None,
        };
        let settings = settings(config, listener);
        let timeouts = &config.timeouts;
        Ok(Self {
            name: listener.name.value.clone(),
            address,
            offer: offer(&settings, listener),
            settings: Arc::new(settings),
            tls,
            keyring,
            patience: Patience {
                command: *timeouts.command,
                data: *timeouts.data,
                session: *timeouts.session,
                data_rate: *listener.limits.data_rate,
            },
            occupancy,
            listener: listener.clone(),
        })
    }

    /// Whether TLS comes before the first command.
    pub fn is_implicit(&self) -> bool {
        self.listener.tls.as_ref().is_some_and(|tls| *tls.mode == TlsMode::Implicit)
    }

    /// Whether STARTTLS can be offered at all.
    pub fn offers_starttls(&self) -> bool {
        self.tls.is_some() && !self.is_implicit()
    }

    /// Whether clients may sign in here, if the rules let them.
    pub fn allows_sign_in(&self) -> bool {
        *self.listener.auth != Auth::Off
    }

    /// Whether nothing is taken from clients that have not signed in.
    pub fn requires_sign_in(&self) -> bool {
        *self.listener.auth == Auth::Required
    }

    /// Whether LMTP is spoken.
    pub fn is_lmtp(&self) -> bool {
        *self.listener.protocol == Protocol::Lmtp
    }

    /// Whether mail comes from other servers here, and not from people's programs.
    pub fn is_smtp(&self) -> bool {
        *self.listener.protocol == Protocol::Smtp && !self.requires_sign_in()
    }

    /// Whether this is a page of metrics, not mail.
    pub fn is_metrics(&self) -> bool {
        *self.listener.protocol == Protocol::Metrics
    }

    /// Whether fax providers tell things here, and no mail comes.
    pub fn takes_webhooks(&self) -> bool {
        *self.listener.protocol == Protocol::Webhooks
    }

    /// Whether clients are people's mail programs, whose messages are completed (RFC 6409).
    pub fn is_submission(&self) -> bool {
        *self.listener.protocol == Protocol::Submission || self.requires_sign_in()
    }

    /// Whether VRFY is answered, with 252 for every address.
    pub fn answers_vrfy(&self) -> bool {
        !self.listener.without.contains(&Extension::Vrfy)
    }

    /// The word for what is spoken, in the security log.
    pub fn service(&self) -> &'static str {
        match *self.listener.protocol {
            Protocol::Smtp => "smtp",
            Protocol::Submission => "submission",
            Protocol::Lmtp => "lmtp",
            Protocol::Metrics => "metrics",
            Protocol::Webhooks => "webhooks",
        }
    }

    /// Whether clients of this address are served; empty `from` serves all.
    pub fn serves(&self, ip: std::net::IpAddr) -> bool {
        self.listener.from.is_empty() || contains(&self.listener.from, ip)
    }

    /// Whether the peer is a balancer that must send a PROXY header.
    pub fn is_balancer(&self, ip: std::net::IpAddr) -> bool {
        contains(&self.listener.proxy_protocol_from, ip)
    }

    /// The listener as it was written.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }
}

fn contains(networks: &[IpNet], ip: std::net::IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

fn keyring(listener: &Listener, certificates: &Certificates) -> Result<Option<Arc<Keyring>>> {
    let Some(tls) = &listener.tls else { return Ok(None) };
    let entry = |name: &str, names: Vec<String>| {
        let origin = certificates
            .origin(name)
            .with_context(|| format!("there is no certificate \"{name}\""))?;
        anyhow::Ok(Entry { origin, names })
    };
    let mut entries = vec![entry(&tls.certificate, Vec::new())?];
    for (host, name) in &tls.certificates_for {
        entries.push(entry(name, vec![host.value.to_string()])?);
    }
    Ok(Some(Arc::new(Keyring::load(entries)?)))
}

fn handshakes(config: &Config, listener: &Listener, keyring: &Arc<Keyring>) -> Result<Server> {
    let mut settings = tls::server::Settings::new(Arc::clone(keyring));
    settings.handshake_max = *config.timeouts.handshake;
    if let Some(tls) = &listener.tls {
        settings.versions = *tls.versions;
        if !tls.suites.is_empty() {
            settings.suites = Some(tls.suites.iter().copied().collect());
        }
        settings.client_certificate = match &*tls.client_certificates {
            ClientCertificates::Off => ClientCertificate::Off,
            ClientCertificates::Ask { authorities } => {
                ClientCertificate::Ask(Arc::new(roots(authorities.iter().cloned().collect())?))
            }
            ClientCertificates::Require { authorities } => {
                ClientCertificate::Require(Arc::new(roots(vec![authorities.clone()])?))
            }
        };
    }
    Ok(Server::new(&settings)?)
}

fn roots(bundles: Vec<std::path::PathBuf>) -> Result<Roots> {
    Ok(Roots::load(&RootSources { bundles, ..RootSources::default() })?)
}

fn settings(config: &Config, listener: &Listener) -> Settings {
    let protocol = match *listener.protocol {
        Protocol::Lmtp => smtp::server::Protocol::Lmtp,
        Protocol::Smtp | Protocol::Submission | Protocol::Metrics | Protocol::Webhooks => {
            smtp::server::Protocol::Smtp
        }
    };
    let limits = &listener.limits;
    let mut settings = Settings::new(listener.hostname.value.clone(), protocol);
    settings.banner.clone_from(&config.greeting);
    settings.message_max_octets = *limits.message;
    settings.text_line_max_octets = *limits.line as usize;
    settings.recipients_max = *limits.recipients;
    settings.messages_max = *limits.messages_per_connection;
    settings.errors_max = limits.errors.unwrap_or(u32::MAX);
    settings.commands_max = limits.commands.unwrap_or(u32::MAX);
    settings.idle_commands_max = settings.idle_commands_max.min(settings.commands_max);
    settings.auth_failures_max = limits.sign_in_failures.unwrap_or(u32::MAX);
    settings
}

fn offer(settings: &Settings, listener: &Listener) -> Extensions {
    let mut offer = settings.offer();
    for extension in listener.without.iter() {
        match extension {
            Extension::Pipelining => offer.pipelining = false,
            Extension::Size => offer.size = None,
            Extension::EightBitMime => offer.eight_bit_mime = false,
            Extension::SmtpUtf8 => offer.smtputf8 = false,
            Extension::Dsn => offer.dsn = false,
            Extension::Chunking => offer.chunking = false,
            Extension::BinaryMime => offer.binary_mime = false,
            Extension::EnhancedStatusCodes => offer.enhanced_status_codes = false,
            Extension::RequireTls => offer.require_tls = false,
            Extension::Limits => offer.limits = smtp::Limits::default(),
            // No extension: the conversation refuses the command.
            Extension::Vrfy => {}
        }
    }
    offer
}
