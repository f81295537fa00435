use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const ORIGINAL: &[u8] = b"From: Ana <ana@clinic.example>\r\nTo: dr@bank.example\r\n\
    Subject: MRI results\r\nMessage-ID: <m1@clinic.example>\r\n\r\nThe results are in.\r\n";

struct World {
    host: Domain,
    ana: Address,
}

impl World {
    fn new() -> Self {
        Self {
            host: Domain::parse("mx.clinic.example").unwrap(),
            ana: Address::parse("ana@clinic.example").unwrap(),
        }
    }

    fn notice<'a>(&'a self, recipients: &'a [RecipientNotice]) -> Notice<'a> {
        Notice {
            id: TraceId::from_bytes([2; 16]),
            at: Timestamp(1_772_449_331_000),
            reporting_mta: &self.host,
            from: None,
            to: &self.ana,
            smtputf8: false,
            original_id: TraceId::from_bytes([1; 16]),
            envid: None,
            arrival: Timestamp(1_772_445_731_042),
            received_from: Some("desk.clinic.example"),
            dsn_return: None,
            recipients,
            original: Original { content: ORIGINAL, whole: true },
        }
    }
}

fn to(recipient: &str, action: Action, status: Status, reason: Reason) -> RecipientNotice {
    RecipientNotice {
        recipient: Address::parse(recipient).unwrap(),
        orcpt: None,
        action,
        status,
        reason,
        remote_mta: None,
        reply: None,
        last_attempt: Some(Timestamp(1_772_449_330_000)),
    }
}

fn shortfall() -> Reason {
    Reason::Protection(Shortfall {
        domain: Domain::parse("bank.example").unwrap(),
        demanded: "an encrypted connection to a verified server".into(),
        demanded_by: "Force Encrypt".into(),
        found: "mx1.bank.example does not offer TLS".into(),
    })
}

fn check(notice: &Notice<'_>, expected: &Expect) {
    let composed = notice.compose();
    let text = String::from_utf8(composed.content).unwrap();
    assert!(text.lines().all(|line| line.len() <= 998));
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    expected.assert_eq(&text.replace('\r', ""));
}

#[test]
fn a_message_that_could_not_be_protected_says_so_in_plain_words() {
    let world = World::new();
    let recipients = [to("dr@bank.example", Action::Failed, Status::new(5, 7, 10), shortfall())];
    let mut notice = world.notice(&recipients);
    notice.dsn_return = Some(DsnReturn::Full);
    check(
        &notice,
        &expect![[r#"
            From: Mail Delivery System <MAILER-DAEMON@mx.clinic.example>
            To: <ana@clinic.example>
            Subject: Not sent: MRI results
            Date: Mon, 02 Mar 2026 11:02:11 +0000
            Message-ID: <02081040G2081040G2081040G2@mx.clinic.example>
            In-Reply-To: <m1@clinic.example>
            References: <m1@clinic.example>
            Auto-Submitted: auto-replied
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
            	boundary="mailkeep-02081040G2081040G2081040G2"

            This is a delivery status notification in MIME format.

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: text/plain; charset=utf-8

            Your message was not sent to this recipient:

                Subject: MRI results
                Accepted: Mon, 02 Mar 2026 10:02:11 +0000

            dr@bank.example

                Your message to dr@bank.example was not sent because bank.example
                could not receive it with the protection that is required. Nothing
                was sent without that protection.

                Required: an encrypted connection to a verified server (Force
                Encrypt)
                Found: mx1.bank.example does not offer TLS

                What you can do: reach the recipient in another secure way, or ask
                whoever runs mail there to offer encrypted connections. Your
                administrator can tell you who requires the protection and why.

            -- 
            This notice was written by the mail server mx.clinic.example. Your
            administrator can follow the message there under the name
            01040G2081040G2081040G2081.


            --mailkeep-02081040G2081040G2081040G2
            Content-Type: message/delivery-status

            Reporting-MTA: dns; mx.clinic.example
            Received-From-MTA: dns; desk.clinic.example
            Arrival-Date: Mon, 02 Mar 2026 10:02:11 +0000

            Final-Recipient: rfc822; dr@bank.example
            Action: failed
            Status: 5.7.10
            Last-Attempt-Date: Mon, 02 Mar 2026 11:02:10 +0000

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: text/rfc822-headers

            From: Ana <ana@clinic.example>
            To: dr@bank.example
            Subject: MRI results
            Message-ID: <m1@clinic.example>

            --mailkeep-02081040G2081040G2081040G2--
        "#]],
    );
}

#[test]
fn a_hold_says_until_when_and_what_can_be_done() {
    let world = World::new();
    let until = Timestamp(1_772_449_331_000 + 4 * 3_600_000);
    let delayed = Action::Delayed { retry_until: until };
    let recipients = [to("dr@bank.example", delayed, Status::new(4, 7, 10), shortfall())];
    check(
        &world.notice(&recipients),
        &expect![[r#"
            From: Mail Delivery System <MAILER-DAEMON@mx.clinic.example>
            To: <ana@clinic.example>
            Subject: Delayed: MRI results
            Date: Mon, 02 Mar 2026 11:02:11 +0000
            Message-ID: <02081040G2081040G2081040G2@mx.clinic.example>
            In-Reply-To: <m1@clinic.example>
            References: <m1@clinic.example>
            Auto-Submitted: auto-replied
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
            	boundary="mailkeep-02081040G2081040G2081040G2"

            This is a delivery status notification in MIME format.

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: text/plain; charset=utf-8

            Your message is waiting and has not been delivered to this recipient
            yet. You need not send it again:

                Subject: MRI results
                Accepted: Mon, 02 Mar 2026 10:02:11 +0000

            dr@bank.example

                Your message to dr@bank.example has not been sent yet because
                bank.example could not receive it with the protection that is
                required. Nothing was sent without that protection.

                Required: an encrypted connection to a verified server (Force
                Encrypt)
                Found: mx1.bank.example does not offer TLS

                What you can do: wait, as the fault may pass; ask your administrator
                to cancel the message; or reach the recipient in another secure way.

                This server keeps trying until Mon, 02 Mar 2026 15:02:11 +0000 (4
                hours from now) and tells you if it gives up.

            -- 
            This notice was written by the mail server mx.clinic.example. Your
            administrator can follow the message there under the name
            01040G2081040G2081040G2081.


            --mailkeep-02081040G2081040G2081040G2
            Content-Type: message/delivery-status

            Reporting-MTA: dns; mx.clinic.example
            Received-From-MTA: dns; desk.clinic.example
            Arrival-Date: Mon, 02 Mar 2026 10:02:11 +0000

            Final-Recipient: rfc822; dr@bank.example
            Action: delayed
            Status: 4.7.10
            Last-Attempt-Date: Mon, 02 Mar 2026 11:02:10 +0000
            Will-Retry-Until: Mon, 02 Mar 2026 15:02:11 +0000

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: text/rfc822-headers

            From: Ana <ana@clinic.example>
            To: dr@bank.example
            Subject: MRI results
            Message-ID: <m1@clinic.example>

            --mailkeep-02081040G2081040G2081040G2--
        "#]],
    );
}

#[test]
fn a_refusal_is_explained_and_the_remote_reply_repeated() {
    let world = World::new();
    let mut unknown =
        to("nobody@partner.example", Action::Failed, Status::new(5, 1, 1), Reason::Refused);
    unknown.remote_mta = Some("mx.partner.example".into());
    unknown.reply = Some("550-5.1.1 No such user\r\n550 5.1.1 here".into());
    unknown.orcpt = Some("rfc822;somebody@partner.example".into());
    let expired = to(
        "late@slow.example",
        Action::Failed,
        Status::new(5, 4, 7),
        Reason::Expired {
            after: Duration::from_secs(4 * 86_400),
            last: Some("connection timed out".into()),
        },
    );
    let recipients = [unknown, expired];
    let mut notice = world.notice(&recipients);
    notice.envid = Some("QQ314159");
    notice.dsn_return = Some(DsnReturn::Full);
    check(
        &notice,
        &expect![[r#"
            From: Mail Delivery System <MAILER-DAEMON@mx.clinic.example>
            To: <ana@clinic.example>
            Subject: Not delivered: MRI results
            Date: Mon, 02 Mar 2026 11:02:11 +0000
            Message-ID: <02081040G2081040G2081040G2@mx.clinic.example>
            In-Reply-To: <m1@clinic.example>
            References: <m1@clinic.example>
            Auto-Submitted: auto-replied
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
            	boundary="mailkeep-02081040G2081040G2081040G2"

            This is a delivery status notification in MIME format.

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: text/plain; charset=utf-8

            Your message was not delivered to these recipients:

                Subject: MRI results
                Accepted: Mon, 02 Mar 2026 10:02:11 +0000

            nobody@partner.example

                The receiving server does not know this address. Please check its
                spelling.

                The server mx.partner.example answered:

                    550-5.1.1 No such user 550 5.1.1 here

            late@slow.example

                It was tried for 4 days and has now been given up. The last
                obstacle: connection timed out.

            -- 
            This notice was written by the mail server mx.clinic.example. Your
            administrator can follow the message there under the name
            01040G2081040G2081040G2081.


            --mailkeep-02081040G2081040G2081040G2
            Content-Type: message/delivery-status

            Reporting-MTA: dns; mx.clinic.example
            Original-Envelope-Id: QQ314159
            Received-From-MTA: dns; desk.clinic.example
            Arrival-Date: Mon, 02 Mar 2026 10:02:11 +0000

            Original-Recipient: rfc822; somebody@partner.example
            Final-Recipient: rfc822; nobody@partner.example
            Action: failed
            Status: 5.1.1
            Remote-MTA: dns; mx.partner.example
            Diagnostic-Code: smtp; 550-5.1.1 No such user 550 5.1.1 here
            Last-Attempt-Date: Mon, 02 Mar 2026 11:02:10 +0000

            Final-Recipient: rfc822; late@slow.example
            Action: failed
            Status: 5.4.7
            Last-Attempt-Date: Mon, 02 Mar 2026 11:02:10 +0000

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: message/rfc822

            From: Ana <ana@clinic.example>
            To: dr@bank.example
            Subject: MRI results
            Message-ID: <m1@clinic.example>

            The results are in.

            --mailkeep-02081040G2081040G2081040G2--
        "#]],
    );
}

#[test]
fn success_is_confirmed_without_the_body() {
    let world = World::new();
    let recipients = [
        to("ann@clinic.example", Action::Delivered, Status::new(2, 1, 5), Reason::Done),
        to("bob@old.example", Action::Relayed, Status::new(2, 1, 9), Reason::Done),
    ];
    let mut notice = world.notice(&recipients);
    notice.dsn_return = Some(DsnReturn::Full);
    check(
        &notice,
        &expect![[r#"
            From: Mail Delivery System <MAILER-DAEMON@mx.clinic.example>
            To: <ana@clinic.example>
            Subject: Delivered: MRI results
            Date: Mon, 02 Mar 2026 11:02:11 +0000
            Message-ID: <02081040G2081040G2081040G2@mx.clinic.example>
            In-Reply-To: <m1@clinic.example>
            References: <m1@clinic.example>
            Auto-Submitted: auto-replied
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
            	boundary="mailkeep-02081040G2081040G2081040G2"

            This is a delivery status notification in MIME format.

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: text/plain; charset=utf-8

            Your message has arrived as far as this server can follow it, for each
            of:

                Subject: MRI results
                Accepted: Mon, 02 Mar 2026 10:02:11 +0000

            ann@clinic.example

                It was delivered.

            bob@old.example

                It was passed on to the mail server of old.example, which sends no
                confirmation of its own.

            -- 
            This notice was written by the mail server mx.clinic.example. Your
            administrator can follow the message there under the name
            01040G2081040G2081040G2081.


            --mailkeep-02081040G2081040G2081040G2
            Content-Type: message/delivery-status

            Reporting-MTA: dns; mx.clinic.example
            Received-From-MTA: dns; desk.clinic.example
            Arrival-Date: Mon, 02 Mar 2026 10:02:11 +0000

            Final-Recipient: rfc822; ann@clinic.example
            Action: delivered
            Status: 2.1.5
            Last-Attempt-Date: Mon, 02 Mar 2026 11:02:10 +0000

            Final-Recipient: rfc822; bob@old.example
            Action: relayed
            Status: 2.1.9
            Last-Attempt-Date: Mon, 02 Mar 2026 11:02:10 +0000

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: text/rfc822-headers

            From: Ana <ana@clinic.example>
            To: dr@bank.example
            Subject: MRI results
            Message-ID: <m1@clinic.example>

            --mailkeep-02081040G2081040G2081040G2--
        "#]],
    );
}

#[test]
fn addresses_beyond_ascii_use_the_global_forms_only_for_senders_that_read_them() {
    let world = World::new();
    let recipients =
        [to("jürgen@bücher.example", Action::Failed, Status::new(5, 1, 1), Reason::Refused)];
    let mut notice = world.notice(&recipients);
    let original = "Subject: Grüße\r\n\r\nHallo Jürgen\r\n";
    notice.original = Original { content: original.as_bytes(), whole: true };
    notice.dsn_return = Some(DsnReturn::Full);
    let plain = String::from_utf8(notice.compose().content).unwrap();
    assert!(plain.contains("Final-Recipient: utf-8; j\\x{FC}rgen@xn--bcher-kva.example\r\n"));
    assert!(plain.contains("Content-Type: text/rfc822-headers\r\n"));
    notice.smtputf8 = true;
    check(
        &notice,
        &expect![[r#"
            From: Mail Delivery System <MAILER-DAEMON@mx.clinic.example>
            To: <ana@clinic.example>
            Subject: =?utf-8?B?Tm90IGRlbGl2ZXJlZDogR3LDvMOfZQ==?=
            Date: Mon, 02 Mar 2026 11:02:11 +0000
            Message-ID: <02081040G2081040G2081040G2@mx.clinic.example>
            Auto-Submitted: auto-replied
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=global-delivery-status;
            	boundary="mailkeep-02081040G2081040G2081040G2"

            This is a delivery status notification in MIME format.

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: quoted-printable

            Your message was not delivered to this recipient:

                Subject: Gr=C3=BC=C3=9Fe
                Accepted: Mon, 02 Mar 2026 10:02:11 +0000

            j=C3=BCrgen@xn--bcher-kva.example

                The receiving server does not know this address. Please check its
                spelling.

            --=20
            This notice was written by the mail server mx.clinic.example. Your
            administrator can follow the message there under the name
            01040G2081040G2081040G2081.


            --mailkeep-02081040G2081040G2081040G2
            Content-Type: message/global-delivery-status
            Content-Transfer-Encoding: quoted-printable

            Reporting-MTA: dns; mx.clinic.example
            Received-From-MTA: dns; desk.clinic.example
            Arrival-Date: Mon, 02 Mar 2026 10:02:11 +0000

            Final-Recipient: utf-8; j=C3=BCrgen@xn--bcher-kva.example
            Action: failed
            Status: 5.1.1
            Last-Attempt-Date: Mon, 02 Mar 2026 11:02:10 +0000

            --mailkeep-02081040G2081040G2081040G2
            Content-Type: message/global
            Content-Transfer-Encoding: base64

            U3ViamVjdDogR3LDvMOfZQ0KDQpIYWxsbyBKw7xyZ2VuDQo=

            --mailkeep-02081040G2081040G2081040G2--
        "#]],
    );
}

#[test]
fn a_sender_beyond_ascii_makes_the_notice_need_smtputf8() {
    let mut world = World::new();
    let recipients = [to("a@b.example", Action::Failed, Status::new(5, 1, 1), Reason::Refused)];
    assert!(!world.notice(&recipients).compose().smtputf8);
    world.ana = Address::parse("änä@clinic.example").unwrap();
    let composed = world.notice(&recipients).compose();
    assert!(composed.smtputf8);
    assert_eq!(composed.body, Body::EightBitMime);
}

#[test]
fn a_body_is_returned_only_when_asked_for_and_fit_to_travel() {
    let world = World::new();
    let recipients = [to("a@b.example", Action::Failed, Status::new(5, 1, 1), Reason::Refused)];
    let returned = |ret, content, whole| {
        let mut notice = world.notice(&recipients);
        notice.dsn_return = ret;
        notice.original = Original { content, whole };
        let text = String::from_utf8(notice.compose().content).unwrap();
        assert!(text.is_ascii());
        text.contains("message/rfc822\r\n")
    };
    assert!(returned(Some(DsnReturn::Full), ORIGINAL, true));
    assert!(!returned(Some(DsnReturn::Full), ORIGINAL, false));
    assert!(!returned(Some(DsnReturn::Headers), ORIGINAL, true));
    assert!(!returned(None, ORIGINAL, true));
    assert!(!returned(Some(DsnReturn::Full), "A: b\r\n\r\ngrüß\r\n".as_bytes(), true));
    assert!(!returned(Some(DsnReturn::Full), b"A: b\r\n\r\nno line end", true));
}

proptest! {
    /// Whatever others wrote, the notice has three parts, its own fields, and no more.
    #[test]
    fn nothing_in_a_remote_text_can_begin_a_field_or_a_part(
        reply in "(\\PC|[\r\n\t\0-]){0,200}", host in "(\\PC|[\r\n]){0,40}",
        envid in "(\\PC|[\r\n]){0,40}", orcpt in "[a-z0-9]{1,5};(\\PC|[\r\n]){0,40}",
        subject in "[ -~]{0,90}", smtputf8: bool,
    ) {
        let world = World::new();
        let mut recipient =
            to("a@b.example", Action::Failed, Status::new(5, 1, 1), Reason::Refused);
        recipient.reply = Some(reply.clone());
        recipient.remote_mta = Some(host.clone());
        recipient.orcpt = Some(orcpt);
        recipient.reason = Reason::Other(reply);
        let recipients = [recipient];
        let mut notice = world.notice(&recipients);
        notice.envid = Some(&envid);
        notice.received_from = Some(&host);
        notice.smtputf8 = smtputf8;
        let original = format!("Subject: {subject}\r\nMessage-ID: {subject}\r\n\r\n");
        notice.original = Original { content: original.as_bytes(), whole: true };
        let composed = notice.compose();
        prop_assert!(composed.content.is_ascii());
        let text = String::from_utf8(composed.content).unwrap();
        prop_assert_eq!(text.matches("\n--mailkeep-").count(), 4);
        prop_assert!(text.lines().all(|line| line.len() <= 998));
        prop_assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        prop_assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
        let names: Vec<_> =
            Header::scan(text.as_bytes()).unwrap().fields().map(|f| f.name().to_owned()).collect();
        let known = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
            "Auto-Submitted", "MIME-Version", "Content-Type"];
        prop_assert!(names.iter().all(|name| known.contains(&name.as_str())), "{:?}", names);
        if !smtputf8 {
            let status = text.split("message/delivery-status\r\n\r\n").nth(1).unwrap();
            let status = status.split("\r\n--mailkeep").next().unwrap();
            prop_assert_eq!(status.matches("\r\n\r\n").count(), 1);
        }
    }
}
