//! What is refused, and what is not, when the results have consequences.

use lab::{Behaviour, Records};

use crate::signing::{Key, Set, sign};
use crate::world::{Sending, World, field};

const MESSAGE: &str = "From: ann@r.test\r\nSubject: x\r\n\r\nText\r\n";

fn records() -> Records {
    Records::new()
        .ttl(0)
        .txt("no.test", "v=spf1 -all exp=why.test")
        .txt("why.test", "See %{o}")
        .txt("soft.test", "v=spf1 ~all")
        .txt("broken.test", "v=spf1 moo")
        .behave("silent.test", Behaviour::Silent)
        .txt("ok.test", "v=spf1 ip4:192.0.2.1 -all")
        .txt("_dmarc.r.test", "v=DMARC1; p=reject")
        .txt("_dmarc.q.test", "v=DMARC1; p=quarantine")
        .behave("_dmarc.silent.test", Behaviour::Silent)
}

/// Sends from 192.0.2.`client`, and gives the last reply.
fn send(world: &World, client: u8, helo: &str, from: &str, message: &str) -> String {
    let client = [192, 0, 2, client].into();
    world.send(&Sending { client, helo, from, to: "ann@inside.test", message })
}

#[test]
fn what_is_not_from_whom_it_says_is_refused_with_the_reason() {
    let world = World::new("exempt 192.0.2.200/32; spf { softfail quarantine }");
    world.publish(records());
    let clear = "From: ann@clear.test\r\nSubject: x\r\n\r\nText\r\n";
    for (client, helo, from, message, expected) in [
        (
            9,
            "h.test",
            "a@no.test",
            clear,
            "550 5.7.23 SPF: no.test does not let 192.0.2.9 send for it: See no.test",
        ),
        (
            9,
            "ok.test",
            "a@clear.test",
            clear,
            "550 5.7.23 SPF: ok.test does not let 192.0.2.9 send for it",
        ),
        (9, "ok.test", "", clear, "550 5.7.23 SPF: ok.test does not let 192.0.2.9 send for it"),
        (
            9,
            "h.test",
            "a@silent.test",
            clear,
            "451 4.4.3 SPF: the SPF record of silent.test could not be had",
        ),
        (9, "h.test", "a@broken.test", clear, "250 "),
        (9, "h.test", "a@soft.test", clear, "250 "),
        (1, "h.test", "a@ok.test", clear, "250 "),
        (200, "h.test", "a@no.test", MESSAGE, "250 "),
        (
            1,
            "h.test",
            "a@ok.test",
            MESSAGE,
            "550 5.7.26 DMARC: r.test does not stand behind this message, and the policy of r.test is reject",
        ),
        (
            1,
            "h.test",
            "a@ok.test",
            "From: a@silent.test\r\n\r\nText\r\n",
            "451 4.4.3 DMARC: silent.test could not be checked",
        ),
        (
            1,
            "h.test",
            "a@ok.test",
            "From: a@r.test\r\nFrom: b@ok.test\r\n\r\nText\r\n",
            "550 5.6.0 the message has more than one From field",
        ),
        (
            1,
            "h.test",
            "a@ok.test",
            "Subject: x\r\n\r\nText\r\n",
            "550 5.6.0 the message has no From field",
        ),
    ] {
        let reply = send(&world, client, helo, from, message);
        assert!(reply.starts_with(expected), "{from}: expected {expected}, got {reply}");
    }
    // One is held, and a record and a trace of it say why.
    let held = world.server.ok(&["quarantine", "list"]);
    assert!(held.contains("SPF: the sender's domain probably does not let"), "{held}");
    let reply = send(&world, 1, "h.test", "a@ok.test", "From: a@q.test\r\n\r\nText\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    let id = reply.rsplit(' ').next().unwrap_or_default().to_owned();
    let trace = world.server.ok(&["trace", &id]);
    assert!(trace.contains("spf pass ok.test ip4:192.0.2.1"), "{trace}");
    assert!(trace.contains("dmarc fail q.test p=quarantine"), "{trace}");
    assert!(trace.contains("dmarc-quarantine"), "{trace}");
    let rules = world.server.ok(&["config", "show", "--built-in"]);
    for name in ["spf-fail", "spf-helo-fail", "spf-softfail", "spf-temperror", "dmarc-reject"] {
        assert!(rules.contains(&format!("rule {name} ")), "{name}\n{rules}");
    }
    assert!(!rules.contains("rule spf-neutral "), "{rules}");
}

#[test]
fn a_trusted_handler_saves_what_it_found_to_be_authentic() {
    let world = World::new("arc { trusted-sealers s.test }");
    let key = Key::rsa();
    let records = records()
        .txt("r._domainkey.s.test", &key.record())
        .txt("r._domainkey.else.test", &key.record());
    world.publish(records);
    let sealed = |set: Set<'_>| set.seal(MESSAGE, &key);
    let failed = "list.test; dmarc=fail header.from=r.test";
    let changed = sealed(Set::of(1)).replace("Text", "Changed");
    let by_others = Set { domain: "else.test", ..Set::of(1) };
    let later = Set { domain: "else.test", ..Set::of(2) }.seal(&sealed(Set::of(1)), &key);
    for (message, expected) in [
        (sealed(Set::of(1)), "250 "),
        (sealed(by_others), "550 5.7.26 "),
        (sealed(Set { results: failed, ..Set::of(1) }), "550 5.7.26 "),
        (changed, "550 5.7.26 "),
        (later, "550 5.7.26 "),
    ] {
        let reply = send(&world, 1, "h.test", "list@ok.test", &message);
        assert!(reply.starts_with(expected), "expected {expected}, got {reply}\n{message}");
    }
    let header = world.header_of("ann@inside.test");
    let results = field(&header, "Authentication-Results");
    assert!(results.contains("dis=none because=trusted_forwarder"), "{results}");
}

#[test]
fn rules_see_every_result() {
    let world = World::new(
        "mode annotate }\n\
        rules {\n\
          rule a { when all { spf is softfail; spf helo is none; arc is none } ; add-header X-A yes }\n\
          rule b { when all { dkim is pass; dkim domain is .s.test } ; add-header X-B yes }\n\
          rule c { when all { dmarc is fail; dmarc policy is reject; dmarc disposition is reject } ; add-header X-C yes }\n\
          rule d { when all { author domain is r.test } ; add-header X-D yes }\n\
        }\n\
        table unused domains { x.test ",
    );
    let key = Key::ed25519();
    world.publish(records().txt("e._domainkey.a.s.test", &key.record()));
    let tags = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=a.s.test; s=e; h=from";
    let message = sign(MESSAGE, "DKIM-Signature", tags, &key);
    let reply = send(&world, 9, "h.test", "a@soft.test", &message);
    assert!(reply.starts_with("250 "), "{reply}");
    let header = world.header_of("ann@inside.test");
    for name in ["X-A", "X-B", "X-C", "X-D"] {
        assert_eq!(field(&header, name), "yes", "{name}\n{header}");
    }
}

#[test]
fn fields_that_claim_to_be_ours_are_removed() {
    let world = World::new("mode annotate");
    world.publish(records());
    let message = "Authentication-Results: (x) \"mail.test\" 1; spf=pass smtp.mailfrom=evil\r\n\
        Received-SPF: pass (evil) receiver=mail.test; client-ip=192.0.2.9\r\n\
        From: ann@clear.test\r\n\r\nText\r\n";
    assert!(send(&world, 9, "h.test", "a@no.test", message).starts_with("250 "));
    let header = world.header_of("ann@inside.test");
    assert!(!header.contains("evil"), "{header}");
    assert_eq!(header.matches("Authentication-Results:").count(), 1, "{header}");
    assert!(field(&header, "Authentication-Results").contains("spf=fail"), "{header}");
    assert_eq!(field(&header, "Received-SPF").split(' ').next(), Some("fail"), "{header}");
}
