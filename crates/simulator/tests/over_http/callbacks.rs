//! Callbacks: repeats, silence, the clock, the end.

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use otpost_simulator::{Laws, Mode, Retries, SimConfig, SimError, SimTime};

use crate::bench::*;

#[tokio::test]
async fn what_is_not_answered_2xx_is_posted_again_and_given_up_at_last() {
    let retries = Retries { after_ms: vec![1_000, 2_000], timeout_ms: 2_000 };
    let bench = Bench::start(SimConfig { retries, ..SimConfig::manual(1) });
    bench.receiver.state.status.store(503, Ordering::SeqCst);
    bench.whatsapp("+628123450012", "a").await.unwrap();
    bench.whatsapp("+628123450002", "b").await.unwrap();
    bench.advance(600).await;
    let stats = bench.sim.stats().callbacks;
    assert_eq!((stats.posted, stats.retried, stats.given_up, stats.pending), (6, 4, 2, 0));

    bench.whatsapp("+628123450012", "c").await.unwrap();
    bench.sim.set_mode("meta-main", Mode::Silence).unwrap();
    bench.advance(600).await;
    assert_eq!(bench.sim.stats().callbacks.silenced, 1);
    let tries: Vec<usize> = bench.sim.messages(Some("0002"), 1)[0].callbacks.iter().map(|one| one.try_no).collect();
    assert_eq!(tries, [1, 2, 3]);
}

#[tokio::test]
async fn stopping_does_not_wait_for_receivers_that_hang() {
    let bench = Bench::start(SimConfig { laws: Laws::instant(), in_flight: 2, ..SimConfig::default() });
    // Accepts connections by its backlog only, and reads nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", deaf.local_addr().unwrap());
    bench.sim.set_callback("meta-main", Some(&url)).unwrap();
    for n in 0..20 {
        bench.whatsapp(&format!("+62812345{n:02}77"), "a").await.unwrap();
    }
    assert!(!bench.sim.settle(Duration::from_millis(100)).await && bench.sim.pending() == 40);
    let began = Instant::now();
    bench.sim.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_real_clock_posts_by_itself_and_faster_when_told() {
    let config = SimConfig { time: SimTime::Real { speed: 100.0 }, ..SimConfig::default() };
    let bench = Bench::start(config);
    let began = Instant::now();
    bench.whatsapp("+628123450001", "a").await.unwrap();
    assert!(bench.sim.settle(Duration::from_secs(10)).await);
    let got = bench.receiver.take();
    assert_eq!(words(&got), ["sent", "delivered", "read"]);
    assert!(got.iter().all(|one| one.header("content-type") == "application/json"));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(matches!(bench.sim.advance(Duration::ZERO).await, Err(SimError::ClockIsReal)));
}
