//! How late an SMS is sent after its deadline, with many timers armed; compared with a loop that polls every second.

use std::time::Duration;

use chrono::TimeDelta;
use otpost::app::Loops;
use otpost::services::delivery::replace;
use otpost::services::upkeep::loops::LoopName;
use otpost::simulator::Simulator;
use otpost::workers;
use sqlx::PgPool;

use crate::bench::{Arm, Bench, settle, simulator};
use crate::report::Line;
use crate::seed;

const ARMED: usize = 100_000;
const PER_SECOND: usize = 200;
/// The promise is about this duration; shorter runs are less conclusive.
const SECONDS: usize = 30;

struct Lateness {
    p50: f64,
    p99: f64,
    max: f64,
    min: f64,
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Line>> {
    let sim = simulator()?;
    let ours = arm(bench, &sim, false).await?;
    let control = arm(bench, &sim, true).await?;
    sim.stop().await;
    let Lateness { p50, p99, max, min } = ours;
    let text = |l: &Lateness| format!("p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms", l.p50, l.p99, l.max);
    Ok(vec![
        Line::new(
            format!("deadline lateness, {ARMED} armed, {PER_SECOND} due/s"),
            "p50 < 20 ms, p99 < 100 ms",
            text(&ours),
            p50 < 20.0 && p99 < 100.0,
        )
        .control("polling every second", text(&control), control.p99 / p99),
        Line::new(
            "… never early",
            "earliest >= 0 ms",
            format!("earliest {min:.1} ms (latest {max:.0} ms)"),
            min >= 0.0,
        ),
    ])
}

async fn arm(bench: &Bench, sim: &Simulator, polling: bool) -> anyhow::Result<Lateness> {
    let (url, pool) = bench.database(if polling { "bench_deadlines_control" } else { "bench_deadlines" }).await?;
    let at = seed::now(&pool).await?;
    seed::armed(&pool, 0, ARMED, |_| at + TimeDelta::hours(1)).await?;
    settle(&pool).await?;
    let (listener, settings) = bench.settings(&sim.url())?;
    let app = bench.build(&url, sim, Arm::Ours, &settings).await?;
    let mut tasks = Vec::new();
    let running = if polling {
        let (transitions, clock, services) = (app.transitions.clone(), app.clock.clone(), app.services());
        let needed = [LoopName::Clock, LoopName::Sender];
        tasks.extend(needed.map(|name| workers::start_one(name, &services, &app.ticks)));
        tasks.push(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                while replace::run_once(&transitions, &clock).await.is_ok_and(|round| round.due > 0) {}
            }
        }));
        app.start(listener, Loops::ByHand)?
    } else {
        app.start(listener, Loops::Run)?
    };
    let seconds = SECONDS.min(bench.seconds as usize * 3);
    let count = PER_SECOND * seconds;
    let first = seed::now(&pool).await? + TimeDelta::seconds(4);
    let gap = 1_000_000 / PER_SECOND as i64;
    seed::armed(&pool, ARMED, count, |n| first + TimeDelta::microseconds(gap * n as i64)).await?;
    let mut patience = 2 * seconds + 30;
    while fired(&pool).await? < count as i64 && patience > 0 {
        patience -= 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::ensure!(patience > 0, "only {} of {count} replacements left", fired(&pool).await?);
    let (p50, p99, max, min) = sqlx::query_as::<_, (f64, f64, f64, f64)>(
        "select percentile_disc(0.5) within group (order by late), percentile_disc(0.99) within group (order by late), max(late), min(late)
           from (select extract(epoch from s.started_at - a.replace_at)::float8 * 1000 as late
                   from attempts a join sends s on (s.bucket, s.message_id, s.attempt_no) = (a.bucket, a.message_id, 2::smallint)
                  where a.attempt_no = 1 and a.timer = 'fired') l",
    )
    .fetch_one(&pool)
    .await?;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    running.stop(false).await;
    eprintln!(
        "deadlines, {}: {count} fired, p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms, min {min:.1} ms",
        if polling { "control" } else { "ours" }
    );
    Ok(Lateness { p50, p99, max, min })
}

async fn fired(pool: &PgPool) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from sends where attempt_no = 2").fetch_one(pool).await?)
}
