//! People whom a real OpenLDAP keeps: found, held against their passwords, and waited for.

mod support;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use lab::Authority;
use support::peers::program;
use support::{Client, Server, wait_for};
use tempfile::TempDir;

const PEOPLE: &str = "\
dn: dc=test
objectClass: dcObject
objectClass: organization
dc: test
o: test

dn: cn=mailkeep,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: mailkeep
userPassword: reader's secret

dn: uid=ann,dc=test
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: A
mail: ann@mail.test
mail: annie@mail.test
userPassword: ann's long password

dn: uid=bob,dc=test
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
mail: bob@mail.test
userPassword: bob's long password
";

/// A running slapd; ends with the test.
struct Slapd {
    child: Child,
    plain: u16,
    encrypted: u16,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Fills a directory below `folder` and starts it.
fn slapd(folder: &TempDir) -> Slapd {
    let here = folder.path().display().to_string();
    let authority = Authority::new("Directory").unwrap();
    let identity = authority.issue(&["dc.test"]).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ca.pem", &authority.pem());
    write("ldap.pem", identity.chain_pem());
    write("ldap.key", identity.key_pem());
    write("reader", "reader's secret");
    write("people.ldif", PEOPLE);
    std::fs::create_dir(folder.path().join("db")).unwrap();
    write(
        "slapd.conf",
        &format!(
            "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {here}/slapd.pid
argsfile {here}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {here}/ldap.pem
TLSCertificateKeyFile {here}/ldap.key
database mdb
maxsize 10485760
suffix \"dc=test\"
rootdn \"cn=admin,dc=test\"
directory {here}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=\"cn=mailkeep,dc=test\" read by anonymous auth by * none
"
        ),
    );
    let conf = format!("{here}/slapd.conf");
    let filled = Command::new(program("slapadd"))
        .args(["-f", &conf, "-l", &format!("{here}/people.ldif")])
        .output()
        .unwrap();
    assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
    let (plain, encrypted) = (free_port(), free_port());
    let places = format!("ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{encrypted}/");
    let child = Command::new(program("slapd"))
        .args(["-d", "0", "-f", &conf, "-h", &places])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let slapd = Slapd { child, plain, encrypted };
    let up = wait_for(|| TcpStream::connect(("127.0.0.1", encrypted)).ok());
    assert!(up.is_some(), "slapd does not answer");
    slapd
}

fn start(folder: TempDir, server: &str, more: &str, trust: &str) -> Server {
    Server::start_in(
        folder,
        &format!(
            "
            hostname  mail.test
            data      @DIR@/data
            {trust}
            hosts {{ dc.test 127.0.0.1 }}
            certificate mail {{ local-authority; names mail.test }}
            listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}
            listener submission {{
                address 127.0.0.1; port 0; protocol submission; tls starttls; certificate mail
            }}
            domain mail.test {{ deliver-to maildir @DIR@/maildir; recipients accounts }}
            directory staff {{
                server {server}; domains mail.test; base \"dc=test\"
                bind-dn \"cn=mailkeep,dc=test\"; bind-password file:@DIR@/reader
                {more}
            }}
            "
        ),
    )
}

const TRUST: &str = "ca-bundle @DIR@/ca.pem";

fn sign_in(server: &Server, user: &str, password: &str) -> String {
    let mut client = server.connect("submission");
    client.hello_under_tls();
    client.sign_in(user, password)
}

fn rcpt(server: &Server, recipient: &str) -> String {
    let mut client: Client = server.connect("mx");
    client.expect("EHLO far.test", "250");
    client.expect("MAIL FROM:<x@far.test>", "250");
    client.say(&format!("RCPT TO:<{recipient}>"))
}

#[test]
fn people_of_a_directory_get_mail_and_sign_in() {
    for starttls in [false, true] {
        let folder = TempDir::new().unwrap();
        let slapd = slapd(&folder);
        let address = if starttls {
            format!("ldap://dc.test:{}", slapd.plain)
        } else {
            format!("ldaps://dc.test:{}", slapd.encrypted)
        };
        let server = start(folder, &address, "", TRUST);
        let mut client = server.connect("mx");
        client.expect("EHLO far.test", "250");
        let to = ["ann+tag@mail.test", "annie@mail.test", "bob@mail.test"];
        let reply = client.message("x@far.test", &to, "Subject: x\n\nhello\n");
        assert!(reply.starts_with("250"), "{reply}");
        server.wait_for_mail("bob@mail.test", 1);
        assert_eq!(server.wait_for_mail("ann@mail.test", 1).len(), 1, "two names, one mailbox");
        assert!(rcpt(&server, "nobody@mail.test").starts_with("550 5.1.1"));

        assert!(sign_in(&server, "ann@mail.test", "ann's long password").starts_with("235"));
        assert!(sign_in(&server, "Bob@mail.test", "bob's long password").starts_with("235"));
        for (user, password) in [
            ("ann@mail.test", "bob's long password"),
            ("nobody@mail.test", "ann's long password"),
            ("*@mail.test", "ann's long password"),
            ("ann)(uid=*@mail.test", "ann's long password"),
            ("\"*)(mail=ann@mail.test\"@mail.test", "ann's long password"),
        ] {
            let reply = sign_in(&server, user, password);
            assert!(reply.starts_with("535 5.7.8"), "{user}: {reply}");
        }
        for hostile in ["*@mail.test", "a*@mail.test", "\"*)(uid=*\"@mail.test"] {
            let reply = rcpt(&server, hostile);
            assert!(reply.starts_with("550 5.1.1"), "{hostile}: {reply}");
        }
    }
}

#[test]
fn a_directory_that_is_down_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let slapd = slapd(&folder);
    let address = format!("ldaps://dc.test:{}", slapd.encrypted);
    let server = start(folder, &address, "cache 0s; timeout 2s", TRUST);
    assert!(rcpt(&server, "ann@mail.test").starts_with("250"));
    drop(slapd);
    assert!(rcpt(&server, "ann@mail.test").starts_with("250"), "who was known stays known");
    let reply = rcpt(&server, "bob@mail.test");
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    for user in ["ann@mail.test", "bob@mail.test"] {
        let reply = sign_in(&server, user, "ann's long password");
        assert!(reply.starts_with("454 4.7.0"), "{user}: {reply}");
    }
}

#[test]
fn people_stay_known_when_the_configuration_is_read_again() {
    let folder = TempDir::new().unwrap();
    let slapd = slapd(&folder);
    let address = format!("ldaps://dc.test:{}", slapd.encrypted);
    let server = start(folder, &address, "timeout 2s", TRUST);
    assert!(rcpt(&server, "annie@mail.test").starts_with("250"));
    drop(slapd);
    server.ok(&["reload"]);
    for known in ["ann@mail.test", "annie@mail.test"] {
        assert!(rcpt(&server, known).starts_with("250"), "{known}");
    }
    let reply = rcpt(&server, "bob@mail.test");
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
}

#[test]
fn rules_send_mail_to_people_of_a_directory() {
    let folder = TempDir::new().unwrap();
    let slapd = slapd(&folder);
    let address = format!("ldaps://dc.test:{}", slapd.encrypted);
    let rules = "rules {
        rule desk { when all { recipient is desk@mail.test }; redirect annie@mail.test }
        rule copy { when all { recipient is copy@mail.test }; add-recipient bob@mail.test }
    }";
    let server = start(folder, &address, "timeout 2s", &format!("{TRUST}\n{rules}"));
    server.account("desk@mail.test", "a password of the desk");
    server.account("copy@mail.test", "a password of the copier");
    let mut client = server.connect("mx");
    client.expect("EHLO far.test", "250");
    let message = "Subject: x\n\nhello\n";
    assert!(client.message("x@far.test", &["desk@mail.test"], message).starts_with("250"));
    server.wait_for_mail("ann@mail.test", 1);
    drop(slapd);
    let reply = client.message("x@far.test", &["copy@mail.test"], message);
    assert!(reply.starts_with("451 4.3.0"), "nobody knows who bob is: {reply}");
}

#[test]
fn a_directory_that_cannot_be_trusted_is_told_nothing() {
    let folder = TempDir::new().unwrap();
    let slapd = slapd(&folder);
    let address = format!("ldap://dc.test:{}", slapd.plain);
    let server = start(folder, &address, "", "");
    let reply = rcpt(&server, "ann@mail.test");
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    assert!(server.log().contains("cannot be trusted"), "{}", server.log());
}
