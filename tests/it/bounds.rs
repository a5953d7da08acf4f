//! Everything that grows is bounded, and queries of large tables read a bounded part of them.

use chrono::TimeDelta;
use otpost::domain::app_id::AppId;
use otpost::domain::code::Code;
use otpost::domain::memory::Memory;
use otpost::domain::phone::Phone;
use otpost::services::messages::accept_message::NewMessage;
use otpost::services::upkeep::forget;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::helpers::app::{TestApp, first_attempt, meta_body, meta_status, plain, with_app, with_settings};

async fn count(app: &TestApp, what: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {what}"))).fetch_one(&app.pool).await.unwrap()
}

async fn run(app: &TestApp, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&app.pool).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

async fn raw(app: &TestApp, method: reqwest::Method, path: &str, body: &str) -> (u16, String) {
    let request = app.http.request(method, format!("{}{path}", app.url)).bearer_auth(&app.key);
    let request = request.header("Idempotency-Key", "k").body(body.to_owned());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn metadata_comes_back_as_it_was_sent() {
    with_app(async |app| {
        // As `jsonb`, each of these numbers would have thousands of digits.
        let numbers = vec!["1e1000"; 500].join(",");
        let metadata = format!(r#"{{"z":[{numbers}],"a":1.10,"a":"\ud83d\ude00 ä","deep":[[[{{}}]]], "big":123456789012345678901234567890}}"#);
        assert!(metadata.len() > 3500);
        let body = format!(r#"{{"to":"+628123450001","metadata":{metadata}}}"#);
        let (status, first) = raw(app, reqwest::Method::POST, "/v1/messages", &body).await;
        assert!(status == 202 && first.contains(&metadata), "{first}");
        let (status, again) = raw(app, reqwest::Method::POST, "/v1/messages", &body).await;
        assert_eq!((status, &again), (202, &first), "a repeat gets the very same answer");
        let id: String = sqlx::query_scalar("select message_id::text from messages").fetch_one(&app.pool).await.unwrap();
        for path in [format!("/v1/messages/{id}"), format!("/v1/messages/{id}/timeline"), "/v1/messages".to_owned()] {
            let (status, told) = raw(app, reqwest::Method::GET, &path, "").await;
            assert!(status == 200 && told.contains(&metadata) && told.len() < 8_000, "{path}: {}", told.len());
        }
        app.run_workers().await;
        // A row of an older version is shown as well.
        run(app, r#"update messages set metadata_text = null, metadata = '{"old": true}'"#).await;
        assert_eq!(app.message(&id).await["metadata"], json!({ "old": true }));
    })
    .await;
}

#[tokio::test]
async fn metadata_that_cannot_be_kept_is_refused_by_its_name() {
    with_app(async |app| {
        let deep = format!("{}{}", "{\"a\":".repeat(40), "1".to_owned() + &"}".repeat(40));
        for (metadata, reason) in [
            ("7".to_owned(), "object"),
            ("[]".to_owned(), "object"),
            (format!(r#"{{"a":"{}"}}"#, "x".repeat(4100)), "4096 bytes"),
            (r#"{"a":"\u0000"}"#.to_owned(), "U+0000"),
            (r#"{"\u0000":1}"#.to_owned(), "U+0000"),
            (deep, "32 levels"),
        ] {
            let body = format!(r#"{{"to":"+628123450001","metadata":{metadata}}}"#);
            let (status, told) = raw(app, reqwest::Method::POST, "/v1/messages", &body).await;
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!((status, &told["errors"][0]["field"]), (422, &json!("metadata")), "{told}");
            assert!(told["errors"][0]["reason"].as_str().unwrap().contains(reason), "{told}");
        }
        // A text that only looks like it is accepted.
        let body = r#"{"to":"+628123450001","metadata":{"a":"\\u0000 { [ \" ]"}}"#;
        assert_eq!(raw(app, reqwest::Method::POST, "/v1/messages", body).await.0, 202);
    })
    .await;
}

/// `rows` messages of `shop`, one second apart, newest first in what is returned: every 1000th is cancelled, every 5th
/// has the country `SG`, and each has its own reference.
async fn many(app: &TestApp, rows: i64) {
    let id = app.send("+628123450001").await;
    app.run_workers().await;
    let id: uuid::Uuid = id.parse().unwrap();
    let made = "select n, m.created_at - make_interval(secs => n) as at,
                       (lpad(to_hex((extract(epoch from m.created_at - make_interval(secs => n)) * 1000)::bigint), 12, '0')
                        || '70' || lpad(to_hex(m.bucket::int), 2, '0') || '80' || lpad(to_hex(n), 12, '0') || '00')::uuid as new_id
                  from messages m, generate_series(1, $1::bigint) n where m.message_id = $2";
    let sql = format!(
        "insert into messages (bucket, message_id, app, recipient, country, calling_code_len, purpose, reference, route,
                               code_key_id, code_hash, code_length, max_tries, created_at, expires_at, outcome, settled_at)
         select m.bucket, d.new_id, m.app, m.recipient, case when d.n % 5 = 0 then 'SG' else 'ID' end, m.calling_code_len,
                m.purpose, 'order-' || d.n, m.route, 1, m.code_hash, 6, 5, d.at, d.at + interval '5 minutes',
                case when d.n % 1000 = 0 then 'cancelled' else 'expired' end, d.at + interval '5 minutes'
           from messages m, ({made}) d where m.message_id = $2"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(rows).bind(id).execute(&app.pool).await.unwrap();
    let sql =
        "insert into attempts (bucket, message_id, attempt_no, attempt_id, app, step, channel, account, reason, state,
                                     send_state, planned_at, failed_at)
               select bucket, message_id, 1, message_id, app, 0, 'whatsapp', 'meta-main', 'first', 'failed', 'rejected',
                      created_at, created_at
                 from messages where outcome <> 'pending'";
    run(app, sql).await;
    run(app, "analyze messages, attempts").await;
}

/// All parts of a list, in order.
async fn all(app: &TestApp, query: &str) -> (Vec<Value>, usize) {
    let (mut found, mut parts, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let (status, page) = app.get(&format!("/v1/messages?limit=200&{query}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        parts += 1;
        found.extend(page["messages"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (found, parts),
        }
    }
}

#[tokio::test]
async fn a_list_looks_at_a_bounded_part_and_says_where_to_go_on() {
    let rows: i64 = std::env::var("OTPOST_TEST_ROWS").map_or(12_000, |n| n.parse().expect("a number"));
    let app = TestApp::start(|_| {}).await;
    many(&app, rows).await;
    let time = |seconds: i64| (app.clock.now() - TimeDelta::seconds(seconds)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    for (query, expected) in [
        ("outcome=cancelled".to_owned(), rows / 1000),
        ("outcome=pending".to_owned(), 1),
        ("country=FR".to_owned(), 0),
        ("channel=sms".to_owned(), 0),
        (format!("created_from={}&created_before={}&country=SG", time(2000), time(1000)), 200),
        (format!("created_before={}", time(rows - 10)), 10),
        ("reference=order-777".to_owned(), 1),
        ("reference=nothing".to_owned(), 0),
    ] {
        let began = std::time::Instant::now();
        let (status, first) = app.get(&format!("/v1/messages?limit=200&{query}")).await;
        println!("{query:60} first part {:>7.1} ms", began.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(status, 200, "{first}");
        if rows <= 20_000 {
            let (found, parts) = all(&app, &query).await;
            assert_eq!(found.len() as i64, expected, "{query}");
            assert!(found.windows(2).all(|w| w[0]["id"].as_str() > w[1]["id"].as_str()), "{query}");
            assert!(parts as i64 <= rows / 5_000 + 2, "{query}: {parts} parts");
        }
    }
    // The statement itself reads no more than allowed, and finds a reference by its index.
    let plan = |reference: &str| {
        format!(
            "explain (analyze, format json) select from (select * from messages o where o.app = 'shop' {reference}
              order by o.message_id desc limit 5000) m where m.outcome = 'nothing'"
        )
    };
    let read =
        async |sql: String| -> Value { sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.pool).await.unwrap() };
    let scanned = read(plan("")).await.to_string();
    assert!(scanned.contains("messages_by_app") && scanned.contains("\"Actual Rows\":5000"), "{scanned}");
    let by_reference = read(plan("and o.reference = 'order-777'")).await.to_string();
    assert!(by_reference.contains("messages_by_reference_newest"), "{by_reference}");
    app.stop().await;
}

#[tokio::test]
async fn checks_and_repeated_receipts_are_kept_up_to_a_number() {
    with_app(async |app| {
        let id = app.send("+628123450003").await;
        app.run_workers().await;
        for _ in 0..60 {
            let (status, _) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": "000000" })).await;
            assert_eq!(status, 200);
        }
        assert_eq!(count(app, "checks").await, 30);
        let body = meta_body(&[meta_status(&first_attempt(&id), "sent", app.clock.now())]);
        for _ in 0..130 {
            assert_eq!(app.callback("meta-main", &body).await, 200);
        }
        assert_eq!(count(app, "receipts").await, 100);
        // New data is stored all the same.
        let body = meta_body(&[meta_status(&first_attempt(&id), "delivered", app.clock.now())]);
        assert_eq!(app.callback("meta-main", &body).await, 200);
        assert_eq!(count(app, "receipts where status = 'delivered'").await, 1);

        // Its timeline comes in parts, each event once.
        let (mut events, mut cursor, mut parts) = (Vec::new(), 0, 0);
        loop {
            let (status, page) = app.get(&format!("/v1/messages/{id}/timeline?limit=50&cursor={cursor}")).await;
            assert_eq!(status, 200, "{page}");
            events.extend(page["timeline"].as_array().unwrap().iter().cloned());
            parts += 1;
            match page["next"].as_u64() {
                Some(next) => cursor = next,
                None => break,
            }
        }
        assert!(parts > 2 && events.iter().filter(|e| e["event"] == "receipt").count() == 101, "{parts}");
        let (_, whole) = app.get(&format!("/v1/messages/{id}/timeline?limit=500")).await;
        assert_eq!(whole["timeline"].as_array().unwrap(), &events);
        assert_eq!(app.get(&format!("/v1/messages/{id}/timeline?limit=0")).await.0, 422);
        // Words of a newer version are shown unchanged.
        run(app, "alter table checks drop constraint checks_verdict_check").await;
        run(app, "alter table receipts drop constraint receipts_disposition_check").await;
        run(app, "update checks set verdict = 'of_tomorrow' where verdict = 'exhausted'").await;
        run(app, "update receipts set disposition = 'of_tomorrow' where disposition = 'duplicate'").await;
        assert_eq!(app.get(&format!("/v1/messages/{id}/timeline")).await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_have_an_age_and_an_account_has_so_many() {
    with_app(async |app| {
        let sql = "insert into dead_letters (slot, letter_id, account, callback_id, reason, body_key_id, body_sealed, body_bytes, received_at)
                   select n % 256, gen_random_uuid(), case when n <= 10100 then 'flood' else 'calm' end, gen_random_uuid(), 'x', 1,
                          '', case when n > 10150 then 200000000 else 10 end, $1::timestamptz - make_interval(secs => n)
                     from generate_series(1, 10152) n";
        sqlx::query(sql).bind(app.clock.now()).execute(&app.pool).await.unwrap();
        forget::run_once(&app.transitions.pool, &app.clock).await.unwrap();
        assert_eq!(count(app, "dead_letters where account = 'flood'").await, 10_000, "the newest stay");
        assert_eq!(count(app, "dead_letters where account = 'calm'").await, 51, "and so many bytes");
        app.clock.advance(TimeDelta::days(15));
        forget::run_once(&app.transitions.pool, &app.clock).await.unwrap();
        assert_eq!(count(app, "dead_letters").await, 0);
    })
    .await;
}

async fn send_as(app: &TestApp, tenant: &str, to: &str, code: Option<&str>) -> String {
    let new = NewMessage { code: code.map(|code| Code::parse(code).unwrap()), ..plain(to) };
    app.accept.run(&AppId::stored(tenant), new, None).await.unwrap().id.to_string()
}

#[tokio::test]
async fn what_one_app_learns_of_a_number_is_its_own() {
    let number = "+628123450002";
    let phone = Phone::parse(number).unwrap();
    for shared in [false, true] {
        with_settings(
            |settings| settings.memory.shared = shared,
            async |app| {
                send_as(app, "bank", number, None).await;
                app.pass(std::time::Duration::from_secs(10)).await;
                let knows =
                    async |tenant: &str| app.memory.recall(&AppId::stored(tenant), &phone).await.not_on_whatsapp;
                assert_eq!((knows("bank").await, knows("shop").await), (true, shared));
                // An operator erases it for all apps.
                app.database.pool().await;
                run(app, "insert into apps (app, created_at) values ('bank', now()) on conflict do nothing").await;
                assert!(!app.forget(&phone).await.is_empty());
                assert_eq!((knows("bank").await, knows("shop").await), (false, false));
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_code_that_the_app_knew_teaches_nothing_when_it_comes_back() {
    let number = "+628123450003";
    for (code, learnt) in [(Some("739150"), false), (None, true)] {
        with_settings(
            |_| {},
            async |app| {
                let id = send_as(app, "shop", number, code).await;
                // WhatsApp stays silent; the SMS is sent, and its receipt is lost.
                app.sim.set_mode("ycloud-sms", otpost::simulator::Mode::Silence).unwrap();
                app.pass(std::time::Duration::from_secs(20)).await;
                let typed = app.sim.messages(Some(number), 10)[0].code.clone().unwrap();
                let (_, check) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": typed })).await;
                assert_eq!(check["valid"], true, "{check}");
                let expected = Memory { answers_by_sms: learnt, ..Memory::default() };
                assert_eq!(app.memory.recall(&AppId::stored("shop"), &Phone::parse(number).unwrap()).await, expected);
            },
        )
        .await;
    }
}
