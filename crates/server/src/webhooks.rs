//! A listener that takes webhooks: one HTTP/1.1 request of bounded length and time, answered
//! and closed (RFC 9110, RFC 9112).

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::fax::provider::webhook::{self, Answer, Webhook};
use crate::server::Server;

/// How long a request may take to arrive, and its answer to leave.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of a request, in octets.
const HEAD_MAX_OCTETS: usize = 16 * 1024;
/// The longest body, in octets.
const BODY_MAX_OCTETS: usize = 128 * 1024;
/// Header fields of a request.
const FIELDS_MAX: usize = 64;
/// When a provider may tell again what could not be taken, in seconds.
const AGAIN_SECS: u32 = 5;

/// A request that was read.
struct Request {
    method: String,
    path: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What is wrong with a request: the status it is answered with.
struct Wrong(&'static str);

/// Takes one webhook.
///
/// # Errors
///
/// The connection's.
pub async fn serve<S>(server: &Server, mut stream: S) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let status = match timeout(PATIENCE, read(&mut stream)).await {
        Ok(Ok(Ok(request))) => answer(server, &request).await,
        Ok(Ok(Err(Wrong(status)))) => status,
        Ok(Err(error)) => return Err(error),
        Err(_elapsed) => "408 Request Timeout",
    };
    let again = if status.starts_with("503") {
        format!("Retry-After: {AGAIN_SECS}\r\n")
    } else {
        String::new()
    };
    let text =
        format!("HTTP/1.1 {status}\r\n{again}Content-Length: 0\r\nConnection: close\r\n\r\n");
    timeout(PATIENCE, async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    })
    .await?
}

async fn answer(server: &Server, request: &Request) -> &'static str {
    // /fax/PROVIDER/FAX
    let mut parts = request.path.strip_prefix("/fax/").unwrap_or_default().split('/');
    let (Some(provider), Some(fax), None) = (parts.next(), parts.next(), parts.next()) else {
        return "404 Not Found";
    };
    if request.method != "POST" {
        return "405 Method Not Allowed";
    }
    let webhook = Webhook {
        id: request.field("webhook-id"),
        timestamp: request.field("webhook-timestamp"),
        signature: request.field("webhook-signature"),
        body: &request.body,
    };
    match webhook::take(server, provider, fax, webhook).await {
        Answer::Taken => "204 No Content",
        Answer::NotThere => "404 Not Found",
        Answer::Unsigned => "401 Unauthorized",
        Answer::Senseless => "422 Unprocessable Content",
        Answer::Later => "503 Service Unavailable",
    }
}

impl Request {
    /// The value of a field; empty without one, or where it stands twice.
    fn field(&self, name: &str) -> &str {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => value,
            (_, _) => "",
        }
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Result<Request, Wrong>> {
    let mut octets = Vec::new();
    let mut piece = [0; 4 * 1024];
    let (mut request, body_from) = loop {
        match head(&octets) {
            Ok(Some(head)) => break head,
            Ok(None) if octets.len() >= HEAD_MAX_OCTETS => {
                return Ok(Err(Wrong("431 Request Header Fields Too Large")));
            }
            Ok(None) => {}
            Err(wrong) => return Ok(Err(wrong)),
        }
        match stream.read(&mut piece).await? {
            0 => return Ok(Err(Wrong("400 Bad Request"))),
            read => octets.extend_from_slice(&piece[..read]),
        }
    };
    if !request.field("transfer-encoding").is_empty() {
        return Ok(Err(Wrong("411 Length Required")));
    }
    let length = match request.field("content-length").parse::<usize>() {
        Ok(length) if length > BODY_MAX_OCTETS => {
            return Ok(Err(Wrong("413 Content Too Large")));
        }
        Ok(length) => length,
        Err(_) => return Ok(Err(Wrong("411 Length Required"))),
    };
    request.body = octets.split_off(body_from);
    while request.body.len() < length {
        match stream.read(&mut piece).await? {
            0 => return Ok(Err(Wrong("400 Bad Request"))),
            read => request.body.extend_from_slice(&piece[..read]),
        }
    }
    request.body.truncate(length);
    Ok(Ok(request))
}

/// The head of a request and where its body begins; `None` while there is more to come.
fn head(octets: &[u8]) -> Result<Option<(Request, usize)>, Wrong> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let body_from = match parsed.parse(octets) {
        Ok(httparse::Status::Complete(body_from)) => body_from,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Wrong("431 Request Header Fields Too Large"));
        }
        Err(_) => return Err(Wrong("400 Bad Request")),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        fields: parsed
            .headers
            .iter()
            .map(|field| (field.name.to_ascii_lowercase(), text(field.value)))
            .collect(),
        body: Vec::new(),
    };
    Ok(Some((request, body_from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(request: &[u8]) -> Result<Request, &'static str> {
        let mut stream = request;
        read(&mut stream).await.unwrap().map_err(|Wrong(status)| status)
    }

    #[tokio::test]
    async fn a_request_is_read_whole_and_one_that_is_not_plain_is_refused() {
        let good = b"POST /fax/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET";
        let request = status(good).await.unwrap();
        assert_eq!((request.path.as_str(), request.body.as_slice()), ("/fax/a/b", &b"{}"[..]));
        let long = format!("POST / HTTP/1.1\r\nA: {}", "x".repeat(HEAD_MAX_OCTETS));
        for (text, expected) in [
            ("POST / HTTP/1.1\r\n\r\n", "411"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411"),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1", "411"),
            ("POST / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n", "413"),
            ("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1", "400"),
            ("\u{1}\u{2}\u{3}\r\n\r\n", "400"),
            ("", "400"),
            (long.as_str(), "431"),
        ] {
            let found = status(text.as_bytes()).await.err().unwrap();
            assert!(found.starts_with(expected), "{found} for {text:.40}");
        }
    }
}
