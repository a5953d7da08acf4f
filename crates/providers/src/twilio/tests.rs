use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::*;
use crate::conformance::{Accepted, Case, Keys, Runs, our_id};
use crate::replies;
use crate::{Retry, Template};
use otpost_domain::code::Code;
use otpost_domain::phone::Phone;
use otpost_domain::receipt::{ErrorClass, Failure, Scope};

pub(super) static CASE: Case = Case {
    name: "twilio",
    adapter: for_suite,
    template: ("HX00000000000000000000000000000003", ""),
    signing: &["whatsapp", "sms"],
    accepted: Some(Accepted { adapter: "sms", status: 201, body: |id| format!(r#"{{"sid":{id}}}"#) }),
    proofs: &[
        ("X-Twilio-Signature", "svhlK9QyREU/NoDF8T0UjagiKeI="),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ],
    is_whatsapp_itself: false,
    runs: Runs {
        requests: 7,
        answers: 15,
        told: 1,
        callbacks: 19,
        receipts: 17,
        codes: 85,
        verdicts: 2440,
        signatures: 44,
        handshakes: 0,
        tokens: 0,
    },
};

fn for_suite(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let from = |number: &str| TwilioSender::From(number.to_owned());
    let (channel, sender) = match adapter {
        "sms" | "sms-discarding" => (Channel::Sms, from("+12025550110")),
        "whatsapp" => (Channel::Whatsapp, from("+12025550100")),
        "whatsapp-service" => {
            (Channel::Whatsapp, TwilioSender::MessagingService("MG00000000000000000000000000000002".to_owned()))
        }
        other => panic!("{other}"),
    };
    // Unless it signs, it is the key.
    let auth_token = if keys.vector.is_null() { Secret::new("k") } else { Secret::new("current") };
    Box::new(Twilio::new(
        channel,
        TwilioConfig {
            base_url: "https://provider.test/".to_owned(),
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_token,
            auth_token_previous: Some(Secret::new(&*keys.secret)),
            api_key: None,
            sender,
            discard_content: adapter == "sms-discarding",
        },
    ))
}

const URL: &str = "https://otp.example.org/webhooks/main";

fn adapter(name: &str) -> Box<dyn Provider> {
    let case = &CASE;
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
        sender: None,
        dlt: None,
        callback_url,
        life_s,
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    form::fields(&call.body).into_iter().map(|field| (text(field.name), text(field.value))).collect()
}

fn field(fields: &[(String, String)], name: &str) -> String {
    fields.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1.clone()
}

fn sign(token: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Verifies a body of this type sent to [`URL`] with `query`.
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
    // Another callback of the account, to an address that names no attempt, or with an id that is not ours.
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

/// The signature covers the decoded bytes of the fields, and the address as it was registered.
#[test]
fn a_text_in_another_encoding_and_a_slash_at_the_end_are_signed_and_read() {
    let mac = |url: &str| {
        let mut mac = Hmac::<Sha1>::new_from_slice(b"secret").unwrap();
        mac.update(url.as_bytes());
        mac.update(b"BodyC\xf3digoMessageSidSM1MessageStatusdelivered");
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    };
    let body = "Body=C%F3digo&MessageSid=SM1&MessageStatus=delivered";
    assert_eq!(verify("", form::CONTENT_TYPE, body, &mac(URL)), Ok(None));
    assert_eq!(verify("", form::CONTENT_TYPE, body, &mac(&format!("{URL}/"))), Ok(None));
    assert_eq!(verify("", form::CONTENT_TYPE, body, &mac(&format!("{URL}//"))), Err(Unverified::Wrong));
    assert_eq!(verify("", form::CONTENT_TYPE, &body.replace("%F3", "%F4"), &mac(URL)), Err(Unverified::Wrong));
    let raw = b"Body=C\xf3digo&MessageSid=SM1&MessageStatus=delivered";
    let read = adapter("sms").receipts(Verified::new(raw, None)).unwrap();
    assert_eq!((read.receipts.len(), read.receipts[0].status), (1, Status::Delivered));
    assert!(receipts("sms", "MessageSid=%FF&MessageStatus=delivered").is_err(), "in a field that is read");
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
    assert_eq!(verify("", form::CONTENT_TYPE, "a=%zz", &unbound), Err(Unverified::Wrong));
    assert_eq!(verify("", form::CONTENT_TYPE, "a=%zz", &sign("secret", &format!("{URL}a%zz"))), Ok(None));
    // An empty body needs no binding.
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
    let about = StatusQuery { attempt_id: our_id("att_01K4T9Q3M7Y2"), provider_message_id: "SM/1", ask_by: None };
    let call = twilio.status_query(&about).unwrap();
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
        ("whatsapp", "ErrorCode=99999", Failure::new("99999", ErrorClass::ConfigError).about(Scope::Recipient)),
        ("sms", "ErrorCode=99999", Failure::new("99999", ErrorClass::Retryable).about(Scope::Recipient)),
        ("sms", "ErrorCode=", Failure::new("none", ErrorClass::Retryable).about(Scope::Recipient)),
        ("sms", "ErrorCode=30006", Failure::new("30006", ErrorClass::RecipientUnreachable)),
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
    let unknown_error = Failure::new("30008", ErrorClass::Retryable).about(Scope::Recipient);
    assert_eq!((failure, retry), (unknown_error, Retry::After(Duration::ZERO)));
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
    assert_eq!(outcome("sms", 201, r#"{"status":"queued"}"#), replies::accepted(None));
    assert!(matches!(outcome("sms", 502, "<html>"), SendOutcome::Unknown { .. }));
}

#[test]
fn what_is_asked_for_is_told_with_its_time() {
    let about = StatusQuery { attempt_id: our_id("att_01K4T9Q3M7Y2"), provider_message_id: "SM1", ask_by: None };
    let told = |status, body: &str| {
        adapter("sms").status_answer(&about, &Reply { status, retry_after: None, body: body.as_bytes() })
    };
    let body = |word: &str| {
        format!(
            r#"{{"sid":"SM1","status":"{word}","error_code":null,"date_sent":"Tue, 14 Jul 2026 09:30:02 +0000",
            "date_updated":"Tue, 14 Jul 2026 09:30:44 +0000"}}"#
        )
    };
    for (word, status, second) in [("sent", Status::Sent, "02"), ("delivered", Status::Delivered, "44")] {
        let read = told(200, &body(word)).unwrap();
        let receipt = read.receipts.last().unwrap();
        assert_eq!((receipt.status, receipt.attempt_id), (status, Some(about.attempt_id)));
        assert_eq!(receipt.provider_at.unwrap().to_rfc3339(), format!("2026-07-14T09:30:{second}+00:00"));
    }
    let statuses = |word: &str| told(200, &body(word)).unwrap().receipts.iter().map(|r| r.status).collect::<Vec<_>>();
    assert_eq!(statuses("undelivered"), [Status::Sent, Status::Failed], "when it was sent is a word of its own");
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
