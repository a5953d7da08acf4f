//! Whose receipts count, and how often: shared secrets, names that count once, and receipts that wait.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use otpost::config::Settings;
use otpost::domain::secret::Secret;
use otpost::providers::registry::meta::MetaConfig;
use otpost::services::delivery::recover;
use otpost::services::upkeep::forget;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::helpers::app::{TestApp, callback_id, first_attempt, meta_body, meta_status, with_settings};

async fn count(app: &TestApp, what: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {what}"))).fetch_one(&app.pool).await.unwrap()
}

/// A second number of Meta's, first in the route; `secret`: that of its app, when it differs from the first number's.
fn second_number(secret: Option<&'static str>) -> impl Fn(&mut Settings) {
    move |settings| {
        let mut account = settings.accounts["meta-main"].clone();
        let config = account.provider.config_mut::<MetaConfig>().expect("Meta's");
        if let Some(secret) = secret {
            config.app_secrets = vec![Secret::new(secret)];
        }
        settings.accounts.insert("meta-second".to_owned(), account);
        settings.route.options.steps = vec!["meta-second".to_owned(), "ycloud-sms".to_owned()];
    }
}

/// Meta has one callback address for each app: the second number's receipts come to the first account's.
#[tokio::test]
async fn accounts_that_share_a_secret_are_one_for_receipts() {
    with_settings(second_number(None), async |app| {
        let id = app.send("+628123450001").await;
        app.pass(Duration::from_secs(40)).await;
        let message = app.message(&id).await;
        assert_eq!(
            (&message["state"], &message["attempts"][0]["account"]),
            (&json!("delivered"), &json!("meta-second"))
        );
        assert_eq!(message["attempts"].as_array().unwrap().len(), 1, "no SMS is paid");
        assert_eq!(
            (count(app, "unmatched_receipts").await, count(app, "receipts where account = 'meta-second'").await),
            (0, 3)
        );
    })
    .await;
}

#[tokio::test]
async fn an_account_with_another_secret_is_not_spoken_for() {
    with_settings(second_number(Some("the secret of another app")), async |app| {
        let id = app.send("+628123450003").await;
        app.run_workers().await;
        let body = meta_body(&[meta_status(&first_attempt(&id), "delivered", app.clock.now())]);
        assert_eq!(app.callback("meta-main", &body).await, 200);
        assert_eq!(app.message(&id).await["state"], "accepted");
        assert_eq!(count(app, "unmatched_receipts").await, 1, "it is kept, and the log says why");
    })
    .await;
}

/// Without our reference, the provider's id is looked up under each account that proves the callback.
#[tokio::test]
async fn ids_of_the_provider_are_found_under_each_account_that_shares_the_secret() {
    let second = |settings: &mut Settings| {
        let account = settings.accounts["cliqtel-wa"].clone();
        settings.accounts.insert("cliqtel-second".to_owned(), account);
        settings.route.options.steps = vec!["cliqtel-second".to_owned(), "ycloud-sms".to_owned()];
    };
    with_settings(second, async |app| {
        let id = app.send("+628123450003").await;
        app.run_workers().await;
        let name = app.sim.messages(None, 1)[0].provider_id.clone().unwrap();
        let body = json!({ "event": "message.status", "data": { "id": name, "status": "delivered" } }).to_string();
        assert_eq!(app.callback("cliqtel-wa", &body).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
        // One that came before its id waits, and is found at the next check.
        let other = app.send("+628123460003").await;
        let early = json!({ "event": "message.status", "data": { "id": "early", "status": "delivered" } }).to_string();
        assert_eq!(app.callback("cliqtel-wa", &early).await, 200);
        app.run_workers().await;
        sqlx::query("update provider_ids set provider_message_id = 'early', slot = $2 where attempt_id = $1")
            .bind(first_attempt(&other).parse::<uuid::Uuid>().unwrap())
            .bind(otpost::store::slot(&["cliqtel-second", "early"]))
            .execute(&app.pool)
            .await
            .unwrap();
        app.clock.advance(TimeDelta::seconds(2));
        assert_eq!(recover::waiting_receipts(&app.callbacks.apply, app.clock.now()).await.unwrap(), (1, 1));
        assert_eq!(app.message(&other).await["state"], "delivered");
    })
    .await;
}

fn through_engagelab(settings: &mut Settings) {
    settings.route.options.steps = vec!["engagelab-wa".to_owned()];
}

/// A message of EngageLab's and a callback about it.
async fn about_engagelab(app: &TestApp, status: &str) -> (String, String) {
    let id = app.send("+628123450003").await;
    app.run_workers().await;
    let name = app.sim.messages(None, 1)[0].provider_id.clone().unwrap();
    let row = json!({ "message_id": name, "status": { "message_status": status } });
    (id, json!({ "total": 1, "rows": [row] }).to_string())
}

async fn post(app: &TestApp, url: &str, nonce: &str, body: &str) -> u16 {
    let header = callback_id(nonce, app.clock.now());
    let request = app.http.post(format!("{url}/webhooks/engagelab-wa")).header("X-CALLBACK-ID", header);
    request.body(body.to_owned()).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_name_that_counts_once_counts_once_in_parallel_and_after_a_restart() {
    with_settings(through_engagelab, async |app| {
        let (id, body) = about_engagelab(app, "sent").await;
        let answers = join_all((0..200).map(|_| post(app, &app.url, "once", &body))).await;
        assert!(answers.contains(&200) && answers.iter().all(|status| [200, 503].contains(status)), "{answers:?}");
        assert_eq!(count(app, "receipts").await, 1);
        assert_eq!(app.message(&id).await["state"], "sent");
        // Another process knows it too.
        let other = app.one_more(&app.settings).await;
        let headers = vec![("x-callback-id".to_owned(), callback_id("once", app.clock.now()).into_bytes())];
        let taken = other.api.callbacks.run("engagelab-wa", &headers, "", body.as_bytes()).await.unwrap();
        assert!(taken.dispositions.is_empty() && count(app, "receipts").await == 1);
        let forged = body.replace("sent", "delivered");
        assert!(other.api.callbacks.run("engagelab-wa", &headers, "", forged.as_bytes()).await.is_err());
        assert_eq!(app.message(&id).await["state"], "sent");
        // Names are deleted when they are too old to be accepted.
        app.clock.advance(TimeDelta::minutes(30));
        app.run_workers().await;
        forget::run_once(&app.transitions.pool, &app.clock).await.unwrap();
        assert_eq!(count(app, "callback_nonces").await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_could_not_be_made_durable_may_come_again_under_its_name() {
    with_settings(through_engagelab, async |app| {
        let (id, body) = about_engagelab(app, "delivered").await;
        let mut holder = app.pool.begin().await.unwrap();
        sqlx::query("select from messages for update").execute(&mut *holder).await.unwrap();
        assert_eq!(post(app, &app.url, "again", &body).await, 503);
        let forged = body.replace("delivered", "sent");
        assert_eq!(post(app, &app.url, "again", &forged).await, 401, "the name stays with its body");
        holder.rollback().await.unwrap();
        assert_eq!(post(app, &app.url, "again", &body).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
        // A process that died in between is taken over from after some seconds.
        sqlx::query("update callback_nonces set taken_at = null").execute(&app.pool).await.unwrap();
        assert_eq!(post(app, &app.url, "again", &body).await, 503, "somebody may be at it");
        sqlx::query("update callback_nonces set reserved_at = reserved_at - interval '11 seconds'")
            .execute(&app.pool)
            .await
            .unwrap();
        assert_eq!(post(app, &app.url, "again", &body).await, 200);
    })
    .await;
}

/// Receipts with foreign ids cost a bounded check each time, ever less often, and hide nothing.
#[tokio::test]
async fn strangers_receipts_are_looked_at_a_bounded_number_of_times() {
    const STRANGERS: i64 = 20_000;
    with_settings(|_| {}, async |app| {
        let sql = format!(
            "insert into unmatched_receipts (slot, receipt_id, account, provider_message_id, callback_id, status, received_at)
             select n % 256, gen_random_uuid(), 'meta-main', 'stranger-' || n, gen_random_uuid(), 'sent', $1
               from generate_series(1, {STRANGERS}) n"
        );
        sqlx::query(AssertSqlSafe(sql)).bind(app.clock.now()).execute(&app.pool).await.unwrap();
        let explain: Vec<String> = sqlx::query_scalar(
            "explain select from unmatched_receipts where looks < 5 and coalesce(look_at, received_at) <= now()
              order by coalesce(look_at, received_at) limit 500 for update skip locked",
        )
        .fetch_all(&app.pool)
        .await
        .unwrap();
        assert!(explain.join("\n").contains("unmatched_receipts_to_look_at"), "{explain:#?}");

        let look = async || recover::waiting_receipts(&app.callbacks.apply, app.clock.now()).await.unwrap();
        assert_eq!(look().await, (500, 0));
        let (one, two) = tokio::join!(look(), look());
        assert_eq!((one.0, two.0), (500, 500), "instances take different ones");
        let mut looks = 3;
        while look().await.0 > 0 {
            looks += 1;
        }
        assert_eq!(looks, STRANGERS / 500);
        assert_eq!(look().await, (0, 0), "nothing is due now");
        // Each is checked five times in all, and then only kept.
        sqlx::query("update unmatched_receipts set looks = 5").execute(&app.pool).await.unwrap();
        app.clock.advance(TimeDelta::hours(2));
        assert_eq!(look().await, (0, 0));
        assert_eq!(count(app, "unmatched_receipts").await, STRANGERS);
        // A word that only a newer version knows hides nothing either.
        sqlx::query("alter table unmatched_receipts drop constraint unmatched_receipts_status_check").execute(&app.pool).await.unwrap();
        sqlx::query("update unmatched_receipts set looks = 0, look_at = null, status = 'of_tomorrow' where slot = 7")
            .execute(&app.pool)
            .await
            .unwrap();
        assert_eq!(recover::waiting_receipts(&app.callbacks.apply, app.clock.now()).await.unwrap().1, 0);
        sqlx::query("delete from unmatched_receipts").execute(&app.pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_old_goes_as_fast_as_it_came() {
    with_settings(
        |_| {},
        async |app| {
            let old = app.clock.now() - TimeDelta::hours(25);
            sqlx::query(
                "insert into idempotency_keys (slot, app, key, key_id, body_hash, message_id, answer, created_at)
             select n % 256, 'shop', 'k' || n, 1, sha256('x'), gen_random_uuid(), '{}', $1
               from generate_series(1, 9000) n",
            )
            .bind(old)
            .execute(&app.pool)
            .await
            .unwrap();
            let removed = forget::run_once(&app.transitions.pool, &app.clock).await.unwrap();
            assert_eq!((removed, count(app, "idempotency_keys").await), (9000, 0), "in one run");
        },
    )
    .await;
}

/// A receipt about a message that could not be changed just now is applied when it can.
#[tokio::test]
async fn a_receipt_that_was_parked_for_its_message_is_applied_later() {
    with_settings(
        |_| {},
        async |app| {
            let id = app.send("+628123450003").await;
            app.run_workers().await;
            sqlx::query("alter table attempts drop constraint attempts_channel_check")
                .execute(&app.pool)
                .await
                .unwrap();
            sqlx::query("update attempts set channel = 'of_tomorrow'").execute(&app.pool).await.unwrap();
            let body = meta_body(&[meta_status(&first_attempt(&id), "delivered", app.clock.now())]);
            assert_eq!(app.callback("meta-main", &body).await, 200);
            assert_eq!(count(app, "unmatched_receipts").await, 1);
            sqlx::query("update attempts set channel = 'whatsapp'").execute(&app.pool).await.unwrap();
            assert_eq!(recover::waiting_receipts(&app.callbacks.apply, app.clock.now()).await.unwrap(), (1, 1));
            let message: Value = app.message(&id).await;
            assert_eq!((&message["state"], count(app, "unmatched_receipts").await), (&json!("delivered"), 0));
        },
    )
    .await;
}
