//! Requests dropped in the middle, held locks, exhausted pools, idle transactions.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use otpost::store::database::{self, Database, Plans};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::helpers::app::{TestApp, meta_body, meta_status, with_app};
use crate::helpers::database::{cluster_base, fresh_database};
use crate::helpers::node::Node;
use crate::kills::number;

/// 10 000 and more by `OTPOST_TEST_CANCELS`.
const CANCELS: u64 = 600;
/// A slow machine is not a fault; an endless wait is.
const BOUND: Duration = Duration::from_secs(30);

/// Pseudo-random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

async fn transaction(database: &Database, n: i64) -> Result<(), sqlx::Error> {
    let mut transaction = database.begin().await?;
    sqlx::query("insert into strain values ($1)").bind(n).execute(&mut transaction).await?;
    sqlx::query("select count(*) from strain").execute(&mut transaction).await?;
    transaction.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_given_up_at_any_moment_poisons_no_connection() {
    let cancels = number("OTPOST_TEST_CANCELS", CANCELS);
    let node = Node::primary(&cluster_base().join(format!("cancels.{}", std::process::id()))).await;
    node.run("otpost", "create table strain (n bigint)").await.unwrap();
    let database = database::connect(&node.database_url(), "otpost strain", 4, Plans::ByKey).await.unwrap();
    let mut random = Random(20_260_101);
    let (mut given_up, mut done) = (0, 0);
    for n in 0..cancels {
        // A whole transaction takes one to a few milliseconds.
        let limit = Duration::from_micros(random.below(3_000));
        match tokio::time::timeout(limit, transaction(&database, n.cast_signed())).await {
            Err(_) => given_up += 1,
            Ok(result) => {
                result.unwrap();
                done += 1;
            }
        }
    }
    let began = Instant::now();
    let open =
        "select count(*)::text from pg_stat_activity where application_name = 'otpost strain' and state <> 'idle'";
    while node.ask(open).await.unwrap() != "0" {
        assert!(began.elapsed() < BOUND, "transactions are left open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // All connections at once still work.
    for result in join_all((0..4).map(|n| transaction(&database, n))).await {
        result.unwrap();
    }
    let log = node.log();
    for wrong in ["current transaction is aborted", "already a transaction in progress"] {
        assert!(!log.contains(wrong), "{wrong}");
    }
    println!("{given_up} transactions given up, {done} done, 0 connections poisoned");
    assert!(given_up > cancels / 10 || done == 0, "{given_up} of {cancels} given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_break_off_leave_nothing_behind() {
    with_app(async |app| {
        let mut random = Random(7);
        let body = json!({ "to": "+6281234500001" }).to_string();
        let address = app.url.strip_prefix("http://").unwrap();
        for _ in 0..150 {
            let request = format!(
                "POST /v1/messages HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                app.key,
                body.len()
            );
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            tokio::time::sleep(Duration::from_micros(random.below(4_000))).await;
            socket.shutdown(Shutdown::Both).ok();
        }
        let id = app.send("+6281234500002").await;
        app.run_workers().await;
        app.message(&id).await;
        let idle: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
              where datname = current_database() and state like 'idle in transaction%' and state_change < now() - interval '2 s'",
        )
        .fetch_one(&app.pool)
        .await
        .unwrap();
        assert_eq!(idle, 0);
    })
    .await;
}

#[tokio::test]
async fn a_locked_row_holds_its_request_for_the_lock_limit_only() {
    with_app(async |app| {
        let id = app.send("+6281234500003").await;
        app.run_workers().await;
        let mut holder = app.pool.begin().await.unwrap();
        sqlx::query("select from messages where message_id::text = $1 for update")
            .bind(&id)
            .execute(&mut *holder)
            .await
            .unwrap();
        let began = Instant::now();
        let (status, _) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": "000000" })).await;
        println!("a locked row: {status} after {:?}", began.elapsed());
        assert_eq!(status, 503);
        // The limit is 1 s.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        holder.rollback().await.unwrap();
        let (status, _) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": "000000" })).await;
        assert_eq!(status, 200);
    })
    .await;
}

/// Occupies all connections of the API, each with a running statement.
async fn use_up(app: &TestApp) {
    let slow = (0..app.settings.database.connections).map(|_| async {
        let mut session = app.accept.pool.acquire().await.unwrap();
        for _ in 0..3 {
            sqlx::query("select pg_sleep(1.2)").execute(&mut session).await.unwrap();
        }
    });
    join_all(slow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callbacks_and_timers_go_on_when_the_apis_connections_are_used_up() {
    with_app(async |app| {
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(app.send(&format!("+62812345{n:02}004")).await);
        }
        app.run_workers().await;
        let callbacks = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let began = Instant::now();
            let (mut answers, mut slowest) = (Vec::new(), Duration::ZERO);
            for id in &ids {
                let attempt: String =
                    sqlx::query_scalar("select attempt_id::text from attempts where message_id::text = $1")
                        .bind(id)
                        .fetch_one(&app.pool)
                        .await
                        .unwrap();
                let asked = Instant::now();
                let body = meta_body(&[meta_status(&attempt, "sent", app.clock.now())]);
                answers.push(app.callback("meta-main", &body).await);
                slowest = slowest.max(asked.elapsed());
            }
            app.run_workers().await;
            println!("the API's connections used up: 20 callbacks, slowest {slowest:?}, all in {:?}", began.elapsed());
            answers
        };
        let ((), answers) = tokio::join!(use_up(app), callbacks);
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    })
    .await;
}

async fn sessions(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where application_name = 'otpost idles' and xact_start is not null",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_transaction_that_idles_is_ended() {
    let test = fresh_database().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(test.url()).await.unwrap();
    let database = database::connect(test.url(), "otpost idles", 1, Plans::ByKey).await.unwrap();
    let mut idle = database.begin().await.unwrap();
    sqlx::query("select 1").execute(&mut idle).await.unwrap();
    assert_eq!(sessions(&pool).await, 1);
    let began = Instant::now();
    while sessions(&pool).await > 0 {
        assert!(began.elapsed() < BOUND, "it idles on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("an idle transaction was ended after {:?}", began.elapsed());
    assert!(sqlx::query("select 1").execute(&mut idle).await.is_err());
    // The pool has its only connection again.
    sqlx::query("select 1").execute(&database).await.unwrap();
}
