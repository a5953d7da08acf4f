//! Callbacks whose proof covers the address they were sent to, or counts only once: Twilio's and Vonage's.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use otpost::config::Settings;
use otpost::simulator::faces::{twilio, vonage};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

use crate::helpers::app::{TestApp, start, with_settings};

const PUBLIC: &str = "https://otp.example.org";

const FORM: &str = "application/x-www-form-urlencoded";

fn through(account: &'static str) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.route.options.steps = vec![account.to_owned(), "ycloud-sms".to_owned()];
        // Our public address, as behind a proxy.
        settings.server.public_url = PUBLIC.to_owned();
    }
}

/// A message that its provider accepted and reports nothing about: its id, and its first attempt's.
async fn taken(app: &TestApp) -> (String, String) {
    let id = app.send("+628123450003").await;
    app.run_workers().await;
    let attempt = app.message(&id).await["attempts"][0]["attempt_id"].as_str().unwrap().to_owned();
    (id, attempt)
}

async fn count(app: &TestApp, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.pool).await.expect("a count")
}

async fn post(app: &TestApp, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let request = app.http.post(format!("{}/webhooks/{path}", app.url)).body(body.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("the service answers").status().as_u16()
}

/// Twilio's signature; `params` are names and values in their order.
pub(crate) fn twilio(token: &str, url: &str, params: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    mac.update(params.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Vonage's token for this body.
fn vonage(jti: &str, body: &str, at: DateTime<Utc>) -> String {
    let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({"iat": at.timestamp(), "jti": jti, "iss": "Vonage", "api_key": vonage::API_KEY,
        "payload_hash": hex::encode(Sha256::digest(body))});
    let signed = format!("{}.{}", part(json!({"alg": "HS256"})), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(vonage::SIGNATURE_SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("Bearer {signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn twilio_signs_our_public_address_and_the_attempt_in_it() {
    with_settings(through("twilio-wa"), async |app| {
        let (id, attempt) = taken(app).await;
        let path = format!("twilio-wa?attempt={attempt}");
        let (body, params) = ("MessageStatus=delivered&MessageSid=SMx", "MessageSidSMxMessageStatusdelivered");
        let right = twilio(twilio::AUTH_TOKEN, &format!("{PUBLIC}/webhooks/{path}"), params);
        let of_socket = twilio(twilio::AUTH_TOKEN, &format!("{}/webhooks/{path}", app.url), params);
        let of_others = twilio("another token", &format!("{PUBLIC}/webhooks/{path}"), params);
        for signature in [&of_socket, &of_others, "", "x"] {
            let headers = [("Content-Type", FORM), ("X-Twilio-Signature", signature)];
            assert_eq!(post(app, &path, &headers, body).await, 401, "{signature}");
        }
        let headers = [("Content-Type", FORM), ("X-Twilio-Signature", right.as_str())];
        let other = attempt.replace(&attempt[..8], "01900000");
        for (path, body) in [
            ("twilio-wa", body),
            (&*format!("twilio-wa?attempt={other}"), body),
            (&*format!("{path}&x=1"), body),
            (&*format!("twilio-sms?attempt={attempt}"), body),
            (&path, "MessageStatus=failed&MessageSid=SMx"),
        ] {
            assert_eq!(post(app, path, &headers, body).await, 401, "{path} {body}");
        }
        assert_eq!(post(app, &path, &[("Content-Type", FORM)], body).await, 401);
        assert_eq!(count(app, "receipts").await + count(app, "unmatched_receipts").await, 0);
        // The request's host is ignored.
        let forwarded = [&headers[..], &[("Host", "elsewhere.example.org")]].concat();
        assert_eq!(post(app, &path, &forwarded, body).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
    })
    .await;
}

#[tokio::test]
async fn an_authentic_callback_of_twilio_that_is_no_status_is_kept() {
    with_settings(through("twilio-wa"), async |app| {
        let body = r#"{"EventType":"exchange"}"#;
        let path = format!("twilio-wa?bodySHA256={}", hex::encode(Sha256::digest(body)));
        let signature = twilio(twilio::AUTH_TOKEN, &format!("{PUBLIC}/webhooks/{path}"), "");
        let headers = [("Content-Type", "application/json"), ("X-Twilio-Signature", signature.as_str())];
        assert_eq!(post(app, &path, &headers, body).await, 200);
        assert_eq!(count(app, "dead_letters").await, 1);
        assert_eq!(post(app, &path, &headers, r#"{"EventType":"other"}"#).await, 401);
        assert_eq!(count(app, "dead_letters").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_token_of_vonage_counts_once() {
    with_settings(through("vonage-wa"), async |app| {
        let (id, attempt) = taken(app).await;
        let body = json!({"message_uuid": "u-1", "status": "delivered", "channel": "whatsapp", "client_ref": attempt,
            "timestamp": "2026-09-10T10:00:01.000Z"})
        .to_string();
        let token = vonage("j-1", &body, start());
        let stale = vonage("j-2", &body, start() - TimeDelta::seconds(86_401));
        let early = vonage("j-3", &body, start() + TimeDelta::seconds(301));
        for authorization in [&stale, &early, "", &token[..token.len() - 2]] {
            assert_eq!(post(app, "vonage-wa", &[("Authorization", authorization)], &body).await, 401);
        }
        assert_eq!(post(app, "vonage-wa", &[], &body).await, 401, "unsigned");
        let tampered = body.replace("delivered", "rejected");
        assert_eq!(post(app, "vonage-wa", &[("Authorization", &token)], &tampered).await, 401);
        assert_eq!(count(app, "receipts").await, 0);

        assert_eq!(post(app, "vonage-wa", &[("Authorization", &token)], &body).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
        for _ in 0..2 {
            assert_eq!(post(app, "vonage-wa", &[("Authorization", &token)], &body).await, 200, "a replay");
        }
        assert_eq!(count(app, "receipts").await, 1);
        // The same content under a new name: a repeat, which is counted.
        let again = vonage("j-4", &body, start());
        assert_eq!(post(app, "vonage-wa", &[("Authorization", &again)], &body).await, 200);
        assert_eq!(count(app, "receipts").await, 2);
    })
    .await;
}

#[tokio::test]
async fn an_authentic_callback_of_vonage_that_says_two_things_is_kept_and_not_applied() {
    with_settings(through("vonage-wa"), async |app| {
        let (id, attempt) = taken(app).await;
        let body =
            format!(r#"{{"message_uuid":"u","client_ref":"{attempt}","status":"rejected","status":"delivered"}}"#);
        let token = vonage("j-1", &body, start());
        assert_eq!(post(app, "vonage-wa", &[("Authorization", &token)], &body).await, 200);
        assert_eq!((count(app, "dead_letters").await, count(app, "receipts").await), (1, 0));
        assert_eq!(app.message(&id).await["state"], "accepted");
    })
    .await;
}
