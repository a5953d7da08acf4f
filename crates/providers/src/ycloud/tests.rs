use super::*;
use crate::Retry;
use crate::conformance::{Accepted, Case, Keys, Runs, our_id};
use otpost_domain::receipt::{ErrorClass, Failure, Scope};

pub(super) static CASE: Case = Case {
    name: "ycloud",
    adapter: for_suite,
    template: ("login_code", "en_US"),
    signing: &["whatsapp", "sms"],
    accepted: Some(Accepted {
        adapter: "sms",
        status: 200,
        body: |id| format!(r#"{{"id":{id},"status":"accepted"}}"#),
    }),
    proofs: &[("YCloud-Signature", "t=1789034403,s=80084a092d4e038789b65a5db25332217fed7d52699f191b2e7b148a5bf5dafc")],
    is_whatsapp_itself: false,
    runs: Runs {
        requests: 4,
        answers: 17,
        told: 0,
        callbacks: 12,
        receipts: 20,
        codes: 35,
        verdicts: 974,
        signatures: 48,
        handshakes: 0,
        tokens: 0,
    },
};

fn for_suite(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let (base_url, api_key) = ("https://provider.test".to_owned(), Secret::new("k"));
    let webhook_secrets = vec![Secret::new("current"), Secret::new(&*keys.secret)];
    let tolerance_s = keys.tolerance_s;
    match adapter {
        "whatsapp" => Box::new(YcloudWhatsapp::new(YcloudWhatsappConfig {
            base_url,
            api_key,
            from: "+12025550199".to_owned(),
            webhook_secrets,
            tolerance_s,
        })),
        "sms" => Box::new(YcloudSms::new(YcloudSmsConfig {
            base_url,
            api_key,
            sender_id: Some("EXAMPLE".to_owned()),
            webhook_secrets,
            tolerance_s,
        })),
        other => panic!("{other}"),
    }
}

fn adapter(name: &str) -> Box<dyn Provider> {
    let case = &CASE;
    (case.adapter)(name, &Keys::default())
}

fn outcome(name: &str, status: u16, body: &str) -> SendOutcome {
    adapter(name).outcome(&Reply { status, retry_after: Some(Duration::from_secs(3)), body: body.as_bytes() })
}

fn receipts(name: &str, body: &str) -> Receipts {
    adapter(name).receipts(Verified::new(body.as_bytes(), None)).unwrap()
}

#[test]
fn what_whatsapps_code_says_counts_more_than_the_wrapping() {
    let body = r#"{"error":{"status":500,"code":"INTERNAL_SERVER_ERROR","whatsappApiError":{"code":"131026"}}}"#;
    assert_eq!(
        outcome("whatsapp", 500, body),
        SendOutcome::Rejected {
            failure: Failure::new("131026", ErrorClass::RecipientUnreachable),
            retry: Retry::Never,
        }
    );
    let bare = r#"{"error":{"status":500,"code":"INTERNAL_SERVER_ERROR"}}"#;
    assert_eq!(
        outcome("whatsapp", 500, bare),
        SendOutcome::Unknown { failure: Failure::new("INTERNAL_SERVER_ERROR", ErrorClass::Retryable) }
    );
}

#[test]
fn limits_wait_as_long_as_asked_and_the_pair_limit_at_least_6_s() {
    let own = r#"{"error":{"code":"SENDER_RATE_LIMITED"}}"#;
    let pair = r#"{"error":{"code":"TOO_MANY_REQUESTS","whatsappApiError":{"code":131056}}}"#;
    for (body, wait) in [(own, 3), (pair, 6), ("", 3)] {
        let SendOutcome::Rejected { failure, retry } = outcome("whatsapp", 429, body) else { panic!("{body}") };
        assert_eq!(
            (failure.class, retry),
            (ErrorClass::RateLimited, Retry::After(Duration::from_secs(wait))),
            "{body}"
        );
    }
}

#[test]
fn an_unpublished_reason_is_read_as_its_channel_deserves() {
    let failed = r#"{"id":"x","status":"failed","errorCode":"NEW_REASON"}"#;
    let bare = r#"{"id":"x","status":"failed"}"#;
    for (name, body, code, class) in [
        ("whatsapp", failed, "NEW_REASON", ErrorClass::ConfigError),
        ("sms", failed, "NEW_REASON", ErrorClass::Retryable),
        ("sms", bare, "none", ErrorClass::Retryable),
        ("sms", r#"{"id":"x","status":"undelivered"}"#, "undelivered", ErrorClass::RecipientUnreachable),
    ] {
        let SendOutcome::Rejected { failure, .. } = outcome(name, 200, body) else { panic!("{body}") };
        let meant = Failure::new(code, class).about(Scope::Recipient);
        assert_eq!(failure, meant, "{name} {body}");
        let (kind, field) = if name == "sms" {
            ("sms.message.updated", "sms")
        } else {
            ("whatsapp.message.updated", "whatsappMessage")
        };
        let event = format!(r#"{{"type":"{kind}","{field}":{body}}}"#);
        assert_eq!(receipts(name, &event).receipts[0].failure, Some(failure), "{event}");
    }
}

#[test]
fn a_receipt_names_our_attempt_and_the_time_of_its_status() {
    let id = our_id("att_01K4T9Q3M7Y2");
    let event = |status: &str| {
        format!(
            r#"{{"type":"whatsapp.message.updated","createTime":"2026-09-10T10:00:20.000Z","whatsappMessage":{{"id":"x",
            "status":"{status}","externalId":"{id}","sendTime":"2026-09-10T10:00:01.000Z",
            "deliverTime":"2026-09-10T10:00:03.000Z","readTime":"nonsense"}}}}"#
        )
    };
    for (status, second) in [("sent", "01"), ("delivered", "03"), ("read", "20"), ("failed", "20")] {
        let read = receipts("whatsapp", &event(status));
        let receipt = read.receipts.iter().find(|receipt| receipt.status.as_str() == status).unwrap();
        assert_eq!(receipt.attempt_id, Some(id));
        assert_eq!(receipt.provider_at.unwrap().to_rfc3339(), format!("2026-09-10T10:00:{second}+00:00"), "{status}");
    }
    let statuses = |status| receipts("whatsapp", &event(status)).receipts.iter().map(|r| r.status).collect::<Vec<_>>();
    assert_eq!(statuses("sent"), [Status::Sent, Status::Delivered], "each time is a word of its own");
    assert_eq!(statuses("accepted"), [Status::Delivered], "that it was accepted is older news than our own answer");
    assert_eq!(statuses("failed"), [Status::Sent, Status::Delivered, Status::Failed]);
    assert_eq!(statuses("undelivered"), [Status::Sent, Status::Delivered, Status::Failed]);
    assert_eq!(receipts("whatsapp", &event("played")).unknown_statuses, ["played"]);
}

#[test]
fn an_endpoint_subscribed_to_both_channels_is_read_at_either_address() {
    let event = r#"{"type":"sms.message.updated","sms":{"id":"x","status":"delivered"}}"#;
    for name in ["whatsapp", "sms"] {
        assert_eq!(receipts(name, event).receipts[0].status, Status::Delivered);
    }
}

#[test]
fn an_event_without_a_readable_message_is_put_aside_with_its_bytes() {
    for (event, item) in [
        (r#"{"type":"sms.message.updated"}"#, r#"{"type":"sms.message.updated"}"#),
        (r#"{"type":"sms.message.updated","sms":{"id":7}}"#, r#"{"id":7}"#),
        (r#"{"type":"sms.message.updated","sms":{"id":"","status":"sent"}}"#, r#"{"id":"","status":"sent"}"#),
    ] {
        let read = receipts("sms", event);
        assert_eq!((read.receipts.len(), read.unreadable[0].1.as_slice()), (0, item.as_bytes()));
    }
    for body in ["", "[]", "{}", r#"{"type":3}"#] {
        assert!(adapter("sms").receipts(Verified::new(body.as_bytes(), None)).is_err(), "{body}");
    }
}
