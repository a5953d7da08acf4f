//! Keeps a loop alive: a panic is caught, logged, and the loop begins again.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::telemetry::Ticks;

/// First pause before a loop that panicked begins again; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Runs `worker` for ever, each time anew when it panics or returns.
pub fn supervise<F>(name: &'static str, ticks: &Ticks, mut worker: impl FnMut() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    ticks.tick(name);
    tokio::spawn(async move {
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            // A task of its own: its panic ends it, and nothing else.
            let mut running = AbortOnDrop(tokio::spawn(worker()));
            if let Err(error) = (&mut running.0).await {
                tracing::error!(worker = name, %error, "a worker ended; it begins again");
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    })
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
