use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::*;
use crate::domain::code::Code;
use crate::domain::phone::Phone;
use crate::domain::receipt::{ErrorClass, Failure};
use crate::providers::conformance::{CASES, Keys, our_id};
use crate::providers::{Retry, Template};

const URL: &str = "https://otp.example.org/webhooks/main";

fn adapter(name: &str) -> Box<dyn Provider> {
    let case = CASES.iter().find(|case| case.name == "twilio").unwrap();
    (case.adapter)(name, &Keys::default())
}

/// The fields of the form that sends an attempt.
fn sent(adapter: &dyn Provider, callback_url: &str, life_s: u32) -> Vec<(String, String)> {
    let call = adapter.call(&Outbound {
        attempt_id: our_id("att_01K4T9Q3M7Y2"),
        to: &Phone::from_stored("+447700900123", "GB", 2).unwrap(),
        code: &Code::parse("493817").unwrap(),
        text: "493817",
        template: &Template { name: "HX1".to_owned(), language: String::new() },
        callback_url,
        life_s,
    });
    form::fields(&call.body).unwrap()
}

fn field(fields: &[(String, String)], name: &str) -> String {
    fields.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1.clone()
}

fn sign(token: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Verifies a body of this type that came to [`URL`] and `query`.
fn verify(query: &str, kind: &str, body: &str, signature: &str) -> Result<Option<AttemptId>, Unverified> {
    let headers = [("Content-Type", kind), ("X-Twilio-Signature", signature)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let callback =
        Callback { headers: &headers, callback_url: URL, query, body: body.as_bytes(), now: DateTime::UNIX_EPOCH };
    adapter("sms").verify(&callback).map(|verified| verified.attempt_id())
}

fn receipts(name: &str, body: &str) -> Result<Receipts, Unreadable> {
    adapter(name).receipts(Verified::new(body.as_bytes(), None))
}

fn outcome(name: &str, status: u16, body: &str) -> SendOutcome {
    adapter(name).outcome(&Reply { status, retry_after: None, body: body.as_bytes() })
}

#[test]
fn the_address_of_a_callback_names_its_attempt_and_is_signed_with_it() {
    let registered = field(&sent(&*adapter("sms"), URL, 300), "StatusCallback");
    let (url, fragment) = registered.split_once('#').unwrap();
    assert_eq!(fragment, "rc=5&rp=all");
    let query = url.strip_prefix(URL).unwrap().strip_prefix('?').unwrap();
    let body = "MessageStatus=sent&MessageSid=SM1";
    let signature = sign("secret", &format!("{url}MessageSidSM1MessageStatussent"));
    assert_eq!(verify(query, form::CONTENT_TYPE, body, &signature), Ok(Some(our_id("att_01K4T9Q3M7Y2"))));

    let other = format!("attempt={}", our_id("att_01K4T9Q5ZC8N"));
    for query in ["", &other, &format!("{query}&{other}")] {
        assert_eq!(verify(query, form::CONTENT_TYPE, body, &signature), Err(Unverified::Wrong), "{query}");
    }
    // Another callback of the account, to an address that names no attempt, or an id that is not ours.
    for query in ["", "attempt=7", "attempt"] {
        let joint = if query.is_empty() { "" } else { "?" };
        let signature = sign("secret", &format!("{URL}{joint}{query}MessageSidSM1MessageStatussent"));
        assert_eq!(verify(query, form::CONTENT_TYPE, body, &signature), Ok(None), "{query}");
    }
    let registered = field(&sent(&*adapter("whatsapp"), &format!("{URL}?region=eu"), 300), "StatusCallback");
    assert!(registered.starts_with(&format!("{URL}?region=eu&attempt=")), "{registered}");
}

#[test]
fn the_primary_and_the_previous_token_are_taken_and_no_other() {
    for (token, verdict) in [("k", Ok(None)), ("secret", Ok(None)), ("older", Err(Unverified::Wrong))] {
        let signature = sign(token, &format!("{URL}aä"));
        assert_eq!(verify("", form::CONTENT_TYPE, "a=%C3%A4", &signature), verdict, "{token}");
    }
}

#[test]
fn a_body_that_is_no_form_is_bound_by_its_hash_in_the_address() {
    let body = r#"{"EventType":"x"}"#;
    let query = format!("bodySHA256={}", hex::encode(Sha256::digest(body)));
    let signature = sign("secret", &format!("{URL}?{query}"));
    assert_eq!(verify(&query, "application/json", body, &signature), Ok(None));
    assert_eq!(verify(&query, "application/json", "{}", &signature), Err(Unverified::Wrong));
    assert_eq!(verify(&query, form::CONTENT_TYPE, body, &signature), Err(Unverified::Wrong));
    let unbound = sign("secret", URL);
    assert_eq!(verify("", "application/json", body, &unbound), Err(Unverified::Missing));
    assert_eq!(verify("", form::CONTENT_TYPE, "a=%zz", &unbound), Err(Unverified::Malformed));
    // Nothing in it, nothing to bind.
    assert_eq!(verify("", form::CONTENT_TYPE, "", &unbound), Ok(None));
}

#[test]
fn an_sms_is_good_for_as_long_as_its_code() {
    for (life_s, validity) in [(0, "1"), (1, "1"), (299, "299"), (36_000, "36000"), (u32::MAX, "36000")] {
        assert_eq!(field(&sent(&*adapter("sms"), URL, life_s), "ValidityPeriod"), validity);
    }
    assert!(sent(&*adapter("whatsapp"), URL, 300).iter().all(|(name, _)| name != "ValidityPeriod"));
}

#[test]
fn an_api_key_sends_and_the_auth_token_still_proves_callbacks() {
    let config = TwilioConfig {
        base_url: DEFAULT_BASE_URL.to_owned(),
        account_sid: "AC1".to_owned(),
        auth_token: Secret::new("token"),
        auth_token_previous: None,
        api_key: Some(TwilioApiKey { sid: "SK1".to_owned(), secret: Secret::new("key") }),
        sender: TwilioSender::From("Example".to_owned()),
        discard_content: false,
    };
    let twilio = Twilio::new(Channel::Sms, config);
    let about = Question { attempt_id: our_id("att_01K4T9Q3M7Y2"), provider_message_id: "SM/1", ask_by: None };
    let call = twilio.question(&about).unwrap();
    assert_eq!(call.url, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/SM%2F1.json");
    assert_eq!(call.headers[0].1.expose(), format!("Basic {}", BASE64_STANDARD.encode("SK1:key")));
    let headers = [("X-Twilio-Signature".to_owned(), sign("key", URL).into_bytes())];
    let callback = Callback { headers: &headers, callback_url: URL, query: "", body: b"", now: DateTime::UNIX_EPOCH };
    assert!(twilio.verify(&callback).is_err());
}

#[test]
fn a_callback_tells_one_status_or_cannot_be_read() {
    for (body, told, unknown) in [
        ("MessageSid=SM1&MessageStatus=sent", 1, 0),
        ("MessageSid=SM1&SmsStatus=delivered", 1, 0),
        ("MessageSid=SM1&MessageStatus=partially_delivered", 1, 0),
        ("MessageSid=SM1&MessageStatus=accepted", 0, 0),
        ("MessageStatus=queued", 0, 0),
        ("SmsStatus=received&Body=STOP", 0, 0),
        ("MessageSid=SM1&MessageStatus=evaporated", 0, 1),
    ] {
        let read = receipts("sms", body).unwrap();
        assert_eq!((read.receipts.len(), read.unknown_statuses.len()), (told, unknown), "{body}");
        assert!(read.unreadable.is_empty(), "{body}");
    }
    for body in [
        "",
        "a=%f",
        "{\"EventType\":\"x\"}",
        "MessageSid=SM1",
        "MessageStatus=sent",
        "MessageSid=a%00b&MessageStatus=sent",
        "MessageSid=SM1&MessageSid=SM2&MessageStatus=sent",
        "MessageSid=SM1&MessageStatus=sent&MessageStatus=failed",
    ] {
        assert!(receipts("sms", body).is_err(), "{body}");
    }
}

#[test]
fn a_reason_that_is_not_listed_is_read_as_its_channel_deserves() {
    for (name, body, failure) in [
        ("whatsapp", "ErrorCode=99999", Failure::new("99999", ErrorClass::ConfigError)),
        ("sms", "ErrorCode=99999", Failure::new("99999", ErrorClass::Retryable)),
        ("sms", "ErrorCode=", Failure::new("none", ErrorClass::Retryable)),
        ("sms", "ErrorCode=30006", Failure::new("30006", ErrorClass::RecipientUnreachable).number_is_bad()),
    ] {
        let read = receipts(name, &format!("MessageSid=SM1&MessageStatus=undelivered&{body}")).unwrap();
        assert_eq!(read.receipts[0].failure, Some(failure), "{name} {body}");
    }
    let read = receipts("sms", "MessageSid=SM1&MessageStatus=canceled").unwrap();
    assert_eq!(read.receipts[0].failure, Some(Failure::new("canceled", ErrorClass::Expired)));
}

#[test]
fn an_answer_can_say_that_the_message_failed_and_limits_wait() {
    let SendOutcome::Rejected { failure, retry } =
        outcome("sms", 201, r#"{"sid":"SM1","status":"failed","error_code":30008}"#)
    else {
        panic!("a failed message was taken")
    };
    assert_eq!((failure, retry), (Failure::new("30008", ErrorClass::Retryable), Retry::After(Duration::ZERO)));
    for (code, retry) in [
        (30_450, Retry::Never),
        (63_038, Retry::Never),
        (20_429, Retry::After(Duration::from_secs(1))),
        (20_003, Retry::Never),
    ] {
        let SendOutcome::Rejected { retry: given, .. } = outcome("sms", 429, &format!(r#"{{"code":{code}}}"#)) else {
            panic!("{code} is a refusal")
        };
        assert_eq!(given, retry, "{code}");
    }
    assert!(matches!(outcome("sms", 201, r#"{"status":"queued"}"#), SendOutcome::Unknown { .. }));
    assert!(matches!(outcome("sms", 502, "<html>"), SendOutcome::Unknown { .. }));
}

#[test]
fn what_is_asked_for_is_told_with_its_time() {
    let about = Question { attempt_id: our_id("att_01K4T9Q3M7Y2"), provider_message_id: "SM1", ask_by: None };
    let told =
        |status, body: &str| adapter("sms").told(&about, &Reply { status, retry_after: None, body: body.as_bytes() });
    let body = |word: &str| {
        format!(
            r#"{{"sid":"SM1","status":"{word}","error_code":null,"date_sent":"Tue, 14 Jul 2026 09:30:02 +0000",
            "date_updated":"Tue, 14 Jul 2026 09:30:44 +0000"}}"#
        )
    };
    for (word, status, second) in [("sent", Status::Sent, "02"), ("delivered", Status::Delivered, "44")] {
        let read = told(200, &body(word)).unwrap();
        let receipt = &read.receipts[0];
        assert_eq!((receipt.status, receipt.attempt_id), (status, Some(about.attempt_id)));
        assert_eq!(receipt.provider_at.unwrap().to_rfc3339(), format!("2026-07-14T09:30:{second}+00:00"));
    }
    assert_eq!(told(200, &body("queued")).unwrap(), Receipts::default());
    for (status, body) in [
        (404, r#"{"code":20404,"status":404}"#),
        (200, "{}"),
        (200, r#"{"sid":"SM2","status":"sent"}"#),
        (200, r#"{"sid":"SM1"}"#),
        (200, "<html>"),
    ] {
        assert!(told(status, body).is_err(), "{status} {body}");
    }
}
