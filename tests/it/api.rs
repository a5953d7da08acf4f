//! The API: what it refuses and how, what it shows, and the effect of repeats and races.

use std::time::Duration;

use chrono::TimeDelta;
use otpost::domain::app_id::AppId;
use otpost::services::keys::app_keys::AppKeys;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::helpers::app::{TestApp, start, with_app, with_settings};

const TO: &str = "+628123451234";
const CODE: &str = "739150";

async fn count(pool: &PgPool, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.expect("a count")
}

/// Rows in every table that a request can write to.
async fn stored(pool: &PgPool) -> i64 {
    let mut sum = 0;
    for table in ["messages", "attempts", "idempotency_keys", "checks", "receipts", "unmatched_receipts", "sends"] {
        sum += count(pool, table).await;
    }
    sum
}

/// Status, `type` without its prefix, and the field named.
fn refusal(status: u16, answer: &Value) -> (u16, String, String) {
    let kind = answer["type"].as_str().unwrap_or_default().trim_start_matches("urn:otpost:problem:");
    let field = answer["errors"][0]["field"].as_str().unwrap_or_default();
    (status, kind.to_owned(), field.to_owned())
}

async fn raw(app: &TestApp, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let request = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(&app.key).body(body);
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.expect("a text")).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named_and_nothing_is_stored() {
    with_app(async |app| {
        let ok = json!({ "to": TO });
        let with = |field: &str, value: Value| {
            let mut body = ok.clone();
            body[field] = value;
            body
        };
        let long = "x".repeat(201);
        let cases: Vec<(Value, &str)> = vec![
            (json!({}), "to"),
            (with("to", json!("")), "to"),
            (with("to", json!("08123456789")), "to"),
            (with("to", json!("+")), "to"),
            (with("to", json!("+0123456789")), "to"),
            (with("to", json!("+1")), "to"),
            (with("to", json!("+999999999999999999")), "to"),
            (with("to", json!("+62 812 abc")), "to"),
            (with("to", json!("+6281\u{0}23451234")), "to"),
            (with("to", json!(628123451234_u64)), "to"),
            (with("to", json!(null)), "to"),
            (with("to", json!([TO])), "to"),
            (with("purpose", json!("marketing")), "purpose"),
            (with("purpose", json!("")), ""),
            (with("purpose", json!("login\u{0}")), "purpose"),
            (with("purpose", json!(1)), "purpose"),
            (with("replace_after_s", json!(14)), "replace_after_s"),
            (with("replace_after_s", json!(61)), "replace_after_s"),
            (with("replace_after_s", json!(-1)), "replace_after_s"),
            (with("replace_after_s", json!(0)), "replace_after_s"),
            (with("replace_after_s", json!(15.5)), "replace_after_s"),
            (with("replace_after_s", json!("30")), "replace_after_s"),
            (with("replace_after_s", json!(i64::MAX)), "replace_after_s"),
            (with("replace_after_s", json!(u64::MAX)), "replace_after_s"),
            (with("replace_after_s", json!(65_566)), "replace_after_s"),
            (with("replace_after_s", json!(true)), "replace_after_s"),
            (with("valid_for_s", json!(104)), "valid_for_s"),
            (with("valid_for_s", json!(601)), "valid_for_s"),
            (with("valid_for_s", json!(65_536 + 300)), "valid_for_s"),
            (with("valid_for_s", json!(-300)), "valid_for_s"),
            (with("valid_for_s", json!("300")), "valid_for_s"),
            (json!({ "to": TO, "replace_after_s": 60, "valid_for_s": 149 }), "valid_for_s"),
            (with("code", json!("123")), "code"),
            (with("code", json!("12345678901")), "code"),
            (with("code", json!("12a456")), "code"),
            (with("code", json!(739_150)), "code"),
            (with("code", json!("１２３４５６")), "code"),
            (with("code_length", json!(3)), "code_length"),
            (with("code_length", json!(11)), "code_length"),
            (with("code_length", json!(256)), "code_length"),
            (with("code_length", json!(-6)), "code_length"),
            (json!({ "to": TO, "code": "1234", "code_length": 6 }), "code_length"),
            (with("locale", json!("")), ""),
            (with("locale", json!("en\u{0}")), ""),
            (with("locale", json!("e".repeat(36))), ""),
            (with("channel", json!("pigeon")), "channel"),
            (with("channel", json!("")), ""),
            (with("channel", json!(null)), ""),
            (with("reference", json!("")), ""),
            (with("reference", json!(long)), "reference"),
            (with("reference", json!("a\u{0}b")), "reference"),
            (with("reference", json!({})), "reference"),
            (with("metadata", json!([])), "metadata"),
            (with("metadata", json!("x")), "metadata"),
            (with("metadata", json!({ "a": "b\u{0}" })), "metadata"),
            (with("metadata", json!({ "a\u{0}": 1 })), "metadata"),
            (with("metadata", json!({ "deep": [{ "a": ["\u{0}"] }] })), "metadata"),
            (with("metadata", json!({ "a": "x".repeat(5000) })), "metadata"),
            (with("client", json!({ "ip": "999.1.1.1" })), ""),
            (with("client", json!({ "ip": "" })), ""),
            (with("client", json!({ "ip": 1 })), ""),
            (with("client", json!({ "platform": "\u{0}" })), ""),
            (with("client", json!({ "device": long })), ""),
            (with("client", json!({ "browser": "x" })), ""),
            (with("client", json!("x")), ""),
            (with("kode", json!("739150")), "kode"),
            (with("To", json!(TO)), "To"),
        ];
        let mut accepted = 0;
        for (body, field) in cases {
            let (status, answer) = app.post("/v1/messages", body.clone()).await;
            if field.is_empty() {
                accepted += 1;
                assert_eq!(status, 202, "{body}: {answer}");
                continue;
            }
            assert_eq!(
                refusal(status, &answer),
                (422, "invalid-field".to_owned(), field.to_owned()),
                "{body}: {answer}"
            );
            assert!(!answer.to_string().contains(CODE), "{answer}");
            assert!(answer["detail"].as_str().is_some_and(|d| d.len() > 5), "{answer}");
        }
        assert_eq!(stored(&app.pool).await, accepted * 2);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_and_nothing_is_stored() {
    with_app(async |app| {
        let deep = format!(r#"{{"to":"{TO}","metadata":{}1{}}}"#, r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
        let cases: Vec<(Vec<u8>, u16, &str, &str)> = vec![
            (b"".to_vec(), 400, "not-json", ""),
            (b"  \n".to_vec(), 400, "not-json", ""),
            (b"{".to_vec(), 400, "not-json", ""),
            (b"to=1".to_vec(), 400, "not-json", ""),
            (br#"{"to":"+628123451234"} {}"#.to_vec(), 400, "not-json", ""),
            (b"{\"to\":\"\xff\"}".to_vec(), 400, "not-json", ""),
            (br#"{"to":"\ud800"}"#.to_vec(), 400, "not-json", ""),
            (deep.into_bytes(), 422, "invalid-field", "metadata"),
            (b"[]".to_vec(), 400, "not-json", ""),
            (br#"["+628123451234",null,null,null,null,null,null,null,null,null,null]"#.to_vec(), 400, "not-json", ""),
            (b"null".to_vec(), 400, "not-json", ""),
            (b"1".to_vec(), 400, "not-json", ""),
            (br#""x""#.to_vec(), 400, "not-json", ""),
            (br#"{"to":"+628123451234","to":"+628123451235"}"#.to_vec(), 422, "invalid-field", "to"),
            (br#"{"to":"+628123451234","code":"739150","code":"739151"}"#.to_vec(), 422, "invalid-field", "code"),
            (
                br#"{"to":"+628123451234","replace_after_s":99999999999999999999999}"#.to_vec(),
                422,
                "invalid-field",
                "replace_after_s",
            ),
            (vec![b' '; 64 * 1024 + 1], 413, "too-large", ""),
        ];
        for (body, status, kind, field) in cases {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let (got, answer) = raw(app, body).await;
            assert_eq!(refusal(got, &answer), (status, kind.to_owned(), field.to_owned()), "{shown}: {answer}");
            assert!(!answer.to_string().contains(CODE), "{answer}");
        }
        assert_eq!(stored(&app.pool).await, 0);
        // One byte less is accepted.
        let mut body = format!(r#"{{"to":"{TO}"}}"#).into_bytes();
        body.resize(64 * 1024, b' ');
        assert_eq!(raw(app, body.clone()).await.0, 202);
        body.push(b' ');
        assert_eq!(raw(app, body).await.0, 413);
    })
    .await;
}

#[tokio::test]
async fn metadata_may_speak_of_backslashes() {
    with_app(async |app| {
        // The six characters \u0000, not the one that they stand for.
        let metadata = json!({ "note": "\\u0000", "n": 1e300, "nested": { "list": [1, null, true, "ü"] } });
        let (status, answer) = app.post("/v1/messages", json!({ "to": TO, "metadata": metadata })).await;
        assert_eq!(status, 202, "{answer}");
        assert_eq!(app.message(answer["id"].as_str().unwrap()).await["metadata"]["note"], "\\u0000");
    })
    .await;
}

#[tokio::test]
async fn keys_addresses_methods_and_ids_that_are_wrong_are_told_apart() {
    with_app(async |app| {
        let id = app.send(TO).await;
        let before = stored(&app.pool).await;
        let keys = [
            String::new(),
            "nonsense".to_owned(),
            "otp_live_".to_owned(),
            "otp_live_00000000_x".to_owned(),
            format!("{}x", app.key),
            app.key[..app.key.len() - 1].to_owned(),
            app.key.to_uppercase(),
        ];
        for key in keys {
            for path in ["/v1/messages".to_owned(), format!("/v1/messages/{id}"), format!("/v1/messages/{id}/timeline")]
            {
                let mut request = app.http.get(format!("{}{path}", app.url));
                if !key.is_empty() {
                    request = request.bearer_auth(&key);
                }
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), 401, "{path} {key}");
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
                assert_eq!(response.headers()["content-type"], "application/problem+json");
            }
            let request = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(&key);
            assert_eq!(request.body(format!(r#"{{"to":"{TO}"}}"#)).send().await.unwrap().status(), 401);
        }
        let other =
            AppKeys::new(app.pool.clone().into(), app.clock.clone()).create(&AppId::stored("other"), "").await.unwrap();
        let revoked = AppKeys::new(app.pool.clone().into(), app.clock.clone())
            .create(&AppId::stored("shop"), "gone")
            .await
            .unwrap();
        sqlx::query("update api_keys set revoked_at = created_at where key_id = $1")
            .bind(&revoked.key_id)
            .execute(&app.pool)
            .await
            .unwrap();
        let request = app.http.get(format!("{}/v1/messages", app.url)).bearer_auth(revoked.key.expose());
        assert_eq!(request.send().await.unwrap().status(), 401);

        for (method, path) in [
            (Method::GET, format!("/v1/messages/{id}")),
            (Method::GET, format!("/v1/messages/{id}/timeline")),
            (Method::POST, format!("/v1/messages/{id}/check")),
            (Method::POST, format!("/v1/messages/{id}/resend")),
            (Method::POST, format!("/v1/messages/{id}/cancel")),
        ] {
            let request = app.http.request(method, format!("{}{path}", app.url)).bearer_auth(other.key.expose());
            let response = request.body(r#"{"code":"123456"}"#).send().await.unwrap();
            let status = response.status().as_u16();
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            // Resend takes no code; that is checked before the message is looked up.
            if path.ends_with("resend") {
                assert_eq!(refusal(status, &answer), (422, "invalid-field".into(), "code".into()));
            } else {
                assert_eq!(refusal(status, &answer), (404, "no-such-message".into(), String::new()), "{path}");
            }
        }
        let request = app.http.post(format!("{}/v1/messages/{id}/resend", app.url)).bearer_auth(other.key.expose());
        assert_eq!(request.send().await.unwrap().status(), 404);
        let request = app.http.get(format!("{}/v1/messages", app.url)).bearer_auth(other.key.expose());
        let list: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
        assert_eq!(list, json!({ "messages": [], "next": null }), "an app sees its own messages only");

        let unknown = "01a08ac2-8900-7070-b6c3-db4dd13a6b00";
        for id in [unknown, "1", "x", "%00", "01a08ac2-8900-4070-b6c3-db4dd13a6b00", &"9".repeat(3000)] {
            let (status, answer) = app.get(&format!("/v1/messages/{id}")).await;
            assert_eq!(refusal(status, &answer), (404, "no-such-message".into(), String::new()), "{id}: {answer}");
        }
        // A path that a proxy may read as another address is refused.
        for path in [
            "/",
            "/v1",
            "/v1/messages/..%2f",
            "/v2/x",
            "/v1/messages/",
            "/v1/message",
            "/v1/messages/1/2/3",
            "/webhooks",
        ] {
            if path == "/" {
                continue;
            }
            let (status, answer) = app.get(path).await;
            assert_eq!(refusal(status, &answer), (404, "no-such-address".into(), String::new()), "{path}: {answer}");
        }
        for (method, path) in [
            (Method::DELETE, "/v1/messages".to_owned()),
            (Method::PUT, format!("/v1/messages/{id}")),
            (Method::GET, format!("/v1/messages/{id}/check")),
            (Method::GET, format!("/v1/messages/{id}/cancel")),
            (Method::PATCH, "/webhooks/meta-main".to_owned()),
        ] {
            let (status, answer) = app.request(method, &path, None).await;
            assert_eq!(refusal(status, &answer), (405, "method-not-allowed".into(), String::new()), "{path}: {answer}");
        }
        assert_eq!(stored(&app.pool).await, before);
    })
    .await;
}

#[tokio::test]
async fn queries_that_are_wrong_are_refused_by_name() {
    with_app(async |app| {
        let id = app.send(TO).await;
        for (path, field) in [
            ("/v1/messages?state=lost".to_owned(), "state"),
            ("/v1/messages?outcome=".to_owned(), "outcome"),
            ("/v1/messages?country=IDN".to_owned(), "country"),
            ("/v1/messages?channel=fax".to_owned(), "channel"),
            ("/v1/messages?reference=%00".to_owned(), "reference"),
            ("/v1/messages?limit=0".to_owned(), "limit"),
            ("/v1/messages?limit=201".to_owned(), "limit"),
            ("/v1/messages?cursor=abc".to_owned(), "cursor"),
            ("/v1/messages?colour=red".to_owned(), "colour"),
            (format!("/v1/messages/{id}?wait_for=love"), "wait_for"),
            (format!("/v1/messages/{id}?wait_for=delivered&timeout_s=61"), "timeout_s"),
        ] {
            let (status, answer) = app.get(&path).await;
            assert_eq!(refusal(status, &answer), (422, "invalid-field".into(), field.into()), "{path}: {answer}");
        }
        for path in [
            "/v1/messages?limit=many",
            "/v1/messages?limit=-1",
            "/v1/messages?created_from=yesterday",
            "/v1/messages?created_from=-262143-01-01T00:00:00Z",
            "/v1/messages?created_before=%2B262142-12-31T00:00:00Z",
            "/v1/messages?created_before=-0001-12-31T00:00:00Z",
            "/v1/messages?limit=1&limit=2",
            &format!("/v1/messages/{id}?timeout_s=-1"),
            &format!("/v1/messages/{id}?timeout_s=99999999999999999999999"),
        ] {
            let (status, answer) = app.get(path).await;
            assert_eq!(refusal(status, &answer).1, "invalid-field", "{path}: {answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_code_never_comes_back_in_any_answer() {
    with_app(async |app| {
        let (_, accepted) = app.post("/v1/messages", json!({ "to": TO, "code": CODE })).await;
        let id = accepted["id"].as_str().unwrap().to_owned();
        app.pass(Duration::from_secs(3)).await;
        let mut answers = vec![accepted];
        answers.push(app.get(&format!("/v1/messages/{id}")).await.1);
        answers.push(app.get(&format!("/v1/messages/{id}/timeline")).await.1);
        answers.push(app.get("/v1/messages").await.1);
        answers.push(app.post(&format!("/v1/messages/{id}/resend"), json!({})).await.1);
        answers.push(app.post(&format!("/v1/messages/{id}/check"), json!({ "code": "000000" })).await.1);
        answers.push(app.post(&format!("/v1/messages/{id}/check"), json!({ "code": CODE, "x": CODE })).await.1);
        answers.push(app.post(&format!("/v1/messages/{id}/check"), json!({ "code": 739_150 })).await.1);
        answers.push(app.post(&format!("/v1/messages/{id}/check"), json!({ "code": CODE })).await.1);
        answers.push(app.post(&format!("/v1/messages/{id}/check"), json!({ "code": CODE })).await.1);
        answers.push(app.post(&format!("/v1/messages/{id}/cancel"), json!({})).await.1);
        answers.push(app.get(&format!("/v1/messages/{id}/timeline")).await.1);
        for answer in answers {
            let text = answer.to_string();
            assert!(!text.contains(CODE), "{answer:#}");
            assert!(!text.contains("8123451234"), "a full number: {answer:#}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_is_filtered_and_paged_without_gaps() {
    with_app(async |app| {
        let mut ids = Vec::new();
        for n in 0..25 {
            let to = if n % 5 == 0 { format!("+4915112345{n:03}") } else { format!("+628123450{n:03}") };
            let channel = if n % 3 == 0 { "sms" } else { "auto" };
            let body = json!({ "to": to, "channel": channel, "reference": format!("order-{}", n % 4) });
            let (status, answer) = app.post("/v1/messages", body).await;
            assert_eq!(status, 202, "{answer}");
            ids.push(answer["id"].as_str().unwrap().to_owned());
            app.clock.advance(TimeDelta::milliseconds(if n % 2 == 0 { 0 } else { 40 }));
        }
        for limit in [1, 7, 24, 25, 26] {
            let mut seen = Vec::new();
            let mut path = format!("/v1/messages?limit={limit}");
            for page in 0.. {
                assert!(page < 30, "pages without an end");
                let (status, list) = app.get(&path).await;
                assert_eq!(status, 200, "{list}");
                let messages = list["messages"].as_array().unwrap();
                assert!(messages.len() <= limit);
                seen.extend(messages.iter().map(|m| m["id"].as_str().unwrap().to_owned()));
                let Some(next) = list["next"].as_str() else { break };
                path = format!("/v1/messages?limit={limit}&cursor={next}");
            }
            let mut expected = ids.clone();
            expected.sort();
            expected.reverse();
            assert_eq!(seen, expected, "limit {limit}");
        }
        // Some of each outcome and state.
        app.post(&format!("/v1/messages/{}/cancel", ids[1]), json!({})).await;
        app.pass(Duration::from_secs(4)).await;
        let all = app.get("/v1/messages?limit=200").await.1["messages"].as_array().unwrap().clone();
        let at = start() + TimeDelta::milliseconds(200);
        let at_text = at.to_rfc3339().replace('+', "%2B");
        type Fits = Box<dyn Fn(&Value) -> bool>;
        let filters: Vec<(String, Fits)> = vec![
            ("state=delivered".into(), Box::new(|m| m["state"] == "delivered")),
            ("state=accepted".into(), Box::new(|m| m["state"] == "accepted")),
            ("outcome=cancelled".into(), Box::new(|m| m["outcome"] == "cancelled")),
            ("outcome=pending".into(), Box::new(|m| m["outcome"] == "pending")),
            ("country=DE".into(), Box::new(|m| m["country"] == "DE")),
            ("country=id".into(), Box::new(|m| m["country"] == "ID")),
            ("reference=order-2".into(), Box::new(|m| m["reference"] == "order-2")),
            (
                "channel=sms".into(),
                Box::new(|m| m["attempts"].as_array().unwrap().iter().any(|a| a["channel"] == "sms")),
            ),
            (
                format!("created_from={at_text}"),
                Box::new(move |m| {
                    m["created_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap() >= at
                }),
            ),
            (
                format!("created_before={at_text}&country=ID&reference=order-1"),
                Box::new(move |m| {
                    m["created_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap() < at
                        && m["country"] == "ID"
                        && m["reference"] == "order-1"
                }),
            ),
        ];
        for (filter, fits) in filters {
            let (status, list) = app.get(&format!("/v1/messages?limit=200&{filter}")).await;
            assert_eq!(status, 200, "{filter}: {list}");
            let expected: Vec<&Value> = all.iter().filter(|m| fits(m)).collect();
            let found: Vec<&Value> = list["messages"].as_array().unwrap().iter().collect();
            assert_eq!(found, expected, "{filter}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_held_get_answers_when_the_message_is_delivered() {
    with_app(async |app| {
        let id = app.send("+628123450001").await;
        app.run_workers().await;
        let wait = |query: &'static str| {
            let request = app.http.get(format!("{}/v1/messages/{id}?{query}", app.url)).bearer_auth(&app.key);
            tokio::spawn(async move {
                let began = std::time::Instant::now();
                let response = request.send().await.unwrap();
                let message: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
                (message["state"].as_str().unwrap().to_owned(), began.elapsed())
            })
        };
        // Nothing happens: the answer is the unchanged message, after the timeout.
        let (state, took) = wait("wait_for=delivered&timeout_s=1").await.unwrap();
        assert_eq!(state, "accepted");
        assert!(took >= Duration::from_millis(990) && took < Duration::from_secs(5), "{took:?}");
        let (_, took) = wait("wait_for=delivered&timeout_s=0").await.unwrap();
        assert!(took < Duration::from_millis(900), "{took:?}");

        let waiting = [wait("wait_for=delivered&timeout_s=20"), wait("wait_for=sent&timeout_s=20")];
        tokio::time::sleep(Duration::from_millis(100)).await;
        app.pass(Duration::from_secs(4)).await;
        for one in waiting {
            let (state, took) = one.await.unwrap();
            assert!(state == "delivered" || state == "sent", "{state}");
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
        // Delivered before the call.
        let (state, took) = wait("wait_for=delivered&timeout_s=20").await.unwrap();
        assert_eq!(state, "delivered");
        assert!(took < Duration::from_secs(1), "{took:?}");
        // A change by another instance is not announced here, but is found all the same.
        let settled = wait("wait_for=settled&timeout_s=20");
        tokio::time::sleep(Duration::from_millis(100)).await;
        sqlx::query(
            "update messages set outcome = 'cancelled', settled_at = created_at, code_sealed = null
              where message_id = $1::text::uuid",
        )
        .bind(&id)
        .execute(&app.pool)
        .await
        .unwrap();
        let (_, took) = settled.await.unwrap();
        assert!(took < Duration::from_secs(5), "{took:?}");
    })
    .await;
}

#[tokio::test]
async fn an_etag_changes_when_the_message_does() {
    with_app(async |app| {
        let id = app.send("+628123450001").await;
        let get = async |tag: Option<&str>| {
            let mut request = app.http.get(format!("{}/v1/messages/{id}", app.url)).bearer_auth(&app.key);
            if let Some(tag) = tag {
                request = request.header("if-none-match", tag);
            }
            let response = request.send().await.unwrap();
            let tag = response.headers()["etag"].to_str().unwrap().to_owned();
            (response.status().as_u16(), tag, response.text().await.unwrap())
        };
        let (status, first, _) = get(None).await;
        assert_eq!(status, 200);
        let (status, same, body) = get(Some(&first)).await;
        assert_eq!((status, same.as_str(), body.as_str()), (304, first.as_str(), ""));
        assert_eq!(get(Some(&format!("\"x\", {first}"))).await.0, 304);
        app.pass(Duration::from_secs(4)).await;
        let (status, second, _) = get(Some(&first)).await;
        assert_eq!(status, 200);
        assert_ne!(first, second);
    })
    .await;
}

#[tokio::test]
async fn the_timeline_of_a_silent_whatsapp_tells_the_whole_story() {
    with_app(async |app| {
        let id = app.send("+628123450003").await;
        app.pass(Duration::from_secs(20)).await;
        app.post(&format!("/v1/messages/{id}/check"), json!({ "code": "000000" })).await;
        let (status, answer) = app.get(&format!("/v1/messages/{id}/timeline")).await;
        assert_eq!(status, 200);
        let story = answer["timeline"].as_array().unwrap();
        let events: Vec<(&str, i64)> =
            story.iter().map(|e| (e["event"].as_str().unwrap(), e["attempt_no"].as_i64().unwrap_or(0))).collect();
        for wanted in [
            ("accepted", 0),
            ("planned", 1),
            ("request", 1),
            ("answer", 1),
            ("timer_armed", 1),
            ("timer_fired", 1),
            ("planned", 2),
            ("request", 2),
            ("answer", 2),
            ("receipt", 2),
            ("check", 0),
        ] {
            assert!(events.contains(&wanted), "{wanted:?} is missing: {answer:#}");
        }
        let place = |wanted| events.iter().position(|e| *e == wanted).unwrap();
        assert!(place(("accepted", 0)) < place(("request", 1)));
        assert!(place(("timer_armed", 1)) < place(("timer_fired", 1)), "{answer:#}");
        assert!(place(("timer_fired", 1)) < place(("request", 2)), "{answer:#}");
        let request = &story[place(("request", 2))];
        assert_eq!(request["lateness_ms"], 0.0, "{request:#}");
        let times: Vec<chrono::DateTime<chrono::Utc>> =
            story.iter().map(|e| e["at"].as_str().unwrap().parse().unwrap()).collect();
        assert!(times.is_sorted(), "{answer:#}");
    })
    .await;
}

#[tokio::test]
async fn a_right_code_counts_once_however_many_come_at_once() {
    with_app(async |app| {
        let (_, answer) = app.post("/v1/messages", json!({ "to": TO, "code": CODE })).await;
        let id = answer["id"].as_str().unwrap().to_owned();
        app.run_workers().await;
        let check = async || app.post(&format!("/v1/messages/{id}/check"), json!({ "code": CODE })).await;
        let answers = futures_util::future::join_all((0..100).map(|_| check())).await;
        assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
        assert_eq!(answers.iter().filter(|(_, a)| a["valid"] == true).count(), 1);
        let others = answers.iter().filter(|(_, a)| a["valid"] == false);
        assert!(
            others.clone().all(|(_, a)| a["reason"] == "already_used" && a["outcome"] == "verified"),
            "{answers:?}"
        );
        let message = app.message(&id).await;
        assert_eq!((&message["outcome"], &message["state"]), (&json!("verified"), &json!("delivered")));
        assert_eq!(message["delivery_inferred"], true, "{message:#}");
        assert_eq!(message["attempts"][0]["timer"], "disarmed");
        app.pass(Duration::from_secs(20)).await;
        assert_eq!(app.message(&id).await["attempts"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn no_more_wrong_codes_are_heard_than_allowed() {
    with_app(async |app| {
        let (_, answer) = app.post("/v1/messages", json!({ "to": TO, "code": CODE })).await;
        let id = answer["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/messages/{id}/check");
        // A text that is not a code does not count as a try.
        for no_code in ["", "12", "abcdef", "123456789012"] {
            assert_eq!(app.post(&path, json!({ "code": no_code })).await.0, 422);
        }
        assert_eq!(app.message(&id).await["tries_left"], 5);
        let wrong = async |n: u32| app.post(&path, json!({ "code": format!("{n:06}") })).await.1;
        let answers = futures_util::future::join_all((0..100).map(wrong)).await;
        let heard = answers.iter().filter(|a| a["reason"] == "wrong_code").count();
        assert_eq!(heard, 5, "{answers:?}");
        assert_eq!(answers.iter().filter(|a| a["reason"] == "too_many_tries").count(), 95);
        let mut left: Vec<i64> =
            answers.iter().filter(|a| a["reason"] == "wrong_code").map(|a| a["tries_left"].as_i64().unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 3, 4]);
        let right = app.post(&path, json!({ "code": CODE })).await.1;
        assert_eq!(
            right,
            json!({ "valid": false, "outcome": "exhausted", "reason": "too_many_tries", "tries_left": 0 })
        );
        assert_eq!(app.message(&id).await["outcome"], "exhausted");
    })
    .await;
}

#[tokio::test]
async fn a_code_is_right_until_its_life_ends_and_not_a_microsecond_longer() {
    with_app(async |app| {
        let new = async || {
            let (_, answer) = app.post("/v1/messages", json!({ "to": TO, "code": CODE, "valid_for_s": 120 })).await;
            answer["id"].as_str().unwrap().to_owned()
        };
        let (early, late) = (new().await, new().await);
        app.clock.advance(TimeDelta::seconds(120) - TimeDelta::microseconds(1));
        let check = async |id: &str| app.post(&format!("/v1/messages/{id}/check"), json!({ "code": CODE })).await.1;
        assert_eq!(check(&early).await["valid"], true);
        app.clock.advance(TimeDelta::microseconds(1));
        assert_eq!(
            check(&late).await,
            json!({ "valid": false, "outcome": "expired", "reason": "expired", "tries_left": 0 })
        );
        let message = app.message(&late).await;
        assert_eq!(message["outcome"], "expired", "{message:#}");
        let (status, answer) = app.post(&format!("/v1/messages/{late}/cancel"), json!({})).await;
        assert_eq!(refusal(status, &answer).1, "settled");
        app.run_workers().await;
        assert_eq!(app.sim.phone(TO).requests.whatsapp, 0, "nothing is sent after the end");
    })
    .await;
}

#[tokio::test]
async fn spaces_in_a_typed_code_do_not_matter() {
    with_app(async |app| {
        let (_, answer) = app.post("/v1/messages", json!({ "to": TO, "code": CODE })).await;
        let path = format!("/v1/messages/{}/check", answer["id"].as_str().unwrap());
        assert_eq!(app.post(&path, json!({ "code": " 739 150\n" })).await.1["valid"], true);
    })
    .await;
}

#[tokio::test]
async fn cancel_stops_everything_and_may_be_repeated() {
    with_app(async |app| {
        let id = app.send("+628123450003").await;
        app.run_workers().await;
        for _ in 0..2 {
            let (status, message) = app.post(&format!("/v1/messages/{id}/cancel"), json!({})).await;
            assert_eq!((status, &message["outcome"]), (200, &json!("cancelled")), "{message:#}");
        }
        app.pass(Duration::from_secs(20)).await;
        assert_eq!(app.message(&id).await["attempts"].as_array().unwrap().len(), 1);
        let (_, answer) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": "123456" })).await;
        assert_eq!(answer["reason"], "cancelled");
        let (status, answer) = app.post(&format!("/v1/messages/{id}/resend"), json!({})).await;
        assert_eq!((status, refusal(status, &answer).1.as_str()), (409, "settled"));
        // Before anything was sent: nothing is sent.
        let unsent = app.send("+628123450001").await;
        app.post(&format!("/v1/messages/{unsent}/cancel"), json!({})).await;
        app.pass(Duration::from_secs(2)).await;
        assert_eq!(app.sim.phone("+628123450001").requests.whatsapp, 0);
        assert_eq!(app.message(&unsent).await["state"], "failed");
    })
    .await;
}

#[tokio::test]
async fn resend_takes_the_next_step_with_the_same_code_once() {
    with_app(async |app| {
        let (_, answer) = app.post("/v1/messages", json!({ "to": "+628123450003", "code": CODE })).await;
        let id = answer["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/messages/{id}/resend");
        let (status, answer) = app.post(&path, json!({})).await;
        assert_eq!((status, refusal(status, &answer).1.as_str()), (409, "no-next-attempt"), "it has not left yet");
        app.run_workers().await;
        let (status, answer) = app.post(&path, json!({ "channel": "whatsapp" })).await;
        assert_eq!((status, refusal(status, &answer).1.as_str()), (409, "no-next-attempt"), "{answer}");
        assert_eq!(app.message(&id).await["attempts"][0]["timer"], "armed", "a refused wish changes nothing");
        let (status, answer) = app.post(&path, json!({ "channel": "fax" })).await;
        assert_eq!(refusal(status, &answer).2, "channel");
        let resend = async || app.post(&path, json!({})).await.0;
        let mut answers = futures_util::future::join_all((0..20).map(|_| resend())).await;
        answers.sort_unstable();
        assert_eq!((answers[0], &answers[1..]), (202, &[409; 19][..]), "one of twenty");
        app.pass(Duration::from_secs(20)).await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"][1]["reason"], "requested", "{message:#}");
        assert_eq!(message["attempts"][0]["timer"], "disarmed");
        let phone = app.sim.phone("+628123450003");
        assert_eq!(phone.received.sms, 1);
        let sms = app.sim.messages(Some("+628123450003"), 10);
        assert!(sms.iter().all(|m| m.code.as_deref() == Some(CODE)), "the same code");
        // The route ends here: one more SMS, and nothing after it.
        assert_eq!(app.post(&path, json!({})).await.0, 202);
        app.pass(Duration::from_secs(20)).await;
        assert_eq!(app.sim.phone("+628123450003").received.sms, 2);
        assert_eq!(app.post(&path, json!({})).await.0, 409);
    })
    .await;
}

async fn keyed(app: &TestApp, key: &str, body: &Value) -> (u16, Option<String>, Value) {
    let request = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(&app.key);
    let response = request.header("idempotency-key", key).body(body.to_string()).send().await.unwrap();
    let replayed = response.headers().get("idempotent-replayed").map(|v| v.to_str().unwrap().to_owned());
    (response.status().as_u16(), replayed, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn fifty_requests_with_one_key_are_one_message() {
    with_app(async |app| {
        let body = json!({ "to": TO });
        let answers = futures_util::future::join_all((0..50).map(|_| keyed(app, "k-1", &body))).await;
        assert!(answers.iter().all(|a| a.0 == 202 && a.2 == answers[0].2), "{answers:?}");
        assert_eq!(answers.iter().filter(|a| a.1.is_none()).count(), 1, "one is the first");
        assert_eq!((count(&app.pool, "messages").await, count(&app.pool, "attempts").await), (1, 1));
        let id = answers[0].2["id"].as_str().unwrap().to_owned();
        app.pass(Duration::from_secs(3)).await;
        assert_eq!(app.sim.phone(TO).requests.whatsapp, 1);
        let later = keyed(app, "k-1", &body).await;
        assert_eq!(later.2, answers[0].2, "the first answer, also later");
        app.message(&id).await;

        let (status, _, answer) = keyed(app, "k-1", &json!({ "to": TO, "purpose": "login" })).await;
        assert_eq!(refusal(status, &answer), (422, "idempotency-key-reused".into(), String::new()));
        // Another app's keys are separate.
        let other =
            AppKeys::new(app.pool.clone().into(), app.clock.clone()).create(&AppId::stored("other"), "").await.unwrap();
        let request = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(other.key.expose());
        let response = request.header("idempotency-key", "k-1").body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 202);
        assert_eq!(count(&app.pool, "messages").await, 2);
        for bad in ["", &"k".repeat(201), "schlüssel"] {
            let (status, _, answer) = keyed(app, bad, &body).await;
            assert_eq!(refusal(status, &answer), (422, "invalid-field".into(), "Idempotency-Key".into()), "{bad}");
        }
        assert_eq!(count(&app.pool, "messages").await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_died_behind_its_claim_is_stored_by_its_repeat() {
    stored_by_its_repeat("select 1").await;
}

#[tokio::test]
async fn a_request_that_an_earlier_version_claimed_is_stored_by_its_repeat_as_well() {
    stored_by_its_repeat("update idempotency_keys set message_expires_at = null").await;
}

/// `meanwhile`: a statement between the request that died and its repeat.
async fn stored_by_its_repeat(meanwhile: &'static str) {
    with_app(async |app| {
        let body = json!({ "to": TO, "code": CODE });
        let (_, _, promised) = keyed(app, "k-2", &body).await;
        sqlx::query("delete from attempts").execute(&app.pool).await.unwrap();
        sqlx::query("delete from messages").execute(&app.pool).await.unwrap();
        sqlx::query(meanwhile).execute(&app.pool).await.unwrap();
        app.clock.advance(TimeDelta::seconds(7));
        let (status, _, again) = keyed(app, "k-2", &body).await;
        assert_eq!((status, &again), (202, &promised));
        assert_eq!(count(&app.pool, "messages").await, 1);
        let id = promised["id"].as_str().unwrap();
        let message = app.message(id).await;
        for field in ["created_at", "expires_at", "to", "purpose", "code_length", "route"] {
            assert_eq!(message[field], promised[field], "{field}: what was promised holds");
        }
        app.pass(Duration::from_secs(2)).await;
        let sent = app.sim.messages(Some(TO), 10);
        assert_eq!((sent.len(), sent[0].code.as_deref()), (1, Some(CODE)));
        let (_, checked) = app.post(&format!("/v1/messages/{id}/check"), json!({ "code": CODE })).await;
        assert_eq!(checked["valid"], true, "{checked}");
    })
    .await;
}

#[tokio::test]
async fn what_an_app_may_choose_comes_back_as_it_was_chosen() {
    with_settings(
        |s| s.codes.max_tries = 3,
        async |app| {
            let body = json!({
                "to": "+49 151 12345678", "purpose": "payment", "code_length": 4, "locale": "pt-BR", "channel": "sms",
                "replace_after_s": 20, "valid_for_s": 110, "reference": "äöü-1", "metadata": { "z": 1, "a": [null] },
                "client": { "ip": "2001:db8::1", "platform": "ios", "device": "x" },
            });
            let (status, message) = app.post("/v1/messages", body).await;
            assert_eq!(status, 202, "{message}");
            assert_eq!(message["to"], "+49 … 78");
            assert_eq!(message["country"], "DE");
            assert_eq!(message["channel"], "sms");
            assert_eq!((&message["code_length"], &message["tries_left"]), (&json!(4), &json!(3)));
            assert_eq!(message["metadata"], json!({ "z": 1, "a": [null] }));
            assert_eq!(message["reference"], "äöü-1");
            assert_eq!(message["replace_after_s"], 20);
            app.run_workers().await;
            let sent = app.sim.messages(Some("+4915112345678"), 10);
            assert_eq!(sent[0].code.as_ref().map(String::len), Some(4));
            assert_eq!(app.message(message["id"].as_str().unwrap()).await["locale"], "pt-BR");
        },
    )
    .await;
}
