//! The figures of the promises, as ratios in one run: `make bench`, or `cargo bench -- deadlines failed` for some.
//!
//! A durable PostgreSQL of its own (fsync on, data on a disk), the whole service over real HTTP, and a load generator on
//! threads of its own in the same process. So all three share the machine's cores, and what is measured is less than
//! the service can do alone. Callbacks are measured in turns with their control, so that a noisy machine
//! disturbs both; the control of the deadlines comes after them.
//!
//! `OTPOST_BENCH_SECONDS`: length of each measurement (10). `OTPOST_BENCH_DIR`: where the database goes (`/var/tmp`).
//! A run of all of them writes `docs/benchmarks.md`.

mod callbacks;
mod deadlines;
mod failed;
mod ground;
mod load;
mod posts;
mod report;
mod seed;
mod waiters;

use ground::Ground;
use report::Line;

const ALL: [&str; 6] = ["callbacks", "batches", "deadlines", "failed", "posts", "waiters"];

fn main() -> anyhow::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if let Some(unknown) = names.iter().find(|name| !ALL.contains(&name.as_str())) {
        anyhow::bail!("there is no benchmark {unknown}; there are {}", ALL.join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ground = Ground::prepare()?;
    let mut lines: Vec<Line> = Vec::new();
    let mut keep = |found: Vec<Line>| {
        found.iter().for_each(|line| println!("{line}"));
        lines.extend(found);
    };
    if wanted("callbacks") {
        keep(runtime.block_on(callbacks::single(&ground))?);
    }
    if wanted("batches") {
        keep(runtime.block_on(callbacks::batched(&ground))?);
    }
    if wanted("deadlines") {
        keep(runtime.block_on(deadlines::run(&ground))?);
    }
    if wanted("failed") {
        keep(runtime.block_on(failed::run(&ground))?);
    }
    if wanted("posts") {
        keep(runtime.block_on(posts::run(&ground))?);
    }
    if wanted("waiters") {
        keep(runtime.block_on(waiters::run(&ground))?);
    }
    let page = report::page(&ground, &lines);
    println!("\n{page}");
    if names.is_empty() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md");
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs"))?;
        std::fs::write(path, page)?;
        println!("written to {path}");
    }
    Ok(())
}
