//! The figures of the promises, as ratios in one run: `make bench`, or `cargo bench -- deadlines failed` for some.
//!
//! A separate durable PostgreSQL (fsync on, data on a disk), the whole service over real HTTP, and a load generator on
//! its own threads in the same process. All three share the machine's cores, so the figures are lower than the service
//! reaches alone. Callbacks alternate with their control, so that a noisy machine disturbs both; the control of the
//! deadlines runs after them.
//!
//! `OTPOST_BENCH_SECONDS`: length of each measurement (10). `OTPOST_BENCH_DIR`: where the database goes (`/var/tmp`). A
//! run of all of them writes `docs/benchmarks.md`.

mod callbacks;
mod deadlines;
mod failed;
mod bench;
mod load;
mod posts;
mod report;
mod seed;
mod waiters;

use bench::Bench;
use report::Line;

const ALL: [&str; 6] = ["callbacks", "batches", "deadlines", "failed", "posts", "waiters"];

fn main() -> anyhow::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if let Some(unknown) = names.iter().find(|name| !ALL.contains(&name.as_str())) {
        anyhow::bail!("there is no benchmark {unknown}; there are {}", ALL.join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bench = Bench::prepare()?;
    let mut lines: Vec<Line> = Vec::new();
    let mut keep = |found: Vec<Line>| {
        found.iter().for_each(|line| println!("{line}"));
        lines.extend(found);
    };
    if wanted("callbacks") {
        keep(runtime.block_on(callbacks::single(&bench))?);
    }
    if wanted("batches") {
        keep(runtime.block_on(callbacks::batched(&bench))?);
    }
    if wanted("deadlines") {
        keep(runtime.block_on(deadlines::run(&bench))?);
    }
    if wanted("failed") {
        keep(runtime.block_on(failed::run(&bench))?);
    }
    if wanted("posts") {
        keep(runtime.block_on(posts::run(&bench))?);
    }
    if wanted("waiters") {
        keep(runtime.block_on(waiters::run(&bench))?);
    }
    let page = report::page(&bench, &lines);
    println!("\n{page}");
    if names.is_empty() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md");
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs"))?;
        std::fs::write(path, page)?;
        println!("written to {path}");
    }
    Ok(())
}
