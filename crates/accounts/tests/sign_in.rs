//! Accounts over a real store: made, found again, signed in to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use accounts::failures::{Failures, Limits};
use accounts::password::Keys;
use accounts::sasl::{Channel, Failure, Finding, Step, begin};
use accounts::sign_in::Judged;
use accounts::{
    AccountError, Cost, Directory, DomainSettings, Entry, Kind, Password, Resolution, SignIn,
    Verifier,
};
use mail::{Address, Domain, Timestamp};
use store::{Options, Store};

const NOW: Timestamp = Timestamp(1_780_000_000_000);
const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
const PASSWORD: &str = "open sesame, please";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

async fn directory(dir: &std::path::Path) -> Directory {
    Directory::open(Store::open(dir, Options::default()).unwrap()).await.unwrap()
}

/// A judge over a store with ann@clinic.test.
async fn judge(dir: &std::path::Path) -> SignIn {
    let directory = Arc::new(directory(dir).await);
    let verifier = Verifier::new(CHEAP, 2).unwrap();
    let sign_in = SignIn::new(directory, verifier, Failures::new(Limits::default()));
    let ann = address("ann@clinic.test");
    let password = Password::choose(PASSWORD, &ann, 12).unwrap();
    let hash = sign_in.verifier().hash(password).await.unwrap();
    let directory = sign_in.directory();
    directory.add_domain(domain("clinic.test"), NOW).await.unwrap();
    directory.add_account(ann, Some(hash), Kind::Person, NOW).await.unwrap();
    directory.add_account(address("mute@clinic.test"), None, Kind::Service, NOW).await.unwrap();
    sign_in
}

async fn plain(sign_in: &SignIn, message: &str, ip: &str) -> (Step, Judged) {
    let mut exchange = begin("PLAIN", &Channel::default()).unwrap();
    let Step::Ask(question) = exchange.step(Some(message.as_bytes())) else {
        panic!("no question")
    };
    let ip: IpAddr = ip.parse().unwrap();
    let Judged { finding, user, delay } = sign_in.judge(question, ip, NOW).await;
    let again = match &finding {
        Finding::Authenticated(_) => Finding::Refused(Failure::Cancelled),
        Finding::Refused(failure) => Finding::Refused(*failure),
        Finding::Scram(_) | Finding::Cram(_) | Finding::Digest(_) | Finding::Ticket { .. } => {
            panic!("not asked for keys")
        }
    };
    (exchange.answer(finding), Judged { finding: again, user, delay })
}

async fn failure(sign_in: &SignIn, message: &str) -> Failure {
    match plain(sign_in, message, "192.0.2.1").await.0 {
        Step::Failed(failure) => failure,
        other => panic!("{message:?}: {other:?}"),
    }
}

#[tokio::test]
async fn the_right_password_proves_the_account() {
    let dir = tempfile::tempdir().unwrap();
    let sign_in = judge(dir.path()).await;
    for message in [
        format!("\0ann@clinic.test\0{PASSWORD}"),
        format!("\0ANN@Clinic.Test\0{PASSWORD}"),
        format!("Ann@clinic.test\0ann@clinic.test\0{PASSWORD}"),
    ] {
        let Step::Done(authenticated) = plain(&sign_in, &message, "192.0.2.1").await.0 else {
            panic!("refused: {message:?}")
        };
        assert_eq!(authenticated.address().to_string(), "ann@clinic.test");
    }
}

#[tokio::test]
async fn every_other_sign_in_is_refused_for_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let sign_in = judge(dir.path()).await;
    for (message, reason) in [
        ("\0ann@clinic.test\0open sesame, pleas".to_owned(), Failure::WrongPassword),
        (format!("\0bob@clinic.test\0{PASSWORD}"), Failure::UnknownUser),
        (format!("\0ann\0{PASSWORD}"), Failure::UnknownUser),
        (format!("\0mute@clinic.test\0{PASSWORD}"), Failure::WrongPassword),
        (format!("bob@clinic.test\0ann@clinic.test\0{PASSWORD}"), Failure::ActAs),
    ] {
        sign_in.failures().pardon("192.0.2.1".parse().unwrap());
        assert_eq!(failure(&sign_in, &message).await, reason, "{message:?}");
    }
    let ann = address("ann@clinic.test");
    sign_in.directory().set_disabled(&ann, true).await.unwrap();
    let right = format!("\0ann@clinic.test\0{PASSWORD}");
    assert_eq!(failure(&sign_in, &right).await, Failure::Disabled);
    assert!(matches!(sign_in.directory().resolve(&ann), Resolution::Disabled(_)));
    sign_in.directory().set_disabled(&ann, false).await.unwrap();
    assert!(matches!(plain(&sign_in, &right, "192.0.2.9").await.0, Step::Done(_)));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let sign_in = judge(dir.path()).await;
    let mut delays = Vec::new();
    for n in 0..10 {
        let judged = plain(&sign_in, &format!("\0user{n}@clinic.test\0guess"), "192.0.2.7").await.1;
        delays.push(judged.delay);
    }
    assert_eq!(delays[0], Duration::ZERO);
    assert_eq!(delays[8], Duration::from_secs(10));
    let right = format!("\0ann@clinic.test\0{PASSWORD}");
    let locked = plain(&sign_in, &right, "192.0.2.7").await.0;
    assert!(matches!(locked, Step::Failed(Failure::LockedOut)), "{locked:?}");
    assert!(matches!(plain(&sign_in, &right, "192.0.2.8").await.0, Step::Done(_)));
}

#[tokio::test]
async fn what_was_made_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let sign_in = judge(dir.path()).await;
        let directory = sign_in.directory();
        directory.configure(vec![DomainSettings::new(domain("conf.test"))]);
        directory.add_account(address("Zoe@conf.test"), None, Kind::Person, NOW).await.unwrap();
        directory
            .add_alias(address("office@clinic.test"), address("ann@clinic.test"), NOW)
            .await
            .unwrap();
    }
    let directory = directory(dir.path()).await;
    let names: Vec<String> =
        directory.entries().iter().map(|entry| entry.address().to_string()).collect();
    assert_eq!(
        names,
        ["ann@clinic.test", "mute@clinic.test", "office@clinic.test", "Zoe@conf.test"]
    );
    assert_eq!(directory.domains(), [domain("clinic.test")]);
    assert_eq!(directory.resolve(&address("zoe@conf.test")), Resolution::NotOurs);
    directory.configure(vec![DomainSettings::new(domain("conf.test"))]);
    assert!(directory.resolve(&address("zoe@conf.test")).account().is_some());
    let found = directory.resolve(&address("Office@clinic.test"));
    assert_eq!(found.redirected(), Some(&address("ann@clinic.test")));
    let before = directory.entries();
    directory.reload().await.unwrap();
    assert_eq!(directory.entries(), before);
    assert!(directory.is_ours(&domain("conf.test")));
}

#[tokio::test]
async fn mistakes_are_named_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sign_in = judge(dir.path()).await;
    let directory = sign_in.directory();
    directory.configure(vec![DomainSettings::new(domain("conf.test"))]);
    let before = directory.entries();
    let ann = || address("ANN@clinic.test");
    let add = |who: &str| directory.add_account(address(who), None, Kind::Person, NOW);
    assert!(matches!(add("ann@CLINIC.test").await, Err(AccountError::Exists(_))));
    assert!(matches!(add("ann@else.test").await, Err(AccountError::NotOurs(_))));
    let alias = |from: &str, to: &str| directory.add_alias(address(from), address(to), NOW);
    assert!(matches!(
        alias("x@clinic.test", "X@clinic.test").await,
        Err(AccountError::AliasLoop(_))
    ));
    assert!(matches!(
        alias("x@clinic.test", "no@clinic.test").await,
        Err(AccountError::NoAccount(_))
    ));
    assert!(matches!(alias("x@else.test", "ann@clinic.test").await, Err(AccountError::NotOurs(_))));
    assert!(matches!(
        directory.remove(&address("no@clinic.test")).await,
        Err(AccountError::NoAccount(_))
    ));
    let clinic = domain("clinic.test");
    assert!(matches!(
        directory.add_domain(clinic.clone(), NOW).await,
        Err(AccountError::DomainExists(_))
    ));
    assert!(matches!(
        directory.add_domain(domain("[192.0.2.1]"), NOW).await,
        Err(AccountError::Literal(_))
    ));
    let in_use = directory.remove_domain(&clinic).await;
    assert!(matches!(in_use, Err(AccountError::DomainInUse { entries: 2, .. })));
    let configured = directory.remove_domain(&domain("conf.test")).await;
    assert!(matches!(configured, Err(AccountError::DomainConfigured(_))));
    assert_eq!(directory.entries(), before);

    directory.remove(&ann()).await.unwrap();
    directory.remove(&address("mute@clinic.test")).await.unwrap();
    directory.remove_domain(&clinic).await.unwrap();
    assert!(!directory.is_ours(&clinic));
    assert!(directory.entries().is_empty());
}

#[tokio::test]
async fn a_password_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let sign_in = judge(dir.path()).await;
    let ann = address("ann@clinic.test");
    let other = Password::choose("quite another secret", &ann, 12).unwrap();
    let hash = sign_in.verifier().hash(other).await.unwrap();
    sign_in.directory().set_password(&ann, hash, Keys::default(), 0, NOW).await.unwrap();
    let old = format!("\0ann@clinic.test\0{PASSWORD}");
    assert_eq!(failure(&sign_in, &old).await, Failure::WrongPassword);
    let new = plain(&sign_in, "\0ann@clinic.test\0quite another secret", "192.0.2.1").await.0;
    assert!(matches!(new, Step::Done(_)));
    let Some(Entry::Account(account)) = sign_in.directory().entries().into_iter().next() else {
        panic!("no account")
    };
    assert!(!format!("{account:?}").contains("argon2id"));
}
