//! The database falls silent, refuses, stops, does not write: the service says 503 at once, and goes on when it is back.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use otpost::app::{App, Loops, Means, Running};
use otpost::clock::Clock;
use otpost::rehearsal;
use otpost::services::app_keys::AppKeys;
use otpost::simulator::{SimConfig, Simulator};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::helpers::app::{code_keys, signed};
use crate::helpers::database::{TestDatabase, fresh_database};
use crate::helpers::invariants;
use crate::helpers::proxy::{Network, Proxy};

/// Everything that is waited for comes within this, also on a machine that builds something meanwhile.
const BOUND: Duration = Duration::from_secs(30);
/// Requests that are timed while the database is away.
const TIMED: usize = 100;

/// A running service whose way to the database can be cut.
struct Service {
    url: String,
    key: String,
    http: reqwest::Client,
    sim: Simulator,
    running: Running,
    /// Straight to the database.
    pool: PgPool,
}

impl Service {
    async fn start(database_url: &str, pool: PgPool) -> Self {
        let sim = Simulator::start(SimConfig::default(), ([127, 0, 0, 1], 0).into()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let mut settings = rehearsal::settings(Path::new("/nonexistent"), listen, &sim.url(), 15);
        settings.server.workers = 1;
        settings.database.connections = 4;
        settings.database.ledger_connections = 4;
        for account in rehearsal::ACCOUNTS {
            let url = rehearsal::callback_url(&settings.server.public_url, account);
            sim.set_callback(account, Some(&url)).unwrap();
        }
        let means =
            Means { database_url: database_url.to_owned(), code_keys: code_keys(), clock: None, migrate: false };
        let app = App::build(&settings, means).await.unwrap();
        let app_keys = AppKeys::new(pool.clone().into(), Clock::live(&pool.clone().into()).await.unwrap());
        let key = app_keys.create("shop", "outages").await.unwrap().key.expose().to_owned();
        let running = app.start(listener, Loops::Run).unwrap();
        let http = reqwest::Client::builder().timeout(BOUND).build().unwrap();
        Self { url: format!("http://{listen}"), key, http, sim, running, pool }
    }

    async fn post(&self, to: &str) -> (u16, Option<String>, Value) {
        let request = self.http.post(format!("{}/v1/messages", self.url)).bearer_auth(&self.key);
        let request = request.header("content-type", "application/json").body(json!({ "to": to }).to_string());
        let response = request.send().await.unwrap();
        let retry_after = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, retry_after, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn callback(&self) -> u16 {
        let attempt = uuid::Uuid::now_v7();
        let body = crate::helpers::app::meta_body(&[crate::helpers::app::meta_status(
            &attempt.to_string(),
            "delivered",
            chrono::Utc::now(),
        )]);
        let (query, header) = signed("meta-main", body.as_bytes(), chrono::Utc::now());
        let request = self.http.post(format!("{}/webhooks/meta-main{query}", self.url)).body(body);
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        request.send().await.unwrap().status().as_u16()
    }

    async fn ready(&self) -> u16 {
        self.http.get(format!("{}/readyz", self.url)).send().await.unwrap().status().as_u16()
    }

    /// A message goes all the way: accepted, sent, and its receipt comes back. Returns how long until it was accepted,
    /// and until it was delivered.
    async fn until_it_works(&self, to: &str) -> (Duration, Duration) {
        let began = Instant::now();
        let id = loop {
            let (status, _, answer) = self.post(to).await;
            if status == 202 {
                break answer["id"].as_str().unwrap().to_owned();
            }
            assert!(began.elapsed() < BOUND, "still {status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let accepted = began.elapsed();
        loop {
            let state: String = sqlx::query_scalar("select state::text from messages where message_id::text = $1")
                .bind(&id)
                .fetch_one(&self.pool)
                .await
                .unwrap();
            if state == "delivered" {
                return (accepted, began.elapsed());
            }
            assert!(began.elapsed() < BOUND, "{id} is {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns how long it took until the service knew that the database is away.
    async fn until_away(&self) -> Duration {
        let began = Instant::now();
        while self.ready().await == 200 {
            assert!(began.elapsed() < BOUND, "the service does not notice");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }

    /// The slowest but one in a hundred of requests and callbacks, all answered 503.
    async fn refusals(&self) -> Duration {
        let mut times = Vec::new();
        for n in 0..TIMED {
            let began = Instant::now();
            if n % 2 == 0 {
                let (status, retry_after, _) = self.post("+6281200010000").await;
                assert_eq!((status, retry_after.as_deref()), (503, Some("1")));
            } else {
                assert_eq!(self.callback().await, 503);
            }
            times.push(began.elapsed());
        }
        times.sort_unstable();
        times[TIMED * 99 / 100 - 1]
    }

    async fn stop(self) {
        let now = sqlx::query_scalar("select clock_timestamp()").fetch_one(&self.pool).await.unwrap();
        invariants::check(&self.pool, now).await;
        self.running.stop(false).await;
        self.sim.stop().await;
        self.pool.close().await;
    }
}

async fn behind_a_proxy() -> (TestDatabase, Proxy, Service) {
    let database = fresh_database().await;
    let (proxy, url) = Proxy::before(database.url()).await;
    let service = Service::start(&url, database.pool().await).await;
    service.until_it_works("+6281200020000").await;
    (database, proxy, service)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_are_replaced_and_every_loop_goes_on() {
    let (_database, proxy, service) = behind_a_proxy().await;
    proxy.set(Network::OldOnesSilent).await;
    let (accepted, delivered) = service.until_it_works("+6281200030000").await;
    println!("connections silent, new ones work: accepted after {accepted:?}, delivered after {delivered:?}");
    assert_eq!(service.ready().await, 200);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_said_at_once_and_its_return_is_seen() {
    let (_database, proxy, service) = behind_a_proxy().await;
    for (network, to) in [(Network::Silent, "+6281200040000"), (Network::Refuses, "+6281200050000")] {
        proxy.set(network).await;
        let known = service.until_away().await;
        let p99 = service.refusals().await;
        assert_eq!(service.http.get(format!("{}/healthz", service.url)).send().await.unwrap().status(), 200);
        proxy.set(Network::Works).await;
        let (accepted, delivered) = service.until_it_works(to).await;
        println!(
            "{network:?}: known after {known:?}, 503 p99 {p99:?}; back: accepted after {accepted:?}, delivered after \
             {delivered:?}"
        );
        // The bar is 100 ms; a machine that builds meanwhile gets more, and the fault was 3 s and 29 s.
        assert!(p99 < Duration::from_secs(1), "{p99:?}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_under_way_are_refused_when_the_database_goes_away() {
    let (_database, proxy, service) = behind_a_proxy().await;
    proxy.set(Network::Silent).await;
    let began = Instant::now();
    let waiting = (0..20).map(|n| {
        let service = &service;
        async move { if n % 2 == 0 { service.post("+6281200060000").await.0 } else { service.callback().await } }
    });
    let answers = futures_util::future::join_all(waiting).await;
    println!("20 requests that met the silence: all answered after {:?}", began.elapsed());
    assert!(answers.iter().all(|status| *status == 503), "{answers:?}");
    proxy.set(Network::Works).await;
    service.until_it_works("+6281200070000").await;
    service.stop().await;
}
