use std::time::Duration;

use super::*;
use crate::Retry;
use crate::conformance::{Accepted, Case, Keys, Runs, our_id};
use otpost_domain::receipt::{ErrorClass, Scope};

pub(super) static CASE: Case = Case {
    name: "meta",
    adapter: for_suite,
    template: ("login_code", "en_US"),
    signing: &["whatsapp"],
    accepted: Some(Accepted {
        adapter: "whatsapp",
        status: 200,
        body: |id| format!(r#"{{"messages":[{{"id":{id}}}]}}"#),
    }),
    proofs: &[("X-Hub-Signature-256", "sha256=80084a092d4e038789b65a5db25332217fed7d52699f191b2e7b148a5bf5dafc")],
    is_whatsapp_itself: true,
    runs: Runs {
        requests: 1,
        answers: 19,
        told: 0,
        callbacks: 18,
        receipts: 18,
        codes: 73,
        verdicts: 1268,
        signatures: 21,
        handshakes: 8,
        tokens: 0,
    },
};

fn for_suite(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    assert_eq!(adapter, "whatsapp");
    Box::new(Meta::new(MetaConfig {
        base_url: "https://provider.test/".to_owned(),
        version: "{version}".to_owned(),
        phone_number_id: "{phone_number_id}".to_owned(),
        access_token: Secret::new("k"),
        app_secrets: vec![Secret::new(&*keys.secret), Secret::new("previous")],
        verify_token: Secret::new(&*keys.verify_token),
    }))
}

fn meta() -> Box<dyn Provider> {
    (CASE.adapter)("whatsapp", &Keys::default())
}

fn outcome(status: u16, retry_after: Option<u64>, body: &str) -> SendOutcome {
    meta().outcome(&Reply { status, retry_after: retry_after.map(Duration::from_secs), body: body.as_bytes() })
}

fn error(code: &str) -> String {
    format!(r#"{{"error":{{"message":"m","type":"OAuthException","code":{code},"fbtrace_id":"x"}}}}"#)
}

fn receipts(statuses: &str) -> Receipts {
    let body = format!(r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"statuses":[{statuses}]}}}}]}}]}}"#);
    meta().receipts(Verified::new(body.as_bytes(), None)).unwrap()
}

#[test]
fn a_limit_is_waited_for_as_long_as_it_asks_and_not_at_all_when_no_code_lives_that_long() {
    for (code, retry_after, retry) in [
        ("130429", None, Retry::After(Duration::ZERO)),
        ("130429", Some(2), Retry::After(Duration::from_secs(2))),
        ("131056", None, Retry::After(Duration::from_secs(6))),
        ("131056", Some(9), Retry::After(Duration::from_secs(9))),
        ("131048", Some(1), Retry::Never),
        ("131064", None, Retry::Never),
        ("131026", Some(1), Retry::Never),
        ("190", Some(1), Retry::Never),
    ] {
        let SendOutcome::Rejected { retry: given, .. } = outcome(400, retry_after, &error(code)) else {
            panic!("{code}")
        };
        assert_eq!(given, retry, "{code} {retry_after:?}");
    }
}

#[test]
fn a_documented_code_is_a_refusal_whatever_the_status_and_silence_behind_a_5xx_is_not() {
    for status in [200, 400, 429, 500, 503] {
        assert!(matches!(outcome(status, None, &error("131000")), SendOutcome::Rejected { .. }), "{status}");
    }
    for (status, body) in [
        (500, String::new()),
        (502, "<html>".to_owned()),
        (500, error("999999")),
        (500, r#"{"messages":[{"id":"wamid.x"}]}"#.to_owned()),
    ] {
        assert!(matches!(outcome(status, None, &body), SendOutcome::Unknown { .. }), "{status} {body}");
    }
    assert!(matches!(outcome(200, None, &error("999999")), SendOutcome::Rejected { .. }), "a 2xx that names an error");
    for (body, id) in [
        ("{}", None),
        (r#"{"messages":[]}"#, None),
        (r#"{"messages":[{"id":"a\u0000b"}]}"#, None),
        (r#"{"messages":[{"id":7}]}"#, Some("7")),
    ] {
        assert_eq!(outcome(200, None, body), replies::accepted(id.map(str::to_owned)), "{body}");
    }
}

#[test]
fn one_bad_status_does_not_block_the_others() {
    let good = |id: &str| format!(r#"{{"id":"{id}","status":"sent","timestamp":"1789034401"}}"#);
    let bad = [
        r#"{"id":true,"status":"sent"}"#.to_owned(),
        r#"{"id":"a","id":"b","status":"sent"}"#.to_owned(),
        r#"{"id":"wamid.\u0000","status":"sent"}"#.to_owned(),
        r#"{"id":"wamid.\ud800","status":"sent"}"#.to_owned(),
        r#"{"id":"x","status":3}"#.to_owned(),
        format!(r#"{{"id":"{}","status":"sent"}}"#, "x".repeat(257)),
        "null".to_owned(),
        "9223372036854775808".to_owned(),
        format!("{}{}", "[".repeat(120), "]".repeat(120)),
    ];
    let read = receipts(&format!("{},{},{}", good("first"), bad.join(","), good("last")));
    let ids: Vec<_> = read.receipts.iter().map(|r| r.provider_message_id.as_str()).collect();
    assert_eq!(ids, ["first", "last"]);
    let aside: Vec<_> = read.unreadable.iter().map(|(_, item)| std::str::from_utf8(item).unwrap()).collect();
    assert_eq!(aside, bad);
}

#[test]
fn a_bad_entry_or_change_does_not_block_the_others() {
    let body = r#"{"entry":[7,{"changes":3},{"changes":[{"field":1},{"field":"messages"},
        {"field":"messages","value":{"statuses":{}}},{"field":"other","value":[]},
        {"field":"messages","value":{"statuses":[{"id":"wamid.x","status":"read","timestamp":"1789034401"}]}}]}]}"#;
    let read = meta().receipts(Verified::new(body.as_bytes(), None)).unwrap();
    assert_eq!((read.receipts.len(), read.unreadable.len()), (1, 5));
}

#[test]
fn what_only_tells_more_may_be_wrong() {
    let read = receipts(r#"{"id":"x","status":"failed","timestamp":[],"biz_opaque_callback_data":{},"errors":"?"}"#);
    let receipt = &read.receipts[0];
    assert_eq!((receipt.provider_at, receipt.attempt_id), (None, None));
    assert_eq!(receipt.failure, Some(Failure::new("none", ErrorClass::Retryable).about(Scope::Recipient)));
}

#[test]
fn a_receipt_names_our_attempt_and_their_time() {
    let id = our_id("att_01K4T9Q3M7Y2");
    let read = receipts(&format!(
        r#"{{"id":"x","status":"delivered","timestamp":"1789034403","biz_opaque_callback_data":"{id}"}},
           {{"id":"y","status":"played"}},{{"id":"z","status":"warning\u0000\n"}}"#
    ));
    assert_eq!(read.receipts[0].attempt_id, Some(id));
    assert_eq!(read.receipts[0].provider_at.unwrap().to_rfc3339(), "2026-09-10T10:00:03+00:00");
    assert_eq!(read.unknown_statuses, ["played", "warning"]);
}

#[test]
fn credentials_do_not_print() {
    let config = MetaConfig {
        base_url: MetaConfig::DEFAULT_BASE_URL.to_owned(),
        version: "v25.0".to_owned(),
        phone_number_id: "1".to_owned(),
        access_token: Secret::new("hunter2"),
        app_secrets: vec![Secret::new("hunter2")],
        verify_token: Secret::new("hunter2"),
    };
    assert!(!format!("{config:?} {:?}", Meta::new(config.clone()).signature).contains("hunter2"));
}

#[test]
fn a_challenge_that_is_no_challenge_is_not_echoed() {
    for (query, answer) in [
        ("", Handshake::Malformed),
        ("hub.mode=subscribe&hub.verify_token=token&hub.challenge=", Handshake::Malformed),
        ("hub.mode=subscribe&hub.verify_token=token&hub.challenge=1&hub.challenge=2", Handshake::Malformed),
        ("hub.mode=subscribe&hub.verify_token=token&hub.verify_token=token&hub.challenge=1", Handshake::Refused),
    ] {
        assert_eq!(meta().handshake(query), answer, "{query}");
    }
    let long = format!("hub.mode=subscribe&hub.verify_token=token&hub.challenge={}", "1".repeat(257));
    assert_eq!(meta().handshake(&long), Handshake::Malformed);
}
