use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::bench::*;
use crate::{Fate, GivenFate};

const AT: &str = "/twilio/2010-04-01/Accounts/AC5100000000000000000000000000c0de/Messages";
const TO: &str = "+628123450001";
const CONTENT: &str = "HX5100000000000000000000000000c0de";

fn account(channel: Channel) -> (&'static str, &'static str) {
    match channel {
        Channel::Sms => (API_KEY_SID, API_KEY_SECRET),
        Channel::Whatsapp => (ACCOUNT_SID, AUTH_TOKEN),
    }
}

type Form = BTreeMap<&'static str, String>;

fn sms(url: &str) -> Form {
    [
        ("To", TO.to_owned()),
        ("From", SENDER.to_owned()),
        ("Body", "493817 is your code.".to_owned()),
        ("ValidityPeriod", "300".to_owned()),
        ("StatusCallback", format!("{url}/own?attempt=a#rc=5&rp=all")),
    ]
    .into()
}

fn whatsapp(url: &str) -> Form {
    [
        ("To", format!("whatsapp:{TO}")),
        ("From", format!("whatsapp:{SENDER}")),
        ("ContentSid", CONTENT.to_owned()),
        ("ContentVariables", r#"{"1":"493817"}"#.to_owned()),
        ("StatusCallback", format!("{url}/own?attempt=a#rc=5&rp=all")),
    ]
    .into()
}

async fn send(bench: &Bench, channel: Channel, form: &Form) -> (u16, Value) {
    let (user, password) = account(channel);
    let body = reqwest::Url::parse_with_params("http://x/", form).unwrap().query().unwrap().to_owned();
    let request = bench.client.post(format!("{}{AT}.json", bench.sim.url())).basic_auth(user, Some(password));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

async fn ask(bench: &Bench, channel: Channel, sid: &str) -> (u16, Value) {
    let (user, password) = account(channel);
    let request = bench.client.get(format!("{}{AT}/{sid}.json", bench.sim.url())).basic_auth(user, Some(password));
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

fn fields(got: &Got) -> BTreeMap<String, String> {
    let form = String::from_utf8(got.body.clone()).unwrap();
    let url = reqwest::Url::parse(&format!("http://x/?{form}")).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

#[tokio::test]
async fn a_message_of_twilio_is_told_signed_where_it_said_to_and_can_be_asked_for() {
    let bench = Bench::manual();
    let (status, message) = send(&bench, Channel::Whatsapp, &whatsapp(&bench.receiver.url)).await;
    assert_eq!((status, &message["status"], &message["num_segments"]), (201, &json!("queued"), &json!("1")));
    let sid = message["sid"].as_str().unwrap();
    assert_eq!(ask(&bench, Channel::Whatsapp, sid).await.1["status"], "queued");
    bench.advance(600).await;
    let got = bench.receiver.take();
    let words: Vec<String> = got.iter().map(|one| fields(one)["MessageStatus"].clone()).collect();
    assert_eq!(words, ["sent", "delivered", "read"]);
    for one in &got {
        // The fragment is not sent, and not signed.
        assert_eq!(one.path, "/own?attempt=a");
        let fields = fields(one);
        let params: Vec<(&str, String)> = fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let url = format!("{}{}", bench.receiver.url, one.path);
        assert_eq!(one.header("x-twilio-signature"), signature::of(AUTH_TOKEN, &url, &params));
        assert_eq!((fields["MessageSid"].as_str(), fields["To"].as_str()), (sid, "whatsapp:+628123450001"));
    }
    assert_eq!(ask(&bench, Channel::Whatsapp, sid).await.1["status"], "read");
}

#[tokio::test]
async fn a_failure_is_told_with_twilios_own_code() {
    let bench = Bench::manual();
    let both = GivenFate { whatsapp: Some(Fate::Failed), sms: Some(Fate::Failed) };
    bench.sim.set_fate(TO, both);
    for (channel, form, word, code) in [
        (Channel::Whatsapp, whatsapp(&bench.receiver.url), "failed", "63024"),
        (Channel::Sms, sms(&bench.receiver.url), "undelivered", "30003"),
    ] {
        let (_, message) = send(&bench, channel, &form).await;
        bench.advance(600).await;
        let fields = fields(&bench.receiver.take()[0]);
        assert_eq!((fields["MessageStatus"].as_str(), fields["ErrorCode"].as_str()), (word, code));
        let (_, told) = ask(&bench, channel, message["sid"].as_str().unwrap()).await;
        assert_eq!((&told["status"], &told["error_code"]), (&json!(word), &json!(code.parse::<u32>().unwrap())));
    }
}

#[tokio::test]
async fn what_twilio_would_refuse_is_refused_with_its_code() {
    let bench = Bench::manual();
    let service = "MG00000000000000000000000000000002";
    let changes: [(Channel, &'static str, Option<&str>, u32); 17] = [
        (Channel::Sms, "To", None, 21_604),
        (Channel::Sms, "To", Some("08123"), 21_211),
        (Channel::Sms, "From", None, 21_603),
        (Channel::Sms, "From", Some("+12025550100"), 21_606),
        (Channel::Sms, "MessagingServiceSid", Some(service), 20_001),
        (Channel::Sms, "Body", None, 21_602),
        (Channel::Sms, "ValidityPeriod", Some("0"), 20_001),
        (Channel::Sms, "ValidityPeriod", Some("36001"), 20_001),
        (Channel::Sms, "StatusCallback", Some("/own"), 21_609),
        (Channel::Sms, "ContentRetention", Some("forget"), 20_001),
        (Channel::Sms, "ContentSid", Some(CONTENT), 20_001),
        (Channel::Whatsapp, "From", Some(SENDER), 21_910),
        (Channel::Whatsapp, "From", Some("whatsapp:+12025550100"), 63_007),
        (Channel::Whatsapp, "ContentSid", None, 21_654),
        (Channel::Whatsapp, "ContentSid", Some("login_code"), 21_655),
        (Channel::Whatsapp, "ContentVariables", Some(r#"{"1":493817}"#), 21_656),
        (Channel::Whatsapp, "ContentVariables", Some(r#"{"1":"4938","2":"17"}"#), 21_656),
    ];
    for (channel, name, value, code) in changes {
        let url = &bench.receiver.url;
        let mut form = if channel == Channel::Sms { sms(url) } else { whatsapp(url) };
        form.remove(name);
        if let Some(value) = value {
            form.insert(name, value.to_owned());
        }
        let (status, body) = send(&bench, channel, &form).await;
        assert_eq!((status, &body["code"]), (400, &json!(code)), "{name} {value:?}");
    }
    let mut by_service = sms(&bench.receiver.url);
    by_service.remove("From");
    by_service.insert("MessagingServiceSid", service.to_owned());
    let (status, body) = send(&bench, Channel::Sms, &by_service).await;
    assert_eq!((status, &body["status"], &body["from"]), (201, &json!("accepted"), &Value::Null));
    // The other channel's account.
    let (status, body) = send(&bench, Channel::Whatsapp, &sms(&bench.receiver.url)).await;
    assert_eq!((status, &body["code"]), (401, &json!(20_003)));
    assert_eq!(ask(&bench, Channel::Sms, "SM00").await.0, 404);
}

#[tokio::test]
async fn a_content_template_is_refused_with_any_other_variables() {
    let bench = Bench::manual();
    let url = &bench.receiver.url;
    for variables in [
        "",
        "{}",
        "[]",
        "493817",
        r#"["493817"]"#,
        r#"{"1":""}"#,
        r#"{"1":null}"#,
        r#"{"1":["493817"]}"#,
        r#"{"2":"493817"}"#,
        r#"{"code":"493817"}"#,
        r#"{"1":"493817","2":"493817"}"#,
        r#"{"1":"4938174938174938"}"#,
        r#"{"1":"4938\n17"}"#,
        r#"{"1":"4938     17"}"#,
    ] {
        let mut form = whatsapp(url);
        form.insert("ContentVariables", variables.to_owned());
        let (status, body) = send(&bench, Channel::Whatsapp, &form).await;
        assert_eq!((status, &body["code"]), (400, &json!(21_656)), "{variables}");
    }
    let mut without = whatsapp(url);
    without.remove("ContentVariables");
    assert_eq!(send(&bench, Channel::Whatsapp, &without).await.1["code"], 21_656);
    for sid in ["ns:login_code", "HX51", "MG5100000000000000000000000000c0de", "HX5100000000000000000000000000c0dg"] {
        let mut form = whatsapp(url);
        form.insert("ContentSid", sid.to_owned());
        assert_eq!(send(&bench, Channel::Whatsapp, &form).await.1["code"], 21_655, "{sid}");
    }
    // Text beside a template.
    let mut form = whatsapp(url);
    form.insert("Body", "493817".to_owned());
    assert_eq!(send(&bench, Channel::Whatsapp, &form).await.0, 400);
    assert_eq!(send(&bench, Channel::Whatsapp, &whatsapp(url)).await.0, 201);
}
