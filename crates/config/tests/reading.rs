//! Files, includes, secrets; and texts of every kind.

use config::{Disk, Memory, load_in, parse, read};
use proptest::prelude::*;

const START: &str = "hostname mx.example\nlistener lmtp { port 2424; protocol lmtp }\n";
const PATH: &str = "/etc/mailkeep/mailkeep.conf";

fn codes(world: &Memory) -> Vec<String> {
    let outcome = load_in(PATH.as_ref(), world);
    outcome.diagnostics.iter().map(|d| d.code.to_string()).collect()
}

#[test]
fn included_files_stand_in_the_place_of_the_include() {
    let root = format!(
        "{START}rules {{
    rule first {{ when all {{ sender is null }}; discard }}
    include rules/*.conf
    rule last {{ when all {{ helo is x }}; discard }}
}}
include /srv/domains.conf
table near networks file near.txt
force-encrypt file force.txt
"
    );
    let rule = |name: &str| {
        format!(
            "rule {name} {{ when all {{ client ip in table near; subject is {name} }}; discard }}"
        )
    };
    let world = Memory::new()
        .with_file(PATH, root)
        .with_file("/etc/mailkeep/rules/20.conf", rule("c"))
        .with_file("/etc/mailkeep/rules/10.conf", rule("b"))
        .with_file("/etc/mailkeep/near.txt", "# our networks\r\n192.0.2.0/24\r\n2001:db8::/32\r\n")
        .with_file("/etc/mailkeep/force.txt", "bank.example\n192.0.2.7 # the lab\n")
        .with_file("/srv/domains.conf", "domain a.example { deliver-to maildir mail }");
    let outcome = load_in(PATH.as_ref(), &world);
    assert_eq!(outcome.render(), "");
    let config = outcome.config.unwrap();
    let names: Vec<_> = config.rule_set.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["first", "b", "c", "last"]);
    assert_eq!(config.rule_set.rules[1].origin.to_string(), "/etc/mailkeep/rules/10.conf:1");
    assert_eq!(config.rule_set.tables[0].entries.len(), 2);
    assert_eq!(config.rule_set.force_encrypt.len(), 2);
    assert_eq!(config.rule_set.force_encrypt[1].origin.to_string(), "/etc/mailkeep/force.txt:2");
    // A relative path starts at the folder of the file it stands in.
    let route = &config.domains[0].route.value;
    assert_eq!(*route, config::model::Route::Maildir("/srv/mail".into()));
}

#[test]
fn templates_of_cover_pages_are_read_with_the_configuration() {
    let account = |templates: &str| {
        format!(
            "{START}fax clinic {{ domains fax.example; organisation Clinic; country US\n\
             main-number +12025550100; mail-server-white-list 192.0.2.1\n{templates}\n}}"
        )
    };
    let good = "# ours\ntitle {organisation} | FAX\nfield Chart | {billing}\nbody\n";
    let world = Memory::new()
        .with_file(PATH, account("cover-template en cover.txt"))
        .with_file("/etc/mailkeep/cover.txt", good);
    let outcome = load_in(PATH.as_ref(), &world);
    assert_eq!(outcome.render(), "");
    let config = outcome.config.unwrap();
    assert_eq!(config.fax_accounts[0].cover_template(fax::Language::En), Some(good));
    assert_eq!(config.fax_accounts[0].cover_template(fax::Language::Fr), None);

    let wrong = world.clone().with_file("/etc/mailkeep/cover.txt", "body\nfield {patient}");
    let said = load_in(PATH.as_ref(), &wrong).render();
    assert!(said.contains("C610") && said.contains("cover.txt: line 2 of"), "{said}");
    let large = world.clone().with_file("/etc/mailkeep/cover.txt", vec![b'#'; 65 * 1024]);
    assert_eq!(codes(&large), ["C003"]);
    let twice = account("cover-template en cover.txt\ncover-template en cover.txt");
    assert_eq!(codes(&world.with_file(PATH, twice)), ["C114"]);
    let missing = Memory::new().with_file(PATH, account("cover-template en cover.txt"));
    assert_eq!(codes(&missing), [""; 0]);
    assert_eq!(codes(&missing.where_it_will_run()), ["C001"]);
}

#[test]
fn fonts_for_faxes_are_looked_at_before_they_are_needed() {
    let account = |fonts: &str| {
        format!(
            "{START}fax clinic {{ domains fax.example; organisation Clinic; country US\n\
             main-number +12025550100; mail-server-white-list 192.0.2.1\n{fonts}\n}}"
        )
    };
    let world = Memory::new()
        .with_file(PATH, account("fonts a.ttf /usr/b.ttc"))
        .with_file("/etc/mailkeep/a.ttf", [0, 1, 0, 0, 0, 17])
        .with_file("/usr/b.ttc", "ttcf and so on");
    let outcome = load_in(PATH.as_ref(), &world);
    assert_eq!(outcome.render(), "");
    let fonts = &outcome.config.unwrap().fax_accounts[0].fonts;
    assert_eq!(fonts[..], ["/etc/mailkeep/a.ttf", "/usr/b.ttc"].map(std::path::PathBuf::from));

    let web = world.clone().with_file("/usr/b.ttc", "wOFF");
    assert_eq!(codes(&web), ["C613"]);
    let nine = account(&format!("fonts{}", " a.ttf".repeat(9)));
    assert_eq!(codes(&world.with_file(PATH, nine)), ["C613"]);
    let missing = Memory::new().with_file(PATH, account("fonts a.ttf"));
    assert_eq!(codes(&missing), [""; 0]);
    assert_eq!(codes(&missing.where_it_will_run()), ["C001"]);
}

#[test]
fn includes_that_go_round_or_too_deep_are_refused() {
    let world = Memory::new()
        .with_file(PATH, format!("{START}include a.conf\n"))
        .with_file("/etc/mailkeep/a.conf", "include b.conf\n")
        .with_file("/etc/mailkeep/b.conf", "include a.conf\n");
    assert_eq!(codes(&world), ["C015"]);
    let mut world = Memory::new().with_file(PATH, format!("{START}include 0.conf\n"));
    for n in 0..20 {
        let next = format!("include {}.conf\n", n + 1);
        world = world.with_file(format!("/etc/mailkeep/{n}.conf"), next);
    }
    assert_eq!(codes(&world), ["C016"]);
    let world = Memory::new().with_file(PATH, format!("{START}include */x.conf\ninclude gone\n"));
    assert_eq!(codes(&world), ["C017", "C001"]);
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    assert_eq!(codes(&Memory::new()), ["C001"]);
    assert_eq!(codes(&Memory::new().with_file(PATH, b"hostname \xff\n".to_vec())), ["C002"]);
    let large = vec![b'#'; config::source::FILE_MAX_OCTETS + 1];
    assert_eq!(codes(&Memory::new().with_file(PATH, large)), ["C003"]);
}

#[test]
fn secrets_and_certificates_must_be_there_where_the_server_will_run() {
    let text = format!(
        "{START}credentials s {{ user u; password credential:relay }}
delivery {{ relay-host smart.example credentials s }}
certificate c {{ file c.pem; key c.key }}
listener mx {{ port 2525; certificate c }}
"
    );
    let world = Memory::new().with_file(PATH, text.clone());
    assert_eq!(codes(&world), [""; 0]);
    let world = world.where_it_will_run();
    assert_eq!(codes(&world), ["C501", "C001", "C001"]);
    let world = world
        .with_variable("CREDENTIALS_DIRECTORY", "/run/credentials/mailkeep")
        .with_file("/run/credentials/mailkeep/relay", "hunter2\n")
        .with_file("/etc/mailkeep/c.pem", "x")
        .with_file("/etc/mailkeep/c.key", "x");
    let outcome = load_in(PATH.as_ref(), &world);
    assert_eq!(outcome.render(), "");
    let config = outcome.config.unwrap();
    let credentials = config.credentials("s").unwrap();
    assert_eq!(credentials.password.resolve(&world).unwrap().reveal(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn files_are_read_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailkeep.conf");
    std::fs::write(&path, format!("{START}include *.part\n")).unwrap();
    std::fs::write(folder.path().join("a.part"), "log { level debug }\n").unwrap();
    let config = config::load(&path).config.unwrap();
    assert_eq!(*config.log.level, config::model::LogLevel::Debug);
    // A folder in place of a file is refused, not waited for.
    let outcome = load_in(folder.path(), &Disk::default());
    assert_eq!(outcome.diagnostics[0].code, config::Code::FileUnreadable);
}

#[test]
fn defaults_are_those_of_the_manual() {
    let config = parse(START).config.unwrap();
    assert_eq!(config.postmaster.to_string(), "postmaster@mx.example");
    assert!(config.postmaster.is_default() && !config.hostname.is_default());
    assert_eq!(*config.limits.message, 50 << 20);
    assert_eq!(*config.limits.commands, None);
    assert_eq!(config.queue.retry.len(), 7);
    assert!(config.trusted_networks.is_empty());
    assert_eq!(config.control.as_deref(), Some("/var/lib/mailkeep/control.sock".as_ref()));
    assert_eq!(config.origin(config.hostname.span).to_string(), "mailkeep.conf:1");
}

#[test]
fn a_listener_takes_its_own_limits_and_those_outside() {
    let text = "hostname mx.example\nlimits { message 5MB; recipients 7 }\n\
                listener a { port 2525; tls off; limits { recipients 9 } }\n";
    let config = parse(text).config.unwrap();
    let limits = &config.listeners[0].limits;
    assert_eq!((*limits.message, *limits.recipients, *limits.received_hops), (5 << 20, 9, 100));
}

#[test]
fn long_lists_are_read_whole() {
    const ENTRIES: usize = 50_000;
    let network = |n| format!("10.{}.{}.{}/31\n", n / 32_768, n / 128 % 256, n % 128 * 2);
    let networks = (0..ENTRIES).map(network).collect::<Vec<_>>().concat();
    let domain = |n| format!("partner{n}.example\n");
    let domains = (0..ENTRIES).map(domain).collect::<Vec<_>>().concat();
    let rule = "rules { rule a { when all { client ip in table t }; discard } }";
    let text = format!(
        "{START}{rule}\ntable t networks {{\n{networks}}}\nforce-encrypt {{\n{domains}}}\n"
    );
    let outcome = parse(&text);
    assert_eq!(outcome.render(), "");
    let set = outcome.config.unwrap().rule_set;
    assert_eq!((set.tables[0].entries.len(), set.force_encrypt.len()), (ENTRIES, ENTRIES));
}

/// Words that a configuration could hold, to come further than random text does.
const WORDS: &[&str] = &[
    "hostname",
    "mx.example",
    "listener",
    "a",
    "port",
    "25",
    "tls",
    "off",
    "rules",
    "rule",
    "when",
    "all",
    "any",
    "none",
    "{",
    "}",
    "\n",
    ";",
    "reject",
    "550",
    "sender",
    "domain",
    "is",
    "not",
    "in",
    "table",
    "t",
    "domains",
    "force-encrypt",
    "verified",
    "192.0.2.0/24",
    "::/0",
    "include",
    "*.conf",
    "\"a b\"",
    "deliver-to",
    "lmtp",
    "unix:/x",
    "limits",
    "message",
    "1MB",
    "#x\n",
    "certificate",
    "file",
    "relay-host",
    "h:465",
    "until",
    "2030-01-01",
    "accept",
    "connection",
    "matches",
    "/x(/",
    "1.1",
    "env:A",
    "password",
    "credentials",
    "client ip",
    "over",
    "mx",
    "dns",
];

proptest! {
    #[test]
    fn no_text_makes_the_checker_panic(text in "(\\PC|[\r\n\t\"\\\\;{}#, ])*") {
        let outcome = parse(&text);
        let _ = (outcome.render(), outcome.to_json());
    }

    #[test]
    fn no_words_make_the_checker_panic(words in proptest::collection::vec(0..WORDS.len(), 0..60)) {
        let text = words.iter().map(|at| WORDS[*at]).collect::<Vec<_>>().join(" ");
        let outcome = read("x/mailkeep.conf".as_ref(), &text, &Memory::new());
        let _ = (outcome.render(), outcome.to_json());
        if let Ok(twin) = config::json::export(&text) {
            let _ = config::json::import(&twin);
        }
        prop_assert_eq!(outcome.config.is_some(), !outcome.diagnostics.iter().any(config::Diagnostic::is_error));
    }
}
