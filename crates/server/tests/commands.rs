//! Every command, as an administrator types it, against the real server and without one.

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use lab::Script;
use serde_json::Value;
use support::partners::Lab;
use support::{Client, Server, run, shown, wait_for};
use tempfile::TempDir;

/// One gateway: mail for partner.example finds nobody at first.
const CONFIGURATION: &str = r#"
hostname    mail.clinic.example
postmaster  postmaster@clinic.example
data        @DIR@/data

certificate mail { local-authority; names mail.clinic.example }

listener mx         { address 127.0.0.1; port 0; tls starttls; certificate mail }
listener inside     { address 127.0.0.1; port 0; tls off; auth off }
listener submission { address 127.0.0.1; port 0; protocol submission; tls starttls; certificate mail; auth required }

domain clinic.example { deliver-to maildir @DIR@/maildir; recipients any }
domain staff.example  { mailboxes local }

trusted-networks 127.0.0.0/8

mx { partner.example 127.0.0.1:9 }

rules {
    rule only_tls_from_outside {
        when all {
            listener is mx
            connection is not tls
            recipient domain is clinic.example
        }
        reject 550 5.7.10 "Only over TLS"
    }
    rule suspicious {
        when all { subject matches *macro* }
        quarantine "may hold macros"
    }
}
"#;

const CONTENT: &str = "From: ana@clinic.example\nSubject: results\n\nhello\n";

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(output)))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// Sends one message by the listener inside.
fn send(server: &Server, from: &str, to: &str, content: &str) {
    let mut client = server.connect("inside");
    client.expect("EHLO test.example", "250");
    let reply = client.message(from, &[to], content);
    assert!(reply.starts_with("250"), "{reply}");
}

/// The queue once it has `count` entries that are not being delivered.
fn queue(server: &Server, count: usize) -> Vec<Value> {
    let settled = wait_for(|| {
        let entries = json(&server.run(&["queue", "list", "--json"]))["entries"].take();
        let entries = entries.as_array().cloned().unwrap_or_default();
        let quiet = entries.iter().all(|entry| entry["state"] != "being-delivered");
        (quiet && entries.len() == count).then_some(entries)
    });
    settled.unwrap_or_else(|| panic!("{}", shown(&server.run(&["queue", "list"]))))
}

/// A message that waits for partner.example; its id.
fn waiting(server: &Server) -> String {
    send(server, "ana@clinic.example", "dr@partner.example", CONTENT);
    let tried = wait_for(|| queue(server, 1).pop().filter(|entry| entry["attempts"] != 0));
    tried.expect("an attempt")["id"].as_str().expect("an id").to_owned()
}

fn folder(configuration: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let here = folder.path().to_str().expect("a plain name");
    fs::write(folder.path().join("mailkeep.conf"), configuration.replace("@DIR@", here)).unwrap();
    folder
}

fn ran(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = run(folder, arguments, b"");
    (code(&output), shown(&output))
}

#[test]
fn a_check_says_everything_at_once_and_its_exit_code_tells_programs() {
    let good = folder(CONFIGURATION);
    let (exit, text) = ran(good.path(), &["config", "check"]);
    assert!(exit == 0 && text.contains("3 listeners, 2 domains, 2 rules"), "{text}");
    let warned =
        CONFIGURATION.replace("mx { partner", "table unused domains { x.example }\nmx { partner");
    let warned = folder(&warned);
    assert_eq!(ran(warned.path(), &["config", "check"]).0, 0);
    assert_eq!(ran(warned.path(), &["config", "check", "--strict"]).0, 3);
    let bad = folder(&CONFIGURATION.replace("port 0", "prot 0"));
    let (exit, text) = ran(bad.path(), &["config", "check"]);
    assert!(exit == 2 && text.matches("did you mean \"port\"?").count() == 3, "{text}");
    let found = json(&run(bad.path(), &["config", "check", "--json"], b""));
    assert_eq!(
        (&found["schema"], &found["ok"]),
        (&"mailkeep.config-check/1".into(), &false.into())
    );
    assert_eq!(ran(good.path(), &["config", "check", "missing.conf"]).0, 66);
    assert_eq!(ran(good.path(), &["config", "check", "--no-such-option"]).0, 64);
    assert_eq!(ran(good.path(), &["config", "explain-code", "C101"]).0, 0);
    assert!(ran(good.path(), &["help", "C101"]).1.contains("# C101"));
}

#[test]
fn the_canonical_form_is_checked_written_and_kept() {
    let folder = folder(&CONFIGURATION.replace("    rule ", "  rule "));
    assert_eq!(ran(folder.path(), &["config", "fmt", "--check"]).0, 2);
    assert_eq!(ran(folder.path(), &["config", "fmt", "mailkeep.conf", "--write"]).0, 0);
    assert_eq!(ran(folder.path(), &["config", "fmt", "--check"]).0, 0);
}

#[test]
fn the_manual_printed_is_the_manual_shipped() {
    let folder = folder(CONFIGURATION);
    let printed = run(folder.path(), &["config", "manual"], b"");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manual/configuration.md");
    let same = printed.stdout == fs::read(shipped).unwrap();
    assert!(same, "docs/manual/configuration.md is not what \"config manual\" prints");
}

#[test]
fn an_applied_configuration_is_a_revision_and_can_be_taken_back() {
    let server = Server::start(CONFIGURATION);
    let file = server.dir().join("mailkeep.conf");
    let old = fs::read_to_string(&file).unwrap();
    let new = old.replace("Only over TLS", "Use STARTTLS");
    fs::write(server.dir().join("new.conf"), &new).unwrap();
    let difference = server.ok(&["config", "diff", "new.conf"]);
    assert!(difference.contains("Use STARTTLS"), "{difference}");
    server.ok(&["config", "apply", "new.conf", "--reason", "clearer words"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), new);
    assert_eq!(server.ok(&["config", "show"]), new);
    let broken = server.run_with_input(&["config", "apply", "-", "--reason", "x"], b"hostname\n");
    assert_eq!(code(&broken), 78, "{}", shown(&broken));
    assert_eq!(fs::read_to_string(&file).unwrap(), new);
    server.ok(&["config", "rollback", "v1", "--reason", "too friendly"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    let history = json(&server.run(&["config", "history", "--json"]));
    let reasons: Vec<&str> = history["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["back to v1: too friendly", "clearer words", "read at start"]);
    assert_eq!(history["revisions"][0]["in_force"], true);
}

#[test]
fn explain_gives_the_reply_that_live_mail_gets_and_changes_nothing() {
    let server = Server::start(CONFIGURATION);
    server.account("ann@staff.example", "correct horse battery");
    let before = json(&server.run(&["status", "--json"]));
    for (listener, from, to) in [
        ("mx", "eve@x.example", "bob@clinic.example"),
        ("mx", "eve@x.example", "ann@staff.example"),
        ("mx", "eve@x.example", "nobody@staff.example"),
        ("inside", "eve@x.example", "bob@clinic.example"),
        ("inside", "eve@x.example", "dr@partner.example"),
        ("submission", "eve@x.example", "dr@partner.example"),
    ] {
        let arguments = [
            "explain",
            "--json",
            "--tls",
            "none",
            "--client",
            "127.0.0.1",
            "--listener",
            listener,
            "--from",
            from,
            "--to",
            to,
        ];
        let explained = server.run(&arguments);
        let story = &json(&explained)["recipients"][0];
        let outcome = story["story"]["outcome"].as_str().unwrap().to_owned();
        let live = reply(&mut server.connect(listener), from, to);
        let taken = live.starts_with("250");
        assert_eq!(code(&explained) == 0, taken, "{listener} {to}: {outcome}, live {live}");
        assert!(taken || outcome.ends_with(&live), "{listener} {to}: {outcome}, live {live}");
    }
    let after = json(&server.run(&["status", "--json"]));
    assert_eq!(before["messages"], after["messages"]);
    assert_eq!(before["queue"], after["queue"]);
}

/// What a session says to the recipient, or before it comes so far.
fn reply(client: &mut Client, from: &str, to: &str) -> String {
    client.expect("EHLO client.example", "250");
    let sender = client.say(&format!("MAIL FROM:<{from}>"));
    if !sender.starts_with("250") {
        return sender;
    }
    client.say(&format!("RCPT TO:<{to}>"))
}

#[test]
fn explain_reads_a_message_and_names_the_rule_the_line_and_the_way_out() {
    let server = Server::start(CONFIGURATION);
    let message = "From: eve@x.example\nTo: bob@clinic.example\nSubject: macro\n\nhi\n";
    let output = server.run_with_input(&["explain", "-"], message.as_bytes());
    let text = shown(&output);
    assert!(text.contains("Nothing is delivered. Config v1"), "{text}");
    assert!(text.contains("rule 2 suspicious") && text.contains("mailkeep.conf:"), "{text}");
    assert!(text.contains("-> QUARANTINE may hold macros"), "{text}");
    let candidate = CONFIGURATION
        .replace("mx { partner", "force-encrypt {\n    partner.example verified\n}\nmx { partner");
    let here = server.dir().to_str().unwrap();
    fs::write(server.dir().join("new.conf"), candidate.replace("@DIR@", here)).unwrap();
    let text = server.ok(&[
        "explain",
        "--from",
        "ana@clinic.example",
        "--to",
        "dr@partner.example",
        "--listener",
        "inside",
        "--client",
        "127.0.0.1",
        "--candidate",
        "new.conf",
    ]);
    assert!(text.contains("new.conf, which is not in force"), "{text}");
    assert!(
        text.contains("Force Encrypt \"partner.example\"")
            && text.contains("demands authenticated"),
        "{text}"
    );
}

#[test]
fn explain_without_a_server_leaves_nothing_behind() {
    let folder = folder(CONFIGURATION);
    let (exit, text) =
        ran(folder.path(), &["explain", "--from", "a@x.example", "--to", "b@clinic.example"]);
    assert!(exit == 0 && text.contains("no server runs"), "{text}");
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["mailkeep.conf"]);
}

#[test]
fn a_waiting_message_is_held_released_retried_and_rerouted() {
    let lab = Lab::new();
    let partner = lab.partner(Script::named("relay.example"));
    let server = Server::start(CONFIGURATION);
    let id = waiting(&server);
    server.ok(&["queue", "hold", &id[..24], "--reason", "ask first"]);
    let list = server.ok(&["queue", "list", "--held"]);
    assert!(list.contains("ask first") && list.contains("1 held"), "{list}");
    server.ok(&["queue", "release", &id]);
    server.ok(&["queue", "freeze", "partner.example", "--reason", "they asked"]);
    let retried = server.ok(&["queue", "retry", "--domain", "partner.example"]);
    assert!(retried.contains("frozen"), "{retried}");
    assert!(server.ok(&["queue", "list"]).contains("partner.example is frozen"));
    server.ok(&["queue", "unfreeze", "partner.example"]);
    assert_eq!(code(&server.run(&["queue", "unfreeze", "partner.example"])), 2);
    queue(&server, 1);
    server.ok(&["queue", "reroute", &id, "--to", &partner.address().to_string()]);
    let taken = lab.wait_for(&partner, 1);
    assert!(taken[0].text().contains("Subject: results"));
    queue(&server, 0);
    let story = server.ok(&["trace", &id]);
    for act in ["hold", "release", "reroute mail to partner.example", "relayed"] {
        assert!(story.contains(act), "{act}\n{story}");
    }
    let gone = server.run(&["queue", "hold", &id]);
    assert!(code(&gone) == 2 && shown(&gone).contains("1 relayed"), "{}", shown(&gone));
}

#[test]
fn a_bounce_tells_the_sender_and_a_cancel_does_not() {
    let server = Server::start(CONFIGURATION);
    let bounced = waiting(&server);
    server.ok(&["queue", "bounce", &bounced]);
    let notices = server.wait_for_mail("ana@clinic.example", 1);
    assert!(
        notices[0].contains("An administrator") && notices[0].contains(&bounced),
        "{}",
        notices[0]
    );
    queue(&server, 0);
    let cancelled = waiting(&server);
    server.ok(&["queue", "cancel", &cancelled]);
    queue(&server, 0);
    assert_eq!(server.maildir("ana@clinic.example").len(), 1);
    assert!(server.ok(&["trace", &cancelled]).contains("cancelled"));
    let ledger = server.ok(&["ledger", "check"]);
    assert!(ledger.contains("Every recipient ended exactly once"), "{ledger}");
}

#[test]
fn quarantine_is_shown_released_and_deleted() {
    let server = Server::start(CONFIGURATION);
    let content = "From: eve@x.example\nSubject: a macro\n\nhi\n";
    for _ in 0..2 {
        send(&server, "eve@x.example", "bob@clinic.example", content);
    }
    let listed = json(&server.run(&["quarantine", "list", "--json"]));
    let ids: Vec<&str> =
        listed["entries"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
    let shown = server.ok(&["quarantine", "show", ids[0]]);
    assert!(shown.contains("may hold macros") && shown.contains("Subject: a macro"), "{shown}");
    server.ok(&["quarantine", "release", ids[0]]);
    server.wait_for_mail("bob@clinic.example", 1);
    server.ok(&["quarantine", "delete", ids[1]]);
    assert_eq!(code(&server.run(&["quarantine", "delete", ids[1]])), 2);
    assert_eq!(server.ok(&["quarantine", "list"]), "Nothing is in quarantine.\n");
    assert_eq!(server.maildir("bob@clinic.example").len(), 1);
}

#[test]
fn evidence_and_proofs_verify_with_the_public_key_alone() {
    let server = Server::start(CONFIGURATION);
    send(&server, "eve@x.example", "bob@clinic.example", CONTENT);
    server.wait_for_mail("bob@clinic.example", 1);
    fs::write(server.dir().join("key"), server.ok(&["evidence", "key"])).unwrap();
    server.ok(&["evidence", "export", "--out", "all"]);
    assert!(server.ok(&["evidence", "verify", "all", "--key", "key"]).contains("INTACT"));
    let forged = fs::read_to_string(server.dir().join("all")).unwrap().replace("eve@x", "ann@x");
    fs::write(server.dir().join("forged"), forged).unwrap();
    let output = server.run(&["evidence", "verify", "forged", "--key", "key"]);
    assert!(code(&output) == 2 && shown(&output).contains("changed"), "{}", shown(&output));
    let id = json(&server.run(&["trace", "--address", "eve@x.example", "--json"]))["entries"][0]["trace"]
        .as_str()
        .map(str::to_owned);
    server.ok(&["proof", &id.expect("a message"), "--out", "proof"]);
    assert!(server.ok(&["evidence", "verify", "proof", "--key", "key"]).contains("INTACT"));
}

#[test]
fn accounts_and_domains_change_at_once_and_leave_evidence_without_secrets() {
    let server = Server::start(CONFIGURATION);
    server.ok(&["domain", "add", "new.example"]);
    server.account("ann@new.example", "correct horse battery");
    server.ok(&["account", "alias", "info@new.example", "ann@new.example"]);
    assert_eq!(code(&server.run(&["domain", "remove", "new.example"])), 2);
    let listed = server.ok(&["account", "list"]);
    assert!(listed.contains("info@new.example") && listed.contains("alias of ann@new.example"));
    let mut client = server.connect("mx");
    assert!(reply(&mut client, "eve@x.example", "info@new.example").starts_with("250"));
    server.ok(&["account", "disable", "ann@new.example"]);
    let mut client = server.connect("mx");
    assert!(reply(&mut client, "eve@x.example", "ann@new.example").starts_with("550"));
    let evidence = server.ok(&["evidence", "export"]);
    assert!(evidence.contains("account-changed") && evidence.contains("is disabled"));
    assert!(!evidence.contains("correct horse") && !server.log().contains("correct horse"));
}

#[test]
fn the_store_answers_when_no_server_runs() {
    let mut server = Server::start(CONFIGURATION);
    let id = waiting(&server);
    server.kill();
    let status = server.run(&["status"]);
    assert!(code(&status) == 69 && shown(&status).contains("1 waiting"), "{}", shown(&status));
    server.ok(&["queue", "hold", &id, "--reason", "later"]);
    assert!(server.ok(&["queue", "list"]).contains("later"));
    assert_eq!(code(&server.run(&["queue", "bounce", &id])), 69);
    server.ok(&["queue", "cancel", &id]);
    assert!(server.ok(&["trace", &id]).contains("cancelled"));
    let text = fs::read_to_string(server.dir().join("mailkeep.conf")).unwrap() + "\n# later\n";
    let applied =
        server.run_with_input(&["config", "apply", "-", "--reason", "a note"], text.as_bytes());
    assert!(shown(&applied).contains("once the server starts"), "{}", shown(&applied));
    server.restart();
    let history = server.ok(&["config", "history"]);
    assert!(history.contains("in force  a note"), "{history}");
    assert!(server.ok(&["ledger", "check"]).contains("Every recipient ended exactly once"));
}
