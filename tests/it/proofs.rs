//! Callbacks whose proof the operator chooses: Infobip's, and the posts of a SleekFlow flow.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_settings};

fn route(steps: &[&str]) -> impl FnOnce(&mut otpost::config::Settings) + use<> {
    let steps: Vec<String> = steps.iter().map(|s| (*s).to_owned()).collect();
    move |settings| settings.route.options.steps = steps
}

async fn post(app: &TestApp, to: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let request = app.http.post(format!("{}/webhooks/{to}", app.url)).body(body.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap().status().as_u16()
}

async fn dead_letters(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from dead_letters").fetch_one(&app.pool).await.unwrap()
}

/// A message that was accepted and is not reported on.
async fn silent(app: &TestApp, to: &str) -> (String, Value) {
    app.sim.set_fate(to, serde_json::from_value(json!({ "whatsapp": "silent", "sms": "silent" })).unwrap());
    let id = app.send(to).await;
    app.pass(Duration::from_secs(1)).await;
    let attempt = app.message(&id).await["attempts"][0].clone();
    assert_eq!(attempt["send_state"], "accepted", "{attempt:#}");
    (id, attempt)
}

fn report(attempt: &Value, status: (u32, u32)) -> String {
    json!({ "results": [{ "messageId": attempt["attempt_id"], "status": { "groupId": status.0, "id": status.1 } }] })
        .to_string()
}

#[tokio::test]
async fn infobip_s_callbacks_need_the_proof_of_their_own_account() {
    for (account, right_query, right_header) in [
        ("infobip-wa", "?token=sim-infobip-callback-token", None),
        ("infobip-sms", "", Some(format!("Basic {}", BASE64_STANDARD.encode("otpost:sim-infobip-password")))),
    ] {
        with_settings(route(&[account]), async |app| {
            let (id, attempt) = silent(app, "+628123457777").await;
            let body = report(&attempt, (3, 5));
            let wrong = BASE64_STANDARD.encode("otpost:sim-infobip-passwore");
            for query in ["", "?token=", "?token=sim-infobip-callback-toke"] {
                for value in ["", "Basic ", "Bearer sim-infobip-key", &format!("Basic {wrong}")] {
                    let at = format!("{account}{query}");
                    assert_eq!(post(app, &at, &[("Authorization", value)], &body).await, 401, "{at} {value}");
                }
            }
            assert_eq!(app.message(&id).await["attempts"][0]["state"], attempt["state"]);
            let headers: Vec<(&str, &str)> =
                right_header.iter().map(|value| ("Authorization", value.as_str())).collect();
            // A receipt of the network operator is not a receipt of the handset.
            let at = format!("{account}{right_query}");
            assert_eq!(post(app, &at, &headers, &report(&attempt, (3, 2))).await, 200);
            assert_eq!(app.message(&id).await["state"], "sent");
            assert_eq!(post(app, &at, &headers, &body).await, 200);
            assert_eq!(app.message(&id).await["state"], "delivered");
        })
        .await;
    }
}

#[tokio::test]
async fn a_sleekflow_flow_may_tell_what_became_of_a_message() {
    with_settings(route(&["sleekflow-wa", "infobip-sms"]), async |app| {
        let (id, _) = silent(app, "+628123457777").await;
        let name = app.sim.messages(Some("+628123457777"), 1)[0].provider_id.clone().unwrap();
        let body = json!({ "message_id": name, "status": "Received" }).to_string();
        for header in
            [("X-Otp-Hook-Secret", ""), ("X-Otp-Hook-Secret", "wrong"), ("X-Other", "sim-sleekflow-hook-secret")]
        {
            assert_eq!(post(app, "sleekflow-wa", &[header], &body).await, 401, "{header:?}");
        }
        assert_eq!(post(app, "sleekflow-wa?secret=sim-sleekflow-hook-secret", &[], &body).await, 401);
        // Two parsers could read two different values.
        let twice = format!(r#"{{"message_id":"{name}","status":"Failed","status":"Received"}}"#);
        assert_eq!(app.callback("sleekflow-wa", &twice).await, 200);
        assert_eq!((dead_letters(app).await, &app.message(&id).await["state"]), (1, &json!("accepted")));
        assert_eq!(app.callback("sleekflow-wa", &body).await, 200);
        app.pass(Duration::from_secs(30)).await;
        let message = app.message(&id).await;
        assert_eq!((&message["state"], message["attempts"].as_array().unwrap().len()), (&json!("delivered"), 1));
    })
    .await;
}

#[tokio::test]
async fn without_a_secret_no_flow_is_believed() {
    let forget = |settings: &mut otpost::config::Settings| {
        settings.route.options.steps = vec!["sleekflow-wa".to_owned()];
        let account = settings.accounts.get_mut("sleekflow-wa").unwrap();
        let config = account
            .provider
            .config_mut::<otpost::providers::registry::sleekflow::SleekflowConfig>()
            .expect("SleekFlow's");
        config.hook_secrets.clear();
    };
    with_settings(forget, async |app| {
        let (id, _) = silent(app, "+628123457777").await;
        let name = app.sim.messages(Some("+628123457777"), 1)[0].provider_id.clone().unwrap();
        let body = json!({ "message_id": name, "status": "Failed" }).to_string();
        for headers in [vec![], vec![("X-Otp-Hook-Secret", "")]] {
            assert_eq!(post(app, "sleekflow-wa", &headers, &body).await, 401, "{headers:?}");
        }
        assert_eq!(app.message(&id).await["state"], "accepted");
    })
    .await;
}
