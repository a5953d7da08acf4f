//! The faces `twilio-whatsapp` and `twilio-sms`.

use std::collections::BTreeMap;

use super::*;

const AT: &str = "/twilio/2010-04-01/Accounts/AC5100000000000000000000000000c0de/Messages";
const TO: &str = "+628123450001";
const CONTENT: &str = "HX5100000000000000000000000000c0de";

fn account(face: Face) -> (&'static str, &'static str) {
    match face {
        Face::TwilioSms => (TWILIO_API_KEY_SID, TWILIO_API_KEY_SECRET),
        _ => (TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN),
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

async fn send(bench: &Bench, face: Face, form: &Form) -> (u16, Value) {
    let (user, password) = account(face);
    let body = reqwest::Url::parse_with_params("http://x/", form).unwrap().query().unwrap().to_owned();
    let request = bench.client.post(format!("{}{AT}.json", bench.sim.url())).basic_auth(user, Some(password));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

async fn ask(bench: &Bench, face: Face, sid: &str) -> (u16, Value) {
    let (user, password) = account(face);
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
    let (status, message) = send(&bench, Face::TwilioWhatsapp, &whatsapp(&bench.receiver.url)).await;
    assert_eq!((status, &message["status"], &message["num_segments"]), (201, &json!("queued"), &json!("1")));
    let sid = message["sid"].as_str().unwrap();
    assert_eq!(ask(&bench, Face::TwilioWhatsapp, sid).await.1["status"], "queued");
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
        assert_eq!(one.header("x-twilio-signature"), sign::twilio(TWILIO_AUTH_TOKEN, &url, &params));
        assert_eq!((fields["MessageSid"].as_str(), fields["To"].as_str()), (sid, "whatsapp:+628123450001"));
    }
    assert_eq!(ask(&bench, Face::TwilioWhatsapp, sid).await.1["status"], "read");
}

#[tokio::test]
async fn a_failure_is_told_with_twilios_own_code() {
    let bench = Bench::manual();
    let both = GivenFate { whatsapp: Some(Fate::Failed), sms: Some(Fate::Failed) };
    bench.sim.set_fate(TO, both);
    for (face, form, word, code) in [
        (Face::TwilioWhatsapp, whatsapp(&bench.receiver.url), "failed", "63024"),
        (Face::TwilioSms, sms(&bench.receiver.url), "undelivered", "30003"),
    ] {
        let (_, message) = send(&bench, face, &form).await;
        bench.advance(600).await;
        let fields = fields(&bench.receiver.take()[0]);
        assert_eq!((fields["MessageStatus"].as_str(), fields["ErrorCode"].as_str()), (word, code));
        let (_, told) = ask(&bench, face, message["sid"].as_str().unwrap()).await;
        assert_eq!((&told["status"], &told["error_code"]), (&json!(word), &json!(code.parse::<u32>().unwrap())));
    }
}

#[tokio::test]
async fn what_twilio_would_refuse_is_refused_with_its_code() {
    let bench = Bench::manual();
    let service = "MG00000000000000000000000000000002";
    let changes: [(Face, &'static str, Option<&str>, u32); 17] = [
        (Face::TwilioSms, "To", None, 21_604),
        (Face::TwilioSms, "To", Some("08123"), 21_211),
        (Face::TwilioSms, "From", None, 21_603),
        (Face::TwilioSms, "From", Some("+12025550100"), 21_606),
        (Face::TwilioSms, "MessagingServiceSid", Some(service), 20_001),
        (Face::TwilioSms, "Body", None, 21_602),
        (Face::TwilioSms, "ValidityPeriod", Some("0"), 20_001),
        (Face::TwilioSms, "ValidityPeriod", Some("36001"), 20_001),
        (Face::TwilioSms, "StatusCallback", Some("/own"), 21_609),
        (Face::TwilioSms, "ContentRetention", Some("forget"), 20_001),
        (Face::TwilioSms, "ContentSid", Some(CONTENT), 20_001),
        (Face::TwilioWhatsapp, "From", Some(SENDER), 21_910),
        (Face::TwilioWhatsapp, "From", Some("whatsapp:+12025550100"), 63_007),
        (Face::TwilioWhatsapp, "ContentSid", None, 21_654),
        (Face::TwilioWhatsapp, "ContentSid", Some("login_code"), 21_655),
        (Face::TwilioWhatsapp, "ContentVariables", Some(r#"{"1":493817}"#), 21_656),
        (Face::TwilioWhatsapp, "ContentVariables", Some(r#"{"1":"4938","2":"17"}"#), 21_656),
    ];
    for (face, name, value, code) in changes {
        let url = &bench.receiver.url;
        let mut form = if face == Face::TwilioSms { sms(url) } else { whatsapp(url) };
        form.remove(name);
        if let Some(value) = value {
            form.insert(name, value.to_owned());
        }
        let (status, body) = send(&bench, face, &form).await;
        assert_eq!((status, &body["code"]), (400, &json!(code)), "{name} {value:?}");
    }
    let mut by_service = sms(&bench.receiver.url);
    by_service.remove("From");
    by_service.insert("MessagingServiceSid", service.to_owned());
    let (status, body) = send(&bench, Face::TwilioSms, &by_service).await;
    assert_eq!((status, &body["status"], &body["from"]), (201, &json!("accepted"), &Value::Null));
    // The other channel's account.
    let (status, body) = send(&bench, Face::TwilioWhatsapp, &sms(&bench.receiver.url)).await;
    assert_eq!((status, &body["code"]), (401, &json!(20_003)));
    assert_eq!(ask(&bench, Face::TwilioSms, "SM00").await.0, 404);
}
