//! What is asked, and what is answered.

use bytes::Bytes;

use crate::place::Place;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Send a body and hear an answer.
    Post,
    /// Put a body in a place.
    Put,
    /// Remove.
    Delete,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) place: Place,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// An answer; any status is one.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status: 200, 404 and so on.
    pub status: u16,
    /// The header fields in order, names in small letters. Values that are not UTF-8 are left out.
    pub fields: Vec<(String, String)>,
    /// The body, at most [`crate::Limits::body_octets`].
    pub body: Bytes,
}

impl Request {
    /// Reads `place`.
    pub fn get(place: Place) -> Self {
        Self { method: Method::Get, place, fields: Vec::new(), body: Bytes::new() }
    }

    /// Sends `body` to `place`.
    pub fn post(place: Place, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::Post, place, fields: Vec::new(), body: body.into() }
            .with("content-type", media_type)
    }

    /// The same done otherwise.
    #[must_use]
    pub fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// The same with one more header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Response {
    /// The first value of the field `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
