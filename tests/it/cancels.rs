//! Clients that disconnect at any moment: no database connection is left with an open transaction.
//!
//! `OTPOST_TEST_CANCELS=10000` runs longer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::helpers::app::with_app;
use crate::helpers::program::number;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_break_off_poison_no_connection() {
    with_app(async |app| {
        let cancels = number("OTPOST_TEST_CANCELS", 400) as usize;
        let id = app.send("+628123450001").await;
        let address = app.url.strip_prefix("http://").unwrap();
        let done = AtomicUsize::new(0);
        let one = |n: usize| {
            let (id, done) = (&id, &done);
            async move {
                let mut socket = TcpStream::connect(address).await.unwrap();
                let body = match n % 4 {
                    0 => json!({ "to": format!("+62812{:04}0001", n % 10_000) }).to_string(),
                    1 => json!({ "code": "000000" }).to_string(),
                    _ => String::new(),
                };
                let line = match n % 4 {
                    0 => "POST /v1/messages".to_owned(),
                    1 => format!("POST /v1/messages/{id}/resend"),
                    2 => format!("GET /v1/messages/{id}/timeline"),
                    _ => format!("GET /v1/messages/{id}?wait_for=settled"),
                };
                let head = format!(
                    "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIdempotency-Key: cancel-{n}\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    app.key,
                    body.len()
                );
                socket.write_all(head.as_bytes()).await.unwrap();
                // Covers each moment of a request's life.
                tokio::time::sleep(Duration::from_micros((n as u64 * 7_919) % 12_000)).await;
                // A reset, not an orderly end.
                socket.set_zero_linger().unwrap();
                drop(socket);
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        for first in (0..cancels).step_by(20) {
            futures_util::future::join_all((first..(first + 20).min(cancels)).map(one)).await;
        }
        assert_eq!(done.load(Ordering::Relaxed), cancels);
        // Whichever connection of the pools serves these, it works.
        for n in 0..40 {
            let (status, answer) = app.post("/v1/messages", json!({ "to": format!("+62813{n:04}0001") })).await;
            assert_eq!(status, 202, "{answer}");
            app.message(answer["id"].as_str().unwrap()).await;
        }
        let mut stuck = 1;
        for _ in 0..100 {
            stuck = sqlx::query_scalar::<_, i64>(
                "select count(*) from pg_stat_activity
                  where datname = current_database() and state like 'idle in transaction%'",
            )
            .fetch_one(&app.pool)
            .await
            .unwrap();
            if stuck == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(stuck, 0, "transactions that nobody ends");
        assert_eq!(app.running.api.watch.waiters(), 0, "nobody waits any more");
    })
    .await;
}
