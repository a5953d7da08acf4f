//! Clients that hold sockets and send little, against the real program: other clients are served throughout.
//!
//! `OTPOST_TEST_CROWD=60` holds the attack for that many seconds; the gate does so for a few.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use otpost::simulator::SimConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::helpers::app::{TestApp, with_app};
use crate::helpers::program::{Fixture, How, Program, number};

/// Time limit of a good request during the attack. Without protection it would never end.
const PATIENCE: Duration = Duration::from_secs(10);

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Reads until the other side closes. `None` when it does not within `limit`.
async fn until_closed(socket: &mut TcpStream, limit: Duration) -> Option<String> {
    let mut bytes = Vec::new();
    let read = async {
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = socket.read(&mut part).await {
            bytes.extend_from_slice(&part[..n]);
        }
    };
    tokio::time::timeout(limit, read).await.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn an_answer_before_the_body_closes_the_connection() {
    with_app(async |app| {
        let heads = [
            "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
            "POST /webhooks/nope HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /webhooks/nope HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
            "POST /webhooks/meta-main HTTP/1.1\r\nHost: x\r\nContent-Length: 4194305\r\n\r\n",
            "POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "PUT /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        ];
        for head in heads {
            let mut socket = connect(app).await;
            socket.write_all(head.as_bytes()).await.unwrap();
            let answer = until_closed(&mut socket, Duration::from_secs(8)).await;
            let answer = answer.unwrap_or_else(|| panic!("held: {head}"));
            assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("connection: close"), "{head}{answer}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_small_body_that_nobody_reads_leaves_the_connection_open() {
    with_app(async |app| {
        let mut socket = connect(app).await;
        for _ in 0..3 {
            socket.write_all(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            let mut answer = [0; 4096];
            let n = socket.read(&mut answer).await.unwrap();
            assert!(answer[..n].starts_with(b"HTTP/1.1 404"));
            assert!(!String::from_utf8_lossy(&answer[..n]).contains("connection: close"));
        }
    })
    .await;
}

/// The second of two heads on one connection, a byte at a time.
#[tokio::test]
async fn later_heads_and_bodies_have_a_deadline_too() {
    with_app(async |app| {
        let held = [
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nG",
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /webhooks/meta-main HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
            "POST /webhooks/meta-main HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "G",
        ];
        let waiting = held.map(|sent| async move {
            let socket = connect(app).await;
            let (mut from, mut to) = socket.into_split();
            to.write_all(sent.as_bytes()).await.unwrap();
            let trickle = async {
                for byte in std::iter::repeat_n(b"x", 30) {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if to.write_all(byte).await.is_err() {
                        break;
                    }
                }
                std::future::pending::<()>().await;
            };
            let read = async {
                let mut part = [0; 4096];
                while let Ok(1..) = from.read(&mut part).await {}
            };
            let began = Instant::now();
            tokio::select! { () = trickle => {}, () = read => {}, () = tokio::time::sleep(Duration::from_secs(25)) => {} }
            assert!(began.elapsed() < Duration::from_secs(20), "held: {sent}");
        });
        futures_util::future::join_all(waiting).await;
    })
    .await;
}

/// What an attacker holds open.
#[derive(Clone, Copy, Debug)]
enum Hold {
    Idle,
    AnsweredEarly,
    SlowHead,
    SecondHead,
    SlowBody,
    EarlyWithClose,
}

const HOLDS: [Hold; 6] =
    [Hold::Idle, Hold::AnsweredEarly, Hold::SlowHead, Hold::SecondHead, Hold::SlowBody, Hold::EarlyWithClose];

impl Hold {
    fn opening(self) -> &'static str {
        match self {
            Self::Idle => "",
            Self::AnsweredEarly => "POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            Self::SlowHead => "GET /healthz HTTP/1.1\r\nX-",
            Self::SecondHead => "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nG",
            Self::SlowBody => "POST /webhooks/meta-main HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n{",
            Self::EarlyWithClose => {
                "POST /webhooks/nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            }
        }
    }
}

/// Holds one socket after another, for as long as the server allows.
async fn attack(server: SocketAddr, n: usize, over: Arc<AtomicBool>, opened: Arc<AtomicUsize>) {
    let hold = HOLDS[n % HOLDS.len()];
    // Many addresses, all of this machine.
    let from = Ipv4Addr::new(127, 0, u8::try_from(1 + n / 200 % 200).unwrap(), u8::try_from(2 + n % 200).unwrap());
    while !over.load(Ordering::Relaxed) {
        let Ok(socket) = TcpSocket::new_v4() else { break };
        let connected = async {
            socket.bind((from, 0).into())?;
            socket.connect(server).await
        };
        if let Ok(Ok(mut socket)) = tokio::time::timeout(Duration::from_secs(2), connected).await {
            opened.fetch_add(1, Ordering::Relaxed);
            if socket.write_all(hold.opening().as_bytes()).await.is_ok() {
                let mut part = [0; 1024];
                let mut every = tokio::time::interval(Duration::from_secs(2));
                loop {
                    tokio::select! {
                        read = socket.read(&mut part) => if !matches!(read, Ok(1..)) { break },
                        _ = every.tick() => {
                            if over.load(Ordering::Relaxed) {
                                return;
                            }
                            let slow = matches!(hold, Hold::SlowHead | Hold::SecondHead | Hold::SlowBody);
                            if slow && socket.write_all(b"x").await.is_err() { break }
                        }
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One good client, whose requests to the API come through `http`.
async fn good(fixture: &Fixture, program: &Program, http: &reqwest::Client, n: u64) -> Duration {
    let began = Instant::now();
    let url = program.url();
    for path in ["/healthz", "/readyz"] {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let answer = http.get(format!("{url}{path}")).send().await.unwrap_or_else(|e| panic!("{path}: {e:?}"));
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text().await.unwrap());
    }
    let body = json!({ "to": format!("+62812345{:02}0002", n % 100) }).to_string();
    let post = http.post(format!("{url}/v1/messages")).bearer_auth(&fixture.key).body(body).send().await;
    let post = post.unwrap_or_else(|e| panic!("POST: {e:?}"));
    let status = post.status();
    let answer: Value = serde_json::from_str(&post.text().await.unwrap()).unwrap();
    assert_eq!(status, 202, "{answer}");
    let id = answer["id"].as_str().unwrap();
    let get = http.get(format!("{url}/v1/messages/{id}")).bearer_auth(&fixture.key).send().await;
    assert_eq!(get.unwrap_or_else(|e| panic!("GET: {e:?}")).status(), 200);
    began.elapsed()
}

async fn crowd(descriptors: u64, sockets: usize) {
    let held_for = Duration::from_secs(number("OTPOST_TEST_CROWD", 4));
    let fixture = Fixture::new(SimConfig::default()).await;
    let how = How { descriptors: Some(descriptors), ..How::default() };
    let program = fixture.start(Fixture::free_port(), &how).await;
    fixture.callbacks_to(&program.url());
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(PATIENCE).build().unwrap();
    let kept = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let before = good(&fixture, &program, &http, 0).await;

    let (over, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let attackers: Vec<_> = (0..sockets)
        .map(|n| tokio::spawn(attack(program.address, n, Arc::clone(&over), Arc::clone(&opened))))
        .collect();
    let began = Instant::now();
    while opened.load(Ordering::Relaxed) < sockets && began.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = Instant::now();
    let (mut took, mut n) = (Vec::new(), 1);
    while began.elapsed() < held_for || n < 10 {
        took.push(good(&fixture, &program, if n % 2 == 0 { &kept } else { &http }, n).await);
        n += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    over.store(true, Ordering::Relaxed);
    // Each of these messages fails on WhatsApp, so an SMS is sent at once: over sockets to the provider, and with
    // callbacks that pass through the crowd.
    let failed = "select count(*) from messages where state <> 'delivered'";
    let began = Instant::now();
    loop {
        let left: i64 = sqlx::query_scalar(failed).fetch_one(&fixture.pool).await.unwrap();
        if left == 0 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{left} messages were not delivered; {}", program.told());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let latest: f64 = sqlx::query_scalar(
        "select coalesce(max(extract(epoch from b.planned_at - a.accepted_at)), 0)::float8 from attempts a
           join attempts b on (b.bucket, b.message_id, b.attempt_no) = (a.bucket, a.message_id, a.attempt_no + 1)",
    )
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    took.sort_unstable();
    println!(
        "{descriptors} descriptors, {sockets} sockets held ({} opened): {} good rounds, none failed, p50 {:?}, max {:?} \
         ({before:?} before); latest replacement {latest:.2} s after the WhatsApp was taken",
        opened.load(Ordering::Relaxed),
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1],
    );
    assert!(latest < 15.0, "replacements are on time");
    for attacker in attackers {
        attacker.abort();
    }
    drop(program);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_held_sockets_shuts_nobody_out_at_256_descriptors() {
    crowd(256, 600).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_held_sockets_shuts_nobody_out_at_1024_descriptors() {
    crowd(1024, 1_500).await;
}
