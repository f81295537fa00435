//! `fax-gateway NAME { }`

use std::net::{IpAddr, SocketAddr};

use super::names::Named;
use super::{Builder, name_of};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::FaxGateway;

impl Builder<'_> {
    pub(super) fn fax_gateways(&mut self, top: &Section<'_>) -> Vec<FaxGateway> {
        let mut gateways = Vec::new();
        for item in top.all("fax-gateway") {
            gateways.extend(self.fax_gateway(item));
        }
        self.unique("fax-gateway", gateways.iter().map(|gateway| gateway.name.clone()));
        self.unique("listen", gateways.iter().map(|gateway| gateway.listen));
        gateways
    }

    fn fax_gateway(&mut self, item: &Checked<'_>) -> Option<FaxGateway> {
        let (name, section) = (name_of(item)?, item.section.as_ref()?);
        let listen: Located<SocketAddr> = section.value("listen")?;
        if let Some(span) = listen.span.filter(|_| listen.ip().is_unspecified()) {
            let message = format!("{} is no address that the gateway could answer to", listen.ip());
            let error = Diagnostic::error(Code::FaxGateway, span, message);
            self.report(error.help("write the address of this machine towards the gateway"));
        }
        let credentials: Option<Located<String>> = section.value("credentials");
        if let Some(name) = &credentials {
            self.uses_written(Named::Credentials, name);
        }
        let ports: Vec<Located<u16>> = section.values("media-ports")?.value;
        let [first, last] = ports.try_into().ok()?;
        if let Some(span) = last.span.filter(|_| *last < *first) {
            let message = format!("{} is before {}", *last, *first);
            let error = Diagnostic::error(Code::FaxGateway, span, message);
            self.report(error.help("write the first port, then the last"));
        }
        let peers = section.find("peers");
        Some(FaxGateway {
            server: section.value("server")?,
            listen,
            domain: section.value::<String>("domain").map(|domain| domain.value),
            media_ports: *first..=*last,
            peers: peers
                .iter()
                .flat_map(|item| item.arguments::<IpAddr>(0))
                .map(|peer| peer.value)
                .collect(),
            credentials: credentials.map(|name| name.value),
            calls: usize::try_from(section.value::<u64>("calls")?.value).unwrap_or(usize::MAX),
            is_paced: section.value::<bool>("pacing")?.value,
            name,
        })
    }
}
