//! Limits of messages: exact for numbers, over all instances; with the stated slack for everything else.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::domain::limits::window::{LENGTH, Window, start_of};
use otpost::domain::limits::{Counter, LimitRule, Limits, Mode, OnNewer, TestNumber};
use otpost::store::window_counters::{self, CounterKey, Taken, Wanted};
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, start, with_settings};
use crate::helpers::instance::Instance;

const TO: &str = "+628123451234";

/// As a service is without settings of its own.
fn on(settings: &mut Settings) {
    settings.limits.mode = Mode::Enforce;
    settings.codes.on_newer = OnNewer::Supersede;
}

/// Only these limits.
fn only(settings: &mut Settings, rules: &[(LimitRule, i64)]) {
    on(settings);
    let none = LimitRule::ALL.iter().fold(Limits::default(), |limits, rule| limits.with(*rule, 0));
    settings.limits.usual = rules.iter().fold(none, |limits, (rule, limit)| limits.with(*rule, *limit));
}

/// Posts all bodies at once, in turn to each of the addresses; counts the answers by status and type of problem.
async fn at_once(app: &TestApp, urls: &[&str], bodies: Vec<Value>) -> HashMap<String, usize> {
    let posts = bodies.into_iter().enumerate().map(|(n, body)| {
        let url = format!("{}/v1/messages", urls[n % urls.len()]);
        let request = app.http.post(url).bearer_auth(&app.key).body(body.to_string());
        tokio::spawn(async move {
            let response = request.send().await.expect("the service answers");
            let status = response.status().as_u16();
            let answer: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
            match answer["type"].as_str() {
                Some(kind) => format!("{status} {}", kind.trim_start_matches("urn:otpost:problem:")),
                None => status.to_string(),
            }
        })
    });
    let mut answers = HashMap::new();
    for post in posts.collect::<Vec<_>>() {
        *answers.entry(post.await.expect("an answer")).or_default() += 1;
    }
    answers
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> HashMap<String, usize> {
    expected.into_iter().map(|(answer, n)| (answer.to_owned(), n)).collect()
}

#[tokio::test]
async fn of_forty_codes_to_one_number_at_once_one_is_sent() {
    with_settings(on, async |app| {
        let answers = at_once(app, &[&app.url], vec![json!({ "to": TO }); 40]).await;
        assert_eq!(answers, counts([("202", 1), ("429 limit-number-spacing", 39)]));
        let prefix: i64 = sqlx::query_scalar("select current from window_counters where counter = 'prefix'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(prefix, 1, "what is refused counts nowhere, whichever race it lost");
        app.run_workers().await;
        assert_eq!(app.sim.messages(Some(TO), 100).len(), 1);

        let response = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(&app.key);
        let response = response.body(json!({ "to": TO }).to_string()).send().await.unwrap();
        assert_eq!(response.headers()["retry-after"], "60");
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let limit = json!({ "rule": "number_spacing_s", "counter": "number", "limit": 60, "retry_after_s": 60 });
        assert_eq!((&problem["limit"], &problem["code"]), (&limit, &json!("limit_number_spacing")), "{problem}");
        assert!(!problem.to_string().contains("81234"), "{problem}");

        app.pass(Duration::from_secs(59)).await;
        assert_eq!(app.post("/v1/messages", json!({ "to": TO })).await.0, 429);
        app.pass(Duration::from_secs(1)).await;
        assert_eq!(app.post("/v1/messages", json!({ "to": TO })).await.0, 202);
    })
    .await;
}

#[tokio::test]
async fn three_instances_at_ten_times_the_limit_let_exactly_the_limit_through() {
    let rules = [(LimitRule::NumberPerHour, 5), (LimitRule::NumberPerDay, 10)];
    with_settings(
        |settings| only(settings, &rules),
        async |app| {
            let (one, two) = (Instance::beside(app).await, Instance::beside(app).await);
            let urls = [app.url.as_str(), &one.url, &two.url];
            let numbers = ["+628123451234", "+628123451235", "+628123451236"];
            let asks = || (0..150).map(|n| json!({ "to": numbers[n / 3 % 3] })).collect::<Vec<_>>();
            let answers = at_once(app, &urls, asks()).await;
            assert_eq!(answers, counts([("202", 15), ("429 limit-number-per-hour", 135)]));
            app.clock.advance(TimeDelta::minutes(60));
            let answers = at_once(app, &urls, asks()).await;
            assert_eq!(answers, counts([("202", 15), ("429 limit-number-per-day", 135)]));
            app.run_workers().await;
            app.clock.advance(TimeDelta::minutes(60));
            let answers = at_once(app, &urls, asks()).await;
            assert_eq!(answers, counts([("429 limit-number-per-day", 150)]));
            app.run_workers().await;
            one.running.stop(false).await;
            two.running.stop(false).await;
        },
    )
    .await;
}

#[tokio::test]
async fn three_instances_let_no_more_than_its_limit_through_for_an_address() {
    let rules = [(LimitRule::IpPerHour, 20), (LimitRule::AppPerHour, 1_000)];
    with_settings(
        |settings| only(settings, &rules),
        async |app| {
            let (one, two) = (Instance::beside(app).await, Instance::beside(app).await);
            let urls = [app.url.as_str(), &one.url, &two.url];
            // An IPv6 client has all addresses of its network.
            let ask = |n: usize| {
                let to = format!("+62812345{n:04}");
                json!({ "to": to, "client": { "ip": format!("2001:db8:1:2::{n:x}") } })
            };
            let answers = at_once(app, &urls, (1..201).map(ask).collect()).await;
            assert_eq!(answers, counts([("202", 20), ("429 limit-ip-per-hour", 180)]));
            let (_, problem) = app.post("/v1/messages", ask(900)).await;
            assert_eq!(problem["limit"]["counter"], "ip");
            // What the address was refused counts for nobody else.
            let app_count: i64 = sqlx::query_scalar("select current from window_counters where counter = 'app'")
                .fetch_one(&app.pool)
                .await
                .unwrap();
            assert_eq!(app_count, 20);
            let other = json!({ "to": "+628123450901", "client": { "ip": "2001:db8:1:3::1" } });
            assert_eq!(app.post("/v1/messages", other).await.0, 202);
            // Neither the address nor a number's last digits are in the table.
            let keys: Vec<String> =
                sqlx::query_scalar("select key from window_counters").fetch_all(&app.pool).await.unwrap();
            assert!(keys.iter().all(|key| !key.contains("2001") && !key.contains("0901")), "{keys:?}");
            one.running.stop(false).await;
            two.running.stop(false).await;
        },
    )
    .await;
}

#[tokio::test]
async fn each_counter_has_its_limit_and_app_and_purpose_may_change_it() {
    let rules = [
        (LimitRule::DevicePerHour, 2),
        (LimitRule::PrefixPerHour, 3),
        (LimitRule::CountryPerHour, 5),
        (LimitRule::AppPerHour, 6),
    ];
    with_settings(
        |settings| {
            only(settings, &rules);
            settings.limits.purposes.insert("payment".to_owned(), [(LimitRule::AppPerHour, 7)].into());
            settings.limits.apps.insert("shop".to_owned(), [(LimitRule::CountryPerHour, 4)].into());
        },
        async |app| {
            let post = async |to: &str, device: Option<&str>, purpose: &str| {
                let body = json!({ "to": to, "purpose": purpose, "client": { "device": device } });
                let (status, answer) = app.post("/v1/messages", body).await;
                format!("{status} {}", answer["limit"]["rule"].as_str().unwrap_or_default())
            };
            assert_eq!(post("+628123450001", Some("a"), "login").await, "202 ");
            assert_eq!(post("+628133450001", Some("a"), "login").await, "202 ");
            assert_eq!(post("+628143450001", Some("a"), "login").await, "429 device_per_hour");
            assert_eq!(post("+628123450002", Some("b"), "login").await, "202 ");
            assert_eq!(post("+628123450003", None, "login").await, "202 ");
            assert_eq!(post("+628123450004", None, "login").await, "429 prefix_per_hour");
            assert_eq!(post("+628153450004", None, "login").await, "429 country_per_hour", "the app's own limit");
            assert_eq!(post("+5511981230001", None, "login").await, "202 ");
            assert_eq!(post("+5511981230002", None, "login").await, "202 ");
            assert_eq!(post("+5511981240002", None, "login").await, "429 app_per_hour");
            assert_eq!(post("+5511981240002", None, "payment").await, "202 ", "the purpose's own limit");
        },
    )
    .await;
}

#[tokio::test]
async fn a_resend_counts_for_its_number_and_a_replacement_does_not() {
    with_settings(
        |settings| only(settings, &[(LimitRule::NumberSpacing, 60), (LimitRule::NumberPerHour, 3)]),
        async |app| {
            // WhatsApp fails, and the SMS replaces it.
            let to = "+628123450002";
            let id = app.send(to).await;
            app.pass(Duration::from_secs(5)).await;
            assert_eq!(app.message(&id).await["attempts"].as_array().unwrap().len(), 2);
            // At once, and counted: the second of three.
            assert_eq!(app.post(&format!("/v1/messages/{id}/resend"), json!({})).await.0, 202);
            let (status, refused) = app.post(&format!("/v1/messages/{id}/resend"), json!({})).await;
            assert_eq!(
                (status, &refused["code"]),
                (409, &json!("still_sending")),
                "what is refused anyway does not count"
            );
            app.pass(Duration::from_secs(60)).await;
            let second = app.send(to).await;
            app.pass(Duration::from_secs(5)).await;
            let (status, problem) = app.post(&format!("/v1/messages/{second}/resend"), json!({})).await;
            assert_eq!((status, &problem["limit"]["rule"]), (429, &json!("number_per_hour")), "{problem}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_newer_message_ends_the_older_one_and_calls_off_its_sms() {
    with_settings(on, async |app| {
        // WhatsApp stays silent.
        let to = "+628123450003";
        let ask = json!({ "to": to, "code": "739150", "replace_after_s": 60 });
        let (_, older) = app.post("/v1/messages", ask).await;
        let older = older["id"].as_str().unwrap();
        app.run_workers().await;
        let other_purpose = app.post("/v1/messages", json!({ "to": to, "purpose": "payment" })).await.1;
        app.clock.advance(TimeDelta::seconds(60));
        let (status, newer) = app.post("/v1/messages", json!({ "to": to, "code": "111222" })).await;
        assert_eq!(status, 202, "{newer}");
        let ended = app.message(older).await;
        assert_eq!((&ended["outcome"], &ended["tries_left"]), (&json!("superseded"), &json!(0)), "{ended}");
        assert_eq!(app.message(other_purpose["id"].as_str().unwrap()).await["outcome"], "pending");
        let (_, checked) = app.post(&format!("/v1/messages/{older}/check"), json!({ "code": "739150" })).await;
        assert_eq!((&checked["valid"], &checked["reason"]), (&json!(false), &json!("superseded")), "{checked}");
        app.pass(Duration::from_secs(10)).await;
        let sms = app.sim.messages(Some(to), 100).into_iter().filter(|seen| seen.account.ends_with("sms")).count();
        assert_eq!(sms, 0, "the older message's SMS was called off");
        let newer = newer["id"].as_str().unwrap();
        let (_, checked) = app.post(&format!("/v1/messages/{newer}/check"), json!({ "code": "111222" })).await;
        assert_eq!(checked["valid"], true);
    })
    .await;
}

#[tokio::test]
async fn the_older_message_is_used_again_or_kept_if_the_app_wants_it() {
    with_settings(on, async |app| {
        let ask = |code: Option<&str>, on_newer: &str| json!({ "to": TO, "code": code, "on_newer": on_newer });
        let (_, first) = app.post("/v1/messages", ask(Some("739150"), "supersede")).await;
        app.pass(Duration::from_secs(10)).await;
        let seen = app.sim.messages(Some(TO), 100).len();
        for code in [None, Some("739150")] {
            let (status, again) = app.post("/v1/messages", ask(code, "reuse")).await;
            assert_eq!((status, &again["id"]), (202, &first["id"]), "{again}");
            assert_eq!(again["state"], "delivered", "the message as it is now");
        }
        app.pass(Duration::from_secs(10)).await;
        assert_eq!(app.sim.messages(Some(TO), 100).len(), seen, "nothing is sent anew");
        let (status, problem) = app.post("/v1/messages", ask(Some("111222"), "reuse")).await;
        assert_eq!(
            (status, &problem["code"]),
            (429, &json!("limit_number_spacing")),
            "another code is another message"
        );
        app.pass(Duration::from_secs(60)).await;
        let (status, kept) = app.post("/v1/messages", ask(None, "keep")).await;
        assert_eq!(status, 202);
        for id in [&first["id"], &kept["id"]] {
            assert_eq!(app.message(id.as_str().unwrap()).await["outcome"], "pending");
        }
        let (status, problem) = app.post("/v1/messages", ask(None, "replace")).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("on_newer")));
    })
    .await;
}

#[tokio::test]
async fn a_repeat_is_answered_whatever_the_limits_and_a_refused_request_may_be_repeated() {
    with_settings(on, async |app| {
        let post = async |key: &str| {
            let request = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(&app.key);
            let request = request.header("Idempotency-Key", key).body(json!({ "to": TO }).to_string());
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            (status, serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap())
        };
        let (status, first) = post("a").await;
        assert_eq!(status, 202);
        assert_eq!(post("a").await, (202, first.clone()));
        assert_eq!(post("b").await.0, 429);
        app.clock.advance(TimeDelta::seconds(60));
        let (status, second) = post("b").await;
        assert_eq!(status, 202, "{second}");
        assert_ne!(first["id"], second["id"]);
        assert_eq!(post("a").await, (202, first.clone()), "the first is not begun anew");
        assert_eq!(app.message(first["id"].as_str().unwrap()).await["outcome"], "superseded");
        assert_eq!(app.message(second["id"].as_str().unwrap()).await["outcome"], "pending");
        let prefix: i64 = sqlx::query_scalar("select current from window_counters where counter = 'prefix'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(prefix, 2, "repeats do not count");
    })
    .await;
}

#[tokio::test]
async fn what_is_only_recorded_refuses_nobody() {
    with_settings(
        |settings| {
            on(settings);
            settings.limits.mode = Mode::Record;
            settings.limits.usual = settings.limits.usual.with(LimitRule::PrefixPerHour, 2);
        },
        async |app| {
            for _ in 0..4 {
                assert_eq!(app.post("/v1/messages", json!({ "to": TO, "on_newer": "keep" })).await.0, 202);
            }
            // Wrong codes beyond the number's limit are compared as well.
            for n in 0..3 {
                let id = app.post("/v1/messages", json!({ "to": TO, "on_newer": "keep" })).await.1["id"].clone();
                for left in [4, 3, 2, 1, 0] {
                    let path = format!("/v1/messages/{}/check", id.as_str().unwrap());
                    let (status, answer) = app.post(&path, json!({ "code": "0000" })).await;
                    assert_eq!((status, &answer["tries_left"]), (200, &json!(left)), "{n}: {answer}");
                }
            }
            let (_, metrics) = app.get("/metrics").await;
            let metrics = metrics.as_str().unwrap();
            let line = |limit: &str| format!("otpost_rate_recorded_total{{limit=\"{limit}\"}}");
            assert!(metrics.contains(&line("number_spacing")) && metrics.contains(&line("prefix_per_hour")));
            assert!(metrics.contains(&line("tries_per_hour")), "{metrics}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_new_code_buys_no_new_tries_and_strangers_lock_nobody_out() {
    with_settings(
        |settings| only(settings, &[(LimitRule::TriesPerHour, 10)]),
        async |app| {
            let begin = async |code: &str| {
                let (status, message) =
                    app.post("/v1/messages", json!({ "to": TO, "code": code, "on_newer": "keep" })).await;
                assert_eq!(status, 202, "{message}");
                message["id"].as_str().unwrap().to_owned()
            };
            let check = async |id: &str, code: &str| {
                let (status, answer) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": code })).await;
                match status {
                    200 => format!("{} {}", answer["valid"], answer["tries_left"]),
                    _ => format!("{status} {}", answer["code"].as_str().unwrap()),
                }
            };
            let mut ids = Vec::new();
            for n in 0..3 {
                ids.push(begin(&format!("73915{n}")).await);
            }
            let mut answers = Vec::new();
            for id in &ids[..2] {
                for _ in 0..5 {
                    answers.push(check(id, "000000").await);
                }
            }
            let expected = ["false 4", "false 3", "false 2", "false 1", "false 0"].repeat(2);
            assert_eq!(answers, expected);
            // Whoever has the newest code has two tries left; an older one has none.
            let owner = begin("444555").await;
            assert_eq!(check(&ids[2], "739152").await, "429 limit_tries_per_hour");
            assert_eq!(check(&owner, "000000").await, "false 1");
            assert_eq!(check(&owner, "444555").await, "true 0");
            // The same from another instance, in parallel: never more than the reserved tries.
            let other = Instance::beside(app).await;
            let newest = begin("666777").await;
            let posts = (0..40).map(|n| {
                let url = if n % 2 == 0 { &app.url } else { &other.url };
                let request = app.http.post(format!("{url}/v1/messages/{newest}/check")).bearer_auth(&app.key);
                tokio::spawn(request.body(json!({ "code": "000000" }).to_string()).send())
            });
            let mut evaluated = 0;
            for post in posts.collect::<Vec<_>>() {
                evaluated += usize::from(post.await.unwrap().unwrap().status() == 200);
            }
            assert_eq!(evaluated, 2);
            app.clock.advance(TimeDelta::hours(1));
            app.run_workers().await;
            let later = begin("888999").await;
            assert_eq!(check(&later, "000000").await, "false 4");
            other.running.stop(false).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_lost_answer_to_a_right_code_may_be_asked_for_again() {
    with_settings(on, async |app| {
        let (_, message) = app.post("/v1/messages", json!({ "to": TO, "code": "739150" })).await;
        let id = message["id"].as_str().unwrap();
        let check = async |key: Option<&str>, code: &str| {
            let request = app.http.post(format!("{}/v1/messages/{id}/check", app.url)).bearer_auth(&app.key);
            let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
            let response = request.body(json!({ "code": code }).to_string()).send().await.unwrap();
            serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap()
        };
        let right = json!({ "valid": true, "outcome": "verified", "tries_left": 0 });
        let used = json!({ "valid": false, "outcome": "verified", "tries_left": 0, "reason": "already_used" });
        assert_eq!(check(Some("a"), "739150").await, right);
        assert_eq!(check(Some("a"), "739150").await, right);
        assert_eq!(check(Some("b"), "739150").await, used);
        assert_eq!(check(None, "739150").await, used);
        assert_eq!(check(Some("a"), "000000").await, used);
        app.clock.advance(TimeDelta::seconds(10));
        assert_eq!(check(Some("a"), "739150").await, used);
    })
    .await;
}

#[tokio::test]
async fn old_counts_go() {
    with_settings(on, async |app| {
        app.send(TO).await;
        app.clock.advance(TimeDelta::hours(25));
        app.run_workers().await;
        otpost::services::upkeep::forget::run_once(&app.store(), &app.clock).await.unwrap();
        for table in ["number_sends", "window_counters"] {
            let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
                .fetch_one(&app.pool)
                .await
                .unwrap();
            assert_eq!(left, 0, "{table}");
        }
    })
    .await;
}

/// The statement counts as the rule does.
#[tokio::test]
async fn statement_and_rule_of_a_window_are_one() {
    let app = TestApp::start(|_| {}).await;
    let key = CounterKey::new(&AppId::stored("shop"), Counter::Country, "ID".to_owned());
    let mut window = Window { started_at: start_of(start()), current: 0, previous: 0 };
    let mut now = start();
    let mut random = 7_u64;
    let mut draw = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((random >> 33) % most).unwrap()
    };
    for _ in 0..300 {
        now += TimeDelta::milliseconds(draw(2_400_000));
        let (wanted, limit) = (1 + draw(40), 1 + draw(60));
        let granted = window.grant(wanted, limit, now);
        window = window.at(now);
        window.current += granted;
        let asked = [Wanted { key: key.clone(), wanted, limit }];
        let taken = window_counters::take(&app.store(), &asked, now).await.unwrap();
        assert_eq!(taken, [Taken { granted, window }], "{wanted} of {limit} at {now}");
        if draw(4) == 0 && granted > 0 {
            window.current -= 1;
            window_counters::give_back(&app.store(), &[(key.clone(), 1)], now).await.unwrap();
        }
    }
    assert!(now > start() + LENGTH * 50);
    app.stop().await;
}

#[tokio::test]
async fn a_test_number_has_a_fixed_code_no_limits_and_an_end() {
    with_settings(
        |settings| {
            on(settings);
            let until = start().date_naive() + TimeDelta::days(2);
            let code = otpost::domain::code::Code::parse("271828").unwrap();
            settings.test_numbers.insert(TO.to_owned(), TestNumber { code, until });
        },
        async |app| {
            for _ in 0..12 {
                let (status, message) = app.post("/v1/messages", json!({ "to": TO })).await;
                assert_eq!(status, 202, "{message}");
                let id = message["id"].as_str().unwrap();
                app.run_workers().await;
                let message = app.message(id).await;
                assert_eq!((&message["state"], &message["attempts"][0]["price"]), (&json!("delivered"), &Value::Null));
                let (_, checked) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": "000000" })).await;
                assert_eq!((&checked["valid"], &checked["tries_left"]), (&json!(false), &json!(4)));
                let (_, checked) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": "271828" })).await;
                assert_eq!(checked["valid"], true, "{checked}");
            }
            app.pass(Duration::from_secs(60)).await;
            assert_eq!(app.sim.messages(Some(TO), 100).len(), 0, "nothing left");
            for table in ["number_sends", "window_counters", "sms_records", "number_memory"] {
                let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
                    .fetch_one(&app.pool)
                    .await
                    .unwrap();
                assert_eq!(rows, 0, "{table}");
            }
            app.clock.advance(TimeDelta::days(2));
            app.send(TO).await;
            app.run_workers().await;
            assert_eq!(app.sim.messages(Some(TO), 100).len(), 1, "a number like any other");
        },
    )
    .await;
}
