//! Accounts that become silent or slow, through the simulator; what is counted; several instances on one table.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use otpost::app::{App, Means};
use otpost::config::Settings;
use otpost::domain::health::{Health, ReceiptHealth};
use otpost::domain::ids::MessageId;
use otpost::domain::receipt::Status;
use otpost::services::ledger::command::Command;
use otpost::simulator::{Laws, Mode};
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, code_keys, told, with_app, with_settings};

const META: &str = "meta-main";

fn number(n: usize) -> String {
    format!("+62812{n:04}1111")
}

/// Sends `count` messages at this rate.
async fn traffic(app: &TestApp, from: usize, count: usize, per_second: usize) {
    for n in 0..count {
        app.send(&number(from + n)).await;
        app.pass(Duration::from_millis(1000 / per_second as u64)).await;
    }
}

fn receipts(app: &TestApp, account: &str) -> ReceiptHealth {
    app.pulse.health(account, "ID").receipts
}

async fn events(app: &TestApp) -> Vec<(String, String, DateTime<Utc>, Value)> {
    sqlx::query_as("select account, event, at, detail from account_events order by at, event")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

/// What the table holds of an account, over all slots and instances.
async fn counted(app: &TestApp, account: &str) -> [i64; 5] {
    let sums: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select coalesce(sum(sent), 0)::bigint, coalesce(sum(heard), 0)::bigint, coalesce(sum(prompt), 0)::bigint,
                coalesce(sum(delivered), 0)::bigint, coalesce(sum(in_time), 0)::bigint
           from account_pulse where account = $1",
    )
    .bind(account)
    .fetch_one(&app.pool)
    .await
    .unwrap();
    [sums.0, sums.1, sums.2, sums.3, sums.4]
}

#[tokio::test]
async fn a_silence_is_noticed_within_eleven_seconds_and_ends_with_two_probes() {
    with_app(async |app| {
        traffic(app, 0, 60, 3).await;
        app.pass(Duration::from_secs(60)).await;
        traffic(app, 60, 15, 3).await;
        assert_eq!(receipts(app, META), ReceiptHealth::Arriving);
        assert!(!app.pulse.may_probe(META, app.clock.now()), "an account that is heard needs no probe");

        app.sim.set_mode(META, Mode::Silence).unwrap();
        let began = app.clock.now();
        traffic(app, 100, 32, 3).await;
        let noticed = events(app).await;
        let [(account, event, at, detail)] = &noticed[..] else { panic!("{noticed:?}") };
        assert_eq!((account.as_str(), event.as_str()), (META, "silent_began"));
        assert!(*at - began <= TimeDelta::seconds(11), "noticed after {}", *at - began);
        assert!(detail["usual_share"].as_f64().unwrap() > 0.9, "{detail}");
        assert_eq!(receipts(app, META), ReceiptHealth::Silent);
        assert_eq!(app.pulse.report().iter().filter(|a| a.state.health.receipts == ReceiptHealth::Silent).count(), 1);

        // Messages avoid it now, except for probes; their receipts are lost too, so it stays silent.
        let since = app.clock.now();
        for n in 0..100 {
            app.send(&number(200 + n)).await;
            app.pass(Duration::from_secs(1)).await;
        }
        let seen = app.sim.messages(None, 1000);
        let tried = seen.iter().filter(|m| m.account == META && m.received_at >= since).count();
        assert!((19..=20).contains(&tried), "one each five seconds: {tried}");
        assert_eq!(receipts(app, META), ReceiptHealth::Silent);

        app.sim.set_mode(META, Mode::Up).unwrap();
        let mut sent = 0;
        while receipts(app, META) == ReceiptHealth::Silent && sent < 30 {
            app.send(&number(400 + sent)).await;
            app.pass(Duration::from_secs(1)).await;
            sent += 1;
        }
        assert!((6..=15).contains(&sent), "two that are heard end it, one swallow makes no summer: {sent}");
        let all = events(app).await;
        let [_, (_, event, _, detail)] = &all[..] else { panic!("{all:?}") };
        assert_eq!(event, "silent_ended");
        let lasted_s = detail["lasted_s"].as_i64().unwrap();
        assert!((105..=130).contains(&lasted_s), "{detail}");
        let unheard = detail["unheard"].as_i64().unwrap();
        assert!((50..=54).contains(&unheard), "32 and 20 and perhaps what was just under way: {detail}");
    })
    .await;
}

#[tokio::test]
async fn an_account_that_never_gives_receipts_is_not_silent() {
    with_settings(
        |s| s.sending.breaker_failures = 1000,
        async |app| {
            app.sim.set_mode(META, Mode::Silence).unwrap();
            traffic(app, 0, 60, 2).await;
            app.pass(Duration::from_secs(90)).await;
            traffic(app, 60, 60, 2).await;
            assert_eq!(receipts(app, META), ReceiptHealth::Arriving);
            assert_eq!(events(app).await, []);
        },
    )
    .await;
}

/// A fifth of the messages stays silent, and a tenth of the callbacks is lost: that must not count as a silence.
#[tokio::test]
async fn a_bad_day_is_no_silence() {
    with_app(async |app| {
        let mut laws = Laws::default();
        laws.whatsapp.silent = 0.2;
        laws.whatsapp.lost = 0.1;
        app.sim.set_laws(laws);
        traffic(app, 0, 400, 3).await;
        assert_eq!(events(app).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_process_that_was_away_does_not_take_its_own_absence_for_silence() {
    with_app(async |app| {
        traffic(app, 0, 60, 3).await;
        app.pass(Duration::from_secs(70)).await;
        // Accepted by the provider, and then no instance runs that could receive a callback.
        for n in 0..20 {
            app.send(&number(100 + n)).await;
        }
        app.run_workers().await;
        app.clock.advance(TimeDelta::seconds(40));
        app.run_workers().await;
        assert_eq!(receipts(app, META), ReceiptHealth::Arriving);
        app.clock.advance(TimeDelta::seconds(1));
        app.run_workers().await;
        assert_eq!(receipts(app, META), ReceiptHealth::Arriving);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_is_slow_alone_loses_weight_and_one_that_is_slow_with_all_does_not() {
    let both =
        |s: &mut Settings| s.route.options.steps = vec!["meta-main".into(), "ycloud-wa".into(), "ycloud-sms".into()];
    with_settings(both, async |app| {
        let through = async |seconds: usize, from: usize| {
            for n in 0..seconds {
                app.send(&number(from + 2 * n)).await;
                // The other account of the channel, as another route would use it.
                let id = app.send(&number(from + 2 * n + 1)).await;
                sqlx::query("update attempts set account = 'ycloud-wa' where message_id = $1::uuid")
                    .bind(id)
                    .execute(&app.pool)
                    .await
                    .unwrap();
                app.pass(Duration::from_secs(1)).await;
            }
        };
        let weights = || ["meta-main", "ycloud-wa"].map(|account| app.pulse.health(account, "ID").weight);
        through(120, 0).await;
        assert_eq!(weights(), [1.0, 1.0]);
        app.sim.set_mode(META, Mode::Slow(12.0)).unwrap();
        through(100, 300).await;
        let [meta, ycloud] = weights();
        assert!(meta < 0.5 && ycloud == 1.0, "{meta} {ycloud}");
        let told = events(app).await;
        assert_eq!(told.iter().map(|e| (e.0.as_str(), e.1.as_str())).collect::<Vec<_>>(), [(META, "slow_began")]);

        app.sim.set_mode("ycloud-wa", Mode::Slow(12.0)).unwrap();
        through(140, 600).await;
        let [meta, ycloud] = weights();
        assert!(meta > 0.8 && ycloud > 0.7, "when all are slow nothing moves: {meta} {ycloud}");
        let told = events(app).await;
        assert_eq!(told.last().map(|e| (e.0.as_str(), e.1.as_str())), Some((META, "slow_ended")));
    })
    .await;
}

#[tokio::test]
async fn the_share_in_time_is_known_by_country() {
    with_app(async |app| {
        app.sim.set_fate("+628", serde_json::from_value(json!({ "whatsapp": "delivered" })).unwrap());
        traffic(app, 0, 30, 3).await;
        for n in 0..25 {
            let to = format!("+55119612{n:02}003");
            app.sim.set_fate(&to, serde_json::from_value(json!({ "whatsapp": "silent" })).unwrap());
            app.send(&to).await;
        }
        app.pass(Duration::from_secs(30)).await;
        let share = |country| app.pulse.health(META, country).in_time.unwrap();
        assert!(share("ID") > 0.99 && share("BR") < 0.1, "{} {}", share("ID"), share("BR"));
        assert_eq!(app.pulse.health(META, "GB").in_time, None, "other countries say nothing about this one");
        assert_eq!(app.pulse.health("cliqtel-wa", "ID"), Health::default());
        assert_eq!(app.pulse.health("nobody", "ID"), Health::default());
    })
    .await;
}

/// In whatever order receipts arrive, the table agrees with the attempts.
#[tokio::test]
async fn what_is_counted_is_what_the_attempts_say() {
    with_app(async |app| {
        let fates = ["0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012", "1111"];
        for (n, fate) in fates.iter().enumerate() {
            app.send(&format!("+62812{:04}{fate}", 3000 + n)).await;
            let id = app.post("/v1/messages", json!({ "to": number(4000 + n), "code": "739150" })).await.1["id"].clone();
            app.pass(Duration::from_millis(200)).await;
            app.post(&format!("/v1/messages/{}/check", id.as_str().unwrap()), json!({ "code": "739150" })).await;
        }
        app.pass(Duration::from_secs(60)).await;
        for account in ["meta-main", "ycloud-sms"] {
            let expected: (i64, i64, i64) = sqlx::query_as(
                "select count(*), count(least(sent_at, delivered_at, read_at, failed_at, verified_at)),
                        count(least(delivered_at, read_at, verified_at))
                   from (select a.*, case when m.outcome = 'verified' and m.attempt_count = 1 then m.settled_at end as verified_at
                           from attempts a join messages m using (bucket, message_id)
                          where a.account = $1 and a.accepted_at is not null) a",
            )
            .bind(account)
            .fetch_one(&app.pool)
            .await
            .unwrap();
            let [sent, heard, prompt, delivered, in_time] = counted(app, account).await;
            assert_eq!((sent, heard, delivered), expected, "{account}");
            assert!(prompt <= heard && in_time <= delivered && in_time > 0, "{account}");
        }
    })
    .await;
}

/// One instance sends, the other gets the receipts: together they see that all is well, and so does a third that starts
/// later.
#[tokio::test]
async fn instances_share_what_they_counted_and_agree() {
    with_app(async |app| {
        traffic(app, 0, 60, 3).await;
        app.pass(Duration::from_secs(70)).await;
        let before = counted(app, META).await;
        let other = beside(app).await;
        other.take_pulse.run_once().await.unwrap();
        assert_eq!(other.api.pulse.health(META, "ID"), app.pulse.health(META, "ID"));
        assert!(other.api.pulse.health(META, "ID").in_time.is_some(), "it was not there when they were sent");

        // Its callbacks go to the other instance only.
        for n in 0..30 {
            app.send(&number(100 + n)).await;
            app.run_workers().await;
            app.clock.advance(TimeDelta::milliseconds(300));
            relay(app, &other).await;
            other.take_pulse.run_once().await.unwrap();
        }
        app.clock.advance(TimeDelta::seconds(4));
        app.take_pulse.run_once().await.unwrap();
        other.take_pulse.run_once().await.unwrap();
        let after = counted(app, META).await;
        assert_eq!((after[0] - before[0], after[1] - before[1]), (30, 30));
        let instances: i64 = sqlx::query_scalar("select count(distinct instance) from account_pulse")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(instances, 2);
        for pulse in [&app.pulse, &other.api.pulse] {
            assert_eq!(pulse.health(META, "ID").receipts, ReceiptHealth::Arriving);
        }
    })
    .await;
}

#[tokio::test]
async fn a_silence_outlives_a_restart_and_is_told_once() {
    with_app(async |app| {
        traffic(app, 0, 60, 3).await;
        app.pass(Duration::from_secs(60)).await;
        let other = beside(app).await;
        other.take_pulse.run_once().await.unwrap();
        app.sim.set_mode(META, Mode::Silence).unwrap();
        for n in 0..30 {
            traffic(app, 100 + n, 1, 3).await;
            other.take_pulse.run_once().await.unwrap();
        }
        assert_eq!(receipts(app, META), ReceiptHealth::Silent);
        assert_eq!(other.api.pulse.health(META, "ID").receipts, ReceiptHealth::Silent);
        assert_eq!(events(app).await.len(), 1, "both noticed, one told");

        let restarted = beside(app).await;
        restarted.take_pulse.run_once().await.unwrap();
        assert_eq!(restarted.api.pulse.health(META, "ID").receipts, ReceiptHealth::Silent);
        app.sim.set_mode(META, Mode::Up).unwrap();
        traffic(app, 200, 6, 1).await;
        assert_eq!(receipts(app, META), ReceiptHealth::Arriving);
        restarted.take_pulse.run_once().await.unwrap();
        assert_eq!(restarted.api.pulse.health(META, "ID").receipts, ReceiptHealth::Arriving);
        assert_eq!(events(app).await.len(), 2);
    })
    .await;
}

/// The database is unavailable for a round: what was counted meanwhile is not lost, and not counted twice.
#[tokio::test]
async fn what_cannot_be_written_is_kept_for_the_next_round() {
    with_app(async |app| {
        app.send(&number(1)).await;
        app.pass(Duration::from_secs(1)).await;
        sqlx::query("alter table account_pulse rename to elsewhere").execute(&app.pool).await.unwrap();
        let id = app.send(&number(2)).await;
        app.dispatch.run_once().await.unwrap().sends.pop().unwrap().await.unwrap();
        app.clock.advance(TimeDelta::seconds(2));
        app.take_pulse.run_once().await.unwrap_err();
        sqlx::query("alter table elsewhere rename to account_pulse").execute(&app.pool).await.unwrap();
        app.pass(Duration::from_secs(10)).await;
        assert_eq!(app.message(&id).await["state"], "delivered");
        assert_eq!(counted(app, META).await, [2; 5]);
    })
    .await;
}

#[tokio::test]
async fn a_process_that_stops_writes_down_what_it_counted() {
    let app = TestApp::start(|_| {}).await;
    app.run_workers().await;
    app.send(&number(1)).await;
    app.dispatch.run_once().await.unwrap().sends.pop().unwrap().await.unwrap();
    let pool = sqlx::PgPool::connect(app.database.url()).await.unwrap();
    let sent = async || {
        sqlx::query_scalar::<_, Option<i64>>("select sum(sent)::bigint from account_pulse")
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    assert_eq!(sent().await, None, "its round is not due yet");
    let TestApp { running, database: _database, .. } = app;
    running.stop(false).await;
    assert_eq!(sent().await, Some(1));
}

#[tokio::test]
async fn slots_are_kept_for_two_hours() {
    with_app(async |app| {
        traffic(app, 0, 3, 1).await;
        app.pass(Duration::from_secs(10)).await;
        app.clock.advance(TimeDelta::minutes(119));
        app.run_workers().await;
        assert_eq!(counted(app, META).await[0], 3);
        app.clock.advance(TimeDelta::minutes(1));
        app.run_workers().await;
        assert_eq!(counted(app, META).await[0], 0);
    })
    .await;
}

#[tokio::test]
async fn accounts_that_are_not_watched_are_always_well() {
    with_settings(
        |s| s.health.watch = false,
        async |app| {
            traffic(app, 0, 30, 3).await;
            assert_eq!(app.pulse.health(META, "ID"), Health::default());
            assert_eq!(counted(app, META).await, [0; 5]);
        },
    )
    .await;
}

/// One more instance on the same database, without running loops.
async fn beside(app: &TestApp) -> Arc<App> {
    let means = Means {
        database_url: app.database.url().to_owned(),
        code_keys: code_keys(),
        clock: Some(app.clock.clone()),
        migrate: false,
    };
    Arc::new(App::build(&app.settings, means).await.expect("the app is built"))
}

/// Sends delivered receipts for everything in progress to the other instance.
async fn relay(app: &TestApp, other: &App) {
    let open: Vec<String> = sqlx::query_scalar("select message_id::text from attempts where state = 'accepted'")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    let told = |id: &String| told(META, MessageId::parse(id).unwrap(), Status::Delivered, app.clock.now());
    let commands: Vec<Command> = open.iter().map(told).collect();
    other.transitions.run(&commands).await.unwrap();
}
