//! Accounts without capacity: waiting messages move on, apps take turns, and no more is accepted than can be sent.

use std::time::Duration;

use chrono::TimeDelta;
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::domain::channel::Channel;
use otpost::simulator::Mode;
use serde_json::json;

use crate::helpers::app::{TestApp, plain, with_settings};

/// One message at once, and no further one during a test.
fn one_by(account: &'static str) -> impl Fn(&mut Settings) {
    move |settings| settings.accounts.get_mut(account).unwrap().per_second = 0.001
}

async fn accept(app: &TestApp, tenant: &str, n: usize) {
    let new = plain(&format!("+62812{n:04}1234"));
    app.accept.run(&AppId::stored(tenant), new, None).await.unwrap();
}

#[tokio::test]
async fn what_an_account_has_no_room_for_goes_by_sms_at_its_deadline() {
    with_settings(one_by("meta-main"), async |app| {
        for n in 0..40 {
            accept(app, "shop", n).await;
        }
        app.run_workers().await;
        let sent = |channel| app.sim.messages(None, 1000).into_iter().filter(|m| m.channel == channel).count();
        assert_eq!((sent(Channel::Whatsapp), sent(Channel::Sms)), (1, 0));
        app.pass(Duration::from_secs(14)).await;
        assert_eq!(sent(Channel::Sms), 0, "not before the deadline");
        app.pass(Duration::from_secs(2)).await;
        assert_eq!((sent(Channel::Whatsapp), sent(Channel::Sms)), (1, 39));
        app.pass(Duration::from_secs(10)).await;
        let delivered: i64 = sqlx::query_scalar("select count(*) from messages where state = 'delivered'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(delivered, 40);
    })
    .await;
}

#[tokio::test]
async fn an_apps_queue_does_not_hold_up_another_app() {
    let few = |settings: &mut Settings| settings.accounts.get_mut("meta-main").unwrap().per_second = 4.0;
    with_settings(few, async |app| {
        for n in 0..50 {
            accept(app, "big", n).await;
        }
        accept(app, "small", 77).await;
        for send in app.dispatch.run_once().await.unwrap().sends {
            send.await.unwrap();
        }
        let left: Vec<(String, i64)> = sqlx::query_as(
            "select app, count(*) from attempts where send_state = 'accepted' group by app order by app",
        )
        .fetch_all(&app.pool)
        .await
        .unwrap();
        assert_eq!(left.iter().find(|(tenant, _)| tenant == "small").map(|(_, n)| *n), Some(1), "{left:?}");
    })
    .await;
}

#[tokio::test]
async fn more_than_can_be_sent_in_time_is_refused_with_the_reason() {
    let slow = |settings: &mut Settings| {
        for account in ["meta-main", "ycloud-sms"] {
            settings.accounts.get_mut(account).unwrap().per_second = 0.1;
        }
    };
    with_settings(slow, async |app| {
        let keyed = async |key: &str, to: &str| {
            let request = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(&app.key);
            let request = request.header("Idempotency-Key", key).body(json!({ "to": to }).to_string());
            let answer = request.send().await.unwrap();
            let retry = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().parse::<u64>().unwrap());
            (
                answer.status().as_u16(),
                retry,
                serde_json::from_str::<serde_json::Value>(&answer.text().await.unwrap()).unwrap(),
            )
        };
        let (status, _, first) = keyed("first", "+628120001234").await;
        assert_eq!(status, 202);
        // Each step can send 25 in 300 s, and 40 wait.
        let (mut accepted, mut refused) = (0, 0);
        for n in 0..60 {
            match keyed(&format!("k{n}"), &format!("+62813{n:04}1234")).await {
                (202, None, _) => accepted += 1,
                (429, Some(1..=60), problem) => {
                    assert_eq!(problem["type"], "urn:otpost:problem:too-much-waiting", "{problem}");
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!((15..=40).contains(&accepted) && refused > 0, "{accepted} accepted, {refused} refused");
        let (status, _, again) = keyed("first", "+628120001234").await;
        assert_eq!((status, &again["id"]), (202, &first["id"]), "a repeat gets its first answer");

        // The count of the table equals what was counted while accepting.
        app.backlog.count(&app.transitions.pool, app.clock.now()).await.unwrap();
        assert_eq!(keyed("after", "+628140001234").await.0, 429);
        let metrics = app.http.get(format!("{}/metrics", app.url)).send().await.unwrap().text().await.unwrap();
        for line in ["otpost_rate_limited_total{limit=\"backlog\"}", "otpost_sends_waiting{account=\"meta-main\"}"] {
            assert!(metrics.contains(line), "{metrics}");
        }
        app.clock.advance(TimeDelta::minutes(10));
        app.run_workers().await;
        app.backlog.count(&app.transitions.pool, app.clock.now()).await.unwrap();
        assert_eq!(keyed("later", "+628140001234").await.0, 202, "when nothing waits any more, it goes on");
        app.clock.advance(TimeDelta::minutes(10));
        app.run_workers().await;
    })
    .await;
}

#[tokio::test]
async fn instances_share_the_rate_and_the_concurrency_of_an_account() {
    let limits = |settings: &mut Settings| {
        let account = settings.accounts.get_mut("meta-main").unwrap();
        (account.per_second, account.concurrency) = (30.0, 12);
    };
    with_settings(limits, async |app| {
        let room = |dispatch: &otpost::services::delivery::dispatch::Dispatch| {
            let account = dispatch.accounts.get("meta-main").unwrap();
            (account.room(dispatch.instances.live()), account.limiter.take(1000))
        };
        let others = [app.one_more(&app.settings).await, app.one_more(&app.settings).await];
        for instances in [&app.dispatch.instances, &others[0].instances, &others[1].instances] {
            instances.beat().await.unwrap();
        }
        for dispatch in [&app.dispatch, &others[0].dispatch, &others[1].dispatch] {
            assert_eq!(room(dispatch), (4, 10));
        }
        others[0].instances.leave().await.unwrap();
        app.clock.advance(TimeDelta::seconds(6));
        app.dispatch.instances.beat().await.unwrap();
        assert_eq!(app.dispatch.instances.live(), 1, "one left, one was not seen for long");
        assert_eq!(room(&app.dispatch).0, 12);
    })
    .await;
}

#[tokio::test]
async fn a_probe_that_succeeds_lets_the_others_go_at_once() {
    let by_sms = |settings: &mut Settings| {
        settings.route.options.steps = vec!["ycloud-sms".to_owned()];
        settings.sending.breaker_failures = 1;
        settings.sending.breaker_open = Duration::from_secs(30);
    };
    with_settings(by_sms, async |app| {
        app.sim.set_mode("ycloud-sms", Mode::Outage).unwrap();
        accept(app, "shop", 0).await;
        app.run_workers().await;
        for n in 1..=110 {
            accept(app, "shop", n).await;
        }
        app.pass(Duration::from_secs(29)).await;
        app.sim.set_mode("ycloud-sms", Mode::Up).unwrap();
        app.pass(Duration::from_secs(5)).await;
        let sent: i64 = sqlx::query_scalar("select count(*) from attempts where send_state = 'accepted'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(sent, 111, "all of them within seconds of the probe");
    })
    .await;
}
