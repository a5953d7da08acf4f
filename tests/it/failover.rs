//! `kill -9` of the primary under load and promotion of its synchronous standby, repeatedly.
//!
//! The service is a separate process, as in `kills.rs`, with the addresses of both servers; the simulator counts what
//! each phone gets. `OTPOST_TEST_FAILOVERS=50` runs longer, `OTPOST_TEST_RATE=200` sends more messages a second.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use otpost::clock::Clock;
use otpost::domain::app_id::AppId;
use otpost::services::keys::app_keys::AppKeys;
use otpost::simulated;
use otpost::simulator::{SimConfig, Simulator};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::helpers::database::cluster_base;
use crate::helpers::invariants;
use crate::helpers::node::Node;
use crate::kills::{Load, Server, generate, laws, look, number, wait_for_quiet};

const FAILOVERS: u64 = 2;
const PER_SECOND: u64 = 60;
/// Bar for the first message that is accepted after the kill. A machine that builds meanwhile gets three times as long.
const FIRST_ACCEPT_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_has_everything_that_was_acknowledged() {
    let failovers = number("OTPOST_TEST_FAILOVERS", FAILOVERS);
    let rate = number("OTPOST_TEST_RATE", PER_SECOND);
    let base = cluster_base();
    let dirs = [1, 2].map(|n| base.join(format!("failover{n}.{}", std::process::id())));
    let mut primary = Node::primary(&dirs[0]).await;
    otpost::store::database::migrate(&pool_of(&primary).await.into()).await.unwrap();
    let mut standby = Node::standby(&dirs[1], &primary).await;
    primary.wait_for_standby().await;

    let pool = pool_of(&primary).await;
    let app_keys = AppKeys::new(pool.clone().into(), Clock::live(&pool.clone().into()).await.unwrap());
    let key = app_keys.create(&AppId::stored("shop"), "failover").await.unwrap().key.expose().to_owned();
    pool.close().await;
    let config = SimConfig { laws: laws(), hang_limit_ms: 5_000, ..SimConfig::default() };
    let sim = Simulator::start(config, ([127, 0, 0, 1], 0).into()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for account in &simulated::accounts() {
        sim.set_callback(account, Some(&simulated::callback_url(&url, account))).unwrap();
    }
    let both = Node::url_of_pair(&dirs[0], &dirs[1]);
    let server = tokio::task::block_in_place(|| Server::start(&both, port, &sim.url()));
    let http = reqwest::Client::builder().timeout(Duration::from_secs(8)).build().unwrap();
    let load = Arc::new(Load { http, url, key, seen: Mutex::default() });
    let over = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn(generate(Arc::clone(&load), rate, Arc::clone(&over)));

    let began = Instant::now();
    let (mut killed_at, mut promoted_after) = (Vec::new(), Vec::new());
    for n in 0..failovers {
        tokio::time::sleep(Duration::from_millis(1_000 + n * 377 % 1_500)).await;
        primary.kill();
        let at = Instant::now();
        standby.promote().await;
        promoted_after.push(at.elapsed());
        killed_at.push(at);
        wait_for_accept(&load, at).await;
        // The rest of the old primary is removed with its folder, where the new standby is created.
        let place = if n % 2 == 0 { &dirs[0] } else { &dirs[1] };
        drop(std::mem::replace(&mut primary, standby));
        standby = Node::standby(place, &primary).await;
        primary.wait_for_standby().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    over.store(true, Ordering::Relaxed);
    let asked = clients.await.unwrap();
    let a_second = asked as f64 / began.elapsed().as_secs_f64();
    let pool = pool_of(&primary).await;
    wait_for_quiet(&pool, &sim).await;

    let seen = std::mem::take(&mut *load.seen.lock().unwrap());
    let counts = (seen.accepted.len() as u64, seen.gave_up);
    assert_eq!(counts, (asked, 0), "accepted, given up; repeated: {:?}", seen.repeated);
    let found = look(&pool, &sim, &seen).await;
    let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(&pool).await.unwrap();
    invariants::check(&pool, now).await;
    let early: i64 = sqlx::query_scalar(
        "select count(*) from attempts a join attempts b
             on (b.bucket, b.message_id, b.attempt_no) = (a.bucket, a.message_id, a.attempt_no + 1)
          where b.reason = 'silent' and b.planned_at < a.replace_at",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(early, 0, "replacements before their deadline");

    let answers = || seen.asked_at.iter().zip(&seen.answered_at);
    let first_after = |at: &Instant| answers().filter(|(asked, _)| *asked > at).map(|(_, told)| *told - *at).min();
    let mut recovery: Vec<Duration> = killed_at.iter().filter_map(first_after).collect();
    recovery.sort_unstable();
    promoted_after.sort_unstable();
    let middle = recovery.len() / 2;
    println!(
        "failovers {failovers} at {a_second:.0}/s ({rate}/s wanted), messages {asked} (requests repeated: {:?}), acknowledged lost 0, intents doubled \
         0, WhatsApp doubled 0, early timers 0; unknown sends {}, leases that ran out {}, SMS resent {}; callbacks \
         answered 2xx {} and all stored; replaced {}, latest {:.1} s after its deadline; promoted p50 {:?}, max {:?}; \
         first accept after the kill p50 {:?}, max {:?}",
        seen.repeated,
        found.unknown,
        found.ran_out,
        found.resent,
        found.callbacks,
        found.replaced,
        found.latest_s,
        promoted_after[middle],
        promoted_after.last().unwrap(),
        recovery[middle],
        recovery.last().unwrap(),
    );
    assert!(*recovery.last().unwrap() < FIRST_ACCEPT_WITHIN, "{recovery:?}");
    tokio::task::block_in_place(|| drop(server));
    sim.stop().await;
    pool.close().await;
}

async fn wait_for_accept(load: &Load, after: Instant) {
    let began = Instant::now();
    while !load.seen.lock().unwrap().asked_at.iter().any(|t| *t > after) {
        assert!(began.elapsed() < FIRST_ACCEPT_WITHIN * 2, "nothing is accepted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pool_of(node: &Node) -> PgPool {
    PgPoolOptions::new().max_connections(3).connect(&node.database_url()).await.unwrap()
}
