use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};

use super::*;
use crate::conformance::{Accepted, Case, Keys, Runs, our_id};
use crate::replies;
use crate::signature::FixedHeader;
use crate::{Retry, Template};
use otpost_domain::code::Code;
use otpost_domain::phone::Phone;
use otpost_domain::receipt::{ErrorClass, Failure, Scope};

pub(super) static CASE: Case = Case {
    name: "infobip",
    adapter: for_suite,
    template: ("otp_code_en", "en"),
    signing: &["whatsapp", "sms"],
    accepted: Some(Accepted {
        adapter: "sms",
        status: 200,
        body: |id| format!(r#"{{"messages":[{{"messageId":{id}}}]}}"#),
    }),
    proofs: &[],
    is_whatsapp_itself: false,
    runs: Runs {
        requests: 4,
        answers: 12,
        told: 5,
        callbacks: 17,
        receipts: 18,
        codes: 128,
        verdicts: 4918,
        signatures: 26,
        handshakes: 0,
        tokens: 0,
    },
};

/// Without a vector the proof is the token in the address.
fn for_suite(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let (base_url, api_key) = ("https://provider.test".to_owned(), Secret::new("k"));
    let proof = proof_of(keys);
    match adapter {
        "whatsapp" => Box::new(InfobipWhatsapp::new(InfobipWhatsappConfig {
            base_url,
            api_key,
            from: "+12025550100".to_owned(),
            proof,
        })),
        "sms" => Box::new(InfobipSms::new(InfobipSmsConfig { base_url, api_key, sender: "Example".to_owned(), proof })),
        other => panic!("{other}"),
    }
}

fn proof_of(keys: &Keys) -> InfobipProof {
    let vector = |key: &str| keys.vector[key].as_str().unwrap_or_else(|| panic!("{key}")).to_owned();
    let secret = Secret::new(&*keys.secret);
    match keys.vector["scheme"].as_str() {
        None => InfobipProof { token: Some(Secret::new(&*keys.verify_token)), ..InfobipProof::default() },
        Some("basic") => InfobipProof { basic: Some(secret), ..InfobipProof::default() },
        Some("static-header") => {
            let header = FixedHeader { name: vector("header_name"), secrets: vec![secret] };
            InfobipProof { header: Some(header), ..InfobipProof::default() }
        }
        Some("hmac") => {
            let algorithm = if vector("algorithm") == "HMAC_SHA_512" { Algorithm::Sha512 } else { Algorithm::Sha256 };
            assert_eq!(vector("encoding"), "hex");
            let secrets = vec![Secret::new("current"), secret];
            let header = vector("header_name");
            let signature = BodySignature { header, algorithm, encoding: Encoding::Hex, secrets };
            InfobipProof { signature: Some(signature), ..InfobipProof::default() }
        }
        Some(other) => panic!("{other}"),
    }
}

fn adapter(name: &str) -> Box<dyn Provider> {
    let case = &CASE;
    (case.adapter)(name, &Keys::default())
}

fn outcome(status: u16, body: &str) -> SendOutcome {
    adapter("sms").outcome(&Reply { status, retry_after: Some(Duration::from_secs(3)), body: body.as_bytes() })
}

fn read(body: &str) -> Receipts {
    adapter("whatsapp").receipts(Verified::new(body.as_bytes(), None)).unwrap()
}

fn verify(proof: &InfobipProof, query: &str, headers: &[(&str, &str)]) -> Result<(), Unverified> {
    let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
    let callback = Callback { headers: &headers, callback_url: "", query, body: b"body", now: DateTime::UNIX_EPOCH };
    proof.verify(&callback).map(|verified| assert_eq!(verified.body(), b"body"))
}

fn fixed(secrets: &[&str]) -> Option<FixedHeader> {
    let secrets = secrets.iter().map(|s| Secret::new(*s)).collect();
    Some(FixedHeader { name: "X-Otp-Hook-Secret".to_owned(), secrets })
}

fn token(text: &str) -> Option<Secret> {
    Some(Secret::new(text))
}

#[test]
fn without_any_proof_set_no_callback_is_believed() {
    let everything = [("Authorization", "Basic Og=="), ("X-Otp-Hook-Secret", "")];
    assert_eq!(verify(&InfobipProof::default(), "token=", &everything), Err(Unverified::Missing));
}

#[test]
fn every_proof_that_is_set_has_to_be_right() {
    let proof = InfobipProof {
        token: token("a token"),
        basic: token("otpost:pässword"),
        header: fixed(&["current", "previous"]),
        signature: None,
    };
    let basic = format!("bAsIc {}", BASE64_STANDARD.encode("otpost:pässword"));
    let (query, user, hook) = ("x=1&token=a%20token", ("authorization", basic.as_str()), "x-otp-hook-secret");
    assert_eq!(verify(&proof, query, &[user, (hook, "current")]), Ok(()));
    assert_eq!(verify(&proof, query, &[user, (hook, "previous")]), Ok(()));
    let bearer = ("Authorization", "Bearer b3Rwb3N0");
    let not_base64 = ("Authorization", "Basic *");
    for (query, headers, reason) in [
        ("", vec![user, (hook, "current")], Unverified::Missing),
        ("token=other", vec![user, (hook, "current")], Unverified::Wrong),
        ("token=a%20token&token=a%20token", vec![user, (hook, "current")], Unverified::Missing),
        (query, vec![(hook, "current")], Unverified::Missing),
        (query, vec![bearer, (hook, "current")], Unverified::Malformed),
        (query, vec![not_base64, (hook, "current")], Unverified::Malformed),
        (query, vec![user, user, (hook, "current")], Unverified::Malformed),
        (query, vec![user], Unverified::Missing),
        (query, vec![user, (hook, "older")], Unverified::Wrong),
        (query, vec![user, (hook, "")], Unverified::Wrong),
    ] {
        assert_eq!(verify(&proof, query, &headers), Err(reason), "{query} {headers:?}");
    }
}

#[test]
fn an_empty_secret_verifies_nothing() {
    for proof in [
        InfobipProof { token: token(""), ..InfobipProof::default() },
        InfobipProof { basic: token(""), ..InfobipProof::default() },
        InfobipProof { header: fixed(&[""]), ..InfobipProof::default() },
        InfobipProof { header: fixed(&[]), ..InfobipProof::default() },
    ] {
        let headers = [("Authorization", "Basic "), ("X-Otp-Hook-Secret", "")];
        assert_eq!(verify(&proof, "token=", &headers), Err(Unverified::Wrong), "{proof:?}");
    }
}

#[test]
fn a_signature_is_taken_in_its_own_algorithm_and_encoding_alone() {
    fn mac<M: Mac + KeyInit>() -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(b"previous").unwrap();
        mac.update(b"body");
        mac.finalize().into_bytes().to_vec()
    }
    let (short, long) = (mac::<Hmac<Sha256>>(), mac::<Hmac<Sha512>>());
    let given = [
        (Algorithm::Sha256, Encoding::Hex, hex::encode(&short)),
        (Algorithm::Sha256, Encoding::Base64, BASE64_STANDARD.encode(&short)),
        (Algorithm::Sha512, Encoding::Hex, hex::encode(&long)),
        (Algorithm::Sha512, Encoding::Base64, BASE64_STANDARD.encode(&long)),
    ];
    for &algorithm in Algorithm::ALL {
        for &encoding in Encoding::ALL {
            let secrets = vec![Secret::new("current"), Secret::new("previous")];
            let header = "X-Infobip-Signature".to_owned();
            let signature = Some(BodySignature { header, algorithm, encoding, secrets });
            let proof = InfobipProof { signature, ..InfobipProof::default() };
            for (other, written, value) in &given {
                let is_right = (*other, *written) == (algorithm, encoding);
                let verdict = verify(&proof, "", &[("x-infobip-signature", value)]);
                assert_eq!(verdict.is_ok(), is_right, "{algorithm} {encoding} {value}");
            }
            let cut = &given.iter().find(|g| (g.0, g.1) == (algorithm, encoding)).unwrap().2[..16];
            assert_eq!(verify(&proof, "", &[("x-infobip-signature", cut)]), Err(Unverified::Wrong));
        }
    }
}

/// The callback settings in the request of an attempt.
fn address(proof: InfobipProof, callback_url: &str) -> serde_json::Value {
    let sms = InfobipSms::new(InfobipSmsConfig {
        base_url: "https://provider.test".to_owned(),
        api_key: Secret::new("k"),
        sender: "Example".to_owned(),
        proof,
    });
    let call = sms.call(&Outbound {
        attempt_id: our_id("att_01K4T9Q3M7Y2"),
        to: &Phone::from_stored("+447700900123", "GB", 2).unwrap(),
        code: &Code::parse("493817").unwrap(),
        text: "493817",
        template: &Template { name: String::new(), language: String::new() },
        sender: None,
        dlt: None,
        callback_url,
        life_s: 61,
    });
    let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(body["messages"][0]["options"]["validityPeriod"]["amount"], 61);
    body["messages"][0]["webhooks"]["delivery"]["url"].clone()
}

#[test]
fn a_message_names_its_callback_address_only_where_that_address_is_the_whole_proof() {
    let alone = InfobipProof { token: token("a b"), ..InfobipProof::default() };
    let url = "https://otp.example.org/webhooks/sms";
    assert_eq!(address(alone.clone(), url), format!("{url}?token=a%20b"));
    assert_eq!(address(alone.clone(), &format!("{url}?region=eu")), format!("{url}?region=eu&token=a%20b"));
    let subscribed = InfobipProof { basic: token("otpost:password"), ..alone };
    assert_eq!(address(subscribed, url), serde_json::Value::Null);
}

#[test]
fn a_duplicate_id_means_that_the_first_try_arrived() {
    let status = r#""status":{"groupId":5,"groupName":"REJECTED","id":23,"name":"REJECTED_DUPLICATE_MESSAGE_ID"}"#;
    let answer = format!(r#"{{"messages":[{{"messageId":"m-1",{status}}}]}}"#);
    let accepted = SendOutcome::Accepted { provider_message_id: "m-1".to_owned(), held: false, ask_by: None };
    assert_eq!(outcome(200, &answer), accepted);
    let report = format!(r#"{{"results":[{{"messageId":"m-1",{status}}}]}}"#);
    assert_eq!(read(&report), Receipts::default());
}

#[test]
fn an_answer_without_an_id_or_in_an_unknown_shape_was_taken() {
    let bodies = [
        "",
        "{}",
        r#"{"messages":[]}"#,
        r#"{"messages":[{}]}"#,
        r#"{"messages":[{"messageId":""}]}"#,
        r#"{"messages":{}}"#,
    ];
    for body in bodies {
        assert_eq!(outcome(200, body), replies::accepted(None), "{body}");
    }
    // An unknown status is not a refusal.
    let odd = r#"{"messages":[{"messageId":"m-1","status":{"groupId":9,"id":1}}]}"#;
    assert!(matches!(outcome(200, odd), SendOutcome::Accepted { .. }));
}

#[test]
fn limits_wait_as_long_as_asked_and_the_filter_against_floods_for_good() {
    let limited = r#"{"errorCode":"E429","description":"d"}"#;
    assert_eq!(
        outcome(429, limited),
        SendOutcome::Rejected {
            failure: Failure::new("E429", ErrorClass::RateLimited),
            retry: Retry::After(Duration::from_secs(3)),
        }
    );
    let flood = r#"{"messages":[{"messageId":"m-1","status":{"groupId":5,"id":20}}]}"#;
    assert_eq!(
        outcome(200, flood),
        SendOutcome::Rejected {
            failure: Failure::new("s20", ErrorClass::RateLimited).about(Scope::Recipient),
            retry: Retry::Never
        }
    );
}

/// The one receipt of a report with this status and error.
fn reported(status: &str, error: &str) -> DeliveryReceipt {
    let body = format!(r#"{{"results":[{{"messageId":"m-1","status":{status},"error":{error}}}]}}"#);
    read(&body).receipts.pop().unwrap_or_else(|| panic!("{body}"))
}

#[test]
fn what_says_the_most_decides_the_class() {
    let unlisted_passing = r#"{"id":9999,"permanent":false}"#;
    for (status, error, code, class) in [
        (r#"{"groupId":2,"id":9}"#, r#"{"id":7003}"#, "7003", ErrorClass::RecipientUnreachable),
        (r#"{"groupId":2,"id":9}"#, r#"{"id":0}"#, "s9", ErrorClass::RecipientUnreachable),
        (r#"{"groupId":2,"id":100}"#, "null", "s100", ErrorClass::ConfigError),
        (r#"{"groupId":2,"id":9}"#, unlisted_passing, "9999", ErrorClass::Retryable),
        (r#"{"groupId":2,"id":9}"#, r#"{"id":9999,"permanent":true}"#, "9999", ErrorClass::RecipientUnreachable),
        (r#"{"groupId":5,"id":9998}"#, r#"{"id":9999}"#, "9999", ErrorClass::ConfigError),
        (r#"{"groupId":5,"id":12}"#, r#"{"id":7051}"#, "s12", ErrorClass::ConfigError),
        (r#"{"groupId":5,"id":99}"#, r#"{"id":7051}"#, "7051", ErrorClass::Retryable),
        (r#"{"groupId":5,"id":99}"#, r#"{"id":9999,"permanent":true}"#, "s99", ErrorClass::ConfigError),
        (r#"{"groupId":4,"id":15}"#, r#"{"id":27}"#, "27", ErrorClass::Expired),
        (r#"{"groupId":4,"id":15}"#, "null", "s15", ErrorClass::Expired),
        (r#"{"groupId":4,"id":87}"#, r#"{"id":4098}"#, "s87", ErrorClass::ConfigError),
        (r#"{"groupId":"5"}"#, r#"{"id":"EC_TEXT"}"#, "s0", ErrorClass::ConfigError),
    ] {
        let failure = reported(status, error).failure.unwrap();
        assert_eq!((failure.code.as_str(), failure.class), (code, class), "{status} {error}");
    }
    let bad_number = reported(r#"{"groupId":5,"id":8}"#, "null").failure.unwrap();
    assert_eq!(bad_number.scope, Scope::Recipient);
}

#[test]
fn only_the_handset_delivers() {
    let status = |group: u32, id: u32| {
        let body = format!(r#"{{"results":[{{"messageId":"m-1","status":{{"groupId":{group},"id":{id}}}}}]}}"#);
        let read = read(&body);
        (read.receipts.first().map(|r| r.status), read.unknown_statuses)
    };
    for (group, id, ours) in [
        (0, 0, None),
        (1, 26, None),
        (1, 3, Some(Status::Sent)),
        (1, 7, Some(Status::Sent)),
        (3, 2, Some(Status::Sent)),
        (3, 5, Some(Status::Delivered)),
    ] {
        assert_eq!(status(group, id), (ours, Vec::new()), "{group}/{id}");
    }
    assert_eq!(status(3, 77), (None, vec!["3/77".to_owned()]));
    assert_eq!(status(6, 1), (None, vec!["6/1".to_owned()]));
}

#[test]
fn a_result_that_cannot_be_read_does_not_block_the_others() {
    let aside = [
        r#"{"messageId":"m-2"}"#,
        r#"{"messageId":{},"seenAt":"x"}"#,
        r#"{"messageId":"m-2","status":{"groupId":"482913 is your code","id":5}}"#,
        "7",
        r#"{"status":{"groupId":3,"id":5}}"#,
    ];
    let body = format!(
        r#"{{"results":[{},{{"messageId":"m-1","seenAt":"2026-07-14T09:30:11.251+0000"}},{{"deletedAt":"x"}}]}}"#,
        aside.join(",")
    );
    let read = read(&body);
    assert_eq!((read.receipts.len(), read.receipts[0].status), (1, Status::Read));
    assert_eq!(read.receipts[0].provider_at.unwrap().to_rfc3339(), "2026-07-14T09:30:11.251+00:00");
    let put_aside: Vec<&[u8]> = read.unreadable.iter().map(|(_, item)| item.as_slice()).collect();
    assert_eq!(put_aside, aside.map(str::as_bytes));
    for body in ["", "[]", "{}", r#"{"results":1}"#, r#"{"results":[],"results":[]}"#] {
        assert!(adapter("sms").receipts(Verified::new(body.as_bytes(), None)).is_err(), "{body}");
    }
}

#[test]
fn the_log_tells_of_no_other_message_and_whatsapp_has_none() {
    let attempt_id = our_id("att_01K4T9Q3M7Y2");
    let about = StatusQuery { attempt_id, provider_message_id: "m/1", ask_by: None };
    let question = adapter("sms").status_query(&about).unwrap();
    assert_eq!(
        (question.method, question.url.as_str()),
        (Method::Get, "https://provider.test/sms/3/logs?messageId=m%2F1")
    );
    let line = |id: &str| format!(r#"{{"messageId":"{id}","status":{{"groupId":3,"id":5}}}}"#);
    let body = format!(r#"{{"results":[{},{}]}}"#, line("m/2"), line("m/1"));
    let told =
        |status| adapter("sms").status_answer(&about, &Reply { status, retry_after: None, body: body.as_bytes() });
    let receipts = told(200).unwrap().receipts;
    assert_eq!((receipts.len(), receipts[0].attempt_id), (1, Some(attempt_id)));
    assert!(told(404).is_err());
    assert!(adapter("whatsapp").status_query(&about).is_none() && !adapter("whatsapp").abilities().can_be_queried);
}
