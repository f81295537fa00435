//! Who asks that an email domain be trusted for faxing, who decides, and what DNS must show.

mod support;

use std::fs;
use std::process::{Command, Output};

use lab::{Dns, Records};
use serde_json::Value;
use support::partners::Lab;
use support::{Server, shown, wait_for};

const LOCK: &str = "mail-server-white-list 127.0.0.1   # our own server";

fn configuration(dns: &Dns, security: &str) -> String {
    format!(
        "# the clinic
hostname mx.clinic.example
data @DIR@/data
control @DIR@/control
dns {{ server {}; timeout 300ms; attempts 1 }}
listener mx {{ port 0; address 127.0.0.1; tls off }}
fax clinic {{
    # who sends, and from where
    domains fax.clinic.example
    organisation \"Clinic of Example\"
    main-number \"+1 202 555 0199\"
    country US
    user ann@clinic.example
    {security}
    transport none
}}
",
        dns.address()
    )
}

/// Runs a command as one of the administrators.
fn by(person: &str, server: &Server, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mailkeep"))
        .arg("--config")
        .arg(server.dir().join("mailkeep.conf"))
        .args(arguments)
        .env("USER", person)
        .env_remove("SUDO_USER")
        .output()
        .expect("mailkeep starts")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(output)))
}

fn refused(output: &Output, says: &str) {
    assert!(!output.status.success() && shown(output).contains(says), "{says}: {}", shown(output));
}

/// Asks as Ann; gives the request.
fn ask(server: &Server, domains: &[&str]) -> Value {
    let certify = ["--certify", "The domains are ours and only our server sends.", "--json"];
    let output = by("ann", server, &[&["fax", "request", "clinic"], domains, &certify].concat());
    assert!(output.status.success(), "{}", shown(&output));
    json(&output)
}

fn text<'j>(json: &'j Value, name: &str) -> &'j str {
    json[name].as_str().unwrap_or_else(|| panic!("{name}: {json}"))
}

fn standing(server: &Server, id: &str) -> String {
    let list = json(&server.run(&["fax", "requests", "--json"]));
    let mut requests = list["requests"].as_array().expect("requests").iter();
    let request = requests.find(|request| request["id"] == id).expect("the request");
    text(request, "standing").to_owned()
}

fn may_fax(server: &Server, sender: &str) -> String {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example", "250");
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
    client.say("RCPT TO:<2025550100@fax.clinic.example>")
}

fn evidence(server: &Server) -> String {
    server.ok(&["evidence", "export"])
}

#[test]
fn domains_are_trusted_after_another_administrator_and_dns_agree_and_not_before() {
    let lab = Lab::new();
    let dns = lab.dns(Records::new());
    let mut server = Server::start(&configuration(&dns, LOCK));
    let request = ask(&server, &["partner.example", "lab.partner.example"]);
    let (id, challenge) = (text(&request, "id"), text(&request["challenge"], "text"));
    assert!(challenge.strip_prefix("mailkeep-fax=").is_some_and(|token| token.len() == 32));
    assert!(may_fax(&server, "kim@partner.example").starts_with("550 5.7.1"));

    // Nobody decides for themselves, and nothing is believed that DNS does not show.
    let own = by("ann", &server, &["fax", "approve", id]);
    refused(&own, "ann asked for it, so another administrator must decide");
    assert_eq!(own.status.code(), Some(77));
    refused(&by("ann", &server, &["fax", "deny", id, "--reason", "no"]), "another administrator");
    let approve = |server: &Server| by("bob", server, &["fax", "approve", id]);
    refused(&approve(&server), "_mailkeep-challenge.partner.example: the name does not exist");
    let half = Records::new()
        .txt("_mailkeep-challenge.partner.example", challenge)
        .txt("_mailkeep-challenge.lab.partner.example", "mailkeep-fax=guessed");
    dns.replace(half).expect("records");
    let output = approve(&server);
    refused(&output, "_mailkeep-challenge.lab.partner.example: it holds another text");
    assert!(!shown(&output).contains("challenge.partner.example:"), "{}", shown(&output));
    let whole = Records::new()
        .txt("_mailkeep-challenge.partner.example", challenge)
        .txt("_mailkeep-challenge.lab.partner.example", challenge);
    dns.replace(whole).expect("records");

    server.kill();
    server.restart();
    assert_eq!(standing(&server, id), "open");

    // An edit that nobody has put in force is neither put in force nor lost.
    let file = server.dir().join("mailkeep.conf");
    let before = fs::read_to_string(&file).expect("the file");
    let edited = before.replace("user ann@", "user eve@evil.example\n    user ann@");
    fs::write(&file, &edited).expect("the file");
    refused(&approve(&server), "was changed after revision 1 and the change is not in force");
    assert_eq!(fs::read_to_string(&file).expect("the file"), edited);
    fs::write(&file, &before).expect("the file");

    let output = approve(&server);
    assert!(output.status.success(), "{}", shown(&output));
    assert!(shown(&output).contains("approved by bob"), "{}", shown(&output));
    let after = fs::read_to_string(&file).expect("the file");
    let added = "    trusted-domains lab.partner.example partner.example\n}\n";
    assert_eq!(
        after,
        before.replace("    transport none\n}\n", &format!("    transport none\n{added}"))
    );
    assert!(may_fax(&server, "kim@partner.example").starts_with("250"));
    assert!(may_fax(&server, "kim@lab.partner.example").starts_with("250"));
    assert!(may_fax(&server, "kim@other.partner.example").starts_with("550 5.7.1"));
    let history = server.ok(&["config", "history"]);
    assert!(history.contains("asked by ann, approved by bob"), "{history}");
    refused(&approve(&server), "the request is approved; nothing is left to decide");

    // A second request adds to the line that is there.
    let second = ask(&server, &["bank.example"]);
    let challenge = text(&second["challenge"], "text");
    dns.replace(Records::new().txt("_mailkeep-challenge.bank.example", challenge))
        .expect("records");
    let output = by("bob", &server, &["fax", "approve", text(&second, "id")]);
    assert!(output.status.success(), "{}", shown(&output));
    let last = fs::read_to_string(&file).expect("the file");
    assert_eq!(last, after.replace(" partner.example\n}", " partner.example bank.example\n}"));

    // While domains are trusted the last restriction stays.
    let open = server.dir().join("open.conf");
    fs::write(&open, last.replace(LOCK, "")).expect("a file");
    let apply = ["config", "apply", open.to_str().expect("a name"), "--reason", "no lists"];
    refused(&server.run(&apply), "C601");
    assert!(may_fax(&server, "kim@partner.example").starts_with("250"));

    let evidence = evidence(&server);
    for says in [
        "fax request",
        "certified: The domains are ours and only our server sends.",
        "refused: not proven in DNS: lab.partner.example",
        "fax approve",
        "asked by ann; revision 2",
    ] {
        assert!(evidence.contains(says), "{says}: {evidence}");
    }
}

#[test]
fn nothing_may_be_asked_while_everyone_may_send_and_what_nobody_decides_ends() {
    let lab = Lab::new();
    let dns = lab.dns(Records::new());
    let open = configuration(&dns, "requests-end 2s");
    let server = Server::start(&open);
    let asked = ["fax", "request", "clinic", "partner.example", "--certify", "Ours."];
    refused(&by("ann", &server, &asked), "accepts mail from every mail server");
    let locked =
        open.replace("requests-end", "spoofing-protection on softfail reject\nrequests-end");
    assert!(server.reload(&locked).status.success());
    refused(
        &by("ann", &server, &["fax", "request", "clinic", "partner.example", "--certify", " "]),
        "the certification has 1 to 500 characters",
    );
    refused(
        &by("ann", &server, &["fax", "request", "ward", "partner.example", "--certify", "Ours."]),
        "There is no fax account \"ward\"",
    );

    let denied = ask(&server, &["partner.example"]);
    let id = text(&denied, "id");
    let output = by("bob", &server, &["fax", "deny", id, "--reason", "Kim left in May."]);
    assert!(output.status.success() && shown(&output).contains("Kim left in May."));
    refused(&by("bob", &server, &["fax", "approve", id]), "the request is denied");

    let late = ask(&server, &["partner.example"]);
    let id = text(&late, "id");
    let challenge = text(&late["challenge"], "text");
    dns.replace(Records::new().txt("_mailkeep-challenge.partner.example", challenge))
        .expect("records");
    assert!(wait_for(|| (standing(&server, id) == "ended").then_some(())).is_some());
    refused(&by("bob", &server, &["fax", "approve", id]), "the request is ended");
    let ended = || evidence(&server).contains("fax request ended").then_some(());
    assert!(wait_for(ended).is_some(), "{}", server.log());

    // The lock went between the question and the decision.
    let third = ask(&server, &["partner.example"]);
    assert!(server.reload(&open).status.success());
    let output = by("bob", &server, &["fax", "approve", text(&third, "id")]);
    refused(&output, "accepts mail from every mail server");
}
