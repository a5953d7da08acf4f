use serde_json::{Value, json};

use super::*;
use crate::bench::*;
use crate::wire::shapes::Wrong::*;
use crate::wire::shapes::*;

const AUTH: (&str, &str) = ("X-API-Key", KEY);

fn body(to: &str, reference: &str) -> Value {
    json!({"from": SENDER, "to": to, "type": "template", "template": template("493817", json!(0)),
        "externalId": reference})
}

#[tokio::test]
async fn one_event_is_told_per_post_and_can_be_asked() {
    let bench = Bench::manual();
    let path = "/ycloud/v2/whatsapp/messages/sendDirectly";
    let (status, body) = bench.post(path, AUTH, &body("+628123450002", "ref-y")).await.unwrap();
    assert_eq!((status, &body["status"], &body["externalId"]), (200, &json!("accepted"), &json!("ref-y")));
    let one = format!("/ycloud/v2/whatsapp/messages/{}", body["id"].as_str().unwrap());
    assert_eq!(bench.get(&one, AUTH).await["status"], "accepted");
    bench.advance(600).await;
    let got = bench.receiver.take();
    assert_eq!(got.len(), 1);
    let event = got[0].json();
    assert_eq!(
        (&event["type"], &event["whatsappMessage"]["errorCode"]),
        (&json!("whatsapp.message.updated"), &json!("131026"))
    );
    assert_eq!(event["whatsappMessage"]["externalId"], "ref-y");
    let header = got[0].header("ycloud-signature");
    let t = header.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(header, signature::of(WHATSAPP_SECRET, t, &got[0].body));
    assert_eq!(bench.get(&one, AUTH).await["status"], "failed");

    let id = bench.sms("+628123450001", "ref-s").await.1["id"].as_str().unwrap().to_owned();
    bench.advance(600).await;
    assert_eq!(bench.receiver.take().len(), 1);
    let list = bench.get(&format!("/ycloud/v2/sms?filter.id={id}"), AUTH).await;
    assert_eq!((&list["items"][0]["status"], &list["items"][0]["externalId"]), (&json!("delivered"), &json!("ref-s")));
}

fn right() -> Right {
    Right {
        account: "ycloud-wa",
        path: "/ycloud/v2/whatsapp/messages/sendDirectly",
        header: ("X-API-Key", |_| KEY.to_owned()),
        body: json!({"from": SENDER, "to": "+628123450001", "type": "template",
            "template": right_template(json!("0"), true), "externalId": "ref-y"}),
        at: "/template",
        error: |answer| match &answer["error"]["whatsappApiError"]["code"] {
            Value::Null => text_of(&answer["error"]["code"]),
            upstream => text_of(upstream),
        },
        words: |wrong| match wrong {
            Count => (400, "132000"),
            Missing | Absent => (400, "PARAM_MISSING"),
            Unknown | Invalid => (400, "PARAM_INVALID"),
            TooLong => (400, "PARAM_INVALID_LENGTH"),
            Spaces => (400, "132018"),
            Disagree => (400, "PARAM_NOT_MATCH"),
            NoTemplate => (403, "WHATSAPP_TEMPLATE_UNAVAILABLE"),
        },
    }
}

#[tokio::test]
async fn a_template_is_refused_in_every_other_shape() {
    assert_eq!(every_wrong_shape_is_refused(right(), of_template()).await, 47);
}
