//! Keeps a loop alive: a panic is caught, logged, and the loop begins again, and so does one that stands still.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::telemetry::Ticks;

/// First pause before a loop that panicked begins again; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest round of a loop: more than all its statements together may take, each at its limit.
const LONGEST_ROUND: Duration = Duration::from_secs(60);
/// How often the length of the round is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs `worker` for ever, each time anew when it panics, returns, or does not go round within [`LONGEST_ROUND`].
pub fn supervise<F>(name: &'static str, ticks: &Ticks, mut worker: impl FnMut() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    ticks.tick(name);
    let ticks = ticks.clone();
    tokio::spawn(async move {
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            // A task of its own: its panic ends it, and nothing else.
            let mut running = AbortOnDrop(tokio::spawn(worker()));
            tokio::select! {
                ended = &mut running.0 => {
                    if let Err(error) = ended {
                        tracing::error!(worker = name, %error, "a worker ended; it begins again");
                    }
                }
                () = stands_still(name, &ticks) => {
                    tracing::error!(worker = name, "a worker stands still; it begins again");
                    drop(running);
                    ticks.tick(name);
                }
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    })
}

/// Returns when the loop's last round takes too long.
async fn stands_still(name: &'static str, ticks: &Ticks) {
    while !ticks.stalled(LONGEST_ROUND).contains(&name) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_loop_that_stands_still_begins_again() {
        let (ticks, begun) = (Ticks::default(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&begun);
        let long_ago = Instant::now().checked_sub(LONGEST_ROUND * 2).expect("the machine is up for two minutes");
        let supervised = supervise("test", &ticks, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>()
        });
        ticks.tick_at("test", long_ago);
        while begun.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(ticks.stalled(LONGEST_ROUND).is_empty());
        supervised.abort();
    }
}
