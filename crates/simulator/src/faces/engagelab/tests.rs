use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use serde_json::{Value, json};

use super::*;
use crate::Count;
use crate::bench::*;
use crate::wire::shapes::Wrong::*;
use crate::wire::shapes::*;

const CODES: &str = "/engagelab/v1/codes";

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn body(to: &str) -> Value {
    json!({"to": to, "code": "493817", "template": {"id": "otp-default", "language": "en", "params": {"brand": "Example"}}})
}

fn bench() -> Bench {
    let bench = Bench::manual();
    for name in ["engagelab-wa", "engagelab-sms"] {
        bench.sim.set_callback(name, Some(&format!("{}/webhooks/{name}", bench.receiver.url))).unwrap();
    }
    bench
}

#[tokio::test]
async fn the_key_tells_the_channel_and_each_callback_has_a_nonce_of_its_own() {
    let bench = bench();
    for (key, channel, to) in [(WHATSAPP_KEY, "whatsapp", "+628123450001"), (SMS_KEY, "sms", "+628123450001")] {
        let (status, answer) = bench.post(CODES, ("Authorization", &basic(key)), &body(to)).await.unwrap();
        assert_eq!((status, &answer["send_channel"]), (200, &json!(channel)));
        assert_eq!(answer["message_id"].as_str().unwrap().len(), 19);
    }
    bench.advance(600).await;
    let got = bench.receiver.take();
    // Sent, delivered and read of the WhatsApp; delivered of the SMS.
    assert_eq!(got.len(), 4);
    let mut nonces = Vec::new();
    for one in &got {
        assert_eq!(one.header("authorization"), AUTHORIZATION);
        let parts: Vec<&str> = one.header("x-callback-id").split(';').collect();
        let part = |no: usize, name: &str| parts[no].strip_prefix(name).unwrap().to_owned();
        let (t, nonce) = (part(0, "timestamp=").parse().unwrap(), part(1, "nonce="));
        let expected = signature::of(CALLBACK_SECRET, t, &nonce, USERNAME);
        assert_eq!(one.header("x-callback-id"), expected);
        nonces.push(nonce);
        let body = one.json();
        assert_eq!((&body["total"], &body["rows"][0]["status"]["error_code"]), (&json!(1), &json!(0)));
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 4);
    let seen = bench.sim.phone("+628123450001");
    assert_eq!(seen.received, Count { whatsapp: 1, sms: 1 });
}

#[tokio::test]
async fn failures_have_their_codes_and_words() {
    let bench = bench();
    for (key, status, code) in [(WHATSAPP_KEY, "sent_failed", 5020), (SMS_KEY, "delivered_failed", 5012)] {
        bench.post(CODES, ("Authorization", &basic(key)), &body("+628123450005")).await.unwrap();
        bench.advance(600).await;
        let told = bench.receiver.take()[0].json()["rows"][0]["status"].clone();
        assert_eq!((&told["message_status"], &told["error_code"]), (&json!(status), &json!(code)));
    }
    let (status, answer) =
        bench.post(CODES, ("Authorization", &basic(WHATSAPP_KEY)), &body("+628123450010")).await.unwrap();
    assert_eq!((status, answer.get("code")), (429, None));
    let (status, answer) =
        bench.post(CODES, ("Authorization", &basic(WHATSAPP_KEY)), &body("+628123450008")).await.unwrap();
    assert_eq!((status, &answer["code"]), (500, &json!(1000)));
}

#[tokio::test]
async fn wrong_shapes_are_refused_in_their_words() {
    let bench = bench();
    let wrong = |change: fn(&mut Value)| {
        let mut body = body("+628123457777");
        change(&mut body);
        body
    };
    for (body, code) in [
        (json!("no object"), 3002),
        (wrong(|body| body["to"] = json!("628123457777")), 5011),
        (wrong(|body| body["to"] = json!(["+628123457777"])), 5011),
        (wrong(|body| body["code"] = json!("493")), 3002),
        (wrong(|body| body["code"] = json!(493_817)), 3002),
        (wrong(|body| body["custom_args"] = json!({})), 3002),
        (wrong(|body| body["template"]["params"]["n"] = json!(1)), 3002),
        (wrong(|body| drop(body["template"].as_object_mut().unwrap().remove("id"))), 3002),
    ] {
        let (status, answer) = bench.post(CODES, ("Authorization", &basic(SMS_KEY)), &body).await.unwrap();
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{body}");
    }
    for credential in [basic("sim-engagelab-wa:wrong"), basic(""), "Bearer x".to_owned(), "Basic ?".to_owned()] {
        let shown = ("Authorization", credential.as_str());
        let (status, answer) = bench.post(CODES, shown, &body("+628123457777")).await.unwrap();
        assert_eq!((status, &answer["code"]), (401, &json!(2001)), "{credential}");
    }
}

fn right_plain() -> Right {
    let mut template = right_template(json!(0), false);
    template["language"] = json!("en_US");
    Right {
        account: "engagelab-wa-plain",
        path: "/engagelab-wa/v1/messages",
        header: ("Authorization", |_| basic(PLAIN_WHATSAPP_KEY)),
        body: json!({"from": SENDER, "to": ["+628123450001"], "body": {"type": "template", "template": template}}),
        at: "/body/template",
        error: |answer| text_of(&answer["code"]),
        words: |wrong| if wrong == NoTemplate { (400, "4001") } else { (400, "3002") },
    }
}

fn right_otp() -> Right {
    Right {
        account: "engagelab-wa",
        path: "/engagelab/v1/codes",
        header: ("Authorization", |_| basic(WHATSAPP_KEY)),
        body: json!({"to": "+628123450001", "code": "493817",
            "template": {"id": "login_code", "language": "en_US", "params": {"brand": "Example"}}}),
        at: "",
        error: |answer| text_of(&answer["code"]),
        words: |wrong| if wrong == NoTemplate { (400, "4001") } else { (400, "3002") },
    }
}

fn changes_of_otp() -> Vec<(Change, Wrong)> {
    let set = |at, value, wrong| ((at, Some(value)), wrong);
    let drop = |at, wrong| ((at, None), wrong);
    vec![
        drop("/code", Missing),
        set("/code", json!("123"), Invalid),
        set("/code", json!("12345678901"), Invalid),
        set("/code", json!("49 3817"), Invalid),
        set("/code", json!(493817), Invalid),
        drop("/template", Missing),
        drop("/template/id", Missing),
        set("/template/id", json!("another"), NoTemplate),
        set("/template/language", json!("pt_BR"), NoTemplate),
        set("/template/params", json!(["Example"]), Invalid),
        set("/template/params/brand", json!(7), Invalid),
        set("/template/components", json!([]), Unknown),
    ]
}

#[tokio::test]
async fn templates_are_refused_in_every_other_shape() {
    let changes = [of_components(), of_name("/name", "/language")].concat();
    assert_eq!(every_wrong_shape_is_refused(right_plain(), changes).await, 44);
    assert_eq!(every_wrong_shape_is_refused(right_otp(), changes_of_otp()).await, 12);
}
