//! The whole service on a separate database, with a stopped clock and the simulator; tests advance time themselves.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use otpost::app::{App, Loops, Means, Running};
use otpost::clock::Clock;
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::domain::code_keys::{CodeKey, CodeKeys};
use otpost::domain::ids::MessageId;
use otpost::domain::limits::{Mode, OnNewer};
use otpost::domain::phone::Phone;
use otpost::domain::receipt::{DeliveryReceipt, ErrorClass, Failure, Status};
use otpost::reload::Reload;
use otpost::services::accounts::backlog::Backlog;
use otpost::services::accounts::pulse::Pulse;
use otpost::services::accounts::take_pulse::TakePulse;
use otpost::services::callbacks::status_queries::StatusQueries;
use otpost::services::callbacks::take_callback::TakeCallback;
use otpost::services::delivery::dispatch::Dispatch;
use otpost::services::delivery::{end_lives, recover, replace};
use otpost::services::ledger::command::{Command, RecordedEvent};
use otpost::services::ledger::transitions::Transitions;
use otpost::services::messages::accept_message::{AcceptMessage, NewMessage};
use otpost::services::routing::memory::NumberMemory;
use otpost::services::upkeep::forget_number::forget_number;
use otpost::simulated;
use otpost::simulator::{SimConfig, SimTime, Simulator};
use otpost::store::database::Database;
use otpost::store::receipts::ReceivedReceipt;
use serde_json::Value;
use sha2::{Sha256, Sha512};
use sqlx::PgPool;
use uuid::Uuid;

use crate::helpers::database::{TestDatabase, fresh_database};
use crate::helpers::invariants;

/// One step of [`TestApp::pass`].
const STEP: Duration = Duration::from_millis(250);

pub(crate) struct TestApp {
    pub database: TestDatabase,
    pub pool: PgPool,
    pub clock: Clock,
    pub sim: Simulator,
    pub url: String,
    pub key: String,
    pub http: reqwest::Client,
    pub settings: Settings,
    pub transitions: Transitions,
    pub dispatch: Arc<Dispatch>,
    pub ask: Arc<StatusQueries>,
    pub accept: AcceptMessage,
    pub callbacks: TakeCallback,
    pub pulse: Pulse,
    pub take_pulse: Arc<TakePulse>,
    pub memory: NumberMemory,
    pub reload: Arc<Reload>,
    pub backlog: Backlog,
    pub running: Running,
}

/// The start time of every stopped clock.
pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_789_034_400, 0).expect("a time")
}

/// Tests send to a few numbers, and check every code that they sent. Those of the limits set them.
pub(crate) fn unlimited(settings: &mut Settings) {
    settings.limits.mode = Mode::Off;
    settings.codes.on_newer = OnNewer::Keep;
}

pub(crate) fn code_keys() -> CodeKeys {
    CodeKeys::new(vec![CodeKey::new(1, &[7; 32]).expect("long enough")]).expect("one key")
}

/// Runs `test` and checks the invariants of every table afterwards.
pub(crate) async fn with_app<F: AsyncFnOnce(&TestApp)>(test: F) {
    with_settings(|_| {}, test).await;
}

/// The same with other settings.
pub(crate) async fn with_settings<F: AsyncFnOnce(&TestApp)>(change: impl FnOnce(&mut Settings), test: F) {
    let app = TestApp::start(change).await;
    test(&app).await;
    invariants::check(&app.pool, app.clock.now()).await;
    app.stop().await;
}

impl TestApp {
    /// The pool in the type that the store's functions take.
    pub(crate) fn store(&self) -> Database {
        self.pool.clone().into()
    }

    pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let database = fresh_database().await;
        let start_unix_ms = u64::try_from(start().timestamp_millis()).ok();
        let config = SimConfig { time: SimTime::Manual { start_unix_ms }, ..SimConfig::manual(1) };
        let sim = Simulator::start(config, ([127, 0, 0, 1], 0).into()).expect("the simulator starts");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let listen = listener.local_addr().expect("an address");
        let mut settings = simulated::settings(Path::new("/nonexistent"), listen, &sim.url(), 15);
        settings.server.workers = 1;
        settings.database.connections = 4;
        settings.database.ledger_connections = 4;
        // Hanging answers are waited for in real time; a busy machine must not look like one.
        settings.sending.client.connect_timeout = Duration::from_secs(4);
        settings.sending.client.total_timeout = Duration::from_secs(5);
        // Tests of the breaker set their own threshold.
        settings.sending.breaker_failures = 10_000;
        unlimited(&mut settings);
        change(&mut settings);
        for account in &simulated::accounts() {
            let url = simulated::callback_url(&settings.server.public_url, account);
            sim.set_callback(account, Some(&url)).expect("the simulator has the account");
        }
        let clock = Clock::stopped(start());
        let means = Means {
            database_url: database.url().to_owned(),
            code_keys: code_keys(),
            clock: Some(clock.clone()),
            migrate: false,
        };
        let app = App::build(&settings, means).await.expect("the app is built");
        let transitions = app.transitions.clone();
        let dispatch = Arc::clone(&app.dispatch);
        let ask = Arc::clone(&app.ask);
        let accept = app.api.accept.clone();
        let callbacks = app.api.callbacks.clone();
        let (pulse, take_pulse) = (app.api.pulse.clone(), Arc::clone(&app.take_pulse));
        let memory = app.api.memory.clone();
        let reload = Arc::clone(&app.reload);
        let backlog = app.backlog.clone();
        let key = app.api.app_keys.create(&AppId::stored("shop"), "test").await.expect("a key").key.expose().to_owned();
        let running = app.start(listener, Loops::ByHand).expect("the app starts");
        let url = format!("http://{listen}");
        let pool = database.pool().await;
        let http = reqwest::Client::new();
        Self {
            database,
            pool,
            clock,
            sim,
            url,
            key,
            http,
            settings,
            transitions,
            dispatch,
            ask,
            accept,
            callbacks,
            pulse,
            take_pulse,
            memory,
            reload,
            backlog,
            running,
        }
    }

    pub(crate) async fn stop(self) {
        self.running.stop(false).await;
        self.sim.stop().await;
        self.pool.close().await;
    }

    /// Deletes what is known about a number; returns the tables in which there was something.
    pub(crate) async fn forget(&self, phone: &Phone) -> Vec<&'static str> {
        forget_number(&self.store(), &code_keys(), phone).await.expect("it is forgotten")
    }

    /// One more instance on the same database and clock, not started.
    pub(crate) async fn one_more(&self, settings: &Settings) -> App {
        let means = Means {
            database_url: self.database.url().to_owned(),
            code_keys: code_keys(),
            clock: Some(self.clock.clone()),
            migrate: false,
        };
        App::build(settings, means).await.expect("the app is built")
    }

    /// Runs all loops until none has anything left to do.
    pub(crate) async fn run_workers(&self) {
        loop {
            let round = self.dispatch.run_once().await.expect("the sender goes round");
            let mut busy = !round.sends.is_empty();
            for send in round.sends {
                send.await.expect("a send ends");
            }
            let round = self.ask.run_once().await.expect("a round of status queries");
            busy |= round.due > 0;
            for question in round.asked {
                question.await.expect("a question ends");
            }
            busy |= replace::run_once(&self.transitions, &self.clock).await.expect("deadlines").due > 0;
            busy |= end_lives::run_once(&self.transitions, &self.clock).await.expect("lives") > 0;
            let accounts = &self.dispatch.accounts;
            busy |= recover::abandoned_sends(&self.transitions, &self.clock, accounts).await.expect("leases") > 0;
            if !busy {
                break;
            }
        }
        self.take_pulse.run_once().await.expect("the pulse is taken");
    }

    /// Advances time for the service and for the simulator, in small steps.
    pub(crate) async fn pass(&self, time: Duration) {
        let mut left = time;
        self.run_workers().await;
        while !left.is_zero() {
            let step = left.min(STEP);
            left -= step;
            self.clock.advance(TimeDelta::from_std(step).expect("a step is short"));
            self.sim.advance(step).await.expect("the simulator's clock is manual");
            self.run_workers().await;
        }
    }

    pub(crate) async fn request(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.expect("the service answers");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a whole answer");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.request(reqwest::Method::POST, path, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.request(reqwest::Method::GET, path, None).await
    }

    /// Sends a code to `to`; returns the message's id.
    pub(crate) async fn send(&self, to: &str) -> String {
        let (status, answer) = self.post("/v1/messages", serde_json::json!({ "to": to })).await;
        assert_eq!(status, 202, "{answer}");
        answer["id"].as_str().expect("an id").to_owned()
    }

    /// Posts a callback as the provider of `account` signs it. The account must be one of the simulator's.
    pub(crate) async fn callback(&self, account: &str, body: &str) -> u16 {
        let (query, header) = signed(account, body.as_bytes(), self.clock.now());
        let request = self.http.post(format!("{}/webhooks/{account}{query}", self.url)).body(body.to_owned());
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        request.send().await.expect("the service answers").status().as_u16()
    }

    pub(crate) async fn message(&self, id: &str) -> Value {
        let (status, message) = self.get(&format!("/v1/messages/{id}")).await;
        assert_eq!(status, 200, "{message}");
        message
    }
}

/// Lower-case hexadecimal HMAC-SHA256.
pub(crate) fn hmac_hex(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    hex::encode(mac.finalize().into_bytes())
}

/// The query and the header with which the simulator's account proves a callback.
pub(crate) fn signed(account: &str, body: &[u8], now: DateTime<Utc>) -> (String, Option<(&'static str, String)>) {
    let ycloud = |secret: &str| {
        let t = now.timestamp().to_string();
        let signature = hmac_hex(secret, &[t.as_bytes(), b".", body]);
        (String::new(), Some(("YCloud-Signature", format!("t={t},s={signature}"))))
    };
    match account {
        "meta-main" => {
            let signature = hmac_hex(otpost::simulator::faces::meta::APP_SECRET, &[body]);
            (String::new(), Some(("X-Hub-Signature-256", format!("sha256={signature}"))))
        }
        "ycloud-wa" => ycloud(otpost::simulator::faces::ycloud::WHATSAPP_SECRET),
        "ycloud-sms" => ycloud(otpost::simulator::faces::ycloud::SMS_SECRET),
        "cliqtel-wa" => ("?token=sim-cliqtel-callback-token".to_owned(), None),
        "infobip-wa" => ("?token=sim-infobip-callback-token".to_owned(), None),
        "infobip-sms" => {
            let pair = BASE64_STANDARD.encode(otpost::simulator::faces::infobip::BASIC);
            (String::new(), Some(("Authorization", format!("Basic {pair}"))))
        }
        "sleekflow-wa" => (String::new(), Some(("X-Otp-Hook-Secret", "sim-sleekflow-hook-secret".to_owned()))),
        "engagelab-wa" => (String::new(), Some(("X-CALLBACK-ID", callback_id(&Uuid::now_v7().to_string(), now)))),
        "http-wa" => {
            let mut mac = Hmac::<Sha512>::new_from_slice(otpost::simulator::faces::described::SECRET.as_bytes())
                .expect("any length");
            mac.update(body);
            (String::new(), Some(("X-Agg-Signature", BASE64_STANDARD.encode(mac.finalize().into_bytes()))))
        }
        "http-sms" => ("?token=sim-http-callback-token".to_owned(), None),
        other => panic!("who signs for {other}?"),
    }
}

/// `X-CALLBACK-ID` of the simulator's accounts at EngageLab. A nonce counts once.
pub(crate) fn callback_id(nonce: &str, now: DateTime<Utc>) -> String {
    let (t, username) = (now.timestamp().to_string(), otpost::simulator::faces::engagelab::USERNAME);
    let parts = [t.as_bytes(), nonce.as_bytes(), username.as_bytes()];
    let signature = hmac_hex(otpost::simulator::faces::engagelab::CALLBACK_SECRET, &parts);
    format!("timestamp={t};nonce={nonce};username={username};signature={signature}")
}

/// A request with a number and nothing else.
pub(crate) fn plain(to: &str) -> NewMessage {
    NewMessage {
        to: Phone::parse(to).expect("a number"),
        purpose: "login".to_owned(),
        code: None,
        code_length: None,
        locale: None,
        platform: None,
        channel: None,
        replace_after_s: None,
        valid_for_s: None,
        reference: None,
        metadata: None,
        client: None,
        ip: None,
        device: None,
        on_newer: None,
    }
}

/// The id of a message's first attempt.
pub(crate) fn first_attempt(message: &str) -> String {
    format!("{}01", &message[..34])
}

/// One status of Meta's, by our reference.
pub(crate) fn meta_status(attempt: &str, status: &str, at: DateTime<Utc>) -> Value {
    let mut item = serde_json::json!({
        "id": format!("wamid.{attempt}"), "status": status, "timestamp": at.timestamp().to_string(),
        "recipient_id": "628123451234", "biz_opaque_callback_data": attempt,
    });
    if status == "failed" {
        item["errors"] = serde_json::json!([{ "code": 131_026, "title": "Message undeliverable" }]);
    }
    item
}

/// The command for the ledger when a provider reports this status of a message's first attempt.
pub(crate) fn told(account: &str, message: MessageId, status: Status, at: DateTime<Utc>) -> Command {
    let failure = (status == Status::Failed).then(|| Failure::new("131026", ErrorClass::RecipientUnreachable));
    let provider_message_id = format!("wamid.{message}");
    let receipt = DeliveryReceipt { status, attempt_id: None, provider_message_id, provider_at: None, failure };
    let received = ReceivedReceipt {
        proved_too: Vec::new(),
        receipt_id: Uuid::now_v7(),
        callback_id: Uuid::now_v7(),
        account: account.to_owned(),
        received_at: at,
        receipt,
    };
    Command { message, event: RecordedEvent::Receipt { attempt_no: 1, received: Box::new(received) }, at }
}

/// A callback of Meta's with these statuses.
pub(crate) fn meta_body(statuses: &[Value]) -> String {
    serde_json::json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{
        "field": "messages",
        "value": { "messaging_product": "whatsapp", "metadata": {}, "statuses": statuses },
    }] }] })
    .to_string()
}
