//! Keeps a loop running: a panic is caught and logged, and the loop restarts; so does one that stands still.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::services::upkeep::loops::{LoopName, Ticks};
use crate::workers::round::{AWAY, BREATH, Found, Loop};

/// First pause before a loop that panicked restarts; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Maximum duration of a round: more than all its statements together may take, each at its limit.
const LONGEST_ROUND: Duration = Duration::from_secs(60);
/// Interval of the checks of that duration.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs a loop for ever: rebuilt each time it panics or its round exceeds [`LONGEST_ROUND`].
pub(super) fn supervise<L: Loop>(
    name: LoopName,
    ticks: &Ticks,
    mut build: impl FnMut() -> L + Send + 'static,
) -> JoinHandle<()> {
    ticks.tick(name);
    let ticks = ticks.clone();
    tokio::spawn(async move {
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            // A separate task: its panic ends it, and nothing else.
            let mut running = AbortOnDrop(tokio::spawn(go_round(name, build(), ticks.clone())));
            tokio::select! {
                ended = &mut running.0 => {
                    if let Err(error) = ended {
                        tracing::error!(worker = %name, %error, "a worker ended and was restarted");
                    }
                }
                () = stands_still(name, &ticks) => {
                    tracing::error!(worker = %name, "a worker stood still and was restarted");
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

async fn go_round(name: LoopName, mut one: impl Loop, ticks: Ticks) {
    loop {
        ticks.tick(name);
        let found = one.run_once().await;
        // Once more, because a long round and the pause after it may together exceed the limit of a round.
        ticks.tick(name);
        let sleep = match found {
            Found::More => continue,
            Found::Busy => BREATH,
            Found::Away => AWAY,
            Found::Nothing => one.next().await,
        };
        tokio::select! {
            () = one.woken() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Returns when the loop's current round exceeds its limit.
async fn stands_still(name: LoopName, ticks: &Ticks) {
    while !ticks.is_stalled(name, LONGEST_ROUND) {
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

    /// Counts its rounds, none of which ends.
    struct Stuck(Arc<AtomicUsize>);

    impl Loop for Stuck {
        async fn run_once(&mut self) -> Found {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }

        async fn next(&mut self) -> Duration {
            Duration::ZERO
        }
    }

    #[tokio::test]
    async fn a_loop_that_stands_still_begins_again() {
        let (ticks, begun) = (Ticks::default(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&begun);
        let long_ago = Instant::now().checked_sub(LONGEST_ROUND * 2).expect("the machine is up for two minutes");
        let supervised = supervise(LoopName::Sender, &ticks, move || Stuck(Arc::clone(&counted)));
        while begun.load(Ordering::SeqCst) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ticks.tick_at(LoopName::Sender, long_ago);
        while begun.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(ticks.stalled(LONGEST_ROUND).is_empty());
        supervised.abort();
    }
}
