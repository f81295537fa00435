//! Signing in with a ticket of a real MIT Kerberos, by GNU SASL and Python.

mod support;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::peers::{Ran, program, run, run_with_input};
use support::{Server, wait_for};
use tempfile::TempDir;

const REALM: &str = "MAIL.TEST";
/// What Kerberos allows by default, in seconds.
const SKEW: u32 = 300;
const ANN: &str = "ann@mail.test";
/// The one that Debian's packages extend.
const PYTHON: &str = "/usr/bin/python3";

/// A running key distribution centre; ends with the test.
struct Kdc {
    child: Child,
    environment: Vec<(&'static str, String)>,
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kdc {
    /// Makes a realm in `folder` with people and two services, and starts it. Clocks may differ
    /// by so many seconds.
    fn start(folder: &Path, skew: u32) -> Self {
        let here = folder.display().to_string();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
        write(
            "krb5.conf",
            format!(
                "[libdefaults]
    default_realm = {REALM}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
    clockskew = {skew}
[realms]
    {REALM} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    mail.test = {REALM}
"
            ),
        );
        write(
            "kdc.conf",
            format!(
                "[kdcdefaults]
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {REALM} = {{
        database_name = {here}/principal
        key_stash_file = {here}/stash
        acl_file = {here}/acl
        max_life = 1h
    }}
"
            ),
        );
        let environment = vec![
            ("KRB5_CONFIG", format!("{here}/krb5.conf")),
            ("KRB5_KDC_PROFILE", format!("{here}/kdc.conf")),
            ("KRB5_KTNAME", format!("{here}/smtp.keytab")),
            ("KRB5RCACHEDIR", here.clone()),
        ];
        let prepare = |name: &str, arguments: &[&str]| {
            let mut command = Command::new(program(name));
            run(command.args(arguments).envs(environment.iter().map(|(k, v)| (k, v)))).ok();
        };
        prepare("kdb5_util", &["create", "-s", "-r", REALM, "-P", "master"]);
        let admin = |query: &str| prepare("kadmin.local", &["-r", REALM, "-q", query]);
        for person in ["ann", "bob", "stranger", "ann/admin"] {
            admin(&format!("addprinc -randkey {person}"));
            let keytab = person.replace('/', "-");
            admin(&format!("ktadd -k {here}/{keytab}.keytab {person}"));
        }
        for service in ["smtp/mail.test", "smtp/other.test"] {
            admin(&format!("addprinc -randkey {service}"));
        }
        // The other service's key is one that the server does not have.
        admin(&format!("ktadd -k {here}/smtp.keytab smtp/mail.test"));
        let child = Command::new(program("krb5kdc"))
            .args(["-n", "-r", REALM, "-P", &format!("{here}/kdc.pid")])
            .envs(environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let kdc = Self { child, environment };
        let up = wait_for(|| TcpStream::connect(("127.0.0.1", port)).ok());
        assert!(up.is_some(), "the KDC does not answer");
        kdc
    }

    /// A command with the tickets of a principal, which hold for `life`.
    fn as_principal(&self, folder: &Path, principal: &str, life: &str, command: &str) -> Command {
        let keytab = folder.join(format!("{}.keytab", principal.replace('/', "-")));
        let cache = format!("{}.{life}.cache", keytab.display());
        let here = self.environment.iter().map(|(name, value)| (*name, value.clone()));
        let environment: Vec<_> = here.chain([("KRB5CCNAME", cache)]).collect();
        run(Command::new(program("kinit"))
            .args(["-l", life, "-k", "-t"])
            .arg(keytab)
            .arg(principal)
            .envs(environment.clone()))
        .ok();
        let mut command = Command::new(program(command));
        command.envs(environment);
        command
    }
}

struct Place {
    kdc: Kdc,
    server: Server,
}

impl Place {
    fn start(skew: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let kdc = Kdc::start(folder.path(), skew);
        let environment: Vec<(&str, &str)> =
            kdc.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Server::start_with(
            folder,
            "
            hostname  mail.test
            data      @DIR@/data
            certificate mail { local-authority; names mail.test }
            listener submission {
                address 127.0.0.1; port 0; protocol submission; tls starttls; certificate mail
            }
            domain mail.test { deliver-to maildir @DIR@/maildir; recipients accounts }
            sign-in { gssapi { realm MAIL.TEST } }
            ",
            &environment,
        );
        server.account(ANN, "open sesame, please");
        server.account("bob@mail.test", "another long password");
        Self { kdc, server }
    }

    fn client(&self, principal: &str, life: &str, command: &str) -> Command {
        self.kdc.as_principal(self.server.dir(), principal, life, command)
    }

    fn gsasl(&self, principal: &str, act_as: &str) -> Ran {
        let address = self.server.address("submission");
        let mut command = self.client(principal, "1h", "gsasl");
        command
            .args(["--smtp", "--x509-ca-file=", "--verbose", "-m", "GSSAPI"])
            .arg(format!("--connect={}:{}", address.ip(), address.port()))
            .args(["--service", "smtp", "--hostname", "mail.test", "-z", act_as])
            .args(["-a", principal, "--quality-of-protection", "qop-auth"]);
        run_with_input(&mut command, b"")
    }

    /// What Python's GSSAPI says to a server for `service`: the first token in base64.
    fn token(&self, principal: &str, life: &str, service: &str) -> String {
        let script = "
import base64, gssapi, sys
name = gssapi.Name(sys.argv[1], gssapi.NameType.kerberos_principal)
context = gssapi.SecurityContext(name=name, usage='initiate')
print(base64.b64encode(context.step()).decode())
";
        let mut command = self.client(principal, life, PYTHON);
        run(command.args(["-c", script, service])).ok().trim().to_owned()
    }

    /// The reply to one token.
    fn say(&self, token: &str) -> String {
        let mut client = self.server.connect("submission");
        client.hello_under_tls();
        let reply = client.say(&format!("AUTH GSSAPI {token}"));
        if reply.starts_with("334") {
            assert!(client.say("*").starts_with("501 5.7.0"));
        }
        client.expect("NOOP", "250");
        reply
    }

    /// A whole exchange by Python: what it chooses of the security layers, and whom it names.
    fn choose(&self, principal: &str, choice: &str) -> String {
        let script = "
import base64, gssapi, smtplib, ssl, sys
port, choice = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
name = gssapi.Name('smtp/mail.test', gssapi.NameType.kerberos_principal)
context = gssapi.SecurityContext(name=name, usage='initiate', flags=[
    gssapi.RequirementFlag.mutual_authentication, gssapi.RequirementFlag.integrity])
with smtplib.SMTP('127.0.0.1', port, timeout=20) as smtp:
    smtp.starttls(context=ssl._create_unverified_context())
    smtp.ehlo()
    encode = lambda octets: base64.b64encode(octets).decode()
    code, told = smtp.docmd('AUTH GSSAPI ' + encode(context.step()))
    assert code == 334, (code, told)
    assert not context.step(base64.b64decode(told)) and context.complete
    code, told = smtp.docmd('')
    offer = context.unwrap(base64.b64decode(told)).message
    assert code == 334 and offer == b'\\x01\\0\\0\\0', (code, offer)
    print(*smtp.docmd(encode(context.wrap(choice, False).message)))
";
        let port = self.server.address("submission").port().to_string();
        let mut command = self.client(principal, "1h", PYTHON);
        run(command.args(["-c", script, &port, choice])).ok()
    }
}

#[test]
fn a_ticket_signs_in_and_no_other_does() {
    let place = Place::start(SKEW);
    let server = &place.server;
    let mut client = server.connect("submission");
    let hello = client.hello_under_tls();
    assert!(hello.contains("AUTH GSSAPI PLAIN LOGIN"), "{hello}");

    let ann = place.gsasl("ann", "");
    assert!(ann.all().contains("235 2.7.0"), "{}", ann.all());
    let log = server.log();
    assert!(log.contains("mechanism=\"GSSAPI\"") && log.contains(ANN), "{log}");
    assert!(place.choose("ann", "01000000").contains("235"));
    let hex = |name: &str| -> String {
        let name: String = name.bytes().map(|octet| format!("{octet:02x}")).collect();
        format!("01000000{name}")
    };
    for itself in ["ann", ANN, "Ann@Mail.Test"] {
        assert!(place.choose("ann", &hex(itself)).contains("235"), "{itself}");
    }
    // The layers that were not offered, a buffer without a layer, nothing at all.
    for choice in ["02001000", "04001000", "01001000", "0100"] {
        let reply = place.choose("ann", choice);
        assert!(reply.contains("501") && reply.contains("5.5.2"), "{choice}: {reply}");
    }
    // Another's account, a principal without one, and an instance that is nobody's account.
    for (principal, choice) in
        [("ann", hex("bob@mail.test")), ("stranger", hex("")), ("ann/admin", hex(""))]
    {
        let reply = place.choose(principal, &choice);
        assert!(reply.contains("535") && reply.contains("5.7.8"), "{principal}: {reply}");
    }
    server.ok(&["account", "disable", "bob@mail.test"]);
    assert!(place.choose("bob", "01000000").contains("535"), "disabled");
}

#[test]
fn garbage_replays_and_tickets_for_others_are_refused() {
    let place = Place::start(SKEW);
    let fresh = place.token("ann", "1h", "smtp/mail.test");
    assert!(place.say(&fresh).starts_with("334 "));
    assert!(place.say(&fresh).starts_with("535 5.7.8"), "a replay");
    let log = place.server.log();
    assert!(log.contains("reason=bad-token"), "{log}");

    let other = place.token("ann", "1h", "smtp/other.test");
    assert!(place.say(&other).starts_with("535 5.7.8"), "for another service");
    for garbage in ["=", "AAAA", "YIICBgYJKoZIhvcSAQICAQBuggH1"] {
        let reply = place.say(garbage);
        assert!(reply.starts_with("535 5.7.8"), "{garbage}: {reply}");
    }
    let cut = &fresh[..fresh.len() / 8 * 4];
    assert!(place.say(cut).starts_with("535 5.7.8"));
}

#[test]
fn a_ticket_that_has_ended_opens_nothing() {
    let place = Place::start(1);
    let stale = place.token("ann", "8s", "smtp/mail.test");
    std::thread::sleep(Duration::from_secs(11));
    assert!(place.say(&stale).starts_with("535 5.7.8"));
}

#[test]
fn a_service_without_a_key_is_found_before_anybody_signs_in() {
    let place = Place::start(SKEW);
    let file = place.server.dir().join("mailkeep.conf");
    let text = std::fs::read_to_string(file).unwrap();
    let other = "gssapi { realm MAIL.TEST; service smtp/other.test@MAIL.TEST }";
    let output = place.server.reload(&text.replace("gssapi { realm MAIL.TEST }", other));
    let said = support::shown(&output);
    assert!(!output.status.success() && said.contains("smtp/other.test"), "{said}");
    assert!(place.choose("ann", "01000000").contains("235"), "it runs on as before");
}
