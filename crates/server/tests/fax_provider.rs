//! Faxes by a provider's HTTPS interface, against a provider of the test's own.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lab::Authority;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use support::faxes::{faxes, wait_for_state};
use support::{Server, shown, wait_for};

const MAIL: &str = "From: Ann Lee <ann@clinic.example>
To: 2025550123@fax.clinic.example
Subject: Referral [fax: bill=4711]
Date: Mon, 2 Mar 2026 10:02:11 +0000
Message-ID: <one@clinic.example>

Dear Dr. Ortega,

please find the referral.
";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the provider does with the next request to send.
#[derive(Clone)]
enum Act {
    /// Makes the fax and answers with this status.
    Answer(u16),
    /// Refuses with this status and body.
    Refuse(u16, &'static str),
    /// Makes the fax, and closes in the middle of its answer.
    Die,
    /// Makes the fax, and never answers.
    Silence,
    /// Makes the fax, and answers octet by octet, for ever.
    Drip,
    /// Makes the fax, and answers with what is no JSON.
    Garbage,
}

/// A request as it came.
#[derive(Clone)]
struct Seen {
    line: String,
    head: String,
    body: Vec<u8>,
}

#[derive(Default)]
struct Books {
    acts: Vec<Act>,
    requests: Vec<Seen>,
    /// The provider's faxes by the key of the request that made them.
    faxes: BTreeMap<String, String>,
    /// Where each of them stands.
    states: BTreeMap<String, Value>,
}

/// A provider on loopback that follows a script.
struct Provider {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
}

impl Provider {
    fn start() -> Self {
        Self::listen(None)
    }

    fn listen(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Mutex::new(Books::default()));
        let kept = Arc::clone(&books);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (books, tls) = (Arc::clone(&kept), tls.clone());
                std::thread::spawn(move || match tls {
                    Some(tls) => {
                        let session = rustls::ServerConnection::new(tls).unwrap();
                        serve(&mut rustls::StreamOwned::new(session, stream), &books);
                    }
                    None => serve(&mut { stream }, &books),
                });
            }
        });
        Self { address, books }
    }

    fn will(&self, acts: &[Act]) {
        self.books.lock().unwrap().acts = acts.to_vec();
    }

    fn says(&self, id: &str, state: Value) {
        self.books.lock().unwrap().states.insert(id.to_owned(), state);
    }

    /// The requests to send so far.
    fn sent(&self) -> Vec<Seen> {
        let books = self.books.lock().unwrap();
        books.requests.iter().filter(|seen| seen.line.starts_with("POST")).cloned().collect()
    }

    fn wait_for_requests(&self, count: usize) -> Vec<Seen> {
        wait_for(|| Some(self.sent()).filter(|sent| sent.len() >= count))
            .unwrap_or_else(|| panic!("{} of {count} requests", self.sent().len()))
    }

    fn faxes(&self) -> usize {
        self.books.lock().unwrap().faxes.len()
    }
}

fn serve<S: Read + Write>(stream: &mut S, books: &Mutex<Books>) {
    let Some(seen) = read(stream) else { return };
    let key = field(&seen.head, "idempotency-key").unwrap_or_default();
    let act = {
        let mut books = books.lock().unwrap();
        books.requests.push(seen.clone());
        if seen.line.starts_with("GET") {
            let id = seen.line.split('/').nth(2).unwrap().split(' ').next().unwrap().to_owned();
            let state = books.states.get(&id).cloned();
            drop(books);
            let state = state.unwrap_or_else(|| json!({ "id": id, "status": "queued" }));
            return reply(stream, 200, &state.to_string());
        }
        if books.acts.is_empty() { Act::Answer(202) } else { books.acts.remove(0) }
    };
    if let Act::Refuse(status, body) = act {
        return reply(stream, status, body);
    }
    let id = {
        let mut books = books.lock().unwrap();
        let next = format!("fax_{}", books.faxes.len() + 1);
        // Without a key each request makes a fax.
        let key = if key.is_empty() { next.clone() } else { key };
        books.faxes.entry(key).or_insert(next).clone()
    };
    let body = json!({ "id": id, "status": "queued" }).to_string();
    match act {
        Act::Answer(status) => reply(stream, status, &body),
        Act::Garbage => reply(stream, 200, "<html>Welcome</html>"),
        Act::Die => {
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"id\": \"fa");
        }
        Act::Silence => std::thread::sleep(Duration::from_secs(60)),
        Act::Drip => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
            while stream.write_all(b" ").and_then(|()| stream.flush()).is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Act::Refuse(..) => {}
    }
}

fn reply<S: Write>(stream: &mut S, status: u16, body: &str) {
    let text = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
}

fn field(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value.trim().to_owned())
}

fn read<S: Read>(stream: &mut S) -> Option<Seen> {
    let mut octets = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(end) = octets.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&octets[..end]).into_owned();
            let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
            if octets.len() >= end + 4 + length {
                let line = head.lines().next().unwrap_or_default().to_owned();
                return Some(Seen { line, head, body: octets[end + 4..].to_vec() });
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(read) => octets.extend_from_slice(&piece[..read]),
        }
    }
}

/// A clinic whose faxes go by the provider with `settings`, and by `transports`.
fn configuration(send: &str, settings: &str, transports: &str) -> String {
    format!(
        "hostname mx.clinic.example
        data @DIR@/data
        listener mx {{ port 0; address 127.0.0.1; tls off }}
        listener hooks {{ port 0; address 127.0.0.1; protocol webhooks; tls off }}
        domain clinic.example {{ deliver-to maildir @DIR@/maildir }}
        credentials line {{ user clinic; password file:@DIR@/password }}
        fax-provider line {{
            send {send}
            credentials line
            {settings}
        }}
        fax clinic {{
            domains fax.clinic.example
            organisation \"Clinic of Example\"
            main-number \"+1 202 555 0199\"
            country US
            user ann@clinic.example
            mail-server-white-list 127.0.0.1
            {transports}
        }}
        "
    )
}

const WEBHOOKS: &str = "timeout 1s; status off
            callback http://127.0.0.1:1
            webhook-secret file:@DIR@/secret
            webhook-fax /data
            webhook-window 1m";
const POLLED: &str = "timeout 1s; poll 200ms";

fn start(provider: &Provider, settings: &str, transports: &str) -> Server {
    let send = format!("http://{}/faxes", provider.address);
    start_with(&configuration(&send, settings, transports), "")
}

fn start_with(configuration: &str, authority: &str) -> Server {
    let folder = tempfile::TempDir::new().unwrap();
    fs::write(folder.path().join("password"), "swordfish\n").unwrap();
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    fs::write(folder.path().join("authority.pem"), authority).unwrap();
    Server::start_in(folder, configuration)
}

fn fax_it(server: &Server) {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    let reply = client.message("ann@clinic.example", &["2025550123@fax.clinic.example"], MAIL);
    assert!(reply.starts_with("250"), "{reply}");
}

/// Waits until the provider's name for the fax is known here.
fn wait_for_name(server: &Server, name: &str) -> Value {
    let knows = |fax: &Value| fax["transport-id"].as_str().is_some_and(|id| id.ends_with(name));
    wait_for(|| faxes(server).into_iter().find(knows))
        .unwrap_or_else(|| panic!("{name}: {:?}\n{}", faxes(server), server.log()))
}

/// Sends octets to the listener for webhooks; gives the status of the answer.
fn post_raw(server: &Server, octets: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(server.address("hooks")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(octets).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

struct Hook<'a> {
    fax: &'a str,
    id: &'a str,
    age_secs: i64,
    secret: &'a str,
    body: String,
}

/// A webhook as the provider sends it.
fn hook<'a>(fax: &'a str, id: &'a str, data: &Value) -> Hook<'a> {
    let body = json!({ "type": "fax", "data": data }).to_string();
    Hook { fax, id, age_secs: 0, secret: SECRET, body }
}

fn post(server: &Server, hook: &Hook<'_>) -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let timestamp = now - hook.age_secs;
    let key = BASE64_STANDARD.decode(hook.secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{}.{timestamp}.{}", hook.id, hook.body).as_bytes());
    let text = format!(
        "POST /fax/line/{} HTTP/1.1\r\nHost: hooks\r\nWebhook-Id: {}\r\nWebhook-Timestamp: \
         {timestamp}\r\nWebhook-Signature: v1,{}\r\nContent-Length: {}\r\n\r\n{}",
        hook.fax,
        hook.id,
        BASE64_STANDARD.encode(tag),
        hook.body.len(),
        hook.body
    );
    post_raw(server, text.as_bytes())
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} (libtiff-tools, poppler-utils): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", shown(&output));
    shown(&output)
}

/// The file in a form.
fn file_of(body: &[u8]) -> Vec<u8> {
    let at = body.windows(9).position(|w| w == b"filename=").expect("a file");
    let rest = &body[at..];
    let start = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let end = rest[start..].windows(12).position(|w| w == b"\r\n--mailkeep").unwrap();
    rest[start..start + end].to_vec()
}

fn same_pages(folder: &Path, one: &Path, other: &Path) {
    let mut plain = Vec::new();
    for (place, file) in [one, other].into_iter().enumerate() {
        let to = folder.join(format!("plain-{place}.tif"));
        let (file, to) = (file.to_str().unwrap(), to.to_str().unwrap().to_owned());
        run("tiffcp", &["-c", "none", "-f", "msb2lsb", file, &to]);
        plain.push(to);
    }
    run("tiffcmp", &["-t", &plain[0], &plain[1]]);
}

#[test]
fn a_provider_gets_the_very_pages_and_only_its_signed_webhooks_are_believed_in_any_order() {
    let provider = Provider::start();
    let server = start(&provider, WEBHOOKS, "transport provider line");
    fax_it(&server);
    let fax = wait_for_name(&server, "fax_1");
    let id = fax["id"].as_str().unwrap();
    let request = provider.sent().remove(0);
    assert_eq!(field(&request.head, "authorization").unwrap(), "Bearer swordfish");
    let body = String::from_utf8_lossy(&request.body);
    for says in ["+12025550123", "+12025550199", &format!("http://127.0.0.1:1/fax/line/{id}")] {
        assert!(body.contains(says), "{says}");
    }
    let file = server.dir().join("got.tif");
    fs::write(&file, file_of(&request.body)).unwrap();
    same_pages(server.dir(), &file, &server.dir().join(format!("data/fax/{id}.tif")));

    let sending = json!({ "id": "fax_1", "status": "sending" });
    let sent = json!({ "id": "fax_1", "status": "SENT", "pages": 1 });
    // What is not signed, too old, ahead, garbage or about another fax changes nothing.
    let forged = Hook { secret: "whsec_AAAA", ..hook(id, "a", &sent) };
    assert_eq!(post(&server, &forged), 401);
    for age_secs in [120, -120] {
        assert_eq!(post(&server, &Hook { age_secs, ..hook(id, "a", &sent) }), 401);
    }
    assert_eq!(post(&server, &Hook { body: "garbage".to_owned(), ..hook(id, "b", &sent) }), 422);
    let other = json!({ "id": "fax_2", "status": "sent" });
    assert_eq!(post(&server, &hook(id, "c", &other)), 422);
    assert_eq!(post_raw(&server, b"GET / HTTP/1.1\r\n\r\n"), 411);
    assert_eq!(post_raw(&server, b"\x16\x03\x01\0\0"), 400);
    assert_eq!(faxes(&server)[0]["state"], "dialling");

    assert_eq!(post(&server, &hook(id, "d", &sending)), 204);
    wait_for_state(&server, "sending");
    let strange = json!({ "id": "fax_1", "status": "pondering" });
    assert_eq!(post(&server, &hook(id, "e", &strange)), 204);
    // When it is answered, it is kept.
    assert_eq!(post(&server, &hook(id, "f", &sent)), 204);
    let fax = faxes(&server).remove(0);
    assert_eq!((&fax["state"], &fax["confirmed"]), (&"sent".into(), &1.into()), "{fax}");
    // Twice the same, and late news: it stays sent.
    let failed = json!({ "id": "fax_1", "status": "failed", "reason": "late" });
    for (name, data) in [("f", &sent), ("g", &sent), ("h", &sending), ("i", &failed)] {
        assert_eq!(post(&server, &hook(id, name, data)), 204, "{name}");
    }
    assert_eq!(faxes(&server)[0]["state"], "sent");
    assert_eq!(provider.sent().len(), 1);
    let mails = server.wait_for_mail("ann@clinic.example", 2).join("\n");
    assert!(mails.contains("was sent"), "{mails}");
    assert!(!server.log().contains("swordfish") && !server.log().contains("MfKQ9r8G"));
}

#[test]
fn a_provider_that_is_asked_says_busy_and_each_attempt_has_a_name_of_its_own() {
    let provider = Provider::start();
    let settings = "poll 200ms
            body json
            field data.to \"{number}\"
            field data.file \"{document}\"
            field ref \"{reference}/{billing}\"
            document pdf
            sign-in header X-Api-Key
            answer reason /error";
    let server = start(&provider, settings, "transport provider line");
    fax_it(&server);
    let request = provider.wait_for_requests(1).remove(0);
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["data"]["to"], "+12025550123");
    assert!(body["ref"].as_str().unwrap().ends_with("-1/4711"), "{}", body["ref"]);
    assert_eq!(field(&request.head, "x-api-key").unwrap(), "swordfish");
    let pdf = BASE64_STANDARD.decode(body["data"]["file"].as_str().unwrap()).unwrap();
    let file = server.dir().join("got.pdf");
    fs::write(&file, pdf).unwrap();
    let info = run("pdfinfo", &[file.to_str().unwrap()]);
    assert!(info.contains("Pages:           1") && info.contains("609.882 x 841.959"), "{info}");

    provider.says("fax_1", json!({ "id": "fax_1", "status": "busy" }));
    let fax = wait_for_state(&server, "waiting");
    assert_eq!(fax["counters"]["busy"], 1, "{fax}");
    server.ok(&["fax", "resend", fax["id"].as_str().unwrap()]);
    let sent = provider.wait_for_requests(2);
    let keys: Vec<String> =
        sent.iter().map(|seen| field(&seen.head, "idempotency-key").unwrap()).collect();
    assert_ne!(keys[0], keys[1], "another attempt is another fax");
    provider.says("fax_2", json!({ "id": "fax_2", "status": "failed", "error": "no such line" }));
    let fax = wait_for_state(&server, "failed");
    assert_eq!(fax["detail"], "failed: the provider gave up: no such line");
}

#[test]
fn an_answer_that_never_comes_whole_is_asked_for_again_and_makes_one_fax() {
    for act in [Act::Die, Act::Garbage, Act::Answer(500), Act::Drip, Act::Silence] {
        let provider = Provider::start();
        provider.will(&[act]);
        let server = start(&provider, POLLED, "transport provider line");
        fax_it(&server);
        let fax = wait_for_name(&server, "fax_1");
        assert_eq!(provider.sent().len(), 2);
        assert_eq!(provider.faxes(), 1, "the same request has the same name");
        provider.says("fax_1", json!({ "id": "fax_1", "status": "sent" }));
        let sent = wait_for_state(&server, "sent");
        assert_eq!((&sent["counters"]["dials"], &sent["id"]), (&1.into(), &fax["id"]));
    }
}

#[test]
fn after_a_crash_in_the_request_the_provider_is_asked_again_by_the_same_name() {
    let provider = Provider::start();
    provider.will(&[Act::Silence]);
    let mut server = start(&provider, "poll 200ms; timeout 30s", "transport provider line");
    fax_it(&server);
    provider.wait_for_requests(1);
    server.kill();
    server.restart();
    wait_for_name(&server, "fax_1");
    assert_eq!((provider.sent().len(), provider.faxes()), (2, 1));
    // And once it has a name there, it is not sent again at all.
    server.kill();
    server.restart();
    wait_for_state(&server, "uncertain");
    provider.says("fax_1", json!({ "id": "fax_1", "status": "sent" }));
    let fax = wait_for_state(&server, "sent");
    assert_eq!((provider.sent().len(), &fax["counters"]["dials"]), (2, &1.into()));
}

#[test]
fn a_provider_that_knows_no_names_is_never_asked_twice() {
    let provider = Provider::start();
    provider.will(&[Act::Die]);
    let settings = "timeout 1s; poll 200ms; idempotency-key off";
    let server = start(&provider, settings, "transport provider line");
    fax_it(&server);
    let fax = wait_for_state(&server, "failed");
    assert!(fax["detail"].as_str().unwrap().contains("is not known"), "{fax}");
    assert_eq!(provider.sent().len(), 1);
}

#[test]
fn a_refusal_fails_in_words_and_a_provider_that_is_busy_or_closed_lets_the_next_carry() {
    let refused = Provider::start();
    refused.will(&[Act::Refuse(429, "{}"), Act::Refuse(422, r#"{"reason": "no such number"}"#)]);
    let spare = "transport provider line
            transport spool @DIR@/spool";
    let server = start(&refused, POLLED, spare);
    fax_it(&server);
    let fax = wait_for_state(&server, "failed");
    let why = "failed: the provider refuses it: 422 no such number";
    assert_eq!(fax["detail"], why, "a refusal is no reason to go elsewhere");
    assert_eq!(refused.sent().len(), 2, "429 is tried again");

    let closed = Provider::start();
    closed.will(&vec![Act::Refuse(401, "{}"); 10]);
    let server = start(&closed, POLLED, spare);
    fax_it(&server);
    let line = wait_for(|| {
        let line = faxes(&server).first()?["line"].as_str()?.to_owned();
        line.ends_with("/spool").then_some(())
    });
    assert!(line.is_some(), "{:?}\n{}", faxes(&server), server.log());
    assert_eq!(closed.faxes(), 0);
}

#[test]
fn a_provider_that_may_have_the_fax_keeps_it_whatever_it_answers_next() {
    let provider = Provider::start();
    let (busy, closed) = (Act::Refuse(429, "{}"), Act::Refuse(401, "{}"));
    provider.will(&[Act::Die, busy, closed]);
    let spare = "transport provider line
            transport spool @DIR@/spool";
    let server = start(&provider, POLLED, spare);
    fax_it(&server);
    let fax = wait_for_state(&server, "uncertain");
    assert_eq!(fax["line"], "provider line", "{fax}");
    assert_eq!((provider.sent().len(), provider.faxes()), (3, 1));
    assert!(!server.dir().join("spool").exists(), "nobody else gets it");
}

#[test]
fn pages_go_by_https_only_to_whom_the_server_trusts() {
    let authority = Authority::new("Provider").unwrap();
    let identity = authority.issue(&["127.0.0.1"]).unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(identity.chain_pem().as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).unwrap();
    let suite = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(suite)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let provider = Provider::listen(Some(Arc::new(tls)));
    provider.says("fax_1", json!({ "id": "fax_1", "status": "sent" }));
    let send = format!("https://{}/faxes", provider.address);
    let text = configuration(&send, POLLED, "transport provider line");
    let strange = Authority::new("Other").unwrap();
    let careful = start_with(&format!("ca-bundle @DIR@/authority.pem\n{text}"), &strange.pem());
    fax_it(&careful);
    let fax = wait_for_state(&careful, "waiting");
    assert!(fax["detail"].as_str().unwrap().contains("cannot be reached"), "{fax}");
    assert!(careful.log().contains("not trusted"), "{}", careful.log());
    assert!(provider.sent().is_empty(), "not an octet of a page leaves");

    let server = start_with(&format!("ca-bundle @DIR@/authority.pem\n{text}"), &authority.pem());
    fax_it(&server);
    wait_for_state(&server, "sent");
}
