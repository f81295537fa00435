//! Mail of ours leaves signed, and other people's verifiers say so.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::{Partner, Script};
use support::partners::Lab;
use support::peers::{program, run, run_with_input};
use support::{Server, shown};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";

/// A server for `inside.test` that signs, and the outside where its mail arrives.
struct Site {
    server: Server,
    lab: Lab,
    outside: Partner,
}

impl Site {
    fn new(more: &str) -> Self {
        let lab = Lab::new();
        let outside = lab.partner(Script::named("outside.test"));
        let port = outside.address().port();
        let server = Server::start(&format!(
            "hostname mail.inside.test\n\
             data @DIR@/data\n\
             certificate mail {{ local-authority; names mail.inside.test }}\n\
             listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}\n\
             listener submission {{ address 127.0.0.1; port 0; protocol submission; \
               tls starttls; certificate mail; auth required }}\n\
             domain inside.test {{ mailboxes local }}\n\
             sender-authentication {{ mode off }}\n\
             mx {{ outside.test 127.0.0.1:{port} }}\n\
             {more}\n"
        ));
        server.account("ann@inside.test", PASSWORD);
        Self { server, lab, outside }
    }

    fn keys(&self, arguments: &[&str]) -> String {
        self.server.ok(&[&["dkim-key"], arguments].concat())
    }

    /// Signs in with swaks and sends `message`.
    fn submit(&self, from: &str, message: &str) {
        let address = self.server.address("submission").to_string();
        let swaks = Command::new(program("swaks"))
            .args(["--server", &address, "--tls", "--auth", "PLAIN"])
            .args(["--auth-user", "ann@inside.test", "--auth-password", PASSWORD])
            .args(["--from", from, "--to", "bob@outside.test", "--data", "-"])
            .spawn_with(message);
        swaks.ok();
    }

    /// The only message that arrived, as its file.
    fn arrived(&self, folder: &Path) -> Arrived {
        let messages = self.lab.wait_for(&self.outside, 1);
        let content = messages[0].content.to_vec();
        self.outside.forget_messages();
        let keys = folder.join("keys.txt");
        fs::write(&keys, self.server.dkim_records("inside.test")).expect("a file");
        let file = folder.join("message.eml");
        fs::write(&file, &content).expect("a file");
        Arrived { content: String::from_utf8(content).expect("text"), file, keys }
    }
}

trait SpawnWith {
    fn spawn_with(&mut self, input: &str) -> support::peers::Ran;
}

impl SpawnWith for Command {
    fn spawn_with(&mut self, input: &str) -> support::peers::Ran {
        run_with_input(self, input.as_bytes())
    }
}

struct Arrived {
    content: String,
    file: std::path::PathBuf,
    keys: std::path::PathBuf,
}

impl Arrived {
    fn signatures(&self) -> usize {
        let header = self.content.split("\r\n\r\n").next().unwrap_or_default();
        header.lines().filter(|line| line.starts_with("DKIM-Signature:")).count()
    }

    /// What Python's dkim says of each signature, top first.
    fn python(&self) -> Vec<bool> {
        let script = "import dkim, sys\n\
            keys = dict(line.rstrip('\\n').split(' ', 1) for line in open(sys.argv[2]))\n\
            def dns(name, timeout=5):\n\
            \x20   name = name.decode() if isinstance(name, bytes) else name\n\
            \x20   return keys[name.rstrip('.')].encode()\n\
            message = open(sys.argv[1], 'rb').read()\n\
            verifier = dkim.DKIM(message)\n\
            count = sum(1 for n, _ in verifier.headers if n.lower() == b'dkim-signature')\n\
            for at in range(count):\n\
            \x20   try: good = verifier.verify(idx=at, dnsfunc=dns)\n\
            \x20   except dkim.DKIMException as e: good = repr(e)\n\
            \x20   print(good)\n";
        // The interpreter that Debian's packages are for.
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", script]).arg(&self.file).arg(&self.keys);
        let said = run(&mut python).ok();
        said.lines().map(|line| line == "True").collect()
    }

    /// Whether OpenDKIM, which looks at the first signature it knows, verifies it.
    fn opendkim(&self, folder: &Path) -> support::peers::Ran {
        let configuration = folder.join("opendkim.conf");
        fs::write(
            &configuration,
            format!("Mode v\nBackground no\nTestPublicKeys {}\n", self.keys.display()),
        )
        .expect("a file");
        let mut opendkim = Command::new(program("opendkim"));
        opendkim.arg("-x").arg(&configuration).args(["-vvv", "-t"]).arg(&self.file);
        run(&mut opendkim)
    }
}

const MESSAGE: &str = "From: \"Ann, at work\" <ann@inside.test>\nTo: bob@outside.test\n\
    Subject:  Two  spaces\tand\n a fold\nMIME-Version: 1.0\n\
    Content-Type: text/plain; charset=utf-8\n\nHello  Bob, \n.dot\n..dots\n \n\nSee you.\n\n\n";

#[test]
fn what_a_person_submits_leaves_with_both_signatures_and_others_verify_them() {
    let folder = TempDir::new().unwrap();
    let site = Site::new("signing { sign inside.test }");
    let made = site.keys(&["new", "inside.test"]);
    assert!(made.contains("(rsa) signs since") && made.contains("(ed25519) signs since"), "{made}");
    site.submit("ann@inside.test", MESSAGE);
    let arrived = site.arrived(folder.path());
    assert_eq!(arrived.signatures(), 2, "{}", arrived.content);
    assert_eq!(arrived.python(), [true, true], "{}", arrived.content);
    let verified = arrived.opendkim(folder.path());
    assert!(verified.all().contains("verification (s="), "{}", verified.all());
    assert!(verified.all().contains("succeeded"), "{}", verified.all());
    assert!(!verified.all().contains("failed"), "{}", verified.all());
    let trace = site.server.ok(&["trace", "--address", "bob@outside.test"]);
    assert!(trace.contains("signed: inside.test/"), "{trace}");
}

#[test]
fn a_signature_breaks_when_another_from_or_subject_is_added_or_the_text_is_changed() {
    let folder = TempDir::new().unwrap();
    let site = Site::new("signing { sign inside.test }");
    site.keys(&["new", "inside.test"]);
    site.submit("ann@inside.test", MESSAGE);
    let arrived = site.arrived(folder.path());
    assert_eq!(arrived.python(), [true, true]);
    let good = arrived.content.clone();
    for changed in [
        good.replacen("\r\nFrom:", "\r\nFrom: eve@other.test\r\nFrom:", 1),
        good.replacen("\r\nSubject:", "\r\nSubject: Pay\r\nSubject:", 1),
        good.replacen("\r\nSubject:", "\r\nReply-To: eve@other.test\r\nSubject:", 1),
        good.replacen("See you", "Pay me", 1),
    ] {
        assert_ne!(changed, good);
        fs::write(&arrived.file, &changed).unwrap();
        assert_eq!(arrived.python(), [false, false], "{changed}");
    }
    let harmless = good.replacen("See you.\r\n\r\n", "See you. \r\n", 1);
    fs::write(&arrived.file, &harmless).unwrap();
    assert_eq!(arrived.python(), [true, true], "{harmless}");
}

#[test]
fn a_large_message_is_signed_as_it_lies_in_the_store() {
    let folder = TempDir::new().unwrap();
    let site = Site::new("signing { sign inside.test }");
    site.keys(&["new", "inside.test", "--only", "ed25519"]);
    let body = "All work and no play makes a long line.  \n".repeat(60_000);
    site.submit("ann@inside.test", &format!("{MESSAGE}{body}"));
    let arrived = site.arrived(folder.path());
    assert!(arrived.content.len() > 2_000_000);
    assert_eq!(arrived.python(), [true]);
}

#[test]
fn rules_change_the_header_before_it_is_signed() {
    let folder = TempDir::new().unwrap();
    let site = Site::new(
        "signing { sign inside.test }\n\
         rules { rule mark { tag-subject \"[inside]\"; remove-header X-Secret } }",
    );
    site.keys(&["new", "inside.test", "--only", "rsa"]);
    site.submit("ann@inside.test", &MESSAGE.replace("MIME-V", "X-Secret: 1\nMIME-V"));
    let arrived = site.arrived(folder.path());
    assert!(arrived.content.contains("[inside]"), "{}", arrived.content);
    assert!(!arrived.content.contains("X-Secret"), "{}", arrived.content);
    assert_eq!(arrived.python(), [true]);
}

#[test]
fn mail_that_merely_passes_and_authors_of_others_are_not_signed() {
    let folder = TempDir::new().unwrap();
    let site = Site::new(
        "signing { sign inside.test; sign boss@outside.test as inside.test }\n\
         rules { rule on { when all { recipient is fwd@inside.test }; redirect bob@outside.test } }",
    );
    site.keys(&["new", "inside.test"]);
    site.server.account("fwd@inside.test", PASSWORD);
    // A stranger who claims to be one of us: through the front door, sent on outside.
    let mut stranger = site.server.connect("mx");
    stranger.expect("EHLO stranger.test", "250");
    let reply = stranger.message("ann@inside.test", &["fwd@inside.test"], MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    let arrived = site.arrived(folder.path());
    assert_eq!(arrived.signatures(), 0, "{}", arrived.content);
    // One of us, who writes as somebody the table does not know.
    site.submit("ann@inside.test", &MESSAGE.replace("ann@inside.test", "ann@other.test"));
    assert_eq!(site.arrived(folder.path()).signatures(), 0);
    // Two authors: nobody vouches for that.
    site.submit("ann@inside.test", &MESSAGE.replace("To:", "From: eve@other.test\nTo:"));
    assert_eq!(site.arrived(folder.path()).signatures(), 0);
    // One address of elsewhere that the table names.
    site.submit("ann@inside.test", &MESSAGE.replace("ann@inside.test", "boss@outside.test"));
    let arrived = site.arrived(folder.path());
    assert_eq!(arrived.python(), [true, true]);
    assert!(arrived.content.contains("d=inside.test;"), "{}", arrived.content);
}

#[test]
fn keys_are_rotated_without_a_gap_and_retired_keys_stay_in_dns() {
    let folder = TempDir::new().unwrap();
    let site = Site::new("signing { sign inside.test; publish-first 3s }");
    site.keys(&["new", "inside.test", "--only", "ed25519"]);
    let rotated = site.keys(&["rotate", "inside.test"]);
    assert!(rotated.contains("waits, signs from") && rotated.contains("signs until"), "{rotated}");
    let again = site.server.run(&["dkim-key", "rotate", "inside.test"]);
    assert_eq!(again.status.code(), Some(2), "{}", shown(&again));
    assert_eq!(
        site.server.dkim_records("inside.test").lines().count(),
        2,
        "both are to be published"
    );
    site.submit("ann@inside.test", MESSAGE);
    let before = site.arrived(folder.path());
    assert_eq!(before.python(), [true]);
    support::wait_for(|| {
        site.keys(&["list", "inside.test"]).contains("retired, leave its record").then_some(())
    })
    .expect("the new key takes over");
    site.submit("ann@inside.test", MESSAGE);
    let after = site.arrived(folder.path());
    assert_eq!(after.python(), [true]);
    let selector = |arrived: &Arrived| {
        arrived.content.split("s=").nth(1).and_then(|s| s.split(';').next()).map(str::to_owned)
    };
    assert_ne!(selector(&before), selector(&after));
    assert_eq!(
        site.server.dkim_records("inside.test").lines().count(),
        2,
        "the old one stays for mail under way"
    );
    let signing = selector(&after).expect("a selector");
    let refused = site.server.run(&["dkim-key", "remove", "inside.test", &signing]);
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    site.keys(&["retire", "inside.test", &signing]);
    site.submit("ann@inside.test", MESSAGE);
    assert_eq!(site.arrived(folder.path()).signatures(), 0, "no key is in use");
}

#[test]
fn a_key_made_by_openssl_is_taken_and_signs() {
    let folder = TempDir::new().unwrap();
    let site = Site::new("signing { sign inside.test keys theirs }");
    site.keys(&["new", "inside.test"]);
    let pem = run(Command::new(program("openssl")).args(["genrsa", "2048"])).ok();
    let taken = site
        .server
        .run_with_input(&["dkim-key", "import", "inside.test", "theirs"], pem.as_bytes());
    assert!(taken.status.success(), "{}", shown(&taken));
    assert!(!shown(&taken).contains("PRIVATE"), "{}", shown(&taken));
    let bad = site.server.run_with_input(&["dkim-key", "import", "inside.test", "x"], b"no key");
    assert_eq!(bad.status.code(), Some(2), "{}", shown(&bad));
    site.submit("ann@inside.test", MESSAGE);
    let arrived = site.arrived(folder.path());
    assert!(arrived.content.contains("s=theirs;"), "{}", arrived.content);
    assert_eq!(arrived.python(), [true]);
}

#[test]
fn dns_shows_every_record_to_publish() {
    let site = Site::new("signing { sign inside.test }\nsrs { domain srs.inside.test }");
    let before = site.server.ok(&["dns", "inside.test"]);
    assert!(before.contains("mailkeep dkim-key new inside.test"), "{before}");
    site.keys(&["new", "inside.test", "--after", "1d"]);
    let text = site.server.ok(&["dns", "inside.test", "--dmarc", "reject"]);
    for record in [
        "inside.test. IN MX 10 mail.inside.test.",
        "inside.test. IN TXT \"v=spf1 mx -all\"",
        "srs.inside.test. IN MX 10 mail.inside.test.",
        "_dmarc.inside.test. IN TXT \"v=DMARC1; p=reject\"",
        "e._domainkey.inside.test. IN TXT \"v=DKIM1; k=ed25519; h=sha256; s=email; p=",
        "r._domainkey.inside.test. IN TXT \"v=DKIM1; k=rsa; h=sha256; s=email; p=",
        "waits, signs from",
    ] {
        assert!(text.contains(record), "{record}\n{text}");
    }
    let data = fs::metadata(site.server.dir().join("data")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&data.permissions());
    assert_eq!(mode & 0o077, 0, "private keys lie where nobody else can read them");
    let wrong = site.server.run(&["dns", "no domain"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", shown(&wrong));
}
