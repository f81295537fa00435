//! `fax-provider NAME { }`

use std::collections::BTreeMap;
use std::time::Duration;

use fax::provider::{Meaning, Reading, Slot, Template};
use web_client::Place;

use super::names::Named;
use super::{Builder, name_of};
use crate::check::{Checked, Section};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::located::Located;
use crate::model::{
    FAX_ID, FaxProvider, Listener, Protocol, ProviderBody, ProviderDocument, ProviderSignIn,
    Webhooks,
};
use crate::secret::Secret;

/// What holds where nothing is written.
struct Preset {
    sign_in: ProviderSignIn,
    document: ProviderDocument,
    key: Option<&'static str>,
    fields: &'static [(&'static str, &'static str)],
    answers: [(&'static str, &'static str); 4],
    words: &'static [(&'static str, Meaning)],
}

impl Preset {
    const GENERIC: Self = Self {
        sign_in: ProviderSignIn::Bearer,
        document: ProviderDocument::Tiff,
        key: Some("Idempotency-Key"),
        fields: &[("to", "{number}"), ("from", "{caller}"), ("file", "{document}")],
        answers: [("id", "/id"), ("status", "/status"), ("reason", "/reason"), ("pages", "/pages")],
        words: &[
            ("queued", Meaning::Queued),
            ("sending", Meaning::Sending),
            ("sent", Meaning::Sent),
            ("busy", Meaning::Busy),
            ("no-answer", Meaning::NoAnswer),
            ("no-carrier", Meaning::NoCarrier),
            ("interrupted", Meaning::Interrupted),
            ("failed", Meaning::Failed),
        ],
    };
    const SINCH: Self = Self {
        sign_in: ProviderSignIn::Basic,
        document: ProviderDocument::Pdf,
        key: None,
        fields: &[("to", "{number}"), ("from", "{caller}"), ("file", "{document}")],
        answers: [
            ("id", "/id"),
            ("status", "/status"),
            ("reason", "/errorMessage"),
            ("pages", "/pagesSentSuccessfully"),
        ],
        words: &[
            ("queued", Meaning::Queued),
            ("in_progress", Meaning::Sending),
            ("completed", Meaning::Sent),
            ("failure", Meaning::Failed),
        ],
    };
}

impl Builder<'_> {
    pub(super) fn fax_providers(
        &mut self,
        top: &Section<'_>,
        listeners: &[Listener],
    ) -> Vec<FaxProvider> {
        let mut providers = Vec::new();
        for item in top.all("fax-provider") {
            providers.extend(self.fax_provider(item, listeners));
        }
        self.unique("fax-provider", providers.iter().map(|provider| provider.name.clone()));
        providers
    }

    fn fax_provider(&mut self, item: &Checked<'_>, listeners: &[Listener]) -> Option<FaxProvider> {
        let (name, section) = (name_of(item)?, item.section.as_ref()?);
        let preset = match section.value::<&str>("preset") {
            Some(_) => Preset::SINCH,
            None => Preset::GENERIC,
        };
        let send: Located<String> = section.value("send")?;
        let place = self.fax_place(&send, &send.value);
        let status = self.status(section, &send);
        let credentials: Option<Located<String>> = section.value("credentials");
        if let Some(name) = &credentials {
            self.uses_written(Named::Credentials, name);
        }
        let sign_in = match section.find("sign-in") {
            None => preset.sign_in.clone(),
            Some(item) => match item.argument::<&str>(0)?.value {
                "basic" => ProviderSignIn::Basic,
                "header" => ProviderSignIn::Header(item.argument::<String>(1)?.value),
                _ => ProviderSignIn::Bearer,
            },
        };
        let key = match section.find("idempotency-key") {
            None => preset.key.map(str::to_owned),
            Some(item) => item.argument::<String>(0).map(|field| field.value),
        };
        let webhooks = self.webhooks(section, listeners, &name);
        let fields = self.fields(section, &preset, webhooks.is_some());
        let is_off = |item: &Checked<'_>| item.argument::<&str>(0).is_some_and(|w| *w == "off");
        let is_silent = section.find("status").is_some_and(is_off)
            && section.written("callback").is_none()
            && section.written("webhook-secret").is_none();
        if let Some(span) = name.span.filter(|_| is_silent) {
            let message = "nothing tells what becomes of a fax";
            let error = Diagnostic::error(Code::FaxProviderSilent, span, message);
            self.report(error.help("leave `status off` out, or write callback and webhook-secret"));
        }
        let document = match section.value::<&str>("document") {
            None => preset.document,
            Some(word) if word.value == "pdf" => ProviderDocument::Pdf,
            Some(_) => ProviderDocument::Tiff,
        };
        Some(FaxProvider {
            send: place?,
            status,
            poll: section.value::<Duration>("poll")?.value,
            credentials: credentials.map(|name| name.value),
            sign_in,
            body: match section.value::<&str>("body")?.value {
                "json" => ProviderBody::Json,
                _ => ProviderBody::Form,
            },
            fields,
            document,
            key,
            reading: self.reading(section, &preset),
            timeout: section.value::<Duration>("timeout")?.value,
            webhooks,
            name,
        })
    }

    /// A place of the provider. Pages do not travel in the clear.
    fn fax_place(&mut self, written: &Located<String>, text: &str) -> Option<Place> {
        let span = written.span?;
        match text.parse::<Place>() {
            Ok(place) if place.is_private() || place.is_loopback() => Some(place),
            Ok(_) => {
                let message = "pages would travel in the clear";
                let error = Diagnostic::error(Code::FaxProviderClear, span, message);
                self.report(error.help("write https://"));
                None
            }
            Err(error) => {
                self.error(Code::WrongType, span, format!("\"{}\": {error}", written.value));
                None
            }
        }
    }

    fn status(&mut self, section: &Section<'_>, send: &Located<String>) -> Option<String> {
        let written = match section.find("status") {
            None => send.clone().map(|send| format!("{send}/{FAX_ID}")),
            // `off` is a word and no text.
            Some(item) => item.argument::<String>(0)?,
        };
        if let Some(span) = written.span.filter(|_| !written.value.contains(FAX_ID)) {
            let message = format!("the provider's name for the fax is not in it: write {FAX_ID}");
            self.error(Code::WrongType, span, message);
            return None;
        }
        // Any name will do to see whether it is a place.
        self.fax_place(&written, &written.value.replace(FAX_ID, "1"))?;
        Some(written.value)
    }

    fn fields(
        &mut self,
        section: &Section<'_>,
        preset: &Preset,
        has_callback: bool,
    ) -> Vec<(String, Template)> {
        let (mut fields, mut names, mut is_wrong) = (Vec::new(), Vec::new(), false);
        for item in section.all("field") {
            let (Some(name), Some(text)) = (item.argument::<String>(0), item.argument::<String>(1))
            else {
                continue;
            };
            match text.value.parse::<Template>() {
                Ok(template) => fields.push((name.value.clone(), template)),
                Err(error) => {
                    is_wrong = true;
                    if let Some(span) = text.span {
                        self.error(Code::WrongType, span, error.to_string());
                    }
                }
            }
            names.push(name);
        }
        self.unique("field", names);
        if section.written("field").is_none() {
            let callback = has_callback.then_some(("callback_url", "{callback}"));
            for (name, text) in preset.fields.iter().copied().chain(callback) {
                // What is built in is right.
                fields.extend(text.parse().ok().map(|template| (name.to_owned(), template)));
            }
        } else if let Some(span) = section.written("field").filter(|_| !is_wrong) {
            for (slot, what) in [(Slot::Number, "{number}"), (Slot::Document, "{document}")] {
                if !fields.iter().any(|(_, template)| template.has(slot)) {
                    let message = format!("no field has {what}");
                    self.error(Code::WrongType, span, message);
                }
            }
        }
        fields
    }

    fn reading(&mut self, section: &Section<'_>, preset: &Preset) -> Reading {
        let mut answers: BTreeMap<&str, String> =
            preset.answers.iter().map(|(what, at)| (*what, (*at).to_owned())).collect();
        for item in section.all("answer") {
            let (Some(what), Some(at)) = (item.argument::<&str>(0), item.argument::<String>(1))
            else {
                continue;
            };
            let at = self.pointer(at);
            answers.insert(what.value, at);
        }
        let mut words = BTreeMap::new();
        for item in section.all("word") {
            let meaning = item.argument::<&str>(1).and_then(|word| word.value.parse().ok());
            if let (Some(word), Some(meaning)) = (item.argument::<String>(0), meaning) {
                words.insert(word.value.to_lowercase(), meaning);
            }
        }
        if words.is_empty() {
            words.extend(preset.words.iter().map(|(word, m)| ((*word).to_owned(), *m)));
        }
        let mut at = |what: &str| answers.remove(what).unwrap_or_default();
        Reading {
            id: at("id"),
            status: at("status"),
            reason: at("reason"),
            pages: at("pages"),
            words,
        }
    }

    /// A place in JSON (RFC 6901).
    fn pointer(&mut self, at: Located<String>) -> String {
        if let Some(span) = at.span.filter(|_| !at.value.is_empty() && !at.value.starts_with('/')) {
            let message = format!("\"{}\" is no place in JSON: it begins with /", at.value);
            self.error(Code::WrongType, span, message);
        }
        at.value
    }

    fn webhooks(
        &mut self,
        section: &Section<'_>,
        listeners: &[Listener],
        name: &Located<String>,
    ) -> Option<Webhooks> {
        let callback: Option<Located<String>> = section.value("callback");
        let secret: Option<Located<Secret>> = section.value("webhook-secret");
        let (callback, secret) = match (callback, secret) {
            (Some(callback), Some(secret)) => (callback, secret),
            (None, None) => return None,
            (callback, secret) => {
                let span = callback.and_then(|c| c.span).or(secret.and_then(|s| s.span));
                if let Some(span) = span.or(name.span) {
                    let message = "callback and webhook-secret belong together";
                    let error = Diagnostic::error(Code::FaxProviderSilent, span, message);
                    self.report(error.help("webhooks are only believed when they are signed"));
                }
                return None;
            }
        };
        self.secret_is_there(&secret);
        self.fax_place(&callback, &callback.value)?;
        let listens = listeners.iter().any(|l| l.protocol.value == Protocol::Webhooks);
        if let Some(span) = callback.span.filter(|_| !listens) {
            let message = "no listener takes webhooks";
            let error = Diagnostic::error(Code::FaxProviderSilent, span, message);
            self.report(error.help("write a listener with protocol webhooks"));
        }
        let fax_at = match section.value::<String>("webhook-fax") {
            Some(at) => self.pointer(at),
            None => String::new(),
        };
        Some(Webhooks {
            callback: callback.value.trim_end_matches('/').to_owned(),
            secret,
            window: section.value::<Duration>("webhook-window")?.value,
            fax_at,
        })
    }
}
