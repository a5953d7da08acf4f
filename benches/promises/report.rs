//! The page of figures.

use std::fmt;
use std::process::Command;

use crate::bench::Bench;

pub(crate) struct Line {
    promise: String,
    bar: &'static str,
    reached: String,
    met: bool,
    control: Option<(&'static str, String, f64)>,
}

impl Line {
    pub(crate) fn new(promise: impl Into<String>, bar: &'static str, reached: String, met: bool) -> Self {
        Self { promise: promise.into(), bar, reached, met, control: None }
    }

    /// What the same run measured for the control, and how many times better ours is.
    pub(crate) fn control(mut self, what: &'static str, reached: String, ratio: f64) -> Self {
        self.control = Some((what, reached, ratio));
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, bar, reached, met, control } = self;
        let met = if *met { "reached" } else { "**missed**" };
        write!(f, "| {promise} | {bar} | {reached} | {met} |")?;
        match control {
            Some((what, reached, ratio)) => write!(f, " {what}: {reached} | {ratio:.1}x |"),
            None => f.write_str("  |  |"),
        }
    }
}

pub(crate) fn page(bench: &Bench, lines: &[Line]) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or(0, |kb| kb / 1024 / 1024);
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok().filter(|o| o.status.success());
        output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
    };
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    let changed = if said("git", &["status", "--porcelain", "src"]).is_empty() { "" } else { ", with changes" };
    let date = said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let rows: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!(
        "# Benchmarks

Made by `make bench` (`cargo bench`), {seconds} s per measurement, on {date} at commit {commit}{changed}. The same command
rewrites this page; `cargo bench -- callbacks deadlines` measures some, `OTPOST_BENCH_SECONDS=3` makes it short.

| machine | |
| --- | --- |
| processor | {cores} cores, {cpu} |
| memory | {memory} GiB |
| PostgreSQL | {version}, its own cluster on a disk, `fsync` and `synchronous_commit` on, 128 MB of shared buffers |
| load at the end | {load} over the last minute |

| promise | bar | reached | | control in the same run | ratio |
| --- | --- | --- | --- | --- | --- |
{rows}
The service, PostgreSQL, the simulated providers and the load generator share the same cores: the load generator is a thread
of the same process that writes prepared and signed requests to open connections. So the figures cover the whole
machine; a service that has the machine to itself reaches more. Compare the ratios; absolute figures depend on the machine.
Callbacks, batches and the rate of POSTs are medians of three rounds, alternating with the control for callbacks; the others are
one run each, the control after ours. The control of callbacks is the same service with one receipt per transaction, on 24
connections instead of 8; that number was not tuned. The control of deadlines runs without the loops that end and recover
messages, so it has less work.
While more POSTs are accepted than could be sent, each account is limited to 100 messages a second.
The cost of a batch is Postgres' work per row: a delivery removes its row from the index of armed timers, so the row's
new version also needs a new entry in the primary key. All rows here were written before a checkpoint, so the first change of
each page writes the whole page, which is more than a receipt's row usually costs.
",
        seconds = bench.seconds,
        version = bench.version,
    )
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
