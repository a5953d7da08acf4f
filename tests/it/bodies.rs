//! Request bodies: refused before they are read where possible, and bounded in memory otherwise.
//!
//! `OTPOST_TEST_BODIES=1000` posts that many at a time; the gate posts 150.

use std::sync::Arc;
use std::time::{Duration, Instant};

use otpost::simulator::SimConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::app::with_app;
use crate::helpers::program::{Fixture, How, Program, number};

const LARGE: usize = 4 * 1024 * 1024;
/// The resident memory may grow by this, in KiB.
const MOST_KIB: u64 = 64 * 1024;

/// Posts a body as fast as it is accepted; returns the status, or `None` when the connection was closed without one.
async fn post(program: &Program, path: &str, headers: &str, body: &[u8]) -> Option<u16> {
    let socket = TcpStream::connect(program.address).await.ok()?;
    let (mut from, mut to) = socket.into_split();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    let write = async {
        // The answer may come before the end of the body, and then the connection is closed.
        let _ = to.write_all(head.as_bytes()).await;
        let _ = to.write_all(body).await;
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut answer = Vec::new();
        let mut part = [0; 1024];
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            match from.read(&mut part).await {
                Ok(n @ 1..) => answer.extend_from_slice(&part[..n]),
                _ => return None,
            }
        }
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    };
    tokio::select! {
        () = write => None,
        status = read => status,
        () = tokio::time::sleep(Duration::from_secs(60)) => None,
    }
}

/// Many large bodies at once; returns the growth of the resident memory in KiB, and the answers by their status.
async fn storm(program: &Program, n: u64, path: &'static str, headers: &'static str) -> (u64, Vec<(String, usize)>) {
    let before = program.resident_kib();
    let body: Arc<Vec<u8>> = Arc::new(vec![b' '; LARGE]);
    let statuses = std::sync::Mutex::new(std::collections::BTreeMap::<String, usize>::new());
    let posts = (0..n).map(|_| async {
        let status = post(program, path, headers, &body).await;
        let status = status.map_or_else(|| "closed".to_owned(), |status| status.to_string());
        *statuses.lock().unwrap().entry(status).or_default() += 1;
    });
    let mut most = before;
    {
        let mut all = std::pin::pin!(futures_util::future::join_all(posts));
        let mut every = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = &mut all => break,
                _ = every.tick() => most = most.max(program.resident_kib()),
            }
        }
    }
    (most - before, statuses.into_inner().unwrap().into_iter().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_at_once_cost_little_memory_and_shut_nobody_out() {
    let n = number("OTPOST_TEST_BODIES", 150);
    let fixture = Fixture::new(SimConfig::default()).await;
    let program = fixture.start(Fixture::free_port(), &How::default()).await;
    let http = reqwest::Client::new();
    let good = async || {
        let began = Instant::now();
        let request = http.post(format!("{}/v1/messages", program.url())).bearer_auth(&fixture.key);
        let answer = request.body(json!({ "to": "+628123450001" }).to_string()).send().await.expect("an answer");
        assert_eq!(answer.status(), 202);
        began.elapsed()
    };
    for _ in 0..20 {
        good().await;
    }
    let wrong = "X-Hub-Signature-256: sha256=0000000000000000000000000000000000000000000000000000000000000000\r\n";
    let cases = [
        ("/webhooks/nope", ""),
        ("/webhooks/meta-main", ""),
        ("/webhooks/meta-main", wrong),
        ("/v1/messages", "Authorization: Bearer otp_live_00000000_no\r\n"),
    ];
    for (path, headers) in cases {
        let storming = storm(&program, n, path, headers);
        let goods = async {
            let mut took = Vec::new();
            for _ in 0..10 {
                took.push(good().await);
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            took.into_iter().max().unwrap_or_default()
        };
        let ((grown, statuses), slowest) = tokio::join!(storming, goods);
        println!(
            "{n} bodies of 4 MiB to {path} ({}): {:.1} MB more, {statuses:?}, slowest good POST {slowest:?}",
            if headers.is_empty() { "no proof" } else { "a wrong one" },
            grown as f64 / 1024.0
        );
        assert!(grown < MOST_KIB, "{path}: {grown} KiB more");
        let fits = |status: &str| matches!(status, "401" | "404" | "413" | "503" | "closed");
        assert!(statuses.iter().all(|(status, _)| fits(status)), "{statuses:?}");
        let told: usize = statuses.iter().filter(|(status, _)| status != "closed").map(|(_, n)| n).sum();
        assert!(told * 10 >= n as usize * 9, "almost all are told why: {statuses:?}");
    }
    drop(program);
    fixture.stop().await;
}

/// A refusal does not depend on the length, and comes while the body is still being sent.
#[tokio::test]
async fn what_needs_no_body_to_be_refused_is_refused_before_it_comes() {
    with_app(async |app| {
        let address = app.url.strip_prefix("http://").unwrap();
        let cases = [
            ("POST /webhooks/nope", "", 404),
            ("POST /webhooks/meta-main", "", 401),
            ("POST /webhooks/http-sms", "", 401),
            ("POST /v1/messages", "", 401),
            ("POST /v1/messages", "Authorization: Bearer otp_live_00000000_no\r\n", 401),
            ("PUT /v1/messages", "", 405),
            ("POST /nothing", "", 404),
        ];
        for (line, header, expected) in cases {
            for length in ["Content-Length: 60000\r\n", "Transfer-Encoding: chunked\r\n"] {
                let mut socket = TcpStream::connect(address).await.unwrap();
                let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{header}{length}\r\n");
                socket.write_all(head.as_bytes()).await.unwrap();
                let mut answer = [0; 2048];
                let n = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut answer)).await;
                let n = n.unwrap_or_else(|_| panic!("no answer to {head}")).unwrap();
                let answer = String::from_utf8_lossy(&answer[..n]).into_owned();
                assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{head}{answer}");
            }
        }
        let key = &app.key;
        for (path, length) in [("/v1/messages", 65_537), ("/webhooks/meta-main", LARGE + 1)] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n"
            );
            socket.write_all(head.as_bytes()).await.unwrap();
            let mut answer = [0; 2048];
            let n = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut answer)).await.unwrap().unwrap();
            assert!(answer[..n].starts_with(b"HTTP/1.1 413"), "{path}");
        }
    })
    .await;
}
