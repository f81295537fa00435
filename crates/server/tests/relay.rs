//! No relaying unless allowed: the known tricks against every shipped example.

mod support;

use lab::partner::Tls;
use lab::{Partner, Script};
use support::examples::{on_any_port, shipped};
use support::partners::Lab;
use support::tls::Terms;
use support::{Client, Server, wait_for};

/// Refused commands that a session survives; a new one is begun before that.
const COMMANDS_PER_SESSION: usize = 12;

/// Forward-paths that try to get mail to somebody elsewhere. Whatever the server makes of
/// them, nothing may leave.
const PATHS: &[&str] = &[
    "victim@relay.example",
    "victim@RELAY.EXAMPLE",
    "victim@relay.example.",
    "victim%relay.example@mydomain.com",
    "victim%relay.example%mydomain.com@mydomain.com",
    "victim%relay.example@MyDomain.com",
    "victim%relay.example@mydomain.com.",
    "victim%relay.example@[127.0.0.1]",
    "victim%relay.example@mail.mydomain.com",
    "relay.example!victim@mydomain.com",
    "mydomain.com!victim@relay.example",
    "mydomain.com!relay.example!victim",
    "relay.example!victim",
    "@mydomain.com:victim@relay.example",
    "@mydomain.com,@mail.mydomain.com:victim@relay.example",
    "@[127.0.0.1]:victim@relay.example",
    "@relay.example:victim%relay.example@mydomain.com",
    "\"victim@relay.example\"@mydomain.com",
    "\"victim@relay.example\"",
    "\"victim%relay.example\"@mydomain.com",
    "\"@relay.example:victim\"@mydomain.com",
    "\"victim@mydomain.com\"@relay.example",
    "victim\\@relay.example@mydomain.com",
    "victim@relay.example@mydomain.com",
    "victim@mydomain.com@relay.example",
    "victim@[127.0.0.1]",
    "victim@[IPv6:::1]",
    "victim@[127.0.0.1].relay.example",
    "victim@127.0.0.1",
    "victim@localhost",
    "victim@mail.mydomain.com",
    "victim@sub.mydomain.com",
    "victim@mydomain.com.relay.example",
    "victim@xmydomain.com",
    "victim@com",
    "victim@",
    "victim",
    "@relay.example",
    "victim:relay.example@mydomain.com",
    "victim;relay.example@mydomain.com",
    "|relay@mydomain.com",
    "/tmp/relay@mydomain.com",
    "../../relay@mydomain.com",
    "victim@[IPv6:2001:db8::25]",
    "victim@[IPv6:::ffff:127.0.0.1]",
    "victim@[ipv6:::1]",
    "victim@[2130706433]",
    "victim@2130706433",
    "victim@0x7f.1",
    "victim@[relay.example]",
    "victim@[mydomain.com]",
    "victim%relay.example@",
    "victim@relay.example%mydomain.com",
    "victim%relay.example@[IPv6:::1]",
    "relay.example!victim%other.example@mydomain.com",
    "relay.example!@mydomain.com",
    "@mydomain.com:@mail.mydomain.com:victim@relay.example",
    "@mydomain.com:\"victim@relay.example\"@mydomain.com",
    "@relay.example,@mydomain.com:victim@mydomain.com",
    "\"victim\"@relay.example",
    "\"victim\\\"@mydomain.com\"@relay.example",
    "\"\"@relay.example",
    "victim(@mydomain.com)@relay.example",
    "victim@relay.example(@mydomain.com)",
    "victim@relay.example>,<x@mydomain.com",
    "victim@relay.example, x@mydomain.com",
    "<victim@relay.example>",
    "victim@relay.example\0@mydomain.com",
    "victim@mydomain.com\0.relay.example",
    "victim@relay.example\t@mydomain.com",
    " victim@relay.example",
    "victim @relay.example",
    "victim@ relay.example",
    "victim@.mydomain.com",
    "victim@mydomain.com..relay.example",
    "victim@relay.example/mydomain.com",
    "victim@mydomain.com:25@relay.example",
    "victim@relay.example:25",
    "victim=relay.example@mydomain.com",
    "victim+relay.example@mydomain.com",
    "SRS0=hash=tt=relay.example=victim@mydomain.com",
    "SRS1=hash=mydomain.com==hash=tt=relay.example=victim@mydomain.com",
    "prvs=tag=victim@relay.example",
    "#victim%relay.example@mydomain.com",
    "smtp:victim@relay.example",
    "mailto:victim@relay.example",
    "IMCEASMTP-victim+40relay+2Eexample@mydomain.com",
];

/// The same under SMTPUTF8: domains that look like ours.
const PATHS_UTF8: &[&str] = &[
    "victim@myd\u{43e}main.com",  // Cyrillic o
    "victim@mydomain.\u{441}om",  // Cyrillic c
    "victim@\u{ff4d}ydomain.com", // full-width m, which is m
    "victim@mydomain\u{3002}com", // ideographic full stop, which is a dot
    "victim@mydomain.com\u{3002}relay.example",
    "victim@mydomain.com\u{200b}.relay.example", // zero width space
    "victim@m\u{131}domain.com",                 // dotless i
    "victim@relay.example\u{ff0e}",              // full-width full stop
    "victim\u{ff05}relay.example@mydomain.com",  // full-width percent sign
    "victim\u{ff20}relay.example@mydomain.com",  // full-width at sign
    "victim@mydomain.com\u{2024}relay.example",  // one dot leader
    "victim@mydomain.c\u{3bf}m",                 // Greek omicron
    "victim@my\u{ad}domain.com",                 // soft hyphen
    "victim@mydomain.com\u{202e}",               // right-to-left override
    "victim@xn--mydmain-7fg.com",                // the same in its ASCII form
    "vi\u{441}tim@relay.example",
];

/// Reverse-paths that might be trusted for what they say.
const SENDERS: &[&str] = &[
    "",
    "ann@mydomain.com",
    "postmaster@mydomain.com",
    "root@mail.mydomain.com",
    "x@[127.0.0.1]",
    "x@localhost",
    "x@example.net",
];

/// What a client may call itself: us, the machine it runs on, something trusted.
const HELLOS: &[&str] = &[
    "client.example.net",
    "mail.mydomain.com",
    "mydomain.com",
    "localhost",
    "[127.0.0.1]",
    "[IPv6:::1]",
    "MAIL.MYDOMAIN.COM",
];

/// Something that would take whatever leaves.
struct Outside {
    lab: Lab,
    partner: Partner,
}

impl Outside {
    fn new() -> Self {
        let lab = Lab::new();
        let script = Script::named("outside.test").certificate(lab.identity("outside.test"));
        let partner = lab.partner(script.tls(Tls::StartTls));
        Self { lab, partner }
    }

    /// The configuration with its way out leading here.
    fn around(&self, text: &str) -> String {
        let port = self.partner.address().port();
        if text.contains("\ndelivery {\n") {
            let inside = format!("\ndelivery {{\n    relay-host 127.0.0.1:{port}\n");
            return text.replace("\ndelivery {\n", &inside);
        }
        format!("{text}\ndelivery {{ relay-host 127.0.0.1:{port} }}\n")
    }

    fn has_nothing(&self) {
        let messages = self.partner.complete_messages();
        assert!(messages.is_empty(), "{messages:?}");
        assert_eq!(self.partner.counters().mail, 0, "{:?}", self.partner.transcript());
    }
}

/// Tries every sender and path at a listener, in the clear and under TLS. What is taken must
/// be for a domain of ours.
fn try_everything(server: &Server, listener: &str, ours: &[&str]) -> usize {
    let mut tried = 0;
    let mut taken = Vec::new();
    let mut hellos = HELLOS.iter().cycle();
    let mut try_session = |under_tls, sender, session: &[(&str, &str)]| {
        let hello = hellos.next().expect("names go round");
        one_session(server, listener, (hello, under_tls), sender, session, &mut taken)
    };
    for under_tls in [false, true] {
        for sender in SENDERS {
            let mut session = Vec::new();
            for (path, parameter) in PATHS
                .iter()
                .map(|path| (path, ""))
                .chain(PATHS_UTF8.iter().map(|path| (path, " SMTPUTF8")))
            {
                session.push((*path, parameter));
                if session.len() == COMMANDS_PER_SESSION {
                    tried += try_session(under_tls, sender, &session);
                    session.clear();
                }
            }
            tried += try_session(under_tls, sender, &session);
        }
    }
    for path in taken {
        let is_ours = ours.iter().any(|domain| {
            path.to_lowercase().trim_end_matches('.').ends_with(&format!("@{domain}"))
                || path.contains("\u{ff4d}ydomain")
                || path.contains("mydomain\u{3002}com")
                || path.contains("my\u{ad}domain")
        });
        assert!(is_ours, "<{path}> was taken");
    }
    tried
}

fn one_session(
    server: &Server,
    listener: &str,
    (hello, under_tls): (&str, bool),
    sender: &str,
    paths: &[(&str, &str)],
    taken: &mut Vec<String>,
) -> usize {
    let mut client = server.connect(listener);
    let hello = format!("EHLO {hello}");
    client.expect(&hello, "250");
    if under_tls {
        client.starttls(&Terms::asking_for("mail.mydomain.com"));
        client.expect(&hello, "250");
    }
    for (path, parameter) in paths {
        let mail = client.say(&format!("MAIL FROM:<{sender}>{parameter}"));
        if mail.starts_with('5') {
            continue; // The listener takes mail only from who has signed in.
        }
        assert!(mail.starts_with("250"), "MAIL FROM:<{sender}>: {mail}");
        let reply = client.say(&format!("RCPT TO:<{path}>"));
        if reply.starts_with("250") {
            client.expect("DATA", "354");
            client.expect("Subject: trick\r\n\r\nText\r\n.", "250");
            taken.push((*path).to_owned());
        } else {
            assert!(reply.starts_with('5'), "<{path}>: {reply}");
            client.expect("RSET", "250");
        }
    }
    client.expect("QUIT", "221");
    paths.len()
}

/// Nothing waits for a domain that is not ours.
fn queue_holds_only(server: &Server, ours: &[&str]) {
    let left = wait_for(|| {
        let listed: serde_json::Value =
            serde_json::from_str(&server.ok(&["queue", "list", "--json"])).expect("JSON");
        let text = listed.to_string();
        (!text.contains("relay.example")).then_some(())
    });
    assert!(left.is_some(), "{}\n{ours:?}", server.ok(&["queue", "list"]));
}

fn an_example_relays_nothing(name: &str, listeners: &[&str], ours: &[&str]) {
    let outside = Outside::new();
    let server = Server::start(&outside.around(&on_any_port(name)));
    for listener in listeners {
        let tried = try_everything(&server, listener, ours);
        assert_eq!(tried, 2 * SENDERS.len() * (PATHS.len() + PATHS_UTF8.len()));
    }
    queue_holds_only(&server, ours);
    outside.has_nothing();
}

#[test]
fn the_example_of_signing_in_relays_nothing() {
    an_example_relays_nothing("b4-auth-only-on-tls.conf", &["mx", "submission"], &["mydomain.com"]);
}

#[test]
fn the_example_of_two_domains_relays_nothing() {
    an_example_relays_nothing(
        "b5-only-tls-for-mydomain.conf",
        &["mx"],
        &["mydomain.com", "other.com"],
    );
}

#[test]
fn the_example_of_a_smart_host_relays_nothing() {
    an_example_relays_nothing("b6-relay-with-tls12-13.conf", &["submission"], &["mydomain.com"]);
}

#[test]
fn the_example_of_force_encrypt_relays_nothing() {
    an_example_relays_nothing("force-encrypt.conf", &["mx", "submission"], &["mydomain.com"]);
}

#[test]
fn the_complete_example_relays_nothing() {
    let outside = Outside::new();
    let folder = tempfile::TempDir::new().expect("a folder");
    let identity = outside.lab.identity("mail.mydomain.com");
    std::fs::write(folder.path().join("mail.pem"), identity.chain_pem()).expect("written");
    std::fs::write(folder.path().join("mail.key"), identity.key_pem()).expect("written");
    std::fs::write(folder.path().join("password"), "a password\n").expect("written");
    let mut text = outside.around(&shipped("complete.conf"));
    for (old, new) in [
        ("/var/lib/mailkeep", "@DIR@/data"),
        ("/etc/mailkeep/tls/", "@DIR@/"),
        ("/srv/archive", "@DIR@/archive"),
        ("credential:smarthost", "file:@DIR@/password"),
        ("mx         { port 25;", "mx         { address 127.0.0.1; port 0;"),
        ("submission { port 587;", "submission { address 127.0.0.1; port 0; protocol submission;"),
        ("smtps      { port 465;", "smtps      { address 127.0.0.1; port 0; protocol submission;"),
        ("address   10.20.0.1", "address   127.0.0.1"),
        ("address   10.40.0.1", "address   127.0.0.1"),
        ("port      2525", "port      0"),
        ("port      2526", "port      0"),
        ("port 9464", "port 0"),
    ] {
        assert!(text.contains(old), "the example has no {old}");
        text = text.replace(old, new);
    }
    let server = Server::start_in(folder, &text);
    let ours =
        ["mydomain.com", "legacy.mydomain.com", "archive.mydomain.com", "branch.mydomain.com"];
    for listener in ["mx", "submission", "balanced"] {
        try_everything(&server, listener, &ours);
    }
    queue_holds_only(&server, &ours);
    outside.has_nothing();

    // The network of the scanners is not ours, so it is told so at once.
    let mut stranger = Client::connect_silently(server.address("scanners"));
    let greeting = stranger.reply();
    assert!(greeting.starts_with("554 "), "{greeting}");
}

const CLOSED: &str = "
hostname mail.mydomain.com
data @DIR@/data
certificate mail { local-authority }
listener mx { address 127.0.0.1; port 0; tls starttls; certificate mail }
domain mydomain.com { recipients any; deliver-to maildir @DIR@/maildir }
";

fn relayed(server: &Server, outside: &Outside) -> bool {
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    client.expect("MAIL FROM:<ann@mydomain.com>", "250");
    let reply = client.say("RCPT TO:<victim@relay.example>");
    if !reply.starts_with("250") {
        assert!(reply.starts_with("550 5.7.1 Relaying denied"), "{reply}");
        return false;
    }
    client.expect("DATA", "354");
    client.expect("Subject: allowed\r\n\r\nText\r\n.", "250");
    outside.lab.wait_for(&outside.partner, 1);
    true
}

#[test]
fn loopback_is_not_a_relay_unless_it_is_listed() {
    let outside = Outside::new();
    let closed = Server::start(&outside.around(CLOSED));
    assert!(!relayed(&closed, &outside));
    outside.has_nothing();
    let open = outside.around(&format!("{CLOSED}\ntrusted-networks 127.0.0.0/8\n"));
    let open = Server::start(&open);
    assert!(relayed(&open, &outside));
}

#[test]
fn who_has_signed_in_may_relay_and_who_failed_to_may_not() {
    let outside = Outside::new();
    let server = Server::start(&outside.around(CLOSED));
    server.account("ann@mydomain.com", "correct horse battery staple");
    for (password, may) in [("incorrect horse", false), ("correct horse battery staple", true)] {
        let mut client = server.connect("mx");
        client.expect("EHLO client.example.net", "250");
        client.starttls(&Terms::asking_for("mail.mydomain.com"));
        client.expect("EHLO client.example.net", "250");
        let signed_in = client.sign_in("ann@mydomain.com", password);
        assert_eq!(signed_in.starts_with("235"), may, "{signed_in}");
        client.expect("MAIL FROM:<ann@mydomain.com>", "250");
        let reply = client.say("RCPT TO:<friend@relay.example>");
        assert_eq!(reply.starts_with("250"), may, "{reply}");
    }
}

#[test]
fn signing_in_before_tls_counts_for_nothing_after_it() {
    let outside = Outside::new();
    let text = format!(
        "{CLOSED}\nrules {{ rule open_wide {{ plain-connections authenticated plain }} }}\n"
    );
    let server = Server::start(&outside.around(&text));
    server.account("ann@mydomain.com", "correct horse battery staple");
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    assert!(client.sign_in("ann@mydomain.com", "correct horse battery staple").starts_with("235"));
    client.starttls(&Terms::asking_for("mail.mydomain.com"));
    client.expect("EHLO client.example.net", "250");
    client.expect("MAIL FROM:<ann@mydomain.com>", "250");
    client.expect("RCPT TO:<victim@relay.example>", "550 5.7.1");
}

#[test]
fn parameters_and_header_fields_lead_no_message_elsewhere() {
    let outside = Outside::new();
    let server = Server::start(&outside.around(CLOSED));
    let mut client = server.connect("mx");
    client.expect("EHLO client.example.net", "250");
    client.expect("MAIL FROM:<ann@mydomain.com> AUTH=<ann@mydomain.com>", "5");
    client.expect("MAIL FROM:<ann@mydomain.com>", "250");
    client.expect("RCPT TO:<victim@relay.example> ORCPT=rfc822;ann@mydomain.com", "550 5.7.1");
    client.expect("RCPT TO:<ann@mydomain.com> ORCPT=rfc822;victim@relay.example", "250");
    client.expect("DATA", "354");
    let message = "To: victim@relay.example\r\nCc: <victim@relay.example>\r\n\
                   Bcc: victim@relay.example\r\nResent-To: victim@relay.example\r\n\
                   Apparently-To: victim@relay.example\r\nErrors-To: victim@relay.example\r\n\
                   Disposition-Notification-To: victim@relay.example\r\n\
                   Return-Receipt-To: victim@relay.example\r\n\r\nText\r\n.";
    client.expect(message, "250");
    assert_eq!(server.wait_for_mail("ann@mydomain.com", 1).len(), 1);
    queue_holds_only(&server, &["mydomain.com"]);
    outside.has_nothing();
}

#[test]
fn an_alias_does_not_carry_strangers_elsewhere() {
    let outside = Outside::new();
    let server =
        Server::start(&outside.around(&CLOSED.replace("recipients any", "recipients accounts")));
    server.account("ann@mydomain.com", "correct horse battery staple");
    server.ok(&["account", "alias", "office@mydomain.com", "ann@mydomain.com"]);
    // The administrator may send the mail of one name elsewhere; that opens nothing else.
    server.ok(&["account", "alias", "away@mydomain.com", "friend@relay.example"]);
    let mut client = server.connect("mx");
    client.expect("EHLO mail.mydomain.com", "250");
    client.expect("MAIL FROM:<>", "250");
    for path in
        ["office%relay.example", "office!victim", "relay.example!office", "away%relay.example"]
    {
        client.expect(&format!("RCPT TO:<{path}@mydomain.com>"), "550 5.1.1");
    }
    for path in ["office@relay.example", "friend@relay.example", "away@relay.example"] {
        client.expect(&format!("RCPT TO:<{path}>"), "550 5.7.1");
    }
    client.expect("RCPT TO:<OFFICE@MyDomain.com>", "250");
    outside.has_nothing();
}

#[test]
fn a_domain_listed_as_route_or_host_is_no_reason_to_relay_to_it() {
    let outside = Outside::new();
    let port = outside.partner.address().port();
    let text = format!(
        "{CLOSED}\nhosts {{ mx.relay.example 127.0.0.1 }}\n\
         mx {{ relay.example mx.relay.example:{port} }}\nforce-encrypt {{ relay.example; other.example }}\n"
    );
    let server = Server::start(&outside.around(&text));
    let mut client = server.connect("mx");
    client.expect("EHLO mail.mydomain.com", "250");
    client.starttls(&Terms::asking_for("mail.mydomain.com"));
    client.expect("EHLO mail.mydomain.com", "250");
    for sender in ["partner@relay.example", "", "ann@mydomain.com"] {
        let mail = client.say(&format!("MAIL FROM:<{sender}>"));
        if mail.starts_with("250") {
            client.expect("RCPT TO:<victim@relay.example>", "550 5.7");
            client.expect("RSET", "250");
        }
    }
    outside.has_nothing();
}
