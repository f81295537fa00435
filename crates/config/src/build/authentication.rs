//! Who a message is from.

use ipnet::IpNet;
use mail::Domain;
use rules::{SenderChecks, Treatment};

use super::Builder;
use crate::check::Section;
use crate::located::Located;
use crate::model::{AuthenticationMode, DmarcOverride, DmarcPolicy, SenderAuthentication};
use crate::schema::{ARC, DKIM, DMARC, SENDER_AUTHENTICATION, SPF};

impl Builder<'_> {
    /// `sender-authentication { }`, and the rules that follow from it.
    pub(super) fn sender_authentication(
        &mut self,
        top: &Section<'_>,
    ) -> Option<(SenderAuthentication, SenderChecks)> {
        let section = top.section_or_default("sender-authentication", &SENDER_AUTHENTICATION);
        let mode = section.value::<&str>("mode").map(|mode| {
            mode.map(|word| match word {
                "annotate" => AuthenticationMode::Annotate,
                "off" => AuthenticationMode::Off,
                _ => AuthenticationMode::Enforce,
            })
        });
        let exempt = match section.head {
            Some(_) => self.networks(&section, "exempt"),
            None => Located::default_value(loopback()),
        };
        let spf = section.section_or_default("spf", &SPF);
        let dkim = section.section_or_default("dkim", &DKIM);
        let dmarc = section.section_or_default("dmarc", &DMARC);
        let arc = section.section_or_default("arc", &ARC);
        let overrides: Vec<DmarcOverride> = dmarc
            .all("override")
            .filter_map(|item| {
                let policy = match item.argument::<&str>(1)?.value {
                    "reject" => DmarcPolicy::Reject,
                    "quarantine" => DmarcPolicy::Quarantine,
                    _ => DmarcPolicy::None,
                };
                Some(DmarcOverride { domain: item.argument::<Domain>(0)?, policy })
            })
            .collect();
        self.unique("override", overrides.iter().map(|entry| entry.domain.clone()));
        let mode = mode?;
        let checks = match *mode {
            AuthenticationMode::Enforce => checks(&spf, &dmarc)?,
            AuthenticationMode::Annotate | AuthenticationMode::Off => SenderChecks::default(),
        };
        let partial = dkim.value::<&str>("partial-bodies")?;
        let model = SenderAuthentication {
            mode,
            exempt,
            partial_bodies: partial.map(|word| word == "accept"),
            signatures: dkim.value("signatures")?,
            min_rsa_bits: dkim.value("min-rsa-bits")?,
            clock_skew: dkim.value("clock-skew")?,
            overrides,
            trusted_sealers: arc
                .list("trusted-sealers")
                .unwrap_or(Located::default_value(Vec::new())),
        };
        Some((model, checks))
    }
}

fn checks(spf: &Section<'_>, dmarc: &Section<'_>) -> Option<SenderChecks> {
    Some(SenderChecks {
        spf_fail: treatment(spf, "fail")?,
        spf_helo_fail: treatment(spf, "helo-fail")?,
        spf_softfail: treatment(spf, "softfail")?,
        spf_neutral: treatment(spf, "neutral")?,
        spf_none: treatment(spf, "none")?,
        spf_permerror: treatment(spf, "permerror")?,
        spf_temperror: treatment(spf, "temperror")?,
        dmarc_reject: treatment(dmarc, "reject")?,
        dmarc_quarantine: treatment(dmarc, "quarantine")?,
        dmarc_temperror: treatment(dmarc, "temperror")?,
        unclear_from: treatment(dmarc, "unclear-from")?,
    })
}

fn treatment(section: &Section<'_>, name: &str) -> Option<Treatment> {
    Some(match section.value::<&str>(name)?.value {
        "reject" => Treatment::Reject,
        "defer" => Treatment::Defer,
        "quarantine" => Treatment::Quarantine,
        _ => Treatment::Accept,
    })
}

/// Programs of this machine, which a server on the internet cannot claim to be.
fn loopback() -> Vec<IpNet> {
    let networks = [
        ipnet::Ipv4Net::new(std::net::Ipv4Addr::new(127, 0, 0, 0), 8).map(IpNet::from),
        ipnet::Ipv6Net::new(std::net::Ipv6Addr::LOCALHOST, 128).map(IpNet::from),
    ];
    networks.into_iter().flatten().collect()
}
