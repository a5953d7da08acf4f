//! Several instances on one database: whichever comes first, everything happens once.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use otpost::app::Loops;
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::domain::code::Code;
use otpost::domain::ids::MessageId;
use otpost::services::delivery::replace;
use otpost::services::ledger::transitions::Transitions;
use otpost::services::messages::accept_message::{AcceptMessage, NewMessage};
use otpost::simulated;
use otpost::simulator::{SimConfig, SimTime, Simulator};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::helpers::app::{TestApp, meta_body, meta_status, plain, with_settings};
use crate::helpers::database::fresh_database;
use crate::helpers::instance::Instance;
use crate::helpers::invariants;

const CODE: &str = "739150";

fn number(n: usize, end: &str) -> String {
    format!("+62812{n:04}{end}")
}

/// Hundreds of concurrent sends on a busy machine are slow, which must not look like a provider that hangs.
fn patient(settings: &mut Settings) {
    settings.sending.client.connect_timeout = Duration::from_secs(5);
    settings.sending.client.total_timeout = Duration::from_secs(10);
}

async fn accept(accept: &AcceptMessage, to: &str) -> MessageId {
    let new = NewMessage { code: Some(Code::parse(CODE).expect("a code")), ..plain(to) };
    accept.run(&AppId::stored("shop"), new, None).await.expect("accepted").id
}

async fn count(pool: &PgPool, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(pool).await.expect("a count")
}

/// SMS requests that the simulator saw, by phone.
fn sms_by_phone(sim: &Simulator) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for seen in sim.messages(None, 1_000_000).into_iter().filter(|m| m.account.ends_with("sms")) {
        *found.entry(seen.to).or_default() += 1;
    }
    found
}

#[tokio::test]
async fn two_instances_share_the_work_and_send_each_message_once() {
    with_settings(patient, async |app| {
        let other = Instance::beside(app).await;
        // WhatsApp's callbacks go to one of them, those of the SMS to the other.
        app.sim.set_callback("ycloud-sms", Some(&simulated::callback_url(&other.url, "ycloud-sms"))).unwrap();
        let fates = ["0001", "0002", "0003", "0004", "0005", "0006", "0007", "0010", "0011", "0012"];
        let mut ids = Vec::new();
        for n in 0..300 {
            let url = if n % 2 == 0 { &app.url } else { &other.url };
            let body = json!({ "to": number(n, fates[n % fates.len()]), "code": CODE }).to_string();
            let request = app.http.post(format!("{url}/v1/messages")).bearer_auth(&app.key).body(body);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 202);
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            ids.push(answer["id"].as_str().unwrap().to_owned());
        }
        let step = Duration::from_millis(500);
        for _ in 0..50 {
            tokio::join!(app.run_workers(), other.work());
            app.clock.advance(TimeDelta::from_std(step).unwrap());
            app.sim.advance(step).await.unwrap();
        }
        tokio::join!(app.run_workers(), other.work());
        let sms = sms_by_phone(&app.sim);
        for n in 0..300 {
            let (to, fate) = (number(n, fates[n % fates.len()]), fates[n % fates.len()]);
            let phone = app.sim.phone(&to);
            let wants_sms = matches!(fate, "0002" | "0003" | "0004" | "0005" | "0010" | "0011");
            let found = sms.get(&to).copied().unwrap_or(0);
            // A shuffle delays the delivery receipt until the message is read, which may be after the deadline.
            let may_sms = wants_sms || fate == "0006";
            if found > usize::from(may_sms) || found < usize::from(wants_sms) {
                let (_, story) = app.get(&format!("/v1/messages/{}/timeline", ids[n])).await;
                panic!("{to}: {found} SMS: {story:#}");
            }
            let tries = if fate == "0010" { 1..=3 } else { 1..=1 };
            assert!(tries.contains(&phone.requests.whatsapp), "{to}: {}", phone.requests.whatsapp);
        }
        let states: Vec<(String, i64)> =
            sqlx::query_as("select state::text, count(*) from messages group by 1 order by 1")
                .fetch_all(&app.pool)
                .await
                .unwrap();
        assert_eq!(states, [("delivered".to_owned(), 270), ("failed".to_owned(), 30)]);
        other.running.stop(false).await;
    })
    .await;
}

#[tokio::test]
async fn failed_delivered_deadline_and_check_at_the_same_moment_issue_one_replacement_at_most() {
    with_settings(patient, async |app| {
        let other = Instance::beside(app).await;
        let total = 300;
        let mut ids = Vec::new();
        for n in 0..total {
            ids.push(accept(&app.accept, &number(n, "5555")).await);
        }
        app.run_workers().await;
        app.clock.advance(TimeDelta::seconds(15));
        let at = app.clock.now();
        let deliver = async |url: &str, id: MessageId, status: &str| {
            let body = meta_body(&[meta_status(&id.attempt(1).to_string(), status, at)]);
            let (_, header) = crate::helpers::app::signed("meta-main", body.as_bytes(), at);
            let (name, value) = header.unwrap();
            let request = app.http.post(format!("{url}/webhooks/meta-main")).header(name, value).body(body);
            assert_eq!(request.send().await.unwrap().status(), 200);
        };
        let check = async |url: &str, id: MessageId| {
            let request = app.http.post(format!("{url}/v1/messages/{id}/check")).bearer_auth(&app.key);
            let response = request.body(json!({ "code": CODE }).to_string()).send().await.unwrap();
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            usize::from(answer["valid"] == true)
        };
        let (a, b) = (app.url.as_str(), other.url.as_str());
        let stories = ids.iter().enumerate().map(async |(n, &id)| {
            tokio::time::sleep(Duration::from_micros((n as u64 * 7919) % 40_000)).await;
            let first = if n % 3 == 0 { "failed" } else { "delivered" };
            let second = if n % 3 == 0 { "delivered" } else { "failed" };
            let ((), (), right, right_too) =
                tokio::join!(deliver(a, id, first), deliver(b, id, second), check(a, id), async {
                    if n % 2 == 0 { check(b, id).await } else { 0 }
                });
            right + right_too
        });
        let deadlines = async |instance: &Transitions| {
            for _ in 0..40 {
                replace::run_once(instance, &app.clock).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let (rights, (), ()) = tokio::join!(
            futures_util::future::join_all(stories),
            deadlines(&app.transitions),
            deadlines(&other.transitions)
        );
        assert!(rights.iter().all(|right| *right == 1), "each code was right once: {rights:?}");
        tokio::join!(app.run_workers(), other.work());
        assert_eq!(count(&app.pool, "select count(*) from messages where outcome = 'verified'").await, total as i64);
        assert_eq!(count(&app.pool, "select count(*) from attempts where attempt_no > 2").await, 0);
        assert!(sms_by_phone(&app.sim).values().all(|n| *n == 1), "one SMS at most");
        let both =
            "select count(*) from attempts where attempt_no = 1 and state = 'delivered' and failed_at is not null";
        assert_eq!(count(&app.pool, both).await, total as i64);
        other.running.stop(false).await;
    })
    .await;
}

#[tokio::test]
async fn four_instances_race_two_thousand_deadlines_to_two_thousand_replacements() {
    with_settings(patient, async |app| {
        let total = 2_000;
        for n in 0..total {
            accept(&app.accept, &number(n, "5555")).await;
        }
        app.run_workers().await;
        let armed = "select count(*) from attempts where timer = 'armed'";
        assert_eq!(count(&app.pool, armed).await, total as i64);
        let mut instances = Vec::new();
        for _ in 0..4 {
            instances.push(Instance::beside(app).await);
        }
        app.clock.advance(TimeDelta::seconds(15));
        let race = async |instance: &Instance| {
            let mut planned = 0;
            loop {
                let round = replace::run_once(&instance.transitions, &instance.clock).await.unwrap();
                planned += round.planned;
                if round.due == 0 {
                    return planned;
                }
            }
        };
        let planned = futures_util::future::join_all(instances.iter().map(race)).await;
        assert_eq!(planned.iter().sum::<usize>(), total, "{planned:?}");
        let intents = "select count(*) from attempts where attempt_no = 2 and reason = 'silent'";
        assert_eq!(count(&app.pool, intents).await, total as i64);
        let fired = "select count(*) from attempts where timer = 'fired' and timer_ended_at = replace_at";
        assert_eq!(count(&app.pool, fired).await, total as i64);
        // And all four send them.
        futures_util::future::join_all(instances.iter().map(Instance::work)).await;
        let sms = sms_by_phone(&app.sim);
        let results: Vec<(String, Option<String>, i64)> =
            sqlx::query_as("select result, error_code, count(*) from sends where attempt_no = 2 group by 1, 2")
                .fetch_all(&app.pool)
                .await
                .unwrap();
        assert_eq!((sms.len(), sms.values().max()), (total, Some(&1)), "{results:?}");
        for instance in instances {
            instance.running.stop(false).await;
        }
    })
    .await;
}

/// How long the deadlines of `OTPOST_TEST_DEADLINES` messages take one instance and three, side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run it by its name"]
async fn three_instances_drain_deadlines_as_fast_as_one() {
    let total: usize = std::env::var("OTPOST_TEST_DEADLINES").map_or(20_000, |n| n.parse().expect("a number"));
    let app = TestApp::start(patient).await;
    let instances = [Instance::beside(&app).await, Instance::beside(&app).await, Instance::beside(&app).await];
    let drain = async |instances: &[Instance]| {
        for n in (0..total).step_by(200) {
            let some = (n..n + 200).map(|n| number(n % 10_000, if n < 10_000 { "5555" } else { "6666" }));
            let some: Vec<String> = some.collect();
            futures_util::future::join_all(some.iter().map(|to| accept(&app.accept, to))).await;
        }
        // Nothing was sent: the deadlines run from the planning.
        app.clock.advance(TimeDelta::seconds(15));
        let began = std::time::Instant::now();
        let loops = instances.iter().map(|instance| {
            let (transitions, clock) = (instance.transitions.clone(), instance.clock.clone());
            tokio::spawn(async move {
                let mut planned = 0;
                loop {
                    let round = replace::run_once(&transitions, &clock).await.unwrap();
                    planned += round.planned;
                    if round.due == 0 {
                        return planned;
                    }
                }
            })
        });
        let planned = futures_util::future::join_all(loops).await.into_iter().map(Result::unwrap);
        assert_eq!(planned.sum::<usize>(), total);
        began.elapsed().as_secs_f64()
    };
    let (mut one, mut three) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        one.push(drain(&instances[..1]).await);
        three.push(drain(&instances).await);
    }
    println!("{total} deadlines: one instance {one:.1?} s, three {three:.1?} s");
}

#[tokio::test]
async fn two_running_instances_bring_every_fate_to_its_end_by_themselves() {
    let database = fresh_database().await;
    let config = SimConfig { time: SimTime::Real { speed: 20.0 }, ..SimConfig::default() };
    let sim = Simulator::start(config, ([127, 0, 0, 1], 0).into()).expect("the simulator starts");
    let mut settings = simulated::settings(Path::new("/nonexistent"), ([127, 0, 0, 1], 1).into(), &sim.url(), 15);
    settings.server.workers = 1;
    settings.database.connections = 4;
    settings.database.ledger_connections = 6;
    let a = Instance::start(&settings, database.url(), None, Loops::Run).await;
    let b = Instance::start(&settings, database.url(), None, Loops::Run).await;
    for (account, url) in [("meta-main", &a.url), ("ycloud-sms", &b.url)] {
        sim.set_callback(account, Some(&simulated::callback_url(url, account))).unwrap();
    }
    let pool = database.pool().await;
    let keys = otpost::services::keys::app_keys::AppKeys::new(pool.clone().into(), a.clock.clone());
    let key = keys.create(&AppId::stored("shop"), "").await.unwrap().key.expose().to_owned();
    let http = reqwest::Client::new();
    // Those that end without a deadline.
    let fates = ["0001", "0002", "0005", "0006", "0007", "0011", "0012"];
    let posts = (0..300).map(async |n| {
        let url = if n % 2 == 0 { &a.url } else { &b.url };
        let body = json!({ "to": number(n, fates[n % fates.len()]) }).to_string();
        let request = http.post(format!("{url}/v1/messages")).bearer_auth(&key).body(body);
        request.send().await.unwrap().status().as_u16()
    });
    let answers = futures_util::future::join_all(posts).await;
    assert!(answers.iter().all(|status| *status == 202), "{answers:?}");
    let open = "select count(*) from messages where state not in ('delivered', 'failed')";
    for _ in 0..2400 {
        if count(&pool, open).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(count(&pool, open).await, 0, "messages that did not end");
    assert!(sim.settle(Duration::from_secs(10)).await);
    let sms = sms_by_phone(&sim);
    for n in 0..300 {
        let fate = fates[n % fates.len()];
        let found = sms.get(&number(n, fate)).copied().unwrap_or(0);
        // After the failure, the delivery may come before the SMS was sent.
        let wanted = if fate == "0011" { found.min(1) } else { usize::from(matches!(fate, "0002" | "0005")) };
        assert_eq!(found, wanted, "{}", number(n, fate));
    }
    let early = "select count(*) from attempts a join attempts b using (bucket, message_id)
                     where a.attempt_no = 1 and b.attempt_no = 2 and b.in_flight_at < a.failed_at";
    assert_eq!(count(&pool, early).await, 0, "a replacement left before the failure it answers");
    invariants::check(&pool, a.clock.now()).await;
    a.running.stop(false).await;
    b.running.stop(false).await;
    sim.stop().await;
    pool.close().await;
}
