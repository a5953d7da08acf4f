//! Described providers, in front of a server with given answers: unreadable answers, callbacks of every shape, and a
//! provider that never reports a delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use otpost::config::Settings;
use otpost::domain::receipt::Status;
use otpost::providers::registry::described::{Content, DescribedConfig, Field, Pattern, Place, Pointer, Statuses};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::helpers::app::{TestApp, first_attempt, with_settings};

/// A server that gives every request this answer and closes the connection; counts the requests.
async fn answering(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            // The whole of a small form, or a hang-up.
            loop {
                let mut chunk = [0; 4096];
                let read = socket.read(&mut chunk).await.unwrap_or(0);
                request.extend_from_slice(&chunk[..read]);
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let Some(head) = text.find("\r\n\r\n") else {
                    if read == 0 {
                        break;
                    }
                    continue;
                };
                let length =
                    text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
                if read == 0 || request.len() >= head + 4 + length.unwrap_or(0_usize) {
                    count.fetch_add(1, Ordering::SeqCst);
                    break;
                }
            }
            let _ = socket.write_all(&answer).await;
            let _ = socket.shutdown().await;
        }
    });
    (url, requests)
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn described<'a>(settings: &'a mut Settings, account: &str) -> &'a mut DescribedConfig {
    settings.accounts.get_mut(account).unwrap().provider.config_mut().expect("a described provider")
}

fn leads_to(config: &mut DescribedConfig, url: &str) {
    config.base_url = url.to_owned();
    config.url = Pattern::parse(&format!("{url}/send"), Place::OF_AN_ADDRESS).unwrap();
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

async fn count(app: &TestApp, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(&app.pool).await.unwrap()
}

async fn post(app: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> u16 {
    app.http.post(format!("{}{path}", app.url)).body(body).send().await.unwrap().status().as_u16()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Sends one SMS through the answer; returns the message after 20 s, the number of requests, and the effect of a
/// receipt by our reference.
async fn one_sms(answer: Vec<u8>) -> (Value, usize, String) {
    let (url, requests) = answering(answer).await;
    let change = |settings: &mut Settings| {
        settings.route.options.steps = vec!["http-sms".to_owned()];
        settings.sending.breaker_failures = 1;
        settings.sending.client.connect_timeout = Duration::from_secs(2);
        settings.sending.client.total_timeout = Duration::from_secs(3);
        let config = described(settings, "http-sms");
        leads_to(config, &url);
        config.answer.id = pointer("/id");
        config.answer.accepted = Some((pointer("/ok"), "true".to_owned()));
        config.answer.error_code = None;
        config.ask = None;
        config.callback.as_mut().unwrap().attempt_id = Some(Field::Form("ref".to_owned()));
    };
    let app = TestApp::start(change).await;
    let id = app.send("+628123450099").await;
    app.pass(Duration::from_secs(20)).await;
    let message = app.message(&id).await;
    let body = format!("ref={}&stat=DELIVRD", first_attempt(&id));
    assert_eq!(post(&app, "/webhooks/http-sms?token=sim-http-callback-token", body).await, 200);
    let after = app.message(&id).await["state"].as_str().unwrap().to_owned();
    let (_, timeline) = app.get(&format!("/v1/messages/{id}/timeline")).await;
    let told = timeline.to_string();
    let named = message["attempts"][0]["send_state"] == "accepted" && told.contains("the answer has no readable id");
    assert!(!told.contains("breaker"), "{told}");
    crate::helpers::invariants::check(&app.pool, app.clock.now()).await;
    app.stop().await;
    (message, requests.load(Ordering::SeqCst), if named { format!("{after}, nameless") } else { after })
}

#[tokio::test]
async fn an_unreadable_2xx_is_taken_and_not_sent_again_and_its_receipt_finds_it() {
    let ok = br#"{"ok":true,"id":"a1"}"#.as_slice();
    let cut = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{body}").into_bytes();
    let nameless = "delivered, nameless";
    for (what, answer, told) in [
        ("a byte order mark", http("200 OK", "", &[b"\xef\xbb\xbf", ok].concat()), "delivered"),
        ("a number with a fraction", http("200 OK", "", br#"{"ok":true,"id":12345.0}"#), "delivered"),
        ("a long number", http("200 OK", "", br#"{"ok":true,"id":36893488147419103232}"#), "delivered"),
        ("gzip", http("200 OK", "Content-Encoding: gzip\r\n", &gzip(ok)), "delivered"),
        ("gzip that nobody names", http("200 OK", "", &gzip(ok)), "delivered"),
        ("a warning before it", http("200 OK", "", &[b"Warning: x in a.php\n", ok].concat()), "delivered"),
        ("a page", http("200 OK", "", b"<html>sent</html>"), nameless),
        ("nothing", http("202 Accepted", "", b""), nameless),
        ("no content", b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec(), nameless),
        ("no id", http("200 OK", "", br#"{"ok":true}"#), nameless),
        ("nothing that says no", http("200 OK", "", b"{}"), nameless),
        ("cut off in its middle", cut(r#"{"ok":true,"#), nameless),
        ("cut off behind its head", cut(""), nameless),
        ("cut off behind its end", cut(r#"{"ok":true,"id":"a1"}"#), "delivered"),
        ("too long", http("200 OK", "", &vec![b' '; 600_000]), nameless),
        ("a bomb", http("200 OK", "Content-Encoding: gzip\r\n", &gzip(&vec![b' '; 30_000_000])), nameless),
    ] {
        let (message, requests, after) = one_sms(answer).await;
        let attempt = &message["attempts"][0];
        assert_eq!((requests, attempt["send_state"].as_str()), (1, Some("accepted")), "{what}: {message:#}");
        assert_eq!(after, told, "{what}");
    }
}

#[tokio::test]
async fn a_2xx_that_says_no_stays_a_refusal_whatever_stands_around_it() {
    for body in [
        r#"{"ok":false}"#,
        r#"{"ok":false,"id":"a1"}"#,
        "\u{feff}{\"ok\":false}",
        "Warning: x\n{\"ok\":false}\n{\"id\":\"a1\"}",
        "{\"notice\":1}{\"ok\":false}",
        r#"{"ok":"no"}"#,
        r#"{"error":"no credit"}"#,
    ] {
        let (message, _, _) = one_sms(http("200 OK", "", body.as_bytes())).await;
        let attempt = &message["attempts"][0];
        assert_eq!(
            (attempt["send_state"].as_str(), attempt["state"].as_str()),
            (Some("rejected"), Some("failed")),
            "{body}"
        );
    }
}

/// The deadline runs from the acceptance, with or without an id.
#[tokio::test]
async fn a_whatsapp_taken_without_an_id_is_replaced_at_its_deadline_and_asked_about_by_nobody() {
    let (url, requests) = answering(http("200 OK", "", b"<html>")).await;
    let change = |settings: &mut Settings| {
        settings.route.options.steps = vec!["http-wa".to_owned(), "ycloud-sms".to_owned()];
        leads_to(described(settings, "http-wa"), &url);
    };
    with_settings(change, async |app| {
        let id = app.send("+628123450001").await;
        app.pass(Duration::from_secs(14)).await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"].as_array().unwrap().len(), 1, "{message:#}");
        assert_eq!(message["attempts"][0]["send_state"], "accepted");
        app.pass(Duration::from_secs(10)).await;
        let message = app.message(&id).await;
        assert_eq!(
            (message["attempts"][1]["reason"].as_str(), message["state"].as_str()),
            (Some("silent"), Some("delivered"))
        );
        assert_eq!((requests.load(Ordering::SeqCst), count(app, "answers").await), (1, 0));
    })
    .await;
}

fn receipts_as(list: Option<&'static str>, id: &'static str, status: &'static str) -> impl Fn(&mut Settings) {
    move |settings| {
        settings.route.options.steps = vec!["http-wa".to_owned(), "ycloud-sms".to_owned()];
        let shape = described(settings, "http-wa").callback.as_mut().unwrap();
        shape.content = Content::Json { list: list.map(pointer) };
        shape.id = None;
        shape.attempt_id = Some(Field::Json(pointer(id)));
        shape.status = Field::Json(pointer(status));
        shape.statuses = Statuses([("1".to_owned(), Some(Status::Delivered))].into());
        (shape.time, shape.error_code) = (None, None);
    }
}

#[tokio::test]
async fn every_receipt_of_a_list_is_read_wherever_the_description_points() {
    let item = |id: &str| json!({ "To": "628123453100", "Status": "1", "MessageId": first_attempt(id) });
    type Wrap = fn(Value, Value) -> Value;
    let wraps: [(Option<&str>, &str, &str, Wrap); 8] = [
        (Some(""), "/MessageId", "/Status", |a, b| json!([a, b])),
        (None, "/MessageId", "/Status", |a, b| json!([a, b])),
        (None, "/0/MessageId", "/0/Status", |a, b| json!([a, b])),
        (None, "/1/MessageId", "/1/Status", |a, b| json!([a, b])),
        (None, "/results/0/MessageId", "/results/0/Status", |a, b| json!({ "results": [a, b] })),
        (Some("/results"), "/MessageId", "/Status", |a, b| json!({ "results": [a, b] })),
        (None, "/e/0/c/0/MessageId", "/e/0/c/0/Status", |a, b| json!({ "e": [{ "c": [a] }, { "c": [b] }] })),
        (None, "/e/0/c/0/MessageId", "/e/0/c/0/Status", |a, b| json!({ "e": [{ "c": [a, b] }, { "x": 1 }] })),
    ];
    for (list, id, status, wrap) in wraps {
        with_settings(receipts_as(list, id, status), async |app| {
            let ids = [app.send("+628123450003").await, app.send("+628123451003").await];
            app.run_workers().await;
            let body = wrap(item(&ids[0]), item(&ids[1])).to_string();
            assert_eq!(app.callback("http-wa", &body).await, 200, "{body}");
            for id in &ids {
                assert_eq!(app.message(id).await["state"], "delivered", "{list:?} {status}: {body}");
            }
            assert_eq!(count(app, "dead_letters").await, 0, "{body}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_single_receipt_where_a_list_is_usual_is_read_and_news_of_other_kinds_is_no_dead_letter() {
    let with_kinds = |settings: &mut Settings| {
        receipts_as(Some("/events"), "/MessageId", "/Status")(settings);
        let shape = described(settings, "http-wa").callback.as_mut().unwrap();
        shape.kind = Some((Field::Json(pointer("/type")), vec!["dlr".to_owned()]));
    };
    with_settings(with_kinds, async |app| {
        let id = app.send("+628123450003").await;
        app.run_workers().await;
        let ours = first_attempt(&id);
        for body in [
            json!({ "inbound": { "from": "1", "text": "hi" } }),
            json!({ "events": [{ "from": "1", "text": "hi" }] }),
            json!({ "events": [{ "type": "inbound", "MessageId": "m", "text": "hi" }] }),
            json!({ "events": [{ "type": "click", "MessageId": ours, "Status": "1" }] }),
            json!({ "events": [] }),
        ] {
            assert_eq!(app.callback("http-wa", &body.to_string()).await, 200, "{body}");
        }
        assert_eq!((count(app, "dead_letters").await, count(app, "receipts").await), (0, 0));
        // What should have been a receipt is stored.
        for body in [r#"{"events":[{"type":"dlr","MessageId":"m"}]}"#, r#"{"events":[{"Status":"1"}]}"#, "7", "{}"] {
            assert_eq!(app.callback("http-wa", body).await, 200, "{body}");
        }
        assert_eq!(count(app, "dead_letters").await, 4);
        let body = json!({ "events": { "type": "dlr", "MessageId": ours, "Status": "1" } });
        assert_eq!(app.callback("http-wa", &body.to_string()).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
    })
    .await;
}

#[tokio::test]
async fn a_byte_that_is_no_text_spoils_only_its_own_field() {
    let change = |settings: &mut Settings| {
        settings.route.options.steps = vec!["http-sms".to_owned()];
        described(settings, "http-sms").callback.as_mut().unwrap().attempt_id = Some(Field::Form("ref".to_owned()));
    };
    with_settings(change, async |app| {
        let path = "/webhooks/http-sms?token=sim-http-callback-token";
        for (n, text) in [b"C\xf3digo".as_slice(), b"C%F3digo", b"100%", b"%zz", b"\xff&\xfe=1"].iter().enumerate() {
            let id = app.send(&format!("+6281234{n}0003")).await;
            app.run_workers().await;
            let body = [format!("ref={}&stat=DELIVRD&text=", first_attempt(&id)).as_bytes(), text].concat();
            assert_eq!(post(app, path, body).await, 200);
            assert_eq!(app.message(&id).await["state"], "delivered", "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(count(app, "dead_letters").await, 0);
        // In a field that is read, the value is not a text; and of two words neither counts. Nothing is lost.
        let id = app.send("+628123450003").await;
        let ours = first_attempt(&id);
        for body in [
            [format!("ref={ours}&stat=").as_bytes(), b"\xff"].concat(),
            b"msgid=%ff&stat=DELIVRD".to_vec(),
            format!("ref={ours}&stat=DELIVRD&ref={ours}&stat=UNDELIV").into_bytes(),
            b"msgid=a&stat=DELIVRD&msgid=b".to_vec(),
        ] {
            assert_eq!(post(app, path, body).await, 200);
        }
        assert_eq!(count(app, "dead_letters").await, 4);
    })
    .await;
    with_settings(receipts_as(None, "/MessageId", "/Status"), async |app| {
        let id = app.send("+628123450003").await;
        app.run_workers().await;
        let body = format!("{{\"MessageId\":\"{}\",\"Status\":\"1\",\"text\":\"C@digo\"}}", first_attempt(&id));
        let body: Vec<u8> = body.bytes().map(|b| if b == b'@' { 0xf3 } else { b }).collect();
        assert_eq!(signed_bytes(app, body).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
    })
    .await;
}

/// With the signature of `http-wa`, which covers the bytes as they are.
async fn signed_bytes(app: &TestApp, body: Vec<u8>) -> u16 {
    let (_, header) = crate::helpers::app::signed("http-wa", &body, app.clock.now());
    let (name, value) = header.unwrap();
    let request = app.http.post(format!("{}/webhooks/http-wa/", app.url)).header(name, value).body(body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn what_a_provider_without_receipts_takes_counts_as_delivered_and_is_said_to_be_inferred() {
    let change = |settings: &mut Settings| {
        settings.route.options.steps = vec!["http-wa".to_owned(), "ycloud-sms".to_owned()];
        let config = described(settings, "http-wa");
        (config.callback, config.ask) = (None, None);
    };
    with_settings(change, async |app| {
        // The number's fate: WhatsApp stays silent.
        let id = app.send("+628123450003").await;
        app.run_workers().await;
        let message = app.message(&id).await;
        assert_eq!(
            (message["state"].as_str(), message["delivery_inferred"].as_bool()),
            (Some("delivered"), Some(true))
        );
        assert_eq!(message["delivered_at"], message["attempts"][0]["accepted_at"]);
        let attempt = &message["attempts"][0];
        assert_eq!((attempt["state"].as_str(), attempt["timer"].as_str()), (Some("accepted"), Some("disarmed")));
        assert!(attempt["delivered_at"].is_null(), "no receipt said so: {attempt:#}");
        app.pass(Duration::from_secs(40)).await;
        assert_eq!(app.message(&id).await["attempts"].as_array().unwrap().len(), 1, "no silence can be judged");
        assert_eq!(count(app, "receipts").await, 0);
        let (_, timeline) = app.get(&format!("/v1/messages/{id}/timeline")).await;
        assert!(timeline.to_string().contains("counts as delivered"), "{timeline:#}");
        assert!(app.pulse.report().iter().all(|one| one.account != "http-wa"), "nothing is expected to be heard");
        // A person who did not receive it asks again.
        let (status, answer) = app.post(&format!("/v1/messages/{id}/resend"), json!({})).await;
        assert_eq!(status, 202, "{answer}");
        app.pass(Duration::from_secs(5)).await;
        let message = app.message(&id).await;
        assert_eq!(
            (message["attempts"][1]["state"].as_str(), message["state"].as_str()),
            (Some("delivered"), Some("delivered"))
        );
        assert_eq!(message["delivery_inferred"], false, "a receipt has said so since");
        // A refusal is replaced at once.
        let id = app.send("+628123450002").await;
        app.pass(Duration::from_secs(3)).await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"][0]["account"], "http-wa");
    })
    .await;
}

#[tokio::test]
async fn a_failed_callback_that_carries_the_time_of_delivery_sends_no_sms() {
    let through =
        |settings: &mut Settings| settings.route.options.steps = vec!["ycloud-wa".to_owned(), "ycloud-sms".to_owned()];
    with_settings(through, async |app| {
        let event = |ours: &str, times: Value| {
            let mut message = json!({ "id": "66a1b2c3d4e5f60718293041", "externalId": ours, "status": "failed",
                "errorCode": "131026", "updateTime": "2026-09-10T10:00:06.000Z" });
            message.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
            json!({ "type": "whatsapp.message.updated", "whatsappMessage": message }).to_string()
        };
        for (n, times, receipts) in [
            (0, json!({ "sendTime": "2026-09-10T10:00:01.000Z", "deliverTime": "2026-09-10T10:00:03.000Z" }), 3),
            (1, json!({ "deliverTime": "2026-09-10T10:00:03.000Z" }), 2),
            (2, json!({ "readTime": "2026-09-10T10:00:03.000Z" }), 2),
        ] {
            let before = count(app, "receipts").await;
            let id = app.send(&format!("+6281234{n}0003")).await;
            app.run_workers().await;
            assert_eq!(app.callback("ycloud-wa", &event(&first_attempt(&id), times.clone())).await, 200);
            assert_eq!(count(app, "receipts").await - before, receipts);
            app.pass(Duration::from_secs(20)).await;
            let message = app.message(&id).await;
            let attempts = message["attempts"].as_array().unwrap();
            assert_eq!((message["state"].as_str(), attempts.len()), (Some("delivered"), 1), "{times}: {message:#}");
        }
        // Without such a time it failed, and is replaced.
        let id = app.send("+628123450003").await;
        app.run_workers().await;
        let sent_only = json!({ "sendTime": "2026-09-10T10:00:01.000Z" });
        assert_eq!(app.callback("ycloud-wa", &event(&first_attempt(&id), sent_only)).await, 200);
        assert_eq!(app.message(&id).await["attempts"].as_array().unwrap().len(), 2);
    })
    .await;
}

/// In one body of Meta's, the failure first.
#[tokio::test]
async fn of_one_callback_a_delivery_is_applied_before_a_failure() {
    use crate::helpers::app::{meta_body, meta_status, start};
    with_settings(
        |_| {},
        async |app| {
            let id = app.send("+628123450003").await;
            app.run_workers().await;
            let ours = first_attempt(&id);
            let body = meta_body(&[meta_status(&ours, "failed", start()), meta_status(&ours, "delivered", start())]);
            assert_eq!(app.callback("meta-main", &body).await, 200);
            let message = app.message(&id).await;
            assert_eq!(
                (message["state"].as_str(), message["attempts"].as_array().unwrap().len()),
                (Some("delivered"), 1)
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_callback_address_changes_nothing() {
    for account in ["meta-main", "ycloud-wa", "http-wa"] {
        let through =
            |settings: &mut Settings| settings.route.options.steps = vec![account.to_owned(), "ycloud-sms".to_owned()];
        with_settings(through, async |app| {
            let id = app.send("+628123450003").await;
            app.run_workers().await;
            let ours = first_attempt(&id);
            let body = match account {
                "meta-main" => {
                    let status = crate::helpers::app::meta_status(&ours, "delivered", crate::helpers::app::start());
                    crate::helpers::app::meta_body(&[status])
                }
                "ycloud-wa" => json!({ "type": "whatsapp.message.updated",
                    "whatsappMessage": { "id": "x", "status": "delivered", "externalId": ours } })
                .to_string(),
                _ => json!({ "events": [{ "id": "x", "ref": ours, "state": "DELIVERED" }] }).to_string(),
            };
            let (query, header) = crate::helpers::app::signed(account, body.as_bytes(), app.clock.now());
            let request = app.http.post(format!("{}/webhooks/{account}/{query}", app.url)).body(body);
            let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            assert_eq!(request.send().await.unwrap().status(), 200, "{account}");
            assert_eq!(app.message(&id).await["state"], "delivered", "{account}");
            assert_eq!(post(app, &format!("/webhooks/{account}/"), "{}").await, 401, "{account}");
        })
        .await;
    }
}
