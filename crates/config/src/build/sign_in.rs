//! `sign-in { }`.

use mail::Domain;
use rules::built_in::SenderMatch;

use super::Builder;
use crate::check::Section;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{AccountCertificates, Gssapi, KeysAt, SignIn, Tokens, Verifier};
use crate::schema::SIGN_IN;
use crate::source::Span;

impl Builder<'_> {
    pub(super) fn sign_in(&mut self, top: &Section<'_>, hostname: &Domain) -> Option<SignIn> {
        let section = top.section_or_default("sign-in", &SIGN_IN);
        let verifiers = self.verifiers(&section);
        let breached_passwords = self.readable(section.value("breached-passwords"));
        let tokens = section.section("tokens").and_then(|section| self.tokens(section));
        let gssapi = section.section("gssapi").and_then(|gssapi| {
            let place = section.written("gssapi")?;
            self.gssapi(hostname, gssapi, place)
        });
        let client_certificates =
            section.value::<&str>("client-certificates")?.map(|word| match word {
                "fingerprint" => AccountCertificates::Fingerprint,
                "address" => AccountCertificates::Address,
                _ => AccountCertificates::Off,
            });
        let sender_must_match =
            section.value::<&str>("sender-must-match")?.map(|word| match word {
                "envelope" => SenderMatch::Envelope,
                "envelope-and-header" => SenderMatch::EnvelopeAndHeader,
                _ => SenderMatch::Off,
            });
        Some(SignIn {
            sender_must_match,
            verifiers: verifiers?,
            password_length: section.value("password-length")?,
            breached_passwords,
            password_history: section.value("password-history")?,
            password_expiry: section.value("password-expiry")?,
            client_certificates,
            tokens,
            gssapi,
        })
    }

    fn verifiers(&mut self, section: &Section<'_>) -> Option<Located<Vec<Verifier>>> {
        let words = section.values::<&str>("verifiers")?;
        let mut verifiers = Vec::new();
        for word in &words.value {
            let named = Verifier::WORDS.into_iter().find(|(_, name)| *name == word.value);
            let repeated = named.is_some_and(|(verifier, _)| verifiers.contains(&verifier));
            let none_of_many = named.is_none() && words.value.len() > 1;
            if let Some(span) = word.span {
                if repeated {
                    let message = format!("{} is there twice", word.value);
                    self.error(Code::DuplicateEntry, span, message);
                } else if none_of_many {
                    let message = "\"none\" stands alone";
                    self.error(Code::ConflictingDirectives, span, message);
                }
            }
            let Some((verifier, name)) = named else { continue };
            if let Some(span) = word.span.filter(|_| verifier.is_as_good_as_a_password()) {
                let message = format!(
                    "a verifier for {name} is kept for every account, and who steals it can sign in with it"
                );
                let help = "leave it out if no client needs it; scram-sha-256 has no such weakness";
                self.report(Diagnostic::warning(Code::OldVerifier, span, message).help(help));
            }
            verifiers.push(verifier);
        }
        Some(words.map(|_| verifiers))
    }

    fn gssapi(&mut self, hostname: &Domain, section: &Section<'_>, place: Span) -> Option<Gssapi> {
        self.needs_gssapi(place);
        let realm = section.value::<String>("realm")?;
        let service = match section.value::<String>("service") {
            Some(service) => service.value,
            None => format!("smtp/{hostname}@{}", *realm),
        };
        let domain = match section.value("domain") {
            Some(domain) => domain,
            None => match Domain::parse(&realm) {
                Ok(domain) => realm.clone().map(|_| domain),
                Err(_) => {
                    let message = format!("the realm {} is no domain", *realm);
                    let help = "write `domain` to say where the accounts are";
                    let diagnostic =
                        Diagnostic::error(Code::UnknownValue, realm.span.unwrap_or(place), message);
                    self.report(diagnostic.help(help));
                    return None;
                }
            },
        };
        Some(Gssapi { realm, service, domain })
    }

    /// Says so where a build without Kerberos is asked for it.
    pub(super) fn needs_gssapi(&mut self, place: Span) {
        if !cfg!(feature = "gssapi") {
            let message = "this build has no GSSAPI";
            let help = "build it with `cargo build --release --features gssapi`";
            self.report(Diagnostic::error(Code::NotInThisBuild, place, message).help(help));
        }
    }

    fn tokens(&mut self, section: &Section<'_>) -> Option<Tokens> {
        let place = section.value::<String>("keys")?;
        let is_web = place.starts_with("https://") || place.starts_with("http://");
        let keys = if is_web {
            if let Some(span) = place.span
                && place.starts_with("http://")
                && !is_this_machine(&place)
            {
                let message = "keys fetched without TLS can be anyone's".to_owned();
                let diagnostic = Diagnostic::error(Code::KeysInTheClear, span, message)
                    .help("write https://, or http:// with 127.0.0.1 or localhost");
                self.report(diagnostic);
            }
            place.clone().map(KeysAt::Web)
        } else {
            let folder = place.span.map(|span| self.sources.file(span.file).path().to_owned());
            let folder = folder.as_deref().and_then(std::path::Path::parent);
            let path = folder.unwrap_or(std::path::Path::new("")).join(&place.value);
            let located = Located { value: path, span: place.span };
            self.readable(Some(located))?.map(KeysAt::File)
        };
        Some(Tokens {
            issuer: section.value("issuer")?,
            audiences: section.list("audience")?,
            keys,
            scope: section.value("scope"),
            claim: section.value("claim")?,
        })
    }
}

fn is_this_machine(place: &str) -> bool {
    let rest = place.strip_prefix("http://").unwrap_or_default();
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host == "127.0.0.1" || rest.starts_with("[::1]")
}
