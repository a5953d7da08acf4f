//! The proxies during faults: the database unavailable, every instance gone, many connections of one proxy.

use std::time::{Duration, Instant};

use otpost::simulator::SimConfig;
use reqwest::Client;
use serde_json::{Value, json};

use super::front::{Front, Ports, Which};
use crate::helpers::program::{Fixture, How};
use crate::helpers::proxy::{Network, Proxy};

/// In a callback's address, as a provider without signatures sends it.
const TOKEN: &str = "not-for-any-log";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_callbacks_answered_503_shut_no_app_out() {
    let answered = while_the_database_is_away(Which::Nginx).await;
    assert!(answered.is_none_or(|kind| kind.contains("problem+json")), "otpost itself says why");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_caddy_callbacks_answered_503_shut_no_app_out() {
    while_the_database_is_away(Which::Caddy).await;
}

/// Returns the content type of the 503 that an app got.
async fn while_the_database_is_away(which: Which) -> Option<String> {
    let fixture = Fixture::new(SimConfig::default()).await;
    let (network, database_url) = Proxy::before(fixture.database.url()).await;
    let how = How { database_url: Some(database_url), ..How::default() };
    let instances = [Fixture::free_port(), Fixture::free_port()];
    let programs = [fixture.start(instances[0], &how).await, fixture.start(instances[1], &how).await];
    let front = Front::start(which, Ports::free(), &instances).await?;
    let http = Client::new();
    let send = async || {
        let body = json!({ "to": "+628123450001" }).to_string();
        http.post(format!("{}/v1/messages", front.internal)).bearer_auth(&fixture.key).body(body).send().await.unwrap()
    };
    assert_eq!(send().await.status(), 202);

    network.set(Network::Refuses).await;
    for program in &programs {
        until(async || Some(http.get(format!("{}/readyz", program.url())).send().await.ok()?.status() == 503)).await;
    }
    for _ in 0..20 {
        // With a signature that fits, so that it is to be stored.
        let body = json!({ "object": "whatsapp_business_account", "entry": [] }).to_string();
        let signature = crate::helpers::app::hmac_hex(otpost::simulator::faces::meta::APP_SECRET, &[body.as_bytes()]);
        let request = http.post(format!("{}/webhooks/meta-main", front.public)).body(body);
        let answer = request.header("X-Hub-Signature-256", format!("sha256={signature}")).send().await.unwrap();
        assert!(answer.status() == 503 || answer.status() == 200, "{}", answer.status());
    }
    let refused = send().await;
    assert_eq!(refused.status(), 503, "{}", front.log());
    let kind = refused.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());

    network.set(Network::Works).await;
    until(async || Some(send().await.status() == 202)).await;
    drop((front, programs));
    fixture.stop().await;
    Some(kind.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_address_of_a_callback_stands_in_no_log() {
    for which in [Which::Nginx, Which::Caddy, Which::Compose] {
        let fixture = Fixture::new(SimConfig::default()).await;
        let port = Fixture::free_port();
        let program = fixture.start(port, &How { server: "linger_s = 0", ..How::default() }).await;
        let Some(front) = Front::start(which, Ports::free(), &[port]).await else { continue };
        let http = Client::new();
        let url = format!("{}/webhooks/meta-main?token={TOKEN}&hub.verify_token={TOKEN}", front.public);
        let post = async |bytes: usize| {
            let request = http.post(&url).header("X-Secret", TOKEN).body(vec![b'x'; bytes]);
            request.send().await.map_or(0, |answer| answer.status().as_u16())
        };
        // Accepted, refused, too large for the proxy; then no instance is left.
        assert_eq!(post(1).await, 401, "{which:?}");
        assert_ne!(post(6 << 20).await, 200, "{which:?}");
        drop(program);
        let gone = post(1).await;
        assert!(gone >= 500, "{which:?}: {gone}");
        assert_ne!(post(6 << 20).await, 200, "{which:?}");
        let files = front.written();
        assert!(files.iter().any(|(_, text)| text.contains("/webhooks/meta-main")), "{which:?} writes requests down");
        for (name, text) in files {
            assert!(!text.contains(TOKEN), "{which:?}, {name}: {text}");
        }
        drop(front);
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connections_of_a_proxy_that_is_named_are_those_of_many_clients() {
    let held = 12;
    for (server, all) in [
        ("max_connections_per_address = 4", true),
        ("max_connections_per_address = 4\ntrusted_proxies = [\"10.0.0.1\"]", false),
    ] {
        let fixture = Fixture::new(SimConfig::default()).await;
        let port = Fixture::free_port();
        let program = fixture.start(port, &How { server, ..How::default() }).await;
        let Some(front) = Front::start(Which::Nginx, Ports::free(), &[port]).await else { return };
        let http = Client::new();
        // Sent directly to the instance, so that the proxy has no connection yet.
        let body = json!({ "to": "+628123450003" }).to_string();
        let sent =
            http.post(format!("{}/v1/messages", program.url())).bearer_auth(&fixture.key).body(body).send().await;
        let sent: Value = serde_json::from_str(&sent.unwrap().text().await.unwrap()).unwrap();
        let url =
            format!("{}/v1/messages/{}?wait_for=settled&timeout_s=3", front.internal, sent["id"].as_str().unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..held {
            let request = Client::new().get(&url).bearer_auth(&fixture.key);
            tasks.spawn(async move { request.send().await.is_ok_and(|answer| answer.status() == 200) });
        }
        let answered = tasks.join_all().await.into_iter().filter(|ok| *ok).count();
        assert_eq!(answered == held, all, "{server}: {answered} of {held}");
        drop((front, program));
        fixture.stop().await;
    }
}

/// Asks again and again until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> Option<bool>) {
    let began = Instant::now();
    while is_so().await != Some(true) {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come to be so");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
