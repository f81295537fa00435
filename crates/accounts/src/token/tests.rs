//! Tokens made by a provider of the tests' own, good and bad.

use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp(1_780_000_000_000);
const NOW_SECS: i64 = 1_780_000_000;

/// What the provider publishes at the moment; `None` while it is down.
#[derive(Debug, Clone, Default)]
struct Published(Arc<Mutex<(Option<Value>, u32)>>);

impl KeySource for Published {
    fn fetch(&self) -> Fetching<'_> {
        let mut published = self.0.lock().unwrap();
        published.1 += 1;
        let answer = published.0.as_ref().map(|set| set.to_string().into_bytes());
        Box::pin(async move { answer.ok_or_else(|| "connection refused".to_owned()) })
    }
}

fn b64(octets: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

struct Provider {
    key: EcdsaKeyPair,
    published: Published,
}

impl Provider {
    fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let provider = Self { key, published: Published::default() };
        provider.publish(json!([provider.public("one")]));
        provider
    }

    fn public(&self, kid: &str) -> Value {
        let point = self.key.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
            "x": b64(&point[1..33]), "y": b64(&point[33..]) })
    }

    fn publish(&self, keys: Value) {
        self.published.0.lock().unwrap().0 = Some(json!({ "keys": keys }));
    }

    fn sign(&self, header: Value, claims: &Value) -> Token {
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        Token::new(&format!("{signed}.{}", b64(signature)))
    }

    fn token(&self, claims: &Value) -> Token {
        self.sign(json!({ "alg": "ES256", "kid": "one", "typ": "JWT" }), claims)
    }

    fn judge(&self) -> Tokens {
        let settings = TokenSettings {
            issuer: "https://id.example".to_owned(),
            audiences: vec!["mail".to_owned()],
            scope: Some("mail.send".to_owned()),
            claim: "email".to_owned(),
        };
        Tokens::new(settings, Box::new(self.published.clone()))
    }
}

fn claims() -> Value {
    json!({ "iss": "https://id.example", "aud": ["web", "mail"], "exp": NOW_SECS + 300,
        "nbf": NOW_SECS - 5, "scope": "openid mail.send", "email": "ann@clinic.example" })
}

fn with(name: &str, value: Value) -> Value {
    let mut changed = claims();
    changed[name] = value;
    changed
}

#[tokio::test]
async fn a_good_token_names_its_account() {
    let provider = Provider::new();
    let judge = provider.judge();
    for good in [
        claims(),
        with("aud", json!("mail")),
        with("scope", json!(["mail.send"])),
        with("exp", json!(NOW_SECS - 30)),
        with("email_verified", json!(true)),
    ] {
        let judged = judge.judge(&provider.token(&good), NOW).await;
        assert_eq!(judged.as_deref(), Ok("ann@clinic.example"), "{good}");
    }
}

#[tokio::test]
async fn every_claim_counts() {
    let provider = Provider::new();
    let judge = provider.judge();
    for (bad, why) in [
        (with("iss", json!("https://id.example/")), TokenRefusal::Issuer),
        (with("iss", Value::Null), TokenRefusal::Issuer),
        (with("aud", json!("web")), TokenRefusal::Audience),
        (with("aud", Value::Null), TokenRefusal::Audience),
        (with("exp", json!(NOW_SECS - 61)), TokenRefusal::Expired),
        (with("exp", Value::Null), TokenRefusal::Expired),
        (with("nbf", json!(NOW_SECS + 61)), TokenRefusal::NotYet),
        (with("scope", json!("openid mail.sender")), TokenRefusal::Scope),
        (with("scope", Value::Null), TokenRefusal::Scope),
        (with("email", Value::Null), TokenRefusal::Identity),
        (with("email", json!(7)), TokenRefusal::Identity),
        (with("email_verified", json!(false)), TokenRefusal::Identity),
    ] {
        assert_eq!(judge.judge(&provider.token(&bad), NOW).await, Err(why), "{bad}");
    }
}

#[tokio::test]
async fn none_and_keyed_hashes_are_refused_whatever_the_keys_say() {
    let provider = Provider::new();
    let judge = provider.judge();
    let unsigned = |alg: &str| {
        let header = b64(json!({ "alg": alg, "kid": "one" }).to_string());
        Token::new(&format!("{header}.{}.", b64(claims().to_string())))
    };
    for alg in ["none", "None", "HS256", "RS512", "PS256", ""] {
        let why = TokenRefusal::Algorithm(alg.to_owned());
        assert_eq!(judge.judge(&unsigned(alg), NOW).await, Err(why));
    }
    // The published key, taken as the secret of a keyed hash: the classic confusion.
    let header = b64(json!({ "alg": "HS256", "kid": "one" }).to_string());
    let signed = format!("{header}.{}", b64(claims().to_string()));
    let secret = provider.key.public_key().as_ref().to_vec();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    let confused = Token::new(&format!("{signed}.{}", b64(tag.as_ref())));
    let why = TokenRefusal::Algorithm("HS256".to_owned());
    assert_eq!(judge.judge(&confused, NOW).await, Err(why));
    // A key of another kind under the same name is not used.
    let other = provider.sign(json!({ "alg": "EdDSA", "kid": "one" }), &claims());
    assert_eq!(judge.judge(&other, NOW).await, Err(TokenRefusal::UnknownKey));
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let provider = Provider::new();
    let judge = provider.judge();
    let good = provider.token(&claims());
    let parts: Vec<&str> = good.expose().split('.').collect();
    let other = b64(with("email", json!("root@clinic.example")).to_string());
    let changed = format!("{}.{other}.{}", parts[0], parts[2]);
    assert_eq!(judge.judge(&Token::new(&changed), NOW).await, Err(TokenRefusal::Signature));
    let stranger = Provider::new();
    let refused = judge.judge(&stranger.token(&claims()), NOW).await;
    assert_eq!(refused, Err(TokenRefusal::Signature));
    let critical = json!({ "alg": "ES256", "kid": "one", "crit": ["b64"], "b64": false });
    let refused = judge.judge(&provider.sign(critical, &claims()), NOW).await;
    assert_eq!(refused, Err(TokenRefusal::Critical));
    for malformed in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.e30", "\u{fc}.e30.e30"] {
        let refused = judge.judge(&Token::new(malformed), NOW).await;
        assert_eq!(refused, Err(TokenRefusal::Malformed), "{malformed}");
    }
}

#[tokio::test]
async fn keys_change_and_are_not_asked_for_with_every_token() {
    let provider = Provider::new();
    let judge = provider.judge();
    let later = |secs: u64| NOW.plus(std::time::Duration::from_secs(secs));
    let fetched = || provider.published.0.lock().unwrap().1;
    let two = provider.sign(json!({ "alg": "ES256", "kid": "two" }), &claims());
    assert_eq!(judge.judge(&two, NOW).await, Err(TokenRefusal::UnknownKey));
    for _ in 0..20 {
        assert_eq!(judge.judge(&two, NOW).await, Err(TokenRefusal::UnknownKey));
    }
    assert_eq!(fetched(), 1, "a flood of unknown keys is no flood of questions");
    provider.publish(json!([provider.public("two")]));
    assert!(judge.judge(&two, later(6)).await.is_ok(), "a new key is found at once");
    let one = provider.token(&claims());
    let refused = judge.judge(&one, later(12)).await;
    assert_eq!(refused, Err(TokenRefusal::UnknownKey), "a key that was withdrawn opens nothing");
}

#[tokio::test]
async fn a_provider_that_is_down_is_no_refusal() {
    let provider = Provider::new();
    let judge = provider.judge();
    let token = provider.token(&with("exp", json!(NOW_SECS + 10_000_000)));
    let later = |hours: u64| NOW.plus(std::time::Duration::from_secs(hours * 3_600));
    assert!(judge.judge(&token, NOW).await.is_ok());
    provider.published.0.lock().unwrap().0 = None;
    assert!(judge.judge(&token, later(1)).await.is_ok(), "the last keys serve on");
    let refused = judge.judge(&token, later(25)).await;
    assert!(matches!(refused, Err(TokenRefusal::Keys(_))), "{refused:?}");
}

#[tokio::test]
async fn rsa_and_ed25519_keys_verify_too() {
    let provider = Provider::new();
    let ed = Ed25519KeyPair::generate().unwrap();
    let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    // An RSAPublicKey (RFC 8017 appendix A.1.1) of 2,048 bits: both numbers stand at fixed places.
    let der = rsa.public_key().as_ref();
    let (n, e) = (&der[9..265], &der[267..]);
    provider.publish(json!([
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(ed.public_key()) },
        { "kty": "RSA", "kid": "rsa", "alg": "RS256", "n": b64(n), "e": b64(e) },
        { "kty": "RSA", "kid": "enc", "use": "enc", "n": b64(n), "e": b64(e) },
        { "kty": "oct", "kid": "oct", "k": "AAAA" },
        { "nonsense": true },
    ]));
    let judge = provider.judge();
    let signed = |alg: &str, kid: &str| {
        let header = json!({ "alg": alg, "kid": kid });
        format!("{}.{}", b64(header.to_string()), b64(claims().to_string()))
    };
    let text = signed("EdDSA", "ed");
    let token = Token::new(&format!("{text}.{}", b64(ed.sign(text.as_bytes()))));
    assert!(judge.judge(&token, NOW).await.is_ok());
    let by_rsa = |kid: &str| {
        let text = signed("RS256", kid);
        let mut signature = vec![0; rsa.public_modulus_len()];
        let random = SystemRandom::new();
        rsa.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
        Token::new(&format!("{text}.{}", b64(signature)))
    };
    assert!(judge.judge(&by_rsa("rsa"), NOW).await.is_ok());
    let refused = judge.judge(&by_rsa("enc"), NOW).await;
    assert_eq!(refused, Err(TokenRefusal::UnknownKey), "a key for encryption signs nothing");
}
