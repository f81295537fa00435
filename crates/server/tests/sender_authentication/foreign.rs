//! Signatures and chains of other people's programs, verified by us, and seals of ours, verified
//! by theirs.

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::{Partner, Records, Script};
use tempfile::TempDir;

use crate::support::Server;
use crate::support::examples::root;
use crate::support::partners::Lab;
use crate::support::peers::{program, run, run_with_input};
use crate::world::{Sending, World, field, result, word};

const MESSAGE: &str = "From: Ann <ann@s.test>\r\nTo: bob@inside.test\r\nSubject: A  case\r\n \
    folded\r\nDate: Mon, 02 Mar 2026 10:02:11 +0000\r\nMessage-ID: <1@s.test>\r\n\r\n\
    Hello  world \r\n\r\nend\r\n\r\n";

/// Who a chain of theirs is from.
const LIST: &str = "Authentication-Results: list.test; dkim=pass header.d=s.test\r\n";

/// Python's dkim: its programs, and keys that it made.
struct Python(TempDir);

impl Python {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        for kind in ["rsa", "ed25519"] {
            let mut new = Command::new(program("dknewkey"));
            run(new.args(["--ktype", kind]).arg(folder.path().join(kind))).ok();
        }
        Self(folder)
    }

    fn key(&self, kind: &str) -> String {
        self.0.path().join(kind).with_extension("key").to_str().expect("a plain name").to_owned()
    }

    fn record(&self, kind: &str) -> String {
        fs::read_to_string(self.0.path().join(kind).with_extension("dns")).expect("a record")
    }

    fn sign(&self, kind: &str, more: &[&str], message: &str) -> String {
        let mut sign = Command::new(program("dkimsign"));
        sign.args(["--signalg", &format!("{kind}-sha256")]).args(more);
        sign.args([kind, "s.test", &self.key(kind)]);
        lines_of_mail(&run_with_input(&mut sign, message.as_bytes()).ok())
    }

    /// One more set of a chain, by what `list.test` found.
    fn seal(&self, message: &str) -> String {
        let mut seal = Command::new(program("arcsign"));
        seal.args(["rsa", "s.test", &self.key("rsa"), "list.test"]);
        lines_of_mail(&run_with_input(&mut seal, message.as_bytes()).ok())
    }
}

/// Standard output of a program may end its lines as Unix does.
fn lines_of_mail(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// What OpenDKIM would add to a message as a milter, added.
fn signed_by_opendkim(folder: &Path, form: &str, message: &str) -> String {
    let mail = folder.join("message.eml");
    fs::write(&mail, message).expect("a file");
    let configuration = folder.join("opendkim.conf");
    let key = folder.join("o.private");
    fs::write(
        &configuration,
        format!(
            "Mode s\nBackground no\nDomain s.test\nSelector o\nKeyFile {}\n\
             Canonicalization {form}\nInternalHosts 0.0.0.0/0\nRequireSafeKeys no\n",
            key.display()
        ),
    )
    .expect("a file");
    let mut sign = Command::new(program("opendkim"));
    let said = run(sign.arg("-x").arg(&configuration).args(["-vvv", "-t"]).arg(&mail)).ok();
    let value =
        said.split("hname='DKIM-Signature' hvalue='").nth(1).and_then(|s| s.split('\'').next());
    let value = value.unwrap_or_else(|| panic!("it did not sign: {said}"));
    format!("DKIM-Signature: {}\r\n{message}", lines_of_mail(value))
}

/// Makes a key with OpenDKIM's own program and gives its record.
fn opendkim_key(folder: &Path) -> String {
    let mut make = Command::new(program("opendkim-genkey"));
    run(make.args(["-b", "2048", "-d", "s.test", "-s", "o", "-D"]).arg(folder)).ok();
    let zone = fs::read_to_string(folder.join("o.txt")).expect("a record");
    zone.split('"').skip(1).step_by(2).collect()
}

/// Sends a message and gives the result of a method.
fn judged(world: &World, to: &str, method: &str, message: &str) -> String {
    let client = [192, 0, 2, 1].into();
    let sending = Sending { client, helo: "h.test", from: "ann@nothing.test", to, message };
    let reply = world.send(&sending);
    assert!(reply.starts_with("250"), "{reply}");
    let header = world.header_of(to);
    let found = result(field(&header, "Authentication-Results"), method);
    word(found.unwrap_or_else(|| panic!("{header}"))).to_owned()
}

#[test]
fn signatures_of_python_s_dkim_and_of_opendkim_pass_and_break_with_the_text() {
    let world = World::new("mode annotate");
    let (python, folder) = (Python::new(), TempDir::new().unwrap());
    let opendkim = opendkim_key(folder.path());
    world.publish(
        Records::new()
            .ttl(0)
            .txt("rsa._domainkey.s.test", &python.record("rsa"))
            .txt("ed25519._domainkey.s.test", &python.record("ed25519"))
            .txt("o._domainkey.s.test", &opendkim),
    );
    let strict = ["--hcanon", "simple", "--bcanon", "simple"];
    let relaxed = ["--hcanon", "relaxed", "--bcanon", "relaxed"];
    for (name, signed) in [
        ("rsa", python.sign("rsa", &relaxed, MESSAGE)),
        ("rsa-simple", python.sign("rsa", &strict, MESSAGE)),
        ("ed25519", python.sign("ed25519", &relaxed, MESSAGE)),
        ("ed25519-simple", python.sign("ed25519", &strict, MESSAGE)),
        ("opendkim", signed_by_opendkim(folder.path(), "relaxed/relaxed", MESSAGE)),
        ("opendkim-simple", signed_by_opendkim(folder.path(), "simple/simple", MESSAGE)),
    ] {
        assert!(signed.starts_with("DKIM-Signature:") && signed.ends_with(MESSAGE), "{signed}");
        let to = |what: &str| format!("{name}-{what}@inside.test");
        assert_eq!(judged(&world, &to("good"), "dkim", &signed), "pass", "{name}\n{signed}");
        let torn = signed.replace("Hello", "Goodbye");
        assert_eq!(judged(&world, &to("torn"), "dkim", &torn), "fail", "{name}");
        let renamed = signed.replace("A  case", "Another");
        assert_eq!(judged(&world, &to("renamed"), "dkim", &renamed), "fail", "{name}");
    }
}

#[test]
fn a_chain_of_python_s_dkim_passes_and_breaks_with_the_text() {
    let world = World::new("mode annotate");
    let python = Python::new();
    let key = python.record("rsa");
    world.publish(Records::new().ttl(0).txt("rsa._domainkey.s.test", &key));
    let one = python.seal(&format!("{LIST}{MESSAGE}"));
    assert!(one.starts_with("ARC-Seal:"), "{one}");
    assert_eq!(judged(&world, "one@inside.test", "arc", &one), "pass", "{one}");
    let torn = one.replace("Hello", "Goodbye");
    assert_eq!(judged(&world, "torn@inside.test", "arc", &torn), "fail");
    let lied = one.replacen("dkim=pass", "dkim=fail", 1);
    assert_eq!(judged(&world, "lied@inside.test", "arc", &lied), "fail", "{lied}");
}

/// A server that seals what it sends on to `outside.test`, which is a sink.
struct Forwarder {
    world: World,
    outside: Partner,
}

impl Forwarder {
    fn new(records: impl FnOnce(Records) -> Records) -> Self {
        let lab = Lab::new();
        let dns = lab.dns(Records::new());
        let outside = lab.partner(Script::named("outside.test"));
        let server = Server::start(&format!(
            "hostname mail.inside.test\n\
             data @DIR@/data\n\
             dns {{ server {}; timeout 500ms; attempts 1; cache off }}\n\
             listener mx {{ address 127.0.0.1; port 0; tls off; proxy-protocol from 127.0.0.1 }}\n\
             domain inside.test {{ recipients any; deliver-to maildir @DIR@/maildir }}\n\
             sender-authentication {{ mode annotate }}\n\
             arc-sealing {{ for outside.test; domain inside.test }}\n\
             mx {{ outside.test 127.0.0.1:{} }}\n\
             rules {{ rule on {{ when all {{ recipient is fwd@inside.test }}; \
               redirect bob@outside.test }} }}\n",
            dns.address(),
            outside.address().port()
        ));
        server.ok(&["dkim-key", "new", "inside.test"]);
        let world = World::of(lab, dns, server);
        world.publish(records(Records::new().ttl(0)));
        Self { world, outside }
    }

    /// The message as it arrives outside.
    fn forward(&self, message: &str) -> String {
        let client = [192, 0, 2, 1].into();
        let (from, to) = ("ann@nothing.test", "fwd@inside.test");
        let sending = Sending { client, helo: "h.test", from, to, message };
        let reply = self.world.send(&sending);
        assert!(reply.starts_with("250"), "{reply}");
        let messages = self.world.lab.wait_for(&self.outside, 1);
        self.outside.forget_messages();
        String::from_utf8(messages[0].content.to_vec()).expect("text")
    }

    /// What Python's dkim says of the chain, and how many sets it has.
    fn python(&self, message: &str, more_keys: &str) -> (String, usize) {
        let folder = self.world.server.dir();
        let (mail, keys) = (folder.join("arrived.eml"), folder.join("keys.txt"));
        fs::write(&mail, message).expect("a file");
        let ours = self.world.server.dkim_records("inside.test");
        fs::write(&keys, format!("{ours}{more_keys}")).expect("a file");
        let mut verify = Command::new("/usr/bin/python3");
        verify.arg(root().join("tests/interop/arc_verify.py")).arg(&mail).arg(&keys);
        let said = run(&mut verify).ok();
        let sets = message.lines().filter(|line| line.starts_with("ARC-Seal:")).count();
        (said.lines().next().unwrap_or_default().to_owned(), sets)
    }
}

#[test]
fn our_seal_is_verified_by_python_s_dkim_where_the_mail_arrives() {
    let python = Python::new();
    let key = python.record("rsa");
    let site = Forwarder::new(|records| records.txt("rsa._domainkey.s.test", &key));
    let theirs = format!("rsa._domainkey.s.test {key}\n");
    let verdict = |message: &str| site.python(message, &theirs);
    let is = |word: &str, sets| (word.to_owned(), sets);

    // The first set of a chain, over a message that its author has signed.
    let first = site.forward(&python.sign("rsa", &[], MESSAGE));
    assert_eq!(verdict(&first), is("pass", 1), "{first}");
    assert!(first.contains("cv=none;") && first.contains("d=inside.test;"), "{first}");
    for (from, to) in [("Hello", "Goodbye"), ("A  case", "Another"), ("dkim=pass", "dkim=fail")] {
        let changed = first.replace(from, to);
        assert_ne!(changed, first, "{from}");
        assert_eq!(verdict(&changed), is("fail", 1), "{changed}");
    }

    // The second, over a chain that Python's dkim began.
    let second = site.forward(&python.seal(&format!("{LIST}{MESSAGE}")));
    assert_eq!(verdict(&second), is("pass", 2), "{second}");
    assert!(second.contains("i=2;") && second.contains("cv=pass;"), "{second}");

    // What came with a broken chain goes on without a seal of ours.
    let broken = python.seal(&format!("{LIST}{MESSAGE}")).replace("Hello", "Goodbye");
    assert_eq!(verdict(&site.forward(&broken)), is("fail", 1));
}
