//! Providers' callbacks: which are accepted, what is stored, and that order and repetition do not matter.

use std::time::Duration;

use chrono::TimeDelta;
use otpost::domain::app_id::AppId;
use otpost::domain::attempt::Lease;
use otpost::domain::channel::Channel;
use otpost::domain::event::{Effect, SendResult};
use otpost::domain::ids::MessageId;
use otpost::domain::secret::Secret;
use otpost::providers::registry::meta::MetaConfig;
use otpost::services::callbacks::replay;
use otpost::services::delivery::recover;
use otpost::services::ledger::command::{Command, Done, RecordedEvent, SentRequest};
use otpost::services::messages::accept_message::NewMessage;
use otpost::store::dead_letters::{self, DeadLetter};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::helpers::app::{
    TestApp, callback_id, code_keys, hmac_hex, meta_body, meta_status, plain, signed, start, with_app, with_settings,
};

const KEEPING: [&str; 3] = ["receipts", "unmatched_receipts", "dead_letters"];

async fn count(app: &TestApp, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.pool).await.expect("a count")
}

async fn kept(app: &TestApp) -> i64 {
    let mut sum = 0;
    for table in KEEPING {
        sum += count(app, table).await;
    }
    sum
}

/// Rows of a table as JSON without the columns that differ in each run, in the order of `by`.
async fn rows(app: &TestApp, table: &str, by: &str, without: &[&str]) -> Vec<Value> {
    let sql = format!("select to_jsonb(t) from {table} t order by {by}");
    let mut rows: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&app.pool).await.expect("rows");
    for row in &mut rows {
        for column in without {
            row.as_object_mut().unwrap().remove(*column).unwrap_or_else(|| panic!("{table} has no {column}"));
        }
    }
    rows
}

/// A message that Meta accepted and reports nothing about. Returns the id of its first attempt.
async fn taken(app: &TestApp, to: &str) -> (String, String) {
    let id = app.send(to).await;
    app.run_workers().await;
    let attempt = app.message(&id).await["attempts"][0]["attempt_id"].as_str().unwrap().to_owned();
    (id, attempt)
}

/// Many messages at once, past the HTTP edge; the ids of their first attempts.
async fn many(app: &TestApp, count: usize, channel: Option<Channel>) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for n in 0..count {
        let new = NewMessage { channel, ..plain(&format!("+62812{n:04}5555")) };
        ids.push(app.accept.run(&AppId::stored("shop"), new, None).await.expect("accepted").id);
    }
    ids
}

#[tokio::test]
async fn a_callback_that_is_not_proved_is_refused_and_not_stored() {
    with_app(async |app| {
        let (id, attempt) = taken(app, "+628123450001").await;
        let body = meta_body(&[meta_status(&attempt, "delivered", start())]);
        let right = hmac_hex(otpost::simulator::faces::meta::APP_SECRET, &[body.as_bytes()]);
        let post = async |account: &str, headers: &[(&str, String)], body: &str| {
            let request = app.http.post(format!("{}/webhooks/{account}", app.url)).body(body.to_owned());
            let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, value));
            request.send().await.unwrap().status().as_u16()
        };
        let header = "X-Hub-Signature-256";
        let meta: Vec<Vec<(&str, String)>> = vec![
            vec![],
            vec![(header, String::new())],
            vec![(header, right.clone())],
            vec![(header, format!("sha1={right}"))],
            vec![(header, format!("sha256={}", right.to_uppercase()))],
            vec![(header, format!("sha256={}", &right[..63]))],
            vec![(header, format!("sha256={right}0"))],
            vec![(header, format!("sha256={right} "))].into_iter().map(|(n, v)| (n, v + "x")).collect(),
            vec![(header, format!("sha256={}", hmac_hex("another secret", &[body.as_bytes()])))],
            vec![(header, format!("sha256={}", hmac_hex("", &[body.as_bytes()])))],
            vec![(header, format!("sha256={right}")), (header, format!("sha256={right}"))],
            vec![("X-Hub-Signature", format!("sha256={right}"))],
        ];
        for headers in meta {
            assert_eq!(post("meta-main", &headers, &body).await, 401, "{headers:?}");
        }
        let tampered = body.replace("delivered", "delivereD");
        assert_eq!(post("meta-main", &[(header, format!("sha256={right}"))], &tampered).await, 401);
        assert_eq!(post("meta-main", &[(header, format!("sha256={right}"))], &format!("{body} ")).await, 401);
        let event = ycloud_event(&attempt, "delivered");
        for t in [start() - TimeDelta::seconds(21_601), start() + TimeDelta::seconds(21_601)] {
            let (_, stale) = signed("ycloud-wa", event.as_bytes(), t);
            assert_eq!(post("ycloud-wa", &[stale.unwrap()], &event).await, 401, "outside the replay window");
        }
        let (_, other) = signed("ycloud-sms", event.as_bytes(), start());
        assert_eq!(post("ycloud-wa", &[other.unwrap()], &event).await, 401, "the other endpoint's secret");
        for query in
            ["", "?token=", "?token=wrong", "?token=sim-cliqtel-callback-token&token=sim-cliqtel-callback-token"]
        {
            assert_eq!(post(&format!("cliqtel-wa{query}"), &[], "{}").await, 401, "{query}");
        }
        let token = hmac_hex("sim-cliqtel-callback-secret", &[attempt.as_bytes()]);
        let other = Uuid::now_v7();
        for query in [
            String::new(),
            format!("?attempt={attempt}"),
            format!("?token={token}"),
            format!("?attempt={other}&token={token}"),
            format!("?attempt={attempt}&token={}", token.to_uppercase()),
        ] {
            assert_eq!(post(&format!("cliqtel-sms{query}"), &[], r#"{"status":"delivered"}"#).await, 401, "{query}");
        }
        let rows = r#"{"rows":[]}"#;
        let engagelab = |at| ("X-CALLBACK-ID", callback_id("n", at));
        let old = start() - TimeDelta::seconds(301);
        assert_eq!(post("engagelab-wa", &[], rows).await, 401);
        assert_eq!(post("engagelab-wa", &[engagelab(old)], rows).await, 401, "outside the replay window");
        assert_eq!(post("engagelab-sms", &[engagelab(start())], rows).await, 401, "its Authorization is missing");
        let (_, of_another) = signed("http-wa", b"{}", start());
        assert_eq!(post("http-wa", &[of_another.unwrap()], rows).await, 401, "another body");
        assert_eq!(post("http-wa?token=sim-http-callback-token", &[], rows).await, 401, "another proof");
        assert_eq!(post("http-sms?token=sim-http-callback-toke", &[], "msgid=1&stat=DELIVRD").await, 401);
        assert_eq!(post("nobody", &[], "{}").await, 404);
        assert_eq!(kept(app).await, 0);
        assert_eq!(app.message(&id).await["state"], "accepted");
        // The right one is accepted.
        assert_eq!(app.callback("meta-main", &body).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
    })
    .await;
}

fn ycloud_event(attempt: &str, status: &str) -> String {
    json!({
        "id": "evt_1", "type": "whatsapp.message.updated", "apiVersion": "v2", "createTime": "2026-09-10T10:00:00.000Z",
        "whatsappMessage": { "id": "63f872f6741c165b434", "status": status, "externalId": attempt },
    })
    .to_string()
}

/// The body is not signed there: anybody who saw one callback could send any body with its header.
#[tokio::test]
async fn a_header_of_engagelab_counts_for_one_callback() {
    let through =
        |settings: &mut otpost::config::Settings| settings.route.options.steps = vec!["engagelab-wa".to_owned()];
    with_settings(through, async |app| {
        let (id, _) = taken(app, "+628123450003").await;
        let provider_id = app.sim.messages(None, 1)[0].provider_id.clone().unwrap();
        let body = |status: &str| {
            json!({ "total": 1, "rows": [{ "message_id": provider_id, "status": { "message_status": status } }] })
        };
        let header = callback_id("seen-on-its-way", app.clock.now());
        let post = async |body: &Value| {
            let request = app.http.post(format!("{}/webhooks/engagelab-wa", app.url)).header("X-CALLBACK-ID", &header);
            request.body(body.to_string()).send().await.unwrap().status().as_u16()
        };
        assert_eq!(post(&body("sent")).await, 200);
        assert_eq!(post(&body("delivered")).await, 401, "the proof was of another body");
        assert_eq!(post(&body("sent")).await, 200, "a repeat is answered like the first");
        assert_eq!(app.message(&id).await["state"], "sent");
        assert_eq!(app.callback("engagelab-wa", &body("delivered").to_string()).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
        // EngageLab tests the URL when it is entered, without a proof.
        let check = app.http.post(format!("{}/webhooks/engagelab-wa", app.url));
        assert_eq!(check.send().await.unwrap().status(), 200);
        assert_eq!(kept(app).await, 2);
    })
    .await;
}

#[tokio::test]
async fn the_previous_secret_counts_while_it_is_rotated() {
    let change = |settings: &mut otpost::config::Settings| {
        let account = settings.accounts.get_mut("meta-main").unwrap();
        let config = account.provider.config_mut::<MetaConfig>().expect("Meta's");
        config.app_secrets.insert(0, Secret::new("the new secret"));
    };
    with_settings(change, async |app| {
        let (id, attempt) = taken(app, "+628123450001").await;
        let body = meta_body(&[meta_status(&attempt, "sent", start())]);
        assert_eq!(app.callback("meta-main", &body).await, 200, "signed with the previous one");
        let body = meta_body(&[meta_status(&attempt, "delivered", start())]);
        let signature = format!("sha256={}", hmac_hex("the new secret", &[body.as_bytes()]));
        let request = app.http.post(format!("{}/webhooks/meta-main", app.url)).header("X-Hub-Signature-256", signature);
        assert_eq!(request.body(body).send().await.unwrap().status(), 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
    })
    .await;
}

#[tokio::test]
async fn one_bad_status_among_a_thousand_blocks_none_of_the_others() {
    with_app(async |app| {
        let ids = many(app, 500, None).await;
        app.run_workers().await;
        let mut statuses: Vec<Value> = Vec::new();
        for status in ["sent", "delivered"] {
            statuses.extend(ids.iter().map(|id| meta_status(&id.attempt(1).to_string(), status, start())));
        }
        statuses[500] = json!({ "id": 7, "status": ["delivered"] });
        let body = meta_body(&statuses);
        assert!(body.len() > 100_000);
        assert_eq!(app.callback("meta-main", &body).await, 200);
        let applied: i64 = sqlx::query_scalar("select count(*) from receipts where disposition = 'applied'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!((applied, count(app, "receipts").await), (999, 999));
        let delivered: i64 = sqlx::query_scalar("select count(*) from messages where state = 'delivered'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(delivered, 499);

        let letters = dead_letters::list(&app.store(), false, 10).await.unwrap();
        assert_eq!(letters.len(), 1);
        let letter = &letters[0];
        assert_eq!(letter.body_bytes as usize, body.len());
        assert!(letter.reason.starts_with("1 unreadable"), "{}", letter.reason);
        let clear =
            code_keys().open_bytes(letter.body_key_id, letter.letter_id.as_bytes(), &letter.body_sealed).unwrap();
        assert_eq!(&clear[..], body.as_bytes(), "whole, and sealed");
        // Still unreadable: it stays. The others can be read now.
        let replayed = replay::run(&app.store(), &app.clock, &code_keys(), &app.callbacks, 10).await.unwrap();
        assert!(replayed[0].result.is_err());
        assert_eq!(dead_letters::list(&app.store(), false, 10).await.unwrap().len(), 1);
        let applied: i64 = sqlx::query_scalar("select count(*) from receipts where disposition <> 'duplicate'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(applied, 999);
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_that_can_be_read_now_is_taken_once() {
    with_app(async |app| {
        let (id, attempt) = taken(app, "+628123450001").await;
        let body = meta_body(&[meta_status(&attempt, "delivered", start())]);
        let letter_id = Uuid::now_v7();
        let (body_key_id, body_sealed) = code_keys().seal_bytes(letter_id.as_bytes(), body.as_bytes(), [9; 24]);
        let letter = DeadLetter {
            letter_id,
            account: "meta-main".to_owned(),
            callback_id: letter_id,
            reason: "the reader was wrong".to_owned(),
            attempt_id: None,
            body_key_id,
            body_sealed,
            body_bytes: 1,
            received_at: start(),
            replayed_at: None,
        };
        dead_letters::insert(&app.store(), &letter).await.unwrap();
        let replayed = replay::run(&app.store(), &app.clock, &code_keys(), &app.callbacks, 10).await.unwrap();
        assert_eq!(replayed[0].result, Ok(1));
        assert_eq!(app.message(&id).await["state"], "delivered");
        let again = replay::run(&app.store(), &app.clock, &code_keys(), &app.callbacks, 10).await.unwrap();
        assert!(again.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_authentic_callback_that_cannot_be_read_is_kept_and_answered_200() {
    with_app(async |app| {
        let bodies: [(&str, &str); 13] = [
            ("meta-main", ""),
            ("meta-main", "not json"),
            ("meta-main", r#"{"entry":7}"#),
            ("meta-main", r#"{"object":"x","entry":[{"changes":[{"field":"messages","value":{"statuses":[{"id":"a\u0000b","status":"sent"}]}}]}]}"#),
            ("meta-main", r#"{"entry":[{"changes":[{"field":"messages","value":{"statuses":[{"id":"\ud800","status":"sent"}]}}]}]}"#),
            ("ycloud-wa", r#"{"type":"whatsapp.message.updated"}"#),
            ("cliqtel-wa", r#"{"event":"message.status","data":{"id":""}}"#),
            ("cliqtel-wa", &"[".repeat(100_000)),
            ("engagelab-wa", r#"{"rows":7}"#),
            ("engagelab-wa", r#"{"rows":[{"status":{"message_status":"sent"}}]}"#),
            ("http-wa", r#"{"events":[{"id":"1"}]}"#),
            ("http-wa", &"[".repeat(100_000)),
            ("http-sms", "msgid=%ff&stat=DELIVRD"),
        ];
        for (n, (account, body)) in bodies.iter().enumerate() {
            assert_eq!(app.callback(account, body).await, 200, "{account} {}", &body[..body.len().min(80)]);
            assert_eq!(count(app, "dead_letters").await, n as i64 + 1, "{}", &body[..body.len().min(80)]);
        }
        assert_eq!(count(app, "receipts").await + count(app, "unmatched_receipts").await, 0);
        // Events of other kinds, and unknown words, are not dead letters.
        let news = meta_body(&[json!({ "id": "wamid.x", "status": "warming_up" })]);
        assert_eq!(app.callback("meta-main", &news).await, 200);
        assert_eq!(app.callback("meta-main", r#"{"entry":[{"changes":[{"field":"account_update"}]}]}"#).await, 200);
        assert_eq!(count(app, "dead_letters").await, bodies.len() as i64);
    })
    .await;
}

#[tokio::test]
async fn strange_values_in_a_receipt_do_not_keep_it_from_being_stored() {
    with_app(async |app| {
        let (id, attempt) = taken(app, "+628123450001").await;
        for (field, value) in [
            ("timestamp", json!("99999999999999999999")),
            ("timestamp", json!(-1)),
            ("timestamp", json!({ "a": "\u{0}" })),
            ("errors", json!([{ "code": "x\u{0}".repeat(500) }])),
            ("errors", json!([{ "code": 1.5 }])),
            ("errors", json!("none")),
            ("errors", json!([])),
            ("recipient_id", json!("\u{0}")),
        ] {
            let mut item = meta_status(&attempt, "failed", start());
            item[field] = value.clone();
            assert_eq!(app.callback("meta-main", &meta_body(&[item])).await, 200, "{field} {value}");
        }
        assert_eq!(count(app, "receipts").await, 8);
        assert_eq!(app.message(&id).await["attempts"][0]["state"], "failed");
        // An id that is unknown but looks like one of ours, and one that does not.
        for reference in ["01a08ac2-8900-7070-b6c3-db4dd13a6b01", "x", "", "01a08ac2-8900-7070-b6c3-db4dd13a6bff"] {
            let status = meta_status(reference, "delivered", start());
            assert_eq!(app.callback("meta-main", &meta_body(&[status])).await, 200, "{reference}");
        }
        assert_eq!(count(app, "unmatched_receipts").await, 4);
        assert_eq!(count(app, "dead_letters").await, 0);
    })
    .await;
}

/// The statuses reported for each of twenty messages, in order.
fn stories(ids: &[MessageId]) -> Vec<Value> {
    let mut statuses = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let story: &[&str] = match n % 5 {
            0 => &["sent", "delivered", "read"],
            1 => &["sent", "failed"],
            2 => &["delivered"],
            3 => &["sent"],
            _ => &["failed"],
        };
        let attempt = id.attempt(1).to_string();
        statuses.extend(
            story
                .iter()
                .enumerate()
                .map(|(s, status)| meta_status(&attempt, status, start() + TimeDelta::seconds(s as i64))),
        );
    }
    statuses
}

fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for i in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, (seed >> 33) as usize % (i + 1));
    }
}

#[tokio::test]
async fn receipts_in_any_order_and_number_leave_the_same_rows() {
    let mut runs = Vec::new();
    for seed in 0..6 {
        with_app(async |app| {
            let ids = many(app, 20, None).await;
            app.run_workers().await;
            let mut statuses = stories(&ids);
            let total = statuses.len();
            if seed > 0 {
                statuses = (0..10).flat_map(|_| statuses.clone()).collect();
                shuffle(&mut statuses, seed);
            }
            // One by one and several at once, some of them at the same time.
            for chunk in statuses.chunks(if seed > 0 { 37 } else { 1 }) {
                let bodies: Vec<String> = chunk.chunks(1 + seed as usize).map(meta_body).collect();
                let answers = futures_util::future::join_all(bodies.iter().map(|b| app.callback("meta-main", b))).await;
                assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
            }
            app.run_workers().await;
            let copies = if seed > 0 { 10 } else { 1 };
            assert_eq!(count(app, "receipts").await, (total * copies) as i64);
            let messages = rows(app, "messages", "recipient", &["message_id", "code_hash", "code_sealed"]).await;
            let of = "(select recipient from messages m where m.message_id = t.message_id), attempt_no";
            let attempts = rows(app, "attempts", of, &["message_id", "attempt_id", "provider_message_id"]).await;
            runs.push((messages, attempts));
        })
        .await;
    }
    let (first, others) = runs.split_first().unwrap();
    for other in others {
        for (a, b) in first.0.iter().zip(&other.0).chain(first.1.iter().zip(&other.1)) {
            assert_eq!(a, b);
        }
        assert_eq!(first.1.len(), other.1.len());
    }
}

#[tokio::test]
async fn a_receipt_speaks_for_its_own_accounts_attempts_only() {
    with_app(async |app| {
        let (id, attempt) = taken(app, "+628123450003").await;
        let before = app.message(&id).await;
        for status in ["delivered", "failed"] {
            assert_eq!(app.callback("ycloud-wa", &ycloud_event(&attempt, status)).await, 200);
        }
        let token = hmac_hex("sim-cliqtel-callback-secret", &[attempt.as_bytes()]);
        let path = format!("{}/webhooks/cliqtel-sms?attempt={attempt}&token={token}", app.url);
        let response = app.http.post(path).body(r#"{"status":"delivered","id":1}"#).send().await.unwrap();
        assert_eq!(response.status(), 200);
        // Another attempt's number in the same message: it does not exist yet.
        let second = MessageId::parse(&id).unwrap().attempt(2).to_string();
        let body = meta_body(&[meta_status(&second, "delivered", start())]);
        assert_eq!(app.callback("meta-main", &body).await, 200);
        assert_eq!(app.message(&id).await, before);
        assert_eq!((count(app, "receipts").await, count(app, "unmatched_receipts").await), (0, 4));
        // Not even when the attempt later gets that number, on another account.
        app.clock.advance(TimeDelta::seconds(15));
        app.run_workers().await;
        recover::waiting_receipts(&app.callbacks.apply, app.clock.now()).await.unwrap();
        assert_eq!(app.message(&id).await["attempts"][1]["state"], "accepted");
    })
    .await;
}

#[tokio::test]
async fn old_callbacks_have_no_effect_once_a_message_is_settled() {
    with_app(async |app| {
        let numbers = ["+628123450003", "+628123460003", "+628123470003"];
        let mut ids = Vec::new();
        for to in numbers {
            ids.push(taken(app, to).await);
        }
        let code = app.sim.messages(Some(numbers[0]), 1)[0].code.clone().unwrap();
        let (_, checked) = app.post(&format!("/v1/messages/{}/check", ids[0].0), json!({ "code": code })).await;
        assert_eq!(checked["valid"], true);
        app.post(&format!("/v1/messages/{}/cancel", ids[1].0), json!({})).await;
        let body = |status: &str| {
            let status: Vec<Value> = ids.iter().take(2).map(|(_, a)| meta_status(a, status, start())).collect();
            meta_body(&status)
        };
        for status in ["sent", "failed"] {
            assert_eq!(app.callback("meta-main", &body(status)).await, 200);
        }
        app.run_workers().await;
        // The third one's life ends by itself; its replacement left meanwhile.
        app.clock.advance(TimeDelta::hours(1));
        app.run_workers().await;
        let failed = meta_body(&[meta_status(&ids[2].1, "failed", start())]);
        assert_eq!(app.callback("meta-main", &failed).await, 200, "Meta's signature knows no time");
        app.run_workers().await;
        for (to, (id, _)) in numbers.iter().zip(&ids) {
            let message = app.message(id).await;
            assert_eq!(app.sim.phone(to).requests.sms, 0, "{message:#}");
            assert_eq!(message["attempts"].as_array().unwrap().len(), 1, "{message:#}");
            assert_eq!(message["attempts"][0]["state"], "failed", "kept as history: {message:#}");
        }
        let message = app.message(&ids[0].0).await;
        assert_eq!((&message["state"], &message["outcome"]), (&json!("delivered"), &json!("verified")));
        assert_eq!(count(app, "receipts").await, 5);
    })
    .await;
}

/// A message of `cliqtel-wa` in flight: leased, without an answer yet.
async fn in_flight(app: &TestApp, ids: &[MessageId]) -> Vec<Uuid> {
    let tokens: Vec<Uuid> = ids.iter().map(|_| Uuid::now_v7()).collect();
    let until = app.clock.now() + TimeDelta::seconds(20);
    let leases: Vec<Command> = ids
        .iter()
        .zip(&tokens)
        .map(|(id, token)| Command {
            message: *id,
            event: RecordedEvent::Lease { attempt_no: 1, lease: Lease { token: *token, until }, price: None },
            at: app.clock.now(),
        })
        .collect();
    let outcomes = app.transitions.run(&leases).await.unwrap();
    assert!(outcomes.done.iter().all(|d| matches!(d, Done::Effect(Effect::Leased))));
    tokens
}

fn accepted(app: &TestApp, id: MessageId, token: Uuid, name: &str) -> Command {
    Command {
        message: id,
        event: RecordedEvent::Send {
            attempt_no: 1,
            token,
            result: SendResult::Accepted { provider_message_id: name.to_owned(), held: false, nobody_tells: false },
            request: SentRequest { started_at: app.clock.now(), http_status: Some(200), ask: None },
        },
        at: app.clock.now(),
    }
}

/// Waits, at most 10 s, until no receipt waits for an id.
async fn all_matched(app: &TestApp) {
    for _ in 0..1000 {
        if count(app, "unmatched_receipts").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("receipts still wait for their ids");
}

fn cliqtel_body(name: &str, status: &str) -> String {
    json!({ "event": "message.status", "data": { "id": name, "status": status } }).to_string()
}

fn through_cliqtel(settings: &mut otpost::config::Settings) {
    settings.route.options.steps = vec!["cliqtel-wa".to_owned(), "ycloud-sms".to_owned()];
}

#[tokio::test]
async fn a_receipt_that_comes_before_its_id_waits_for_it() {
    with_settings(through_cliqtel, async |app| {
        let ids = many(app, 3, None).await;
        let tokens = in_flight(app, &ids).await;
        for (name, status) in [("n-0", "delivered"), ("n-1", "failed"), ("n-2", "sent"), ("n-9", "sent")] {
            assert_eq!(app.callback("cliqtel-wa", &cliqtel_body(name, status)).await, 200);
        }
        assert_eq!(count(app, "unmatched_receipts").await, 4);
        for (n, (id, token)) in ids.iter().zip(&tokens).enumerate() {
            app.dispatch.ledger.apply_one(accepted(app, *id, *token, &format!("n-{n}"))).await.unwrap();
        }
        for _ in 0..1000 {
            if count(app, "unmatched_receipts").await == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(count(app, "unmatched_receipts").await, 1, "only the stranger waits on");
        let message = app.message(&ids[0].to_string()).await;
        assert_eq!((&message["state"], &message["attempts"][0]["timer"]), (&json!("delivered"), &json!("disarmed")));
        let message = app.message(&ids[1].to_string()).await;
        assert_eq!(message["attempts"][1]["reason"], "failed", "{message:#}");
        let message = app.message(&ids[2].to_string()).await;
        assert_eq!((&message["state"], &message["attempts"][0]["timer"]), (&json!("sent"), &json!("armed")));
    })
    .await;
}

#[tokio::test]
async fn a_match_that_was_interrupted_is_taken_up_again() {
    with_settings(through_cliqtel, async |app| {
        let ids = many(app, 1, None).await;
        let tokens = in_flight(app, &ids).await;
        assert_eq!(app.callback("cliqtel-wa", &cliqtel_body("n-0", "delivered")).await, 200);
        // Bypasses the ledger: the id is not announced, as if the process had died here.
        app.transitions.run(&[accepted(app, ids[0], tokens[0], "n-0")]).await.unwrap();
        assert_eq!(app.message(&ids[0].to_string()).await["state"], "accepted");
        assert_eq!(recover::waiting_receipts(&app.callbacks.apply, app.clock.now()).await.unwrap(), (1, 1));
        assert_eq!(app.message(&ids[0].to_string()).await["state"], "delivered");
        assert_eq!(count(app, "unmatched_receipts").await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_race_of_a_receipt_with_its_id_loses_neither() {
    with_settings(through_cliqtel, async |app| {
        let ids = many(app, 200, None).await;
        let tokens = in_flight(app, &ids).await;
        let both = ids.iter().zip(&tokens).enumerate().map(async |(n, (id, token))| {
            let name = format!("n-{n}");
            let body = cliqtel_body(&name, "delivered");
            let receipt = app.callback("cliqtel-wa", &body);
            let landing = app.dispatch.ledger.apply_one(accepted(app, *id, *token, &name));
            // Each side begins first half of the time.
            if n % 2 == 0 {
                let (status, done) = tokio::join!(receipt, landing);
                (status, done.is_ok())
            } else {
                let (done, status) = tokio::join!(landing, receipt);
                (status, done.is_ok())
            }
        });
        let answers = futures_util::future::join_all(both).await;
        assert!(answers.iter().all(|a| *a == (200, true)), "{answers:?}");
        all_matched(app).await;
        let delivered: i64 = sqlx::query_scalar("select count(*) from messages where state = 'delivered'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!((delivered, count(app, "receipts").await), (200, 200));
    })
    .await;
}

#[tokio::test]
async fn a_callback_of_more_than_4_mib_is_too_large() {
    with_app(async |app| {
        let limit = 4 * 1024 * 1024;
        let mut body = meta_body(&[]);
        body.push_str(&" ".repeat(limit - body.len()));
        assert_eq!(app.callback("meta-main", &body).await, 200);
        body.push(' ');
        assert_eq!(app.callback("meta-main", &body).await, 413);
        assert_eq!(kept(app).await, 0);
        app.send("+628123450001").await;
    })
    .await;
}

#[tokio::test]
async fn metas_handshake_is_answered_with_its_challenge() {
    with_app(async |app| {
        let ask = async |path: &str| {
            let response = app.http.get(format!("{}/webhooks/{path}", app.url)).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        let query = "hub.mode=subscribe&hub.challenge=115820&hub.verify_token=sim-verify-token";
        assert_eq!(ask(&format!("meta-main?{query}")).await, (200, "115820".to_owned()));
        assert_eq!(ask(&format!("meta-main?{}", query.replace("token=sim", "token=xim"))).await.0, 403);
        assert_eq!(ask("meta-main?hub.mode=subscribe&hub.challenge=1").await.0, 403);
        assert_eq!(ask("meta-main").await.0, 400);
        assert_eq!(ask(&format!("ycloud-wa?{query}")).await.0, 405);
        assert_eq!(ask(&format!("nobody?{query}")).await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn a_callback_that_cannot_be_made_durable_is_answered_503_and_its_repeat_is_taken() {
    with_app(async |app| {
        let (id, attempt) = taken(app, "+628123450001").await;
        let body = meta_body(&[meta_status(&attempt, "delivered", start())]);
        let unreadable = "not json";
        let mut other = PgConnection::connect(app.database.url()).await.unwrap();
        let mut locked = other.begin().await.unwrap();
        sqlx::raw_sql("lock table attempts, dead_letters in access exclusive mode")
            .execute(&mut *locked)
            .await
            .unwrap();
        for body in [body.as_str(), unreadable] {
            let (_, header) = signed("meta-main", body.as_bytes(), start());
            let (name, value) = header.unwrap();
            let request = app.http.post(format!("{}/webhooks/meta-main", app.url)).header(name, value);
            let response = request.body(body.to_owned()).send().await.unwrap();
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "1");
        }
        // The API says the same.
        let (status, answer) = app.get(&format!("/v1/messages/{id}")).await;
        assert_eq!((status, &answer["type"]), (503, &json!("urn:otpost:problem:unavailable")));
        locked.rollback().await.unwrap();
        assert_eq!(kept(app).await, 0);
        assert_eq!(app.callback("meta-main", &body).await, 200);
        assert_eq!(app.callback("meta-main", unreadable).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
        assert_eq!((count(app, "receipts").await, count(app, "dead_letters").await), (1, 1));
    })
    .await;
}
