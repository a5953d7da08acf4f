//! A simulator, a client for it and a receiver of its callbacks. The tests of the faces share it.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::{Bytes, Data, to};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use otpost_simulator::{Advanced, SimConfig, Simulator};
use serde_json::{Value, json};

/// What came to our side's address.
#[derive(Clone)]
pub(crate) struct Got {
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A receiver of callbacks that answers what it is told to.
pub(crate) struct Receiver {
    pub url: String,
    pub state: Arc<State>,
}

pub(crate) struct State {
    got: Mutex<Vec<Got>>,
    /// What it answers.
    pub status: AtomicU16,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State { got: Mutex::default(), status: AtomicU16::new(200) });
        let shared = Data::from(Arc::clone(&state));
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(shared.clone()).default_service(to(receive));
                HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run().await
            })
        });
        Self { url, state }
    }

    pub(crate) fn take(&self) -> Vec<Got> {
        std::mem::take(&mut self.state.got.lock().unwrap())
    }
}

async fn receive(state: Data<State>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers = request.headers().iter();
    let headers = headers.map(|(key, value)| (key.to_string(), value.to_str().unwrap().to_owned())).collect();
    state.got.lock().unwrap().push(Got { path: request.uri().to_string(), headers, body: body.to_vec() });
    HttpResponse::build(actix_web::http::StatusCode::from_u16(state.status.load(Ordering::SeqCst)).unwrap()).finish()
}

pub(crate) struct Bench {
    pub sim: Simulator,
    pub receiver: Receiver,
    pub client: reqwest::Client,
}

impl Bench {
    /// Callbacks of every account go to the path `/webhooks/` and its name.
    pub(crate) fn start(config: SimConfig) -> Self {
        let receiver = Receiver::start();
        let names: Vec<String> = config.accounts.iter().map(|account| account.name.clone()).collect();
        let sim = Simulator::start(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        for name in names {
            sim.set_callback(&name, Some(&format!("{}/webhooks/{name}", receiver.url))).unwrap();
        }
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap();
        Self { sim, receiver, client }
    }

    pub(crate) fn manual() -> Self {
        Self::start(SimConfig::manual(1))
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        header: (&str, &str),
        body: &Value,
    ) -> Result<(u16, Value), reqwest::Error> {
        let request = self.client.post(format!("{}{path}", self.sim.url())).header(header.0, header.1);
        let request = request.header("Content-Type", "application/json");
        let response = request.body(body.to_string()).send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null)))
    }

    pub(crate) async fn get(&self, path: &str, header: (&str, &str)) -> Value {
        let request = self.client.get(format!("{}{path}", self.sim.url())).header(header.0, header.1);
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }

    /// By the account `meta-main`.
    pub(crate) async fn whatsapp(&self, to: &str, reference: &str) -> Result<(u16, Value), reqwest::Error> {
        self.post(WHATSAPP_PATH, WHATSAPP, &whatsapp_body(to, "493817", reference)).await
    }

    /// By the account `ycloud-sms`.
    pub(crate) async fn sms(&self, to: &str, reference: &str) -> (u16, Value) {
        let body = json!({"to": to, "text": "493817 is your Example code.", "externalId": reference});
        self.post("/ycloud/v2/sms", ("X-API-Key", "sim-ycloud-key"), &body).await.unwrap()
    }

    pub(crate) async fn advance(&self, seconds: u64) -> Advanced {
        self.sim.advance(Duration::from_secs(seconds)).await.unwrap()
    }
}

/// Where [`Bench::whatsapp`] sends.
pub(crate) const WHATSAPP_PATH: &str = "/meta/v25.0/200300400500600/messages";
/// How it shows who it is.
pub(crate) const WHATSAPP: (&str, &str) = ("Authorization", "Bearer sim-meta-token");

/// Of an authentication template; `index`: of its button.
pub(crate) fn template(code: &str, index: Value) -> Value {
    json!({"name": "login_code", "language": {"code": "en_US"}, "components": [
        {"type": "body", "parameters": [{"type": "text", "text": code}]},
        {"type": "button", "sub_type": "url", "index": index, "parameters": [{"type": "text", "text": code}]},
    ]})
}

pub(crate) fn whatsapp_body(to: &str, code: &str, reference: &str) -> Value {
    json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "template",
        "template": template(code, json!("0")), "biz_opaque_callback_data": reference})
}

/// References and statuses that [`Bench::whatsapp`] had told.
pub(crate) fn statuses(got: &[Got]) -> Vec<(String, String)> {
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

/// The statuses alone.
pub(crate) fn words(got: &[Got]) -> Vec<String> {
    statuses(got).into_iter().map(|(_, word)| word).collect()
}
