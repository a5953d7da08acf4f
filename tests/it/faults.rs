//! Providers that hang or are down, processes that die between two steps, downtime, wrong system clocks, a starved machine.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use otpost::clock::Clock;
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::domain::attempt::Lease;
use otpost::domain::channel::Channel;
use otpost::postgres::{Cluster, Profile, ensure_database};
use otpost::services::delivery::{recover, replace};
use otpost::services::keys::app_keys::AppKeys;
use otpost::services::ledger::command::{Command, RecordedEvent};
use otpost::simulated;
use otpost::simulator::{Fate, GivenFate, Latency, Laws, Mode, SimConfig, Simulator};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::helpers::app::{TestApp, first_attempt, meta_body, meta_status, with_settings};
use crate::helpers::balancer::balance;
use crate::helpers::database::{cluster_base, fresh_database};
use crate::helpers::invariants;
use crate::kills::{Load, PROGRAM, Server, generate, laws, look, number, wait_for_quiet};

fn to(n: usize, end: &str) -> String {
    format!("+62812{n:04}{end}")
}

async fn count(app: &TestApp, what: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {what}"))).fetch_one(&app.pool).await.unwrap()
}

fn requests(app: &TestApp, channel: Channel) -> usize {
    app.sim.messages(None, 100_000).into_iter().filter(|seen| seen.channel == channel).count()
}

async fn sms(app: &TestApp, to: &str) {
    let (status, answer) = app.post("/v1/messages", json!({ "to": to, "channel": "sms" })).await;
    assert_eq!(status, 202, "{answer}");
}

/// Connections that are accepted and never answered, and answers that take half a minute, occupy only their own
/// account's concurrency, and release it.
#[tokio::test]
async fn a_provider_that_hangs_holds_its_own_places_and_no_others() {
    let few = |settings: &mut Settings| {
        settings.accounts.get_mut("meta-main").unwrap().concurrency = 2;
        // Longer than a busy machine needs for everything beside the hanging requests.
        settings.sending.client.connect_timeout = Duration::from_secs(7);
        settings.sending.client.total_timeout = Duration::from_secs(8);
    };
    for slow in [false, true] {
        with_settings(few, async |app| {
            if slow {
                let mut laws = Laws::instant();
                laws.whatsapp.answer = Latency::Fixed { ms: 30_000.0 };
                app.sim.set_laws(laws);
            }
            let end = if slow { "5001" } else { "0009" };
            for n in 0..6 {
                app.send(&to(n, end)).await;
            }
            let hanging = app.dispatch.run_once().await.unwrap().sends;
            assert_eq!(hanging.len(), 2, "never more than the limit");
            sms(app, &to(99, "5001")).await;
            let others = app.dispatch.run_once().await.unwrap().sends;
            assert_eq!(others.len(), 1, "another account goes on");
            for send in others {
                tokio::time::timeout(Duration::from_secs(2), send).await.expect("it is not held up").unwrap();
            }
            for send in hanging {
                send.await.unwrap();
            }
            let next = app.dispatch.run_once().await.unwrap().sends;
            assert_eq!(next.len(), 2, "the places came back");
            for send in next {
                send.await.unwrap();
            }
            app.pass(Duration::from_secs(45)).await;
            assert_eq!(count(app, "messages where state = 'delivered'").await, 7, "one way or the other");
        })
        .await;
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_tried_until_the_message_ends_and_not_after() {
    with_settings(
        |_| {},
        async |app| {
            app.sim.set_mode("ycloud-sms", Mode::Refuse).unwrap();
            for n in 0..10 {
                sms(app, &to(n, "5001")).await;
            }
            app.pass(Duration::from_secs(310)).await;
            app.sim.set_mode("ycloud-sms", Mode::Up).unwrap();
            let tried = requests(app, Channel::Sms);
            assert!(tried > 10, "{tried}");
            app.pass(Duration::from_secs(60)).await;
            assert_eq!(requests(app, Channel::Sms), tried, "nothing leaves after the end");
            assert_eq!(count(app, "messages where outcome = 'expired' or state = 'failed'").await, 10);
            let late = "sends s join messages m using (bucket, message_id) where s.started_at > m.expires_at";
            assert_eq!(count(app, late).await, 0);
        },
    )
    .await;
}

#[tokio::test]
async fn providers_that_come_back_are_not_run_over() {
    let slow = |settings: &mut Settings| {
        for account in ["meta-main", "ycloud-sms"] {
            settings.accounts.get_mut(account).unwrap().per_second = 10.0;
        }
    };
    with_settings(slow, async |app| {
        for account in ["meta-main", "ycloud-sms"] {
            app.sim.set_mode(account, Mode::Refuse).unwrap();
        }
        for n in 0..100 {
            sms(app, &to(n, "5001")).await;
        }
        for _ in 0..5 {
            for send in app.dispatch.run_once().await.unwrap().sends {
                send.await.unwrap();
            }
            app.clock.advance(TimeDelta::seconds(5));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        for account in ["meta-main", "ycloud-sms"] {
            app.sim.set_mode(account, Mode::Up).unwrap();
        }
        app.clock.advance(TimeDelta::seconds(30));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let first = app.dispatch.run_once().await.unwrap().sends.len();
        assert!(first <= 10, "a second's worth at most: {first}");
        app.clock.advance(TimeDelta::minutes(10));
        app.run_workers().await;
    })
    .await;
}

#[tokio::test]
async fn after_downtime_what_has_life_left_is_replaced_oldest_first_and_the_rest_is_not() {
    const EACH: usize = 250;
    with_settings(
        |_| {},
        async |app| {
            for (n, valid_for_s) in (0..EACH).flat_map(|n| [(n, 150), (n + EACH, 600)]) {
                let (status, _) =
                    app.post("/v1/messages", json!({ "to": to(n, "0003"), "valid_for_s": valid_for_s })).await;
                assert_eq!(status, 202);
            }
            app.run_workers().await;
            // No instance runs for eight minutes: the short lives are over, the long ones have two minutes left.
            app.clock.advance(TimeDelta::seconds(480));
            let round = replace::run_once(&app.transitions, &app.clock).await.unwrap();
            assert_eq!(round.due as i64, replace::ROUND, "at a bounded measure");
            app.run_workers().await;
            assert_eq!(count(app, "attempts where attempt_no = 2").await, EACH as i64);
            assert_eq!(requests(app, Channel::Sms), EACH);
            let wrong = "sends s join messages m using (bucket, message_id) where s.started_at > m.expires_at";
            assert_eq!(count(app, wrong).await, 0);
            let skipped =
                count(app, "attempts where not_replaced in ('expired', 'too_late') or timer_end = 'expired'").await;
            assert_eq!(skipped, EACH as i64, "and it is said why");
        },
    )
    .await;
}

/// A process that dies after each of its commits, before the next: another one completes each message.
#[tokio::test]
async fn a_process_that_dies_between_any_two_steps_costs_no_code_and_no_second_sms() {
    with_settings(
        |_| {},
        async |app| {
            app.sim.set_laws({
                let mut laws = Laws::instant();
                laws.whatsapp.answer = Latency::Fixed { ms: 1000.0 };
                laws
            });
            let silent = GivenFate { whatsapp: Some(Fate::Silent), sms: None };
            let mut ids = Vec::new();
            for n in 0..40 {
                app.sim.set_fate(&to(n, "5001"), silent);
                ids.push(app.send(&to(n, "5001")).await);
            }
            // Ten die after the lease, before a byte was sent.
            let now = app.clock.now();
            let lease = |id: &String| Command {
                message: id.parse::<Uuid>().ok().and_then(otpost::domain::ids::MessageId::from_uuid).unwrap(),
                event: RecordedEvent::Lease {
                    attempt_no: 1,
                    lease: Lease { token: Uuid::now_v7(), until: now + app.dispatch.lease },
                    price: None,
                },
                at: now,
            };
            app.transitions.run(&ids[..10].iter().map(lease).collect::<Vec<_>>()).await.unwrap();
            // The others die after the request was sent and before its answer was stored.
            let sends = app.dispatch.run_once().await.unwrap().sends;
            assert_eq!(sends.len(), 30);
            for _ in 0..400 {
                if requests(app, Channel::Whatsapp) == 30 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(requests(app, Channel::Whatsapp), 30);
            for send in sends {
                send.abort();
                let _ = send.await;
            }
            app.sim.advance(Duration::from_secs(1)).await.unwrap();
            // A receipt that is durable but was not answered is repeated.
            let body = meta_body(&[meta_status(&first_attempt(&ids[39]), "delivered", app.clock.now())]);
            for _ in 0..2 {
                assert_eq!(app.callback("meta-main", &body).await, 200);
            }
            let other = app.one_more(&app.settings).await;
            app.clock.advance(app.dispatch.lease + TimeDelta::seconds(1));
            recover::abandoned_sends(&other.transitions, &app.clock, &other.accounts).await.unwrap();
            // One dies after the deadlines fired, before an SMS was sent: this one sends them.
            replace::run_once(&other.transitions, &app.clock).await.unwrap();
            app.pass(Duration::from_secs(40)).await;
            assert_eq!(requests(app, Channel::Whatsapp), 30, "a WhatsApp never leaves twice");
            assert_eq!(requests(app, Channel::Sms), 39, "one SMS for each but the one that was delivered");
            assert_eq!(count(app, "messages where state = 'delivered'").await, 40);
        },
    )
    .await;
}

/// Servers of their own, three by name of their environment, under a short load. Returns the latest replacement, in seconds.
async fn under_load(name: &str, environments: Vec<Vec<(&'static str, String)>>, seconds: u64, starve: bool) -> f64 {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let key = AppKeys::new(pool.clone().into(), Clock::live(&pool.clone().into()).await.unwrap());
    let key = key.create(&AppId::stored("shop"), name).await.unwrap().key.expose().to_owned();
    let sim = Simulator::start(SimConfig::default(), ([127, 0, 0, 1], 0).into()).unwrap();
    let free_port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports: Vec<u16> = environments.iter().map(|_| free_port()).collect();
    let url = format!("http://{}", balance(ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect()).await);
    for account in &simulated::accounts() {
        sim.set_callback(account, Some(&simulated::callback_url(&url, account))).unwrap();
    }
    let start = |(port, environment): (&u16, &Vec<_>)| {
        tokio::task::block_in_place(|| Server::start_with(database.url(), *port, &sim.url(), environment))
    };
    let servers: Vec<Server> = ports.iter().zip(&environments).map(start).collect();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let load = Arc::new(Load { http, url, key, seen: Mutex::default() });
    let over = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn(generate(Arc::clone(&load), 20, Arc::clone(&over)));
    let busy = Arc::new(AtomicBool::new(starve));
    let threads: Vec<_> = (0..if starve { 4 } else { 0 })
        .map(|_| {
            let busy = Arc::clone(&busy);
            std::thread::spawn(move || {
                let mut n = 0_u64;
                while busy.load(Ordering::Relaxed) {
                    n = std::hint::black_box(n.wrapping_mul(31).wrapping_add(7));
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    over.store(true, Ordering::Relaxed);
    let asked = clients.await.unwrap();
    if starve {
        // Until the last deadline of 15 s has passed.
        tokio::time::sleep(Duration::from_secs(18)).await;
    }
    busy.store(false, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    wait_for_quiet(&pool, &sim).await;
    let seen = std::mem::take(&mut *load.seen.lock().unwrap());
    assert_eq!((seen.accepted.len() as u64, seen.gave_up), (asked, 0), "{:?}", seen.repeated);
    let found = look(&pool, &sim, &seen).await;
    let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(&pool).await.unwrap();
    invariants::check(&pool, now).await;
    let wasted: i64 = sqlx::query_scalar("select count(*) from attempts where planned_at > clock_timestamp()")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(wasted, 0, "no time of another clock is stored");
    println!(
        "{name}: {asked} messages, {} replaced, the latest {:.2} s after its deadline, lost 0, doubled 0",
        found.replaced, found.latest_s
    );
    tokio::task::block_in_place(|| drop(servers));
    sim.stop().await;
    pool.close().await;
    found.latest_s
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_whose_system_clocks_are_wrong_agree() {
    let library = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1"];
    let Some(library) = library.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        println!("skipped: there is no libfaketime here (Debian: libfaketime)");
        return;
    };
    let skewed = |by: &str| {
        vec![
            ("LD_PRELOAD", library.to_owned()),
            ("FAKETIME", by.to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    };
    let latest = under_load("clocks of +5 and -5 min", vec![skewed("+5m"), skewed("-5m"), Vec::new()], 5, false).await;
    assert!(latest < 10.0, "{latest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_starved_machine_deadlines_are_late_and_none_is_lost() {
    let began = Instant::now();
    let seconds = number("OTPOST_TEST_STARVED", 4);
    let latest = under_load("4 busy threads", vec![Vec::new(), Vec::new()], seconds, true).await;
    assert!(latest < began.elapsed().as_secs_f64(), "{latest}");
}

/// `OTPOST_TEST_OLD`: the test binary of an older version; `OTPOST_TEST_OLD_PROGRAM`: its `otpost`. The old one serves,
/// this one migrates the database meanwhile and serves beside it, then the old one is killed: a rolling upgrade under
/// load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the binaries of an older version"]
async fn an_older_version_and_this_one_serve_side_by_side() {
    let (old, program) = (std::env::var(PROGRAM).unwrap(), std::env::var("OTPOST_TEST_OLD_PROGRAM").unwrap());
    let dir = cluster_base().join(format!("upgrade.{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let place = dir.clone();
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&place, Profile::Durable).unwrap()).await.unwrap();
    ensure_database(&cluster.url("postgres"), "upgrade").await.unwrap();
    let url = cluster.url("upgrade");
    let mut migrate = std::process::Command::new(program);
    let migrated = migrate
        .arg("migrate")
        .env("DATABASE_URL", &url)
        .env("OTPOST_CODES__KEYS", format!("1:{}", "07".repeat(32)))
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(3).connect(&url).await.unwrap();
    let clock = Clock::live(&pool.clone().into()).await.unwrap();
    let key = AppKeys::new(pool.clone().into(), clock)
        .create(&AppId::stored("shop"), "upgrade")
        .await
        .unwrap()
        .key
        .expose()
        .to_owned();
    let sim = Simulator::start(
        SimConfig { laws: laws(), hang_limit_ms: 5_000, ..SimConfig::default() },
        ([127, 0, 0, 1], 0).into(),
    )
    .unwrap();
    let free_port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [free_port(), free_port()];
    let balanced = format!("http://{}", balance(ports.map(|port| ([127, 0, 0, 1], port).into()).to_vec()).await);
    for account in &simulated::accounts() {
        sim.set_callback(account, Some(&simulated::callback_url(&balanced, account))).unwrap();
    }
    let start = |port: u16, environment: &[(&'static str, String)]| {
        tokio::task::block_in_place(|| Server::start_with(&url, port, &sim.url(), environment))
    };
    let older = start(ports[0], &[(PROGRAM, old)]);
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let load = Arc::new(Load { http, url: balanced, key, seen: Mutex::default() });
    let over = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn(generate(Arc::clone(&load), 60, Arc::clone(&over)));
    tokio::time::sleep(Duration::from_secs(6)).await;
    otpost::store::database::migrate(&pool.clone().into()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let newer = start(ports[1], &[]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let beside = load.seen.lock().unwrap().repeated.clone();
    tokio::task::block_in_place(|| drop(older));
    tokio::time::sleep(Duration::from_secs(4)).await;
    over.store(true, Ordering::Relaxed);
    let asked = clients.await.unwrap();
    wait_for_quiet(&pool, &sim).await;
    let seen = std::mem::take(&mut *load.seen.lock().unwrap());
    assert_eq!((seen.accepted.len() as u64, seen.gave_up), (asked, 0), "{:?}", seen.repeated);
    let found = look(&pool, &sim, &seen).await;
    println!(
        "{asked} messages, repeated while both served {beside:?}, after the old one was killed {:?}; lost 0, doubled 0, {} replaced, \
         the latest {:.2} s after its deadline, {} SMS again after an unknown send",
        seen.repeated, found.replaced, found.latest_s, found.resent
    );
    tokio::task::block_in_place(|| drop(newer));
    sim.stop().await;
    pool.close().await;
    tokio::task::block_in_place(|| drop(cluster));
    std::fs::remove_dir_all(&dir).ok();
}
