use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use serde_json::{Value, json};

use super::*;
use crate::bench::*;
use crate::wire::shapes::Wrong::*;
use crate::wire::shapes::*;

const AUTH: (&str, &str) = ("Authorization", "App sim-infobip-key");
const WHATSAPP_PATH: &str = "/infobip/whatsapp/1/message/template";
const SMS_PATH: &str = "/infobip/sms/3/messages";

fn whatsapp_body(to: &str, id: &str) -> Value {
    json!({"messages": [{
        "from": "12025550199", "to": to, "messageId": id,
        "content": {
            "templateName": "login_code",
            "templateData": {"body": {"placeholders": ["493817"]}, "buttons": [{"type": "URL", "parameter": "493817"}]},
            "language": "en_US",
        },
    }]})
}

fn sms_body(to: &str, id: &str) -> Value {
    json!({"messages": [{
        "sender": "Example", "destinations": [{"to": to, "messageId": id}], "content": {"text": "493817 is your code."},
        "options": {"validityPeriod": {"amount": 300, "timeUnit": "SECONDS"}},
    }]})
}

#[tokio::test]
async fn it_reports_with_our_id_and_the_subscription_s_credentials() {
    let bench = Bench::manual();
    let (status, body) = bench.post(WHATSAPP_PATH, AUTH, &whatsapp_body("628123450001", "our-1")).await.unwrap();
    let message = &body["messages"][0];
    assert_eq!((status, &message["messageId"], &message["status"]["id"]), (200, &json!("our-1"), &json!(7)));
    bench.advance(600).await;
    let got = bench.receiver.take();
    let told: Vec<Value> = got.iter().map(|one| one.json()["results"][0].clone()).collect();
    let statuses: Vec<&Value> = told.iter().map(|one| &one["status"]["name"]).collect();
    assert_eq!(statuses, [&json!("PENDING_ENROUTE"), &json!("DELIVERED_TO_HANDSET"), &Value::Null]);
    assert!(told[2]["seenAt"].as_str().unwrap().ends_with("+0000"));
    let basic = format!("Basic {}", BASE64_STANDARD.encode(BASIC));
    for one in &got {
        assert_eq!((one.path.as_str(), one.header("authorization")), ("/webhooks/infobip-wa", basic.as_str()));
        assert_eq!(one.json()["results"][0]["messageId"], "our-1");
    }

    bench.post(WHATSAPP_PATH, AUTH, &whatsapp_body("628123450002", "our-2")).await.unwrap();
    bench.advance(600).await;
    let result = bench.receiver.take()[0].json()["results"][0].clone();
    assert_eq!((&result["status"]["groupId"], &result["error"]["id"]), (&json!(2), &json!(7002)));
}

#[tokio::test]
async fn it_reports_to_the_address_that_a_message_names_and_proves_nothing_there() {
    let bench = Bench::manual();
    let url = format!("{}/own?token=abc%2Fd", bench.receiver.url);
    let mut whatsapp = whatsapp_body("628123450012", "our-1");
    whatsapp["messages"][0]["notifyUrl"] = json!(url);
    let mut sms = sms_body("628123450012", "our-2");
    sms["messages"][0]["webhooks"] =
        json!({"delivery": {"url": url, "intermediateReport": true}, "contentType": "application/json"});
    assert_eq!(bench.post(WHATSAPP_PATH, AUTH, &whatsapp).await.unwrap().0, 200);
    assert_eq!(bench.post(SMS_PATH, AUTH, &sms).await.unwrap().0, 200);
    bench.advance(600).await;
    let got = bench.receiver.take();
    assert_eq!(got.len(), 2);
    for one in &got {
        assert_eq!((one.path.as_str(), one.header("authorization")), ("/own?token=abc%2Fd", ""));
    }
}

#[tokio::test]
async fn it_rejects_in_a_200_and_its_log_tells_what_is_known() {
    let bench = Bench::manual();
    let rejected = serde_json::from_value(json!({"whatsapp": "rejected", "sms": "rejected"})).unwrap();
    bench.sim.set_fate("+628123459999", rejected);
    for (path, body) in [(WHATSAPP_PATH, whatsapp_body("628123459999", "a")), (SMS_PATH, sms_body("628123459999", "b"))]
    {
        let (status, answer) = bench.post(path, AUTH, &body).await.unwrap();
        assert_eq!((status, &answer["messages"][0]["status"]["groupId"]), (200, &json!(5)), "{path}");
    }

    bench.post(SMS_PATH, AUTH, &sms_body("628123450005", "our/3")).await.unwrap();
    let log = async || bench.get("/infobip/sms/3/logs?messageId=our%2F3", AUTH).await["results"][0].clone();
    assert_eq!(log().await["status"]["groupId"], 1);
    bench.advance(600).await;
    let line = log().await;
    assert_eq!(
        (&line["messageId"], &line["status"]["groupId"], &line["error"]["id"]),
        (&json!("our/3"), &json!(2), &json!(27))
    );
    assert_eq!(bench.get("/infobip/sms/3/logs?messageId=a", AUTH).await, json!({"results": []}));
}

#[tokio::test]
async fn it_refuses_what_its_description_does_not_allow() {
    let bench = Bench::manual();
    let wrong = |path: &'static str, pointer: &str, value: Value| {
        let mut body =
            if path == SMS_PATH { sms_body("628123450001", "a") } else { whatsapp_body("628123450001", "a") };
        *body.pointer_mut(pointer).unwrap() = value;
        (path, body)
    };
    for (path, body) in [
        wrong(WHATSAPP_PATH, "/messages/0/to", json!("+628123450001")),
        wrong(WHATSAPP_PATH, "/messages/0/from", json!("12025550100")),
        wrong(WHATSAPP_PATH, "/messages/0/messageId", json!("x".repeat(201))),
        wrong(WHATSAPP_PATH, "/messages/0/content/templateData/body/placeholders", json!(["493817", "1"])),
        wrong(WHATSAPP_PATH, "/messages/0/content/templateData/buttons/0/parameter", json!("493818")),
        wrong(WHATSAPP_PATH, "/messages", json!([])),
        wrong(SMS_PATH, "/messages/0/sender", json!("")),
        wrong(SMS_PATH, "/messages/0/options/validityPeriod/amount", json!(0)),
        wrong(SMS_PATH, "/messages/0/options/validityPeriod/timeUnit", json!("DAYS")),
        wrong(SMS_PATH, "/messages/0/destinations/0", json!({"to": "628123450001", "notifyUrl": "x"})),
    ] {
        let (status, answer) = bench.post(path, AUTH, &body).await.unwrap();
        let word = answer.pointer("/requestError/serviceException/messageId").or(answer.get("errorCode")).cloned();
        let expected = if path == SMS_PATH { "E400" } else { "BAD_REQUEST" };
        assert_eq!((status, word), (400, Some(json!(expected))), "{body}");
    }
    let bearer = ("Authorization", "Bearer sim-infobip-key");
    assert_eq!(bench.post(SMS_PATH, bearer, &sms_body("628123450001", "a")).await.unwrap().0, 401);
    assert_eq!(bench.sim.refusals().len(), 11);
}

fn right() -> Right {
    Right {
        account: "infobip-wa",
        path: "/infobip/whatsapp/1/message/template",
        header: ("Authorization", |_| format!("App {KEY}")),
        body: json!({"messages": [{"from": "12025550199", "to": "628123450001", "messageId": "ref-i", "content": {
            "templateName": "login_code", "language": "en_US", "templateData": {
                "body": {"placeholders": ["493817"]},
                "buttons": [{"type": "URL", "parameter": "493817"}]}}}]}),
        at: "/messages/0/content",
        error: |answer| text_of(&answer["requestError"]["serviceException"]["messageId"]),
        words: |_| (400, "BAD_REQUEST"),
    }
}

fn changes_of_content() -> Vec<(Change, Wrong)> {
    let set = |at, value, wrong| ((at, Some(value)), wrong);
    let drop = |at, wrong| ((at, None), wrong);
    vec![
        drop("/templateData", Absent),
        drop("/templateData/body", Missing),
        drop("/templateData/buttons", Missing),
        set("/templateData/body/placeholders", json!([]), Count),
        set("/templateData/body/placeholders", json!(["493817", "5"]), Count),
        set("/templateData/body/placeholders", json!([493817]), Invalid),
        set("/templateData/body/placeholders", json!(["493818"]), Disagree),
        set("/templateData/buttons", json!([]), Count),
        set("/templateData/buttons/0/type", json!("QUICK_REPLY"), Invalid),
        set("/templateData/buttons/0/type", json!("COPY_CODE"), Invalid),
        set("/templateData/buttons/0/type", json!("url"), Invalid),
        drop("/templateData/buttons/0/type", Missing),
        drop("/templateData/buttons/0/parameter", Missing),
        set("/templateData/buttons/0/parameter", json!("4938\n17"), Disagree),
        set("/templateData/buttons/0/index", json!(0), Unknown),
        set("/templateData/buttons/0/parameter", json!("4938174938174938"), TooLong),
        set("/templateNamespace", json!("ns"), Unknown),
        set("/language", json!({"code": "en_US"}), Invalid),
    ]
}

#[tokio::test]
async fn a_template_is_refused_in_every_other_shape() {
    let changes = [changes_of_content(), of_name("/templateName", "/language")].concat();
    assert_eq!(every_wrong_shape_is_refused(right(), changes).await, 26);
}
