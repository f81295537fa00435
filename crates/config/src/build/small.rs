//! The small blocks.

use mail::Domain;

use super::{Basics, Builder, nothing};
use crate::check::Section;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{
    Credentials, Dns, Evidence, HostEntry, Log, LogFormat, LogLevel, MxEntry, Timeouts,
};
use crate::schema::{DNS, EVIDENCE, LOG, TIMEOUTS};
use crate::secret::Secret;

impl Builder<'_> {
    pub(super) fn hosts(&mut self, top: &Section<'_>) -> Vec<HostEntry> {
        let Some(section) = top.section("hosts") else { return Vec::new() };
        let entry = |item: &crate::check::Checked<'_>| {
            let addresses = item.arguments(1).map(|address| address.value).collect();
            Some(HostEntry { name: item.argument(0)?, addresses })
        };
        let hosts: Vec<HostEntry> = section.all("").filter_map(entry).collect();
        self.unique("host", hosts.iter().map(|entry| entry.name.clone()));
        hosts
    }

    pub(super) fn mx(&mut self, top: &Section<'_>) -> Vec<MxEntry> {
        let Some(section) = top.section("mx") else { return Vec::new() };
        let entry = |item: &crate::check::Checked<'_>| {
            let targets = item.arguments(1).map(|target| target.value).collect();
            Some(MxEntry { domain: item.argument::<Domain>(0)?, targets })
        };
        let entries: Vec<MxEntry> = section.all("").filter_map(entry).collect();
        self.unique("domain", entries.iter().map(|entry| entry.domain.clone()));
        entries
    }

    pub(super) fn all_credentials(&mut self, top: &Section<'_>) -> Vec<Credentials> {
        let mut all = Vec::new();
        for item in top.all("credentials") {
            let (Some(name), Some(section)) = (item.argument(0), &item.section) else { continue };
            let (Some(user), Some(password)) = (section.value("user"), section.value("password"))
            else {
                continue;
            };
            self.secret_is_there(&password);
            all.push(Credentials { name, user, password });
        }
        self.unique("credential", all.iter().map(|credentials| credentials.name.clone()));
        all
    }

    pub(super) fn secret_is_there(&mut self, secret: &Located<Secret>) {
        let Some(span) = secret.span.filter(|_| self.world.is_where_it_will_run()) else { return };
        if let Err(error) = secret.resolve(self.world) {
            self.report(Diagnostic::error(Code::SecretMissing, span, error.to_string()));
        }
    }
}

/// `dns { }`
pub(super) fn dns(top: &Section<'_>) -> Option<Dns> {
    let section = top.section_or_default("dns", &DNS);
    Some(Dns {
        servers: section.list("server").unwrap_or(Located::default_value(Vec::new())),
        timeout: section.value("timeout")?,
        attempts: section.value("attempts")?,
        cache: section.value("cache")?,
    })
}

/// `control`
pub(super) fn control(top: &Section<'_>, basics: &Basics) -> Located<Option<std::path::PathBuf>> {
    match top.find("control") {
        Some(item) => Located::at(
            item.argument::<std::path::PathBuf>(0).map(|path| path.value),
            item.statement.head(),
        ),
        None => Located::default_value(Some(basics.data.join("control.sock"))),
    }
}

/// `timeouts { }`
pub(super) fn timeouts(top: &Section<'_>) -> Option<Timeouts> {
    let section = top.section_or_default("timeouts", &TIMEOUTS);
    Some(Timeouts {
        command: section.value("command")?,
        data: section.value("data")?,
        handshake: section.value("handshake")?,
        session: section.value("session")?,
        shutdown: section.value("shutdown")?,
        connect: section.value("connect")?,
        greeting: section.value("greeting")?,
        reply: section.value("reply")?,
        data_start: section.value("data-start")?,
        data_block: section.value("data-block")?,
        data_end: section.value("data-end")?,
    })
}

/// `evidence { }`
pub(super) fn evidence(top: &Section<'_>) -> Option<Evidence> {
    let section = top.section_or_default("evidence", &EVIDENCE);
    Some(Evidence {
        record: section.value("record")?,
        checkpoint_every: section.value("checkpoint-every")?,
        checkpoint_entries: section.value("checkpoint-entries")?,
    })
}

/// `log { }`
pub(super) fn log(top: &Section<'_>) -> Option<Log> {
    let section = top.section_or_default("log", &LOG);
    Some(Log {
        format: section.value::<&str>("format")?.map(|word| match word {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        }),
        level: section.value::<&str>("level")?.map(|word| match word {
            "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            "debug" => LogLevel::Debug,
            "trace" => LogLevel::Trace,
            _ => LogLevel::Info,
        }),
    })
}

impl Section<'_> {
    /// The section of the first block of a directive.
    pub(crate) fn section(&self, name: &str) -> Option<&Section<'_>> {
        self.find(name)?.section.as_ref()
    }

    /// The same, or one in which nothing is written.
    pub(crate) fn section_or_default(
        &self,
        name: &str,
        context: &'static crate::schema::Context,
    ) -> std::borrow::Cow<'_, Section<'_>> {
        self.section(name)
            .map_or_else(|| std::borrow::Cow::Owned(nothing(context)), std::borrow::Cow::Borrowed)
    }
}
