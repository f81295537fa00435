//! What people see: the texts of findings.

use config::{Memory, load_in, parse};
use expect_test::{Expect, expect};

fn shows(text: &str, expected: &Expect) {
    expected.assert_eq(&parse(text).render());
}

const START: &str = "hostname mx.example\nlistener lmtp { port 2424; protocol lmtp }\n";

#[test]
fn a_misspelt_action_and_a_misspelt_condition_are_both_named() {
    let text = format!(
        "{START}rules {{
    rule allow_only_tls_for_mydomain_com {{
        when all {{
            conection is not tls
            recipient domain is mydomain.com
        }}
        reject 550 5.7.10 \"Accepting only secure delivery\"
    }}
    rule use_only_tls12_and_13_when_relaying {{
        when all {{ delivery is relaying }}
        relay-tls-version  1.2 1.3
    }}
}}
"
    );
    shows(
        &text,
        &expect![[r#"
            error[C111]: unknown condition "conection"
             --> mailkeep.conf:6:13
              |
            6 |             conection is not tls
              |             ^^^^^^^^^
              = help: did you mean "connection"?

            error[C101]: unknown condition or action "relay-tls-version" in rule
              --> mailkeep.conf:13:9
               |
            13 |         relay-tls-version  1.2 1.3
               |         ^^^^^^^^^^^^^^^^^
               = help: did you mean "relay-tls-versions"?

            2 errors, 0 warnings
        "#]],
    );
}

#[test]
fn a_forgotten_semicolon_is_found_by_counting_values() {
    shows(
        "hostname mx.example\nlistener fax-in { port 2525 tls starttls; certificate fax; from 10.20.0.0/16 auth off }\ncertificate fax { local-authority }\n",
        &expect![[r#"
            error[C105]: port takes one value, "tls" is too much
             --> mailkeep.conf:2:29
              |
            2 | listener fax-in { port 2525 tls starttls; certificate fax; from 10.20.0.0/16 auth off }
              |                             ^^^
              = help: put a ; or a new line before "tls": it begins the next statement

            error[C105]: from takes networks, "auth" is too much
             --> mailkeep.conf:2:78
              |
            2 | listener fax-in { port 2525 tls starttls; certificate fax; from 10.20.0.0/16 auth off }
              |                                                                              ^^^^
              = help: put a ; or a new line before "auth": it begins the next statement

            2 errors, 0 warnings
        "#]],
    );
}

#[test]
fn old_tls_says_why_not() {
    let text = format!(
        "{START}rules {{
    rule use_only_tls11_and_12_when_relaying {{
        when all {{ recipient domain is example.com }}
        relay-tls-versions 1.1 1.2
    }}
}}
"
    );
    shows(
        &text,
        &expect![[r"
            error[C211]: TLS 1.1 must not be used (RFC 8996)
             --> mailkeep.conf:6:28
              |
            6 |         relay-tls-versions 1.1 1.2
              |                            ^^^
              = help: write 1.2 or 1.3; older devices need a build with the legacy-tls feature

            1 error, 0 warnings
        "]],
    );
}

#[test]
fn a_pasted_list_names_each_bad_line_and_what_was_meant() {
    let text = format!(
        "{START}force-encrypt {{
    their_domain.com
    204.10.243.26
    207.219.44.77/24
    bank.example mandatory
    their_domain.com verified
    0.0.0.0/0
}}
"
    );
    shows(
        &text,
        &expect![[r#"
            error[C401]: 207.219.44.77/24 has host bits set
             --> mailkeep.conf:6:5
              |
            6 |     207.219.44.77/24
              |     ^^^^^^^^^^^^^^^^
              = help: write 207.219.44.0/24 for the network, or 207.219.44.77 for the one host

            error[C104]: "mandatory" cannot stand here
             --> mailkeep.conf:7:18
              |
            7 |     bank.example mandatory
              |                  ^^^^^^^^^
              = help: write min-tls, pin, until, owner, reason, direction, encrypted or verified

            error[C402]: their_domain.com is there already, on line 4
             --> mailkeep.conf:8:5
              |
            8 |     their_domain.com verified
              |     ^^^^^^^^^^^^^^^^
             ::: mailkeep.conf:4:5
              |
            4 |     their_domain.com
              |     ^^^^^^^^^^^^^^^^ the first one

            error[C403]: 0.0.0.0/0 is every address there is
             --> mailkeep.conf:9:5
              |
            9 |     0.0.0.0/0
              |     ^^^^^^^^^
              = help: name the networks meant

            4 errors, 0 warnings
        "#]],
    );
}

#[test]
fn a_rule_against_force_encrypt_is_refused() {
    let text = format!(
        "{START}rules {{
    rule in_the_clear {{
        when all {{ recipient domain is bank.example }}
        relay-encryption none
    }}
}}
force-encrypt {{ bank.example }}
"
    );
    shows(
        &text,
        &expect![[r#"
            error[C210]: relay-encryption none is less than Force Encrypt demands for "bank.example": encrypted
             --> mailkeep.conf:6:9
              |
            6 |         relay-encryption none
              |         ^^^^^^^^^^^^^^^^
             ::: mailkeep.conf:9:17
              |
            9 | force-encrypt { bank.example }
              |                 ^^^^^^^^^^^^ the other one
              = help: remove it here, or take the entry out of force-encrypt; a rule may only demand more

            warning[C209]: relay-encryption none is less than the default, opportunistic
             --> mailkeep.conf:6:9
              |
            6 |         relay-encryption none
              |         ^^^^^^^^^^^^^^^^
              = help: make sure that this exception is meant

            1 error, 1 warning
        "#]],
    );
}

#[test]
fn findings_in_an_included_file_name_that_file() {
    let world = Memory::new()
        .with_file("/etc/mailkeep/mailkeep.conf", format!("{START}include domains/*.conf\n"))
        .with_file("/etc/mailkeep/domains/a.conf", "domain a.example { mailboxes remote }\n")
        .with_file("/etc/mailkeep/domains/b.conf", "domain a.example { mailboxes local }\n")
        .with_file("/etc/mailkeep/domains/.hidden.conf", "nonsense\n")
        .with_file("/etc/mailkeep/domains/b.conf~", "nonsense\n");
    let outcome = load_in("/etc/mailkeep/mailkeep.conf".as_ref(), &world);
    expect![[r#"
        error[C104]: "remote" cannot stand here
         --> /etc/mailkeep/domains/a.conf:1:30
          |
        1 | domain a.example { mailboxes remote }
          |                              ^^^^^^
          = help: write local

        error[C114]: there are two of the same domain: a.example
         --> /etc/mailkeep/domains/b.conf:1:8
          |
        1 | domain a.example { mailboxes local }
          |        ^^^^^^^^^
         ::: /etc/mailkeep/domains/a.conf:1:8
          |
        1 | domain a.example { mailboxes remote }
          |        ^^^^^^^^^ the first one

        2 errors, 0 warnings
    "#]]
    .assert_eq(&outcome.render());
}

#[test]
fn the_form_for_programs_has_places_and_replacements() {
    let outcome = parse("hostname mx.example\nlistener x { port 2424; protocol lmpt }\n");
    let json = outcome.to_json();
    assert_eq!(json["schema"], "mailkeep.config-check/1");
    assert_eq!(json["ok"], false);
    let item = &json["items"][0];
    assert_eq!(
        [&item["code"], &item["line"], &item["column"], &item["replacement"]],
        [&serde_json::json!("C104"), &2.into(), &34.into(), &"lmtp".into()]
    );
    let text = "hostname mx.example\nlistener x { port 2424; protocol lmpt }\n";
    let range = item["start"].as_u64().unwrap() as usize..item["end"].as_u64().unwrap() as usize;
    assert_eq!(&text[range], "lmpt");
}

#[test]
fn what_is_beyond_doubt_is_fixed() {
    let text = "hostname mx.example\nlistener x { port 2424 protocol lmpt; without chunkin }\ntrusted-networks 10.0.0.7/8\n";
    let (fixed, count) = config::diagnostic::fix(text, &parse(text).diagnostics);
    let (fixed, more) = config::diagnostic::fix(&fixed, &parse(&fixed).diagnostics);
    assert_eq!((count, more), (3, 1));
    let after = "hostname mx.example\nlistener x { port 2424 ; protocol lmtp; without chunking }\ntrusted-networks 10.0.0.0/8\n";
    assert_eq!(fixed, after);
}
