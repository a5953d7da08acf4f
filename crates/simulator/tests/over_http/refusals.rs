//! Requests that are turned away, in the words of several providers.

use otpost_simulator::{Mode, SENDER};
use serde_json::{Value, json};

use crate::bench::*;

const YCLOUD: (&str, &str) = ("X-API-Key", "sim-ycloud-key");
const CLIQTEL: (&str, &str) = ("Authorization", "Bearer 17|sim-cliqtel-key");

fn ycloud_body(to: &str, reference: &str) -> Value {
    json!({"from": SENDER, "to": to, "type": "template", "template": template("493817", json!(0)),
        "externalId": reference})
}

#[tokio::test]
async fn wrong_credentials_and_shapes_are_refused_in_each_providers_words() {
    let bench = Bench::manual();
    let to = "+628123457777";
    let wrong = |change: fn(&mut Value)| {
        let mut body = whatsapp_body(to, "493817", "a");
        change(&mut body);
        body
    };
    for (body, status, code) in [
        (wrong(|body| body["messaging_product"] = json!("sms")), 400, 131_009),
        (wrong(|body| body["extra"] = json!(1)), 400, 100),
        (wrong(|body| drop(body.as_object_mut().unwrap().remove("to"))), 400, 131_008),
        (wrong(|body| body["to"] = json!("+62 812")), 400, 131_009),
        (wrong(|body| drop(body["template"]["components"].as_array_mut().unwrap().pop())), 400, 131_008),
        (wrong(|body| body["template"]["components"][0]["parameters"] = json!([])), 400, 132_000),
        (wrong(|body| body["template"]["components"][1]["parameters"][0]["text"] = json!("1")), 400, 132_018),
        (wrong(|body| body["template"] = template("1234567890123456", json!("0"))), 400, 132_005),
        (json!("no object"), 400, 131_009),
    ] {
        let (got, answer) = bench.post(WHATSAPP_PATH, WHATSAPP, &body).await.unwrap();
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(code)), "{body}");
    }
    let good = whatsapp_body(to, "493817", "a");
    let (status, answer) = bench.post(WHATSAPP_PATH, ("Authorization", "Bearer wrong"), &good).await.unwrap();
    assert_eq!((status, &answer["error"]["code"], answer["error"].get("error_data")), (401, &json!(190), None));
    let (status, answer) = bench.post("/meta/v25.0/1/messages", WHATSAPP, &good).await.unwrap();
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(100)));

    let mut second_button = ycloud_body(to, "a");
    second_button["template"] = template("493817", json!("1"));
    let mut both = json!({"to": to, "body": "493817", "from": SENDER, "from_number_id": 42});
    for (path, header, body, status, code) in [
        ("/ycloud/v2/whatsapp/messages", YCLOUD, &second_button, 400, json!("PARAM_INVALID")),
        ("/ycloud/v2/sms", YCLOUD, &json!({"to": to}), 400, json!("PARAM_MISSING")),
        ("/ycloud/v2/sms", ("X-API-Key", "wrong"), &json!({}), 401, json!("UNAUTHORIZED")),
    ] {
        let (got, answer) = bench.post(path, header, body).await.unwrap();
        assert_eq!((got, &answer["error"]["code"]), (status, &code), "{path}");
    }
    for (header, status, word) in [(CLIQTEL, 422, "validation_failed"), (YCLOUD, 401, "unauthenticated")] {
        let (got, answer) = bench.post("/cliqtel/api/v1/sms/messages", header, &both).await.unwrap();
        assert_eq!((got, &answer["error"]), (status, &json!(word)));
    }
    both.as_object_mut().unwrap().remove("from");
    assert_eq!(bench.post("/cliqtel/api/v1/sms/messages", CLIQTEL, &both).await.unwrap().0, 201);
    let stats = bench.sim.stats();
    assert_eq!((stats.unauthorized, stats.malformed, stats.accepted.sms), (3, 13, 1));
    assert_eq!(bench.sim.refusals().len(), 16);
}

#[tokio::test]
async fn rate_limits_are_said_in_each_providers_words() {
    let bench = Bench::manual();
    let (status, body) = bench.whatsapp("+628123450010", "a").await.unwrap();
    assert_eq!((status, &body["error"]["code"]), (400, &json!(130_429)));
    let request = bench.client.post(format!("{}/ycloud/v2/whatsapp/messages/sendDirectly", bench.sim.url()));
    let request = request.header("Content-Type", "application/json");
    let request = request.header(YCLOUD.0, YCLOUD.1).body(ycloud_body("+628123450010", "a").to_string());
    let response = request.send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "30"));
    assert_eq!(bench.sim.stats().rate_limited, 2);
}

#[tokio::test]
async fn an_account_that_refuses_sends_nothing_and_answers_nothing() {
    let bench = Bench::manual();
    bench.sim.set_mode("meta-main", Mode::Refuse).unwrap();
    let error = bench.whatsapp("+628123450001", "a").await.unwrap_err();
    assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
    bench.sim.set_mode("meta-main", Mode::Up).unwrap();
    assert_eq!(bench.whatsapp("+628123450001", "b").await.unwrap().0, 200);
    bench.advance(600).await;
    assert_eq!(bench.sim.phone("+628123450001").received.whatsapp, 1);
    assert!(bench.sim.set_mode("nobody", Mode::Up).is_err());
}
