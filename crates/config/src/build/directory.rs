//! `directory NAME { }`.

use ldap::{Filter, Protection, Server};
use mail::Domain;

use super::Builder;
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::located::Located;
use crate::model::LdapDirectory;

impl Builder<'_> {
    pub(super) fn directories(&mut self, top: &Section<'_>) -> Vec<LdapDirectory> {
        let mut all = Vec::new();
        for item in top.all("directory") {
            all.extend(self.directory(item));
        }
        self.unique("directory", all.iter().map(|directory| directory.name.clone()));
        all
    }

    fn directory(&mut self, item: &Checked<'_>) -> Option<LdapDirectory> {
        let (name, section) = (item.argument(0)?, item.section.as_ref()?);
        let starttls = section.value::<bool>("starttls");
        let server = section.value::<String>("server").and_then(|address| {
            self.ldap_server(&address, starttls.as_ref().is_none_or(|on| **on))
        });
        let filter =
            section.value::<String>("filter").and_then(|text| match Filter::parse(&text) {
                Ok(filter) => Some(Located { value: filter, span: text.span }),
                Err(error) => {
                    if let Some(span) = text.span {
                        self.error(Code::BadFilter, span, format!("no LDAP filter: {error}"));
                    }
                    None
                }
            });
        let bind = match (section.value("bind-dn"), section.value("bind-password")) {
            (Some(dn), Some(password)) => {
                self.secret_is_there(&password);
                Some((dn, password))
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let message = "bind-dn and bind-password belong together";
                self.error(Code::ConflictingDirectives, item.statement.head(), message);
                None
            }
        };
        Some(LdapDirectory {
            name,
            server: server?,
            domains: section.list("domains")?,
            base: section.value("base")?,
            filter: filter?,
            address_attribute: section.value("address-attribute")?,
            bind,
            timeout: section.value("timeout")?,
            cache: section.value("cache")?,
        })
    }

    fn ldap_server(&mut self, text: &Located<String>, starttls: bool) -> Option<Located<Server>> {
        let read = || {
            let (rest, implicit) = match text.strip_prefix("ldaps://") {
                Some(rest) => (rest, true),
                None => (text.strip_prefix("ldap://")?, false),
            };
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let (host, port) = match rest.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
                Some(_) | None => (rest, None),
            };
            let literal = host.trim_start_matches('[').trim_end_matches(']');
            let host = match literal.parse::<std::net::IpAddr>() {
                Ok(ip) => Domain::from(ip),
                Err(_) => Domain::parse(host).ok()?,
            };
            let protection = match (implicit, starttls) {
                (true, _) => Protection::Implicit,
                (false, true) => Protection::StartTls,
                (false, false) => Protection::None,
            };
            Some(Server {
                host,
                port: port.unwrap_or(if implicit { 636 } else { 389 }),
                protection,
            })
        };
        let Some(server) = read() else {
            if let Some(span) = text.span {
                let message =
                    "the address of a directory is ldaps://HOST or ldap://HOST, with a port or not";
                self.error(Code::WrongType, span, message);
            }
            return None;
        };
        let is_here = server.host.literal().is_some_and(|ip| ip.is_loopback())
            || server.host.as_str() == "localhost";
        if server.protection == Protection::None && !is_here {
            if let Some(span) = text.span {
                let message = "passwords would travel to this directory in the clear";
                self.error(Code::DirectoryInTheClear, span, message);
            }
            return None;
        }
        Some(Located { value: server, span: text.span })
    }
}
