//! Providers that fax by HTTPS.

use std::time::Duration;

use fax::provider::{Reading, Template};
use web_client::Place;

use crate::located::Located;
use crate::secret::Secret;

/// `fax-provider NAME { }`
#[derive(Debug, Clone, PartialEq)]
pub struct FaxProvider {
    /// Its name.
    pub name: Located<String>,
    /// Where faxes are sent.
    pub send: Place,
    /// Where it is asked what became of one, with [`FAX_ID`] for its name; `None` when it is
    /// not asked.
    pub status: Option<String>,
    /// How often it is asked.
    pub poll: Duration,
    /// The name of what to sign in with.
    pub credentials: Option<String>,
    /// How to sign in.
    pub sign_in: ProviderSignIn,
    /// How the fields are sent.
    pub body: ProviderBody,
    /// The fields in order.
    pub fields: Vec<(String, Template)>,
    /// What the pages are sent as.
    pub document: ProviderDocument,
    /// The header field that names an attempt; `None` when the provider knows none.
    pub key: Option<String>,
    /// How its answers are read.
    pub reading: Reading,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// How it tells by itself; `None` when it does not.
    pub webhooks: Option<Webhooks>,
}

/// How a provider tells what becomes of a fax.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhooks {
    /// Where it reaches us, without a stroke at the end.
    pub callback: String,
    /// Where the secret is kept that they are signed with.
    pub secret: Located<Secret>,
    /// How old one may be.
    pub window: Duration,
    /// Where in it the fax stands (RFC 6901).
    pub fax_at: String,
}

/// How to sign in at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderSignIn {
    /// The password as a bearer token (RFC 6750).
    Bearer,
    /// User and password (RFC 7617).
    Basic,
    /// The password in this header field.
    Header(String),
}

/// How the fields of a request are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderBody {
    /// `multipart/form-data` (RFC 7578).
    Form,
    /// A JSON object.
    Json,
}

/// What the pages are sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderDocument {
    /// TIFF-F in profile S.
    Tiff,
    /// PDF.
    Pdf,
}

/// What stands for the provider's name of a fax in [`FaxProvider::status`].
pub const FAX_ID: &str = "{id}";
