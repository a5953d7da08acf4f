//! GETs that are held until a message changes: how many are allowed, and that clients who leave are forgotten.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::app::{TestApp, with_app, with_settings};

/// Holds a GET on a connection of its own.
async fn hold(app: &TestApp, id: &str) -> TcpStream {
    let mut socket = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "GET /v1/messages/{id}?wait_for=settled&timeout_s=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        app.key
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

async fn waiters_are(app: &TestApp, expected: usize) {
    let began = Instant::now();
    while app.running.api.watch.waiters() != expected {
        assert!(began.elapsed() < Duration::from_secs(10), "{} wait", app.running.api.watch.waiters());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_app_has_so_many_waiters_and_who_leaves_makes_room() {
    // 12 of 20 connections.
    with_settings(
        |settings| settings.server.max_connections = Some(20),
        async |app| {
            let id = app.send("+628123450001").await;
            let mut held = Vec::new();
            for _ in 0..12 {
                held.push(hold(app, &id).await);
            }
            waiters_are(app, 12).await;
            let request = app.http.get(format!("{}/v1/messages/{id}?wait_for=settled", app.url)).bearer_auth(&app.key);
            let answer = request.send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "1"));
            let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(problem["type"], "urn:otpost:problem:too-many-waiting");
            // A request that does not wait is answered.
            assert_eq!(app.message(&id).await["outcome"], "pending");

            // Closed completely, and closed only for writing, as some clients do.
            drop(held.pop());
            waiters_are(app, 11).await;
            let mut half = held.pop().unwrap();
            half.shutdown().await.unwrap();
            waiters_are(app, 10).await;
            let mut answer = [0; 1024];
            let n = half.read(&mut answer).await.unwrap();
            assert!(answer[..n].starts_with(b"HTTP/1.1 200"), "it is answered with what there is");
            drop(held);
            waiters_are(app, 0).await;
        },
    )
    .await;
}

#[tokio::test]
async fn all_who_wait_for_a_message_hear_of_it() {
    with_app(async |app| {
        let id = app.send("+628123450001").await;
        let mut held = Vec::new();
        for _ in 0..100 {
            held.push(hold(app, &id).await);
        }
        waiters_are(app, 100).await;
        let (status, _) = app.post(&format!("/v1/messages/{id}/cancel"), serde_json::json!({})).await;
        assert_eq!(status, 200);
        for mut one in held {
            let mut answer = [0; 4096];
            let n = tokio::time::timeout(Duration::from_secs(10), one.read(&mut answer)).await.unwrap().unwrap();
            let answer = String::from_utf8_lossy(&answer[..n]).into_owned();
            assert!(answer.contains(r#""outcome":"cancelled""#), "{answer}");
        }
        waiters_are(app, 0).await;
    })
    .await;
}

#[tokio::test]
async fn every_answer_is_kept_by_nobody_and_taken_for_what_it_is() {
    with_app(async |app| {
        let address = app.url.strip_prefix("http://").unwrap();
        let key = &app.key;
        let requests = [
            ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "200"),
            ("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), ""),
            ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "404"),
            ("DELETE /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), ""),
            ("HEAD /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), ""),
            ("GET /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "401"),
            (format!("GET /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"), "200"),
            (
                format!(
                    "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 1\r\n\r\n["
                ),
                "400",
            ),
            ("GET /v1/%ff HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), ""),
            // Answered by actix itself.
            ("nonsense\r\n\r\n".to_owned(), "400"),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: no\r\n\r\n".to_owned(), "400"),
            ("GET /healthz HTTP/1.1\r\nHost".to_owned(), "408"),
        ];
        let answers = requests.map(|(sent, status)| async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = [0; 4096];
            let n = tokio::time::timeout(Duration::from_secs(20), socket.read(&mut answer)).await;
            let n = n.unwrap_or_else(|_| panic!("no answer to {sent}")).unwrap();
            let answer = String::from_utf8_lossy(&answer[..n]).to_lowercase();
            assert!(answer.starts_with(&format!("http/1.1 {status}")), "{sent}{answer}");
            for header in
                ["cache-control: no-store\r\n", "x-content-type-options: nosniff\r\n", "x-frame-options: deny\r\n"]
            {
                assert_eq!(answer.matches(header).count(), 1, "{sent}{answer}");
            }
        });
        futures_util::future::join_all(answers).await;
    })
    .await;
}
