//! Instances are replaced one by one behind a plain TCP balancer, under load: no client notices.
//!
//! `OTPOST_TEST_RESTARTS=50` for longer; the gate restarts a few times.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use otpost::simulator::SimConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::helpers::program::{Fixture, How, number};

const CLIENTS: u64 = 6;
const HOLDERS: u64 = 6;

/// Passes connections to the instances that are ready.
struct Balancer {
    address: SocketAddr,
    instances: Vec<(SocketAddr, Arc<AtomicBool>)>,
}

impl Balancer {
    async fn start(instances: Vec<SocketAddr>) -> Self {
        let instances: Vec<_> = instances.into_iter().map(|a| (a, Arc::new(AtomicBool::new(false)))).collect();
        for (address, ready) in instances.clone() {
            tokio::spawn(async move {
                let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
                loop {
                    let answer = http.get(format!("http://{address}/readyz")).send().await;
                    ready.store(answer.is_ok_and(|answer| answer.status() == 200), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let known = instances.clone();
        tokio::spawn(async move {
            let turn = Arc::new(AtomicUsize::new(0));
            while let Ok((mut client, _)) = listener.accept().await {
                let (known, turn) = (known.clone(), Arc::clone(&turn));
                tokio::spawn(async move {
                    for _ in 0..2 * known.len() {
                        let (address, ready) = &known[turn.fetch_add(1, Ordering::Relaxed) % known.len()];
                        if !ready.load(Ordering::Relaxed) {
                            continue;
                        }
                        if let Ok(mut instance) = TcpStream::connect(address).await {
                            let _ = copy_bidirectional(&mut client, &mut instance).await;
                            return;
                        }
                    }
                });
            }
        });
        Self { address, instances }
    }

    async fn sees(&self, n: usize) {
        let began = Instant::now();
        while !self.instances[n].1.load(Ordering::Relaxed) {
            assert!(began.elapsed() < Duration::from_secs(60), "instance {n} is not ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[derive(Default)]
pub(crate) struct Seen {
    pub posts: usize,
    gets: usize,
    held: usize,
    pub failed: Vec<String>,
}

/// Apps that send codes and read messages until it is over.
pub(crate) struct Clients {
    pub url: String,
    pub key: String,
    pub over: AtomicBool,
    pub seen: Mutex<Seen>,
}

impl Clients {
    fn failed(&self, what: String) {
        self.seen.lock().unwrap().failed.push(what);
    }

    async fn get(&self, http: &reqwest::Client, id: &str, query: &str) -> bool {
        let request = http.get(format!("{}/v1/messages/{id}{query}", self.url)).bearer_auth(&self.key);
        match request.send().await {
            Ok(answer) if answer.status() == 200 => match answer.text().await {
                Ok(_) => return true,
                Err(error) => self.failed(format!("GET {query}: {error:?}")),
            },
            Ok(answer) => self.failed(format!("GET {query}: {}", answer.status())),
            Err(error) => self.failed(format!("GET {query}: {error:?}")),
        }
        false
    }

    /// One request after the other, on kept connections, each once.
    pub(crate) async fn ask(self: Arc<Self>, n: u64) {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let mut round = 0;
        while !self.over.load(Ordering::Relaxed) {
            round += 1;
            let body = json!({ "to": format!("+62812{n:02}{:02}0001", round % 100) }).to_string();
            let request = http.post(format!("{}/v1/messages", self.url)).bearer_auth(&self.key).body(body);
            let id = match request.send().await {
                Ok(answer) if answer.status() == 202 => {
                    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
                    answer["id"].as_str().unwrap().to_owned()
                }
                Ok(answer) => {
                    self.failed(format!("POST: {} {:?}", answer.status(), answer.text().await));
                    continue;
                }
                Err(error) => {
                    self.failed(format!("POST: {error:?}"));
                    continue;
                }
            };
            self.seen.lock().unwrap().posts += 1;
            if self.get(&http, &id, "").await {
                self.seen.lock().unwrap().gets += 1;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Holds a GET that ends only at its timeout.
    async fn hold(self: Arc<Self>, id: String) {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(80)).build().unwrap();
        while !self.over.load(Ordering::Relaxed) {
            let held = self.get(&http, &id, "?wait_for=settled&timeout_s=60");
            tokio::select! {
                fine = held => if fine { self.seen.lock().unwrap().held += 1 },
                () = async { while !self.over.load(Ordering::Relaxed) { tokio::time::sleep(Duration::from_millis(50)).await; } } => {}
            }
        }
    }
}

/// A proxy connects, and its request follows a moment later: meanwhile the instance stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_taken_before_a_stop_still_gets_its_answer() {
    let fixture = Fixture::new(SimConfig::default()).await;
    let port = Fixture::free_port();
    let mut program = fixture.start(port, &How { server: "linger_s = 0", ..How::default() }).await;
    let mut taken = Vec::new();
    for _ in 0..20 {
        taken.push(TcpStream::connect(program.address).await.unwrap());
    }
    program.terminate();
    let began = Instant::now();
    while TcpStream::connect(program.address).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "it still listens");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for (n, client) in taken.iter_mut().enumerate() {
        let mut answer = String::new();
        let asked = client.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let answered = client.read_to_string(&mut answer).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"),
            "{n}: {asked:?} {answered:?} {answer:?}"
        );
    }
    let began = Instant::now();
    while program.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not end: {}", program.told());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(program);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_are_replaced_one_by_one_and_no_request_fails() {
    let restarts = number("OTPOST_TEST_RESTARTS", 3) as usize;
    let fixture = Fixture::new(SimConfig::default()).await;
    let ports = [Fixture::free_port(), Fixture::free_port()];
    let balancer = Balancer::start(ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect()).await;
    let url = format!("http://{}", balancer.address);
    fixture.callbacks_to(&url);
    let how = How { server: "linger_s = 1", public_url: Some(url.clone()), ..How::default() };
    let mut programs = Vec::new();
    for port in ports {
        programs.push(fixture.start(port, &how).await);
    }
    for n in 0..ports.len() {
        balancer.sees(n).await;
    }
    let clients = Arc::new(Clients {
        url: url.clone(),
        key: fixture.key.clone(),
        over: AtomicBool::new(false),
        seen: Mutex::default(),
    });
    let http = reqwest::Client::new();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..HOLDERS {
        let body = json!({ "to": format!("+6281290{n:02}5001"), "purpose": "payment" }).to_string();
        let request = http.post(format!("{url}/v1/messages")).bearer_auth(&fixture.key).body(body);
        let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
        tasks.spawn(Arc::clone(&clients).hold(answer["id"].as_str().unwrap().to_owned()));
    }
    for n in 0..CLIENTS {
        tasks.spawn(Arc::clone(&clients).ask(n));
    }
    let mut drained = Vec::new();
    for round in 0..restarts {
        let n = round % ports.len();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        programs[n].terminate();
        let status = loop {
            if let Some(status) = programs[n].child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end: {}", programs[n].told());
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        drained.push(began.elapsed());
        assert!(status.success(), "{status}: {}", programs[n].told());
        programs[n] = fixture.start(ports[n], &how).await;
        balancer.sees(n).await;
    }
    clients.over.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    let seen = std::mem::take(&mut *clients.seen.lock().unwrap());
    drained.sort_unstable();
    println!(
        "{restarts} restarts of 2 instances: {} POSTs, {} GETs, {} held GETs ended by a stop, {} failed; from SIGTERM to the \
         end p50 {:?}, max {:?} (1 s of it linger)",
        seen.posts,
        seen.gets,
        seen.held,
        seen.failed.len(),
        drained[drained.len() / 2],
        drained[drained.len() - 1],
    );
    assert!(seen.failed.is_empty(), "{:#?}", seen.failed);
    assert!(seen.held >= restarts, "held requests were answered: {}", seen.held);
    assert!(drained.iter().all(|took| *took < Duration::from_secs(15)), "held requests keep no instance alive");
    drop(programs);
    fixture.stop().await;
}
