//! Real jumps of the database's clock: a function of the same name shadows the real one.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use otpost::app::{App, Loops, Means};
use otpost::clock::Clock;
use otpost::domain::app_id::AppId;
use otpost::simulated;
use otpost::simulator::{SimConfig, Simulator};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::helpers::app::{code_keys, unlimited};
use crate::helpers::database::fresh_database;
use crate::helpers::invariants;

/// Shadows the database's clock with ours.
async fn skewable(pool: &PgPool) {
    for sql in [
        "create schema skewed",
        "create table skewed.skew (by interval not null)",
        "insert into skewed.skew values (interval '0')",
        "create function skewed.clock_timestamp() returns timestamptz language sql volatile
             as 'select pg_catalog.clock_timestamp() + by from skewed.skew'",
    ] {
        sqlx::query(sql).execute(pool).await.unwrap();
    }
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(pool).await.unwrap();
    let sql = format!("alter database {name} set search_path = skewed, public, pg_catalog");
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

async fn skew(pool: &PgPool, by: &str) {
    sqlx::query("update skewed.skew set by = $1::text::interval").bind(by).execute(pool).await.unwrap();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not in 20 s: {what}");
}

#[tokio::test]
async fn a_jump_that_is_taken_back_ends_no_message_and_no_readiness() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    skewable(&pool).await;
    let sim = Simulator::start(SimConfig::default(), ([127, 0, 0, 1], 0).into()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap();
    let mut settings = simulated::settings(Path::new("/nonexistent"), listen, &sim.url(), 60);
    unlimited(&mut settings);
    settings.server.workers = 1;
    let means = Means { database_url: database.url().to_owned(), code_keys: code_keys(), clock: None, migrate: false };
    let app = App::build(&settings, means).await.unwrap();
    let clock: Clock = app.clock.clone();
    let key = app.api.app_keys.create(&AppId::stored("shop"), "test").await.unwrap().key.expose().to_owned();
    let running = app.start(listener, Loops::Run).unwrap();
    let (url, http) = (format!("http://{listen}"), reqwest::Client::new());

    let mut ids = Vec::new();
    for n in 0..20 {
        let body = json!({ "to": format!("+62812{n:04}0003"), "code": "739150" }).to_string();
        let answer = http.post(format!("{url}/v1/messages")).bearer_auth(&key).body(body).send().await.unwrap();
        ids.push(
            serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()["id"].as_str().unwrap().to_owned(),
        );
    }
    let pending = async || -> i64 {
        let sql = "select count(*) from messages where outcome = 'pending' and code_sealed is not null";
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    for step in ["10 minutes", "-10 minutes"] {
        skew(&pool, step).await;
        until("the jump is seen", || clock.is_held()).await;
        // Each loop runs several times.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let ready = http.get(format!("{url}/readyz")).send().await.unwrap();
        assert_eq!((ready.status().as_u16(), pending().await), (200, 20), "after {step}");
        let replaced: i64 =
            sqlx::query_scalar("select count(*) from attempts where attempt_no > 1").fetch_one(&pool).await.unwrap();
        assert_eq!(replaced, 0, "no deadline fired after {step}");
        skew(&pool, "0").await;
        until("the clock is back", || !clock.is_held()).await;
    }
    assert_eq!(clock.steps(), 2);
    let check = http.post(format!("{url}/v1/messages/{}/check", ids[0])).bearer_auth(&key);
    let check = check.body(json!({ "code": "739150" }).to_string()).send().await.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&check.text().await.unwrap()).unwrap()["valid"],
        true,
        "the code is good all the while"
    );
    assert_eq!(pending().await, 19);
    running.stop(false).await;
    invariants::check(&pool, clock.now()).await;
    sim.stop().await;
    pool.close().await;
}
