//! What refuses a message beside the rules.

use accounts::Resolution;
use config::model::{Auth, Listener, Protocol, TlsMode};
use mail::Recipient;
use rules::{Facts, SignIn, Stage};

use super::Request;
use super::ground::Ground;
use crate::admin::Admin;

/// Something that ends a session or a recipient without a rule.
pub struct Obstacle {
    /// Where it stands.
    pub stage: Stage,
    /// It comes before the rules of its stage are asked.
    pub before_rules: bool,
    /// Why.
    pub why: String,
    /// What comes of it.
    pub outcome: String,
}

impl Obstacle {
    fn new(
        stage: Stage,
        before_rules: bool,
        why: impl Into<String>,
        outcome: impl Into<String>,
    ) -> Self {
        Self { stage, before_rules, why: why.into(), outcome: outcome.into() }
    }

    /// Whether it is met before the rules refuse at `refused`.
    fn comes_before(&self, refused: Option<Stage>) -> bool {
        refused.is_none_or(|stage| self.stage < stage || (self.stage == stage && self.before_rules))
    }
}

/// The obstacle that is met first, unless the rules refuse before it.
pub async fn first(
    admin: &Admin,
    ground: &Ground,
    listener: &Listener,
    request: &Request,
    facts: &Facts,
    resolution: &Resolution,
    refused: Option<Stage>,
) -> Option<Obstacle> {
    let known = of_connection(listener, request, facts)
        .or_else(|| of_sign_in(ground, listener, request, facts))
        .or_else(|| of_transaction(ground, listener, request, facts))
        .or_else(|| of_recipient(facts, resolution));
    let found = match known {
        Some(obstacle) => Some(obstacle),
        None => of_partner(admin, ground, listener, facts)
            .await
            .or_else(|| of_content(listener, request)),
    };
    found.filter(|obstacle| obstacle.comes_before(refused))
}

fn of_connection(listener: &Listener, request: &Request, facts: &Facts) -> Option<Obstacle> {
    let version = facts.tls.as_ref().map(|tls| tls.version);
    let name = listener.name.as_str();
    let connect =
        |why: String, outcome: &str| Some(Obstacle::new(Stage::Connect, true, why, outcome));
    if !listener.from.is_empty() && !listener.from.iter().any(|net| net.contains(&request.client)) {
        let why = format!("listener {name} does not serve {}", request.client);
        return connect(why, "REJECT: the connection is closed");
    }
    match (&listener.tls, version) {
        (None, Some(version)) => {
            let why = format!("listener {name} has no TLS, so nothing comes over {version} there");
            connect(why, "REJECT: no TLS is offered")
        }
        (Some(tls), Some(version)) if !tls.versions.iter().any(|spoken| spoken == version) => {
            let why = format!("listener {name} does not speak {version}");
            connect(why, "REJECT: the handshake fails")
        }
        (Some(tls), None) if *tls.mode == TlsMode::Implicit => {
            let why = format!("listener {name} begins with TLS; there is no plain connection");
            connect(why, "REJECT: the handshake fails")
        }
        (Some(_) | None, _) => None,
    }
}

fn of_sign_in(
    ground: &Ground,
    listener: &Listener,
    request: &Request,
    facts: &Facts,
) -> Option<Obstacle> {
    let account = request.authenticated.as_ref()?;
    let hello = Facts { authenticated: None, ..facts.clone() };
    let settings = ground.snapshot.policy.decide(&hello, Stage::Hello).settings;
    let off = *settings.sign_in(facts.tls.is_some()) == SignIn::Off;
    if *listener.auth == Auth::Off || off {
        let why = format!("AUTH is not offered here, so {account} cannot sign in");
        return Some(Obstacle::new(Stage::Auth, true, why, "REJECT: nobody can sign in"));
    }
    match ground.directory.account(account) {
        Some(known) if !known.disabled => None,
        Some(_) => Some(format!("the account {account} is disabled")),
        None => Some(format!("there is no account {account}")),
    }
    .map(|why| Obstacle::new(Stage::Auth, true, why, "REJECT 535 5.7.8: the sign-in fails"))
}

fn of_transaction(
    ground: &Ground,
    listener: &Listener,
    request: &Request,
    facts: &Facts,
) -> Option<Obstacle> {
    if *listener.auth == Auth::Required && request.authenticated.is_none() {
        let why = format!("listener {} takes nothing without sign-in", *listener.name);
        let outcome = "REJECT 530 5.7.0 Authentication required";
        return Some(Obstacle::new(Stage::Mail, true, why, outcome));
    }
    let message = request.message.as_ref().map(|content| content.facts.size_octets);
    let size = message.or(request.size_octets)?;
    // A limit by account or domain is a matter of the rules.
    let limit = ground.message_limit(request, facts).unwrap_or(*listener.limits.message);
    (size > limit).then(|| {
        let why = format!("the message has {size} octets; {limit} are allowed");
        Obstacle::new(Stage::Mail, true, why, "REJECT 552 5.3.4 Message too big")
    })
}

fn of_recipient(facts: &Facts, resolution: &Resolution) -> Option<Obstacle> {
    let (code, status, text) = resolution.refusal()?;
    let address = &facts.recipient.as_ref()?.address;
    let why = match resolution {
        Resolution::Disabled(_) => format!("the account {address} is disabled"),
        Resolution::Account { .. }
        | Resolution::Alias { .. }
        | Resolution::Group(_)
        | Resolution::CatchAll { .. }
        | Resolution::AnyRecipient
        | Resolution::NoSuchUser
        | Resolution::NotOurs => format!("{address} has no account and no alias here"),
    };
    Some(Obstacle::new(Stage::Rcpt, false, why, format!("REJECT {code} {status} {text}")))
}

/// What a look at the partner has shown lately is held against mail that is submitted.
async fn of_partner(
    admin: &Admin,
    ground: &Ground,
    listener: &Listener,
    facts: &Facts,
) -> Option<Obstacle> {
    let recipient = facts.recipient.as_ref().filter(|recipient| !recipient.is_local)?;
    let submits = *listener.protocol == Protocol::Submission || *listener.auth == Auth::Required;
    let server = admin.server().filter(|_| submits)?;
    let recipient = Recipient::new(recipient.address.clone());
    let known = server.known_shortfall(&ground.snapshot, facts, &recipient).await?;
    let why = "what the partner showed lately, and still holds";
    Some(Obstacle::new(Stage::Rcpt, false, why, format!("REJECT 550 5.7.10 {known}")))
}

fn of_content(listener: &Listener, request: &Request) -> Option<Obstacle> {
    let content = request.message.as_ref()?;
    let refusal =
        crate::conversation::refuses_header(&listener.limits, content.hops, content.header_octets)?;
    let outcome = format!("REJECT {}", refusal.reply.summary());
    Some(Obstacle::new(Stage::Data, true, "the header is looked at before the rules", outcome))
}
