//! Accounts that were removed from the settings while messages still have them in their routes.

use chrono::TimeDelta;
use otpost::app::App;
use otpost::services::delivery::orphans::{Orphans, UNSERVED_AFTER};

use crate::helpers::app::{TestApp, with_app};

/// The instance after a restart with settings that have no `meta-main` any more.
async fn restarted(app: &TestApp) -> App {
    let mut settings = app.settings.clone();
    settings.accounts.remove("meta-main");
    settings.route.options.steps.remove(0);
    app.one_more(&settings).await
}

async fn send_all(instance: &App) {
    for send in instance.dispatch.run_once().await.expect("the sender goes round").sends {
        send.await.expect("a send ends");
    }
}

async fn sweep(orphans: &mut Orphans, instance: &App) -> usize {
    let swept = orphans.run_once(&instance.transitions, &instance.clock, &instance.accounts).await;
    swept.expect("the database answers")
}

#[tokio::test]
async fn what_waits_for_an_account_that_is_gone_moves_on_to_the_next_step() {
    with_app(async |app| {
        let id = app.send("+628123450001").await;
        let restarted = restarted(app).await;
        let mut orphans = Orphans::default();
        assert_eq!(sweep(&mut orphans, &restarted).await, 0);
        app.clock.advance(UNSERVED_AFTER - TimeDelta::milliseconds(1));
        send_all(&restarted).await;
        assert_eq!(sweep(&mut orphans, &restarted).await, 0, "another instance may know it");
        app.clock.advance(TimeDelta::milliseconds(1));
        assert_eq!(sweep(&mut orphans, &restarted).await, 1);
        send_all(&restarted).await;

        let message = app.message(&id).await;
        let first = &message["attempts"][0];
        assert_eq!((&first["send_state"], &first["state"]), (&"rejected".into(), &"failed".into()), "{message:#}");
        assert_eq!(first["error_code"], "account_unknown", "{message:#}");
        assert_eq!(first["error_class"], "config_error", "{message:#}");
        assert_eq!(message["attempts"][1]["reason"], "failed", "{message:#}");
        assert_eq!(message["attempts"][1]["send_state"], "accepted", "{message:#}");
        let phone = app.sim.phone("+628123450001");
        assert_eq!((phone.requests.whatsapp, phone.requests.sms), (0, 1));
        assert_eq!(sweep(&mut orphans, &restarted).await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_account_that_another_instance_serves_slowly_is_left_to_it() {
    with_app(async |app| {
        for n in 0..4 {
            app.send(&format!("+62812345{n}001")).await;
            app.clock.advance(TimeDelta::milliseconds(1));
        }
        let restarted = restarted(app).await;
        let mut orphans = Orphans::default();
        // One at a time, each after most of the wait: more than 15 s pass for the last of them.
        for _ in 0..4 {
            assert_eq!(sweep(&mut orphans, &restarted).await, 0);
            app.clock.advance(TimeDelta::seconds(14));
            let account = app.dispatch.accounts.get("meta-main").expect("it is known here");
            let others = account.permits.acquire_many(account.concurrency - 1).await.expect("permits");
            let round = app.dispatch.run_once().await.expect("the sender goes round");
            assert_eq!(round.sends.len(), 1);
            for send in round.sends {
                send.await.expect("a send ends");
            }
            drop(others);
        }
        assert_eq!(sweep(&mut orphans, &restarted).await, 0);
        let rejected: i64 = sqlx::query_scalar("select count(*) from attempts where send_state = 'rejected'")
            .fetch_one(&app.pool)
            .await
            .expect("a count");
        assert_eq!(rejected, 0);
    })
    .await;
}

#[tokio::test]
async fn the_last_step_of_a_route_fails_with_its_account() {
    with_app(async |app| {
        let id = app.send("+628123450001").await;
        app.run_workers().await;
        let mut settings = app.settings.clone();
        settings.accounts.remove("ycloud-sms");
        settings.route.options.steps.pop();
        let restarted = app.one_more(&settings).await;
        // The deadline plans an SMS that no instance can send.
        app.clock.advance(TimeDelta::seconds(15));
        otpost::services::delivery::replace::run_once(&restarted.transitions, &restarted.clock)
            .await
            .expect("deadlines");
        let mut orphans = Orphans::default();
        sweep(&mut orphans, &restarted).await;
        app.clock.advance(UNSERVED_AFTER);
        assert_eq!(sweep(&mut orphans, &restarted).await, 1);
        let message = app.message(&id).await;
        assert_eq!(message["attempts"][1]["error_code"], "account_unknown", "{message:#}");
        assert_eq!(message["attempts"][1]["not_replaced"], "route_end", "{message:#}");
    })
    .await;
}
