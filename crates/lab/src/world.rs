//! The demo's world: DNS and partners for a set of `.test` domains.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::LabError;
use crate::authority::{Authority, Identity};
use crate::dns::{Behaviour, Dns, Records};
use crate::partner::{Fault, Partner, Script, Stage, Tls, Versions};

/// A running world. Dropping it stops everything in it.
///
/// | domain | its mail server |
/// |---|---|
/// | `partner.test` | TLS 1.2 and 1.3, a certificate of the world's authority |
/// | `tls12.test` | TLS 1.2 alone |
/// | `oldpartner.test` | no TLS |
/// | `stripped.test` | TLS, but its STARTTLS is struck out on the path |
/// | `refusing.test` | answers STARTTLS with 454 |
/// | `garbage.test` | answers the handshake with what is no TLS |
/// | `dropper.test` | drops TLS mid-way, in the handshake |
/// | `hangup.test` | drops TLS mid-way, after the handshake |
/// | `selfsigned.test` | a certificate signed by itself |
/// | `wrongname.test` | a good certificate for another name |
/// | `expired.test` | a certificate that expired |
/// | `stranger.test` | a certificate of an authority that nobody knows |
/// | `twomx.test` | a first server without TLS, a second one with it |
/// | `busy.test` | defers the first two recipients, then accepts |
/// | `strict.test` | refuses `nobody@strict.test`, accepts others |
/// | `tarpit.test` | slow replies |
/// | `smarthost.test` | TLS 1.2 and 1.3, mail only for `gateway` / [`SMARTHOST_PASSWORD`] |
/// | `clinic.test` | the demo's own domain, in DNS alone |
/// | `nomail.test` | a null MX |
/// | `silent.test`, `broken.test` | DNS gives no answer, or SERVFAIL |
///
/// The mail server of `partner.test` is `mx.partner.test`, and so on; `twomx.test` has
/// `mx1` and `mx2`. All listen on one [`port`](Self::port) at addresses of their own, or,
/// where only 127.0.0.1 can be had, at ports of their own: see [`servers`](Self::servers).
#[derive(Debug)]
pub struct World {
    dns: Dns,
    authority: Authority,
    stranger: Authority,
    partners: BTreeMap<String, Partner>,
}

/// The password of `gateway` at `smarthost.test`.
pub const SMARTHOST_PASSWORD: &str = "open-sesame-2587";
/// The user of `smarthost.test`.
pub const SMARTHOST_USER: &str = "gateway";

impl World {
    /// Starts DNS at `dns` (port 0: any) and every partner.
    ///
    /// # Errors
    ///
    /// What kept a part of it from starting.
    pub async fn start(dns: SocketAddr) -> Result<Self, LabError> {
        let authority = Authority::new("Lab authority")?;
        let stranger = Authority::new("Unknown authority")?;
        let mut partners = BTreeMap::new();
        let mut address = FIRST_ADDRESS;
        let mut port = 0;
        for script in scripts(&authority, &stranger)? {
            let name = script.name().to_owned();
            let partner = start_at(address, port, script).await?;
            port = partner.address().port();
            partners.insert(name, partner);
            address = Ipv4Addr::from(u32::from(address) + 1);
        }
        let dns = Dns::start(dns, records(&partners)).await?;
        Ok(Self { dns, authority, stranger, partners })
    }

    /// The name server.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// The authority of the good certificates: its [`pem`](Authority::pem) is the CA bundle.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The authority of `stranger.test`, which nobody should trust.
    pub fn stranger(&self) -> &Authority {
        &self.stranger
    }

    /// The server of a domain (`partner.test`: its first), or the server of that name
    /// (`mx2.twomx.test`).
    pub fn partner(&self, name: &str) -> Option<&Partner> {
        self.partners
            .get(name)
            .or_else(|| self.partners.get(&format!("mx.{name}")))
            .or_else(|| self.partners.get(&format!("mx1.{name}")))
    }

    /// Every server by name, and where it listens.
    pub fn servers(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.partners.iter().map(|(name, partner)| (name.as_str(), partner.address()))
    }

    /// For each domain with a server: its servers' names and where they listen, first choice
    /// first. What DNS says with MX records, for those who cannot or will not ask it.
    pub fn routes(&self) -> BTreeMap<&str, Vec<(&str, SocketAddr)>> {
        let mut routes: BTreeMap<&str, Vec<(&str, SocketAddr)>> = BTreeMap::new();
        for (name, address) in self.servers() {
            let domain = name.split_once('.').map_or(name, |(_, domain)| domain);
            routes.entry(domain).or_default().push((name, address));
        }
        routes
    }

    /// The port of all servers in place of 25, where they share one.
    pub fn port(&self) -> Option<u16> {
        let mut ports = self.partners.values().map(|partner| partner.address().port());
        let first = ports.next()?;
        ports.all(|port| port == first).then_some(first)
    }
}

/// Starts a partner at `address` and `port`; where that cannot be had, at any port of it, and
/// at last at any port of 127.0.0.1 (some systems have no other loopback address).
async fn start_at(address: Ipv4Addr, port: u16, script: Script) -> Result<Partner, LabError> {
    for wish in [(address, port), (address, 0)] {
        if let Ok(partner) = Partner::start(wish.into(), script.clone()).await {
            return Ok(partner);
        }
    }
    Partner::start((Ipv4Addr::LOCALHOST, 0).into(), script).await
}

fn scripts(authority: &Authority, stranger: &Authority) -> Result<Vec<Script>, LabError> {
    let good =
        |name: &str| Ok::<_, LabError>(Script::named(name).certificate(authority.issue(&[name])?));
    let plain = |name: &str| Script::named(name);
    Ok(vec![
        good("mx.partner.test")?,
        good("mx.tls12.test")?.versions(Versions::Tls12),
        plain("mx.oldpartner.test"),
        good("mx.stripped.test")?.tls(Tls::Stripped),
        good("mx.refusing.test")?.tls(Tls::Refused),
        good("mx.garbage.test")?.tls(Tls::Garbage),
        good("mx.dropper.test")?.tls(Tls::DroppedInHandshake),
        good("mx.hangup.test")?.tls(Tls::DroppedAfterHandshake),
        plain("mx.selfsigned.test").certificate(Identity::self_signed(&["mx.selfsigned.test"])?),
        plain("mx.wrongname.test").certificate(authority.issue(&["mx.elsewhere.test"])?),
        plain("mx.expired.test").certificate(authority.issue_expired(&["mx.expired.test"])?),
        plain("mx.stranger.test").certificate(stranger.issue(&["mx.stranger.test"])?),
        plain("mx1.twomx.test"),
        good("mx2.twomx.test")?,
        good("mx.busy.test")?
            .fault(Fault::at(Stage::Rcpt).reply("450 4.2.0 Busy, try again later").first(2)),
        good("mx.strict.test")?.fault(
            Fault::at(Stage::Rcpt)
                .recipient("nobody@strict.test")
                .reply("550 5.1.1 There is nobody of that name"),
        ),
        good("mx.tarpit.test")?.slow(TARPIT_DELAY, Duration::ZERO),
        good("mx.smarthost.test")?.only_user(SMARTHOST_USER, SMARTHOST_PASSWORD),
    ])
}

fn records(partners: &BTreeMap<String, Partner>) -> Records {
    let mut records = Records::new()
        .ttl(0)
        .mx("clinic.test", 10, "mx.clinic.test")
        .a("mx.clinic.test", Ipv4Addr::LOCALHOST)
        .txt("clinic.test", "v=spf1 a:mx.clinic.test -all")
        .null_mx("nomail.test")
        .behave("silent.test", Behaviour::Silent)
        .behave("broken.test", Behaviour::ServFail);
    for (name, partner) in partners {
        let Some((host, domain)) = name.split_once('.') else { continue };
        let preference = if host == "mx2" { 20 } else { 10 };
        records = records.mx(domain, preference, name).address(name, partner.address().ip());
        if host != "mx2" {
            records = records.txt(domain, "v=spf1 mx -all");
        }
        if partner.address().ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
            records = records.ptr(partner.address().ip(), name);
        }
    }
    records
}

/// Where the first partner listens; each next one is an address further.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 25, 2);
/// How long the tarpit waits before each reply.
const TARPIT_DELAY: Duration = Duration::from_secs(2);
