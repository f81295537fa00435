//! What becomes of each recipient when hosts accept, refuse, lie or fall silent.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{agent_with, by, job, only, opportunistic, raw, settings, status, trouble};
use delivery::{
    Agent, Attempt, Cause, Content, ExchangerOverride, Job, Outcome, Resolver, ResolverSettings,
};
use lab::{Fault, Partner, Script, Stage};
use mail::Domain;

/// Partners as the exchangers of `some.test`, most preferred first.
struct Exchangers {
    partners: Vec<Partner>,
    agent: Agent,
}

impl Exchangers {
    async fn start(scripts: Vec<Script>) -> Self {
        Self::with(scripts, |_| {}).await
    }

    async fn with(scripts: Vec<Script>, change: impl FnOnce(&mut delivery::Settings)) -> Self {
        let mut partners = Vec::new();
        let mut list = Vec::new();
        let mut resolver = ResolverSettings {
            servers: vec!["127.0.0.1:1".parse().unwrap()],
            ..ResolverSettings::default()
        };
        for (at, script) in scripts.into_iter().enumerate() {
            let host: Domain = script.name().parse().unwrap();
            let partner = Partner::start_anywhere(script).await.unwrap();
            resolver.hosts.insert(host.clone(), vec![partner.address().ip()]);
            let (preference, port) = (at as u16 * 10, Some(partner.address().port()));
            list.push(ExchangerOverride { preference, host, port });
            partners.push(partner);
        }
        resolver.exchangers.insert("some.test".parse().unwrap(), list);
        let mut settings = settings();
        change(&mut settings);
        let agent = agent_with(settings, Resolver::new(resolver).unwrap(), &[], None);
        Self { partners, agent }
    }

    async fn send(&self, job: &Job) -> Attempt {
        self.agent.attempt(job, &opportunistic()).await
    }

    fn assert_correct(&self) {
        for partner in &self.partners {
            assert_eq!(partner.violations(), Vec::<String>::new());
        }
    }
}

fn plain(name: &str) -> Script {
    Script::named(name)
}

#[tokio::test]
async fn the_message_arrives_as_it_was() {
    let net = Exchangers::start(vec![plain("a.test")]).await;
    let mut job = job(&["bob@some.test"]);
    job.content = Content::in_memory(
        &b"Received: from ann\r\n"[..],
        &b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nend"[..],
    );
    let attempt = net.send(&job).await;
    assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    let message = &net.partners[0].messages()[0];
    assert_eq!(
        message.text(),
        "Received: from ann\r\nSubject: dots\r\n\r\n.\r\n..\r\n.x\r\nend\r\n"
    );
    assert_eq!(message.hello, "mail.clinic.test");
    assert_eq!(message.sender, "ann@clinic.test");
    net.assert_correct();
}

#[tokio::test]
async fn recipients_of_one_message_have_outcomes_of_their_own() {
    let refuse = |who: &str, text: &str| Fault::at(Stage::Rcpt).recipient(who).reply(text);
    let script = plain("a.test")
        .fault(refuse("eve@some.test", "550 5.1.1 No such user"))
        .fault(refuse("joe@some.test", "450 4.2.1 Busy"));
    let net = Exchangers::start(vec![script]).await;
    let attempt = net.send(&job(&["bob@some.test", "eve@some.test", "joe@some.test"])).await;
    let told: Vec<String> = attempt.outcomes.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("delivered to a.test: 250"), "{told:?}");
    assert_eq!(told[1], "failed (5.1.1): a.test: refused at RCPT: 550 5.1.1 No such user");
    assert_eq!(told[2], "deferred (4.2.1): a.test: refused at RCPT: 450 4.2.1 Busy");
    net.assert_correct();
}

#[tokio::test]
async fn a_host_that_defers_is_followed_by_the_next_and_one_that_refuses_is_not() {
    let defer = Fault::at(Stage::Rcpt).recipient("bob@some.test").reply("450 4.2.0 Later");
    let refuse = Fault::at(Stage::Rcpt).recipient("eve@some.test").reply("550 5.1.1 No");
    let net =
        Exchangers::start(vec![plain("a.test").fault(defer).fault(refuse), plain("b.test")]).await;
    let attempt = net.send(&job(&["bob@some.test", "eve@some.test", "joe@some.test"])).await;
    let hosts: Vec<_> = attempt
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Delivered(delivered) => delivered.host.as_str(),
            Outcome::Temporary(_) => "temporary",
            Outcome::Permanent(_) => "permanent",
        })
        .collect();
    assert_eq!(hosts, ["b.test", "permanent", "a.test"]);
    assert_eq!(net.partners[1].messages()[0].recipients.len(), 1);
    net.assert_correct();
}

#[tokio::test]
async fn a_lost_final_reply_is_in_doubt_and_no_other_host_gets_the_message_meanwhile() {
    let lose = Fault::at(Stage::Content).close();
    let net = Exchangers::start(vec![plain("a.test").fault(lose), plain("b.test")]).await;
    let attempt = net.send(&job(&["bob@some.test"])).await;
    assert!(only(&attempt).is_temporary());
    assert!(trouble(&attempt).uncertain);
    assert_eq!(net.partners[1].counters().connections, 0);
}

#[tokio::test]
async fn hosts_that_cannot_be_reached_or_do_not_serve_are_passed_over() {
    let scripts = vec![
        plain("a.test").fault(Fault::at(Stage::Connect).reply("554 5.7.1 Go away")),
        plain("b.test").fault(Fault::at(Stage::Connect).farewell("421 4.3.2 Busy")),
        plain("c.test").fault(Fault::at(Stage::Ehlo)),
        plain("d.test").fault(Fault::at(Stage::Mail)),
        plain("e.test"),
    ];
    let net = Exchangers::start(scripts).await;
    let attempt = net.send(&job(&["bob@some.test"])).await;
    assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    let troubles: Vec<_> = attempt.contacts.iter().map(|c| c.trouble.is_some()).collect();
    assert_eq!(troubles, [true, true, true, true, false]);
}

#[tokio::test]
async fn only_when_every_host_refuses_to_serve_is_it_final() {
    let refuse = |name| plain(name).fault(Fault::at(Stage::Connect).reply("554 5.7.1 Go away"));
    let both = Exchangers::start(vec![refuse("a.test"), refuse("b.test")]).await;
    assert_eq!(status(&both.send(&job(&["bob@some.test"])).await), "5.7.1");
    let busy = plain("b.test").fault(Fault::at(Stage::Connect).farewell("421 4.3.2 Busy"));
    let one = Exchangers::start(vec![refuse("a.test"), busy]).await;
    assert!(only(&one.send(&job(&["bob@some.test"])).await).is_temporary());
}

#[tokio::test]
async fn too_many_recipients_go_in_several_transactions() {
    let net = Exchangers::start(vec![plain("a.test").recipients_max(3)]).await;
    let names: Vec<String> = (0..8).map(|n| format!("u{n}@some.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let attempt = net.send(&job(&names)).await;
    assert!(attempt.outcomes.iter().all(Outcome::is_delivered), "{attempt:#?}");
    let sizes: Vec<_> = net.partners[0].messages().iter().map(|m| m.recipients.len()).collect();
    assert_eq!(sizes, [3, 3, 2]);
    net.assert_correct();
    let limited = Script::named("a.test").extensions(&["PIPELINING", "LIMITS RCPTMAX=4"]);
    let net = Exchangers::start(vec![limited]).await;
    let attempt = net.send(&job(&names)).await;
    assert!(attempt.outcomes.iter().all(Outcome::is_delivered));
    let sizes: Vec<_> = net.partners[0].messages().iter().map(|m| m.recipients.len()).collect();
    assert_eq!(sizes, [4, 4]);
}

#[tokio::test]
async fn another_host_may_offer_what_the_first_lacks() {
    let old = plain("a.test").extensions(&["PIPELINING"]);
    let net = Exchangers::start(vec![old.clone(), plain("b.test")]).await;
    let mut utf8 = job(&["j\u{f6}rg@some.test"]);
    utf8.envelope.smtputf8 = true;
    let attempt = net.send(&utf8).await;
    assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    let net = Exchangers::start(vec![old]).await;
    let attempt = net.send(&utf8).await;
    assert_eq!((status(&attempt).as_str(), trouble(&attempt).cause), ("5.6.7", Cause::Unfit));
    let eight = Job {
        content: Content::in_memory(&b""[..], "Subject: a\r\n\r\n\u{e4}\r\n".as_bytes()),
        ..job(&["bob@some.test"])
    };
    assert_eq!(status(&net.send(&eight).await), "5.6.3");
    let mut require = job(&["bob@some.test"]);
    require.envelope.require_tls = true;
    assert_eq!(status(&net.send(&require).await), "5.7.30");
    assert_eq!(net.partners[0].counters().mail, 0);
}

#[tokio::test]
async fn a_message_larger_than_the_host_takes_is_not_sent() {
    let small = plain("a.test").extensions(&["SIZE 20"]);
    let net = Exchangers::start(vec![small]).await;
    assert_eq!(status(&net.send(&job(&["bob@some.test"])).await), "5.3.4");
    assert_eq!(net.partners[0].counters().mail, 0);
}

#[tokio::test]
async fn content_that_would_smuggle_never_leaves() {
    let net = Exchangers::start(vec![plain("a.test")]).await;
    for bad in ["a: b\r\n\r\nx\n.\r\nMAIL FROM:<>\r\n", "a: b\r\n\r\nx\r.\r\n", "a: b\r\n\r\nx\r"] {
        let bad = Job {
            content: Content::in_memory(&b""[..], bad.as_bytes()),
            ..job(&["bob@some.test"])
        };
        assert_eq!(status(&net.send(&bad).await), "5.6.0");
    }
    assert_eq!(net.partners[0].counters().connections, 0);
}

#[tokio::test]
async fn large_messages_are_read_from_the_store_piece_by_piece() {
    use std::sync::Arc;

    /// Lines of 100 octets, of which none is held in memory.
    struct Lines(u64);
    impl delivery::Stored for Lines {
        fn octets(&self) -> u64 {
            self.0 * 100
        }
        fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<usize> {
            let rest = self.octets() - offset;
            let length = (out.len() as u64).min(rest).min(70_001) as usize;
            for (at, octet) in out[..length].iter_mut().enumerate() {
                *octet = match (offset + at as u64) % 100 {
                    0 => b'.',
                    98 => b'\r',
                    99 => b'\n',
                    _ => b'x',
                };
            }
            Ok(length)
        }
    }
    let net = Exchangers::start(vec![plain("a.test")]).await;
    let content = Content::stored(&b"Subject: long\r\n\r\n"[..], Arc::new(Lines(30_000))).unwrap();
    let long = Job { content, ..job(&["bob@some.test"]) };
    let attempt = net.send(&long).await;
    assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    let arrived = &net.partners[0].messages()[0].content;
    assert_eq!(arrived.len(), 3_000_000 + 17);
    assert!(arrived[17..].starts_with(b".x"));
    net.assert_correct();
}

#[tokio::test]
async fn a_host_that_cannot_be_read_from_the_store_never_gets_half_a_message() {
    use std::sync::Arc;

    struct Broken(std::sync::atomic::AtomicBool);
    impl delivery::Stored for Broken {
        fn octets(&self) -> u64 {
            1_000_000
        }
        fn read_at(&self, _: u64, out: &mut [u8]) -> std::io::Result<usize> {
            if self.0.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(std::io::Error::other("the disk is gone"));
            }
            out.fill(b'x');
            Ok(out.len())
        }
    }
    let net = Exchangers::start(vec![plain("a.test"), plain("b.test")]).await;
    let disk = Arc::new(Broken(false.into()));
    let content = Content::stored(&b""[..], Arc::clone(&disk) as Arc<_>).unwrap();
    disk.0.store(true, std::sync::atomic::Ordering::SeqCst);
    let attempt = net.send(&Job { content, ..job(&["bob@some.test"]) }).await;
    let trouble = trouble(&attempt);
    assert!(only(&attempt).is_temporary());
    assert_eq!((trouble.cause, trouble.uncertain), (Cause::Content, false));
    assert!(net.partners[0].complete_messages().is_empty());
}

#[tokio::test]
async fn binary_content_goes_by_bdat_where_offered() {
    let net = Exchangers::start(vec![plain("a.test")]).await;
    let mut binary = job(&["bob@some.test"]);
    binary.envelope.body = mail::Body::BinaryMime;
    binary.content = Content::in_memory(&b""[..], &b"a: b\r\n\r\n\0\n.\r\n\r\xff"[..]);
    let attempt = net.send(&binary).await;
    assert!(only(&attempt).is_delivered(), "{attempt:#?}");
    let message = &net.partners[0].messages()[0];
    assert!(message.chunked);
    assert_eq!(&message.content[..], &b"a: b\r\n\r\n\0\n.\r\n\r\xff"[..]);
    net.assert_correct();
}

#[tokio::test]
async fn silence_ends_at_the_time_limit_of_its_phase() {
    for (stage, doubt) in [
        (Stage::Connect, false),
        (Stage::Mail, false),
        (Stage::Data, false),
        (Stage::Content, true),
    ] {
        let net =
            Exchangers::with(vec![plain("a.test").fault(Fault::at(stage).silence())], |settings| {
                let limits = &mut settings.timeouts;
                for limit in [
                    &mut limits.greeting,
                    &mut limits.mail,
                    &mut limits.rcpt,
                    &mut limits.data_start,
                    &mut limits.data_end,
                ] {
                    *limit = Duration::from_millis(100);
                }
            })
            .await;
        let began = Instant::now();
        let attempt = net.send(&job(&["bob@some.test"])).await;
        assert_eq!(status(&attempt), "4.4.2", "{stage:?}");
        assert_eq!(trouble(&attempt).uncertain, doubt, "{stage:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{stage:?}");
    }
}

#[tokio::test]
async fn a_reply_that_drips_does_not_outlast_the_limit() {
    let drip = plain("a.test").slow(Duration::ZERO, Duration::from_millis(50));
    let net = Exchangers::with(vec![drip], |settings| {
        settings.timeouts.greeting = Duration::from_millis(200);
    })
    .await;
    let attempt = net.send(&job(&["bob@some.test"])).await;
    assert_eq!(status(&attempt), "4.4.2");
}

#[tokio::test]
async fn dsn_wishes_travel_on_or_remain_with_us() {
    use delivery::Onward;
    let mut wish = job(&["bob@some.test"]);
    wish.envelope.recipients[0].notify.success = true;
    for (extensions, onward) in
        [(&["PIPELINING", "DSN"][..], Onward::WithDsn), (&["PIPELINING"][..], Onward::Relayed)]
    {
        let net = Exchangers::start(vec![plain("a.test").extensions(extensions)]).await;
        let attempt = net.send(&wish).await;
        let Outcome::Delivered(delivered) = only(&attempt) else { panic!("{attempt:#?}") };
        assert_eq!(delivered.onward, onward);
        let told = &net.partners[0].messages()[0].recipients[0].parameters;
        assert_eq!(!told.is_empty(), onward == Onward::WithDsn, "{told:?}");
    }
}

#[tokio::test]
async fn a_host_that_has_had_enough_in_the_midst_of_the_content_is_heard() {
    let net = Exchangers::start(Vec::new()).await;
    let route = raw(|mut stream| async move {
        stream.write_all(b"220 a.test\r\n").await.unwrap();
        let mut heard = [0; 1_000];
        for reply in ["250-a.test\r\n250 PIPELINING\r\n", "250 Ok\r\n250 Ok\r\n354 Go on\r\n"] {
            assert_ne!(stream.read(&mut heard).await.unwrap(), 0);
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
        assert_ne!(stream.read(&mut heard).await.unwrap(), 0);
        stream.write_all(b"552 5.3.4 That is enough\r\n").await.unwrap();
        // It reads no more and does not close.
        std::future::pending::<()>().await;
    })
    .await;
    let content = Content::in_memory(&b""[..], "0123456789abcdef\r\n".repeat(2_000_000));
    let long = Job { content, ..by(route, &["bob@some.test"]) };
    let attempt = tokio::time::timeout(Duration::from_secs(20), net.send(&long)).await.unwrap();
    assert_eq!(status(&attempt), "5.3.4", "{attempt:#?}");
}

#[tokio::test]
async fn replies_without_end_are_cut_off() {
    for flood in ["220-more of the same\r\n", "220 a line without end ", "\r\n", "\0"] {
        let net = Exchangers::start(Vec::new()).await;
        let route = raw(move |mut stream| async move {
            while stream.write_all(flood.as_bytes()).await.is_ok() {}
        })
        .await;
        let attempt = net.send(&by(route, &["bob@some.test"])).await;
        assert_eq!(status(&attempt), "4.5.0", "{attempt:#?}");
    }
}

#[tokio::test]
async fn many_recipients_and_replies_do_not_wait_for_each_other() {
    let net = Exchangers::with(vec![plain("a.test")], |settings| {
        settings.pace.recipients_max = 1_000;
    })
    .await;
    let names: Vec<String> = (0..1_000).map(|n| format!("user-number-{n}@some.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let attempt = net.send(&job(&names)).await;
    assert!(attempt.outcomes.iter().all(Outcome::is_delivered));
    assert_eq!(net.partners[0].messages()[0].recipients.len(), 1_000);
}

#[tokio::test]
async fn a_dead_exchanger_beside_a_live_one_does_not_slow_the_destination_down() {
    let dead = plain("a.test").fault(Fault::at(Stage::Connect));
    let slow = plain("b.test").slow(Duration::from_millis(100), Duration::ZERO);
    let net = Exchangers::with(vec![dead, slow], |settings| {
        settings.pace.concurrency_start = 2;
        settings.pace.concurrency_max = 2;
    })
    .await;
    let send = job(&["bob@some.test"]);
    for _ in 0..2 {
        assert!(only(&net.send(&send).await).is_delivered());
    }
    let under_way = net.send(&send);
    tokio::pin!(under_way);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut under_way).await.is_err());
    assert!(net.agent.has_room(&send.route), "one of two turns is taken");
    assert!(only(&under_way.await).is_delivered());
}
