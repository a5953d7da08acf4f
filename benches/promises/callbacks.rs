//! Signed callbacks over HTTP, each answered when it is durable.

use std::time::Duration;

use chrono::TimeDelta;
use otpost::domain::ids::MessageId;

use crate::bench::{Arm, Bench, settle, simulator};
use crate::load::{Hits, Pace, fire, median};
use crate::report::Line;
use crate::seed;

const ROUNDS: usize = 3;
/// Concurrent requests.
const CONNECTIONS: usize = 128;
/// Connections of the control to the database.
const CONTROL_CONNECTIONS: u32 = 24;
/// More than either arm is known to reach, in receipts per second.
const MOST: [usize; 2] = [12_000, 4_000];
const MOST_BATCHED: usize = 40_000;
const BATCH: usize = 100;

/// First `sent` for some messages, then `delivered` for the same, and on to the next.
fn receipts(messages: &[MessageId]) -> Vec<(MessageId, &'static str)> {
    let both = |some: &[MessageId]| {
        let of = |status: &'static str| some.iter().map(move |&m| (m, status)).collect::<Vec<_>>();
        [of("sent"), of("delivered")].concat()
    };
    messages.chunks(2_000).flat_map(both).collect()
}

/// One receipt per callback, compared with a receiver with one transaction for each.
pub(crate) async fn single(bench: &Bench) -> anyhow::Result<Vec<Line>> {
    let (url, pool) = bench.database("bench_callbacks").await?;
    let sim = simulator()?;
    let at = seed::now(&pool).await?;
    let seconds = bench.seconds as usize;
    let share = MOST.map(|most| most * seconds / 2);
    let mut messages = seed::armed(&pool, 0, ROUNDS * (share[0] + share[1]), |_| at + TimeDelta::hours(1)).await?;
    let ours = bench.service(&url, Arm::Ours, &sim).await?;
    let control = bench.service(&url, Arm::OneByOne(CONTROL_CONNECTIONS), &sim).await?;
    settle(&pool).await?;
    let mut hits: [Vec<Hits>; 2] = Default::default();
    for round in 1..=ROUNDS {
        for (arm, service) in [&ours, &control].into_iter().enumerate() {
            let some = messages.split_off(messages.len() - share[arm]);
            let requests = receipts(&some).iter().map(|r| seed::callback(&[*r], at)).collect();
            let found =
                fire(service.address, requests, CONNECTIONS, Pace::Flat, Duration::from_secs(bench.seconds)).await?;
            anyhow::ensure!(found.refused == 0, "{} callbacks were not taken", found.refused);
            eprintln!(
                "callbacks, round {round}, {}: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
                ["ours", "control"][arm],
                found.per_second(),
                found.percentile_ms(0.5),
                found.percentile_ms(0.99)
            );
            hits[arm].push(found);
        }
    }
    let stored: i64 = sqlx::query_scalar("select count(*) from receipts").fetch_one(&pool).await?;
    let answered: usize = hits.iter().flatten().map(|h| h.took.len()).sum();
    anyhow::ensure!(stored >= answered as i64, "{answered} callbacks were answered, {stored} receipts are stored");
    ours.stop().await;
    control.stop().await;
    sim.stop().await;
    let of = |arm: usize, figure: fn(&Hits) -> f64| median(hits[arm].iter().map(figure).collect());
    let (rate, beside) = (of(0, Hits::per_second), of(1, Hits::per_second));
    let p99 = of(0, |h| h.percentile_ms(0.99));
    let p50 = of(0, |h| h.percentile_ms(0.5));
    let control_p99 = of(1, |h| h.percentile_ms(0.99));
    Ok(vec![
        Line::new(
            "signed single-receipt callbacks, durable before 200",
            "at least 5 000/s",
            format!("{rate:.0}/s"),
            rate >= 5_000.0,
        )
        .control("one transaction per callback", format!("{beside:.0}/s"), rate / beside),
        Line::new(
            "… compared with one transaction per callback",
            "at least 3x",
            format!("{:.1}x", rate / beside),
            rate >= 3.0 * beside,
        ),
        Line::new(
            format!("… their latency, {CONNECTIONS} at a time"),
            "p99 < 50 ms",
            format!("p50 {p50:.0} ms, p99 {p99:.0} ms"),
            p99 < 50.0,
        )
        .control("one transaction per callback", format!("p99 {control_p99:.0} ms"), control_p99 / p99),
    ])
}

/// Many receipts per callback.
pub(crate) async fn batched(bench: &Bench) -> anyhow::Result<Vec<Line>> {
    let (url, pool) = bench.database("bench_batches").await?;
    let sim = simulator()?;
    let at = seed::now(&pool).await?;
    let share = MOST_BATCHED * bench.seconds as usize / 2 / ROUNDS;
    let mut messages = seed::armed(&pool, 0, ROUNDS * share, |_| at + TimeDelta::hours(1)).await?;
    let ours = bench.service(&url, Arm::Ours, &sim).await?;
    settle(&pool).await?;
    let mut rates = Vec::new();
    let mut p99s = Vec::new();
    for round in 1..=ROUNDS {
        let some = messages.split_off(messages.len() - share);
        let requests = receipts(&some).chunks(BATCH).map(|batch| seed::callback(batch, at)).collect();
        let at_most = Duration::from_secs(bench.seconds.div_ceil(ROUNDS as u64));
        let found = fire(ours.address, requests, 16, Pace::Flat, at_most).await?;
        anyhow::ensure!(found.refused == 0, "{} callbacks were not taken", found.refused);
        let rate = found.per_second() * BATCH as f64;
        eprintln!(
            "batches, round {round}: {rate:.0} receipts/s, p99 of a callback {:.1} ms",
            found.percentile_ms(0.99)
        );
        rates.push(rate);
        p99s.push(found.percentile_ms(0.99));
    }
    ours.stop().await;
    sim.stop().await;
    let (rate, p99) = (median(rates), median(p99s));
    Ok(vec![Line::new(
        format!("receipts in callbacks of {BATCH}"),
        "at least 20 000/s",
        format!("{rate:.0}/s (p99 of a callback {p99:.0} ms)"),
        rate >= 20_000.0,
    )])
}
