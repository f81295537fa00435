//! A guesser of passwords, the shipped Fail2Ban filter and jail, and the real Fail2Ban.

#![allow(dead_code, reason = "each test uses its part of the support")]

mod support;

#[path = "support/hostile.rs"]
mod fixture;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use fixture::connect_from;
use support::examples::root;
use support::peers::{Sessions, program, run};
use support::{Server, wait_for};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";

/// Says lines from `source` and gives the replies.
fn say(source: &str, to: SocketAddr, lines: &[String]) -> Vec<String> {
    let source: IpAddr = source.parse().expect("an address");
    let mut socket = connect_from(source, to).expect("a connection");
    let mut answers = BufReader::new(socket.try_clone().expect("a handle"));
    let mut reply = || {
        let mut whole = String::new();
        loop {
            let mut line = String::new();
            if answers.read_line(&mut line).unwrap_or(0) == 0 || line.get(3..4) == Some(" ") {
                return whole + &line;
            }
            whole.push_str(&line);
        }
    };
    reply();
    let mut replies = Vec::new();
    for line in lines {
        let _ = socket.write_all(format!("{line}\r\n").as_bytes());
        replies.push(reply());
    }
    replies
}

fn sign_in(user: &str, password: &str) -> Vec<String> {
    use base64::Engine as _;
    let secret = base64::prelude::BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
    vec!["EHLO client.test".to_owned(), format!("AUTH PLAIN {secret}"), "QUIT".to_owned()]
}

/// Fail2Ban with the shipped filter and jail. The test's own settings are only where the log
/// is and what a ban does: it writes the address to a file.
fn fail2ban(server: &Server) -> Sessions {
    let folder = TempDir::new().expect("a folder");
    let config = folder.path().join("config");
    run(Command::new("cp").args(["-r", "/etc/fail2ban"]).arg(&config)).ok();
    for entry in fs::read_dir(config.join("jail.d")).expect("jails").flatten() {
        fs::remove_file(entry.path()).expect("another jail is removed");
    }
    let shipped = root().join("packaging/fail2ban");
    for file in ["filter.d/mailkeep.conf", "jail.d/mailkeep.conf"] {
        fs::copy(shipped.join(file), config.join(file)).expect("a shipped file");
    }
    let here = folder.path().display();
    let jail = format!(
        "[DEFAULT]\nignoreself = false\nignoreip =\n\
         [mailkeep]\nbackend = polling\nlogpath = {}\naction = note\n",
        server.dir().join("log").display()
    );
    fs::write(config.join("jail.d/mailkeep.local"), jail).expect("the test's settings");
    fs::write(config.join("fail2ban.local"), "[Definition]\ndbfile = None\n").expect("settings");
    let action =
        format!("[Definition]\nactionban = echo <ip> >> {here}/banned\nactionunban = true\n");
    fs::write(config.join("action.d/note.conf"), action).expect("the test's action");
    let mut start = Command::new(program("fail2ban-server"));
    start.arg("-f").arg("-c").arg(&config);
    start.arg("-s").arg(folder.path().join("socket")).arg("-p").arg(folder.path().join("pid"));
    start.args(["--logtarget", "STDOUT", "start"]);
    let running = Sessions::open(&mut start, folder);
    let watches = wait_for(|| running.said().contains("Jail 'mailkeep' started").then_some(()));
    assert!(watches.is_some(), "{}", running.said());
    running
}

fn banned(folder: &Path) -> String {
    fs::read_to_string(folder.join("banned")).unwrap_or_default()
}

#[test]
fn fail2ban_bans_who_guesses_passwords_and_nobody_else() {
    let server = Server::start(
        "
        hostname  mail.keep.test
        data      @DIR@/data
        certificate mail { local-authority; names mail.keep.test }
        listener submission {
            address 127.0.0.1; port 0; protocol submission; tls starttls; certificate mail
        }
        domain keep.test { mailboxes local }
        rules { rule the_test_reads_along { plain-connections authenticated plain } }
        ",
    );
    server.account("ann@keep.test", PASSWORD);
    let running = fail2ban(&server);
    let port = server.address("submission");
    // One slip of the finger is not an attack.
    for password in ["corect horse", PASSWORD] {
        say("127.0.0.1", port, &sign_in("ann@keep.test", password));
    }
    let right = say("127.0.0.1", port, &sign_in("ann@keep.test", PASSWORD));
    assert!(right[1].starts_with("235 "), "{right:?}");
    // Nor is a client's text that looks like a security line.
    let forged = "mailkeep: security: auth-fail ip=127.0.0.9 service=smtp user=\"\" reason=x";
    for _ in 0..6 {
        say("127.0.0.1", port, &[format!("EHLO {forged}"), format!("MAIL FROM:<{forged}>")]);
    }
    for attempt in 0..5 {
        let reply = say("127.0.0.66", port, &sign_in("ann@keep.test", &format!("guess {attempt}")));
        assert!(!reply[1].starts_with("235"), "{reply:?}");
    }
    let log = server.log();
    let noticed = wait_for(|| (!banned(running.folder()).is_empty()).then_some(()));
    assert!(noticed.is_some(), "{log}\n{}", running.said());
    assert_eq!(banned(running.folder()), "127.0.0.66\n", "{log}\n{}", running.said());
}
