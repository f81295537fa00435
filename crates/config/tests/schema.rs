//! The schema against the model: no directive is read and then ignored.

use std::sync::{Arc, LazyLock};

use config::schema::{
    ARC_SEALING, BANS, CERTIFICATE, CREDENTIALS, Context, DELIVERY, DMARC_REPORTS, DNS, DNSBL,
    DOMAIN, EVIDENCE, FAX, FAX_GATEWAY, FAX_INBOUND, FAX_PROVIDER, FAX_USER, FLOW, GREYLISTING,
    HOLDING, LIMITS, LISTENER, LOG, MILTER, QUARANTINE, QUEUE, QUOTA, RATE_CLASS, REPUTATION,
    SCANNER, SCANNING, SIGN_IN, SIGNING, SIZE_LIMITS, SRS, TIMEOUTS, TOP, URIBL,
};
use config::{Config, Memory, read};

/// The names that examples use, so that each example is right by itself.
const NAMES: [&str; 4] = [
    "listener mx { port 2929; tls off }",
    "certificate other { local-authority; names other.example }",
    "certificate mail { local-authority; names mail.example }",
    "credentials smarthost { user u; password env:X }",
];

/// Where the statements of a block stand, and those that a block needs besides.
struct Place {
    context: &'static Context,
    open: &'static str,
    needed: &'static [&'static str],
    close: &'static str,
}

const fn place(
    context: &'static Context,
    open: &'static str,
    needed: &'static [&'static str],
) -> Place {
    Place { context, open, needed, close: "}" }
}

static PLACES: &[Place] = &[
    Place { context: &TOP, open: "", needed: &["hostname this.example"], close: "" },
    place(&DNS, "dns {", &[]),
    place(&LIMITS, "limits {", &[]),
    place(&TIMEOUTS, "timeouts {", &[]),
    place(&QUEUE, "queue {", &[]),
    place(&DELIVERY, "delivery {", &[]),
    place(&EVIDENCE, "evidence {", &[]),
    place(&LOG, "log {", &[]),
    place(&SIGNING, "signing {", &[]),
    place(&ARC_SEALING, "arc-sealing {", &["for x.example", "domain y.example"]),
    place(&DMARC_REPORTS, "dmarc-reports {", &[]),
    place(&SRS, "srs {", &["domain x.example"]),
    place(&MILTER, "milter more {", &["at 127.0.0.1:1"]),
    place(&SCANNER, "scanner more {", &["type spamd", "at 127.0.0.1:1"]),
    place(&SCANNING, "scanning {", &[]),
    place(&HOLDING, "holding {", &[]),
    place(&QUARANTINE, "quarantine {", &[]),
    place(&RATE_CLASS, "rate-class slow {", &["messages 7"]),
    place(&FLOW, "flow {", &[]),
    place(&BANS, "bans {", &[]),
    place(&QUOTA, "quota q {", &["messages 9 per day"]),
    place(&SIZE_LIMITS, "size-limits s {", &["message 9MB"]),
    place(&CREDENTIALS, "credentials more {", &["user x", "password env:Y"]),
    place(&CERTIFICATE, "certificate more {", &["local-authority"]),
    place(&DOMAIN, "domain ours.example {", &["deliver-to smtp 192.0.2.9"]),
    place(
        &config::schema::DIRECTORY,
        "directory d {",
        &[
            "server ldap://127.0.0.1",
            "domains d.example",
            "base x",
            "bind-dn y",
            "bind-password env:Z",
        ],
    ),
    place(&SIGN_IN, "sign-in {", &[]),
    Place {
        context: &config::schema::TOKENS,
        open: "sign-in { tokens {",
        needed: &["issuer https://a.example", "audience a", "keys a.json"],
        close: "} }",
    },
    place(&DNSBL, "dnsbl bl {", &["zone bl.example"]),
    place(&URIBL, "uribl links {", &["zone links.example"]),
    place(&GREYLISTING, "greylisting {", &[]),
    place(&REPUTATION, "reputation {", &[]),
    place(&FAX, "fax clinic {", &FAX_NEEDED),
    Place {
        context: &FAX_USER,
        open: "fax clinic { domains f.example; organisation X; main-number +12025550100; country US; user a@b.example {",
        needed: &[],
        close: "} }",
    },
    place(
        &FAX_PROVIDER,
        "listener h { port 2727; protocol webhooks; tls off }; fax-provider p {",
        &["send https://p.example/faxes"],
    ),
    place(&FAX_GATEWAY, "fax-gateway g {", &["server sip.example.net", "listen 192.0.2.10"]),
    Place {
        context: &FAX_INBOUND,
        open: "fax clinic { domains f.example; organisation X; main-number +12025550100; country US; mail-server-white-list 192.0.2.1; inbound {",
        needed: &["from hylafax 192.0.2.7", "catch-all desk@example.com"],
        close: "} }",
    },
    place(&LISTENER, "listener l {", &["port 2626", "certificate other"]),
];

const FAX_NEEDED: [&str; 5] = [
    "domains f.example",
    "organisation X",
    "main-number +12025550100",
    "country US",
    "mail-server-white-list 192.0.2.1",
];

static COMPILED: LazyLock<Arc<rules::Policy>> =
    LazyLock::new(|| Arc::new(rules::RuleSet::default().compile().unwrap()));

/// What a configuration means, without the places of its values.
fn meaning(text: &str) -> Result<String, String> {
    let world = Memory::new().with_file("/etc/mailkeep/cover-fr.txt", "body\n");
    let outcome = read("mailkeep.conf".as_ref(), text, &world);
    let config = outcome.config.clone().ok_or_else(|| format!("{text}\n{}", outcome.render()))?;
    let config =
        Config { sources: config::Sources::default(), policy: Arc::clone(&COMPILED), ..config };
    Ok(format!("{config:?}"))
}

/// The first words of a statement that gives a name, or its first word.
fn key(statement: &str) -> &str {
    let names = NAMES.iter().any(|name| name.split(' ').next() == statement.split(' ').next());
    let words = if names { 2 } else { 1 };
    statement.match_indices(' ').nth(words - 1).map_or(statement, |(at, _)| &statement[..at])
}

fn text(place: &Place, statements: &[&str]) -> String {
    let is_top = place.open.is_empty();
    let there = |name: &&&str| !(is_top && statements.iter().any(|s| key(s) == key(name)));
    let names: Vec<&str> = NAMES.iter().filter(there).copied().collect();
    let base = if is_top { "" } else { "hostname this.example" };
    let (open, close) = (place.open, place.close);
    format!("{base}\n{}\n{open}\n{}\n{close}\n", names.join("\n"), statements.join("\n"))
}

/// What has to be written beside an example, and what must not stand beside it.
fn company(block: &str, directive: &str) -> (&'static [&'static str], &'static str) {
    match directive {
        "file" if block != "certificate" => (&[], "zone"),
        "file" => (&["key a.key"], "local-authority"),
        "key" => (&["file a.pem"], "local-authority"),
        "catch-all" if block != "inbound" => (&["recipients accounts"], ""),
        "mailboxes" => (&[], "deliver-to"),
        "field" => (&["field file \"{document}\""], ""),
        "callback" => (&["webhook-secret env:X"], ""),
        "webhook-secret" => (&["callback https://c.example"], ""),
        "webhook-window" | "webhook-fax" => {
            (&["callback https://c.example", "webhook-secret env:X"], "")
        }
        _ => (&[], ""),
    }
}

#[test]
fn every_directive_changes_what_the_configuration_means() {
    let mut wrong = String::new();
    for place in PLACES {
        for directive in place.context.directives.iter().filter(|d| d.name != "include") {
            let (beside, excluded) = company(place.context.name, directive.name);
            let stays = |needed: &&&str| {
                let first = needed.split(' ').next().unwrap_or(needed);
                ![directive.name, excluded].contains(&first)
            };
            let mut with = vec![directive.example];
            with.extend(beside);
            with.extend(place.needed.iter().filter(stays));
            let mut without = place.needed.to_vec();
            if directive.name == "local-authority" {
                without = vec!["file a.pem", "key a.key"];
            }
            match (meaning(&text(place, &with)), meaning(&text(place, &without))) {
                (Ok(with), Ok(without)) if with != without => {}
                // A build without Kerberos says so, and ignores nothing.
                (Err(error), Ok(_)) if error.contains("[C324]") => {}
                (Ok(_), Ok(_)) => wrong.extend([directive.example, " changes nothing\n"]),
                (Err(error), _) | (_, Err(error)) => wrong.push_str(&error),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
