//! The database is silent, refuses, stops, or is read-only: the service answers 503 at once, and resumes when it is
//! back.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use otpost::app::{App, Loops, Means, Running};
use otpost::clock::Clock;
use otpost::domain::app_id::AppId;
use otpost::services::keys::app_keys::AppKeys;
use otpost::simulated;
use otpost::simulator::{SimConfig, Simulator};
use otpost::store::database::Plans;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::helpers::app::{code_keys, signed, unlimited};
use crate::helpers::database::{TestDatabase, cluster_base, fresh_database};
use crate::helpers::invariants;
use crate::helpers::node::Node;
use crate::helpers::proxy::{Network, Proxy};

/// Bound of every wait, also on a machine that is compiling.
const BOUND: Duration = Duration::from_secs(30);
/// Number of requests timed while the database is unavailable.
const TIMED: usize = 100;

/// A running service whose connection to the database can be cut.
struct Service {
    url: String,
    key: String,
    http: reqwest::Client,
    sim: Simulator,
    running: Running,
    clock: Clock,
    /// Connects directly to the database.
    pool: PgPool,
}

impl Service {
    async fn start(database_url: &str, pool: PgPool) -> Self {
        let sim = Simulator::start(SimConfig::default(), ([127, 0, 0, 1], 0).into()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let mut settings = simulated::settings(Path::new("/nonexistent"), listen, &sim.url(), 15);
        unlimited(&mut settings);
        settings.server.workers = 1;
        settings.database.connections = 4;
        settings.database.ledger_connections = 4;
        for account in &simulated::accounts() {
            let url = simulated::callback_url(&settings.server.public_url, account);
            sim.set_callback(account, Some(&url)).unwrap();
        }
        let means =
            Means { database_url: database_url.to_owned(), code_keys: code_keys(), clock: None, migrate: false };
        let app = App::build(&settings, means).await.unwrap();
        let app_keys = AppKeys::new(pool.clone().into(), Clock::live(&pool.clone().into()).await.unwrap());
        let key = app_keys.create(&AppId::stored("shop"), "outages").await.unwrap().key.expose().to_owned();
        let clock = app.clock.clone();
        let running = app.start(listener, Loops::Run).unwrap();
        let http = reqwest::Client::builder().timeout(BOUND).build().unwrap();
        Self { url: format!("http://{listen}"), key, http, sim, running, clock, pool }
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
            self.clock.now(),
        )]);
        let (query, header) = signed("meta-main", body.as_bytes(), self.clock.now());
        let request = self.http.post(format!("{}/webhooks/meta-main{query}", self.url)).body(body);
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        request.send().await.unwrap().status().as_u16()
    }

    async fn ready(&self) -> u16 {
        self.http.get(format!("{}/readyz", self.url)).send().await.unwrap().status().as_u16()
    }

    /// Returns the message's id.
    async fn until_accepted(&self, to: &str) -> String {
        let began = Instant::now();
        loop {
            let (status, _, answer) = self.post(to).await;
            if status == 202 {
                return answer["id"].as_str().unwrap().to_owned();
            }
            assert!(began.elapsed() < BOUND, "still {status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_delivered(&self, id: &str) {
        let began = Instant::now();
        loop {
            let state: String = sqlx::query_scalar("select state::text from messages where message_id::text = $1")
                .bind(id)
                .fetch_one(&self.pool)
                .await
                .unwrap();
            if state == "delivered" {
                return;
            }
            assert!(began.elapsed() < BOUND, "{id} is {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a message passes completely: accepted, sent, and its receipt arrives. Returns the time until it was
    /// accepted and until it was delivered.
    async fn until_it_works(&self, to: &str) -> (Duration, Duration) {
        let began = Instant::now();
        let id = self.until_accepted(to).await;
        let accepted = began.elapsed();
        self.until_delivered(&id).await;
        (accepted, began.elapsed())
    }

    /// Returns how long it took until the service knew that the database is unavailable.
    async fn until_away(&self) -> Duration {
        let began = Instant::now();
        while !self.running.api.messages.pool.is_away() {
            assert!(began.elapsed() < BOUND, "the service does not notice");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let known = began.elapsed();
        assert_eq!(self.ready().await, 503);
        known
    }

    /// The 99th percentile of requests and callbacks, all answered 503.
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
        // The bar is 100 ms; a busy machine gets more. The former faults took 3 s and 29 s.
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

/// A folder for servers that a test runs by hand.
fn place(name: &str) -> PathBuf {
    cluster_base().join(format!("{name}.{}", std::process::id()))
}

async fn on(node: &Node, database_url: &str) -> Service {
    let pool = PgPoolOptions::new().max_connections(3).connect(&node.database_url()).await.unwrap();
    otpost::store::database::migrate(&pool.clone().into()).await.unwrap();
    Service::start(database_url, pool).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_and_restarted_servers_are_said_at_once_and_found_again() {
    let mut node = Node::primary(&place("paused")).await;
    let service = on(&node, &node.database_url()).await;
    service.until_it_works("+6281300010000").await;

    for (what, postmaster_too) in [("all processes stopped", true), ("all backends stopped", false)] {
        node.signal_backends(Signal::STOP, postmaster_too);
        if postmaster_too {
            let known = service.until_away().await;
            let p99 = service.refusals().await;
            println!("{what}: known after {known:?}, 503 p99 {p99:?}");
            assert!(p99 < Duration::from_secs(1), "{p99:?}");
            node.signal_backends(Signal::CONT, true);
        }
        // While the postmaster lives, new connections work although the old ones are silent.
        let began = Instant::now();
        let id = service.until_accepted("+6281300020000").await;
        println!("{what}: accepted after {:?}", began.elapsed());
        node.signal_backends(Signal::CONT, true);
        service.until_delivered(&id).await;
    }

    for n in 0..3 {
        node.stop_immediately();
        let known = service.until_away().await;
        let p99 = service.refusals().await;
        node.start().await;
        let (accepted, delivered) = service.until_it_works(&format!("+628130003000{n}")).await;
        println!(
            "immediate stop: known after {known:?}, 503 p99 {p99:?}; back: accepted after {accepted:?}, delivered after \
             {delivered:?}"
        );
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_take_writes_is_away_until_it_does() {
    let node = Node::primary(&place("frozen")).await;
    let service = on(&node, &node.database_url()).await;
    service.until_it_works("+6281300040000").await;
    // As an operator does before a switch-over. Existing connections keep their setting, so they are ended.
    node.run("postgres", "alter database otpost set default_transaction_read_only = on").await.unwrap();
    node.run("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'otpost'")
        .await
        .unwrap();
    let known = service.until_away().await;
    let p99 = service.refusals().await;
    node.run("postgres", "alter database otpost reset default_transaction_read_only").await.unwrap();
    let (accepted, _) = service.until_it_works("+6281300050000").await;
    println!("read-only: known after {known:?}, 503 p99 {p99:?}; back: accepted after {accepted:?}");

    // A standby alone accepts no writes: a service does not start on it.
    let standby = Node::standby(&place("standby"), &node).await;
    let refused = otpost::store::database::connect(&standby.database_url(), "test", 1, Plans::Search).await;
    let refused = refused.expect_err("a standby is refused").to_string();
    assert!(refused.contains("does not take writes: it is a standby"), "{refused}");
    // With both named, the order does not matter.
    let pair = Node::url_of_pair(&place("standby"), &place("frozen"));
    let found = otpost::store::database::connect(&pair, "test", 1, Plans::Search).await.unwrap();
    assert!(sqlx::query_scalar::<_, bool>("select not pg_is_in_recovery()").fetch_one(&found).await.unwrap());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_sessions_cost_single_requests_and_nothing_more() {
    let database = fresh_database().await;
    let service = Service::start(database.url(), database.pool().await).await;
    let ender = async {
        for _ in 0..25 {
            sqlx::query(
                "select pg_terminate_backend(pid) from pg_stat_activity
                  where datname = current_database() and application_name like 'otpost%' order by random() limit 1",
            )
            .execute(&service.pool)
            .await
            .unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let load = async {
        let (mut accepted, mut refused) = (0, 0);
        for n in 0..120 {
            match service.post(&format!("+62813{n:04}0000")).await.0 {
                202 => accepted += 1,
                503 => refused += 1,
                other => panic!("answered {other}"),
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        (accepted, refused)
    };
    let ((), (accepted, refused)) = tokio::join!(ender, load);
    println!("25 sessions ended: {accepted} accepted, {refused} refused");
    assert!(accepted > refused, "{accepted} accepted, {refused} refused");
    service.until_it_works("+6281300060000").await;
    service.stop().await;
}

/// On a small in-memory file system, which only root may mount.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_its_end_is_seen() {
    let disk = place("disk");
    fs::create_dir_all(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=260m,mode=0755", "tmpfs"]).arg(&disk).status();
    if !rustix::process::geteuid().is_root() || !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: a file system can only be mounted by root");
        return;
    }
    let unmount = Unmount(disk.clone());
    let node = Node::primary(&disk.join("node")).await;
    let service = on(&node, &node.database_url()).await;
    service.until_it_works("+6281300070000").await;
    let ballast = disk.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[0; 65_536]).is_ok() {}
    // Space that is already allocated is used up first.
    let began = Instant::now();
    let mut n = 0;
    while service.ready().await == 200 {
        let (status, ..) = service.post(&format!("+62814{:04}0000", n % 10_000)).await;
        assert!(status == 202 || status == 503, "answered {status}");
        n += 1;
        assert!(began.elapsed() < BOUND * 3, "the disk does not fill up");
    }
    let p99 = service.refusals().await;
    drop(file);
    fs::remove_file(&ballast).unwrap();
    let (accepted, _) = service.until_it_works("+6281300080000").await;
    println!("disk full: 503 after {n} more messages, p99 {p99:?}; room again: accepted after {accepted:?}");
    service.stop().await;
    drop(node);
    drop(unmount);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
        fs::remove_dir(&self.0).ok();
    }
}
