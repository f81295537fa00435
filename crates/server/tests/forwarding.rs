//! Mail that is sent on leaves with a sender of ours, and its bounce finds the way back.

mod support;

use lab::{Partner, Script};
use support::Server;
use support::partners::Lab;

/// Strangers without DNS.
const UNCHECKED: &str = "sender-authentication { mode off }\n";
const PASSWORD: &str = "correct horse battery staple";

/// A forwarder between a stranger's server and the place the mail goes to.
struct Site {
    server: Server,
    lab: Lab,
    outside: Partner,
    stranger: Partner,
}

impl Site {
    fn new(srs: &str) -> Self {
        let lab = Lab::new();
        let outside = lab.partner(Script::named("outside.test"));
        let stranger = lab.partner(Script::named("stranger.test"));
        let server = Server::start(&format!(
            "hostname mail.inside.test\n\
             data @DIR@/data\n\
             certificate mail {{ local-authority; names mail.inside.test }}\n\
             listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}\n\
             domain inside.test {{ mailboxes local }}\n\
             mx {{ outside.test 127.0.0.1:{}; stranger.test 127.0.0.1:{} }}\n\
             rules {{ rule on {{ when all {{ recipient is fwd@inside.test }}; redirect bob@outside.test }} }}\n\
             {srs}\n",
            outside.address().port(),
            stranger.address().port()
        ));
        for name in ["fwd", "ann"] {
            server.account(&format!("{name}@inside.test"), PASSWORD);
        }
        Self { server, lab, outside, stranger }
    }

    /// Sends a message to the forwarded address and gives the sender it leaves with.
    fn forwarded(&self, from: &str) -> String {
        let mut client = self.server.connect("mx");
        client.expect("EHLO client.test", "250");
        let content = "From: x@stranger.test\nSubject: on\n\nHi\n";
        let reply = client.message(from, &["fwd@inside.test"], content);
        assert!(reply.starts_with("250"), "{reply}");
        let messages = self.lab.wait_for(&self.outside, 1);
        self.outside.forget_messages();
        messages[0].sender.clone()
    }
}

#[test]
fn a_stranger_s_mail_is_sent_on_with_our_sender_and_its_bounce_comes_back_to_them() {
    let site = Site::new(&format!("{UNCHECKED}srs {{ domain srs.inside.test }}"));
    let sender = site.forwarded("ann.lee@stranger.test");
    assert!(sender.starts_with("SRS0=") && sender.ends_with("@srs.inside.test"), "{sender}");
    assert!(sender.contains("=stranger.test=ann.lee@"), "{sender}");
    let mut bouncing = site.server.connect("mx");
    bouncing.expect("EHLO outside.test", "250");
    let reply = bouncing.message("", &[&sender], "Subject: Undelivered\n\nNo such user.\n");
    assert!(reply.starts_with("250"), "{reply}");
    let bounces = site.lab.wait_for(&site.stranger, 1);
    assert_eq!(bounces[0].sender, "");
    let to: Vec<_> = bounces[0].recipients.iter().map(|r| r.address.clone()).collect();
    assert_eq!(to, ["ann.lee@stranger.test"]);
}

#[test]
fn forged_addresses_and_mail_that_is_no_bounce_are_refused() {
    let site = Site::new(&format!("{UNCHECKED}srs {{ domain srs.inside.test }}"));
    let sender = site.forwarded("ann@stranger.test");
    let mut client = site.server.connect("mx");
    client.expect("EHLO outside.test", "250");
    client.expect("MAIL FROM:<eve@outside.test>", "250");
    client.expect(&format!("RCPT TO:<{sender}>"), "550 5.7.1 Only bounces");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<>", "250");
    let forged = sender.replace("=ann@", "=eve@");
    client.expect(&format!("RCPT TO:<{forged}>"), "550 5.7.1 This rewritten address was not made");
    client.expect("RCPT TO:<SRS0=x@srs.inside.test>", "550 5.7.1");
    client.expect("RCPT TO:<somebody@srs.inside.test>", "550");
    client.expect(&format!("RCPT TO:<{sender}>"), "250");
    assert_eq!(site.stranger.complete_messages().len(), 0);
}

#[test]
fn our_own_senders_and_the_null_sender_stay_as_they_are() {
    let site = Site::new(&format!("{UNCHECKED}srs {{ domain srs.inside.test }}"));
    assert_eq!(site.forwarded("ann@inside.test"), "ann@inside.test");
    assert_eq!(site.forwarded(""), "");
    let second = site.forwarded("SRS0=AAAA=BB=first.test=eve@stranger.test");
    assert!(second.starts_with("SRS1="), "{second}");
    assert!(second.ends_with("=stranger.test==AAAA=BB=first.test=eve@srs.inside.test"), "{second}");
    let off = Site::new(UNCHECKED);
    assert_eq!(off.forwarded("ann@stranger.test"), "ann@stranger.test");
}
