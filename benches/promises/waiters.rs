//! `POST /v1/messages` while thousands of clients hold a GET, and without them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use otpost::process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::{Arm, Bench, settle, simulator};
use crate::load::{Pace, fire, median, request};
use crate::report::Line;

const ROUNDS: usize = 3;
const WAITERS: usize = 10_000;
const PACED: usize = 300;
const CONNECTIONS: usize = 64;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Line>> {
    process::raise_descriptors();
    // Both ends of each connection are in this process.
    let room = usize::try_from(process::descriptors().saturating_sub(1_000) / 2)?;
    let waiters = WAITERS.min(room);
    let sim = simulator()?;
    let (url, pool) = bench.database("bench_waiters").await?;
    let (listener, settings) = bench.settings(&sim.url())?;
    let service = bench.service_with(&url, Arm::Ours, &sim, listener, settings).await?;

    // Messages that live long enough to be waited for.
    let live = posts(&service.key, 9_000_000, waiters, "payment");
    let made = fire(service.address, live, CONNECTIONS, Pace::Flat, Duration::from_secs(600)).await?;
    anyhow::ensure!(made.refused == 0, "{} requests were refused", made.refused);
    let ids: Vec<(String,)> =
        sqlx::query_as("select message_id::text from messages where outcome = 'pending'").fetch_all(&pool).await?;
    settle(&pool).await?;

    let seconds = bench.seconds.div_ceil(ROUNDS as u64).max(3) as usize;
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let measure = async |first| {
            let requests = posts(&service.key, first, PACED * seconds, "login");
            let pace = Pace::PerSecond(PACED as f64);
            let hits = fire(service.address, requests, CONNECTIONS, pace, Duration::from_secs(600)).await?;
            anyhow::ensure!(hits.refused == 0, "{} requests were refused", hits.refused);
            anyhow::Ok(hits.percentile_ms(0.99))
        };
        let without = measure(round * 100_000).await?;
        let crowd = Crowd::gather(&service, &ids).await?;
        let with = measure(round * 100_000 + 50_000).await?;
        let held = crowd.held.load(Ordering::Relaxed);
        crowd.leave(&service).await?;
        eprintln!("waiters, round {round}: p99 {without:.1} ms without, {with:.1} ms beside {held}");
        alone.push(without);
        beside.push(with);
        ratios.push(with / without);
    }
    service.stop().await;
    sim.stop().await;
    let (alone, beside, ratio) = (median(alone), median(beside), median(ratios));
    let count = ids.len();
    Ok(vec![
        Line::new(
            format!("`POST /v1/messages` at {PACED}/s while {count} clients hold a GET"),
            "p99 at most 1.2x",
            format!("p99 {beside:.1} ms, {ratio:.2}x"),
            ratio <= 1.2,
        )
        .control("nobody waits", format!("p99 {alone:.1} ms"), alone / beside),
    ])
}

/// Clients that hold a GET, and ask again when it is answered. On a separate thread.
struct Crowd {
    over: Arc<AtomicBool>,
    held: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Crowd {
    /// Returns when the service holds nearly all of them: what only waits to be read would be measured as their cost.
    async fn gather(service: &crate::bench::Service, ids: &[(String,)]) -> anyhow::Result<Self> {
        let (address, key) = (service.address, &service.key);
        let over = Arc::new(AtomicBool::new(false));
        let held = Arc::new(AtomicUsize::new(0));
        let headers = format!("authorization: Bearer {key}\r\n");
        let path = |id: &str| format!("/v1/messages/{id}?wait_for=settled&timeout_s=60");
        let requests: Vec<Vec<u8>> = ids.iter().map(|(id,)| request("GET", &path(id), &headers, "")).collect();
        let (ended, count) = (Arc::clone(&over), Arc::clone(&held));
        let thread = std::thread::Builder::new().name("waiters".into()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                for (n, request) in requests.into_iter().enumerate() {
                    tokio::spawn(hold(address, request, Arc::clone(&count)));
                    if n % 50 == 0 {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                while !ended.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        })?;
        let enough = ids.len() - ids.len() / 100;
        for _ in 0..1_200 {
            if service.running.api.watch.waiters() >= enough {
                tokio::time::sleep(Duration::from_secs(2)).await;
                return Ok(Self { over, held, thread });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("only {} of {} wait", service.running.api.watch.waiters(), ids.len())
    }

    async fn leave(self, service: &crate::bench::Service) -> anyhow::Result<()> {
        self.over.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(|| self.thread.join()).await?.ok().context("the waiters broke")?;
        while service.running.api.watch.waiters() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }
}

async fn hold(address: SocketAddr, request: Vec<u8>, held: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let mut part = [0; 4096];
    loop {
        stream.write_all(&request).await?;
        held.fetch_add(1, Ordering::Relaxed);
        let read = stream.read(&mut part).await;
        held.fetch_sub(1, Ordering::Relaxed);
        if read? == 0 {
            return Ok(());
        }
    }
}

fn posts(key: &str, first: usize, count: usize, purpose: &str) -> Vec<Vec<u8>> {
    let post = |n: usize| {
        let body = format!(r#"{{"to":"+62812{:07}","purpose":"{purpose}"}}"#, n % 10_000_000);
        let headers = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
        request("POST", "/v1/messages", &headers, &body)
    };
    (first..first + count).map(post).collect()
}
