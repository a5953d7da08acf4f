use chrono::DateTime;

use super::*;
use crate::Retry;
use crate::conformance::{Accepted, Case, Keys, Runs, our_id};
use crate::signature::sign_hex;
use otpost_domain::receipt::{ErrorClass, Scope};

pub(crate) static CASE: Case = Case {
    name: "engagelab",
    adapter: for_suite,
    template: ("otp-default", "en"),
    // Those of the plain WhatsApp product are proven by their address.
    signing: &["whatsapp", "sms", "sms-plain"],
    accepted: Some(Accepted { adapter: "sms", status: 200, body: |id| format!(r#"{{"message_id":{id}}}"#) }),
    proofs: &[(
        "X-CALLBACK-ID",
        "timestamp=1784021403;nonce=n;username=otp-hook;signature=dc0628b5490b2fb878bc472dc07c1a03",
    )],
    is_whatsapp_itself: false,
    runs: Runs {
        requests: 4,
        answers: 45,
        told: 0,
        callbacks: 43,
        receipts: 28,
        codes: 28,
        verdicts: 2068,
        signatures: 54,
        handshakes: 0,
        tokens: 0,
    },
};

/// The adapters of the conformance suite.
fn for_suite(name: &str, keys: &Keys) -> Box<dyn Provider> {
    let params = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| Parameter { name: (*name).to_owned(), value: Value::parse(value) }).collect()
    };
    let callbacks = CallbackId {
        username: keys.vector["username"].as_str().unwrap_or("otp-hook").to_owned(),
        secrets: vec![Secret::new("current"), Secret::new(&*keys.secret)],
        authorization: None,
        tolerance_s: keys.tolerance_s,
    };
    let otp = || Product::Otp { params: params(&[("brand", "Example")]), callbacks: callbacks.clone() };
    let (channel, product) = match name {
        "whatsapp" => (Channel::Whatsapp, otp()),
        "sms" => (Channel::Sms, otp()),
        "whatsapp-plain" => {
            let callback_token = Secret::new(&*keys.verify_token);
            (Channel::Whatsapp, Product::Whatsapp { from: "+12025550100".to_owned(), callback_token })
        }
        "sms-plain" => {
            let params = params(&[("brand", "Example"), ("code", "{code}"), ("content", "{text}")]);
            (Channel::Sms, Product::Sms { params, callbacks })
        }
        other => panic!("{other}"),
    };
    let (base_url, dev_key) = ("https://provider.test/".to_owned(), "dev".to_owned());
    Box::new(Engagelab::new(EngagelabConfig { base_url, dev_key, dev_secret: Secret::new("k"), channel, product }))
}

fn adapter(name: &str) -> Box<dyn Provider> {
    for_suite(name, &Keys::default())
}

const NOW: i64 = 1_784_021_405;

fn header_value(username: &str, timestamp: i64, nonce: &str) -> String {
    let signature = sign_hex(&Secret::new("current"), format!("{timestamp}{nonce}{username}").as_bytes());
    format!("timestamp={timestamp};nonce={nonce};username={username};signature={signature}")
}

fn verify(provider: &dyn Provider, headers: &[(&str, &str)], body: &[u8]) -> Result<Option<String>, Unverified> {
    let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
    let now = DateTime::from_timestamp(NOW, 999_000_000).unwrap();
    let callback = Callback { headers: &headers, callback_url: "", query: "", body, now };
    provider.verify(&callback).map(|verified| verified.only_once().map(|once| once.name.clone()))
}

fn failure(name: &str, status: &str) -> Failure {
    let body = format!(r#"{{"rows":[{{"message_id":"1","status":{status}}}]}}"#);
    let read = adapter(name).receipts(Verified::new(body.as_bytes(), None)).unwrap();
    read.receipts[0].failure.clone().unwrap()
}

#[test]
fn a_nonce_is_named_so_that_it_counts_once_for_as_long_as_its_time_is_good() {
    let value = header_value("otp-hook", NOW, "n1");
    let headers = [("X-CALLBACK-ID".to_owned(), value.into_bytes())];
    let now = DateTime::from_timestamp(NOW + 60, 0).unwrap();
    let callback = Callback { headers: &headers, callback_url: "", query: "", body: b"{\"rows\":[]}", now };
    let provider = for_suite("whatsapp", &Keys { tolerance_s: 300, ..Keys::default() });
    let verified = provider.verify(&callback).unwrap();
    let once = verified.only_once().unwrap();
    assert_eq!((once.name.as_str(), once.until.timestamp()), ("n1", NOW + 300));
}

#[test]
fn a_configured_authorization_is_asked_for_besides_the_signature() {
    let callbacks = CallbackId {
        username: "hook".to_owned(),
        secrets: vec![Secret::new("current")],
        authorization: Some(Secret::new("Bearer of-the-callback")),
        tolerance_s: 300,
    };
    let strict = Engagelab::new(EngagelabConfig {
        base_url: String::new(),
        dev_key: String::new(),
        dev_secret: Secret::new("k"),
        channel: Channel::Sms,
        product: Product::Sms { params: Vec::new(), callbacks },
    });
    let value = header_value("hook", NOW, "n");
    let id = ("x-callback-id", value.as_str());
    let body = b"{\"rows\":[]}";
    let right = ("Authorization", "Bearer of-the-callback");
    assert_eq!(verify(&strict, &[id, right], body), Ok(Some("n".to_owned())));
    for (headers, reason) in [
        (vec![id], Unverified::Missing),
        (vec![right], Unverified::Missing),
        (vec![id, ("Authorization", "Bearer of-the-callbacK")], Unverified::Wrong),
        (vec![id, ("Authorization", "")], Unverified::Wrong),
        (vec![id, right, right], Unverified::Malformed),
    ] {
        assert_eq!(verify(&strict, &headers, body), Err(reason), "{headers:?}");
    }
}

#[test]
fn moving_digits_between_the_signed_parts_gains_nothing() {
    let good = header_value("otp-hook", NOW, "1nonce");
    let provider = for_suite("sms", &Keys { tolerance_s: 300, ..Keys::default() });
    let moved = [
        good.replace(&format!("{NOW};nonce=1nonce"), &format!("{NOW}1;nonce=nonce")),
        good.replace(&format!("{NOW};nonce=1nonce"), &format!("{};nonce=51nonce", NOW / 10)),
        good.replace("nonce=1nonce;username=otp-hook", "nonce=1nonceotp-;username=hook"),
        good.replace("nonce=1nonce;username=otp-hook", "nonce=1nonceotp-hook;username="),
    ];
    let body = b"{\"rows\":[]}";
    assert_eq!(verify(&*provider, &[("X-CALLBACK-ID", &good)], body), Ok(Some("1nonce".to_owned())));
    for value in moved {
        assert_ne!(value, good);
        assert!(verify(&*provider, &[("X-CALLBACK-ID", &value)], body).is_err(), "{value}");
    }
}

#[test]
fn a_check_of_the_url_is_answered_without_a_proof_and_says_nothing() {
    for body in [b"".as_slice(), b"{}", b" {} \n"] {
        assert_eq!(verify(&*adapter("whatsapp"), &[], body), Ok(None));
        assert_eq!(adapter("whatsapp").receipts(Verified::new(body, None)), Ok(Receipts::default()));
        assert_eq!(verify(&*adapter("whatsapp-plain"), &[], body), Err(Unverified::Missing), "its token proves it");
    }
    assert_eq!(verify(&*adapter("whatsapp"), &[], b"{ }"), Err(Unverified::Missing));
}

#[test]
fn callbacks_of_the_whatsapp_product_are_proven_by_the_token_of_their_address() {
    let verify = |query: &str| {
        let callback = Callback { headers: &[], callback_url: "", query, body: b"{}", now: DateTime::UNIX_EPOCH };
        adapter("whatsapp-plain").verify(&callback).map(|_| ())
    };
    assert_eq!(verify("token=token"), Ok(()));
    for (query, reason) in [
        ("", Unverified::Missing),
        ("token=token&token=token", Unverified::Missing),
        ("token=", Unverified::Wrong),
        ("token=Token", Unverified::Wrong),
    ] {
        assert_eq!(verify(query), Err(reason), "{query}");
    }
}

#[test]
fn what_the_status_and_its_text_say_counts_more_than_the_code() {
    use ErrorClass::{ConfigError, RecipientUnreachable, Retryable};
    for (name, status, code, class) in [
        ("sms", r#"{"message_status":"target_invalid","error_code":4001}"#, "4001", RecipientUnreachable),
        ("sms", r#"{"message_status":"target_invalid"}"#, "target_invalid", RecipientUnreachable),
        ("sms", r#"{"message_status":"sent_failed","error_code":4001}"#, "4001", ConfigError),
        (
            "whatsapp",
            r#"{"message_status":"sent_failed","error_code":4001,"error_detail":{"message":"Invalid Phone Number"}}"#,
            "4001",
            RecipientUnreachable,
        ),
        ("sms", r#"{"message_status":"sent_fail","error_code":5001,"error_detail":[]}"#, "5001", Retryable),
        ("sms", r#"{"message_status":"delivered_failed","error_code":0}"#, "none", Retryable),
        ("sms", r#"{"message_status":"delivered_failed","error_code":9001}"#, "9001", Retryable),
        ("whatsapp", r#"{"message_status":"delivered_failed","error_code":9001}"#, "9001", ConfigError),
    ] {
        let failure = failure(name, status);
        assert_eq!((failure.code.as_str(), failure.class), (code, class), "{status}");
    }
    let bad = failure("sms", r#"{"message_status":"target_invalid","error_code":5011}"#);
    assert_eq!(bad, Failure::new("5011", RecipientUnreachable));
}

#[test]
fn the_same_number_again_too_soon_is_not_tried_again() {
    let outcome = |status, retry_after, body: &str| {
        adapter("whatsapp").outcome(&Reply { status, retry_after, body: body.as_bytes() })
    };
    let wait = std::time::Duration::from_secs(30);
    assert_eq!(
        outcome(400, Some(wait), r#"{"code":3004,"message":"too frequent"}"#),
        SendOutcome::Rejected {
            failure: Failure::new("3004", ErrorClass::RateLimited).about(Scope::Recipient),
            retry: Retry::Never
        }
    );
    assert_eq!(
        outcome(429, Some(wait), ""),
        SendOutcome::Rejected { failure: Failure::new("http_429", ErrorClass::RateLimited), retry: Retry::After(wait) }
    );
    assert_eq!(
        outcome(500, None, r#"{"code":1000}"#),
        SendOutcome::Unknown { failure: Failure::new("1000", ErrorClass::Retryable) }
    );
    assert_eq!(outcome(200, None, r#"{"send_channel":"sms"}"#), replies::accepted(None));
    assert!(matches!(outcome(200, None, r#"{"code":0,"message_id":17}"#), SendOutcome::Accepted { .. }));
}

#[test]
fn one_bad_row_blocks_none_of_the_others() {
    let id = our_id("att_01JZX4T7M3Q9");
    let body = format!(
        r#"{{"total":5,"rows":[7,{{"status":{{"message_status":"sent"}}}},{{"message_id":"2","status":"sent"}},
        {{"message_id":"3","status":{{"message_status":"clicked"}}}},
        {{"message_id":4,"custom_args":{{"attempt":"{id}"}},"status":{{"message_status":"delivered"}}}}]}}"#
    );
    let read = adapter("whatsapp").receipts(Verified::new(body.as_bytes(), None)).unwrap();
    assert_eq!((read.unreadable.len(), read.unknown_statuses.as_slice()), (3, ["clicked".to_owned()].as_slice()));
    let receipt = &read.receipts[0];
    assert_eq!((receipt.provider_message_id.as_str(), receipt.attempt_id), ("4", Some(id)));
}
