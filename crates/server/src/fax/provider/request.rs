//! The request that sends a fax.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use config::model::{ProviderBody, ProviderDocument, ProviderSignIn};
use fax::provider::{Slot, Template};
use serde_json::{Map, Value};
use web_client::Request;

use super::Line;
use crate::fax::carry::Errand;
use crate::fax::draw;

/// How deep a field of a JSON object may stand.
const DEPTH_MAX: usize = 8;

/// The pages as they are sent.
struct Document {
    octets: Vec<u8>,
    media_type: &'static str,
    name: String,
}

/// The request for one attempt, which is called `ours`.
///
/// # Errors
///
/// When the pages cannot be read.
pub async fn submission(line: &Line<'_>, errand: &Errand, ours: &str) -> Result<Request> {
    let provider = line.provider;
    let pages = errand.pages_from_first()?;
    let document = match provider.document {
        ProviderDocument::Tiff => Document {
            octets: draw::simple(pages).await?,
            media_type: "image/tiff",
            name: format!("{ours}.tif"),
        },
        ProviderDocument::Pdf => Document {
            octets: draw::pdf(pages).await?,
            media_type: "application/pdf",
            name: format!("{ours}.pdf"),
        },
    };
    let text = |template: &Template| template.fill(|slot| value(line, errand, ours, slot));
    let place = provider.send.clone();
    let request = match provider.body {
        ProviderBody::Form => {
            let (kind, body) = form(&provider.fields, &document, text);
            Request::post(place, &kind, body)
        }
        ProviderBody::Json => {
            let body = serde_json::to_vec(&json(&provider.fields, &document, text))?;
            Request::post(place, "application/json", body)
        }
    };
    let request = request.with("accept", "application/json");
    let request = match &provider.key {
        Some(field) => request.with(field, ours),
        None => request,
    };
    signed_in(line, request)
}

/// The request with what opens the door.
///
/// # Errors
///
/// When the credentials are gone.
pub fn signed_in(line: &Line<'_>, request: Request) -> Result<Request> {
    let Some(name) = &line.provider.credentials else { return Ok(request) };
    let credentials = line.credentials.with_context(|| format!("no credentials {name}"))?;
    Ok(match &line.provider.sign_in {
        ProviderSignIn::Bearer => {
            request.with("authorization", &format!("Bearer {}", credentials.password()))
        }
        ProviderSignIn::Basic => {
            let both = format!("{}:{}", credentials.username(), credentials.password());
            request.with("authorization", &format!("Basic {}", BASE64_STANDARD.encode(both)))
        }
        ProviderSignIn::Header(field) => request.with(field, credentials.password()),
    })
}

fn value(line: &Line<'_>, errand: &Errand, ours: &str, slot: Slot) -> String {
    match slot {
        Slot::Number => errand.number.clone(),
        Slot::Caller => errand.caller.clone(),
        Slot::Subaddress => errand.options.subaddress.clone().unwrap_or_default(),
        Slot::Billing => errand.options.billing.clone().unwrap_or_default(),
        Slot::Reference => ours.to_owned(),
        Slot::Callback => match &line.provider.webhooks {
            Some(webhooks) => {
                format!("{}/fax/{}/{}", webhooks.callback, *line.provider.name, errand.id)
            }
            None => String::new(),
        },
        // It stands alone and is put in its place by the kind of body.
        Slot::Document => String::new(),
    }
}

/// The fields as `multipart/form-data` (RFC 7578): its type and its octets.
fn form(
    fields: &[(String, Template)],
    document: &Document,
    text: impl Fn(&Template) -> String,
) -> (String, Vec<u8>) {
    // A random boundary that no content foresees.
    let boundary = format!("mailkeep-{:032x}", fastrand::u128(..));
    let mut body = Vec::with_capacity(document.octets.len() + 1_024);
    for (name, template) in fields {
        let name: String = name.chars().filter(|c| !c.is_control() && *c != '"').collect();
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
        body.extend_from_slice(head.as_bytes());
        if template.is_document() {
            let head = format!(
                "; filename=\"{}\"\r\nContent-Type: {}",
                document.name, document.media_type
            );
            body.extend_from_slice(head.as_bytes());
        }
        body.extend_from_slice(b"\r\n\r\n");
        if template.is_document() {
            body.extend_from_slice(&document.octets);
        } else {
            body.extend_from_slice(text(template).as_bytes());
        }
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// The fields as an object; a dot in a name leads into another.
fn json(
    fields: &[(String, Template)],
    document: &Document,
    text: impl Fn(&Template) -> String,
) -> Value {
    let mut whole = Map::new();
    for (name, template) in fields {
        let value = if template.is_document() {
            BASE64_STANDARD.encode(&document.octets)
        } else {
            text(template)
        };
        let path: Vec<&str> = name.splitn(DEPTH_MAX, '.').collect();
        put(&mut whole, &path, Value::String(value));
    }
    Value::Object(whole)
}

/// Puts `value` where `path` leads; what is in the way and no object gives place.
fn put(object: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => drop(object.insert((*last).to_owned(), value)),
        [first, rest @ ..] => {
            let mut inner = match object.remove(*first) {
                Some(Value::Object(inner)) => inner,
                Some(_) | None => Map::new(),
            };
            put(&mut inner, rest, value);
            object.insert((*first).to_owned(), Value::Object(inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        Document { octets: vec![0, 255], media_type: "image/tiff", name: "a.tif".to_owned() }
    }

    fn fields(fields: &[(&str, &str)]) -> Vec<(String, Template)> {
        fields.iter().map(|(name, text)| ((*name).to_owned(), text.parse().unwrap())).collect()
    }

    #[test]
    fn a_dot_in_a_name_leads_into_an_object() {
        let fields = fields(&[("data.to", "{number}"), ("data.file", "{document}"), ("x", "y")]);
        let made = json(&fields, &document(), |template| template.fill(|_| "+1".to_owned()));
        assert_eq!(made.to_string(), r#"{"data":{"file":"AP8=","to":"+1"},"x":"y"}"#);
    }

    #[test]
    fn a_form_has_each_field_and_the_file() {
        let fields = fields(&[("to\r\n\"", "{number}"), ("file", "{document}")]);
        let (kind, body) = form(&fields, &document(), |t| t.fill(|_| "+1".to_owned()));
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let text = String::from_utf8_lossy(&body).replace(boundary, "B");
        assert_eq!(
            text,
            "--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n+1\r\n\
             --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.tif\"\r\n\
             Content-Type: image/tiff\r\n\r\n\u{0}\u{fffd}\r\n--B--\r\n"
        );
    }
}
