//! How soon the SMS is sent after a FAILED callback arrived.

use std::time::Duration;

use chrono::TimeDelta;

use crate::bench::{Arm, Bench, settle, simulator};
use crate::load::{Pace, fire};
use crate::report::Line;
use crate::seed;

const PER_SECOND: usize = 50;

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Line>> {
    let (url, pool) = bench.database("bench_failed").await?;
    let sim = simulator()?;
    let at = seed::now(&pool).await?;
    let count = PER_SECOND * bench.seconds as usize;
    let messages = seed::armed(&pool, 0, count, |_| at + TimeDelta::hours(1)).await?;
    let service = bench.service(&url, Arm::Ours, &sim).await?;
    settle(&pool).await?;
    let requests = messages.iter().map(|&m| seed::callback(&[(m, "failed")], at)).collect();
    let hits =
        fire(service.address, requests, 16, Pace::PerSecond(PER_SECOND as f64), Duration::from_secs(600)).await?;
    anyhow::ensure!(hits.refused == 0, "{} callbacks were not taken", hits.refused);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (sent, p50, p99, max) = sqlx::query_as::<_, (i64, f64, f64, f64)>(
        "select count(*), percentile_disc(0.5) within group (order by took), percentile_disc(0.99) within group (order by took), max(took)
           from (select extract(epoch from s.started_at - a.failed_at)::float8 * 1000 as took
                   from attempts a join sends s on (s.bucket, s.message_id, s.attempt_no) = (a.bucket, a.message_id, 2::smallint)
                  where a.attempt_no = 1) t",
    )
    .fetch_one(&pool)
    .await?;
    anyhow::ensure!(sent == count as i64, "{sent} SMS left for {count} failures");
    service.stop().await;
    sim.stop().await;
    Ok(vec![Line::new(
        format!("FAILED callback in -> SMS request out, {PER_SECOND}/s"),
        "p99 < 50 ms",
        format!("p50 {p50:.0} ms, p99 {p99:.0} ms, max {max:.0} ms"),
        p99 < 50.0,
    )])
}
