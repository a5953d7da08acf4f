use std::time::Duration;

use chrono::DateTime;

use super::*;
use crate::Retry;
use crate::conformance::{Accepted, Case, Keys, Runs, our_id};
use otpost_domain::receipt::{ErrorClass, Failure};

pub(super) static CASE: Case = Case {
    name: "sleekflow",
    adapter: for_suite,
    template: ("otp_code_en", "en"),
    signing: &["whatsapp"],
    accepted: Some(Accepted { adapter: "whatsapp", status: 200, body: |id| format!(r#"{{"id":{id}}}"#) }),
    proofs: &[("X-Otp-Hook-Secret", "t=1789034403,s=80084a092d4e038789b65a5db25332217fed7d52699f191b2e7b148a5bf5dafc")],
    is_whatsapp_itself: false,
    runs: Runs {
        requests: 2,
        answers: 4,
        told: 8,
        callbacks: 6,
        receipts: 5,
        codes: 41,
        verdicts: 1575,
        signatures: 8,
        handshakes: 0,
        tokens: 0,
    },
};

fn for_suite(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let channel_type = match adapter {
        "whatsapp" => ChannelType::CloudApi,
        "whatsapp-360dialog" => ChannelType::Dialog360,
        other => panic!("{other}"),
    };
    Box::new(Sleekflow::new(SleekflowConfig {
        base_url: "https://provider.test/".to_owned(),
        api_key: Secret::new("k"),
        channel_type,
        from: "+85230000100".to_owned(),
        template_namespace: "00000000_0000_0000_0000_000000000003".to_owned(),
        hook_secrets: vec![Secret::new(&*keys.secret)],
    }))
}

fn adapter(secret: &str) -> Box<dyn Provider> {
    let case = &CASE;
    (case.adapter)("whatsapp", &Keys { secret: secret.to_owned(), ..Keys::default() })
}

fn outcome(status: u16, body: &str) -> SendOutcome {
    adapter("x").outcome(&Reply { status, retry_after: Some(Duration::from_secs(3)), body: body.as_bytes() })
}

fn about<'a>(ask_by: Option<&'a str>) -> StatusQuery<'a> {
    StatusQuery { attempt_id: our_id("att_01K4T9Q3M7Y2"), provider_message_id: "7", ask_by }
}

fn told(body: &str) -> Result<Receipts, Unreadable> {
    adapter("x").status_answer(&about(Some("c")), &Reply { status: 200, retry_after: None, body: body.as_bytes() })
}

fn read(body: &str) -> Receipts {
    adapter("x").receipts(Verified::new(body.as_bytes(), None)).unwrap()
}

#[test]
fn it_is_asked_by_the_conversation_that_the_answer_named() {
    let answer = r#"{"id":7,"conversationId":"a/b","status":"Sending"}"#;
    let SendOutcome::Accepted { provider_message_id, held, ask_by } = outcome(200, answer) else { panic!() };
    assert_eq!((provider_message_id.as_str(), held, ask_by.as_deref()), ("7", false, Some("a/b")));
    let question = adapter("x").status_query(&about(ask_by.as_deref())).unwrap();
    let url = "https://provider.test/api/conversation/message/a%2Fb?offset=0&limit=10";
    assert_eq!((question.method, question.url.as_str(), question.body.len()), (Method::Get, url, 0));

    // It was accepted all the same; only a status query is impossible.
    let SendOutcome::Accepted { ask_by, .. } = outcome(200, r#"{"id":7}"#) else { panic!() };
    assert!(ask_by.is_none() && adapter("x").status_query(&about(None)).is_none());
}

#[test]
fn an_answer_without_an_id_was_taken_and_a_failure_in_it_was_not() {
    for body in ["", "[]", "{}", r#"{"id":null}"#, r#"{"id":{}}"#, r#"{"id":""}"#] {
        assert_eq!(outcome(200, body), replies::accepted(None), "{body}");
    }
    let failed = r#"{"id":7,"conversationId":"c","status":"Failed","metadata":{"errors":[{"code":131026}]}}"#;
    assert_eq!(
        outcome(200, failed),
        SendOutcome::Rejected {
            failure: Failure::new("131026", ErrorClass::RecipientUnreachable),
            retry: Retry::Never,
        }
    );
}

#[test]
fn a_refusal_has_their_word_where_it_says_more_than_the_status() {
    for (body, code) in [(r#"{"code":429}"#, "http_429"), (r#"{"code":"QUOTA"}"#, "QUOTA"), ("<html>", "http_429")] {
        let failure = Failure::new(code, ErrorClass::RateLimited);
        let retry = Retry::After(Duration::from_secs(3));
        assert_eq!(outcome(429, body), SendOutcome::Rejected { failure, retry }, "{body}");
    }
}

#[test]
fn each_status_of_the_list_has_its_meaning() {
    let list =
        |status: &str| told(&format!(r#"[{{"id":"7","status":"{status}","updatedAt":"2026-07-14T09:30:04Z"}}]"#));
    for (word, ours) in [
        ("Sending", None),
        ("Queued", None),
        ("Scheduled", None),
        ("Sent", Some(Status::Sent)),
        ("Received", Some(Status::Delivered)),
        ("Read", Some(Status::Read)),
        ("Failed", Some(Status::Failed)),
        ("Undelivered", Some(Status::Failed)),
        ("OutOfCredit", Some(Status::Failed)),
        ("Deleted", Some(Status::Failed)),
    ] {
        let told = list(word).unwrap();
        assert_eq!(told.receipts.first().map(|r| r.status), ours, "{word}");
        assert_eq!(told.unknown_statuses, [""; 0], "{word}");
        for receipt in told.receipts {
            assert_eq!(receipt.attempt_id, Some(our_id("att_01K4T9Q3M7Y2")));
            assert_eq!(receipt.provider_at.unwrap().to_rfc3339(), "2026-07-14T09:30:04+00:00");
        }
    }
    assert_eq!(list("Teleported").unwrap().unknown_statuses, ["Teleported"]);
}

#[test]
fn a_list_without_our_message_tells_nothing_about_it() {
    for body in ["[]", r#"[{"id":8,"status":"Read"}]"#, r#"[7,{"id":[7]},{"status":"Read"}]"#, "{}", "null"] {
        assert!(told(body).is_err(), "{body}");
    }
    let among = r#"[7,{"id":8,"status":"Failed"},{"id":7,"status":"Read"}]"#;
    assert_eq!(told(among).unwrap().receipts[0].status, Status::Read);
    assert!(told(r#"[{"id":7,"status":"482913 is your code"}]"#).is_err());
    // About our message, but with two statuses at once.
    assert!(told(r#"[{"id":7,"status":"Read","status":"Failed"}]"#).is_err());
    let refused = Reply { status: 429, retry_after: None, body: b"[]" };
    assert!(adapter("x").status_answer(&about(Some("c")), &refused).is_err());
}

#[test]
fn a_body_that_repeats_a_key_is_not_read() {
    let body = br#"{"message_id":"900100200","status":"Failed","status":"Received"}"#;
    let reason = adapter("x").receipts(Verified::new(body, None)).unwrap_err().reason;
    assert!(reason.contains("not the documented shape") && !reason.contains("900100200"), "{reason}");
}

#[test]
fn posts_that_tell_no_status_of_ours_are_ignored_and_broken_ones_put_aside() {
    for body in [
        r#"{"contact":{},"message_content":"I did not ask for this"}"#,
        r#"{"message_id":7,"is_sent_from_sleekflow":true}"#,
        r#"{"message_id":7,"status":"Queued"}"#,
    ] {
        assert_eq!(read(body), Receipts::default(), "{body}");
    }
    for body in [
        r#"{"message_id":7}"#,
        r#"{"message_id":7,"status":{}}"#,
        r#"{"message_id":7,"status":"482913 is your code"}"#,
        r#"{"message_id":"","status":"Read"}"#,
        r#"{"status":"Read"}"#,
    ] {
        let read = read(body);
        assert_eq!((read.receipts.len(), read.unreadable[0].1.as_slice()), (0, body.as_bytes()), "{body}");
    }
    assert_eq!(read(r#"{"message_id":7,"status":"Teleported"}"#).unknown_statuses, ["Teleported"]);
}

#[test]
fn without_a_secret_no_callback_is_believed() {
    let verify = |secret: &str, value: &str| {
        let headers = [("x-otp-hook-secret".to_owned(), value.as_bytes().to_vec())];
        let callback =
            Callback { headers: &headers, callback_url: "", query: "", body: b"{}", now: DateTime::UNIX_EPOCH };
        adapter(secret).verify(&callback).map(|_| ())
    };
    assert_eq!(verify("secret", "secret"), Ok(()));
    assert_eq!(verify("", ""), Err(Unverified::Wrong));
    let config = SleekflowConfig {
        base_url: String::new(),
        api_key: Secret::new("k"),
        channel_type: ChannelType::CloudApi,
        from: String::new(),
        template_namespace: String::new(),
        hook_secrets: Vec::new(),
    };
    let headers = [(HOOK_HEADER.to_owned(), Vec::new())];
    let callback = Callback { headers: &headers, callback_url: "", query: "", body: b"{}", now: DateTime::UNIX_EPOCH };
    assert_eq!(Sleekflow::new(config).verify(&callback).map(|_| ()), Err(Unverified::Wrong));
}
