//! The simulator over HTTP: sends go in, callbacks come out.

mod infobip;
mod sleekflow;
mod twilio;
mod vonage;
mod engagelab;
mod http;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::{Bytes, Data, to};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};
use std::sync::Mutex;

use super::world::lock;
use super::*;

/// What came to our side's address.
#[derive(Clone)]
struct Got {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A receiver of callbacks that answers what it is told to.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
    status: Arc<AtomicU16>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (got, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(200)));
        let shared = Data::new((Arc::clone(&got), Arc::clone(&status)));
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(shared.clone()).default_service(to(receive));
                HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run().await
            })
        });
        Self { url, got, status }
    }

    fn take(&self) -> Vec<Got> {
        std::mem::take(&mut lock(&self.got))
    }
}

type Shared = Data<(Arc<Mutex<Vec<Got>>>, Arc<AtomicU16>)>;

async fn receive(shared: Shared, request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers = request.headers().iter();
    let headers = headers.map(|(key, value)| (key.to_string(), value.to_str().unwrap().to_owned())).collect();
    lock(&shared.0).push(Got { path: request.uri().to_string(), headers, body: body.to_vec() });
    HttpResponse::build(actix_web::http::StatusCode::from_u16(shared.1.load(Ordering::SeqCst)).unwrap()).finish()
}

struct Bench {
    sim: Simulator,
    receiver: Receiver,
    client: reqwest::Client,
}

impl Bench {
    fn start(config: SimConfig) -> Self {
        let receiver = Receiver::start();
        let sim = Simulator::start(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        for name in ["meta-main", "ycloud-wa", "ycloud-sms", "cliqtel-wa", "infobip-wa", "infobip-sms"] {
            sim.set_callback(name, Some(&format!("{}/webhooks/{name}", receiver.url))).unwrap();
        }
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap();
        Self { sim, receiver, client }
    }

    fn manual() -> Self {
        Self::start(SimConfig::manual(1))
    }

    async fn post(&self, path: &str, header: (&str, &str), body: &Value) -> Result<(u16, Value), reqwest::Error> {
        let request = self.client.post(format!("{}{path}", self.sim.url())).header(header.0, header.1);
        let request = request.header("Content-Type", "application/json");
        let response = request.body(body.to_string()).send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null)))
    }

    async fn get(&self, path: &str, header: (&str, &str)) -> Value {
        let request = self.client.get(format!("{}{path}", self.sim.url())).header(header.0, header.1);
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }

    async fn put(&self, path: &str, body: Value) -> u16 {
        let request = self.client.put(format!("{}{path}", self.sim.url())).body(body.to_string());
        request.send().await.unwrap().status().as_u16()
    }

    async fn meta(&self, to: &str, reference: &str) -> Result<(u16, Value), reqwest::Error> {
        self.post(META_PATH, META, &meta_body(to, "493817", reference)).await
    }

    async fn ycloud_sms(&self, to: &str, reference: &str) -> (u16, Value) {
        self.post("/ycloud/v2/sms", YCLOUD, &ycloud_sms_body(to, reference)).await.unwrap()
    }

    async fn advance(&self, seconds: u64) -> Advanced {
        self.sim.advance(Duration::from_secs(seconds)).await.unwrap()
    }
}

const META_PATH: &str = "/meta/v25.0/200300400500600/messages";
const META: (&str, &str) = ("Authorization", "Bearer sim-meta-token");
const YCLOUD: (&str, &str) = ("X-API-Key", YCLOUD_KEY);
const CLIQTEL: (&str, &str) = ("Authorization", "Bearer 17|sim-cliqtel-key");

fn template(code: &str, index: Value) -> Value {
    json!({"name": "login_code", "language": {"code": "en_US"}, "components": [
        {"type": "body", "parameters": [{"type": "text", "text": code}]},
        {"type": "button", "sub_type": "url", "index": index, "parameters": [{"type": "text", "text": code}]},
    ]})
}

fn meta_body(to: &str, code: &str, reference: &str) -> Value {
    json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "template",
        "template": template(code, json!("0")), "biz_opaque_callback_data": reference})
}

fn ycloud_body(to: &str, reference: &str) -> Value {
    json!({"from": SENDER, "to": to, "type": "template", "template": template("493817", json!(0)),
        "externalId": reference})
}

fn ycloud_sms_body(to: &str, reference: &str) -> Value {
    json!({"to": to, "text": "493817 is your Example code.", "externalId": reference})
}

fn meta_statuses(got: &[Got]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for one in got.iter().filter(|one| one.path == "/webhooks/meta-main") {
        for change in one.json()["entry"][0]["changes"].as_array().unwrap() {
            for status in change["value"]["statuses"].as_array().unwrap() {
                let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
                all.push((text("biz_opaque_callback_data"), text("status")));
            }
        }
    }
    all
}

fn words(got: &[Got]) -> Vec<String> {
    meta_statuses(got).into_iter().map(|(_, word)| word).collect()
}

#[tokio::test]
async fn a_whatsapp_goes_in_and_signed_escaped_callbacks_come_out() {
    let bench = Bench::manual();
    let (status, body) = bench.meta("+628123450001", "ref-1").await.unwrap();
    let id = body["messages"][0]["id"].as_str().unwrap().to_owned();
    assert!(status == 200 && id.starts_with("wamid.") && body["contacts"][0]["wa_id"] == "628123450001");
    assert!(bench.receiver.take().is_empty() && bench.sim.pending() == 3);

    let advanced = bench.advance(600).await;
    assert_eq!(advanced, Advanced { handset: 1, posted: 3, ok: 3 });
    let got = bench.receiver.take();
    assert_eq!(words(&got), ["sent", "delivered", "read"]);
    for one in &got {
        assert_eq!(one.header("x-hub-signature-256"), sign::meta(META_APP_SECRET, &one.body));
        assert!(one.body.is_ascii() && String::from_utf8_lossy(&one.body).contains("\\u6d4b"));
        let value = &one.json()["entry"][0]["changes"][0]["value"];
        assert_eq!(value["statuses"][0]["id"], id.as_str());
        assert_eq!(value["contacts"][0]["profile"]["name"], "Zoë 测试 😀");
    }
    let seen = bench.sim.messages(Some("+628123450001"), 10);
    assert_eq!((seen.len(), seen[0].code.as_deref(), seen[0].callbacks.len()), (1, Some("493817"), 3));
    assert_eq!(bench.sim.phone("+628123450001").received, Count { whatsapp: 1, sms: 0 });
    bench.sim.stop().await;
}

#[tokio::test]
async fn every_fate_of_whatsapp_is_followed_by_a_delivered_sms() {
    let bench = Bench::manual();
    for (digits, told, on_whatsapp) in [
        ("0001", vec!["sent", "delivered", "read"], 1),
        ("0002", vec!["failed"], 0),
        ("0005", vec!["failed"], 0),
        ("0011", vec!["failed", "delivered"], 1),
        ("0012", vec!["delivered"], 1),
    ] {
        let to = format!("+62812345{digits}");
        assert_eq!(bench.meta(&to, digits).await.unwrap().0, 200);
        bench.advance(600).await;
        let got = bench.receiver.take();
        assert_eq!(words(&got), told, "{digits}");
        if digits == "0002" {
            let value = &got[0].json()["entry"][0]["changes"][0]["value"];
            assert_eq!(value["statuses"][0]["errors"][0]["code"], 131_026);
            assert_eq!(value.get("contacts"), None);
        }
        assert_eq!(bench.ycloud_sms(&to, digits).await.0, 200);
        bench.advance(600).await;
        let got = bench.receiver.take();
        let word = if digits == "0005" { "undelivered" } else { "delivered" };
        assert_eq!((got.len(), &got[0].json()["sms"]["status"]), (1, &json!(word)), "{digits}");
        let sms = u64::from(digits != "0005");
        assert_eq!(bench.sim.phone(&to).received, Count { whatsapp: on_whatsapp, sms }, "{digits}");
    }
}

#[tokio::test]
async fn silent_stays_silent_and_the_handset_gets_nothing() {
    let bench = Bench::manual();
    bench.meta("+628123450003", "a").await.unwrap();
    bench.advance(86_400).await;
    assert!(words(&bench.receiver.take()).iter().all(|word| word == "sent"));
    assert_eq!(bench.sim.phone("+628123450003").received, Count::default());
}

#[tokio::test]
async fn late_comes_seconds_after_the_sms_however_long_that_takes() {
    let bench = Bench::manual();
    bench.meta("+628123450004", "wa").await.unwrap();
    bench.advance(3_600).await;
    assert_eq!(words(&bench.receiver.take()), ["sent"]);
    bench.ycloud_sms("+628123450004", "sms").await;
    bench.advance(2).await;
    assert!(words(&bench.receiver.take()).is_empty());
    bench.advance(60).await;
    assert_eq!(words(&bench.receiver.take()), ["delivered"]);
    assert_eq!(bench.sim.phone("+628123450004").received, Count { whatsapp: 1, sms: 1 });

    // An SMS-first route: the WhatsApp is late as well.
    bench.ycloud_sms("+628123460004", "sms").await;
    bench.meta("+628123460004", "wa").await.unwrap();
    bench.advance(60).await;
    assert_eq!(bench.sim.phone("+628123460004").received, Count { whatsapp: 1, sms: 1 });
}

#[tokio::test]
async fn shuffled_receipts_come_at_least_twice_and_one_message_arrives() {
    let bench = Bench::manual();
    bench.meta("+628123450006", "a").await.unwrap();
    bench.advance(600).await;
    let words = words(&bench.receiver.take());
    for word in ["sent", "delivered", "read"] {
        assert!(words.iter().filter(|one| *one == word).count() >= 2, "{words:?}");
    }
    assert_eq!(bench.sim.phone("+628123450006").received.whatsapp, 1);
}

#[tokio::test]
async fn callbacks_can_come_before_the_answer() {
    let bench = Bench::manual();
    bench.meta("+628123450007", "early").await.unwrap();
    assert_eq!(words(&bench.receiver.take()), ["sent", "delivered"]);
}

#[tokio::test]
async fn two_answers_500_for_a_reference_and_then_it_is_taken() {
    let bench = Bench::manual();
    for reference in ["first", "second"] {
        for status in [500, 500, 200] {
            let (got, body) = bench.meta("+628123450008", reference).await.unwrap();
            assert_eq!(got, status);
            assert!(got == 200 || body["error"]["code"] == 131_000);
        }
    }
    bench.advance(600).await;
    assert_eq!(bench.sim.phone("+628123450008").received.whatsapp, 2);
}

#[tokio::test]
async fn a_hang_holds_the_connection_until_the_client_gives_up() {
    let bench = Bench::manual();
    let impatient = reqwest::Client::builder().timeout(Duration::from_millis(300)).no_proxy().build().unwrap();
    let request = impatient.post(format!("{}{META_PATH}", bench.sim.url())).header(META.0, META.1);
    let request = request.header("Content-Type", "application/json; charset=utf-8");
    let error = request.body(meta_body("+628123450009", "493817", "a").to_string()).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    bench.advance(600).await;
    let seen = bench.sim.messages(Some("+628123450009"), 10);
    assert_eq!((seen[0].outcome, seen[0].handset_at), (Outcome::Hung, None));
}

#[tokio::test]
async fn rate_limits_are_said_in_each_providers_words() {
    let bench = Bench::manual();
    let (status, body) = bench.meta("+628123450010", "a").await.unwrap();
    assert_eq!((status, &body["error"]["code"]), (400, &json!(130_429)));
    let request = bench.client.post(format!("{}/ycloud/v2/whatsapp/messages/sendDirectly", bench.sim.url()));
    let request = request.header("Content-Type", "application/json");
    let request = request.header(YCLOUD.0, YCLOUD.1).body(ycloud_body("+628123450010", "a").to_string());
    let response = request.send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "30"));
    assert_eq!(bench.sim.stats().rate_limited, 2);
}

#[tokio::test]
async fn a_broken_connection_brings_no_answer_and_perhaps_the_message() {
    let bench = Bench::manual();
    for (fate, received) in [(Fate::ResetBefore, 0), (Fate::ResetAfter, 1)] {
        bench.sim.set_fate("7777", GivenFate { whatsapp: Some(fate), sms: None });
        let error = bench.meta("+628123457777", "a").await.unwrap_err();
        assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
        bench.advance(600).await;
        assert_eq!(bench.sim.phone("+628123457777").received.whatsapp, received, "{fate:?}");
    }
}

#[tokio::test]
async fn an_account_that_refuses_sends_nothing_and_answers_nothing() {
    let bench = Bench::manual();
    bench.sim.set_mode("meta-main", Mode::Refuse).unwrap();
    let error = bench.meta("+628123450001", "a").await.unwrap_err();
    assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
    bench.sim.set_mode("meta-main", Mode::Up).unwrap();
    assert_eq!(bench.meta("+628123450001", "b").await.unwrap().0, 200);
    bench.advance(600).await;
    assert_eq!(bench.sim.phone("+628123450001").received.whatsapp, 1);
    assert!(bench.sim.set_mode("nobody", Mode::Up).is_err());
}

#[tokio::test]
async fn a_late_sms_is_late_as_an_sms() {
    let bench = Bench::manual();
    bench.sim.set_fate("7777", GivenFate { whatsapp: None, sms: Some(Fate::Late) });
    bench.ycloud_sms("+628123457777", "a").await;
    bench.advance(600).await;
    assert_eq!(bench.sim.phone("+628123457777").received, Count { whatsapp: 0, sms: 1 });
    assert_eq!(bench.receiver.take().len(), 1);
}

#[tokio::test]
async fn stopping_does_not_wait_for_receivers_that_hang() {
    let bench = Bench::start(SimConfig { laws: Laws::instant(), in_flight: 2, ..SimConfig::default() });
    // Accepts connections by its backlog only, and reads nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", deaf.local_addr().unwrap());
    bench.sim.set_callback("meta-main", Some(&url)).unwrap();
    for n in 0..20 {
        bench.meta(&format!("+62812345{n:02}77"), "a").await.unwrap();
    }
    assert!(!bench.sim.settle(Duration::from_millis(100)).await && bench.sim.pending() == 40);
    let began = Instant::now();
    bench.sim.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn it_starts_without_any_runtime() {
    let sim = Simulator::start(SimConfig::default(), "127.0.0.1:0".parse().unwrap()).unwrap();
    assert!(sim.url().starts_with("http://127.0.0.1:") && sim.addr().port() != 0);
}

#[tokio::test]
async fn wrong_credentials_and_shapes_are_refused_in_each_providers_words() {
    let bench = Bench::manual();
    let to = "+628123457777";
    let wrong = |change: fn(&mut Value)| {
        let mut body = meta_body(to, "493817", "a");
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
        let (got, answer) = bench.post(META_PATH, META, &body).await.unwrap();
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(code)), "{body}");
    }
    let good = meta_body(to, "493817", "a");
    let (status, answer) = bench.post(META_PATH, ("Authorization", "Bearer wrong"), &good).await.unwrap();
    assert_eq!((status, &answer["error"]["code"], answer["error"].get("error_data")), (401, &json!(190), None));
    let (status, answer) = bench.post("/meta/v25.0/1/messages", META, &good).await.unwrap();
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(100)));

    let mut text_index = ycloud_body(to, "a");
    text_index["template"] = template("493817", json!("0"));
    let mut both = json!({"to": to, "body": "493817", "from": SENDER, "from_number_id": 42});
    for (path, header, body, status, code) in [
        ("/ycloud/v2/whatsapp/messages", YCLOUD, &text_index, 400, json!("PARAM_INVALID")),
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
async fn ycloud_tells_one_event_per_post_and_can_be_asked() {
    let bench = Bench::manual();
    let path = "/ycloud/v2/whatsapp/messages/sendDirectly";
    let (status, body) = bench.post(path, YCLOUD, &ycloud_body("+628123450002", "ref-y")).await.unwrap();
    assert_eq!((status, &body["status"], &body["externalId"]), (200, &json!("accepted"), &json!("ref-y")));
    let one = format!("/ycloud/v2/whatsapp/messages/{}", body["id"].as_str().unwrap());
    assert_eq!(bench.get(&one, YCLOUD).await["status"], "accepted");
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
    assert_eq!(header, sign::ycloud(YCLOUD_WA_SECRET, t, &got[0].body));
    assert_eq!(bench.get(&one, YCLOUD).await["status"], "failed");

    let id = bench.ycloud_sms("+628123450001", "ref-s").await.1["id"].as_str().unwrap().to_owned();
    bench.advance(600).await;
    assert_eq!(bench.receiver.take().len(), 1);
    let list = bench.get(&format!("/ycloud/v2/sms?filter.id={id}"), YCLOUD).await;
    assert_eq!((&list["items"][0]["status"], &list["items"][0]["externalId"]), (&json!("delivered"), &json!("ref-s")));
}

#[tokio::test]
async fn cliqtel_tells_of_an_sms_where_that_sms_said_to() {
    let bench = Bench::manual();
    let url = format!("{}/own?token=abc%2Fd&x=1", bench.receiver.url);
    let sms =
        json!({"from": SENDER, "to": "+628123457777", "body": "493817 is your code.", "status_callback_url": url});
    let (status, body) = bench.post("/cliqtel/api/v1/sms/messages", CLIQTEL, &sms).await.unwrap();
    let id = body.pointer("/data/id").or(body.get("id")).unwrap().as_u64().unwrap();
    assert_eq!(status, 201);
    let whatsapp = json!({"account_id": 7, "to": "+628123450001", "type": "template",
        "template": template("493817", json!(0))});
    assert!(bench.post("/cliqtel/api/v1/whatsapp/messages", CLIQTEL, &whatsapp).await.unwrap().0 < 300);
    bench.advance(600).await;
    let got = bench.receiver.take();
    let own: Vec<&Got> = got.iter().filter(|one| one.path == "/own?token=abc%2Fd&x=1").collect();
    assert_eq!((own.len(), got.len()), (1, 4));
    let data = &own[0].json()["data"];
    assert_eq!((&data["id"], &data["status"], &data["channel"]), (&json!(id), &json!("delivered"), &json!("sms")));
    assert_eq!(own[0].header("x-cliqtel-signature"), sign::cliqtel(CLIQTEL_SECRET, &own[0].body));
    let one = bench.get(&format!("/cliqtel/api/v1/sms/messages/{id}"), CLIQTEL).await;
    assert_eq!(one["data"]["status"], "delivered");
}

#[tokio::test]
async fn what_is_not_answered_2xx_is_posted_again_and_given_up_at_last() {
    let retries = Retries { after_ms: vec![1_000, 2_000], timeout_ms: 2_000 };
    let bench = Bench::start(SimConfig { retries, ..SimConfig::manual(1) });
    bench.receiver.status.store(503, Ordering::SeqCst);
    bench.meta("+628123450012", "a").await.unwrap();
    bench.meta("+628123450002", "b").await.unwrap();
    bench.advance(600).await;
    let stats = bench.sim.stats().callbacks;
    assert_eq!((stats.posted, stats.retried, stats.given_up, stats.pending), (6, 4, 2, 0));

    bench.meta("+628123450012", "c").await.unwrap();
    bench.sim.set_mode("meta-main", Mode::Silence).unwrap();
    bench.advance(600).await;
    assert_eq!(bench.sim.stats().callbacks.silenced, 1);
    let tries: Vec<usize> = bench.sim.messages(Some("0002"), 1)[0].callbacks.iter().map(|one| one.try_no).collect();
    assert_eq!(tries, [1, 2, 3]);
}

#[tokio::test]
async fn statuses_travel_together_where_batches_are_on() {
    let batching = Batching { max: 4, window_ms: 500 };
    let config = SimConfig { batching, laws: Laws::instant(), ..SimConfig::manual(1) };
    let bench = Bench::start(config);
    for n in 0..5 {
        bench.meta(&format!("+62812345777{n}"), &n.to_string()).await.unwrap();
    }
    bench.advance(10).await;
    let got = bench.receiver.take();
    assert_eq!((got.len(), meta_statuses(&got).len()), (3, 10));
    assert!(got.iter().all(|one| one.header("x-hub-signature-256") == sign::meta(META_APP_SECRET, &one.body)));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run_in_any_order() {
    let mut runs = Vec::new();
    for (seed, backwards) in [(5, false), (5, true), (6, false)] {
        let start = SimTime::Manual { start_unix_ms: Some(1_789_034_400_000) };
        let mut laws = Laws::default();
        laws.whatsapp =
            ChannelLaws { failed: 0.3, silent: 0.1, doubled: 0.2, lost: 0.1, rate_limited: 0.1, ..laws.whatsapp };
        let bench = Bench::start(SimConfig { seed, time: start, laws, ..SimConfig::default() });
        let mut numbers: Vec<String> = (0..30).map(|n| format!("+6281234577{n:02}")).collect();
        if backwards {
            numbers.reverse();
        }
        for to in &numbers {
            bench.meta(to, to).await.unwrap();
            bench.meta(to, to).await.unwrap();
        }
        bench.advance(600).await;
        let mut run: Vec<(String, u32, Outcome, Option<String>, String)> = bench
            .sim
            .messages(None, 1_000)
            .into_iter()
            .map(|one| {
                let callbacks = format!("{:?} {:?} {:?}", one.truth, one.callbacks, one.handset_at);
                (one.to, one.nth, one.outcome, one.provider_id, callbacks)
            })
            .collect();
        run.sort_by_key(|one| (one.0.clone(), one.1));
        runs.push(run);
    }
    assert_eq!(runs[0].len(), 60);
    assert!(runs[0] == runs[1] && runs[0] != runs[2]);
}

#[tokio::test]
async fn everything_can_be_changed_and_read_over_http() {
    let bench = Bench::manual();
    let none = ("X-Nothing", "");
    assert_eq!(bench.put("/sim/accounts/meta-main", json!({"mode": "outage"})).await, 200);
    assert_eq!(bench.meta("+628123457777", "a").await.unwrap().0, 503);
    assert_eq!(bench.put("/sim/accounts/meta-main", json!({"mode": {"slow": 2.0}, "callback_url": null})).await, 200);
    assert_eq!(bench.put("/sim/accounts/nobody", json!({})).await, 404);
    assert_eq!(bench.put("/sim/accounts/meta-main", json!({"url": "x"})).await, 400);
    assert_eq!(bench.put("/sim/fates/7777", json!({"whatsapp": "delivered", "sms": "failed"})).await, 204);
    assert_eq!(bench.put("/sim/fates/7777", json!({"whatsapp": "lucky"})).await, 400);
    assert_eq!(bench.put("/sim/laws", json!({"sms": {"lost": 1.0}})).await, 204);
    assert_eq!(bench.get("/sim/laws", none).await["sms"]["lost"], 1.0);
    assert_eq!(bench.meta("+628123457777", "a").await.unwrap().0, 200);
    let advance = bench.client.post(format!("{}/sim/time/advance", bench.sim.url())).body(r#"{"ms": 600000}"#);
    assert_eq!(advance.send().await.unwrap().status(), 200);
    let messages = bench.get("/sim/messages?to=+628123457777&limit=5", none).await;
    assert_eq!((messages.as_array().unwrap().len(), &messages[0]["outcome"]), (2, &json!("outage")));
    assert_eq!(bench.get("/sim/messages?to=7777", none).await.as_array().unwrap().len(), 2);
    let phone = bench.get("/sim/phones/+628123457777", none).await;
    assert_eq!((&phone["received"]["whatsapp"], &phone["codes"][0]["code"]), (&json!(1), &json!("493817")));
    let stats = bench.get("/sim/stats", none).await;
    assert_eq!(
        (&stats["callbacks"]["nowhere"], &stats["by_account"]["meta-main"]["cost_micros"]),
        (&json!(2), &json!(20_000))
    );
    assert_eq!(bench.get("/sim/accounts", none).await[0]["callback_url"], Value::Null);
    let gone = bench.client.delete(format!("{}/sim/messages", bench.sim.url())).send().await.unwrap();
    assert_eq!((gone.status().as_u16(), bench.sim.stats().requests), (204, 0));
}

#[tokio::test]
async fn the_oldest_are_forgotten_and_the_counts_stay() {
    let bench = Bench::start(SimConfig { keep: 1, laws: Laws::instant(), ..SimConfig::manual(1) });
    for reference in ["a", "b", "c"] {
        bench.meta("+628123457777", reference).await.unwrap();
        bench.advance(1).await;
    }
    let seen = bench.sim.messages(Some("+628123457777"), 10);
    assert_eq!((seen.len(), seen[0].reference.as_deref()), (1, Some("c")));
    assert_eq!(bench.sim.phone("+628123457777").received.whatsapp, 3);
}

#[tokio::test]
async fn a_code_that_came_twice_is_counted() {
    let bench = Bench::start(SimConfig { laws: Laws::instant(), ..SimConfig::manual(1) });
    for _ in 0..2 {
        bench.ycloud_sms("+628123457777", "a").await;
    }
    bench.meta("+628123457777", "b").await.unwrap();
    bench.advance(1).await;
    let stats = bench.sim.stats();
    assert_eq!((stats.handset, stats.handset_repeated), (Count { whatsapp: 1, sms: 2 }, Count { whatsapp: 0, sms: 1 }));
}

#[tokio::test]
async fn a_real_clock_posts_by_itself_and_faster_when_told() {
    let config = SimConfig { time: SimTime::Real { speed: 100.0 }, ..SimConfig::default() };
    let bench = Bench::start(config);
    let began = Instant::now();
    bench.meta("+628123450001", "a").await.unwrap();
    assert!(bench.sim.settle(Duration::from_secs(10)).await);
    assert_eq!(words(&bench.receiver.take()), ["sent", "delivered", "read"]);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(matches!(bench.sim.advance(Duration::ZERO).await, Err(SimError::ClockIsReal)));
}

/// `cargo test --release --lib simulator::tests::throughput -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement"]
async fn throughput() {
    let bench = Arc::new(Bench::start(SimConfig { laws: Laws::instant(), workers: 1, ..SimConfig::default() }));
    // No number here may end like a fate's: one of them hangs.
    let (tasks, each) = (32, 1_000);
    let began = Instant::now();
    let sending: Vec<_> = (0..tasks)
        .map(|task| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                for n in 0..each {
                    bench.meta(&format!("+6281{n:04}{task:03}7"), "r").await.unwrap();
                }
            })
        })
        .collect();
    for task in sending {
        task.await.unwrap();
    }
    let sent = began.elapsed().as_secs_f64();
    assert!(bench.sim.settle(Duration::from_secs(60)).await);
    let told = began.elapsed().as_secs_f64();
    let stats = bench.sim.stats();
    println!("{:.0} sends/s, {:.0} callbacks/s", stats.requests as f64 / sent, stats.callbacks.ok as f64 / told);
    let began = Instant::now();
    assert_eq!(bench.sim.messages(None, 100).len(), 100);
    println!("last 100 of {} read back in {:?}", stats.requests, began.elapsed());
}
