//! Requests as apps and people make them: numbers in every notation, invalid hints, and refusals with a code.

use std::time::Duration;

use otpost::domain::app_id::AppId;
use otpost::domain::phone::{Line, Phone, Unknown};
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_app, with_settings};

async fn recipients(app: &TestApp) -> Vec<(String, i16)> {
    sqlx::query_as("select recipient, bucket from messages group by recipient, bucket")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_number_in_any_writing_is_one_recipient_in_one_bucket() {
    with_app(async |app| {
        for (writings, recipient) in [
            (
                &["+44 7400 123456", "\u{202a}+447400123456\u{202c}", "tel:+44-(0)7400-123456", "0044 7400 123456"][..],
                "+447400123456",
            ),
            (&["+5215512345678", "+52 55 1234 5678"], "+525512345678"),
            (&["+541123456789", "+54 9 11 2345-6789", "+54 11 15 2345 6789"], "+5491123456789"),
            (&["+55 11 8123-4567", "+5511981234567"], "+5511981234567"),
            (&["+16242345678", "(+1) 624 234-5678"], "+16242345678"),
        ] {
            for to in writings {
                let (status, answer) = app.post("/v1/messages", json!({ "to": to })).await;
                assert_eq!(status, 202, "{to}: {answer}");
            }
            let found = recipients(app).await;
            assert_eq!(found.iter().filter(|(number, _)| number == recipient).count(), 1, "{found:?}");
        }
        assert_eq!(recipients(app).await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn what_is_remembered_of_a_number_is_found_and_forgotten_under_any_writing() {
    with_app(async |app| {
        // The fate 0002: not on WhatsApp. Brazil's number is typed without its ninth digit.
        app.send("+55 11 8123-0002").await;
        app.pass(Duration::from_secs(45)).await;
        let written = Phone::parse("+5511981230002").unwrap();
        assert_ne!(app.memory.recall(&AppId::stored("shop"), &written).await, Default::default());
        assert!(!app.forget(&Phone::read("0055 (0)11 8123 0002").unwrap().phone).await.is_empty());
        assert_eq!(app.memory.recall(&AppId::stored("shop"), &written).await, Default::default());
    })
    .await;
}

#[tokio::test]
async fn no_hint_refuses_a_code() {
    with_app(async |app| {
        let long = "x".repeat(30_000);
        let hints = [
            json!({ "locale": "zh_TW_#Hant" }),
            json!({ "locale": "pt-BR,pt;q=0.9,en;q=0.8" }),
            json!({ "locale": "pt_BR.UTF-8@euro" }),
            json!({ "locale": "" }),
            json!({ "locale": " " }),
            json!({ "locale": null }),
            json!({ "locale": "C" }),
            json!({ "locale": "\u{0}" }),
            json!({ "locale": "日本語" }),
            json!({ "locale": 7 }),
            json!({ "locale": ["en", "fr"] }),
            json!({ "locale": { "language": "en" } }),
            json!({ "locale": long }),
            json!({ "reference": "" }),
            json!({ "reference": null }),
            json!({ "purpose": "" }),
            json!({ "purpose": null }),
            json!({ "channel": "" }),
            json!({ "metadata": null }),
            json!({ "metadata": {} }),
            json!({ "client": null }),
            json!({ "client": {} }),
            json!({ "client": [] }),
            json!({ "client": "ios" }),
            json!({ "client": { "platform": "" } }),
            json!({ "client": { "platform": "iPhone" } }),
            json!({ "client": { "platform": "fridge" } }),
            json!({ "client": { "platform": 7 } }),
            json!({ "client": { "ip": "192.0.2.7:51034" } }),
            json!({ "client": { "ip": "[2001:db8::1]:443" } }),
            json!({ "client": { "ip": "fe80::1%eth0" } }),
            json!({ "client": { "ip": "" } }),
            json!({ "client": { "ip": "unknown" } }),
            json!({ "client": { "ip": 3_221_225_479_u32 } }),
            json!({ "client": { "device": long } }),
            json!({ "client": { "device": "" } }),
            json!({ "client": { "os": { "name": "iOS" }, "ip": "192.0.2.7" } }),
        ];
        for (n, mut body) in hints.into_iter().enumerate() {
            body["to"] = json!(format!("+62812345{n:04}"));
            let (status, answer) = app.post("/v1/messages", body.clone()).await;
            assert_eq!(status, 202, "{n}: {answer}");
        }
        // A text that ends within a surrogate pair, as languages that cut by UTF-16 units send it.
        for hint in
            [r#""locale":"en\ud83c""#, r#""client":{"device":"\ud83c"}"#, r#""client":{"device":"a","device":"b"}"#]
        {
            let body = format!(r#"{{"to":"+628123459999",{hint}}}"#);
            let answer = app.http.post(format!("{}/v1/messages", app.url)).bearer_auth(&app.key).body(body).send();
            assert_eq!(answer.await.unwrap().status(), 202, "{hint}");
        }
        let found: Vec<(String, Option<String>, Option<Value>)> =
            sqlx::query_as("select right(recipient, 4), locale, client from messages order by 1")
                .fetch_all(&app.pool)
                .await
                .unwrap();
        let kept = |n: &str| {
            found
                .iter()
                .find(|(end, ..)| end == n)
                .map(|(_, locale, client)| (locale.as_deref(), client.clone()))
                .unwrap()
        };
        assert_eq!(kept("0000"), (Some("zh-Hant-TW"), None));
        assert_eq!(kept("0001"), (Some("pt-BR,pt,en"), None));
        assert_eq!(kept("0028"), (None, Some(json!({ "ip": "192.0.2.7" }))));
        assert_eq!(kept("0036"), (None, Some(json!({ "ip": "192.0.2.7" }))));
    })
    .await;
}

#[tokio::test]
async fn a_refusal_says_why_in_one_word() {
    with_app(async |app| {
        let to = "+628123450001";
        for (body, code) in [
            (json!({}), "missing"),
            (json!({ "to": to, "kode": 1 }), "unknown_field"),
            (json!({ "to": 7 }), "wrong_type"),
            (json!({ "to": "08123450001" }), "number_not_e164"),
            (json!({ "to": "+12025550" }), "number_not_valid"),
            (json!({ "to": "+442079460000" }), "number_fixed_line"),
            (json!({ "to": "+447012345678" }), "number_personal"),
            (json!({ "to": "+19002345678" }), "number_premium_rate"),
            (json!({ "to": "+881612345678" }), "number_without_country"),
            (json!({ "to": to, "purpose": "x" }), "unknown_value"),
            (json!({ "to": to, "code": "" }), "code_not_digits"),
            (json!({ "to": to, "code": "123456", "code_length": 4 }), "code_length_conflict"),
            (json!({ "to": to, "replace_after_s": 1 }), "out_of_range"),
            (json!({ "to": to, "replace_after_s": 60, "valid_for_s": 149 }), "valid_for_too_short"),
            (json!({ "to": to, "reference": "a\u{0}" }), "text_not_valid"),
            (json!({ "to": to, "metadata": [] }), "metadata_not_object"),
        ] {
            let (status, answer) = app.post("/v1/messages", body.clone()).await;
            assert_eq!(
                (status, &answer["errors"][0]["code"], &answer["code"]),
                (422, &json!(code), &json!(code)),
                "{answer}"
            );
        }
        let (status, answer) = app.post("/v1/channels", json!({ "to": "+442079460000" })).await;
        assert_eq!((status, &answer["code"]), (422, &json!("number_fixed_line")), "{answer}");
        let id = app.send(to).await;
        app.post(&format!("/v1/messages/{id}/cancel"), json!({})).await;
        let (status, answer) = app.post(&format!("/v1/messages/{id}/resend"), json!({})).await;
        assert_eq!((status, &answer["code"]), (409, &json!("settled_cancelled")), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn which_numbers_are_taken_is_a_setting_that_a_reload_changes() {
    with_settings(
        |settings| settings.numbers.unknown = Unknown::Refuse,
        async |app| {
            let code = async |to: &str| {
                let (_, answer) = app.post("/v1/messages", json!({ "to": to })).await;
                answer["code"].as_str().unwrap_or("taken").to_owned()
            };
            assert_eq!(
                (code("+16242345678").await, code("+442079460000").await),
                ("number_unknown".into(), "number_fixed_line".into())
            );
            let mut settings = app.settings.clone();
            settings.numbers.unknown = Unknown::Accept;
            settings.numbers.kinds.insert(Line::FixedLine);
            let changed = app.reload.run(settings).unwrap();
            assert_eq!(changed.settings, ["numbers"]);
            assert_eq!((code("+16242345678").await, code("+442079460000").await), ("taken".into(), "taken".into()));
            let (_, metrics) = text(app, "/metrics").await;
            for counted in [
                r#"otpost_numbers_unknown_total{country="US"}"#,
                r#"otpost_numbers_refused_total{code="number_fixed_line"}"#,
            ] {
                assert!(metrics.contains(counted), "{counted} in {metrics}");
            }
        },
    )
    .await;
}

async fn text(app: &TestApp, path: &str) -> (u16, String) {
    let answer = app.http.get(format!("{}{path}", app.url)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}
