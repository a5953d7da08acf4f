use chrono::DateTime;

use super::*;
use crate::conformance::{Accepted, Case, Keys, Runs, our_id};
use crate::hostile::{Random, check, mutate};
use crate::replies;
use crate::signature::Scheme;
use crate::{Retry, Template};
use otpost_domain::code::Code;
use otpost_domain::phone::Phone;
use otpost_domain::receipt::{ErrorClass, Failure};

pub(super) static CASE: Case = Case {
    name: "cliqtel",
    adapter: for_suite,
    template: ("login_otp", "en"),
    // An SMS of theirs is proven by its address alone.
    signing: &["whatsapp"],
    accepted: Some(Accepted { adapter: "sms", status: 201, body: |id| format!(r#"{{"data":{{"id":{id}}}}}"#) }),
    proofs: &[],
    is_whatsapp_itself: false,
    runs: Runs {
        requests: 7,
        answers: 12,
        told: 0,
        callbacks: 11,
        receipts: 14,
        codes: 10,
        verdicts: 2224,
        signatures: 14,
        handshakes: 0,
        tokens: 5,
    },
};

fn for_suite(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let (base_url, api_key) = ("https://provider.test".to_owned(), Secret::new("17|k"));
    let sender = match adapter {
        "sms" => CliqtelSender::From("+12025550199".to_owned()),
        "sms-number" => CliqtelSender::NumberId(42),
        "whatsapp" => {
            let signature = keys.scheme.clone().map(|scheme| HmacCheck {
                header: "X-Cliqtel-Signature".to_owned(),
                prefix: "sha256=".to_owned(),
                scheme,
                secrets: vec![Secret::new(&*keys.secret)],
            });
            let callback_token = Secret::new(&*keys.verify_token);
            return Box::new(CliqtelWhatsapp::new(CliqtelWhatsappConfig {
                base_url,
                api_key,
                account_id: 7,
                callback_token,
                signature,
            }));
        }
        other => panic!("{other}"),
    };
    let callback_secret = Secret::new(&*keys.secret);
    Box::new(CliqtelSms::new(CliqtelSmsConfig { base_url, api_key, sender, callback_secret }))
}

fn adapter(name: &str) -> Box<dyn Provider> {
    let case = &CASE;
    (case.adapter)(name, &Keys::default())
}

fn verify(adapter: &dyn Provider, query: &str) -> Result<Option<AttemptId>, Unverified> {
    let callback = Callback { headers: &[], callback_url: "", query, body: b"{}", now: DateTime::UNIX_EPOCH };
    adapter.verify(&callback).map(|verified| verified.attempt_id())
}

/// The query of the callback URL in the request for an SMS of this attempt.
fn query_of(attempt_id: AttemptId, callback_url: &str) -> String {
    let call = adapter("sms").call(&Outbound {
        attempt_id,
        to: &Phone::from_stored("+447700900123", "GB", 2).unwrap(),
        code: &Code::parse("493817").unwrap(),
        text: "493817",
        template: &Template { name: String::new(), language: String::new() },
        sender: None,
        dlt: None,
        callback_url,
        life_s: 300,
    });
    let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
    let url = body["status_callback_url"].as_str().unwrap();
    assert!(url.starts_with(callback_url), "{url}");
    url.split_once('?').unwrap().1.to_owned()
}

#[test]
fn the_address_of_an_sms_callback_names_and_proves_its_attempt() {
    let (one, other) = (our_id("att_01K4T9Q3M7Y2"), our_id("att_01K4T9Q5ZC8N"));
    let query = query_of(one, "https://otp.example.org/webhooks/sms");
    assert_eq!(verify(&*adapter("sms"), &query), Ok(Some(one)));
    let with_query = query_of(one, "https://otp.example.org/webhooks/sms?region=eu");
    assert_eq!(verify(&*adapter("sms"), &with_query), Ok(Some(one)));

    let (attempt, token) = query.split_once('&').unwrap();
    let upper = token.to_uppercase().replace("TOKEN", "token");
    for (query, reason) in [
        (String::new(), Unverified::Missing),
        (attempt.to_owned(), Unverified::Missing),
        (token.to_owned(), Unverified::Missing),
        (format!("attempt={other}&{token}"), Unverified::Wrong),
        (format!("attempt=att_1&{token}"), Unverified::Malformed),
        (format!("{attempt}&{upper}"), Unverified::Malformed),
        (format!("{attempt}&token="), Unverified::Malformed),
        (query[..query.len() - 2].to_owned(), Unverified::Malformed),
        (format!("{query}&{token}"), Unverified::Missing),
        (format!("{query}&attempt={other}"), Unverified::Missing),
    ] {
        assert_eq!(verify(&*adapter("sms"), &query), Err(reason), "{query}");
    }
}

#[test]
fn a_configured_signature_is_asked_for_besides_the_token() {
    let case = &CASE;
    let strict = (case.adapter)("whatsapp", &Keys { scheme: Some(Scheme::RawBody), ..Keys::default() });
    assert_eq!(verify(&*adapter("whatsapp"), "token=token"), Ok(None));
    assert_eq!(verify(&*strict, "token=token"), Err(Unverified::Missing));
}

#[test]
fn only_an_address_that_names_the_attempt_makes_up_for_a_missing_id() {
    let body = br#"{"event":"message.status","data":{"status":"delivered"}}"#;
    let id = our_id("att_01K4T9Q3M7Y2");
    let read = adapter("sms").receipts(Verified::new(body, Some(id))).unwrap();
    assert_eq!((read.receipts[0].attempt_id, read.receipts[0].provider_message_id.as_str()), (Some(id), ""));
    let read = adapter("whatsapp").receipts(Verified::new(body, None)).unwrap();
    assert_eq!((read.receipts.len(), read.unreadable[0].1.as_slice()), (0, body.as_slice()));
}

#[test]
fn an_unknown_shape_is_put_aside_and_other_events_are_not() {
    for (body, aside, unknown) in [
        (r#"{"hello":1}"#, 1, 0),
        (r#"{"event":"message.status","data":{"id":1}}"#, 1, 0),
        (r#"{"id":1,"status":{}}"#, 1, 0),
        (r#"{"event":"message.received","data":{"id":1}}"#, 0, 0),
        (r#"{"id":1,"status":"accepted"}"#, 0, 0),
        (r#"{"id":1,"status":"queued"}"#, 0, 1),
    ] {
        let read = adapter("whatsapp").receipts(Verified::new(body.as_bytes(), None)).unwrap();
        assert_eq!(
            (read.receipts.len(), read.unreadable.len(), read.unknown_statuses.len()),
            (0, aside, unknown),
            "{body}"
        );
    }
}

#[test]
fn a_5xx_may_have_been_sent_and_a_limit_waits() {
    let outcome =
        |status, retry_after, body: &str| adapter("sms").outcome(&Reply { status, retry_after, body: body.as_bytes() });
    let wait = std::time::Duration::from_secs(30);
    assert_eq!(
        outcome(503, None, r#"{"error":"down"}"#),
        SendOutcome::Unknown { failure: Failure::new("down", ErrorClass::Retryable) }
    );
    assert_eq!(
        outcome(429, Some(wait), ""),
        SendOutcome::Rejected { failure: Failure::new("http_429", ErrorClass::RateLimited), retry: Retry::After(wait) }
    );
    assert_eq!(outcome(201, None, "{}"), replies::accepted(None));
    assert!(matches!(outcome(302, None, "{}"), SendOutcome::Rejected { retry: Retry::Never, .. }));
}

/// For those whose callback is proven by its address: any bytes, rightly proven.
#[test]
fn a_rightly_addressed_body_may_be_anything() {
    let attempt: AttemptId = our_id("att_01K4T9R1KD6V");
    let token = sign_hex(&Secret::new("secret"), attempt.to_string().as_bytes());
    let query = format!("attempt={attempt}&token={token}");
    let adapter = (CASE.adapter)("sms", &Keys::default());
    let body = CASE.text("callbacks/sms-delivered.json").into_bytes();
    let mut random = Random(3);
    for _ in 0..20_000 {
        let body = mutate(&body, &mut random);
        let callback =
            Callback { headers: &[], callback_url: "", query: &query, body: &body, now: DateTime::UNIX_EPOCH };
        let verified = adapter.verify(&callback).unwrap();
        assert_eq!(verified.attempt_id(), Some(attempt));
        check(&adapter.receipts(verified), &body);
    }
}
