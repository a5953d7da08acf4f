//! A bad or locked row stops its own message and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use otpost::services::delivery::{end_lives, replace};
use otpost::store::claims::{self, Claim};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::helpers::app::{TestApp, first_attempt, meta_body, meta_status, with_app, with_settings};

fn number(n: usize) -> String {
    format!("+62812{n:04}0003")
}

async fn run(app: &TestApp, sql: String) {
    sqlx::query(AssertSqlSafe(sql.clone())).execute(&app.pool).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

async fn count(app: &TestApp, what: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {what}"))).fetch_one(&app.pool).await.unwrap()
}

/// Messages whose WhatsApp was accepted and stays silent. Returns their ids, in order.
async fn waiting(app: &TestApp, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(app.send(&number(n)).await);
    }
    app.run_workers().await;
    ids
}

/// Runs the deadline loop until nothing is found; a round may fail. Returns how many were replaced.
async fn fire_deadlines(app: &TestApp) -> usize {
    let mut planned = 0;
    for _ in 0..50 {
        match replace::run_once(&app.transitions, &app.clock).await {
            Ok(round) if round.due == 0 => break,
            Ok(round) => planned += round.planned,
            Err(_) => {}
        }
    }
    planned
}

/// Columns that may contain unknown words of a newer version, and that this version only keeps.
#[tokio::test]
async fn words_of_a_newer_version_stop_nothing_and_stay_as_they_are() {
    for (table, column, check) in [
        ("attempts", "not_replaced", None),
        ("attempts", "timer_end", None),
        ("attempts", "reason", Some("attempts_reason_check")),
        ("attempts", "error_class", Some("attempts_error_class_check")),
    ] {
        let app = TestApp::start(|_| {}).await;
        let ids = waiting(&app, 3).await;
        if let Some(check) = check {
            run(&app, format!("alter table {table} drop constraint {check}")).await;
        }
        run(&app, format!("update {table} set {column} = 'of_tomorrow' where message_id = '{}'", ids[1])).await;
        app.pass(Duration::from_secs(16)).await;
        assert_eq!(count(&app, "attempts where attempt_no = 2").await, 3, "{column}");
        let kept = format!("{table} where {column} = 'of_tomorrow' and message_id = '{}'", ids[1]);
        let kept = count(&app, &kept).await;
        assert_eq!(kept, i64::from(column != "not_replaced" && column != "timer_end"), "{column}");
        assert_eq!(app.message(&ids[1]).await["state"], "accepted");
        app.stop().await;
    }
}

#[tokio::test]
async fn an_outcome_of_a_newer_version_is_settled_and_stays() {
    let app = TestApp::start(|_| {}).await;
    let ids = waiting(&app, 2).await;
    run(&app, "alter table messages drop constraint messages_outcome_check".to_owned()).await;
    let set = "outcome = 'of_tomorrow', settled_at = created_at, code_sealed = null";
    run(&app, format!("update messages set {set} where message_id = '{}'", ids[0])).await;
    let attempt = first_attempt(&ids[0]);
    let body = meta_body(&[meta_status(&attempt, "delivered", app.clock.now())]);
    assert_eq!(app.callback("meta-main", &body).await, 200);
    let (status, check) = app.post(&format!("/v1/messages/{}/check", ids[0]), json!({ "code": "123456" })).await;
    assert_eq!((status, &check["valid"]), (200, &json!(false)), "{check}");
    assert_eq!(count(&app, "messages where outcome = 'of_tomorrow' and state = 'delivered'").await, 1);
    app.pass(Duration::from_secs(16)).await;
    assert_eq!(count(&app, "attempts where attempt_no = 2").await, 1, "only the other one");
    app.stop().await;
}

/// Columns that decide what is done: an unknown word leaves the row to another version.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_left_alone_and_the_others_go_on() {
    for (sql, check) in [
        ("update attempts set channel = 'carrier_pigeon'", Some("attempts drop constraint attempts_channel_check")),
        ("update attempts set send_state = 'of_tomorrow'", Some("attempts drop constraint attempts_send_state_check")),
        ("update messages set route = '{\"steps\": 7}'", None),
        ("update messages set route = '[]'", None),
        ("update messages set calling_code_len = 3, country = 'ZZ', recipient = '+10000000'", None),
    ] {
        let app = TestApp::start(|_| {}).await;
        let ids = waiting(&app, 21).await;
        if let Some(check) = check {
            run(&app, format!("alter table {check}")).await;
        }
        run(&app, format!("{sql} where message_id = '{}'", ids[0])).await;
        app.clock.advance(TimeDelta::seconds(16));
        assert!(fire_deadlines(&app).await >= 20, "{sql}");
        // The sender, the end of lives and the recovery skip it too.
        app.run_workers().await;
        app.pass(Duration::from_secs(5)).await;
        assert!(app.sim.messages(None, 1000).iter().filter(|m| m.account == "ycloud-sms").count() >= 20, "{sql}");
        // A callback about this message and another is accepted; what cannot be applied waits.
        let statuses =
            [&ids[0], &ids[5]].map(|id| first_attempt(id)).map(|id| meta_status(&id, "delivered", app.clock.now()));
        assert_eq!(app.callback("meta-main", &meta_body(&statuses)).await, 200, "{sql}");
        app.clock.advance(TimeDelta::minutes(10));
        for _ in 0..5 {
            end_lives::run_once(&app.transitions, &app.clock).await.unwrap();
        }
        assert!(count(&app, "messages where outcome = 'pending'").await <= 1, "{sql}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_row_that_the_database_refuses_is_left_alone_and_the_others_go_on() {
    let app = TestApp::start(|_| {}).await;
    let ids = waiting(&app, 40).await;
    // Any change of this message is refused.
    let check = format!("check (message_id <> '{}') not valid", ids[7]);
    run(&app, format!("alter table attempts add constraint refused {check}")).await;
    app.clock.advance(TimeDelta::seconds(16));
    assert_eq!(fire_deadlines(&app).await, 39);
    assert_eq!(count(&app, "attempts where attempt_no = 2").await, 39);

    // The ledger halves a group too: the receipts of the others are applied, and the whole callback is accepted.
    let told = |id: &String| meta_status(&first_attempt(id), "delivered", app.clock.now());
    let statuses: Vec<Value> = ids.iter().map(told).collect();
    assert_eq!(app.callback("meta-main", &meta_body(&statuses)).await, 200);
    assert_eq!(count(&app, "attempts where attempt_no = 1 and state = 'delivered'").await, 39);
    assert_eq!(count(&app, "unmatched_receipts").await, 1, "what could not be applied is kept");
    run(&app, "alter table attempts drop constraint refused".to_owned()).await;
    app.stop().await;
}

#[tokio::test]
async fn locked_rows_hold_up_nobody_else() {
    with_app(async |app| {
        let ids = waiting(app, 120).await;
        let attempts: Vec<String> = ids.iter().map(|id| first_attempt(id)).collect();
        let mut holder = app.pool.begin().await.unwrap();
        let held: Vec<uuid::Uuid> = ids[..20].iter().map(|id| id.parse().unwrap()).collect();
        sqlx::query("select from messages where message_id = any ($1) for update")
            .bind(&held)
            .execute(&mut *holder)
            .await
            .unwrap();
        let post = async |attempt: &String| {
            let body = meta_body(&[meta_status(attempt, "delivered", app.clock.now())]);
            app.callback("meta-main", &body).await
        };
        let locked = futures_util::future::join_all(attempts[..20].iter().map(post));
        let others = futures_util::future::join_all(attempts[20..].iter().map(post));
        // Also one callback about both kinds.
        let mixed = [&attempts[0], &attempts[119]].map(|a| meta_status(a, "read", app.clock.now()));
        let mixed_body = meta_body(&mixed);
        let mixed = app.callback("meta-main", &mixed_body);
        let release = async {
            let others = others.await;
            assert!(others.iter().all(|status| *status == 200), "{others:?}");
            assert_eq!(count(app, "attempts where state = 'delivered'").await, 100);
            holder.rollback().await.unwrap();
        };
        let (locked, mixed, ()) = tokio::join!(locked, mixed, release);
        // What was locked is done as soon as it is free; on a slow machine a callback may have given up before.
        assert!(locked.iter().chain([&mixed]).all(|status| [200, 503].contains(status)), "{locked:?} {mixed}");
        for attempt in &attempts[..20] {
            assert_eq!(post(attempt).await, 200);
        }
        assert_eq!(app.callback("meta-main", &mixed_body).await, 200);
        assert_eq!(count(app, "attempts where state = 'delivered'").await, 120);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_is_held_for_long_fails_its_own_callback_alone() {
    with_app(async |app| {
        let ids = waiting(app, 2).await;
        let mut holder = app.pool.begin().await.unwrap();
        sqlx::query("select from messages where message_id = $1 for update")
            .bind(ids[0].parse::<uuid::Uuid>().unwrap())
            .execute(&mut *holder)
            .await
            .unwrap();
        let body = |id: &str| meta_body(&[meta_status(&first_attempt(id), "delivered", app.clock.now())]);
        assert_eq!(app.callback("meta-main", &body(&ids[0])).await, 503);
        assert_eq!(app.callback("meta-main", &body(&ids[1])).await, 200);
        // The deadlines skip it as well.
        app.clock.advance(TimeDelta::seconds(16));
        replace::run_once(&app.transitions, &app.clock).await.unwrap();
        holder.rollback().await.unwrap();
        assert_eq!(app.callback("meta-main", &body(&ids[0])).await, 200);
    })
    .await;
}

/// Two loops that look at the same moment claim different rows.
#[tokio::test]
async fn claims_do_not_collide() {
    with_app(async |app| {
        waiting(app, 30).await;
        app.clock.advance(TimeDelta::seconds(16));
        let now = app.clock.now();
        let database = &app.transitions.pool;
        let (mut one, mut two) = (database.begin().await.unwrap(), database.begin().await.unwrap());
        let first = claims::take(&mut one, &Claim::Overdue, now, 10, &[]).await.unwrap();
        let second = claims::take(&mut two, &Claim::Overdue, now, 50, &[]).await.unwrap();
        assert_eq!((first.len(), second.len()), (10, 20));
        assert!(first.iter().all(|row| !second.contains(row)));
        one.commit().await.unwrap();
        two.commit().await.unwrap();
        assert_eq!(fire_deadlines(app).await, 30);
        app.run_workers().await;
    })
    .await;
}

/// Thousands of failures in one callback, each of which issues a replacement; they do not delay another callback.
#[tokio::test]
async fn a_callback_of_thousands_of_failures_is_taken_and_delays_nobody() {
    const MANY: usize = 2500;
    with_settings(
        |_| {},
        async |app| {
            let accept = async |n: usize| app.send(&format!("+6281{n:05}4444")).await;
            let ids: Vec<String> = futures_util::future::join_all((0..MANY).map(accept)).await;
            let failed = ids.iter().map(|id| meta_status(&first_attempt(id), "failed", app.clock.now()));
            let body = meta_body(&failed.collect::<Vec<_>>());
            let single = app.send("+628129994444").await;
            let single = meta_body(&[meta_status(&first_attempt(&single), "delivered", app.clock.now())]);
            let large = app.callback("meta-main", &body);
            let over = AtomicBool::new(false);
            let small = async {
                // Until the large one is in progress.
                while count(app, "receipts").await == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                let (status, stored) = (app.callback("meta-main", &single).await, count(app, "receipts").await);
                let mut waits = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    assert_eq!(app.callback("meta-main", &single).await, 200);
                    waits.push(began.elapsed());
                }
                (status, stored, waits)
            };
            let large = async {
                let (began, status) = (Instant::now(), large.await);
                over.store(true, Ordering::Relaxed);
                (status, began.elapsed())
            };
            let ((large, took), (small, stored_by_then, waits)) = tokio::join!(large, small);
            println!(
                "{MANY} failures in one callback: {took:.1?}; {} others beside it, the slowest {:.1?}",
                waits.len(),
                waits.iter().max().unwrap_or(&Duration::ZERO)
            );
            assert_eq!((large, small), (200, 200));
            assert!(stored_by_then < MANY as i64, "the small one did not wait for the large one: {stored_by_then}");
            assert_eq!(count(app, "attempts where attempt_no = 2 and reason = 'failed'").await, MANY as i64);
        },
    )
    .await;
}
