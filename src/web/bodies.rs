//! One budget for all request bodies in progress, so that many large ones cannot use up the service's memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Bytes of all bodies in progress.
const BUDGET: usize = 24 * 1024 * 1024;
/// Bodies up to this size, in bytes, are small; almost all are.
pub const SMALL: usize = 64 * 1024;
/// The part of the budget that is reserved for small bodies.
const FOR_SMALL: usize = 8 * 1024 * 1024;
/// How long a body waits for others to end before it is refused with 503.
const WAIT: Duration = Duration::from_millis(500);
/// A body in progress for longer than this gives its bytes back when others need them.
const SLOW: Duration = Duration::from_secs(1);

/// Cheap to clone; all clones share one budget.
#[derive(Clone, Default)]
pub struct Bodies(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    used: usize,
    /// In the order of their start.
    under_way: BTreeMap<u64, UnderWay>,
    next: u64,
}

struct UnderWay {
    began: Instant,
    bytes: usize,
    gives_up: Arc<Notify>,
    /// It is giving up already, or it is complete and must not give up.
    is_left_alone: bool,
}

/// There is no room for this body now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// A body's part of the budget; released when dropped.
pub struct Share {
    bodies: Bodies,
    number: u64,
    gives_up: Arc<Notify>,
}

impl Bodies {
    pub fn begin(&self) -> Share {
        let mut state = self.lock();
        state.next += 1;
        let (number, gives_up) = (state.next, Arc::new(Notify::new()));
        let one = UnderWay { began: Instant::now(), bytes: 0, gives_up: Arc::clone(&gives_up), is_left_alone: false };
        state.under_way.insert(number, one);
        Share { bodies: self.clone(), number, gives_up }
    }

    /// Bytes that are in use.
    pub fn used(&self) -> usize {
        self.lock().used
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, number: u64, more: usize) -> bool {
        let Some(one) = self.under_way.get_mut(&number) else { return false };
        let most = if one.bytes + more <= SMALL { BUDGET } else { BUDGET - FOR_SMALL };
        let fits = self.used + more <= most;
        if fits {
            one.bytes += more;
            self.used += more;
        }
        fits
    }

    /// Asks slow bodies to release at least `wanted` bytes, the oldest first.
    fn reclaim(&mut self, wanted: usize, but: u64, now: Instant) {
        let mut found = 0;
        for (number, one) in &mut self.under_way {
            if found >= wanted || now.saturating_duration_since(one.began) < SLOW {
                break;
            }
            if *number != but && one.bytes > 0 && !std::mem::replace(&mut one.is_left_alone, true) {
                found += one.bytes;
                one.gives_up.notify_one();
            }
        }
    }
}

impl Share {
    /// Takes `more` bytes of the budget. Waits at most 500 ms for them.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub async fn take(&mut self, more: usize) -> Result<(), NoRoom> {
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let freed = self.bodies.0.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut state = self.bodies.lock();
                if state.take(self.number, more) {
                    return Ok(());
                }
                state.reclaim(more, self.number, Instant::now());
            }
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep_until(deadline) => return Err(NoRoom),
                () = self.gives_up.notified() => return Err(NoRoom),
            }
        }
    }

    /// Completes when this body has to make room for others.
    pub async fn gives_up(&self) {
        self.gives_up.notified().await;
    }

    /// The body is complete: it will be processed soon, and its share is not reclaimed.
    pub fn is_whole(&mut self) {
        let mut state = self.bodies.lock();
        if let Some(one) = state.under_way.get_mut(&self.number) {
            one.is_left_alone = true;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.bodies.lock();
        if let Some(one) = state.under_way.remove(&self.number) {
            state.used -= one.bytes;
        }
        drop(state);
        self.bodies.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_bodies_leave_room_for_small_ones() {
        let bodies = Bodies::default();
        let mut large = Vec::new();
        for _ in 0..(BUDGET - FOR_SMALL) / (4 * 1024 * 1024) {
            let mut share = bodies.begin();
            share.take(4 * 1024 * 1024).await.unwrap();
            large.push(share);
        }
        assert_eq!(bodies.begin().take(SMALL + 1).await, Err(NoRoom));
        let mut small = Vec::new();
        for _ in 0..FOR_SMALL / SMALL {
            let mut share = bodies.begin();
            share.take(SMALL).await.unwrap();
            small.push(share);
        }
        assert_eq!(bodies.begin().take(1).await, Err(NoRoom));
        drop((large, small));
        assert_eq!((bodies.used(), bodies.lock().under_way.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_slow_body_gives_its_bytes_to_others() {
        let bodies = Bodies::default();
        let mut slow = bodies.begin();
        slow.take(BUDGET - FOR_SMALL).await.unwrap();
        bodies.lock().under_way.get_mut(&slow.number).unwrap().began -= SLOW;
        let mut other = bodies.begin();
        let taken = tokio::spawn(async move { other.take(SMALL + 1).await });
        slow.gives_up().await;
        drop(slow);
        assert_eq!(taken.await.unwrap(), Ok(()));
    }
}
