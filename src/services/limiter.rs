//! A token bucket: at most so many sends a second, a second's worth of them at once.

use std::sync::Mutex;
use std::time::{Duration, Instant};

pub struct Limiter {
    per_second: f64,
    state: Mutex<(f64, Instant)>,
}

impl Limiter {
    pub fn new(per_second: f64) -> Self {
        Self { per_second, state: Mutex::new((per_second.max(1.0), Instant::now())) }
    }

    /// How many sends may go now, at most `wanted`. They count as gone.
    pub fn take(&self, wanted: i64) -> i64 {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (tokens, since) = *state;
        let now = Instant::now();
        let refilled = tokens + now.duration_since(since).as_secs_f64() * self.per_second;
        let tokens = refilled.min(self.per_second.max(1.0));
        let taken = wanted.min(tokens as i64).max(0);
        *state = (tokens - taken as f64, now);
        taken
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&self, unused: i64) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 = (state.0 + unused as f64).min(self.per_second.max(1.0));
    }

    /// How long until one more may go.
    pub fn next_in(&self) -> Duration {
        let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let missing = (1.0 - state.0) / self.per_second - state.1.elapsed().as_secs_f64();
        Duration::from_secs_f64(missing.clamp(0.0, 60.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_seconds_worth_goes_at_once() {
        let limiter = Limiter::new(10.0);
        assert_eq!(limiter.take(100), 10);
        assert_eq!(limiter.take(100), 0);
        limiter.give_back(4);
        assert_eq!(limiter.take(100), 4);
        assert!(limiter.next_in() > Duration::from_millis(50));
    }

    #[test]
    fn a_slow_account_may_still_send_one() {
        let limiter = Limiter::new(0.5);
        assert_eq!((limiter.take(5), limiter.take(5)), (1, 0));
        assert!(limiter.next_in() > Duration::from_secs(1));
    }
}
