//! A token bucket: at most this many sends per second, with a burst of one second's worth. Instances share the rate
//! equally: all take from the same queue, so an equal share leaves nothing unused.

use std::sync::Mutex;
use std::time::{Duration, Instant};

pub struct Limiter {
    /// Of all instances together.
    per_second: f64,
    state: Mutex<State>,
}

struct State {
    tokens: f64,
    since: Instant,
    /// Of this instance.
    per_second: f64,
}

impl State {
    fn most(&self) -> f64 {
        self.per_second.max(1.0)
    }
}

impl Limiter {
    /// `per_second`: of all instances together.
    pub fn new(per_second: f64) -> Self {
        let state = State { tokens: per_second.max(1.0), since: Instant::now(), per_second };
        Self { per_second, state: Mutex::new(state) }
    }

    /// Takes one of `instances` equal shares of the rate.
    pub fn share(&self, instances: u32) {
        let mut state = self.lock();
        state.refill();
        state.per_second = self.per_second / f64::from(instances.max(1));
        state.tokens = state.tokens.min(state.most());
    }

    /// Sends per second, of all instances together.
    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    /// How many sends may start now, at most `wanted`. They are counted as sent.
    pub fn take(&self, wanted: i64) -> i64 {
        let mut state = self.lock();
        state.refill();
        let taken = wanted.min(state.tokens as i64).max(0);
        state.tokens -= taken as f64;
        taken
    }

    /// Returns what was taken and not used.
    pub fn give_back(&self, unused: i64) {
        let mut state = self.lock();
        state.tokens = (state.tokens + unused as f64).min(state.most());
    }

    /// Time until one more may start.
    pub fn next_in(&self) -> Duration {
        let state = self.lock();
        let missing = (1.0 - state.tokens) / state.per_second - state.since.elapsed().as_secs_f64();
        Duration::from_secs_f64(missing.clamp(0.0, 60.0))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn refill(&mut self) {
        let now = Instant::now();
        let more = now.duration_since(self.since).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + more).min(self.most());
        self.since = now;
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
    fn instances_share_the_rate() {
        let limiter = Limiter::new(12.0);
        limiter.share(3);
        assert_eq!((limiter.take(100), limiter.per_second()), (4, 12.0));
        limiter.share(1);
        assert!(limiter.next_in() <= Duration::from_millis(84));
    }

    #[test]
    fn a_slow_account_may_still_send_one() {
        let limiter = Limiter::new(0.5);
        assert_eq!((limiter.take(5), limiter.take(5)), (1, 0));
        assert!(limiter.next_in() > Duration::from_secs(1));
    }
}
