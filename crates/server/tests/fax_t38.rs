//! Faxes by T.38: a server that calls and is called by SIP, on loopback. It calls itself, as
//! two gateways of one configuration; a gateway that answers as real ones do is played by hand.

mod support;

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::faxes::{attached, faxes, wait_for_state, wait_until_quiet};
use support::{Server, wait_for};

const NUMBER: &str = "2025550123";

/// Two addresses of loopback with ports that nobody has.
fn addresses() -> (String, String) {
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    (free(), free())
}

fn configuration(ours: &str, theirs: &str, pacing: &str, inbound: &str) -> String {
    format!(
        "hostname mx.clinic.example
        data @DIR@/data
        control @DIR@/control
        listener mx {{ port 0; address 127.0.0.1; tls off }}
        domain clinic.example {{ deliver-to maildir @DIR@/maildir }}
        fax-gateway out {{ server {theirs}; listen {ours}; pacing {pacing} }}
        {inbound}
        fax clinic {{
            domains fax.clinic.example
            organisation \"Clinic of Example\"
            main-number \"+1 202 555 0199\"
            country US
            user ann@clinic.example {{ number \"+1 202 555 0101\" }}
            mail-server-white-list 127.0.0.1
            transport t38 out
        }}
        queue {{ retry 1s }}
        "
    )
}

/// The same server behind the other gateway.
fn ward(ours: &str, theirs: &str, pacing: &str) -> String {
    format!(
        "fax-gateway in {{ server {ours}; listen {theirs}; pacing {pacing} }}
        fax ward {{
            domains fax.ward.example
            organisation Ward
            main-number \"+1 202 555 0100\"
            country US
            mail-server-white-list 127.0.0.1
            transport none
            inbound {{
                from t38 in
                route {NUMBER} nurse@clinic.example
                catch-all desk@clinic.example
                junk +12025550198
            }}
        }}"
    )
}

fn fax_it(server: &Server, to: &str, pages: usize) {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<ann@clinic.example>", "250");
    client.expect(&format!("RCPT TO:<{to}@fax.clinic.example>"), "250");
    client.expect("DATA", "354");
    let text = (1..=pages * 60).map(|n| format!("{n}. The result is good.\r\n"));
    let text: String = text.collect();
    let head = "From: ann@clinic.example\r\nSubject: Result\r\nX-Fax-Cover: never\r\n";
    client.expect(&format!("{head}Message-ID: <{to}@clinic.example>\r\n\r\n{text}."), "250");
}

/// Every page of a PDF as one-bit rows.
fn drawn(pdf: &Path, folder: &Path, name: &str) -> Vec<Vec<u8>> {
    let prefix = folder.join(name);
    let output = Command::new("pdftoppm")
        .args(["-mono", "-rx", "204", "-ry", "196"])
        .arg(pdf)
        .arg(&prefix)
        .status()
        .expect("pdftoppm (Debian package poppler-utils)");
    assert!(output.success());
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(name))
        .filter(|path| path.extension().is_some_and(|ending| ending == "pbm"))
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[test]
fn a_fax_goes_out_by_one_call_and_comes_in_by_another_dot_for_dot() {
    let (ours, theirs) = addresses();
    let server = Server::start(&configuration(&ours, &theirs, "off", &ward(&ours, &theirs, "off")));
    fax_it(&server, NUMBER, 3);
    let sent = wait_for_state(&server, "sent");
    let count = sent["pages"].as_u64().unwrap();
    assert!(count >= 3, "{sent}");
    let mail = server.wait_for_mail("nurse@clinic.example", 1).remove(0);
    for says in [
        "Subject: Fax from +12025550101",
        "Called           +12025550123",
        "Caller's name    +12025550101",
        &format!("Pages            {count}"),
        "at T.38 gateway in",
    ] {
        assert!(mail.contains(says), "{says}: {mail}");
    }
    assert!(!mail.contains("incomplete"), "{mail}");
    // What came is what was drawn.
    let folder = tempfile::tempdir().unwrap();
    let (came, went) = (folder.path().join("came.pdf"), folder.path().join("went.pdf"));
    std::fs::write(&came, attached(&mail, "application/pdf")).unwrap();
    let id = sent["id"].as_str().unwrap();
    let tiff = std::fs::read(server.dir().join(format!("data/fax/{id}.tif"))).unwrap();
    std::fs::write(&went, pages::paper::pdf(&tiff).unwrap()).unwrap();
    let (came, went) = (drawn(&came, folder.path(), "c"), drawn(&went, folder.path(), "w"));
    assert_eq!(came.len() as u64, count);
    assert!(came == went, "the pages that came are others");
    // Nothing is left of them beside the mail.
    let left = std::fs::read_dir(server.dir().join("data/fax-incoming")).unwrap().count();
    assert_eq!(left, 0);
    let evidence = server.ok(&["evidence", "export"]);
    assert!(evidence.contains("given to nurse@clinic.example"), "{evidence}");
}

/// What a gateway answers, as real ones write it.
struct Gateway(UdpSocket);

impl Gateway {
    fn at(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(socket)
    }

    /// The next request of a method; its retransmissions are passed over.
    fn request(&self, method: &str) -> (String, std::net::SocketAddr) {
        let mut octets = [0; 4_096];
        loop {
            let (length, from) = self.0.recv_from(&mut octets).expect("no request comes");
            let request = String::from_utf8_lossy(&octets[..length]).into_owned();
            if request.starts_with(method) {
                return (request, from);
            }
        }
    }

    fn answer(&self, request: &str, to: std::net::SocketAddr, status: &str) {
        let mut answer = format!("SIP/2.0 {status}\r\n");
        for line in request.lines().take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            match name.as_str() {
                "to" => answer.push_str(&format!("{line};tag=gw1\r\n")),
                "via" | "from" | "call-id" | "cseq" => answer.push_str(&format!("{line}\r\n")),
                _ => {}
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        self.0.send_to(answer.as_bytes(), to).unwrap();
    }
}

#[test]
fn a_gateway_that_refuses_is_understood_and_one_that_is_silent_is_no_line() {
    for (status, reason) in [
        ("486 Busy Here", "the line is busy"),
        ("404 Not Found", "the fax line refuses the number"),
        ("603 Decline", "the gateway answers 603"),
    ] {
        let (ours, theirs) = addresses();
        let gateway = Gateway::at(&theirs);
        let server = Server::start(&configuration(&ours, &theirs, "off", ""));
        fax_it(&server, NUMBER, 1);
        let (invite, from) = gateway.request("INVITE");
        assert!(invite.starts_with("INVITE sip:+12025550123@"), "{invite}");
        assert!(invite.contains("m=image") && invite.contains("udptl t38"), "{invite}");
        assert!(invite.contains("From: <sip:+12025550101@"), "{invite}");
        gateway.answer(&invite, from, status);
        gateway.request("ACK");
        let told = || faxes(&server).into_iter().find(|fax| fax.to_string().contains(reason));
        assert!(wait_for(told).is_some(), "{status}: {:?}\n{}", faxes(&server), server.log());
    }
}

/// The hexadecimal MD5 of a text, by Python.
fn md5(text: &str) -> String {
    let code = "import hashlib,sys;print(hashlib.md5(sys.argv[1].encode()).hexdigest())";
    let output = Command::new("python3").args(["-c", code, text]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_gateway_that_asks_who_calls_is_told_without_the_password() {
    let (ours, theirs) = addresses();
    let gateway = Gateway::at(&theirs);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "a word for the trunk").unwrap();
    let with = configuration(
        &ours,
        &theirs,
        "off",
        "credentials trunk { user clinic; password file:@DIR@/secret }",
    );
    let with = with.replace("pacing off", "pacing off; credentials trunk");
    let server = Server::start_in(folder, &with);
    fax_it(&server, NUMBER, 1);
    let (invite, from) = gateway.request("INVITE");
    assert!(!invite.contains("Authorization"), "{invite}");
    let asks = "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"sip.example\", nonce=\"n1\", algorithm=MD5";
    gateway.answer(&invite, from, asks);
    let (again, from) = loop {
        let (request, from) = gateway.request("INVITE");
        if request.contains("Authorization: Digest") {
            break (request, from);
        }
    };
    let (_, field) = again.split_once("Authorization: Digest").unwrap();
    let field = field.lines().next().unwrap();
    let value = |name: &str| {
        let (_, rest) = field.split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let secret = md5("clinic:sip.example:a word for the trunk");
    let what = md5(&format!("INVITE:{}", value("uri")));
    assert_eq!(value("username"), "clinic");
    assert_eq!(value("response"), md5(&format!("{secret}:n1:{what}")));
    gateway.answer(&again, from, "486 Busy Here");
    let busy =
        || faxes(&server).into_iter().find(|fax| fax.to_string().contains("the line is busy"));
    assert!(wait_for(busy).is_some(), "{:?}\n{}", faxes(&server), server.log());
    assert!(!again.contains("a word for") && !server.log().contains("a word for"));
    assert!(!server.log().contains(&value("response")), "{}", server.log());
}

#[test]
fn a_server_that_is_stopped_ends_its_calls_and_goes_on_behind_them() {
    let (ours, theirs) = addresses();
    let mut server =
        Server::start(&configuration(&ours, &theirs, "on", &ward(&ours, &theirs, "on")));
    fax_it(&server, NUMBER, 1);
    wait_for_state(&server, "sending");
    server.terminate();
    server.wait_until_gone();
    server.restart();
    let waiting = wait_for_state(&server, "waiting");
    assert!(waiting.to_string().contains("the call broke off"), "{waiting}");
}

#[test]
fn a_call_that_rings_is_cancelled_when_the_fax_is() {
    let (ours, theirs) = addresses();
    let gateway = Gateway::at(&theirs);
    let server = Server::start(&configuration(&ours, &theirs, "off", ""));
    fax_it(&server, NUMBER, 1);
    let (invite, from) = gateway.request("INVITE");
    gateway.answer(&invite, from, "180 Ringing");
    let id = wait_for_state(&server, "dialling")["id"].as_str().unwrap().to_owned();
    server.ok(&["fax", "cancel", &id]);
    let (cancel, from_cancel) = gateway.request("CANCEL");
    gateway.answer(&cancel, from_cancel, "200 OK");
    gateway.answer(&invite, from, "487 Request Terminated");
    wait_for_state(&server, "cancelled");
}

#[test]
fn after_a_crash_a_call_that_rang_is_made_again_and_one_that_was_answered_is_not() {
    let (ours, theirs) = addresses();
    let gateway = Gateway::at(&theirs);
    let mut server = Server::start(&configuration(&ours, &theirs, "off", ""));
    fax_it(&server, NUMBER, 1);
    let (invite, from) = gateway.request("INVITE");
    gateway.answer(&invite, from, "180 Ringing");
    wait_for_state(&server, "dialling");
    server.kill();
    server.restart();
    // Nobody had answered, so no page had gone: it waits for another call.
    wait_for_state(&server, "waiting");
    drop((server, gateway));

    let (ours, theirs) = addresses();
    let mut server =
        Server::start(&configuration(&ours, &theirs, "on", &ward(&ours, &theirs, "on")));
    fax_it(&server, NUMBER, 1);
    wait_for_state(&server, "sending");
    server.kill();
    server.restart();
    // The page was under way and may have come: it is not sent again, and that is said.
    let failed = wait_for_state(&server, "failed");
    assert!(failed.to_string().contains("whether it arrived is not known"), "{failed}");
}

#[test]
fn pages_that_came_before_the_server_fell_are_given_when_it_stands_again() {
    let (ours, theirs) = addresses();
    let server = Server::start(&configuration(&ours, &theirs, "off", &ward(&ours, &theirs, "off")));
    fax_it(&server, NUMBER, 1);
    server.wait_for_mail("nurse@clinic.example", 1);
    let sent = wait_for_state(&server, "sent");
    wait_until_quiet(&server);
    // As a crash after the first page leaves them: the pages, and what was known of them.
    let incoming = server.dir().join("data/fax-incoming");
    let pages = server.dir().join("data/fax").join(format!("{}.tif", sent["id"].as_str().unwrap()));
    let mut server = server;
    server.kill();
    std::fs::copy(pages, incoming.join("01JD0000000000000000000000.tif")).unwrap();
    let facts = r#"{"gateway":"in","account":"ward","called":"12025550123","caller":"4155550123",
        "station":"Other","came":"2026-11-23T10:00:00Z","ended":null}"#;
    std::fs::write(incoming.join("01JD0000000000000000000000.json"), facts).unwrap();
    server.restart();
    let mails = server.wait_for_mail("nurse@clinic.example", 2);
    let late = mails.iter().find(|mail| mail.contains("Fax from +14155550123")).unwrap();
    assert!(
        late.contains("It may be incomplete: the call broke off: the server stopped"),
        "{late}"
    );
    let gone = || (std::fs::read_dir(&incoming).unwrap().count() == 0).then_some(());
    assert!(wait_for(gone).is_some());
}
