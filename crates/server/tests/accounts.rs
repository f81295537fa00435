//! Accounts, aliases and groups, made one by one and from a file, and who may send as whom.

mod support;

use support::{Client, Server, shown};

const PASSWORD: &str = "open sesame, please";

fn start(more: &str) -> Server {
    Server::start(&format!(
        "
        hostname  mail.test
        data      @DIR@/data
        certificate mail {{ local-authority; names mail.test }}
        listener mx {{ address 127.0.0.1; port 0; tls starttls; certificate mail }}
        listener submission {{
            address 127.0.0.1; port 0; protocol submission; tls starttls; certificate mail
        }}
        domain mail.test {{ deliver-to maildir @DIR@/maildir; recipients accounts }}
        sign-in {{ {more} }}
        "
    ))
}

fn stranger(server: &Server) -> Client {
    let mut client = server.connect("mx");
    client.expect("EHLO far.test", "250");
    client
}

#[test]
fn everybody_in_a_group_gets_the_mail_once() {
    let server = start("");
    for name in ["ann", "bob", "eve"] {
        server.account(&format!("{name}@mail.test"), PASSWORD);
    }
    server.ok(&["account", "alias", "boss@mail.test", "ann@mail.test"]);
    server.ok(&["account", "group", "board@mail.test", "boss@mail.test", "bob@mail.test"]);
    server.ok(&[
        "account",
        "group",
        "staff@mail.test",
        "board@mail.test",
        "eve@mail.test",
        "ann@mail.test",
    ]);
    server.ok(&[
        "account",
        "group",
        "board@mail.test",
        "boss@mail.test",
        "bob@mail.test",
        "staff@mail.test",
    ]);
    let content = "Subject: to all\n\nhello\n";
    let reply = stranger(&server).message("x@far.test", &["staff@mail.test"], content);
    assert!(reply.starts_with("250"), "{reply}");
    for name in ["ann", "bob", "eve"] {
        assert_eq!(server.wait_for_mail(&format!("{name}@mail.test"), 1).len(), 1, "{name}");
    }
    server.ok(&["account", "disable", "eve@mail.test"]);
    stranger(&server).message("x@far.test", &["staff@mail.test", "bob@mail.test"], content);
    assert_eq!(server.wait_for_mail("bob@mail.test", 2).len(), 2);
    assert_eq!(server.wait_for_mail("ann@mail.test", 2).len(), 2);
    assert_eq!(server.maildir("eve@mail.test").len(), 1);
    let missing = server.run(&["account", "group", "more@mail.test", "nobody@mail.test"]);
    assert!(!missing.status.success(), "{}", shown(&missing));
}

#[test]
fn an_alias_with_a_star_takes_mail_for_many_names() {
    let server = start("");
    server.account("ann@mail.test", PASSWORD);
    server.ok(&["account", "alias", "sales-*@mail.test", "ann@mail.test"]);
    let mut client = stranger(&server);
    client.expect("MAIL FROM:<x@far.test>", "250");
    client.expect("RCPT TO:<sales-2026@mail.test>", "250");
    client.expect("RCPT TO:<sale@mail.test>", "550 5.1.1");
}

#[test]
fn a_file_of_accounts_is_taken_whole_or_not_at_all() {
    let server = start("");
    server.account("ann@mail.test", PASSWORD);
    let file = server.dir().join("people.csv");
    let path = file.to_str().unwrap();
    std::fs::write(
        &file,
        "address,kind,password,targets,disabled\n\
         ann@mail.test,person,,,\n\
         bob@mail.test,person,short,,\n\
         bob@mail.test,person,long enough as it is,,\n\
         eve@other.test,person,,,\n\
         team@mail.test,group,,bob@mail.test nobody@mail.test,\n\
         broken,person,,,maybe\n\
         one,two\n",
    )
    .unwrap();
    let refused = server.run(&["account", "import", path]);
    let said = shown(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for line in [
        "line 2: ann@mail.test is there already",
        "line 3: a password needs at least 12 characters",
        "line 4: bob@mail.test stands in line 3 too",
        "line 5: other.test is not a domain of this server",
        "line 6: there is no account nobody@mail.test",
        "line 7: \"broken\" is no address",
        "line 8: 2 fields, where the first line names 5",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(!server.ok(&["account", "list"]).contains("bob"));

    std::fs::write(
        &file,
        "address,kind,password,targets,disabled\n\
         crew@mail.test,group,,team@mail.test,\n\
         team@mail.test,group,,\"bob@mail.test, x@far.test\",\n",
    )
    .unwrap();
    let refused = shown(&server.run(&["account", "import", path]));
    assert!(refused.contains("line 3"), "a comma does not separate targets: {refused}");
    std::fs::write(
        &file,
        "address,kind,password,targets,disabled\n\
         crew@mail.test,group,,team@mail.test,\n\
         team@mail.test,group,,bob@mail.test x@far.test,\n\
         robert@mail.test,alias,,bob@mail.test,\n\
         bob@mail.test,person,\"long enough, as it is\",,\n\
         lift@mail.test,service,,,yes\n",
    )
    .unwrap();
    let dry = server.ok(&["account", "import", path, "--dry-run"]);
    assert!(dry.contains("5 entries could be made"), "{dry}");
    assert!(!server.ok(&["account", "list"]).contains("bob"));
    server.ok(&["account", "import", path]);
    let mut client = server.connect("submission");
    client.hello_under_tls();
    assert!(client.sign_in("bob@mail.test", "long enough, as it is").starts_with("235"));
    let exported = server.ok(&["account", "export"]);
    for line in [
        "bob@mail.test,person,,no",
        "lift@mail.test,service,,yes",
        "robert@mail.test,alias,bob@mail.test,",
        "team@mail.test,group,bob@mail.test x@far.test,",
    ] {
        assert!(exported.lines().any(|found| found == line), "{line}\n{exported}");
    }
    assert!(!exported.contains("argon2") && !exported.contains("long enough"), "{exported}");
}

#[test]
fn who_signed_in_sends_from_addresses_of_the_account_alone() {
    let server = start("sender-must-match envelope-and-header");
    for name in ["ann", "bob"] {
        server.account(&format!("{name}@mail.test"), PASSWORD);
    }
    server.ok(&["account", "alias", "boss@mail.test", "ann@mail.test"]);
    server.ok(&["account", "group", "board@mail.test", "ann@mail.test", "x@far.test"]);
    let mut client = server.connect("submission");
    client.hello_under_tls();
    assert!(client.sign_in("ann@mail.test", PASSWORD).starts_with("235"));
    for own in ["ann@mail.test", "Ann+tag@mail.test", "boss@mail.test", "board@mail.test", ""] {
        client.expect(&format!("MAIL FROM:<{own}>"), "250");
        client.expect("RSET", "250");
    }
    for foreign in ["bob@mail.test", "x@far.test", "nobody@mail.test"] {
        client.expect(&format!("MAIL FROM:<{foreign}>"), "553 5.7.1");
    }
    let to = ["bob@mail.test"];
    let send = |client: &mut Client, from: &str| {
        client.message("ann@mail.test", &to, &format!("From: {from}\nSubject: x\n\nhello\n"))
    };
    assert!(send(&mut client, "The boss <boss@mail.test>").starts_with("250"));
    for foreign in
        ["bob@mail.test", "ann@mail.test, bob@mail.test", "\"ann@mail.test\" <b@far.test>"]
    {
        let reply = send(&mut client, foreign);
        assert!(reply.starts_with("553 5.7.1"), "{foreign}: {reply}");
    }
    // Strangers are not held to it.
    assert!(
        stranger(&server)
            .message("bob@mail.test", &to, "From: q@far.test\n\nx\n")
            .starts_with("250")
    );
    let explained = server.run(&[
        "explain",
        "--listener",
        "submission",
        "--auth",
        "ann@mail.test",
        "--from",
        "bob@mail.test",
        "--to",
        "x@far.test",
    ]);
    assert!(shown(&explained).contains("sender-must-match"), "{}", shown(&explained));
}
