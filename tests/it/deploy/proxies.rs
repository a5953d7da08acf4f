//! nginx and Caddy in front of two instances: who may enter, what passes, and that no client notices a restart.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use otpost::simulator::SimConfig;
use otpost::simulator::faces::twilio::AUTH_TOKEN;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::deploy;
use super::front::{Front, Ports, Which, ask};
use crate::callback_proofs::twilio;
use crate::helpers::program::{Fixture, How, Program, number};
use crate::restarts::Clients;

/// Longer than the proxies keep an idle connection to an instance, as the default is.
const LINGER: &str = "linger_s = 4";
/// Unreachable from the internet. The later ones look like callbacks to a proxy, and like something else to otpost.
const CLOSED: [&str; 17] = [
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/messages",
    "/webhooks",
    "/webhooksx/meta-main",
    "/webhooks/../v1/messages",
    "/webhooks/%2e%2e/metrics",
    "/webhooks/..%2fmetrics",
    "/webhooks%2f..%2fv1%2fmessages",
    "/webhooks/meta-main/../../metrics",
    "//webhooks/../metrics",
    "/v1/messages/..%2f..%2fwebhooks%2fmeta-main",
    "/v1/messages/..%2f..%2fwebhooks%2fmeta-main/timeline",
    "/v1/messages/%2e%2e/%2e%2e/webhooks/meta-main",
    "/metrics/..%2fwebhooks/meta-main",
];

const TWILIO: &str = "[accounts.twilio-sms]\nprovider = \"twilio\"\nchannel = \"sms\"\n\
    account_sid = \"AC00000000000000000000000000000001\"\nfrom = \"+12025550100\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_in_front_lets_callbacks_in_and_nothing_else_and_no_restart_is_noticed() {
    behind(Which::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_in_front_lets_callbacks_in_and_nothing_else_and_no_restart_is_noticed() {
    behind(Which::Caddy).await;
}

async fn behind(which: Which) {
    let fixture = Fixture::new(SimConfig::default()).await;
    let ports = Ports::free();
    let public_url = ports.public_url();
    fixture.callbacks_to(&public_url);
    let more = format!("{TWILIO}auth_token = \"{AUTH_TOKEN}\"");
    let how = How { server: LINGER, public_url: Some(public_url), more, ..How::default() };
    let instances = [Fixture::free_port(), Fixture::free_port()];
    let mut programs = Vec::new();
    for port in instances {
        programs.push(fixture.start(port, &how).await);
    }
    let Some(front) = Front::start(which, ports, &instances).await else { return };

    lets_in_callbacks_alone(&fixture, &front, &programs).await;
    carries_what_apps_ask(&fixture, &front, &instances).await;
    restarts_go_unnoticed(&fixture, &front, &mut programs, &how).await;
    drop((front, programs));
    fixture.stop().await;
}

async fn lets_in_callbacks_alone(fixture: &Fixture, front: &Front, programs: &[Program]) {
    let http = reqwest::Client::new();
    for path in CLOSED {
        // Sent unchanged: an HTTP client would normalise it.
        let answer = ask(&mut Front::connect(&front.public).await, path).await;
        // nginx redirects a request for the folder to the same path with a slash, where nothing is served either.
        let slash = path == "/webhooks" && answer.starts_with("HTTP/1.1 301 ") && answer.contains("/webhooks/\r\n");
        assert!(slash || answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    let answer = http.post(format!("{}/v1/messages", front.public)).bearer_auth(&fixture.key).body("{}").send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::NOT_FOUND);

    let meta = format!("{}/webhooks/meta-main", front.public);
    let handshake = "?hub.mode=subscribe&hub.verify_token=sim-verify-token&hub.challenge=4711";
    assert_eq!(http.get(format!("{meta}{handshake}")).send().await.unwrap().text().await.unwrap(), "4711");
    for (bytes, status) in [(1, 401), (4 << 20, 401), ((4 << 20) + 1, 413)] {
        let answer = http.post(&meta).header("X-Hub-Signature-256", "sha256=00").body(vec![b'x'; bytes]).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), status, "{bytes}");
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(kind.contains("problem+json"), "otpost itself says why: {kind}");
    }

    // Twilio signs the address that it was given, which is the proxy's.
    let (sid, form) =
        ("SM00000000000000000000000000000001", "AccountSid=AC00000000000000000000000000000001&MessageSid=");
    let params = format!("AccountSidAC00000000000000000000000000000001MessageSid{sid}MessageStatusdelivered");
    for (signed_for, status) in [(front.public.clone(), 200), (programs[0].url(), 401)] {
        let signature = twilio(AUTH_TOKEN, &format!("{signed_for}/webhooks/twilio-sms"), &params);
        let request =
            http.post(format!("{}/webhooks/twilio-sms", front.public)).header("X-Twilio-Signature", signature);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(format!("{form}{sid}&MessageStatus=delivered")).send().await.unwrap();
        assert_eq!(answer.status(), status, "signed for {signed_for}");
    }
}

async fn carries_what_apps_ask(fixture: &Fixture, front: &Front, instances: &[u16]) {
    let http = reqwest::Client::new();
    let body = json!({ "to": "+628123450001" }).to_string();
    let sent = http.post(format!("{}/v1/messages", front.internal)).bearer_auth(&fixture.key).body(body).send().await;
    let sent: Value = serde_json::from_str(&sent.unwrap().text().await.unwrap()).unwrap();
    let id = sent["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
    let held = async |query: &str| {
        let url = format!("{}/v1/messages/{id}?{query}", front.internal);
        let answer = http.get(url).bearer_auth(&fixture.key).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()
    };
    // Its callbacks come through the proxy.
    let message = held("wait_for=delivered&timeout_s=30").await;
    assert_eq!(message["state"], "delivered", "{message:#} {}", front.log());
    let began = Instant::now();
    held("wait_for=settled&timeout_s=4").await;
    assert!(began.elapsed() >= Duration::from_secs(4), "held to the end of its time");

    // Connections are kept on both sides.
    let before = connections_to(instances);
    let mut connection = Front::connect(&front.internal).await;
    for _ in 0..100 {
        assert!(ask(&mut connection, "/healthz").await.starts_with("HTTP/1.1 200 "));
    }
    let new = connections_to(instances).saturating_sub(before);
    assert!(new < 20, "{new} connections for 100 requests");
}

/// The number of present or recent connections to these ports of this machine.
fn connections_to(ports: &[u16]) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let peers = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote) = (port(fields.next()?)?, port(fields.next()?)?);
        if ports.contains(&remote) { Some(local) } else { ports.contains(&local).then_some(remote) }
    });
    peers.collect::<std::collections::BTreeSet<_>>().len()
}

/// One instance after the other stops under load, and no client notices.
async fn restarts_go_unnoticed(fixture: &Fixture, front: &Front, programs: &mut [Program], how: &How) {
    let clients = Arc::new(Clients {
        url: front.internal.clone(),
        key: fixture.key.clone(),
        over: AtomicBool::new(false),
        seen: Default::default(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..number("OTPOST_TEST_CLIENTS", 4) {
        tasks.spawn(Arc::clone(&clients).ask(n));
    }
    let restarts = number("OTPOST_TEST_RESTARTS", 2) as usize;
    for round in 0..restarts {
        let n = round % programs.len();
        let port = programs[n].address.port();
        tokio::time::sleep(Duration::from_millis(500)).await;
        programs[n].terminate();
        let began = Instant::now();
        while programs[n].child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(75), "it does not end: {}", programs[n].told());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        programs[n] = fixture.start(port, how).await;
        // Caddy checks once a second, and nginx retries after two.
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
    clients.over.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    let seen = clients.seen.lock().unwrap();
    println!("{} POSTs through the proxy over {restarts} restarts, {} failed", seen.posts, seen.failed.len());
    assert!(seen.failed.is_empty() && seen.posts > 50, "{} {:#?} {}", seen.posts, seen.failed, front.log());
}

/// Seconds after `name` in a file under `deploy/`, at each place.
fn seconds(file: &str, name: &str) -> Vec<u64> {
    let text = deploy(file);
    let rest = text.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    rest.filter_map(|rest| rest.trim_end_matches(';').strip_suffix('s')?.parse().ok()).collect()
}

#[test]
fn the_proxies_wait_longer_than_a_get_is_held_and_keep_idle_connections_less_long_than_an_instance_lingers() {
    let example = include_str!("../../../otpost.example.toml");
    let linger: u64 = example.lines().find_map(|line| line.strip_prefix("# linger_s = ")?.parse().ok()).unwrap();
    let kept = [
        seconds("nginx/otpost.conf", "keepalive_timeout"),
        seconds("caddy/Caddyfile", "keepalive"),
        seconds("compose/Caddyfile", "keepalive"),
    ];
    assert_eq!(kept.each_ref().map(Vec::len), [2, 1, 1]);
    assert!(kept.iter().flatten().all(|kept| *kept < linger), "{kept:?}, linger {linger}");
    // web/messages.rs, LONGEST_WAIT_S.
    let longest = 60;
    let waits =
        [seconds("nginx/otpost.conf", "proxy_read_timeout"), seconds("caddy/Caddyfile", "response_header_timeout")];
    assert!(waits.iter().all(|waits| waits.iter().any(|wait| *wait > longest)), "{waits:?}");
}
