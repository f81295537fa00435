//! The history of the configuration: included files belong to it, and a server whose file is
//! broken starts on the last good revision.

mod support;

use std::fs;

use support::{Client, Server, run, shown};

const CONFIGURATION: &str = r#"
hostname  mail.keep.test
data      @DIR@/data
certificate mail { local-authority; names mail.keep.test }
listener mx { address 127.0.0.1; port 0; tls starttls; certificate mail }
domain mail.keep.test { mailboxes local }
include domains/*.conf
table blocked domains file blocked.list
rules { rule blocked { when all { sender domain in table blocked }; reject 550 5.7.1 "Blocked" } }
"#;

fn ours(name: &str) -> String {
    format!("domain {name} {{ deliver-to maildir maildir; recipients any }}\n")
}

/// The reply to a message from a domain to a domain.
fn reply(server: &Server, from: &str, to: &str) -> String {
    let mut client = Client::connect(server.address("mx"));
    client.expect("EHLO client.test", "250");
    let sender = client.say(&format!("MAIL FROM:<a@{from}>"));
    if !sender.starts_with("250") {
        return sender;
    }
    client.say(&format!("RCPT TO:<b@{to}>"))
}

fn prepared() -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().expect("a folder");
    fs::create_dir(folder.path().join("domains")).expect("a folder");
    fs::write(folder.path().join("domains/one.conf"), ours("one.test")).expect("a file");
    fs::write(folder.path().join("blocked.list"), "bad.test\n").expect("a file");
    folder
}

#[test]
fn rolling_back_returns_every_included_file_and_list() {
    let server = Server::start_in(prepared(), CONFIGURATION);
    let file = |name: &str| server.dir().join(name);
    assert!(reply(&server, "good.test", "one.test").starts_with("250"));
    assert!(reply(&server, "bad.test", "one.test").starts_with("550 5.7.1"));

    // The main file stays as it is; everything else changes.
    fs::remove_file(file("domains/one.conf")).expect("the file goes");
    fs::write(file("domains/two.conf"), ours("two.test")).expect("a file");
    fs::write(file("blocked.list"), "worse.test\n").expect("a file");
    assert!(server.run(&["reload"]).status.success());
    assert!(reply(&server, "bad.test", "two.test").starts_with("250"));
    assert!(reply(&server, "worse.test", "two.test").starts_with("550 5.7.1"));
    assert!(reply(&server, "good.test", "one.test").starts_with("55"));
    let history = server.ok(&["config", "history"]);
    assert!(history.contains("v2"), "{history}");
    let diff = server.ok(&["config", "diff", "v1", "v2"]);
    for line in ["-bad.test", "+worse.test", "-domain one.test", "+domain two.test"] {
        assert!(diff.lines().any(|found| found.starts_with(line)), "{line}: {diff}");
    }

    let said = server.ok(&["config", "rollback", "v1", "--reason", "two.test was a mistake"]);
    assert!(said.contains("Revision 3 is in force"), "{said}");
    assert!(said.contains("two.conf is no part of it"), "{said}");
    assert!(reply(&server, "good.test", "one.test").starts_with("250"));
    assert!(reply(&server, "bad.test", "one.test").starts_with("550 5.7.1"));
    assert!(reply(&server, "good.test", "two.test").starts_with("55"));
    // The disk says the same, so that a reload or a new start changes nothing.
    assert_eq!(fs::read_to_string(file("domains/one.conf")).expect("it is back"), ours("one.test"));
    assert_eq!(fs::read_to_string(file("blocked.list")).expect("it is back"), "bad.test\n");
    assert!(!file("domains/two.conf").exists());
    let aside = fs::read_to_string(file("domains/two.conf.set-aside-1")).expect("it is kept");
    assert_eq!(aside, ours("two.test"));
    assert!(server.ok(&["reload"]).contains("Revision 3"));

    // A revision can be returned to even when its files are gone.
    let said = server.ok(&["config", "rollback", "v2", "--reason", "it was none"]);
    assert!(said.contains("Revision 4 is in force"), "{said}");
    assert!(reply(&server, "good.test", "two.test").starts_with("250"));
    assert_eq!(fs::read_to_string(file("domains/two.conf")).expect("a file"), ours("two.test"));
}

#[test]
fn a_broken_file_at_the_start_leaves_the_last_good_revision_in_force_and_says_so_loudly() {
    let mut server = Server::start_in(prepared(), CONFIGURATION);
    let file = server.dir().join("mailkeep.conf");
    let good = fs::read_to_string(&file).expect("the file");
    server.terminate();
    server.wait_until_gone();

    // An error in the file, and an included one that is broken as well.
    fs::write(&file, good.replace("listener mx {", "listner mx {")).expect("the file");
    fs::write(server.dir().join("domains/one.conf"), "domain {").expect("a file");
    let refused = run(server.dir(), &["serve", "--strict-config"], b"");
    assert!(!refused.status.success(), "{}", shown(&refused));
    assert!(shown(&refused).contains("listner"), "{}", shown(&refused));
    assert!(shown(&refused).contains("nothing was started"), "{}", shown(&refused));

    server.restart();
    assert!(reply(&server, "good.test", "one.test").starts_with("250"));
    let log = server.log();
    assert!(log.contains("The server starts on revision v1 in its place"), "{log}");
    assert!(log.contains("HAS ERRORS AND IS NOT USED"), "{log}");
    let status = server.ok(&["status"]);
    assert!(status.contains("v1 serves in its place"), "{status}");
    // Neither the file nor the history was touched.
    assert!(fs::read_to_string(&file).expect("the file").contains("listner"));
    assert!(!server.ok(&["config", "history"]).contains("v2"));
    let reload = server.run(&["reload"]);
    assert!(!reload.status.success() && shown(&reload).contains("listner"), "{}", shown(&reload));

    fs::write(&file, good.replace("Blocked", "Blocked still")).expect("the file");
    fs::write(server.dir().join("domains/one.conf"), ours("one.test")).expect("a file");
    assert!(server.ok(&["reload"]).contains("Revision 2"));
    assert!(reply(&server, "bad.test", "one.test").contains("Blocked still"));
    assert!(!server.ok(&["status"]).contains("in its place"));
}

#[test]
fn a_broken_file_without_a_history_starts_nothing_and_makes_nothing() {
    let folder = tempfile::TempDir::new().expect("a folder");
    fs::write(
        folder.path().join("mailkeep.conf"),
        "hostname mail.keep.test\ndata data\nlistner x {}\n",
    )
    .expect("the file");
    let refused = run(folder.path(), &["serve"], b"");
    assert!(!refused.status.success(), "{}", shown(&refused));
    assert!(shown(&refused).contains("nothing was started"), "{}", shown(&refused));
    assert!(!folder.path().join("data").exists());
}
