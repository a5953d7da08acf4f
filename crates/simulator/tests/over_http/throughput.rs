//! A measurement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use otpost_simulator::{Laws, SimConfig};

use crate::bench::*;

/// `cargo test --release -p otpost-simulator --test over_http -- throughput --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement"]
async fn throughput() {
    let bench = Arc::new(Bench::start(SimConfig { laws: Laws::instant(), workers: 1, ..SimConfig::default() }));
    // No number here may end like a fate's: one of them hangs.
    let (tasks, each) = (32, 1_000);
    let began = Instant::now();
    let sending: Vec<_> = (0..tasks)
        .map(|task| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                for n in 0..each {
                    bench.whatsapp(&format!("+6281{n:04}{task:03}7"), "r").await.unwrap();
                }
            })
        })
        .collect();
    for task in sending {
        task.await.unwrap();
    }
    let sent = began.elapsed().as_secs_f64();
    assert!(bench.sim.settle(Duration::from_secs(60)).await);
    let told = began.elapsed().as_secs_f64();
    let stats = bench.sim.stats();
    println!("{:.0} sends/s, {:.0} callbacks/s", stats.requests as f64 / sent, stats.callbacks.ok as f64 / told);
    let began = Instant::now();
    assert_eq!(bench.sim.messages(None, 100).len(), 100);
    println!("last 100 of {} read back in {:?}", stats.requests, began.elapsed());
}
