//! `POST /v1/messages`: the rate, and the time of each answer.

use std::time::Duration;

use otpost::config::Settings;
use otpost::simulator::Simulator;

use crate::bench::{Arm, Bench, Service, limited, settle, simulator};
use crate::load::{Pace, fire, median, request};
use crate::report::Line;

const ROUNDS: usize = 3;
const CONNECTIONS: usize = 64;
const PACED: usize = 300;
/// The account's rate while more is accepted than could be sent: a burst is accepted and sent in time.
const SENDS_PER_SECOND: f64 = 100.0;
const MOST: usize = 6_000;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Line>> {
    let sim = simulator()?;
    let seconds = bench.seconds as usize;

    let (url, pool) = bench.database("bench_posts").await?;
    let (listener, settings) = bench.settings(&sim.url())?;
    let service = bench.service_with(&url, Arm::Ours, &sim, listener, settings).await?;
    settle(&pool).await?;
    let requests = posts(&service.key, 0, PACED * seconds, "login");
    let paced =
        fire(service.address, requests, CONNECTIONS, Pace::PerSecond(PACED as f64), Duration::from_secs(600)).await?;
    anyhow::ensure!(paced.refused == 0, "{} requests were refused", paced.refused);
    let p99 = paced.percentile_ms(0.99);
    let p50 = paced.percentile_ms(0.5);
    eprintln!("posts, {PACED}/s with everything sent and delivered: p50 {p50:.1} ms, p99 {p99:.1} ms");
    service.stop().await;

    // In turns, so that both arms have the same moments of the machine.
    let without = burst_service(bench, &sim, "bench_posts_burst", |_| {}).await?;
    let with = burst_service(bench, &sim, "bench_posts_limited", limited).await?;
    let (mut rates, mut limited_rates) = (Vec::new(), Vec::new());
    let (mut p99s, mut limited_p99s) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        for (name, service, rates, p99s) in [
            ("without limits", &without, &mut rates, &mut p99s),
            ("with limits", &with, &mut limited_rates, &mut limited_p99s),
        ] {
            let at_most = Duration::from_secs(bench.seconds.div_ceil(ROUNDS as u64));
            let requests = posts(&service.key, round * 1_000_000, MOST * at_most.as_secs() as usize, "payment");
            let found = fire(service.address, requests, CONNECTIONS, Pace::Flat, at_most).await?;
            anyhow::ensure!(found.refused == 0, "{} requests were refused", found.refused);
            let p99 = found.percentile_ms(0.99);
            eprintln!("posts, round {round}, {name}: {:.0}/s, p99 {p99:.1} ms", found.per_second());
            rates.push(found.per_second());
            p99s.push(p99);
        }
    }
    without.stop().await;
    with.stop().await;
    sim.stop().await;
    let (rate, limited_rate) = (median(rates), median(limited_rates));
    let (burst_p99, limited_p99) = (median(p99s), median(limited_p99s));
    let ratio = limited_rate / rate;
    Ok(vec![
        Line::new(
            format!("`POST /v1/messages`, {CONNECTIONS} at a time, with an idempotency key"),
            "at least 1 500/s",
            format!("{rate:.0}/s"),
            rate >= 1_500.0,
        ),
        Line::new(
            "… with the limits of number, range, country and app counted".to_owned(),
            "at least 0.8x",
            format!("{limited_rate:.0}/s, {ratio:.2}x (p99 {limited_p99:.0} ms, without {burst_p99:.0} ms)"),
            ratio >= 0.8,
        ),
        Line::new(
            format!("… at {PACED}/s, everything sent and delivered meanwhile"),
            "p99 < 25 ms",
            format!("p50 {p50:.0} ms, p99 {p99:.0} ms"),
            p99 < 25.0,
        ),
    ])
}

/// A service that takes in more than could be sent.
async fn burst_service(
    bench: &Bench,
    sim: &Simulator,
    database: &str,
    change: impl FnOnce(&mut Settings),
) -> anyhow::Result<Service> {
    let (url, pool) = bench.database(database).await?;
    let (listener, mut settings) = bench.settings(&sim.url())?;
    for account in settings.accounts.values_mut() {
        account.per_second = SENDS_PER_SECOND;
    }
    change(&mut settings);
    let service = bench.service_with(&url, Arm::Ours, sim, listener, settings).await?;
    settle(&pool).await?;
    Ok(service)
}

/// `purpose`: payments live for ten minutes, so that more of a burst can be sent in time.
fn posts(key: &str, first: usize, count: usize, purpose: &str) -> Vec<Vec<u8>> {
    let post = |n: usize| {
        let body = format!(r#"{{"to":"+62812{:07}","reference":"order-{n}","purpose":"{purpose}"}}"#, 1_000_000 + n);
        let headers =
            format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\nidempotency-key: bench-{n}\r\n");
        request("POST", "/v1/messages", &headers, &body)
    };
    (first..first + count).map(post).collect()
}
