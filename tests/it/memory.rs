//! The memory of numbers: learned through the simulator, expired in time, and never readable.

use std::time::Duration;

use chrono::TimeDelta;
use otpost::domain::app_id::AppId;
use otpost::domain::code_keys::{CodeKey, CodeKeys};
use otpost::domain::ids::MessageId;
use otpost::domain::memory::Memory;
use otpost::domain::phone::Phone;
use otpost::domain::receipt::Status;
use otpost::services::routing::memory::NumberMemory;
use otpost::services::upkeep::forget;
use otpost::services::upkeep::forget_number::forget_number;
use otpost::simulator::Mode;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::helpers::app::{TestApp, meta_body, meta_status, told, with_app, with_settings};

const NOTHING: Memory = Memory { not_on_whatsapp: false, answers_by_sms: false };
const BY_SMS: Memory = Memory { not_on_whatsapp: false, answers_by_sms: true };
const BOTH: Memory = Memory { not_on_whatsapp: true, answers_by_sms: true };
const NOT_ON: Memory = Memory { not_on_whatsapp: true, answers_by_sms: false };

async fn recall(app: &TestApp, number: &str) -> Memory {
    app.memory.recall(&AppId::stored("shop"), &Phone::parse(number).unwrap()).await
}

async fn rows(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from number_memory").fetch_one(&app.pool).await.unwrap()
}

#[tokio::test]
async fn each_fate_teaches_what_the_next_message_needs() {
    with_app(async |app| {
        let fates = [
            ("+628123450001", NOTHING),
            ("+628123450002", BOTH),
            ("+628123450003", BY_SMS),
            // WhatsApp was late, but arrived.
            ("+628123450004", NOTHING),
            ("+628123450005", NOT_ON),
            ("+628123450006", NOTHING),
            // It is unknown whether the WhatsApp message was accepted.
            ("+628123450009", NOTHING),
            // The account's limit says nothing about the number.
            ("+628123450010", NOTHING),
            ("+628123450011", NOTHING),
        ];
        for (number, _) in fates {
            app.send(number).await;
        }
        app.pass(Duration::from_secs(45)).await;
        for (number, expected) in fates {
            assert_eq!(recall(app, number).await, expected, "{number}");
        }
        assert_eq!(rows(app).await, 5, "numbers that WhatsApp reached at once have no row");
    })
    .await;
}

#[tokio::test]
async fn a_code_that_comes_back_after_the_sms_teaches_as_a_receipt_does() {
    with_app(async |app| {
        let number = "+628123450003";
        app.sim.set_fate(number, serde_json::from_value(json!({ "whatsapp": "silent", "sms": "silent" })).unwrap());
        let id = app.send(number).await;
        app.pass(Duration::from_secs(20)).await;
        assert_eq!(recall(app, number).await, NOTHING);
        let code = app.sim.messages(Some(number), 1)[0].code.clone().unwrap();
        app.post(&format!("/v1/messages/{id}/check"), json!({ "code": code })).await;
        assert_eq!(recall(app, number).await, BY_SMS);
    })
    .await;
}

#[tokio::test]
async fn a_whatsapp_that_arrives_undoes_what_was_remembered() {
    with_app(async |app| {
        let number = "+628123450002";
        let first = app.send(number).await;
        app.pass(Duration::from_secs(10)).await;
        assert_eq!(recall(app, number).await, BOTH);
        let attempt = app.message(&first).await["attempts"][0]["attempt_id"].as_str().unwrap().to_owned();
        let now = app.clock.now();
        assert_eq!(app.callback("meta-main", &meta_body(&[meta_status(&attempt, "delivered", now)])).await, 200);
        assert_eq!(recall(app, number).await, NOTHING);
        let erased: bool = sqlx::query_scalar(
            "select whatsapp_delivered_at = $1 and not_on_whatsapp_at is null and answers_by_sms_at is null from number_memory",
        )
        .bind(now)
        .fetch_one(&app.pool)
        .await
        .unwrap();
        assert!(erased);

        app.send(number).await;
        app.pass(Duration::from_secs(10)).await;
        assert_eq!(recall(app, number).await, BOTH, "and it is learned anew");
        assert_eq!(rows(app).await, 1);
    })
    .await;
}

/// Both messages of a number in one group: the number occurs in the statement once.
#[tokio::test]
async fn two_messages_of_a_number_in_one_callback_teach_together() {
    with_app(async |app| {
        let number = "+628123450003";
        let ids = [app.send(number).await, app.send(number).await];
        app.run_workers().await;
        let mut attempts = Vec::new();
        for id in &ids {
            attempts.push(app.message(id).await["attempts"][0]["attempt_id"].as_str().unwrap().to_owned());
        }
        let now = app.clock.now();
        let both =
            |one, other| meta_body(&[meta_status(&attempts[0], one, now), meta_status(&attempts[1], other, now)]);
        assert_eq!(app.callback("meta-main", &both("failed", "failed")).await, 200);
        assert_eq!(recall(app, number).await, NOT_ON);
        assert_eq!(app.callback("meta-main", &both("delivered", "failed")).await, 200);
        assert_eq!(recall(app, number).await, NOTHING);
    })
    .await;
}

/// A writer that waits for the first of its numbers holds none of the others, so two writers cannot deadlock.
#[tokio::test]
async fn numbers_are_written_in_the_order_of_their_keys() {
    with_app(async |app| {
        let mut groups: [Vec<MessageId>; 2] = Default::default();
        for n in 0..40 {
            for group in &mut groups {
                group.push(MessageId::parse(&app.send(&format!("+6281234{n:02}0003")).await).unwrap());
            }
        }
        app.run_workers().await;
        let [first, second] = groups.map(|group| {
            let told = |id: MessageId| told("meta-main", id, Status::Failed, app.clock.now());
            group.into_iter().map(told).collect::<Vec<_>>()
        });
        app.transitions.run(&first).await.unwrap();
        assert_eq!(rows(app).await, 40);

        let mut holder = app.pool.begin().await.unwrap();
        sqlx::query("select from number_memory order by bucket, number_hash limit 1 for update")
            .execute(&mut *holder)
            .await
            .unwrap();
        let transitions = app.transitions.clone();
        let writer = tokio::spawn(async move { transitions.run(&second).await.map(|_| ()) });
        let waiting = "select count(*) from pg_stat_activity where datname = current_database()
                          and wait_event_type = 'Lock' and query like '-- number_memory.write%'";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&app.pool).await.unwrap() == 0 {
            assert!(!writer.is_finished(), "it did not wait");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let free: i64 =
            sqlx::query_scalar("select count(*) from (select from number_memory for update skip locked) as free")
                .fetch_one(&app.pool)
                .await
                .unwrap();
        holder.rollback().await.unwrap();
        assert_eq!(free, 39);
        writer.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_remembered_is_forgotten_in_time_and_on_request() {
    with_settings(
        |s| s.memory.remember_for = Some(TimeDelta::hours(2)),
        async |app| {
            app.send("+628123450002").await;
            app.pass(Duration::from_secs(10)).await;
            app.clock.advance(TimeDelta::minutes(119));
            assert_eq!(recall(app, "+628123450002").await, BOTH);
            // A lesson of another kind must not prolong the first one.
            app.sim.set_fate("+628123450002", serde_json::from_value(json!({ "whatsapp": "silent" })).unwrap());
            let wish = json!({ "to": "+628123450002", "channel": "whatsapp" });
            assert_eq!(app.post("/v1/messages", wish).await.0, 202);
            app.pass(Duration::from_secs(30)).await;
            app.clock.advance(TimeDelta::minutes(1));
            assert_eq!(recall(app, "+628123450002").await, BY_SMS);
            app.run_workers().await;
            forget::run_once(&app.transitions.pool, &app.clock).await.unwrap();
            assert_eq!(rows(app).await, 1, "some of it is still remembered");
            app.clock.advance(TimeDelta::hours(2));
            assert_eq!(recall(app, "+628123450002").await, NOTHING, "also before its row is deleted");
            app.run_workers().await;
            forget::run_once(&app.transitions.pool, &app.clock).await.unwrap();
            assert_eq!(rows(app).await, 0);

            app.send("+628123460002").await;
            app.pass(Duration::from_secs(10)).await;
            let phone = Phone::parse("+628123460002").unwrap();
            assert!(!app.forget(&phone).await.is_empty());
            assert!(app.forget(&phone).await.is_empty());
            assert_eq!((recall(app, "+628123460002").await, rows(app).await), (NOTHING, 0));
        },
    )
    .await;
}

#[tokio::test]
async fn a_rotated_key_still_finds_what_was_remembered_under_the_old_one() {
    with_app(async |app| {
        app.send("+628123450002").await;
        app.pass(Duration::from_secs(10)).await;
        let phone = Phone::parse("+628123450002").unwrap();
        let with_keys = |ids: &[(i16, u8)]| {
            let keys = ids.iter().map(|(id, byte)| CodeKey::new(*id, &[*byte; 32]).unwrap()).collect();
            NumberMemory { keys: CodeKeys::new(keys).unwrap(), ..app.memory.clone() }
        };
        assert_eq!(with_keys(&[(2, 8), (1, 7)]).recall(&AppId::stored("shop"), &phone).await, BOTH);
        assert_eq!(
            with_keys(&[(2, 8)]).recall(&AppId::stored("shop"), &phone).await,
            NOTHING,
            "without the key nobody finds it"
        );
        let keys = with_keys(&[(2, 8), (1, 7)]).keys;
        assert_eq!(forget_number(&app.store(), &keys, &phone).await.unwrap(), ["number_memory"]);
        assert_eq!(rows(app).await, 0);
    })
    .await;
}

#[tokio::test]
async fn neither_a_number_nor_its_plain_hash_is_in_the_table() {
    with_app(async |app| {
        let numbers = ["+628123450002", "+628123450003", "+628123450005"];
        for number in numbers {
            app.send(number).await;
        }
        app.pass(Duration::from_secs(30)).await;
        let rows: Vec<String> =
            sqlx::query_scalar("select m::text from number_memory m").fetch_all(&app.pool).await.unwrap();
        assert_eq!(rows.len(), numbers.len());
        for number in numbers {
            let digits = &number[1..];
            for text in [number, digits] {
                let plain = [text.to_owned(), hex::encode(text), hex::encode(Sha256::digest(text))];
                assert!(!rows.iter().any(|row| plain.iter().any(|p| row.contains(p))), "{text} in {rows:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_memory_that_is_switched_off_neither_learns_nor_tells() {
    with_settings(
        |s| s.memory.remember_for = None,
        async |app| {
            app.send("+628123450002").await;
            app.pass(Duration::from_secs(10)).await;
            assert_eq!((recall(app, "+628123450002").await, rows(app).await), (NOTHING, 0));
        },
    )
    .await;
}

#[tokio::test]
async fn a_memory_that_cannot_be_asked_is_empty() {
    with_app(async |app| {
        app.send("+628123450002").await;
        app.pass(Duration::from_secs(10)).await;
        sqlx::query("alter table number_memory rename to elsewhere").execute(&app.pool).await.unwrap();
        assert_eq!(recall(app, "+628123450002").await, NOTHING);
        sqlx::query("alter table elsewhere rename to number_memory").execute(&app.pool).await.unwrap();
        assert_eq!(recall(app, "+628123450002").await, BOTH);
    })
    .await;
}

/// A silent account teaches nothing about the numbers that it did not reach.
#[tokio::test]
async fn a_silence_of_the_account_is_not_held_against_the_number() {
    with_app(async |app| {
        for n in 0..30 {
            app.send(&format!("+6281234{n:02}1111")).await;
            app.pass(Duration::from_secs(3)).await;
        }
        app.pass(Duration::from_secs(60)).await;
        app.sim.set_mode("meta-main", Mode::Silence).unwrap();
        let unheard: Vec<String> = (30..50).map(|n| format!("+6281234{n:02}1111")).collect();
        for number in &unheard {
            app.send(number).await;
            app.pass(Duration::from_secs(1)).await;
        }
        app.pass(Duration::from_secs(30)).await;
        let by_sms = app.sim.phone(&unheard[0]).received.sms;
        assert_eq!(by_sms, 1, "the SMS did come");
        for number in &unheard {
            assert_eq!(recall(app, number).await, NOTHING, "{number}");
        }
    })
    .await;
}
