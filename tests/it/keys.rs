//! API keys: what each may do, from where, how long; and the audit log of what operators did.

use std::time::Duration;

use chrono::TimeDelta;
use otpost::domain::app_id::AppId;
use otpost::domain::audit::{AuditAction, Broken, verify};
use otpost::domain::key_scope::{KeyRights, KeyScope};
use otpost::domain::network::Network;
use otpost::services::keys::app_keys::{AppKeys, Wish};
use otpost::store::api_keys;
use otpost::store::audit_log::{self, NewEntry};
use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_app};

async fn key(app: &TestApp, rights: KeyRights, expires_in: Option<TimeDelta>) -> (String, String) {
    let keys = AppKeys::new(app.store(), app.clock.clone());
    let expires_at = expires_in.map(|life| app.clock.now() + life);
    let wish = Wish { label: "test".to_owned(), rights, expires_at };
    let new = keys.create_as(&AppId::stored("shop"), wish).await.unwrap();
    (new.key_id, new.key.expose().to_owned())
}

async fn ask(app: &TestApp, key: &str, method: Method, path: &str, body: Value) -> (u16, String) {
    let request = app.http.request(method, format!("{}{path}", app.url)).bearer_auth(key).body(body.to_string());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default();
    (status, answer["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn each_operation_needs_its_scope() {
    with_app(async |app| {
        let id = app.send("+628123450001").await;
        let operations = [
            (KeyScope::MessagesSend, Method::POST, "/v1/messages".to_owned(), json!({ "to": "+628123450001" })),
            (KeyScope::MessagesSend, Method::POST, format!("/v1/messages/{id}/resend"), json!({})),
            (KeyScope::MessagesSend, Method::POST, format!("/v1/messages/{id}/cancel"), json!({})),
            (KeyScope::MessagesRead, Method::GET, "/v1/messages".to_owned(), Value::Null),
            (KeyScope::MessagesRead, Method::GET, format!("/v1/messages/{id}"), Value::Null),
            (KeyScope::MessagesRead, Method::HEAD, format!("/v1/messages/{id}"), Value::Null),
            (KeyScope::MessagesRead, Method::GET, format!("/v1/messages/{id}/timeline"), Value::Null),
            (KeyScope::Checks, Method::POST, format!("/v1/messages/{id}/check"), json!({ "code": "000000" })),
            (KeyScope::Channels, Method::POST, "/v1/channels".to_owned(), json!({ "to": "+628123450001" })),
        ];
        for scope in KeyScope::ALL {
            let rights = KeyRights { scopes: [*scope].into(), networks: Vec::new() };
            let (_, key) = key(app, rights, None).await;
            for (needed, method, path, body) in &operations {
                let (status, code) = ask(app, &key, method.clone(), path, body.clone()).await;
                let is_refused = status == 403 && (code == "scope_missing" || *method == Method::HEAD);
                assert_eq!(is_refused, needed != scope, "{scope}: {method} {path}: {status} {code}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_ends_and_is_used_from_its_addresses_alone() {
    with_app(async |app| {
        let read = async |key: &str| ask(app, key, Method::GET, "/v1/messages", Value::Null).await;
        let rights = |network: &str| KeyRights {
            scopes: KeyScope::USUAL.into(),
            networks: vec![Network::parse(network).unwrap()],
        };
        let (_, inside) = key(app, rights("127.0.0.0/8"), Some(TimeDelta::hours(1))).await;
        let (_, outside) = key(app, rights("10.0.0.0/8"), None).await;
        assert_eq!(read(&inside).await.0, 200);
        assert_eq!(read(&outside).await, (403, "address_not_allowed".to_owned()));
        // This machine is a trusted proxy: the last address that it names is the client's, and what stands before it is what the
        // client claims.
        for (named, status) in [
            ("10.1.2.3", 200),
            ("10.1.2.3, 192.0.2.1", 403),
            ("192.0.2.1, 10.1.2.3", 200),
            ("x", 403),
            ("x, 10.1.2.3", 200),
            ("10.1.2.3:5555", 200),
            ("10.1.2.3, x", 403),
            ("10.1.2.3, 127.0.0.1", 200),
        ] {
            let request = app.http.get(format!("{}/v1/messages", app.url)).bearer_auth(&outside);
            assert_eq!(request.header("X-Forwarded-For", named).send().await.unwrap().status(), status, "{named}");
        }
        // The proxy's own address is in this key's list, and does not stand for a client that cannot be read.
        for (named, status) in
            [(&b"x"[..], 403), (b"192.0.2.1, x", 403), (b"\xe9", 403), (b"", 403), (b"127.0.0.1", 200)]
        {
            let value = reqwest::header::HeaderValue::from_bytes(named).unwrap();
            let request = app.http.get(format!("{}/v1/messages", app.url)).bearer_auth(&inside);
            assert_eq!(request.header("X-Forwarded-For", value).send().await.unwrap().status(), status, "{named:?}");
        }
        app.clock.advance(TimeDelta::hours(1));
        assert_eq!(read(&inside).await, (401, "unauthorized".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_its_last_use_is_known() {
    with_app(async |app| {
        let rights = KeyRights { scopes: KeyScope::USUAL.into(), networks: Vec::new() };
        let (key_id, key) = key(app, rights, None).await;
        let read = async || ask(app, &key, Method::GET, "/v1/messages", Value::Null).await.0;
        assert_eq!(read().await, 200);
        let keys = app.running.api.app_keys.clone();
        keys.follow().await.unwrap();
        let last_used_at = async || api_keys::find(&app.store(), &key_id).await.unwrap().unwrap().last_used_at;
        assert_eq!(last_used_at().await, Some(app.clock.now()));
        // Another process revokes it; this one still has it in its cache until the next second.
        assert!(api_keys::revoke(&app.store(), &key_id, app.clock.now()).await.unwrap());
        keys.follow().await.unwrap();
        assert_eq!(read().await, 401);
    })
    .await;
}

#[tokio::test]
async fn the_audit_log_shows_what_was_changed() {
    with_app(async |app| {
        let append = async |n: usize| {
            let entry = NewEntry {
                actor: "cli:test".to_owned(),
                action: AuditAction::KeyCreated,
                object: format!("key {n}"),
                reason: "a test".to_owned(),
            };
            audit_log::append(&app.store(), &entry, app.clock.now()).await.unwrap();
        };
        let day = app.clock.now().date_naive() - TimeDelta::days(1);
        let all = async || audit_log::after(&app.store(), (day, 0), 1_000).await.unwrap();
        // At the same moment, and over midnight.
        futures_util::future::join_all((0..8).map(&append)).await;
        app.clock.advance(TimeDelta::from_std(Duration::from_secs(86_400)).unwrap());
        futures_util::future::join_all((8..12).map(&append)).await;
        let whole = all().await;
        assert_eq!(whole.iter().map(|entry| entry.entry).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4]);
        assert_eq!(verify(None, &whole), Ok(Some(whole[11].hash)));

        sqlx::query("update audit_log set object = 'key 99' where day = $1 and entry = 3")
            .bind(whole[2].day)
            .execute(&app.pool)
            .await
            .unwrap();
        assert_eq!(verify(None, &all().await), Err(Broken::Changed { day: whole[2].day, entry: 3 }));
        sqlx::query("delete from audit_log where day = $1 and entry = 3")
            .bind(whole[2].day)
            .execute(&app.pool)
            .await
            .unwrap();
        assert_eq!(verify(None, &all().await), Err(Broken::Missing { day: whole[2].day, entry: 4 }));
    })
    .await;
}
