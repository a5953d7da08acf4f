use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use serde_json::{Value, json};

use super::*;
use crate::bench::*;

const MESSAGES: &str = "/http/v3/messages";
const AUTH: (&str, &str) = ("X-Api-Key", KEY);

fn body(msisdn: &str) -> Value {
    json!({"recipient": {"msisdn": msisdn}, "template": {"name": "login_code", "lang": "en_US", "vars": ["493817"]},
        "ref": "ref-1", "ttl": 300})
}

async fn send_sms(bench: &Bench, form: &str) -> (u16, Value) {
    let login = STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1));
    let request = bench.client.post(format!("{}/http/send", bench.sim.url()));
    let request = request.header("Authorization", format!("Basic {login}"));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form.to_owned());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn json_goes_in_and_signed_lists_come_out() {
    let bench = Bench::manual();
    bench.sim.set_callback("http-wa", Some(&format!("{}/webhooks/http-wa", bench.receiver.url))).unwrap();
    let (status, answer) = bench.post(MESSAGES, AUTH, &body("628123450001")).await.unwrap();
    assert_eq!((status, &answer["status"]), (202, &json!("queued")));
    let id = answer["message"]["id"].as_str().unwrap();
    let one = format!("{MESSAGES}/{id}");
    assert_eq!(bench.get(&one, AUTH).await["message"]["state"], "QUEUED");
    bench.advance(600).await;
    let got = bench.receiver.take();
    let states: Vec<_> = got.iter().map(|one| one.json()["events"][0]["state"].clone()).collect();
    assert_eq!(states, ["SENT", "DELIVERED", "SEEN"]);
    for one in &got {
        assert_eq!(one.header("x-agg-signature"), signature::of(SECRET, &one.body));
        let event = &one.json()["events"][0];
        assert_eq!((&event["id"], &event["ref"]), (&json!(id), &json!("ref-1")));
    }
    assert_eq!(bench.get(&one, AUTH).await["message"]["state"], "SEEN");
}

#[tokio::test]
async fn forms_go_in_and_forms_come_out_where_the_sms_said_to() {
    let bench = Bench::manual();
    let url = format!("{}/own?token=abc", bench.receiver.url).replace(':', "%3A").replace('?', "%3F");
    let form = format!("to=628123450001&text=493817%20is%20yours%20%26%20nobody%27s&dlr_url={url}");
    let (status, answer) = send_sms(&bench, &form).await;
    assert_eq!((status, &answer["result"]), (200, &json!("E00")));
    let id = answer["msgid"].as_u64().unwrap();
    bench.advance(600).await;
    let got = bench.receiver.take();
    assert_eq!((got.len(), got[0].path.as_str()), (1, "/own?token=abc"));
    assert_eq!(got[0].header("content-type"), "application/x-www-form-urlencoded");
    let told = String::from_utf8(got[0].body.clone()).unwrap();
    assert!(told.starts_with(&format!("msgid={id}&stat=DELIVRD&err=000&time=")), "{told}");
    let seen = bench.sim.messages(Some("+628123450001"), 1);
    assert_eq!(seen[0].text.as_deref(), Some("493817 is yours & nobody's"));
}

#[tokio::test]
async fn wrong_shapes_are_refused_with_their_codes() {
    let bench = Bench::manual();
    let wrong = |change: fn(&mut Value)| {
        let mut body = body("628123457777");
        change(&mut body);
        body
    };
    for (body, code) in [
        (wrong(|body| body["recipient"]["msisdn"] = json!("+628123457777")), "E20"),
        (wrong(|body| body["ttl"] = json!("300")), "E41"),
        (wrong(|body| body["template"]["vars"] = json!(["1", "2"])), "E41"),
        (wrong(|body| body["extra"] = json!(1)), "E41"),
        (wrong(|body| drop(body.as_object_mut().unwrap().remove("ref"))), "E41"),
    ] {
        let (status, answer) = bench.post(MESSAGES, AUTH, &body).await.unwrap();
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{body}");
    }
    let (status, answer) = bench.post(MESSAGES, ("X-Api-Key", "wrong"), &body("628123457777")).await.unwrap();
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("E10")));
    for (form, code) in [
        ("to=628123457777", "E41"),
        ("to=628123457777&text=", "E41"),
        ("to=628123457777&text=1&to=628123457778", "E20"),
        ("to=%2B628123457777&text=1", "E20"),
        ("to=628123457777&text=1&colour=x", "E41"),
        ("to=628123457777&text=1&from=", "E41"),
        ("to=628123457777&text=1&pe_id=&te_id=", "E41"),
        ("to=628123457777&text=1&dlr_url=here", "E41"),
    ] {
        let (status, answer) = send_sms(&bench, form).await;
        assert_eq!((status, &answer["result"]), (400, &json!(code)), "{form}");
    }
    bench.sim.set_fate("+628123457777", serde_json::from_value(json!({"sms": "rejected"})).unwrap());
    let (status, answer) = send_sms(&bench, "to=628123457777&text=493817").await;
    assert_eq!((status, &answer["result"]), (200, &json!("E21")), "a refusal behind a 200");
}
