//! `certificate NAME { }`

use mail::Domain;

use super::{Basics, Builder, name_of};
use crate::check::Section;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{Certificate, CertificateSource};
use crate::source::Span;

impl Builder<'_> {
    pub(super) fn certificates(&mut self, top: &Section<'_>, basics: &Basics) -> Vec<Certificate> {
        let mut certificates = Vec::new();
        for item in top.all("certificate") {
            let (Some(name), Some(section)) = (name_of(item), &item.section) else { continue };
            let source = self.certificate_source(section, item.statement.head(), basics);
            certificates.extend(source.map(|source| Certificate { name, source }));
        }
        self.unique("certificate", certificates.iter().map(|certificate| certificate.name.clone()));
        certificates
    }

    fn certificate_source(
        &mut self,
        section: &Section<'_>,
        head: Span,
        basics: &Basics,
    ) -> Option<CertificateSource> {
        let written = |name| section.written(name);
        match (written("local-authority"), written("file"), written("key")) {
            (Some(_), None, None) => {
                let default = || {
                    let names: Vec<Domain> = vec![basics.hostname.value.clone()];
                    Located::default_value(names)
                };
                Some(CertificateSource::LocalAuthority {
                    names: section.list("names").unwrap_or_else(default),
                })
            }
            (Some(authority), Some(file), _) | (Some(authority), None, Some(file)) => {
                let message =
                    "a certificate comes from files or from the local authority, not both";
                let diagnostic = Diagnostic::error(Code::ConflictingDirectives, authority, message)
                    .related(file, "here files are named");
                self.report(diagnostic);
                None
            }
            (None, Some(_), Some(_)) => {
                if let Some(names) = written("names") {
                    let message = "the names stand in the certificate file";
                    let diagnostic = Diagnostic::error(Code::ConflictingDirectives, names, message)
                        .help("remove names, or write local-authority in place of file and key");
                    self.report(diagnostic);
                }
                let chain = self.readable(section.value("file"))?;
                let key = self.readable(section.value("key"))?;
                Some(CertificateSource::Files { chain, key })
            }
            (None, file, key) => {
                let message = match (file, key) {
                    (Some(_), _) => "\"key\" is missing in certificate",
                    (None, Some(_)) => "\"file\" is missing in certificate",
                    (None, None) => "the certificate comes from nowhere",
                };
                let diagnostic = Diagnostic::error(Code::Missing, head, message)
                    .help("write file and key, or local-authority");
                self.report(diagnostic);
                None
            }
        }
    }
}
