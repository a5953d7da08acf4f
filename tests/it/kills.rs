//! `kill -9` of servers at random moments under load, while the simulator counts what each phone gets. There are three of
//! them behind a plain TCP balancer, which serves clients and callbacks alike.
//!
//! The database and the simulator belong to the test and survive; each server is a process of its own: this test binary
//! again, with the one "test" [`server`], which does nothing in an ordinary run. `OTPOST_TEST_KILLS=50` for longer,
//! `OTPOST_TEST_SEED` for other moments.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use otpost::app::{App, Loops, Means};
use otpost::clock::Clock;
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::postgres::{Cluster, Profile, ensure_database};
use otpost::services::keys::app_keys::AppKeys;
use otpost::simulated;
use otpost::simulator::{ChannelLaws, Latency, Laws, SimConfig, Simulator, Status};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::helpers::app::{code_keys, unlimited};
use crate::helpers::balancer::balance;
use crate::helpers::database::cluster_base;
use crate::helpers::invariants;

/// Database, port and simulator, one per line.
const SERVER: &str = "OTPOST_TEST_SERVER";
/// In a server's environment: the test binary of another version that is to be the server.
pub(crate) const PROGRAM: &str = "OTPOST_TEST_OLD";
const KILLS: usize = 3;
const SERVERS: usize = 3;
const PER_SECOND: u64 = 60;
/// Maximum number of concurrent clients. They must not pile up while a server is down, nor use up all files.
const CLIENTS: usize = 100;
/// A client gives up on a message after this.
const PATIENCE: Duration = Duration::from_secs(60);
/// Deadlines (15 s), leases, resends and repeated callbacks are over by then.
const QUIET_WITHIN: Duration = Duration::from_secs(90);

/// The server of the test below.
#[test]
fn server() {
    let Ok(told) = std::env::var(SERVER) else { return };
    let told: Vec<&str> = told.split('\n').collect();
    let listen: SocketAddr = format!("127.0.0.1:{}", told[1]).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let means = Means { database_url: told[0].to_owned(), code_keys: code_keys(), clock: None, migrate: false };
        let app = App::build(&settings(listen, told[2]), means).await.unwrap();
        let _running = app.start(TcpListener::bind(listen).unwrap(), Loops::Run).unwrap();
        println!("\nready");
        std::future::pending::<()>().await;
    });
}

fn settings(listen: SocketAddr, simulator_url: &str) -> Settings {
    let mut settings = simulated::settings(Path::new("/nonexistent"), listen, simulator_url, 15);
    unlimited(&mut settings);
    settings.server.workers = 1;
    settings.database.connections = 6;
    settings.database.ledger_connections = 6;
    settings.sending.client.connect_timeout = Duration::from_millis(500);
    settings.sending.client.total_timeout = Duration::from_secs(2);
    settings.sending.lease = Duration::from_secs(3);
    settings.sending.resend_after = Duration::from_secs(2);
    // Hanging and failing requests are part of the load, and must not close the channel.
    settings.sending.breaker_failures = 10_000;
    settings
}

pub(crate) fn laws() -> Laws {
    let uniform = |from_ms, to_ms| Latency::Uniform { from_ms, to_ms };
    let trouble = ChannelLaws {
        answer: uniform(5.0, 150.0),
        sent: uniform(20.0, 200.0),
        delivered: uniform(100.0, 1_500.0),
        failed_after: uniform(50.0, 1_000.0),
        callback: uniform(5.0, 100.0),
        reset_before: 0.03,
        reset_after: 0.03,
        server_error: 0.03,
        hang: 0.01,
        failed: 0.1,
        shuffled: 0.1,
        callback_first: 0.05,
        lost: 0.05,
        doubled: 0.1,
        ..ChannelLaws::default()
    };
    Laws { whatsapp: ChannelLaws { silent: 0.1, contradictory: 0.02, is_read: 0.3, ..trouble.clone() }, sms: trouble }
}

/// First digit of a mobile network's number after +62 8.
const NETWORKS: [u8; 8] = [1, 2, 3, 5, 6, 7, 8, 9];

/// What the clients know.
#[derive(Default)]
pub(crate) struct Seen {
    /// Numbers by message id: each was answered 202.
    pub accepted: BTreeMap<String, String>,
    pub answered_at: Vec<Instant>,
    /// When those requests began, in the same order.
    pub asked_at: Vec<Instant>,
    pub gave_up: usize,
    /// Why requests were repeated, and how often.
    pub repeated: BTreeMap<String, usize>,
}

pub(crate) struct Load {
    pub http: reqwest::Client,
    pub url: String,
    pub key: String,
    pub seen: Mutex<Seen>,
}

impl Load {
    /// Asks for one message, again and again with the same key, until it is accepted.
    pub(crate) async fn send(self: Arc<Self>, n: u64) {
        // Each of the twelve fates, and four by law.
        let end = match n % 16 {
            fate @ 1..=12 => fate,
            _ => 5_000 + n % 1_000,
        };
        // Each network has 10 000 of our numbers, so that a long run does not use one twice.
        let network = n / 10_000;
        assert!(network < 10 * NETWORKS.len() as u64, "all numbers are used up");
        let (first, second) = (NETWORKS[(network / 10) as usize], network % 10);
        let to = format!("+628{first}{second}{:04}{end:04}", n % 10_000);
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let request = self.http.post(format!("{}/v1/messages", self.url)).bearer_auth(&self.key);
            let request =
                request.header("idempotency-key", format!("kill-{n}")).header("content-type", "application/json");
            let asked_at = Instant::now();
            let why = match request.body(json!({ "to": to }).to_string()).send().await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    if let (202, Ok(text)) = (status, response.text().await) {
                        let answer: Value = serde_json::from_str(&text).expect("an answer in JSON");
                        let mut seen = self.seen.lock().unwrap();
                        seen.accepted.insert(answer["id"].as_str().expect("an id").to_owned(), to);
                        seen.answered_at.push(Instant::now());
                        seen.asked_at.push(asked_at);
                        return;
                    }
                    assert!(status == 202 || status >= 500, "answered {status}");
                    status.to_string()
                }
                Err(error) if error.is_connect() => "refused".to_owned(),
                Err(error) if error.is_timeout() => "late".to_owned(),
                Err(_) => "broken off".to_owned(),
            };
            *self.seen.lock().unwrap().repeated.entry(why).or_default() += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.seen.lock().unwrap().gave_up += 1;
    }
}

pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(database_url: &str, port: u16, simulator_url: &str) -> Self {
        Self::start_with(database_url, port, simulator_url, &[])
    }

    /// With additional environment variables.
    pub(crate) fn start_with(
        database_url: &str,
        port: u16,
        simulator_url: &str,
        environment: &[(&'static str, String)],
    ) -> Self {
        let program = environment.iter().find(|(name, _)| *name == PROGRAM).map(|(_, path)| path.into());
        let mut command = Command::new(program.unwrap_or_else(|| std::env::current_exe().unwrap()));
        command.args(["--exact", "kills::server", "--nocapture", "--test-threads=1"]);
        command.env(SERVER, format!("{database_url}\n{port}\n{simulator_url}")).stdout(Stdio::piped());
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "ready"), "the server starts");
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// Sends `per_second` messages until `over` is set, each until it is accepted. Returns how many.
pub(crate) async fn generate(load: Arc<Load>, per_second: u64, over: Arc<AtomicBool>) -> u64 {
    let mut clients = tokio::task::JoinSet::new();
    let mut every = tokio::time::interval(Duration::from_millis(1_000 / per_second));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut n = 0;
    while !over.load(Ordering::Relaxed) {
        every.tick().await;
        if clients.len() >= CLIENTS {
            clients.join_next().await;
        }
        while clients.try_join_next().is_some() {}
        clients.spawn(Arc::clone(&load).send(n));
        n += 1;
    }
    clients.join_all().await;
    n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_lose_nothing_and_send_nothing_twice() {
    let kills = number("OTPOST_TEST_KILLS", KILLS as u64) as usize;
    let mut random = number("OTPOST_TEST_SEED", 20_260_101);
    let dir = cluster_base().join(format!("kills.{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let place = dir.clone();
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&place, Profile::Durable).unwrap()).await.unwrap();
    ensure_database(&cluster.url("postgres"), "kills").await.unwrap();
    let database_url = cluster.url("kills");
    let pool = PgPoolOptions::new().max_connections(3).connect(&database_url).await.unwrap();
    otpost::store::database::migrate(&pool.clone().into()).await.unwrap();
    let app_keys = AppKeys::new(pool.clone().into(), Clock::live(&pool.clone().into()).await.unwrap());
    let key = app_keys.create(&AppId::stored("shop"), "kills").await.unwrap().key.expose().to_owned();

    let config = SimConfig { laws: laws(), hang_limit_ms: 5_000, ..SimConfig::default() };
    let sim = Simulator::start(config, ([127, 0, 0, 1], 0).into()).unwrap();
    let free_port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
    let url = format!("http://{}", balance(ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect()).await);
    for account in &simulated::accounts() {
        sim.set_callback(account, Some(&simulated::callback_url(&url, account))).unwrap();
    }

    let start = |n: usize| tokio::task::block_in_place(|| Server::start(&database_url, ports[n], &sim.url()));
    let mut servers: Vec<Server> = (0..SERVERS).map(start).collect();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let load = Arc::new(Load { http, url, key, seen: Mutex::default() });
    let over = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn(generate(Arc::clone(&load), PER_SECOND, Arc::clone(&over)));

    let mut killed_at = Vec::new();
    for _ in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(300 + (random >> 33) % 2_200)).await;
        let n = (random >> 20) as usize % SERVERS;
        tokio::task::block_in_place(|| servers[n].kill());
        killed_at.push(Instant::now());
        servers[n] = start(n);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    over.store(true, Ordering::Relaxed);
    let asked = clients.await.unwrap();
    wait_for_quiet(&pool, &sim).await;

    let seen = std::mem::take(&mut *load.seen.lock().unwrap());
    assert_eq!(
        (seen.accepted.len() as u64, seen.gave_up),
        (asked, 0),
        "accepted, given up; repeated: {:?}",
        seen.repeated
    );
    let found = look(&pool, &sim, &seen).await;
    let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(&pool).await.unwrap();
    invariants::check(&pool, now).await;

    let mut recovery: Vec<u128> = killed_at
        .iter()
        .filter_map(|at| seen.answered_at.iter().filter(|t| *t > at).min().map(|t| (*t - *at).as_millis()))
        .collect();
    recovery.sort_unstable();
    println!(
        "kills {kills} of {SERVERS} servers, messages {asked} (requests repeated: {:?}), lost 0, SMS intents doubled 0, WhatsApp doubled 0; unknown sends {}, \
         leases that ran out {}, SMS resent after an unknown one {}, phones with two SMS {}; callbacks answered 2xx {} and \
         all stored; replaced {}, latest {:.1} s after its deadline; recovery p50 {} ms, max {} ms",
        seen.repeated,
        found.unknown,
        found.ran_out,
        found.resent,
        found.doubled_phones,
        found.callbacks,
        found.replaced,
        found.latest_s,
        recovery[recovery.len() / 2],
        recovery[recovery.len() - 1],
    );
    tokio::task::block_in_place(|| drop(servers));
    sim.stop().await;
    pool.close().await;
    tokio::task::block_in_place(|| drop(cluster));
    fs::remove_dir_all(&dir).ok();
}

/// Waits until nothing is due, leased or armed, and every callback was sent.
pub(crate) async fn wait_for_quiet(pool: &PgPool, sim: &Simulator) {
    let began = Instant::now();
    loop {
        let busy: i64 = sqlx::query_scalar(
            "select count(*) from attempts where timer = 'armed' or due_at is not null or leased_until is not null",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        if busy == 0 && sim.pending() == 0 {
            // The recovery loop runs every second.
            return tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert!(began.elapsed() < QUIET_WITHIN, "{busy} attempts and {} callbacks are not done", sim.pending());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

pub(crate) struct Found {
    pub unknown: i64,
    pub ran_out: i64,
    pub resent: u64,
    pub doubled_phones: usize,
    pub callbacks: usize,
    pub replaced: i64,
    pub latest_s: f64,
}

pub(crate) async fn look(pool: &PgPool, sim: &Simulator, seen: &Seen) -> Found {
    // Nothing accepted is lost, and nothing exists that nobody requested.
    let stored: Vec<(String,)> =
        sqlx::query_as("select message_id::text from messages order by 1").fetch_all(pool).await.unwrap();
    let stored: Vec<&str> = stored.iter().map(|(id,)| id.as_str()).collect();
    let accepted: Vec<&str> = seen.accepted.keys().map(String::as_str).collect();
    assert_eq!(stored, accepted, "the messages are those that were answered 202");

    let none = |sql: &'static str| async move {
        let broken: Vec<(String,)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
        assert!(broken.is_empty(), "{sql}: {broken:?}");
    };
    none("select message_id::text from attempts where channel = 'sms' group by message_id having count(*) > 1").await;
    none(
        "select m.message_id::text from messages m join attempts a using (bucket, message_id)
          where m.outcome = 'pending' and m.attempt_count = 1 and a.state <> 'delivered' and a.not_replaced is null",
    )
    .await;

    // What the phones got, compared with the requests of unknown outcome.
    let unknown: Vec<(String, i64)> = sqlx::query_as(
        "select s.message_id::text, count(*) from sends s join attempts a using (bucket, message_id, attempt_no)
          where a.channel = 'sms' and s.result in ('unknown', 'lease_ran_out') group by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let unknown: HashMap<String, i64> = unknown.into_iter().collect();
    let (mut resent, mut doubled_phones) = (0, 0);
    for (id, phone) in &seen.accepted {
        let got = sim.phone(phone);
        assert!(got.accepted.whatsapp <= 1, "{id} went out {} times by WhatsApp", got.accepted.whatsapp);
        let allowed = 1 + unknown.get(id).copied().unwrap_or(0).unsigned_abs();
        assert!(got.accepted.sms <= allowed, "{id} went out {} times by SMS, {allowed} explained", got.accepted.sms);
        resent += got.accepted.sms.saturating_sub(1);
        doubled_phones += usize::from(got.received.sms > 1);
    }

    // Each callback that was answered 2xx is a stored receipt.
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select provider_message_id, status, count(*) from
                (select provider_message_id, status from receipts
                  union all select provider_message_id, status from unmatched_receipts) r group by 1, 2",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let rows: HashMap<(String, String), i64> = rows.into_iter().map(|(id, status, n)| ((id, status), n)).collect();
    let mut answered: HashMap<(String, String), i64> = HashMap::new();
    for message in sim.messages(None, usize::MAX) {
        let Some(id) = message.provider_id else { continue };
        for callback in message.callbacks.iter().filter(|c| (200..300).contains(&c.http_status)) {
            let status = match callback.status {
                Status::Sent => "sent",
                Status::Delivered => "delivered",
                Status::Read => "read",
                Status::Failed(_) => "failed",
            };
            *answered.entry((id.clone(), status.to_owned())).or_default() += 1;
        }
    }
    for (what, times) in &answered {
        let kept = rows.get(what).copied().unwrap_or(0);
        assert!(kept >= *times, "{what:?} was answered 2xx {times} times and stands in {kept} receipts");
    }

    let (unknown, ran_out): (i64, i64) = sqlx::query_as(
        "select count(*) filter (where result = 'unknown'), count(*) filter (where result = 'lease_ran_out') from sends",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    let (replaced, latest_s): (i64, f64) = sqlx::query_as(
        "select count(*), coalesce(max(extract(epoch from b.planned_at - a.replace_at)), 0)::float8
           from attempts a join attempts b
             on (b.bucket, b.message_id, b.attempt_no) = (a.bucket, a.message_id, a.attempt_no + 1) and b.reason = 'silent'",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    Found {
        unknown,
        ran_out,
        resent,
        doubled_phones,
        callbacks: answered.values().sum::<i64>().unsigned_abs() as usize,
        replaced,
        latest_s,
    }
}
