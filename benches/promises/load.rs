//! The load generator: requests prepared beforehand, written to connections that stay open, on a separate thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The results of the requests.
#[derive(Default)]
pub(crate) struct Hits {
    /// How long each took, in seconds, sorted. In a paced run from the moment it was due, so that a stall counts.
    pub took: Vec<f64>,
    /// Answers that were not 2xx.
    pub refused: usize,
    pub elapsed: f64,
}

impl Hits {
    pub(crate) fn per_second(&self) -> f64 {
        self.took.len() as f64 / self.elapsed
    }

    /// In milliseconds.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        percentile(&self.took, share) * 1000.0
    }
}

/// Of sorted values.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((last as f64) * share).round() as usize).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}

/// The bytes of one request.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as answers arrive.
    Flat,
    PerSecond(f64),
}

/// Sends the requests over `connections` connections, until they are used up or the time is over.
pub(crate) async fn fire(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    connections: usize,
    pace: Pace,
    at_most: Duration,
) -> anyhow::Result<Hits> {
    let (done, hits) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("load".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let hits =
            runtime.context("no runtime").and_then(|r| r.block_on(run(address, requests, connections, pace, at_most)));
        done.send(hits).ok();
    })?;
    hits.await?
}

async fn run(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    connections: usize,
    pace: Pace,
    at_most: Duration,
) -> anyhow::Result<Hits> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|stream| tokio::spawn(one(stream, Arc::clone(&requests), Arc::clone(&next), pace, began, at_most)))
        .collect();
    let mut hits = Hits::default();
    for task in tasks {
        let (took, refused) = task.await??;
        hits.took.extend(took);
        hits.refused += refused;
    }
    hits.elapsed = began.elapsed().as_secs_f64();
    hits.took.sort_by(f64::total_cmp);
    Ok(hits)
}

async fn one(
    mut stream: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    pace: Pace,
    began: Instant,
    at_most: Duration,
) -> anyhow::Result<(Vec<f64>, usize)> {
    let mut took = Vec::new();
    let mut refused = 0;
    let mut buffer = Vec::with_capacity(4096);
    while began.elapsed() < at_most {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = requests.get(n) else { break };
        let mut asked = Instant::now();
        if let Pace::PerSecond(rate) = pace {
            let due = began + Duration::from_secs_f64(n as f64 / rate);
            tokio::time::sleep_until(due.into()).await;
            asked = due;
        }
        stream.write_all(request).await?;
        let status = answer(&mut stream, &mut buffer).await?;
        took.push(asked.elapsed().as_secs_f64());
        refused += usize::from(!(200..300).contains(&status));
    }
    Ok((took, refused))
}

/// Reads one whole answer; its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<u16> {
    buffer.clear();
    loop {
        anyhow::ensure!(stream.read_buf(buffer).await? > 0, "the service closed the connection");
        let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?;
        let status = head.get(9..12).context("no status line")?.parse()?;
        let length =
            head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let whole = end + 4 + length.unwrap_or(0_usize);
        while buffer.len() < whole {
            anyhow::ensure!(stream.read_buf(buffer).await? > 0, "the answer broke off");
        }
        return Ok(status);
    }
}
