//! Cases of DKIM (RFC 6376, 8301, 8463) and ARC (RFC 8617).

use lab::Records;

use crate::signing::{Key, Set, sign};
use crate::world::{Sending, World, field, result, word};

const MESSAGE: &str = "From: Ann <ann@s.test>\r\nTo: bob@inside.test\r\nSubject: A  case\r\n \
    folded\r\nDate: Mon, 02 Mar 2026 10:02:11 +0000\r\n\r\nHello  world \r\n\r\nend\r\n\r\n";

/// What a case sends and what it should come to.
struct Case {
    shows: &'static str,
    expected: &'static str,
    message: String,
}

struct Keys {
    rsa: Key,
    ed25519: Key,
}

const TAGS: &str = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=s.test; s=r; h=from:to:subject:date";

impl Keys {
    fn dkim(&self, tags: &str) -> String {
        self.dkim_over(MESSAGE, tags)
    }

    fn dkim_over(&self, message: &str, tags: &str) -> String {
        let key = if tags.contains("a=ed25519-sha256") { &self.ed25519 } else { &self.rsa };
        sign(message, "DKIM-Signature", tags, key)
    }

    /// Signed as usual, then changed.
    fn changed(&self, from: &str, to: &str) -> String {
        self.changed_under(TAGS, from, to)
    }

    fn changed_under(&self, tags: &str, from: &str, to: &str) -> String {
        let message = self.dkim(tags);
        assert!(message.contains(from), "{from}");
        message.replacen(from, to, 1)
    }

    /// Signed with one tag of [`TAGS`] replaced or added.
    fn with(&self, tag: &str) -> String {
        let name = tag.split('=').next().unwrap_or_default();
        let tags: Vec<&str> = TAGS
            .split("; ")
            .filter(|known| known.split('=').next() != Some(name))
            .chain([tag].into_iter().filter(|tag| tag.contains('=')))
            .collect();
        self.dkim(&tags.join("; "))
    }

    fn records(&self) -> Records {
        let (rsa, ed25519) = (self.rsa.record(), self.ed25519.record());
        let p = self.rsa.public();
        let key = |name: &str| format!("{name}._domainkey.s.test");
        Records::new()
            .ttl(0)
            .txt(&key("r"), &rsa)
            .txt(&key("e"), &ed25519)
            .txt(&key("bare"), &format!("p={p}"))
            .txt(&key("revoked"), "v=DKIM1; p=")
            .txt(&key("nokey"), "v=DKIM1; k=rsa")
            .txt(&key("two"), "some other text")
            .txt(&key("two"), &rsa)
            .txt(&key("version"), &format!("v=DKIM2; p={p}"))
            .txt(&key("late"), &format!("k=rsa; v=DKIM1; p={p}"))
            .txt(&key("sha1"), &format!("v=DKIM1; h=sha1; p={p}"))
            .txt(&key("hashes"), &format!("v=DKIM1; h=sha1 : sha256; p={p}"))
            .txt(&key("tlsrpt"), &format!("v=DKIM1; s=tlsrpt; p={p}"))
            .txt(&key("email"), &format!("v=DKIM1; s=email:tlsrpt; n=note; p={p}"))
            .txt(&key("trying"), &format!("v=DKIM1; t=y; p={p}"))
            .txt(&key("strict"), &format!("v=DKIM1; t=s; p={p}"))
            .txt(&key("garbage"), "v=DKIM1; p=!!!")
            .txt(&key("folded"), &format!("v=DKIM1; k = rsa ; p = {} {}", &p[..40], &p[40..]))
            .txt(&key("weak"), &format!("v=DKIM1; p={WEAK}"))
            .txt(&key("twice"), &format!("v=DKIM1; p={p}; p={p}"))
            .cname(&key("alias"), &key("r"))
            .behave(&key("silent"), lab::Behaviour::Silent)
            .behave(&key("servfail"), lab::Behaviour::ServFail)
            .txt("r._domainkey.other.test", &rsa)
    }
}

/// An RSA key of 512 bits.
const WEAK: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANnaBeyj8mnCAeMth3RKdDY53jBwhboq\
    umMCfGVxvAdyDdScoyVQFh3QU/oyDztAITD+8bEpwwracR4go7qhgi8CAwEAAQ==";

fn dkim_cases(keys: &Keys) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |expected, shows, message| cases.push(Case { shows, expected, message });
    for (algorithm, selector) in [("rsa-sha256", "r"), ("ed25519-sha256", "e")] {
        for c in ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"] {
            let tags = format!(
                "v=1; a={algorithm}; c={c}; d=s.test; s={selector}; h=from:to:subject:date"
            );
            case("pass", "every algorithm and form verifies", keys.dkim(&tags));
        }
    }
    let simple = TAGS.replace("relaxed/relaxed", "simple/simple");
    case("pass", "the form is simple if it is not said", keys.with("c"));
    case("pass", "one word is the form of the header", keys.with("c=relaxed"));
    case("fail", "a word of the body changed", keys.changed("world", "World"));
    case("fail", "a line was added to the body", keys.changed("end\r\n", "end\r\nmore\r\n"));
    case("pass", "empty lines at the end of the body are nothing", keys.dkim(TAGS) + "\r\n\r\n");
    case(
        "pass",
        "white space in the body is relaxed",
        keys.changed("Hello  world \r\n", "Hello\t world\r\n"),
    );
    case(
        "fail",
        "and in simple form is not",
        keys.changed_under(&simple, "Hello  world \r\n", "Hello world\r\n"),
    );
    case(
        "pass",
        "folding of a field is relaxed",
        keys.changed("A  case\r\n folded", "A case folded"),
    );
    case(
        "fail",
        "and in simple form is not",
        keys.changed_under(&simple, "A  case\r\n folded", "A  case folded"),
    );
    case(
        "pass",
        "the case of a field's name is relaxed",
        keys.changed("\r\nSubject:", "\r\nSUBJECT :"),
    );
    case(
        "fail",
        "and in simple form is not",
        keys.changed_under(&simple, "\r\nSubject:", "\r\nSUBJECT:"),
    );
    case("fail", "a signed field changed", keys.changed("ann@s.test", "eve@s.test"));
    case("fail", "a signed field was removed", keys.changed("To: bob@inside.test\r\n", ""));
    case(
        "pass",
        "a field that is not signed was added",
        keys.changed("Date:", "X-New: 1\r\nDate:"),
    );
    case(
        "fail",
        "another From below the signed one",
        keys.changed("To: bob", "From: eve@s.test\r\nTo: bob"),
    );
    let over = TAGS.replace("h=from:", "h=from:from:");
    case("pass", "a field may be signed once more than it stands", keys.dkim(&over));
    case(
        "fail",
        "so that none can be added",
        keys.changed_under(&over, "From:", "From: eve@s.test\r\nFrom:"),
    );
    case("pass", "a field that is not there may be signed", keys.with("h=from:cc:subject"));
    let absent = TAGS.replace("h=from:", "h=from:cc:");
    case(
        "fail",
        "and cannot be added then",
        keys.changed_under(&absent, "To: bob", "Cc: eve@s.test\r\nTo: bob"),
    );
    case("pass", "the order of signed fields does not matter", keys.with("h=date:subject:to:from"));
    case("permerror", "From must be signed", keys.with("h=to:subject"));
    case("permerror", "something must be signed", keys.with("h"));
    case("permerror", "the version is 1", keys.with("v=2"));
    case("permerror", "the version must be there", keys.with("v"));
    case("permerror", "the algorithm must be there", keys.with("a"));
    case("policy", "rsa-sha1 does not count (RFC 8301)", keys.with("a=rsa-sha1"));
    case("neutral", "an algorithm nobody knows", keys.with("a=dsa-sha256"));
    case("permerror", "the form must be known", keys.with("c=nofws"));
    case("permerror", "the domain must be there", keys.with("d"));
    case("permerror", "the domain must be one", keys.with("d=s..test"));
    case("permerror", "the selector must be there", keys.with("s"));
    case("permerror", "the hash of the body must be one", keys.with("bh=AAAA"));
    case("fail", "and the right one", keys.with("bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="));
    case("neutral", "a tag stands once", keys.dkim(&format!("{TAGS}; d=s.test")));
    case("pass", "tags nobody knows are left out", keys.with("xyz=1"));
    case("pass", "a signature may be folded anywhere", keys.changed("; b=", "; b=\r\n\t "));
    case("neutral", "two semicolons are an error", keys.with("x1=;"));
    case("pass", "an identity within the domain", keys.with("i=ann@s.test"));
    case("pass", "an identity below it", keys.with("i=@news.s.test"));
    case("permerror", "an identity that only ends like it", keys.with("i=@news.fs.test"));
    case("permerror", "an identity above it", keys.with("i=@test"));
    case("pass", "the way to the key may be named", keys.with("q=dns/txt"));
    case("permerror", "if it is one we know", keys.with("q=http"));
    case("pass", "a signature that still counts", keys.with("x=99999999999"));
    case("fail", "one that has expired", keys.with("x=1000000000"));
    case(
        "permerror",
        "one that expires before it is made",
        keys.dkim(&format!("{TAGS}; t=2000000000; x=1999999999")),
    );
    case("policy", "one from the future", keys.with("t=99999999999"));
    case("permerror", "times are numbers", keys.with("t=now"));
    case("pass", "a length over the whole body", keys.with("l=20"));
    case("policy", "a length over a part of it", keys.with("l=5"));
    case(
        "policy",
        "and what was added behind it",
        keys.changed_under(&format!("{TAGS}; l=20"), "end\r\n", "end\r\nmore\r\n"),
    );
    case("fail", "a length over more than it", keys.with("l=500"));
    case("permerror", "a length that is no number", keys.with("l=-1"));
    case("permerror", "there is no key", keys.with("s=nothing"));
    case("permerror", "the key was revoked", keys.with("s=revoked"));
    case("permerror", "the record has no key", keys.with("s=nokey"));
    case("pass", "a record may hold the key alone", keys.with("s=bare"));
    case("pass", "a key may be found by an alias", keys.with("s=alias"));
    case("pass", "another text beside the key is passed over", keys.with("s=two"));
    case("permerror", "a key of another version", keys.with("s=version"));
    case("permerror", "a key whose version does not stand first", keys.with("s=late"));
    case("permerror", "a key for sha1 alone", keys.with("s=sha1"));
    case("pass", "a key for several hashes", keys.with("s=hashes"));
    case("permerror", "a key for other things than mail", keys.with("s=tlsrpt"));
    case("pass", "a key for mail among others", keys.with("s=email"));
    case("pass", "a key of a domain that is trying verifies", keys.with("s=trying"));
    let trying = TAGS.replace("s=r", "s=trying");
    case(
        "neutral",
        "and what fails counts as unsigned",
        keys.changed_under(&trying, "world", "World"),
    );
    case("pass", "a strict key for its domain", keys.with("s=strict"));
    let strict = format!("{}; i=@news.s.test", TAGS.replace("s=r", "s=strict"));
    case("permerror", "is not for those below", keys.dkim(&strict));
    case("permerror", "a key that is not base64", keys.with("s=garbage"));
    case("pass", "a key with blanks in it", keys.with("s=folded"));
    case("permerror", "a key with a tag twice", keys.with("s=twice"));
    case("policy", "a key of 512 bits does not count (RFC 8301)", keys.with("s=weak"));
    case("permerror", "a key of another kind", keys.with("s=e"));
    case("temperror", "silence about the key", keys.with("s=silent"));
    case("temperror", "a failing server", keys.with("s=servfail"));
    case("none", "no signature at all", MESSAGE.to_owned());
    let empty = "From: ann@s.test\r\n\r\n";
    case(
        "pass",
        "an empty body, relaxed",
        keys.dkim_over(empty, "v=1; a=rsa-sha256; c=relaxed/relaxed; d=s.test; s=r; h=from"),
    );
    case(
        "pass",
        "an empty body, simple",
        keys.dkim_over(empty, "v=1; a=rsa-sha256; d=s.test; s=r; h=from"),
    );
    cases
}

fn arc_cases(keys: &Keys) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |expected, shows, message| cases.push(Case { shows, expected, message });
    let key = &keys.rsa;
    let chain = |count: usize| {
        (1..=count).fold(MESSAGE.to_owned(), |message, number| Set::of(number).seal(&message, key))
    };
    let changed = |count: usize, from: &str, to: &str| {
        let message = chain(count);
        assert!(message.contains(from), "{from}");
        message.replacen(from, to, 1)
    };
    let one = |set: Set<'_>| set.seal(MESSAGE, key);
    let seal_tags = |seal_tags| one(Set { seal_tags, ..Set::of(1) });
    let message_tags = |message_tags| one(Set { message_tags, ..Set::of(1) });
    case("none", "no chain at all", MESSAGE.to_owned());
    case("pass", "a chain of one", chain(1));
    case("pass", "a chain of three", chain(3));
    case("pass", "a chain of ten", chain(10));
    case("pass", "a chain of fifty", chain(50));
    case("fail", "a chain of fifty-one", chain(51));
    case("fail", "the body was changed after the last", changed(1, "world", "World"));
    case(
        "fail",
        "a signed field was changed after the last",
        changed(2, "ann@s.test", "eve@s.test"),
    );
    let twice = Set::of(2).seal(&changed(1, "world", "World"), key);
    case("pass", "the body may be changed between two", twice);
    case("fail", "the first seal was changed", changed(1, "cv=none; b=", "cv=none; b=AAAA"));
    case("fail", "the results were changed", changed(1, "dmarc=pass", "dmarc=fail"));
    case("fail", "the results of an older set were changed", {
        let message = chain(2);
        let at = message.rfind("dmarc=pass").expect("results");
        format!("{}dmarc=fail{}", &message[..at], &message[at + 10..])
    });
    case("fail", "a set lacks its seal", changed(1, "ARC-Seal:", "X-Seal:"));
    case("fail", "a set lacks its signature", changed(1, "ARC-Message-Signature:", "X-Signature:"));
    case(
        "fail",
        "a set lacks its results",
        changed(1, "ARC-Authentication-Results:", "X-Results:"),
    );
    case(
        "fail",
        "a seal alone",
        format!("ARC-Seal: i=1; a=rsa-sha256; d=s.test; s=r; cv=none; b=AAAA\r\n{MESSAGE}"),
    );
    case("fail", "the first set is missing", {
        let message = chain(2);
        message.replace(" i=1;", " i=3;")
    });
    case("fail", "a set stands twice", {
        let message = chain(1);
        let seal = message.lines().next().expect("a seal").to_owned();
        format!("{seal}\r\n{message}")
    });
    case("fail", "a set of number 0", changed(1, " i=1;", " i=0;"));
    case("fail", "a set of a number that is none", changed(1, " i=1;", " i=one;"));
    case("fail", "a set without a number", changed(1, "ARC-Seal: i=1;", "ARC-Seal:"));
    case("fail", "the first seal says pass", seal_tags("cv=pass"));
    case("fail", "the first seal says fail", seal_tags("cv=fail"));
    case("fail", "a seal says nothing of the chain", seal_tags("t=1"));
    case("fail", "a seal says what nobody knows", seal_tags("cv=perhaps"));
    let second = |seal_tags| Set { seal_tags, ..Set::of(2) }.seal(&chain(1), key);
    case("fail", "the second seal says none", second("cv=none"));
    case("fail", "the second seal says fail", second("cv=fail"));
    case("fail", "a seal must not say which fields", seal_tags("cv=none; h=from"));
    case("fail", "a tag of a seal stands twice", seal_tags("cv=none; cv=none"));
    case("pass", "tags of a seal that nobody knows", seal_tags("cv=none; xyz=1; t=1000000000"));
    case("fail", "a time of a seal that is none", seal_tags("cv=none; t=now"));
    case("pass", "a signature in simple form", message_tags("c=simple/simple; h=from:subject"));
    case(
        "pass",
        "a signature of one that is not the author",
        one(Set { domain: "other.test", ..Set::of(1) }),
    );
    case("pass", "From need not be signed here", message_tags("h=subject"));
    case("fail", "a seal must not be signed", message_tags("h=from:arc-seal"));
    case("fail", "a signature says what is signed", message_tags("c=relaxed/relaxed"));
    case("fail", "there is no key", one(Set { domain: "nowhere.test", ..Set::of(1) }));
    case(
        "pass",
        "a field's case and folding do not matter",
        changed(1, "ARC-Seal: i=1; a", "arc-seal:  i=1;\r\n\ta"),
    );
    case("fail", "rsa-sha1 does not count", changed(1, "a=rsa-sha256", "a=rsa-sha1"));
    cases
}

fn play(world: &World, method: &str, cases: &[Case]) {
    let mut wrong = String::new();
    let address = |at: usize| format!("{method}{at}@inside.test");
    for (at, case) in cases.iter().enumerate() {
        let reply = world.send(&Sending {
            client: [192, 0, 2, 1].into(),
            helo: "h.test",
            from: "ann@nothing.test",
            to: &address(at),
            message: &case.message,
        });
        if !reply.starts_with("250") {
            wrong.extend([case.shows, ": ", &reply, "\n"]);
        }
    }
    for (at, case) in cases.iter().enumerate() {
        let header = world.header_of(&address(at));
        let found = result(field(&header, "Authentication-Results"), method).unwrap_or_default();
        if word(found) != case.expected {
            wrong.push_str(&format!("{}: {}, not {found}\n", case.shows, case.expected));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_case_of_dkim_and_arc_comes_out_as_the_standards_say() {
    let world = World::new("mode annotate");
    let keys = Keys { rsa: Key::rsa(), ed25519: Key::ed25519() };
    world.publish(keys.records());
    let (dkim, arc) = (dkim_cases(&keys), arc_cases(&keys));
    assert!(dkim.len() >= 80 && arc.len() >= 35, "{} and {}", dkim.len(), arc.len());
    play(&world, "dkim", &dkim);
    play(&world, "arc", &arc);
}

#[test]
fn several_signatures_are_each_named_and_too_many_are_left_alone() {
    let world = World::new("mode annotate");
    let keys = Keys { rsa: Key::rsa(), ed25519: Key::ed25519() };
    world.publish(keys.records());
    let both = keys.dkim_over(
        &keys.dkim(TAGS),
        "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=s.test; s=e; h=from:to:subject:date",
    );
    let both = both.replacen("; bh=", "; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; x=", 1);
    let many = (0..30).fold(MESSAGE.to_owned(), |message, _| keys.dkim_over(&message, TAGS));
    for (to, message) in [("both@inside.test", &both), ("many@inside.test", &many)] {
        let client = [192, 0, 2, 1].into();
        let sending = Sending { client, helo: "h.test", from: "", to, message };
        assert!(world.send(&sending).starts_with("250"));
    }
    let header = world.header_of("both@inside.test");
    let results = field(&header, "Authentication-Results");
    assert_eq!(results.matches("dkim=").count(), 2, "{results}");
    assert_eq!(results.matches("dkim=pass").count(), 1, "{results}");
    assert!(results.contains("header.d=s.test") && results.contains("header.s=r"), "{results}");
    let header = world.header_of("many@inside.test");
    assert_eq!(field(&header, "Authentication-Results").matches("dkim=pass").count(), 12);
}
