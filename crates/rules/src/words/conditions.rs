//! Conditions from words.

use ipnet::IpNet;
use mail::Address;

use super::{Problem, WordError, Words};
use crate::fact::{Fact, Kind};
use crate::pattern::Pattern;
use crate::rule::Origin;
use crate::size::Octets;
use crate::test::{DomainPattern, Hours, Relation, Test, Value, Weekday, Word};

/// Reads one condition: `recipient domain is not example.com`, `client ip in table partners`.
///
/// # Errors
///
/// [`WordError`] names the word at fault.
pub fn parse_test(words: &[&str], origin: Origin) -> Result<Test, WordError> {
    let mut words = Words::new(words);
    let mut fact = fact(&mut words)?;
    let mut negated = false;
    let is = words.take("is") || (fact == Fact::Authenticated && words.take("as"));
    negated |= words.take("not");
    // `connection` speaks of two facts, and `plain` is the absence of one.
    if fact == Fact::Tls && words.take("authenticated") {
        fact = Fact::Authenticated;
        let relation = Relation::Is(vec![Value::Present]);
        return words.end().map(|()| Test { fact, negated, relation, origin });
    }
    if fact == Fact::Tls && words.take("plain") {
        let relation = Relation::Is(vec![Value::Present]);
        return words.end().map(|()| Test { fact, negated: !negated, relation, origin });
    }
    // `recipient is local` is said of where it is delivered.
    if fact == Fact::Recipient
        && is
        && let [one] = words.rest()
        && let Some(value) = word_of(&[Word::Local, Word::Relaying], one)
    {
        fact = Fact::Delivery;
        return Ok(Test { fact, negated, relation: Relation::Is(vec![value]), origin });
    }
    let relation = relation(&fact, is, &mut words)?;
    words.end()?;
    Ok(Test { fact, negated, relation, origin })
}

/// The longest name of a fact that the words begin with.
fn fact(words: &mut Words<'_>) -> Result<Fact, WordError> {
    let mut facts = Fact::ALL;
    facts.sort_by_key(|fact| std::cmp::Reverse(fact.info().words.len()));
    let Some(fact) = facts.into_iter().find(|fact| words.take(fact.info().words)) else {
        let found = words.word("a condition")?;
        let allowed = Fact::ALL.iter().map(|fact| fact.info().words).collect();
        let found = found.to_owned();
        return Err(WordError { word: 0, problem: Problem::UnknownCondition { found, allowed } });
    };
    Ok(match fact {
        Fact::Header(_) => Fact::Header(words.word("the name of a header field")?.to_owned()),
        Fact::Milter(_) => Fact::Milter(words.word("the name of a milter")?.to_owned()),
        Fact::Scanner(_) => Fact::Scanner(words.word("the name of a scanner")?.to_owned()),
        fact => fact,
    })
}

fn relation(fact: &Fact, is: bool, words: &mut Words<'_>) -> Result<Relation, WordError> {
    let kind = fact.info().kind;
    if words.take("in table") {
        return Ok(Relation::InTable(words.word("the name of a table")?.to_owned()));
    }
    if has_text(kind) && words.take("matches") {
        return list(words, "a pattern", |words| words.read("a pattern", Pattern::parse))
            .map(Relation::Matches);
    }
    if matches!(kind, Kind::Count | Kind::Octets | Kind::Score) {
        if words.take("over") {
            return number(kind, words).map(Relation::Over);
        }
        if words.take("under") {
            return number(kind, words).map(Relation::Under);
        }
    }
    if kind == Kind::Version && words.take("at least") {
        return words.read("a TLS version", str::parse).map(Relation::AtLeast);
    }
    if is {
        return list(words, "a value", |words| value(fact, words)).map(Relation::Is);
    }
    let Some(found) = words.peek() else {
        return Err(
            words.wrong(Problem::Missing { expected: "is, in table, matches, over or under" })
        );
    };
    let found = found.to_owned();
    Err(words.wrong(Problem::Unexpected { found, allowed: relations(kind) }))
}

/// Whether patterns can look at values of this kind.
pub(crate) fn has_text(kind: Kind) -> bool {
    match kind {
        Kind::Suite | Kind::Text | Kind::Address | Kind::Domain => true,
        Kind::Flag
        | Kind::Version
        | Kind::Fingerprint
        | Kind::Ip
        | Kind::Count
        | Kind::Octets
        | Kind::Score
        | Kind::Words(_)
        | Kind::Minute
        | Kind::Weekday => false,
    }
}

fn relations(kind: Kind) -> Vec<&'static str> {
    let mut words = vec!["is", "not", "in"];
    if has_text(kind) {
        words.push("matches");
    }
    if matches!(kind, Kind::Count | Kind::Octets | Kind::Score) {
        words.extend(["over", "under"]);
    }
    if kind == Kind::Version {
        words.push("at");
    }
    words
}

fn list<T>(
    words: &mut Words<'_>,
    expected: &'static str,
    mut read: impl FnMut(&mut Words<'_>) -> Result<T, WordError>,
) -> Result<Vec<T>, WordError> {
    if words.peek().is_none() {
        return Err(words.wrong(Problem::Missing { expected }));
    }
    let mut values = Vec::new();
    while words.peek().is_some() {
        values.push(read(words)?);
        // `plain or login` reads as well as `plain, login`.
        words.take("or");
    }
    Ok(values)
}

fn number(kind: Kind, words: &mut Words<'_>) -> Result<u64, WordError> {
    if kind == Kind::Octets {
        let read = |word: &str| Octets::parse(word).map(|size| size.0).ok_or("");
        return words.read("a size such as 25MB", read);
    }
    if kind == Kind::Score {
        let read = |word: &str| crate::scan::parse(word).ok_or("");
        return words.read("a score such as 5 or -1.5", read);
    }
    let count = |word: &str| word.parse().map_err(|_| "");
    words.read("a whole number", count)
}

fn word_of(choices: &[Word], text: &str) -> Option<Value> {
    // "relayed" and "relaying" say the same of a recipient and of a delivery.
    let text = if text == "relayed" { Word::Relaying.word() } else { text };
    choices.iter().find(|word| word.word() == text).copied().map(Value::Word)
}

fn value(fact: &Fact, words: &mut Words<'_>) -> Result<Value, WordError> {
    let info = fact.info();
    if !info.present.is_empty() && words.take(info.present) {
        return Ok(Value::Present);
    }
    if *fact == Fact::Sender && words.take(Word::Null.word()) {
        return Ok(Value::Word(Word::Null));
    }
    match info.kind {
        Kind::Flag => words.one_of("a value", &[(info.present, Value::Present)]),
        Kind::Version => words.read("a TLS version", str::parse).map(Value::Version),
        Kind::Suite => words.read("a cipher suite", str::parse).map(Value::Suite),
        Kind::Fingerprint => words.read("a fingerprint", str::parse).map(Value::Fingerprint),
        Kind::Text => words.word("a text").map(|text| Value::Text(text.to_owned())),
        Kind::Address => words.read("an address", Address::parse).map(Value::Address),
        Kind::Domain => words.read("a domain", DomainPattern::parse).map(Value::Domain),
        Kind::Ip => words.read("an address or a network", network).map(Value::Network),
        Kind::Count | Kind::Octets | Kind::Score => number(info.kind, words).map(Value::Number),
        Kind::Words(choices) => {
            let choices: Vec<_> = choices.iter().map(|w| (w.word(), Value::Word(*w))).collect();
            if *fact == Fact::Delivery && words.take("relayed") {
                return Ok(Value::Word(Word::Relaying));
            }
            words.one_of("a value", &choices)
        }
        Kind::Minute => {
            let hours = |word: &str| Hours::parse(word).ok_or("");
            words.read("a span of the day such as 08:00-18:00", hours).map(Value::Hours)
        }
        Kind::Weekday => {
            let day = |word: &str| {
                let lower = word.to_ascii_lowercase();
                let fits = |day: &Weekday| day.word() == lower || day.word()[..3] == lower;
                Weekday::ALL.into_iter().find(fits).ok_or("")
            };
            words.read("a day of the week", day).map(Value::Weekday)
        }
    }
}

/// Reads an address or a network; bits of the host part are an error that names the network.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Ok(IpNet::from(ip));
    }
    let net: IpNet = text.parse().map_err(|_| String::new())?;
    if net.trunc() != net {
        return Err(format!("the network is {}", net.trunc()));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Test, WordError> {
        let words: Vec<_> = text.split(' ').collect();
        parse_test(&words, Origin::BUILT_IN)
    }

    #[test]
    fn every_condition_is_shown_as_it_is_read() {
        for text in [
            "connection is tls",
            "connection is not tls",
            "tls version is 1.2 1.3",
            "tls version at least 1.3",
            "tls cipher is TLS_AES_128_GCM_SHA256",
            "tls cipher matches *CHACHA20*",
            "client certificate is present",
            "client certificate subject matches CN=scanner*",
            "listener is mx",
            "client ip is 192.0.2.1 198.51.100.0/24 2001:db8::/32",
            "client ip not in table partners",
            "client name is .isp.example",
            "client name is not known",
            "helo is localhost",
            "connection is authenticated",
            "connection is not authenticated",
            "authenticated is ann@clinic.example",
            "sender is null",
            "sender is ann@clinic.example",
            "sender domain is .clinic.example",
            "sender in table friends",
            "recipient is ann@clinic.example",
            "recipient domain is clinic.example",
            "recipient domain in table ours",
            "recipient account is mailbox alias",
            "delivery is relaying",
            "message size over 25MB",
            "message size under 1KB",
            "header X-Spam-Flag matches yes*",
            "header List-Id is present",
            "subject matches /^invoice/",
            "attachment name not matches *.exe",
            "attachment type is application/pdf",
            "attachment size over 10MB",
            "attachment count over 20",
            "recipient count over 100",
            "time is 08:00-18:00",
            "weekday is saturday sunday",
            "spf is fail softfail",
            "spf helo is not pass",
            "dkim is pass",
            "dkim domain is .bank.example",
            "author domain in table friends",
            "author domain is not known",
            "dmarc is fail",
            "dmarc policy is reject",
            "dmarc disposition is quarantine",
            "arc is pass",
            "arc sealer is list.example",
            "dnsbl is listed",
            "dnsbl is not zen",
            "dnsbl-score over 5",
            "dnsbl-verdict is allow",
            "uribl is listed",
            "uribl-score over 2",
            "greylisting is waiting",
            "reputation under 20",
        ] {
            let test = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(test.to_string(), text);
        }
    }

    #[test]
    fn other_ways_to_say_the_same_are_understood() {
        for (written, shown) in [
            ("connection is plain", "connection is not tls"),
            ("connection is not plain", "connection is tls"),
            ("authenticated is any", "connection is authenticated"),
            ("authenticated is not any", "connection is not authenticated"),
            ("authenticated as ann@clinic.example", "authenticated is ann@clinic.example"),
            ("recipient is local", "delivery is local"),
            ("recipient is not relayed", "delivery is not relaying"),
            ("recipient domain is *.clinic.example", "recipient domain is .clinic.example"),
            ("tls version is at least TLSv1.2", "tls version at least 1.2"),
            ("client ip is not in table partners", "client ip not in table partners"),
            ("message size is over 1024", "message size over 1KB"),
            ("weekday is Sat or Sun", "weekday is saturday sunday"),
        ] {
            assert_eq!(read(written).unwrap().to_string(), shown, "{written}");
        }
    }

    #[test]
    fn an_error_points_at_its_word() {
        for (text, word, message) in [
            ("conection is tls", 0, "unknown condition \"conection\""),
            ("connection is tsl", 2, "\"tsl\" cannot stand here"),
            ("connection is", 2, "something is missing here: a value"),
            ("connection", 1, "something is missing here: is, in table, matches, over or under"),
            ("connection is tls now", 3, "\"now\" cannot stand here"),
            ("connection is authenticated now", 3, "\"now\" is one word too many"),
            ("recipient domain of x", 2, "\"of\" cannot stand here"),
            ("message size over big", 3, "\"big\" is not a size such as 25MB"),
            (
                "client ip is 192.0.2.1/24",
                3,
                "\"192.0.2.1/24\" is not an address or a network: the network is 192.0.2.0/24",
            ),
            (
                "subject matches /(/",
                2,
                "\"/(/\" is not a pattern: the pattern cannot be used: unclosed group",
            ),
            ("connection over 5", 1, "\"over\" cannot stand here"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.word, error.to_string().as_str()), (word, message), "{text}");
        }
    }

    #[test]
    fn old_tls_versions_say_why_they_are_refused() {
        let error = read("tls version at least 1.1").unwrap_err();
        assert!(error.to_string().contains("RFC 8996"), "{error}");
    }
}
