//! Real handshakes between both sides, over a pipe in memory.

use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Timestamp};
use tls::server::Settings;
use tls::{
    Anchor, Authority, Client, ClientCertificate, Connected, Demands, Distrust, Entry, Failure,
    FailureKind, Group, Handshake, Identity, Issued, Keyring, Leaf, Level, Offer, Peer, Proof,
    Protection, Requirement, RootSources, Roots, Server, Verification, Version, Versions,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

const NOW: Timestamp = Timestamp(1_772_445_731_042);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type ServerSide = tls::server::TlsStream<DuplexStream>;
type ClientSide = tls::client::TlsStream<DuplexStream>;

/// An authority, a client that trusts it, and a server for mx1.bank.example.
struct World {
    authority: Authority,
    client: Client,
    server: Server,
}

impl World {
    fn new() -> Self {
        let authority = Authority::create("Lab", NOW).unwrap().0;
        let issued = authority.issue(&Leaf::new(["mx1.bank.example"], NOW)).unwrap();
        let server = server(&issued);
        let client = Client::new(trusting(&authority));
        Self { authority, client, server }
    }

    fn with_server(self, adjust: impl FnOnce(&mut Settings)) -> Self {
        let issued = self.authority.issue(&Leaf::new(["mx1.bank.example"], NOW)).unwrap();
        let mut settings = settings(&issued);
        adjust(&mut settings);
        Self { server: Server::new(&settings).unwrap(), ..self }
    }

    async fn meet(&self, offer: &Offer) -> Meeting {
        meet(&self.client, &self.server, &peer(), offer).await
    }
}

/// How both sides saw one connection.
struct Meeting {
    client: Result<(ClientSide, Handshake), Failure>,
    server: Result<(ServerSide, Handshake), Failure>,
}

impl Meeting {
    fn seen_by_client(self) -> Handshake {
        self.client.unwrap().1
    }

    fn verification(self) -> Verification {
        self.seen_by_client().verification
    }

    /// Sends a line each way, so that tickets and late alerts arrive.
    async fn talk(&mut self) -> std::io::Result<()> {
        let (client, _) = self.client.as_mut().unwrap();
        let (server, _) = self.server.as_mut().unwrap();
        let mut line = [0; 4];
        server.write_all(b"220 ").await?;
        server.flush().await?;
        client.read_exact(&mut line).await?;
        client.write_all(b"QUIT").await?;
        client.flush().await?;
        server.read_exact(&mut line).await?;
        assert_eq!(&line, b"QUIT");
        Ok(())
    }
}

async fn meet(client: &Client, server: &Server, peer: &Peer, offer: &Offer) -> Meeting {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (client, server) =
        tokio::join!(client.connect(near, peer, offer, NOW), server.accept(far, NOW));
    Meeting { client, server }
}

fn settings(issued: &Issued) -> Settings {
    let entry = Entry::given(issued.identity().unwrap());
    Settings::new(Arc::new(Keyring::load(vec![entry]).unwrap()))
}

fn server(issued: &Issued) -> Server {
    Server::new(&settings(issued)).unwrap()
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn peer() -> Peer {
    Peer::mx(&domain("mx1.bank.example"), &domain("bank.example"))
}

fn only(version: Version) -> Offer {
    Offer { versions: Versions::only(version), ..Offer::default() }
}

fn trusted(name: &str, anchor: Anchor) -> Verification {
    Verification::Trusted { name: name.to_owned(), anchor, by: [Proof::WebPki].into() }
}

fn distrust(verification: Verification) -> Distrust {
    match verification {
        Verification::Untrusted { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_good_peer_is_met_over_tls_1_3_with_hybrid_key_exchange() {
    let world = World::new();
    let mut meeting = world.meet(&Offer::default()).await;
    meeting.talk().await.unwrap();
    let server = meeting.server.as_ref().unwrap().1.clone();
    let (stream, client) = meeting.client.unwrap();
    for facts in [&client, &server] {
        assert_eq!(facts.version, Version::Tls13);
        assert_eq!(facts.group, Some(Group::X25519_MLKEM768));
        assert_eq!(facts.sni.as_deref(), Some("mx1.bank.example"));
        assert_eq!((facts.suite, facts.resumed), (client.suite, false));
    }
    assert_eq!(client.verification, trusted("mx1.bank.example", Anchor::RecipientDomain));
    assert_eq!(server.verification, Verification::NoCertificate);
    assert_eq!(client.leaf().map(|leaf| leaf.sha256), server.own_certificate);
    assert_eq!(client.leaf().unwrap().names, ["mx1.bank.example"]);

    let demands = Demands::by_default(Requirement::authenticated());
    let ready = Connected::encrypted(stream, client).admit(&demands).unwrap();
    assert_eq!(ready.verdict().protection, Protection::Proven);
}

#[tokio::test]
async fn a_peer_of_tls_1_2_is_met_with_forward_secrecy() {
    let world = World::new().with_server(|it| it.versions = Versions::only(Version::Tls12));
    let mut meeting = world.meet(&Offer::default()).await;
    meeting.talk().await.unwrap();
    let facts = meeting.seen_by_client();
    assert_eq!(facts.version, Version::Tls12);
    assert!(facts.suite.to_string().starts_with("TLS_ECDHE_ECDSA_WITH_"), "{}", facts.suite);
    assert_eq!(facts.verification, trusted("mx1.bank.example", Anchor::RecipientDomain));
}

#[tokio::test]
async fn versions_without_overlap_fail_on_both_sides_and_waiting_does_not_help() {
    for (theirs, ours) in [(Version::Tls12, Version::Tls13), (Version::Tls13, Version::Tls12)] {
        let world = World::new().with_server(|it| it.versions = Versions::only(theirs));
        let meeting = world.meet(&only(ours)).await;
        let (client, server) = (meeting.client.unwrap_err(), meeting.server.unwrap_err());
        assert_eq!(client.kind, FailureKind::NoCommonGround, "{client}");
        assert_eq!(server.kind, FailureKind::NoCommonGround, "{server}");
        assert!(!client.may_pass());
    }
}

#[tokio::test]
async fn only_the_suites_that_are_allowed_are_used() {
    let suite = "TLS_CHACHA20_POLY1305_SHA256".parse().unwrap();
    let offer = Offer { suites: Some([suite].into()), ..Offer::default() };
    let facts = World::new().meet(&offer).await.seen_by_client();
    assert_eq!(facts.suite, suite);

    let tls12_only = Offer { suites: Some([tls::Suite(0xc02c)].into()), ..only(Version::Tls13) };
    let failure = World::new().meet(&tls12_only).await.client.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Impossible);
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_found_and_none_stops_the_handshake() {
    let world = World::new();
    let long_ago = Timestamp(NOW.0 - 100 * 24 * 3600 * 1000);
    let tomorrow = NOW.plus(DAY);
    let leaf = Leaf::new(["mx1.bank.example"], NOW);
    let stranger = Authority::create("Stranger", NOW).unwrap().0;
    let issue = |leaf: &Leaf| world.authority.issue(leaf).unwrap();
    let expired = leaf.clone().valid(long_ago, Timestamp(NOW.0 - 24 * 3600 * 1000));
    let early = leaf.clone().valid(tomorrow, tomorrow.plus(DAY));
    let cases = [
        ("it is self-signed", leaf.self_signed().unwrap()),
        ("its issuer is not a trusted authority", stranger.issue(&leaf).unwrap()),
        ("it expired on 2026-03-01", issue(&expired)),
        ("it is not valid yet", issue(&early)),
        ("it is for mx1.other.example", issue(&Leaf::new(["mx1.other.example"], NOW))),
    ];
    for (fault, issued) in cases {
        for offer in [only(Version::Tls13), only(Version::Tls12)] {
            let mut meeting = meet(&world.client, &server(&issued), &peer(), &offer).await;
            meeting.talk().await.unwrap();
            let (stream, facts) = meeting.client.unwrap();
            assert_eq!(distrust(facts.verification.clone()).to_string(), fault);

            let encrypted = Demands::by_default(Requirement::encrypted());
            let ready = Connected::encrypted(stream, facts).admit(&encrypted).unwrap();
            assert_eq!(ready.verdict().protection, Protection::Encrypted);
            let proven = Demands::by_default(Requirement::authenticated());
            let refused = ready.readmit(&proven).unwrap_err();
            assert_eq!(refused.verdict.protection, Protection::NotSent);
            assert!(refused.verdict.to_string().ends_with(fault), "{}", refused.verdict);
        }
    }
}

#[tokio::test]
async fn a_pin_proves_a_self_signed_peer_by_certificate_or_by_key() {
    let issued = Leaf::new(["mx1.bank.example"], NOW).self_signed().unwrap();
    let facts = issued.identity().unwrap().facts().clone();
    let world = World::new();
    for pin in [facts.sha256, facts.spki_sha256] {
        let demands = Demands::by_default(Requirement::pinned([pin]));
        let offer = Offer::for_requirement(&demands.joined());
        let meeting = meet(&world.client, &server(&issued), &peer(), &offer).await;
        let (stream, facts) = meeting.client.unwrap();
        let ready = Connected::encrypted(stream, facts).admit(&demands).unwrap();
        assert_eq!(ready.verdict().protection, Protection::Proven);
    }
    let other = Demands::by_default(Requirement::pinned([tls::Fingerprint::of(b"other")]));
    let (stream, facts) =
        meet(&world.client, &server(&issued), &peer(), &Offer::default()).await.client.unwrap();
    assert!(Connected::encrypted(stream, facts).admit(&other).is_err());
}

#[tokio::test]
async fn a_bundle_of_extra_authorities_makes_a_private_one_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private-ca.pem");
    let world = World::new();
    tls::authority::write_public(&path, world.authority.certificate_pem()).unwrap();
    let mozilla = RootSources { built_in: true, ..RootSources::default() };
    let without = Client::new(Arc::new(Roots::load(&mozilla).unwrap()));
    let found = meet(&without, &world.server, &peer(), &Offer::default()).await.verification();
    assert_eq!(distrust(found), Distrust::UnknownIssuer);
    let with = RootSources { bundles: vec![path], ..mozilla };
    let with = Client::new(Arc::new(Roots::load(&with).unwrap()));
    let found = meet(&with, &world.server, &peer(), &Offer::default()).await.verification();
    assert_eq!(found, trusted("mx1.bank.example", Anchor::RecipientDomain));
}

#[tokio::test]
async fn a_certificate_for_a_foreign_mx_proves_less_than_one_for_the_domain() {
    let world = World::new();
    let names = |names: &[&str]| {
        server(&world.authority.issue(&Leaf::new(names.iter().copied(), NOW)).unwrap())
    };
    let foreign = Peer::mx(&domain("mx.host.example"), &domain("bank.example"));
    let offer = Offer::default();
    let authenticated = Demands::by_default(Requirement::authenticated());

    let meeting = meet(&world.client, &names(&["mx.host.example"]), &foreign, &offer).await;
    let (stream, facts) = meeting.client.unwrap();
    assert_eq!(facts.verification, trusted("mx.host.example", Anchor::UnsignedDns));
    let ready = Connected::encrypted(stream, facts).admit(&authenticated).unwrap();
    assert_eq!(ready.verdict().protection, Protection::Encrypted);

    let both = names(&["mx.host.example", "bank.example"]);
    let found = meet(&world.client, &both, &foreign, &offer).await.verification();
    assert_eq!(found, trusted("bank.example", Anchor::RecipientDomain));
}

#[tokio::test]
async fn a_peer_reached_by_address_is_verified_by_its_address() {
    let world = World::new();
    let issued = world.authority.issue(&Leaf::new(["192.0.2.8"], NOW)).unwrap();
    let address = Peer::new(&domain("[192.0.2.8]"), Anchor::Configured);
    let meeting = meet(&world.client, &server(&issued), &address, &Offer::default()).await;
    let facts = meeting.seen_by_client();
    assert_eq!(facts.verification, trusted("192.0.2.8", Anchor::Configured));
    assert_eq!(facts.sni, None);
}

#[tokio::test]
async fn without_the_hybrid_the_key_exchange_is_classical() {
    let offer = Offer::default().without_hybrid();
    let facts = World::new().meet(&offer).await.seen_by_client();
    assert!(!facts.group.unwrap().is_post_quantum());
    let world = World::new().with_server(|it| it.hybrid = false);
    let facts = world.meet(&Offer::default()).await.seen_by_client();
    assert_eq!(facts.group.unwrap().to_string(), "x25519");
}

fn client_identity(authority: &Authority) -> Arc<Identity> {
    let issued = authority.issue(&Leaf::new(["gateway.ours.example"], NOW)).unwrap();
    Arc::new(issued.identity().unwrap())
}

fn trusting(authority: &Authority) -> Arc<Roots> {
    Arc::new(Roots::only([authority.certificate_pem()]).unwrap())
}

#[tokio::test]
async fn a_client_certificate_is_verified_against_the_listeners_authorities() {
    let world = World::new();
    let roots = trusting(&world.authority);
    let known = client_identity(&world.authority);
    let stranger = Authority::create("Stranger", NOW).unwrap().0;
    let unknown = client_identity(&stranger);
    let asking =
        world.with_server(|it| it.client_certificate = ClientCertificate::Ask(Arc::clone(&roots)));
    for versions in [Versions::only(Version::Tls12), Versions::only(Version::Tls13)] {
        let seen = async |own: Option<&Arc<Identity>>| {
            let offer = Offer { versions, ..Offer::default() }.with_identity(own.cloned());
            asking.meet(&offer).await.server.unwrap().1
        };
        let facts = seen(Some(&known)).await;
        assert_eq!(facts.verification, trusted("gateway.ours.example", Anchor::Configured));
        assert_eq!(facts.leaf().unwrap().sha256, known.facts().sha256);
        let facts = seen(Some(&unknown)).await;
        assert_eq!(distrust(facts.verification), Distrust::UnknownIssuer);
        assert_eq!(seen(None).await.verification, Verification::NoCertificate);
    }
}

#[tokio::test]
async fn where_a_client_certificate_is_required_there_is_no_connection_without_a_good_one() {
    let world = World::new();
    let roots = trusting(&world.authority);
    let known = client_identity(&world.authority);
    let unknown = client_identity(&Authority::create("Stranger", NOW).unwrap().0);
    let strict = world.with_server(|it| it.client_certificate = ClientCertificate::Require(roots));
    let good = strict.meet(&Offer::default().with_identity(Some(known))).await;
    assert!(good.server.is_ok());
    for own in [None, Some(unknown)] {
        for version in [Version::Tls12, Version::Tls13] {
            let mut meeting = strict.meet(&only(version).with_identity(own.clone())).await;
            assert!(meeting.server.is_err());
            // With TLS 1.3 the client hears of it after its own handshake.
            let told = match &mut meeting.client {
                Err(failure) => failure.clone(),
                Ok((stream, _)) => {
                    Failure::from_io(&stream.read_exact(&mut [0; 1]).await.unwrap_err())
                }
            };
            assert_eq!(told.kind, FailureKind::ClientCertificate, "{version} {told}");
        }
    }
}

#[tokio::test]
async fn a_resumed_session_is_verified_by_its_own_chain() {
    let world = World::new();
    let offer = Offer::default();
    let mut first = world.meet(&offer).await;
    first.talk().await.unwrap();
    let mut second = world.meet(&offer).await;
    second.talk().await.unwrap();
    let (first, second) = (first.seen_by_client(), second.seen_by_client());
    assert!(!first.resumed && second.resumed);
    assert_eq!(first.peer_chain, second.peer_chain);
    assert_eq!(second.verification, first.verification);
    assert_eq!(second.group, Some(Group::X25519_MLKEM768));
}

#[tokio::test]
async fn resumption_never_makes_an_impostor_trusted() {
    // Both answer for the same name, so that the client holds tickets of either.
    let world = World::new();
    let impostor = server(&Leaf::new(["mx1.bank.example"], NOW).self_signed().unwrap());
    let offer = Offer::default();
    for (server, is_impostor) in
        [(&impostor, true), (&world.server, false), (&impostor, true), (&world.server, false)]
    {
        let mut meeting = meet(&world.client, server, &peer(), &offer).await;
        meeting.talk().await.unwrap();
        match meeting.verification() {
            Verification::Trusted { .. } => assert!(!is_impostor),
            Verification::Untrusted { reason, .. } => {
                assert!(is_impostor, "{reason}");
                assert_eq!(reason, Distrust::SelfSigned);
            }
            Verification::NoCertificate => panic!("no certificate"),
        }
    }
}

#[tokio::test]
async fn who_must_prove_something_proves_it_afresh() {
    let world = World::new();
    let offer = Offer::for_requirement(&Requirement::at(Level::Authenticated));
    for _ in 0..2 {
        let mut meeting = world.meet(&offer).await;
        meeting.talk().await.unwrap();
        assert!(!meeting.seen_by_client().resumed);
    }
}

#[tokio::test]
async fn an_untrusted_session_is_not_continued_twice() {
    // A session begun with a good certificate is resumed after that has expired.
    let world = World::new();
    let soon = NOW.plus(DAY / 24);
    let leaf = Leaf::new(["mx1.bank.example"], NOW).valid(NOW, soon);
    let server = server(&world.authority.issue(&leaf).unwrap());
    let offer = Offer::default();
    meet(&world.client, &server, &peer(), &offer).await.talk().await.unwrap();
    let later = soon.plus(DAY / 24);
    let mut resumed = Vec::new();
    for _ in 0..2 {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let target = peer();
        let (client, server) = tokio::join!(
            world.client.connect(near, &target, &offer, later),
            server.accept(far, later)
        );
        let mut meeting = Meeting { client, server };
        let told = meeting.client.as_ref().unwrap().1.clone();
        assert!(matches!(distrust(told.verification), Distrust::Expired { .. }));
        resumed.push(told.resumed);
        if told.resumed {
            // Its new tickets come with the first octets; the next must still not use them.
            meeting.talk().await.unwrap();
        }
    }
    assert_eq!(resumed, [true, false]);
}

#[tokio::test]
async fn a_reload_shows_the_new_certificate_while_old_sessions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("mx.pem"), folder.path().join("mx.key"));
    let world = World::new();
    let renew = || {
        let issued = world.authority.issue(&Leaf::new(["mx1.bank.example"], NOW)).unwrap();
        tls::authority::write_public(&chain, &issued.chain_pem).unwrap();
        tls::authority::write_secret(&key, &issued.key_pem).unwrap();
        issued.identity().unwrap().facts().sha256
    };
    let first = renew();
    let keyring = Arc::new(Keyring::load(vec![Entry::files(&chain, &key)]).unwrap());
    let server = Server::new(&Settings::new(Arc::clone(&keyring))).unwrap();
    let fresh = Offer { resume: false, ..Offer::default() };
    let shown = async || {
        let meeting = meet(&world.client, &server, &peer(), &fresh).await;
        meeting.seen_by_client().leaf().unwrap().sha256
    };
    let mut old = meet(&world.client, &server, &peer(), &fresh).await;
    old.talk().await.unwrap();
    assert_eq!(shown().await, first);
    assert!(!keyring.reload().unwrap());

    let second = renew();
    assert!(keyring.reload().unwrap());
    assert_eq!(shown().await, second);
    old.talk().await.unwrap();

    std::fs::write(&key, "garbage").unwrap();
    let error = keyring.reload().unwrap_err().to_string();
    assert!(error.contains("mx.key") && error.contains("BEGIN PRIVATE KEY"), "{error}");
    assert_eq!(shown().await, second);
    old.talk().await.unwrap();
}

#[tokio::test]
async fn each_host_name_has_its_certificate_and_its_settings() {
    let world = World::new();
    let entry = |names: &[&str]| {
        let leaf = Leaf::new(names.iter().copied(), NOW);
        Entry::given(world.authority.issue(&leaf).unwrap().identity().unwrap())
    };
    let entries = vec![
        entry(&["mx1.bank.example"]),
        entry(&["fax.bank.example"]),
        entry(&["*.clinic.example"]),
    ];
    let settings = Settings::new(Arc::new(Keyring::load(entries).unwrap()));
    let strict = Settings { versions: Versions::only(Version::Tls13), ..settings.clone() };
    let server = Server::new(&settings).unwrap().with_host("FAX.bank.example", &strict).unwrap();
    for (asked, shown) in [
        ("mx1.bank.example", "mx1.bank.example"),
        ("fax.bank.example", "fax.bank.example"),
        ("mail.clinic.example", "*.clinic.example"),
        ("unknown.example", "mx1.bank.example"),
    ] {
        let peer = Peer::new(&domain(asked), Anchor::Configured);
        let meeting = meet(&world.client, &server, &peer, &Offer::default()).await;
        assert_eq!(meeting.seen_by_client().leaf().unwrap().names, [shown], "{asked}");
    }
    let fax = Peer::new(&domain("fax.bank.example"), Anchor::Configured);
    assert!(meet(&world.client, &server, &fax, &only(Version::Tls12)).await.client.is_err());
}

#[tokio::test]
async fn what_is_no_handshake_fails_on_either_side_in_its_own_words() {
    let world = World::new();
    // The peer talks SMTP on, or closes.
    for (answer, kind) in [
        (Some("220 hello there, this is not TLS at all\r\n"), FailureKind::Handshake),
        (None, FailureKind::Closed),
    ] {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let _open = if let Some(text) = answer {
            far.write_all(text.as_bytes()).await.unwrap();
            Some(far)
        } else {
            drop(far);
            None
        };
        let failure =
            world.client.connect(near, &peer(), &Offer::default(), NOW).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.may_pass());
    }
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    near.write_all(b"EHLO attacker.example\r\nMAIL FROM:<>\r\n").await.unwrap();
    assert_eq!(world.server.accept(far, NOW).await.unwrap_err().kind, FailureKind::Handshake);
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let short = Duration::from_millis(50);
    let world = World::new().with_server(|it| it.handshake_max = short);
    let (_near, far) = tokio::io::duplex(64);
    assert_eq!(world.server.accept(far, NOW).await.unwrap_err().kind, FailureKind::Timeout);
    let client = world.client.with_handshake_max(short);
    let (near, _far) = tokio::io::duplex(64 * 1024);
    let failure = client.connect(near, &peer(), &Offer::default(), NOW).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout);
}

/// Shows a certificate and signs with a key, whether they belong together or not.
#[derive(Debug)]
struct Shows(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Shows {
    fn resolve(
        &self,
        _hello: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// What the client makes of a server that shows this certificate and signs with this key.
async fn shown(
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
    offer: &Offer,
) -> Result<Handshake, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(certified))));
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let world = World::new();
    let target = peer();
    let (client, _server) =
        tokio::join!(world.client.connect(near, &target, offer, NOW), acceptor.accept(far));
    client.map(|(_, facts)| facts)
}

#[tokio::test]
async fn who_shows_a_good_certificate_without_holding_its_key_is_no_peer() {
    use rustls::pki_types::pem::PemObject as _;
    let world = World::new();
    let issue = || world.authority.issue(&Leaf::new(["mx1.bank.example"], NOW)).unwrap();
    let (copied, own) = (issue(), issue());
    for version in [Version::Tls12, Version::Tls13] {
        let certificate = rustls::pki_types::CertificateDer::from_pem_slice;
        let certificate = certificate(copied.chain_pem.as_bytes()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
        let failure = shown(certificate, key, &only(version)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Signature, "{failure}");
    }
}

#[tokio::test]
async fn a_certificate_of_version_1_encrypts_and_proves_nothing() {
    use rustls::pki_types::pem::PemObject as _;
    let pem = include_bytes!("version-1.pem");
    let other = Leaf::new(["mx1.bank.example"], NOW).self_signed().unwrap();
    for version in [Version::Tls12, Version::Tls13] {
        let certificate = || rustls::pki_types::CertificateDer::from_pem_slice(pem).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(pem).unwrap();
        let facts = shown(certificate(), key, &only(version)).await.unwrap();
        assert_eq!(facts.version, version);
        assert_eq!(distrust(facts.verification), Distrust::SelfSigned);

        let wrong =
            rustls::pki_types::PrivateKeyDer::from_pem_slice(other.key_pem.as_bytes()).unwrap();
        let failure = shown(certificate(), wrong, &only(version)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Signature, "{failure}");
    }
}
