//! Protection against SMS pumping: what is refused at the moment in which an SMS would leave.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::domain::limits::{Counter, Mode};
use otpost::domain::pumping::{Exception, SmsRule};
use otpost::store::sms_exceptions::{self, StoredException};
use otpost::store::sms_records::RecordKey;
use serde_json::json;

use crate::helpers::app::{TestApp, with_settings};
use crate::helpers::instance::Instance;

/// All rules are enforced.
fn enforced(settings: &mut Settings) {
    settings.pumping.rules.set_usual(Mode::Enforce);
}

/// Sends by SMS alone; returns the message's id.
async fn sms(app: &TestApp, to: &str) -> String {
    let (status, answer) = app.post("/v1/messages", json!({ "to": to, "channel": "sms", "code": "739150" })).await;
    assert_eq!(status, 202, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

/// SMS that reached the simulator.
fn left(app: &TestApp) -> usize {
    app.sim.messages(None, 100_000).into_iter().filter(|seen| seen.account.ends_with("sms")).count()
}

async fn decisions(app: &TestApp) -> Vec<(String, bool, i64)> {
    sqlx::query_as("select rule, enforced, count(*) from sms_decisions group by rule, enforced order by rule, enforced")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_pump_in_one_range_is_stopped_and_honest_people_are_not() {
    with_settings(enforced, async |app| {
        // Honest people of another range enter their code; the pump's numbers never do.
        for n in 0..60 {
            sms(app, &format!("+62812345{:04}", 1_000 + n)).await;
            let honest = sms(app, &format!("+62813777{:04}", 1_000 + n)).await;
            app.run_workers().await;
            let (_, checked) = app.post(&format!("/v1/messages/{honest}/check"), json!({ "code": "739150" })).await;
            assert_eq!(checked["valid"], true, "{n}: {checked}");
            app.pass(Duration::from_millis(500)).await;
        }
        let to = |prefix: &str| {
            let seen = app.sim.messages(None, 100_000);
            seen.into_iter().filter(|seen| seen.to.starts_with(prefix) && seen.account.ends_with("sms")).count()
        };
        assert_eq!((to("+62812345"), to("+62813777")), (15, 60));
        assert_eq!(decisions(app).await, [("sms_prefix_budget".to_owned(), true, 45)]);
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_shown_with_its_rule_and_costs_nothing() {
    with_settings(
        |settings| {
            enforced(settings);
            settings.pumping.rules.prefix.floor_per_hour = 1;
        },
        async |app| {
            sms(app, "+628123451001").await;
            app.run_workers().await;
            let refused = sms(app, "+628123451002").await;
            app.pass(Duration::from_secs(10)).await;
            let message = app.message(&refused).await;
            assert_eq!(message["attempts"][0]["error_code"], "sms_prefix_budget", "{message}");
            assert_eq!(
                (&message["state"], &message["channel"]),
                (&json!("delivered"), &json!("whatsapp")),
                "{message}"
            );
            assert_eq!(left(app), 1);
            let spent: i64 = sqlx::query_scalar(
                "select (record->'days'->0->>'micros')::bigint from sms_records where counter = 'app'",
            )
            .fetch_one(&app.pool)
            .await
            .unwrap();
            assert_eq!(spent, 40_000);
        },
    )
    .await;
}

#[tokio::test]
async fn a_range_that_is_closed_after_the_start_gets_no_replacement() {
    with_settings(enforced, async |app| {
        // WhatsApp fails at once.
        let to = "+628123450002";
        let id = app.send(to).await;
        let key = RecordKey { app: AppId::stored("*"), counter: Counter::Prefix, key: "+62812345".to_owned() };
        let block = StoredException {
            key: key.clone(),
            decision: Exception::Block,
            reason: "a test".to_owned(),
            until: app.clock.now() + TimeDelta::hours(1),
            created_at: app.clock.now(),
        };
        sms_exceptions::put(&app.store(), &block).await.unwrap();
        app.pass(Duration::from_secs(20)).await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"][1]["error_code"], "sms_blocked", "{message}");
        assert_eq!((left(app), &message["outcome"]), (0, &json!("failed")));
        assert!(sms_exceptions::remove(&app.store(), &key).await.unwrap());
        app.send("+628123450005").await;
        app.pass(Duration::from_secs(20)).await;
        assert_eq!(left(app), 1);
    })
    .await;
}

#[tokio::test]
async fn a_country_that_is_not_listed_gets_whatsapp_alone() {
    with_settings(
        |settings| settings.pumping.rules.countries = Some(BTreeSet::from(["BR".to_owned()])),
        async |app| {
            let listed = app.send("+5511981230002").await;
            let other = app.send("+628123450002").await;
            let whatsapp = app.send("+628123450001").await;
            app.pass(Duration::from_secs(20)).await;
            assert_eq!(app.message(&listed).await["state"], "delivered");
            assert_eq!(app.message(&other).await["attempts"][1]["error_code"], "sms_country");
            assert_eq!(app.message(&whatsapp).await["state"], "delivered");
        },
    )
    .await;
}

#[tokio::test]
async fn two_instances_spend_no_more_than_the_cap() {
    with_settings(
        |settings| {
            settings.pumping.rules.set(SmsRule::AppCap, Mode::Enforce);
            settings.pumping.rules.app_cap_micros = 1_000_000;
        },
        async |app| {
            let other = Instance::beside(app).await;
            for n in 0..60 {
                sms(app, &format!("+62812{n:04}1234")).await;
            }
            tokio::join!(app.run_workers(), other.work());
            assert_eq!(left(app), 25, "0.04 each");
            assert_eq!(decisions(app).await, [("sms_app_cap".to_owned(), true, 35)]);
            other.running.stop(false).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_rule_that_is_only_recorded_refuses_nothing() {
    with_settings(
        |settings| settings.pumping.rules.prefix.floor_per_hour = 5,
        async |app| {
            for n in 0..12 {
                sms(app, &format!("+62812345{:04}", 1_000 + n)).await;
            }
            app.run_workers().await;
            assert_eq!((left(app), decisions(app).await), (12, vec![("sms_prefix_budget".to_owned(), false, 7)]));
        },
    )
    .await;
}
