//! Mail for mailboxes: Maildir folders and LMTP.

use std::fs;
use std::path::Path;

use crate::world::{Internet, by, encrypted, only, opportunistic, status, trouble};
use delivery::{Cause, Lmtp, MaildirRoute, Onward, Outcome, Route};
use lab::{Fault, Partner, Script, Stage};
use tls::{Observed, Protection};

fn into(root: &Path) -> Route {
    Route::Maildir(MaildirRoute { root: root.to_owned() })
}

fn new_messages(root: &Path, mailbox: &str) -> Vec<String> {
    let read =
        |entry: std::io::Result<fs::DirEntry>| fs::read_to_string(entry.unwrap().path()).unwrap();
    fs::read_dir(root.join(mailbox).join("new")).unwrap().map(read).collect()
}

#[tokio::test]
async fn each_recipient_finds_the_message_in_a_folder_of_their_own() {
    let net = Internet::start().await;
    let root = tempfile::tempdir().unwrap();
    let send = by(into(root.path()), &["Bob@clinic.test", "eve@clinic.test"]);
    let attempt = net.agent.attempt(&send, &opportunistic()).await;
    for outcome in &attempt.outcomes {
        let Outcome::Delivered(delivered) = outcome else { panic!("{outcome}") };
        assert_eq!((delivered.host.as_str(), delivered.onward), ("local", Onward::Final));
    }
    assert_eq!(attempt.contacts[0].verdict.as_ref().unwrap().protection, Protection::Local);
    assert_eq!(
        new_messages(root.path(), "clinic.test/bob"),
        ["Return-Path: <ann@clinic.test>\nDelivered-To: Bob@clinic.test\n\
          From: ann@clinic.test\nSubject: Results\n\nAll is well.\n"]
    );
    assert_eq!(new_messages(root.path(), "clinic.test/eve").len(), 1);
    assert_eq!(fs::read_dir(root.path().join("clinic.test/bob/tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn many_deliveries_at_once_lose_nothing() {
    let net = Internet::start().await;
    let root = tempfile::tempdir().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (agent, send) = (net.agent.clone(), by(into(root.path()), &["bob@clinic.test"]));
        tasks.spawn(async move { agent.attempt(&send, &opportunistic()).await });
    }
    assert!(tasks.join_all().await.iter().all(|attempt| only(attempt).is_delivered()));
    assert_eq!(new_messages(root.path(), "clinic.test/bob").len(), 200);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_defers() {
    let net = Internet::start().await;
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let attempt = net.agent.attempt(&by(into(&file), &["bob@clinic.test"]), &opportunistic()).await;
    assert!(only(&attempt).is_temporary());
    assert_eq!(trouble(&attempt).cause, Cause::Disk);
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient_by_tcp() {
    let net = Internet::start().await;
    let script = Script::named("store.test").lmtp().fault(
        Fault::at(Stage::Content).recipient("eve@clinic.test").reply("452 4.2.2 Mailbox full"),
    );
    let partner = Partner::start_anywhere(script).await.unwrap();
    let address = partner.address();
    let route = Route::Lmtp(Lmtp::Tcp { host: address.ip().into(), port: address.port() });
    let send = by(route, &["bob@clinic.test", "eve@clinic.test"]);
    for reused in [false, true] {
        // Loopback does not leave this machine, so no demand keeps it from going.
        let attempt = net.agent.attempt(&send, &encrypted()).await;
        let statuses: Vec<_> = attempt.outcomes.iter().map(|o| o.status().to_string()).collect();
        assert!(attempt.outcomes[0].is_delivered(), "{attempt:#?}");
        assert_eq!(statuses[1], "4.2.2");
        assert_eq!(attempt.contacts[0].reused, reused);
        assert_eq!(attempt.contacts[0].verdict.as_ref().unwrap().observed, Observed::Local);
    }
    assert_eq!(partner.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn lmtp_goes_over_a_unix_socket_too() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let net = Internet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 store.test LMTP\r\n").await.unwrap();
        let mut heard = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let reply = match line.split(' ').next().unwrap() {
                "LHLO" => "250-store.test\r\n250 PIPELINING\r\n",
                "DATA" => "354 Go on\r\n",
                "." => "250 2.0.0 Stored\r\n",
                "MAIL" | "RCPT" => "250 Ok\r\n",
                "QUIT" => "221 Bye\r\n",
                _ => "",
            };
            heard.push(line);
            write.write_all(reply.as_bytes()).await.unwrap();
        }
        heard
    });
    let send = by(Route::Lmtp(Lmtp::Unix(path.clone())), &["bob@clinic.test"]);
    let attempt = net.agent.attempt(&send, &encrypted()).await;
    assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    assert_eq!(attempt.contacts[0].host, path.display().to_string());
    net.agent.close_idle().await;
    assert!(server.await.unwrap().contains(&"All is well.".to_owned()));
    let gone = net.agent.attempt(&send, &encrypted()).await;
    assert_eq!(status(&gone), "4.4.1");
}
