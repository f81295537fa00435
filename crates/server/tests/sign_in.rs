//! Signing in by every mechanism, with real clients: swaks, GNU SASL, curl and Python.

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use lab::Authority;
use serde_json::{Value, json};
use support::peers::{Ran, program, run, run_with_input};
use support::tls::Terms;
use support::{Client, Server, shown, wait_for};
use tempfile::TempDir;

const ANN: &str = "ann@mail.test";
const PASSWORD: &str = "open sesame, please";

/// A server for people's mail programs. `more` goes into `sign-in { }`.
fn start(more: &str) -> Server {
    start_in(TempDir::new().unwrap(), more, "")
}

fn start_in(folder: TempDir, more: &str, listener: &str) -> Server {
    start_beside(folder, "", more, listener)
}

/// The same with `beside` outside all blocks.
fn start_beside(folder: TempDir, beside: &str, more: &str, listener: &str) -> Server {
    let server = Server::start_in(
        folder,
        &format!(
            "
            hostname  mail.test
            data      @DIR@/data
            {beside}
            certificate mail {{ local-authority; names mail.test }}
            listener submission {{
                address 127.0.0.1; port 0; protocol submission; tls starttls; certificate mail
                {listener}
            }}
            domain mail.test {{ deliver-to maildir @DIR@/maildir; recipients accounts }}
            sign-in {{ {more} }}
            "
        ),
    );
    server.account(ANN, PASSWORD);
    server.account("bob@mail.test", "another long password");
    server
}

const ALL: &str = "verifiers scram-sha-256 scram-sha-1 cram-md5 digest-md5";

fn address(server: &Server) -> SocketAddr {
    server.address("submission")
}

/// Signs in and sends a message by swaks.
fn swaks(server: &Server, mechanism: &str, password: &str) -> Ran {
    let address = address(server);
    run(Command::new(program("swaks"))
        .args(["--server", &address.ip().to_string(), "--port", &address.port().to_string()])
        .args(["--timeout", "20", "--tls", "--auth", mechanism, "--auth-user", ANN])
        .args(["--auth-password", password, "--from", ANN, "--to", "bob@mail.test"]))
}

/// Signs in by GNU SASL, which then waits for nothing more.
fn gsasl(server: &Server, mechanism: &str, password: &str, more: &[&str]) -> Ran {
    let address = address(server);
    run_with_input(
        Command::new(program("gsasl"))
            .args(["--smtp", "--x509-ca-file=", "--verbose"])
            .arg(format!("--connect={}:{}", address.ip(), address.port()))
            .args(["--hostname", "mail.test", "--realm", "mail.test"])
            .args(["--quality-of-protection", "qop-auth"])
            .args(["-m", mechanism, "-a", ANN, "-p", password])
            .args(more),
        b"",
    )
}

fn succeeded(ran: &Ran) -> bool {
    ran.all().contains("235 2.7.0")
}

fn offered(server: &Server) -> String {
    let mut client = server.connect("submission");
    let hello = client.hello_under_tls();
    let line = hello.lines().find(|line| line[4..].starts_with("AUTH"));
    line.map(|line| line[4..].to_owned()).unwrap_or_default()
}

#[test]
fn only_mechanisms_that_could_succeed_are_offered() {
    let server = start("");
    assert_eq!(offered(&server), "AUTH PLAIN LOGIN");
    let server = start(ALL);
    assert_eq!(
        offered(&server),
        "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 PLAIN LOGIN \
         DIGEST-MD5 CRAM-MD5"
    );
    // What binds to the channel needs TLS 1.3.
    let mut old = server.connect("submission");
    old.expect("EHLO client.test", "250");
    old.starttls(&Terms::asking_for("mail.test").tls12());
    let hello = old.say("EHLO client.test");
    assert!(hello.contains("SCRAM-SHA-256") && !hello.contains("-PLUS"), "{hello}");
}

#[test]
fn swaks_signs_in_by_the_old_mechanisms() {
    let server = start(ALL);
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"] {
        let right = swaks(&server, mechanism, PASSWORD);
        assert!(succeeded(&right) && right.code == Some(0), "{mechanism}: {}", right.all());
        let wrong = swaks(&server, mechanism, "open sesame, pleasE");
        assert!(wrong.all().contains("535 5.7.8"), "{mechanism}: {}", wrong.all());
    }
    assert_eq!(server.wait_for_mail("bob@mail.test", 4).len(), 4);
}

#[test]
fn gnu_sasl_signs_in_by_every_mechanism_it_knows() {
    let server = start(ALL);
    for (mechanism, more) in [
        ("SCRAM-SHA-256-PLUS", &[][..]),
        ("SCRAM-SHA-1-PLUS", &[][..]),
        ("SCRAM-SHA-256", &["--no-cb"][..]),
        ("SCRAM-SHA-1", &["--no-cb"][..]),
        ("DIGEST-MD5", &[][..]),
        ("CRAM-MD5", &[][..]),
        ("PLAIN", &[][..]),
        ("LOGIN", &[][..]),
    ] {
        let right = gsasl(&server, mechanism, PASSWORD, more);
        assert!(succeeded(&right), "{mechanism}: {}", right.all());
    }
    for mechanism in ["SCRAM-SHA-256-PLUS", "DIGEST-MD5"] {
        let wrong = gsasl(&server, mechanism, "something else", &[]);
        assert!(!succeeded(&wrong), "{mechanism}: {}", wrong.all());
    }
    assert!(server.log().contains("mechanism=\"SCRAM-SHA-256-PLUS\""), "{}", server.log());
}

#[test]
fn python_signs_in() {
    let server = start(ALL);
    let script = "
import smtplib, ssl, sys
mechanism, port, user, password = sys.argv[1:]
context = ssl._create_unverified_context()
with smtplib.SMTP('127.0.0.1', int(port), timeout=20) as smtp:
    smtp.starttls(context=context)
    smtp.ehlo()
    smtp.user, smtp.password = user, password
    method = {'CRAM-MD5': smtp.auth_cram_md5, 'PLAIN': smtp.auth_plain, 'LOGIN': smtp.auth_login}
    print(smtp.auth(mechanism, method[mechanism], initial_response_ok=mechanism != 'CRAM-MD5'))
";
    let port = address(&server).port().to_string();
    for mechanism in ["CRAM-MD5", "PLAIN", "LOGIN"] {
        let ran =
            run(Command::new(program("python3"))
                .args(["-c", script, mechanism, &port, ANN, PASSWORD]));
        assert!(ran.ok().contains("235"), "{mechanism}");
    }
}

/// Sends a message by curl, which signs in on its way.
fn curl(server: &Server, more: &[&str]) -> Ran {
    let address = address(server);
    run_with_input(
        Command::new(program("curl"))
            .args(["--silent", "--show-error", "--verbose", "--insecure", "--ssl-reqd"])
            .args(["--max-time", "30", "--mail-from", ANN, "--mail-rcpt", "bob@mail.test"])
            .args(["--upload-file", "-"])
            .arg(format!("smtp://127.0.0.1:{}/client.test", address.port()))
            .args(more),
        b"Subject: by curl\r\n\r\nhello\r\n",
    )
}

/// An identity provider of the test's own.
struct Provider(EcdsaKeyPair);

impl Provider {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn keys(&self, kid: &str) -> String {
        let point = self.0.public_key().as_ref();
        let b64 = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
            "x": b64(&point[1..33]), "y": b64(&point[33..]) }] })
        .to_string()
    }

    fn token(&self, change: &[(&str, Value)]) -> String {
        self.token_of("one", change)
    }

    /// A token that names the key `kid`.
    fn token_of(&self, kid: &str, change: &[(&str, Value)]) -> String {
        let now = mail::Timestamp::now().0 / 1000;
        let mut claims = json!({ "iss": "https://id.test", "aud": "mail", "exp": now + 300,
            "email": ANN, "scope": "mail.send" });
        for (name, value) in change {
            claims[*name] = value.clone();
        }
        let b64 = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let header = json!({ "alg": "ES256", "kid": kid });
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

#[test]
fn curl_signs_in_with_a_token_of_the_identity_provider() {
    let provider = Provider::new();
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("jwks.json"), provider.keys("one")).unwrap();
    let tokens =
        "tokens { issuer https://id.test; audience mail; keys jwks.json; scope mail.send }";
    let server = start_in(folder, tokens, "");
    let good = provider.token(&[]);
    let by = |mechanism: &str, token: &str| {
        let options = format!("AUTH={mechanism}");
        curl(&server, &["--user", ANN, "--login-options", &options, "--oauth2-bearer", token])
    };
    for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
        let ran = by(mechanism, &good);
        assert!(succeeded(&ran) && ran.code == Some(0), "{mechanism}: {}", ran.all());
        for bad in [
            provider.token(&[("aud", json!("web"))]),
            provider.token(&[("exp", json!(1_000))]),
            provider.token(&[("email", json!("bob@mail.test"))]),
            Provider::new().token(&[]),
        ] {
            let ran = by(mechanism, &bad);
            assert!(ran.all().contains("535 5.7.8"), "{mechanism}: {}", ran.all());
        }
        server.ok(&["reload"]);
    }
    assert_eq!(server.wait_for_mail("bob@mail.test", 2).len(), 2);
}

/// A web server that gives the file `keys.json` of its folder, with its own certificate.
struct KeyServer {
    child: Child,
    port: u16,
}

impl KeyServer {
    /// Its certificate and key are `web.pem` and `web.key` in `folder`.
    fn start(folder: &Path) -> Self {
        let script = "
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('web.pem', 'web.key')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";
        let mut child = Command::new(program("python3"))
            .args(["-c", script])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_of_the_identity_provider_come_by_https_and_only_from_who_is_trusted() {
    let authority = Authority::new("Web").unwrap();
    let identity = authority.issue(&["127.0.0.1"]).unwrap();
    let (old, new) = (Provider::new(), Provider::new());
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("web.pem", identity.chain_pem());
    write("web.key", identity.key_pem());
    write("web-roots.pem", &authority.pem());
    write("other-roots.pem", &Authority::new("Other").unwrap().pem());
    write("keys.json", &old.keys("one"));
    let here = folder.path().to_path_buf();
    let web = KeyServer::start(&here);
    let keys = format!("https://127.0.0.1:{}/keys.json", web.port);
    let tokens = format!("tokens {{ issuer https://id.test; audience mail; keys {keys} }}");
    let server = start_beside(folder, "ca-bundle web-roots.pem", &tokens, "");
    let by = |server: &Server, token: &str| {
        let options = ["--user", ANN, "--login-options", "AUTH=OAUTHBEARER"];
        curl(server, &[&options[..], &["--oauth2-bearer", token]].concat())
    };
    let ran = by(&server, &old.token(&[]));
    assert!(succeeded(&ran) && ran.code == Some(0), "{}", ran.all());
    assert!(!succeeded(&by(&server, &new.token(&[]))));

    // Who does not trust the web server's authority takes no keys from it, and says so.
    let careful_folder = TempDir::new().unwrap();
    std::fs::copy(here.join("other-roots.pem"), careful_folder.path().join("other-roots.pem"))
        .unwrap();
    let careful = start_beside(careful_folder, "ca-bundle other-roots.pem", &tokens, "");
    let ran = by(&careful, &old.token(&[]));
    assert!(!succeeded(&ran), "{}", ran.all());
    assert!(ran.all().contains("454 4.7.0"), "{}", ran.all());

    // A token that names a key not seen yet makes the server ask again, though not at once.
    std::fs::write(here.join("keys.json"), new.keys("two")).unwrap();
    let turned = wait_for(|| succeeded(&by(&server, &new.token_of("two", &[]))).then_some(()));
    assert!(turned.is_some(), "{}", server.log());
    assert!(!succeeded(&by(&server, &old.token(&[]))), "the old key is gone");
}

#[test]
fn curl_signs_in_by_its_certificate() {
    let authority = Authority::new("Clients").unwrap();
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("clients.pem"), authority.pem()).unwrap();
    let mut fingerprints = Vec::new();
    for name in ["known", "unknown"] {
        let identity = authority.issue(&[&format!("{name}.client.test")]).unwrap();
        std::fs::write(file(&format!("{name}.pem")), identity.chain_pem()).unwrap();
        std::fs::write(file(&format!("{name}.key")), identity.key_pem()).unwrap();
        fingerprints.push(tls::Fingerprint::of(&identity.chain()[0]).to_string());
    }
    let (cert, key) = (file("known.pem"), file("known.key"));
    let (other_cert, other_key) = (file("unknown.pem"), file("unknown.key"));
    let server =
        start_in(folder, "client-certificates fingerprint", "client-certificate ask clients.pem");
    server.ok(&["account", "certificate", ANN, &fingerprints[0]]);
    let by = |cert: &str, key: &str, user: &str| {
        let user = format!("{user}:");
        curl(
            &server,
            &["--user", &user, "--login-options", "AUTH=EXTERNAL", "--cert", cert, "--key", key],
        )
    };
    let ran = by(&cert, &key, ANN);
    assert!(succeeded(&ran) && ran.code == Some(0), "{}", ran.all());
    let acting = by(&cert, &key, "bob@mail.test");
    assert!(acting.all().contains("535 5.7.8"), "{}", acting.all());
    let stranger = by(&other_cert, &other_key, ANN);
    assert!(!stranger.all().contains("AUTH EXTERNAL"), "{}", stranger.all());
    server.ok(&["account", "certificate", ANN, &fingerprints[0], "--remove"]);
    assert!(!succeeded(&by(&cert, &key, ANN)));
}

#[test]
fn a_certificate_opens_the_account_of_the_one_mail_address_in_it() {
    let authority = Authority::new("Clients").unwrap();
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("clients.pem"), authority.pem()).unwrap();
    for (name, addresses) in [
        ("ann", &[ANN][..]),
        ("two", &[ANN, "bob@mail.test"][..]),
        ("host", &["ann.mail.test"][..]),
        ("stranger", &["nobody@mail.test"][..]),
    ] {
        let identity = authority.issue(addresses).unwrap();
        std::fs::write(file(&format!("{name}.pem")), identity.chain_pem()).unwrap();
        std::fs::write(file(&format!("{name}.key")), identity.key_pem()).unwrap();
    }
    let forged = Authority::new("Clients").unwrap().issue(&[ANN]).unwrap();
    std::fs::write(file("forged.pem"), forged.chain_pem()).unwrap();
    std::fs::write(file("forged.key"), forged.key_pem()).unwrap();
    let here = folder.path().to_path_buf();
    let server =
        start_in(folder, "client-certificates address", "client-certificate ask clients.pem");
    let by = |name: &str, user: &str| {
        let file = |kind: &str| here.join(format!("{name}.{kind}")).display().to_string();
        let (user, cert, key) = (format!("{user}:"), file("pem"), file("key"));
        curl(
            &server,
            &["--user", &user, "--login-options", "AUTH=EXTERNAL", "--cert", &cert, "--key", &key],
        )
    };
    let ran = by("ann", ANN);
    assert!(succeeded(&ran) && ran.code == Some(0), "{}", ran.all());
    for (name, user) in [
        ("ann", "bob@mail.test"),
        ("two", ANN),
        ("host", ANN),
        ("stranger", "nobody@mail.test"),
        ("stranger", ANN),
        ("forged", ANN),
    ] {
        let ran = by(name, user);
        assert!(!succeeded(&ran) && ran.code != Some(0), "{name} as {user}: {}", ran.all());
    }
}

/// Begins SCRAM for a user and gives the salt and iterations it is told.
fn salt_of(server: &Server, user: &str) -> String {
    let mut client = server.connect("submission");
    client.hello_under_tls();
    let first = BASE64_STANDARD.encode(format!("n,,n={user},r=fyko+d2lbbFgONRv9qkxdawL"));
    let reply = client.expect(&format!("AUTH SCRAM-SHA-256 {first}"), "334 ");
    let told = String::from_utf8(BASE64_STANDARD.decode(&reply[4..]).unwrap()).unwrap();
    told.split_once(',').unwrap().1.to_owned()
}

#[test]
fn a_user_that_does_not_exist_looks_like_any_other() {
    let mut server = start("verifiers scram-sha-256");
    let (known, unknown) = (salt_of(&server, ANN), salt_of(&server, "nobody@mail.test"));
    assert_eq!(known.len(), unknown.len());
    assert_ne!(known, unknown);
    server.terminate();
    server.wait_until_gone();
    server.restart();
    assert_eq!(salt_of(&server, ANN), known);
    assert_eq!(salt_of(&server, "Nobody@mail.test"), unknown, "stable over a restart");
    let mut client = server.connect("submission");
    client.hello_under_tls();
    let last = |client: &mut Client, user: &str| {
        let first = BASE64_STANDARD.encode(format!("n,,n={user},r=abc"));
        let reply = client.expect(&format!("AUTH SCRAM-SHA-256 {first}"), "334 ");
        let told = String::from_utf8(BASE64_STANDARD.decode(&reply[4..]).unwrap()).unwrap();
        let nonce = told.split(',').next().unwrap();
        let proof = BASE64_STANDARD.encode([0; 32]);
        client.say(&BASE64_STANDARD.encode(format!("c=biws,{nonce},p={proof}")))
    };
    assert_eq!(last(&mut client, ANN), last(&mut client, "nobody@mail.test"));
}

#[test]
fn verifiers_come_with_the_next_sign_in_and_go_when_they_are_not_wanted() {
    let server = start("");
    let text = std::fs::read_to_string(server.dir().join("mailkeep.conf")).unwrap();
    let with = |verifiers: &str| {
        let changed = text.replace("sign-in {", &format!("sign-in {{ {verifiers}"));
        let output = server.reload(&changed);
        assert!(output.status.success(), "{}", shown(&output));
    };
    with("verifiers scram-sha-256");
    assert_eq!(offered(&server), "AUTH PLAIN LOGIN");
    assert!(succeeded(&gsasl(&server, "PLAIN", PASSWORD, &[])));
    assert!(offered(&server).contains("SCRAM-SHA-256"));
    assert!(succeeded(&gsasl(&server, "SCRAM-SHA-256-PLUS", PASSWORD, &[])));
    with("verifiers cram-md5");
    assert!(!offered(&server).contains("SCRAM"));
    assert!(succeeded(&gsasl(&server, "PLAIN", PASSWORD, &[])));
    with("verifiers scram-sha-256");
    let refused = gsasl(&server, "SCRAM-SHA-256", PASSWORD, &["--no-cb"]);
    assert!(!succeeded(&refused), "its keys are gone: {}", refused.all());
}

#[test]
fn app_passwords_open_what_they_are_for_and_a_second_factor_closes_the_rest() {
    let server = start("verifiers scram-sha-256");
    let made = |arguments: &[&str]| {
        let all = [&["app-password", "new", ANN], arguments, &["--json"]].concat();
        let made: Value = serde_json::from_str(&server.ok(&all)).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("password"))
    };
    let (id, outlook) = made(&["Outlook", "--for", "smtp"]);
    let (_, reading) = made(&["phone", "--for", "imap"]);
    let (_, elsewhere) = made(&["office", "--from", "192.0.2.0/24"]);
    server.ok(&["account", "second-factor", ANN, "on"]);

    let mut client = server.connect("submission");
    client.hello_under_tls();
    assert!(client.sign_in(ANN, &outlook).starts_with("235"));
    let fresh = |password: &str| {
        let mut client = server.connect("submission");
        client.hello_under_tls();
        client.sign_in(ANN, password)
    };
    assert!(fresh(PASSWORD).starts_with("534 5.7.9"), "the account's password alone");
    let scram = gsasl(&server, "SCRAM-SHA-256", PASSWORD, &["--no-cb"]);
    assert!(scram.all().contains("534 5.7.9"), "{}", scram.all());
    assert!(fresh(&reading).starts_with("535 5.7.8"));
    assert!(fresh(&elsewhere).starts_with("535 5.7.8"));
    assert!(fresh("wrong horse, wrong battery").starts_with("535 5.7.8"));

    // SCRAM takes the text as it was shown, and the same scopes hold.
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
        let more = if mechanism.ends_with("PLUS") { &[][..] } else { &["--no-cb"][..] };
        let by = |password: &str| gsasl(&server, mechanism, password, more);
        assert!(succeeded(&by(&outlook)), "{mechanism}: {}", by(&outlook).all());
        for refused in [&reading, &elsewhere, "abcde-abcde-abcde-abcde"] {
            assert!(by(refused).all().contains("535 5.7.8"), "{mechanism}: {}", by(refused).all());
        }
    }

    let listed = server.ok(&["app-password", "list", ANN]);
    assert!(listed.contains("Outlook") && listed.contains("192.0.2.0/24"), "{listed}");
    assert!(!listed.contains(&outlook), "{listed}");
    server.ok(&["app-password", "revoke", ANN, &id]);
    assert!(fresh(&outlook).starts_with("535 5.7.8"));
    let revoked = gsasl(&server, "SCRAM-SHA-256", &outlook, &["--no-cb"]);
    assert!(revoked.all().contains("535 5.7.8"), "{}", revoked.all());
    let log = server.log();
    assert!(!log.contains(&outlook) && !log.contains(PASSWORD), "{log}");
}

#[test]
fn the_keys_of_an_app_password_come_and_go_with_the_configuration() {
    let server = start("");
    let made = server.ok(&["app-password", "new", ANN, "phone", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let phone = made["password"].as_str().unwrap();
    server.ok(&["account", "second-factor", ANN, "on"]);
    let text = std::fs::read_to_string(server.dir().join("mailkeep.conf")).unwrap();
    let with = |verifiers: &str| {
        let changed = text.replace("sign-in {", &format!("sign-in {{ {verifiers}"));
        let output = server.reload(&changed);
        assert!(output.status.success(), "{}", shown(&output));
    };
    with("verifiers scram-sha-1");
    assert_eq!(offered(&server), "AUTH PLAIN LOGIN", "it was not seen since");
    let typed = phone.replace('-', " ").to_uppercase();
    assert!(succeeded(&gsasl(&server, "PLAIN", &typed, &[])));
    assert!(succeeded(&gsasl(&server, "SCRAM-SHA-1", phone, &["--no-cb"])));
    with("");
    assert!(succeeded(&gsasl(&server, "PLAIN", phone, &[])));
    with("verifiers scram-sha-1");
    let gone = gsasl(&server, "SCRAM-SHA-1", phone, &["--no-cb"]);
    assert!(!succeeded(&gone), "{}", gone.all());
}

#[test]
fn passwords_are_chosen_by_the_policy_and_expire() {
    let server = start("password-length 14; password-history 2");
    let change = |password: &str| {
        let input = format!("{password}\n");
        let output = server.run_with_input(&["account", "password", ANN], input.as_bytes());
        (output.status.success(), shown(&output))
    };
    for (password, why) in [
        ("thirteen char", "at least 14 characters"),
        ("passwordpassword", "known from breaches"),
        ("ann@mail.test", "at least 14"),
        (PASSWORD, "used before"),
    ] {
        let (done, said) = change(password);
        assert!(!done && said.contains(why), "{password}: {said}");
    }
    assert!(change("second long password").0);
    assert!(!change(PASSWORD).0);
    assert!(change("third long password").0);
    assert!(change(PASSWORD).0, "two passwords back it is free again");
}

#[test]
fn a_password_past_its_time_opens_nothing_until_it_is_changed() {
    let mut server = start("password-expiry 2h; verifiers scram-sha-256");
    assert!(succeeded(&gsasl(&server, "SCRAM-SHA-256", PASSWORD, &["--no-cb"])));
    server.terminate();
    server.wait_until_gone();
    let library = "/usr/$LIB/faketime/libfaketime.so.1";
    server.restart_with(&[("LD_PRELOAD", library), ("FAKETIME", "+3h")]);
    for mechanism in ["PLAIN", "LOGIN"] {
        let ran = swaks(&server, mechanism, PASSWORD);
        assert!(ran.all().contains("535 5.7.8 This password has expired"), "{}", ran.all());
    }
    let ran = gsasl(&server, "SCRAM-SHA-256", PASSWORD, &["--no-cb"]);
    assert!(!succeeded(&ran), "{}", ran.all());
    assert!(server.log().contains("reason=\"password-expired\""), "{}", server.log());
    let changed = server.run_with_input(&["account", "password", ANN], b"a second password\n");
    assert!(changed.status.success(), "{}", shown(&changed));
    let ran = swaks(&server, "PLAIN", "a second password");
    assert!(succeeded(&ran), "{}", ran.all());
}

#[test]
fn malformed_and_replayed_exchanges_are_refused_and_the_session_lives() {
    let server = start(ALL);
    let b64 = |text: &str| BASE64_STANDARD.encode(text);
    let say = |lines: &[(String, &str)]| {
        let mut client = server.connect("submission");
        client.hello_under_tls();
        for (line, expected) in lines {
            client.expect(line, expected);
        }
        client.expect("NOOP", "250");
    };
    let scram = |form: &str, first: &str| format!("AUTH SCRAM-SHA-256{form} {}", b64(first));
    say(&[(scram("", "y,,n=ann@mail.test,r=abc"), "535 5.7.8")]);
    say(&[(scram("-PLUS", "n,,n=ann@mail.test,r=abc"), "535 5.7.8")]);
    say(&[(scram("", "n,,m=x,n=a,r=abc"), "501 5.5.2")]);
    say(&[(format!("AUTH CRAM-MD5 {}", b64("ann 0123")), "501 5.5.2")]);
    say(&[("AUTH CRAM-MD5".to_owned(), "334 "), ("*".to_owned(), "501 5.7.0")]);
    let answer = b64("username=\"ann\",nonce=\"x\"");
    say(&[("AUTH DIGEST-MD5".to_owned(), "334 "), (answer, "501 5.5.2")]);
    say(&[("AUTH XOAUTH2 dXNlcj0=".to_owned(), "504 5.5.4")]);
    // What one client answered is no answer to another's challenge.
    let mut first = server.connect("submission");
    first.hello_under_tls();
    first.expect("AUTH CRAM-MD5", "334 ");
    let replayed = b64("ann@mail.test b913a602c7eda7a495b4e6e7334d3890");
    first.expect(&replayed, "535 5.7.8");
    let mut client = server.connect("submission");
    client.hello_under_tls();
    let reply = client.sign_in(ANN, PASSWORD);
    assert!(reply.starts_with("235"), "{reply}");
}
