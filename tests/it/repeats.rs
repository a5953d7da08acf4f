//! What was delivered or sent is not sent again, however and whenever a request ends.

use std::time::Duration;

use chrono::TimeDelta;
use otpost::config::Settings;
use otpost::domain::channel::Channel;
use otpost::services::delivery::recover;
use otpost::simulator::{Fate, GivenFate, Latency, Laws, Mode};
use tokio::task::JoinHandle;

use crate::helpers::app::{TestApp, first_attempt, meta_body, meta_status, with_settings};

const TO: &str = "+628120001234";

/// WhatsApp stays silent; the SMS after it ends as `sms` says.
fn silent_then(sms: Fate) -> GivenFate {
    GivenFate { whatsapp: Some(Fate::Silent), sms: Some(sms) }
}

fn requests(app: &TestApp, channel: Channel) -> usize {
    app.sim.messages(Some(TO), 1000).into_iter().filter(|seen| seen.channel == channel).count()
}

/// Brings a message to where its SMS is in progress. Returns the message, and the sends.
async fn sms_under_way(app: &TestApp) -> (String, Vec<JoinHandle<()>>) {
    let id = app.send(TO).await;
    app.pass(Duration::from_secs(14)).await;
    app.clock.advance(TimeDelta::seconds(2));
    let fired = otpost::services::delivery::replace::run_once(&app.transitions, &app.clock).await.unwrap();
    assert_eq!(fired.planned, 1);
    let sends = app.dispatch.run_once().await.unwrap().sends;
    assert_eq!(sends.len(), 1);
    (id, sends)
}

async fn whatsapp_delivered(app: &TestApp, id: &str) {
    let attempt = first_attempt(id);
    let body = meta_body(&[meta_status(&attempt, "delivered", app.clock.now())]);
    assert_eq!(app.callback("meta-main", &body).await, 200);
}

/// Waits until the simulator has the SMS request, so that only its answer is missing.
async fn sms_arrived(app: &TestApp) {
    for _ in 0..1000 {
        if requests(app, Channel::Sms) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no SMS request came");
}

#[tokio::test]
async fn an_sms_under_way_that_ends_badly_is_not_repeated_once_whatsapp_was_delivered() {
    for (fate, answered_after_s) in [(Fate::Hangs, 0_u64), (Fate::RateLimited, 2), (Fate::ResetBefore, 2)] {
        with_settings(
            |_| {},
            async |app| {
                let mut laws = Laws::instant();
                laws.sms.answer = Latency::Fixed { ms: 1000.0 * answered_after_s as f64 };
                app.sim.set_laws(laws);
                app.sim.set_fate(TO, silent_then(fate));
                let (id, sends) = sms_under_way(app).await;
                if fate != Fate::Hangs {
                    sms_arrived(app).await;
                }
                whatsapp_delivered(app, &id).await;
                app.sim.advance(Duration::from_secs(answered_after_s)).await.unwrap();
                for send in sends {
                    send.await.unwrap();
                }
                app.pass(Duration::from_secs(90)).await;
                assert_eq!(requests(app, Channel::Sms), 1, "{fate:?}");
                let message = app.message(&id).await;
                assert_eq!(message["state"], "delivered");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn an_sms_that_waits_for_an_open_breaker_is_called_off_by_a_delivery() {
    let touchy = |settings: &mut Settings| settings.sending.breaker_failures = 1;
    with_settings(touchy, async |app| {
        app.sim.set_fate(TO, silent_then(Fate::Delivered));
        app.sim.set_mode("ycloud-sms", Mode::Refuse).unwrap();
        let id = app.send(TO).await;
        app.pass(Duration::from_secs(17)).await;
        let tried = requests(app, Channel::Sms);
        whatsapp_delivered(app, &id).await;
        app.sim.set_mode("ycloud-sms", Mode::Up).unwrap();
        app.pass(Duration::from_secs(120)).await;
        assert_eq!(requests(app, Channel::Sms), tried, "nothing left after the delivery");
    })
    .await;
}

/// The database cannot be written for longer than a lease; the provider's answer comes meanwhile.
#[tokio::test]
async fn an_outage_longer_than_the_lease_sends_no_sms_twice() {
    with_settings(
        |_| {},
        async |app| {
            let mut laws = Laws::instant();
            laws.sms.answer = Latency::Fixed { ms: 1000.0 };
            app.sim.set_laws(laws);
            app.sim.set_fate(TO, silent_then(Fate::Silent));
            let (id, sends) = sms_under_way(app).await;
            sms_arrived(app).await;

            let mut outage = app.pool.begin().await.unwrap();
            sqlx::query("lock table messages, attempts in access exclusive mode").execute(&mut *outage).await.unwrap();
            app.sim.advance(Duration::from_secs(1)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            app.clock.advance(TimeDelta::seconds(34));
            outage.rollback().await.unwrap();

            // The recovery of this instance finds the lease long over, before the answer is written.
            let accounts = &app.dispatch.accounts;
            recover::abandoned_sends(&app.transitions, &app.clock, accounts).await.unwrap();
            for send in sends {
                send.await.unwrap();
            }
            app.pass(Duration::from_secs(60)).await;
            assert_eq!(requests(app, Channel::Sms), 1);
            let message = app.message(&id).await;
            assert_eq!(message["attempts"][1]["send_state"], "accepted", "{message:#}");
        },
    )
    .await;
}
