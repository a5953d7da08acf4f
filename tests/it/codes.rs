//! Codes and whole numbers must not be in any table, log line or answer.

use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use otpost::simulator::Mode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tracing_subscriber::util::SubscriberInitExt;

use crate::helpers::app::{TestApp, meta_body, meta_status, start, with_settings};

/// Long enough not to occur in an id or a time by chance.
const GIVEN: [&str; 4] = ["7391508264", "8402619375", "9513720486", "6284037159"];

/// Everything that is logged by this process, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    /// Except for the one library that logs numbers: `telemetry` turns it off, whatever the settings say.
    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("rlibphonenumber") {
            return;
        }
        let _ = writeln!(self.clone(), "{} {} {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

impl Log {
    /// Captures the logs of the whole process, so it needs a process of its own.
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
            .try_init()
            .expect("nobody listened before");
        log::set_logger(Box::leak(Box::new(log.clone()))).expect("nobody listened before");
        log::set_max_level(log::LevelFilter::Trace);
        log
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// Every value of every table: where it stands, and its bytes.
async fn dump(pool: &PgPool) -> Vec<(String, Vec<u8>)> {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text, data_type::text from information_schema.columns
          where table_schema = 'public' order by 1, 2",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(columns.len() > 100, "tables are missing");
    let mut values = Vec::new();
    for (table, column, kind) in columns {
        let value = if kind == "bytea" { column.clone() } else { format!("convert_to({column}::text, 'UTF8')") };
        let sql = format!("select {value} from {table} where {column} is not null");
        let found: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
        values.extend(found.into_iter().map(|bytes| (format!("{table}.{column}"), bytes)));
    }
    values
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The program of the test below, in a process with its own log.
#[test]
fn no_code_and_no_whole_number_is_stored_or_logged() {
    let program = std::env::current_exe().expect("this program");
    let test = "codes::paths_of_a_code_in_a_process_of_its_own";
    let output = Command::new(program)
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .expect("the program runs again");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

#[tokio::test]
#[ignore = "run by the test above: it takes the log of the whole process"]
async fn paths_of_a_code_in_a_process_of_its_own() {
    let log = Log::start();
    let mut codes: Vec<String> = GIVEN.iter().map(|c| (*c).to_owned()).collect();
    for (whatsapp, sms) in [
        ("meta-main", "ycloud-sms"),
        ("ycloud-wa", "cliqtel-sms"),
        ("cliqtel-wa", "ycloud-sms"),
        ("infobip-wa", "infobip-sms"),
        ("sleekflow-wa", "infobip-sms"),
        ("twilio-wa", "vonage-sms"),
        ("vonage-wa", "twilio-sms"),
        ("engagelab-wa", "http-sms"),
        ("engagelab-wa-plain", "engagelab-sms-plain"),
        ("http-wa", "engagelab-sms"),
    ] {
        let steps = move |settings: &mut otpost::config::Settings| {
            settings.route.options.steps = vec![whatsapp.to_owned(), sms.to_owned()];
        };
        with_settings(steps, async |app| every_path(app, &log, &mut codes).await).await;
    }
    let text = log.text();
    assert!(text.len() > 100_000, "the log was not taken: {} bytes", text.len());
    for target in ["actix", "hyper", "reqwest", "sqlx", "otpost"] {
        assert!(text.contains(target), "nothing of {target} was logged");
    }
    for (about, fields) in LINES {
        let line = text.lines().find(|line| line.contains(about)).unwrap_or_else(|| panic!("no line has {about:?}"));
        let missing: Vec<_> = fields.split(' ').filter(|field| !line.contains(&format!("{field}="))).collect();
        assert!(missing.is_empty(), "{missing:?} not in: {line}");
    }
}

/// Lines of the log, and the fields by which an operator finds all lines of a message, an attempt or a provider.
const LINES: [(&str, &str); 4] = [
    ("the message is stored", "app purpose country message_id"),
    (
        "the call to the provider ended",
        "message_id attempt_id attempt channel provider account country host http_status duration_s",
    ),
    (
        "an attempt changed",
        "message_id attempt_id attempt channel account country reason send_state status_from status_to",
    ),
    ("a callback was taken", "account provider receipts"),
];

async fn every_path(app: &TestApp, log: &Log, codes: &mut Vec<String>) {
    let mut ids = Vec::new();
    let mut answers = Vec::new();
    for fate in 1..=12 {
        for (n, body) in [json!({ "code": GIVEN[0] }), json!({ "code_length": 10 })].into_iter().enumerate() {
            let mut body = body;
            body["to"] = json!(format!("+6281234{n}{fate:04}"));
            let (status, answer) = app.post("/v1/messages", body).await;
            assert_eq!(status, 202, "{answer}");
            ids.push(answer["id"].as_str().unwrap().to_owned());
            answers.push(answer);
        }
    }
    // With a key, twice and with another body.
    for body in [json!({ "code": GIVEN[1] }), json!({ "code": GIVEN[1] }), json!({ "code": GIVEN[2] })] {
        let mut body = body;
        body["to"] = json!("+628123490001");
        let request = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(&app.key);
        let response = request.header("idempotency-key", "k").body(body.to_string()).send().await.unwrap();
        answers.push(Value::String(response.text().await.unwrap()));
    }
    app.pass(Duration::from_secs(22)).await;
    for seen in app.sim.messages(None, 10_000) {
        let code = seen.code.expect("every message carries a code");
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    assert!(codes.len() > GIVEN.len());

    // Wrong checks, odd checks, right ones.
    for (n, id) in ids.iter().enumerate() {
        let path = format!("/v1/messages/{id}/check");
        answers.push(app.post(&path, json!({ "code": GIVEN[3] })).await.1);
        answers.push(app.post(&path, json!({ "code": GIVEN[3].parse::<u64>().unwrap() })).await.1);
        answers.push(app.post(&path, json!({ "code": [GIVEN[3]] })).await.1);
        answers.push(app.post(&path, json!({ "code": format!("{}x", GIVEN[3]) })).await.1);
        answers.push(app.post(&path, json!({ "kode": GIVEN[3] })).await.1);
        answers.push(app.post(&path, json!(GIVEN[3])).await.1);
        if n % 2 == 0 {
            let (_, checked) = app.post(&path, json!({ "code": GIVEN[0] })).await;
            assert_eq!(checked["valid"], true);
            answers.push(checked);
        }
        answers.push(app.get(&format!("/v1/messages/{id}")).await.1);
        answers.push(app.get(&format!("/v1/messages/{id}/timeline")).await.1);
    }
    // Refused requests that contain a code.
    for body in [
        json!({ "to": "+62", "code": GIVEN[3] }),
        json!({ "to": "+628123490001", "code": GIVEN[3].parse::<u64>().unwrap() }),
        json!({ "to": "+628123490001", "code": format!("{}0", GIVEN[3]) }),
        json!({ "to": "+628123490001", "code": GIVEN[3], "code_length": 6 }),
        json!({ "to": "+628123490001", "code_length": GIVEN[3] }),
        json!({ "to": "+628123490001", "purpose": GIVEN[3] }),
        json!({ "to": "+628123490001", "channel": GIVEN[3] }),
        json!([GIVEN[3]]),
    ] {
        answers.push(app.post("/v1/messages", body).await.1);
    }
    // Callbacks that repeat the text, including unreadable ones, and an unsigned one.
    let text = format!("{} is your code", GIVEN[2]);
    let number = "+628123490001";
    for (account, body) in [
        ("ycloud-sms", json!({ "type": "sms.message.updated", "sms": { "id": 7, "text": text, "to": number } })),
        (
            "ycloud-wa",
            json!({ "type": "whatsapp.message.updated", "whatsappMessage": { "status": text, "to": number } }),
        ),
        (
            "ycloud-sms",
            json!({ "type": "sms.message.updated", "sms": { "id": "x-1", "status": "delivered", "text": text, "to": number } }),
        ),
        ("cliqtel-wa", json!({ "data": { "status": { "text": text, "to": number } } })),
        ("infobip-wa", json!({ "results": [{ "message": { "text": text }, "to": number }, text] })),
        ("infobip-sms", json!({ "results": [{ "messageId": text, "status": { "groupId": text }, "to": number }] })),
        ("sleekflow-wa", json!({ "message_id": 7, "status": text, "to": number })),
        ("sleekflow-wa", json!({ "message_id": 7, "message": { "message_content": text }, "to": number })),
        ("sleekflow-wa", json!({ "message_id": 7, "status": "Failed", "error_code": "x", "error_message": text })),
        ("engagelab-wa", json!({ "rows": [{ "status": { "message_status": [text], "to": number } }] })),
        ("http-wa", json!({ "events": [{ "text": text, "to": number }] })),
        ("http-sms", json!({ "text": text, "to": number })),
        ("meta-main", json!({ "entry": [{ "text": text, "to": number }] })),
        ("meta-main", json!(format!("{text} {number}"))),
    ] {
        assert_eq!(app.callback(account, &body.to_string()).await, 200, "{account} {body}");
    }
    let unsigned = app.http.post(format!("{}/webhooks/meta-main", app.url)).body(format!("{text} {number}"));
    assert_eq!(unsigned.send().await.unwrap().status(), 401);
    // An outage, and unreadable answers.
    for account in ["meta-main", "ycloud-wa", "cliqtel-wa", "infobip-wa", "sleekflow-wa", "engagelab-wa", "http-wa"] {
        app.sim.set_mode(account, Mode::Refuse).unwrap();
    }
    let (_, answer) = app.post("/v1/messages", json!({ "to": "+628123490003", "code": GIVEN[0] })).await;
    answers.push(answer);
    app.pass(Duration::from_secs(20)).await;
    app.callback("meta-main", &meta_body(&[meta_status("x", "failed", start())])).await;

    for answer in answers {
        let text = answer.to_string();
        for code in codes.iter() {
            assert!(!text.contains(code.as_str()), "a code came back: {text}");
        }
        assert!(!text.contains("8123490001") && !text.contains("81234000"), "a number came back: {text}");
    }
    nothing_shows(app, log, codes).await;

    // In the end everything is settled, and then no ciphertext is left.
    app.clock.advance(TimeDelta::hours(1));
    app.run_workers().await;
    let sealed: i64 = sqlx::query_scalar("select count(code_sealed) from messages").fetch_one(&app.pool).await.unwrap();
    assert_eq!(sealed, 0, "a settled message keeps its ciphertext");
    nothing_shows(app, log, codes).await;
}

async fn nothing_shows(app: &TestApp, log: &Log, codes: &[String]) {
    let numbers: Vec<String> =
        app.sim.phones(1000).iter().map(|p| p.phone.trim_start_matches('+').to_owned()).collect();
    assert!(numbers.len() > 20);
    let values = dump(&app.pool).await;
    for (place, bytes) in &values {
        for code in codes {
            assert!(!contains(bytes, code), "a code stands in {place}: {}", String::from_utf8_lossy(bytes));
        }
        for number in &numbers {
            let allowed = place == "messages.recipient";
            // Without the calling code too.
            assert!(
                allowed || !contains(bytes, &number[2..]),
                "a number stands in {place}: {}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
    let text = log.text();
    for line in text.lines() {
        for code in codes {
            assert!(!line.contains(code.as_str()), "a code is logged: {line}");
        }
        for number in &numbers {
            assert!(!line.contains(&number[2..]), "a number is logged: {line}");
        }
    }
}

/// As keyboards and clipboards of the world write it.
#[tokio::test]
async fn a_code_is_right_however_its_digits_are_written() {
    crate::helpers::app::with_app(async |app| {
        for (n, typed) in ["٤٩٣٨١٧", "493-817", "\u{200e}493817", "493817.", "４９３　８１７"].into_iter().enumerate()
        {
            let body = serde_json::json!({ "to": format!("+62812{n:04}0003"), "code": "493817" });
            let (_, message) = app.post("/v1/messages", body).await;
            let path = format!("/v1/messages/{}/check", message["id"].as_str().unwrap());
            let (status, answer) = app.post(&path, serde_json::json!({ "code": typed })).await;
            assert_eq!((status, &answer["valid"]), (200, &serde_json::json!(true)), "{typed:?} {answer}");
        }
    })
    .await;
}
