use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;
use crate::Template;
use crate::conformance::{Accepted, Case, Keys, Runs, our_id};
use otpost_domain::code::Code;
use otpost_domain::phone::Phone;
use otpost_domain::receipt::{ErrorClass, Failure, Scope};

pub(super) static CASE: Case = Case {
    name: "vonage",
    adapter: for_suite,
    template: ("otp_code_en", "en"),
    signing: &["whatsapp", "sms"],
    accepted: Some(Accepted { adapter: "sms", status: 202, body: |id| format!(r#"{{"message_uuid":{id}}}"#) }),
    proofs: &[("Authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjF9.c2lnbmF0dXJl")],
    is_whatsapp_itself: false,
    runs: Runs {
        requests: 4,
        answers: 12,
        told: 0,
        callbacks: 13,
        receipts: 12,
        codes: 50,
        verdicts: 2302,
        signatures: 32,
        handshakes: 0,
        tokens: 0,
    },
};

fn for_suite(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let (channel, from) = match adapter {
        "sms" => (Channel::Sms, "Example"),
        "whatsapp" => (Channel::Whatsapp, "+12025550100"),
        other => panic!("{other}"),
    };
    let api_key = keys.vector["expect_api_key"].as_str().unwrap_or("abcd0001");
    Box::new(Vonage::new(
        channel,
        VonageConfig {
            base_url: "https://provider.test/".to_owned(),
            api_key: api_key.to_owned(),
            auth: VonageAuth::ApiSecret(Secret::new("k")),
            from: from.to_owned(),
            signature_secrets: vec![Secret::new("current"), Secret::new(&*keys.secret)],
            tolerance_s: keys.tolerance_s,
        },
    ))
}

const PEM: &str = include_str!("../../../simulator/src/faces/vonage/private-key.pem");

const NOW: i64 = 1_789_034_400;

fn vonage(channel: Channel, auth: VonageAuth) -> Vonage {
    let config = VonageConfig {
        base_url: DEFAULT_BASE_URL.to_owned(),
        api_key: "abcd0001".to_owned(),
        auth,
        from: "Example".to_owned(),
        signature_secrets: vec![Secret::new("current"), Secret::new("previous")],
        tolerance_s: 86_400,
    };
    Vonage::new(channel, config)
}

fn by_secret(channel: Channel) -> Vonage {
    vonage(channel, VonageAuth::ApiSecret(Secret::new("s")))
}

fn by_key() -> Vonage {
    let key = PrivateKey::from_pem(PEM).unwrap();
    vonage(Channel::Whatsapp, VonageAuth::Application { id: "app-1".to_owned(), key })
}

fn call(vonage: &Vonage, life_s: u32) -> Call {
    vonage.call(&Outbound {
        attempt_id: our_id("att_01K4T9Q3M7Y2"),
        to: &Phone::from_stored("+447700900123", "GB", 2).unwrap(),
        code: &Code::parse("493817").unwrap(),
        text: "493817",
        template: &Template { name: "otp".to_owned(), language: "en".to_owned() },
        sender: None,
        dlt: None,
        callback_url: "https://otp.example.org/webhooks/main",
        life_s,
    })
}

fn part(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A valid token except for what the test changes.
fn token(secret: &str, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", part(header.to_string().as_bytes()), part(claims.to_string().as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", part(&mac.finalize().into_bytes()))
}

fn claims(body: &str) -> Value {
    let payload_hash = hex::encode(Sha256::digest(body));
    json!({"iat": NOW, "jti": "j-1", "iss": "Vonage", "payload_hash": payload_hash, "api_key": "abcd0001",
        "application_id": "app-1"})
}

fn verify(vonage: &Vonage, authorization: &str, body: &str) -> Result<Option<(String, i64)>, Unverified> {
    let headers = [("Authorization".to_owned(), authorization.as_bytes().to_vec())];
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    let callback = Callback { headers: &headers, callback_url: "", query: "", body: body.as_bytes(), now };
    let verified = vonage.verify(&callback)?;
    Ok(verified.only_once().map(|once| (once.name.clone(), once.until.timestamp())))
}

fn receipts(channel: Channel, body: &str) -> Result<Receipts, Unreadable> {
    by_secret(channel).receipts(Verified::new(body.as_bytes(), None))
}

#[test]
fn a_request_carries_a_token_that_the_applications_key_signed() {
    let vonage = by_key();
    let mut jtis = Vec::new();
    for _ in 0..2 {
        let call = call(&vonage, 300);
        let token = call.headers[0].1.expose().strip_prefix("Bearer ").unwrap().to_owned();
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!((parts.len(), decoded(parts[0])), (3, json!({"alg": "RS256", "typ": "JWT"})));
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PrivateKey::from_pem(PEM).unwrap().public());
        let signature = BASE64_URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        key.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
        let claims = decoded(parts[1]);
        // The time in `our_id`.
        assert_eq!(claims["iat"], NOW);
        assert_eq!((&claims["exp"], &claims["application_id"]), (&json!(NOW + 900), &json!("app-1")));
        jtis.push(claims["jti"].as_str().unwrap().to_owned());
    }
    assert!(jtis[0] != jtis[1] && jtis[0].len() == 36, "{jtis:?}");
}

#[test]
fn only_an_rsa_key_in_pem_is_taken_and_it_is_not_printed() {
    let key = PrivateKey::from_pem(&format!("\n{PEM}")).unwrap();
    assert_eq!(format!("{key:?}"), "[redacted]");
    let ec = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----";
    let public = PEM.replace("PRIVATE KEY", "PUBLIC KEY");
    for bad in ["", "key", ec, &public, &PEM[..200]] {
        assert!(PrivateKey::from_pem(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_callback_counts_once_by_the_name_of_its_token() {
    let right = token("previous", &json!({"alg": "HS256"}), &claims("{}"));
    let once = Some(("j-1".to_owned(), NOW + 86_400));
    assert_eq!(verify(&by_key(), &format!("Bearer {right}"), "{}"), Ok(once.clone()));
    assert_eq!(verify(&by_secret(Channel::Sms), &format!("BEARER {right}"), "{}"), Ok(once));
}

#[test]
fn a_token_must_say_all_that_it_is_for() {
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});
    let changed = |key: &str, value: Value| {
        let mut claims = claims("{}");
        claims[key] = value;
        claims
    };
    let without = |key: &str| {
        let mut claims = claims("{}");
        claims.as_object_mut().unwrap().remove(key);
        claims
    };
    for (claims, verdict) in [
        (changed("iat", json!(NOW - 86_400)), None),
        (changed("iat", json!(NOW + 300)), None),
        (changed("exp", json!(NOW + 1)), None),
        (without("application_id"), None),
        (changed("iat", json!(NOW - 86_401)), Some(Unverified::Stale)),
        (changed("iat", json!(NOW + 301)), Some(Unverified::Stale)),
        (changed("exp", json!(NOW)), Some(Unverified::Stale)),
        (changed("iat", json!(i64::MAX)), Some(Unverified::Malformed)),
        (changed("iat", json!("1789034400")), Some(Unverified::Malformed)),
        (changed("jti", json!("")), Some(Unverified::Malformed)),
        (changed("jti", json!("x".repeat(129))), Some(Unverified::Malformed)),
        (changed("iss", json!("Nexmo")), Some(Unverified::Wrong)),
        (changed("api_key", json!("abcd0002")), Some(Unverified::Wrong)),
        (changed("application_id", json!("app-2")), Some(Unverified::Wrong)),
        (changed("payload_hash", json!(hex::encode(Sha256::digest("[]")))), Some(Unverified::Wrong)),
        (without("iat"), Some(Unverified::Malformed)),
        (without("jti"), Some(Unverified::Malformed)),
        (without("iss"), Some(Unverified::Malformed)),
        (without("api_key"), Some(Unverified::Malformed)),
        (without("payload_hash"), Some(Unverified::Malformed)),
    ] {
        let given = verify(&by_key(), &format!("Bearer {}", token("current", &hs256, &claims)), "{}");
        assert_eq!(given.err(), verdict, "{claims}");
    }
    // An account without an application accepts the callbacks of any.
    let other = token("current", &hs256, &changed("application_id", json!("app-2")));
    assert!(verify(&by_secret(Channel::Sms), &format!("Bearer {other}"), "{}").is_ok());
}

#[test]
fn no_other_algorithm_secret_or_scheme_is_believed() {
    let right = token("current", &json!({"alg": "HS256"}), &claims("{}"));
    let (signed, _) = right.rsplit_once('.').unwrap();
    let none = format!("{}.{}.", part(br#"{"alg":"none"}"#), signed.split('.').nth(1).unwrap());
    for (authorization, verdict) in [
        (String::new(), Unverified::Malformed),
        (right.clone(), Unverified::Malformed),
        (format!("Basic {right}"), Unverified::Malformed),
        ("Bearer ".to_owned(), Unverified::Malformed),
        ("Bearer ..".to_owned(), Unverified::Malformed),
        (format!("Bearer {signed}"), Unverified::Malformed),
        (format!("Bearer {signed}."), Unverified::Wrong),
        (format!("Bearer {right}="), Unverified::Malformed),
        (format!("Bearer {right}.x"), Unverified::Malformed),
        (format!("Bearer {none}"), Unverified::Malformed),
        (format!("Bearer {}", token("older", &json!({"alg": "HS256"}), &claims("{}"))), Unverified::Wrong),
        (format!("Bearer {}", token("", &json!({"alg": "HS256"}), &claims("{}"))), Unverified::Wrong),
        (format!("Bearer {}", token("current", &json!({"alg": "RS256"}), &claims("{}"))), Unverified::Malformed),
        (format!("Bearer {}", token("current", &json!({"alg": ["HS256"]}), &claims("{}"))), Unverified::Malformed),
    ] {
        assert_eq!(verify(&by_key(), &authorization, "{}"), Err(verdict), "{authorization}");
    }
    assert_eq!(verify(&by_key(), &format!("Bearer {right}"), "{ }"), Err(Unverified::Wrong));
}

#[test]
fn an_authentic_body_that_says_two_things_is_unreadable() {
    let case = &CASE;
    let vectors: Vec<Value> = serde_json::from_str(&case.text("vectors/signatures.json")).unwrap();
    let twice = vectors.iter().find(|vector| vector["name"] == "vo-24-duplicate-json-key").unwrap();
    assert!(receipts(Channel::Sms, twice["body"].as_str().unwrap()).is_err());
    for body in ["", "[]", "7"] {
        assert!(receipts(Channel::Sms, body).is_err(), "{body}");
    }
    for (body, aside, unknown) in [
        (r#"{"status":{}}"#, 1, 0),
        (r#"{"status":"delivered"}"#, 1, 0),
        (r#"{"status":"delivered","message_uuid":true}"#, 1, 0),
        (r#"{"status":"clicked","message_uuid":"u"}"#, 0, 1),
        (r#"{"message_uuid":"u","text":"hello"}"#, 0, 0),
    ] {
        let read = receipts(Channel::Sms, body).unwrap();
        assert_eq!((read.receipts.len(), read.unreadable.len(), read.unknown_statuses.len()), (0, aside, unknown));
    }
}

#[test]
fn the_code_of_an_error_is_a_number_in_its_title_or_the_end_of_its_type() {
    let unreachable = ErrorClass::RecipientUnreachable;
    let unlisted = |code, class| Failure::new(code, class).about(Scope::Recipient);
    for (channel, status, error, failure) in [
        (Channel::Sms, "rejected", json!({"title": "1300"}), Failure::new("1300", unreachable)),
        (Channel::Sms, "rejected", json!({"title": 1170}), Failure::new("1170", unreachable)),
        (Channel::Sms, "rejected", json!({"title": "No", "type": "x#1180"}), Failure::new("1180", unreachable)),
        (Channel::Sms, "rejected", json!({"title": "No", "type": "x"}), unlisted("none", ErrorClass::Retryable)),
        (Channel::Sms, "undeliverable", json!(7), Failure::new("undeliverable", ErrorClass::Retryable)),
        (Channel::Sms, "rejected", json!({"title": 9999}), unlisted("9999", ErrorClass::Retryable)),
        (Channel::Whatsapp, "rejected", json!({"title": 9999}), unlisted("9999", ErrorClass::ConfigError)),
        (Channel::Whatsapp, "undeliverable", json!({"title": 9999}), unlisted("9999", ErrorClass::Retryable)),
    ] {
        let body = json!({"message_uuid": "u", "status": status, "error": error}).to_string();
        assert_eq!(receipts(channel, &body).unwrap().receipts[0].failure, Some(failure), "{body}");
    }
}

#[test]
fn an_sms_lives_as_long_as_its_code_and_at_least_as_long_as_they_allow() {
    for (life_s, ttl) in [(1, 20), (20, 20), (299, 299)] {
        let body: Value = serde_json::from_slice(&call(&by_secret(Channel::Sms), life_s).body).unwrap();
        assert_eq!(body["ttl"], ttl);
    }
}

#[test]
fn a_message_cannot_be_asked_for() {
    let about = StatusQuery { attempt_id: our_id("att_01K4T9Q3M7Y2"), provider_message_id: "u", ask_by: None };
    assert!(by_key().status_query(&about).is_none() && !by_key().abilities().can_be_queried);
    assert!(by_key().status_answer(&about, &Reply { status: 200, retry_after: None, body: b"{}" }).is_err());
}
