//! A circuit breaker: after too many failures in a row an account is left alone for a while.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

/// Opens after `threshold` failures in a row, for `open_for`; then lets one send through, whose result decides.
pub struct Breaker {
    threshold: u32,
    open_for: TimeDelta,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: DateTime<Utc>,
    },
    /// One send is under way; given up on at `until`, when its result was lost. The others wait for it until `awaited`.
    HalfOpen {
        awaited: DateTime<Utc>,
        until: DateTime<Utc>,
    },
}

/// How long the others wait for the send that tries, before they move on or come again.
const PROBE: TimeDelta = TimeDelta::seconds(2);

/// Whether a send may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Go,
    /// It may be tried again after this.
    Open {
        closed_in: TimeDelta,
    },
}

impl Breaker {
    pub fn new(threshold: u32, open_for: TimeDelta) -> Self {
        Self { threshold, open_for, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Asked once before each send.
    pub fn ask(&self, now: DateTime<Utc>) -> Permission {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Permission::Go,
            State::Open { until } if now < until => Permission::Open { closed_in: until - now },
            // What the one that tries finds out holds for the others, and they must not be late for it.
            State::HalfOpen { until, .. } if now < until => Permission::Open { closed_in: PROBE.min(until - now) },
            State::Open { .. } | State::HalfOpen { .. } => {
                *state = State::HalfOpen { awaited: now + PROBE, until: now + self.open_for };
                Permission::Go
            }
        }
    }

    /// Told after each send whether the account is well. Returns whether this opened the breaker.
    pub fn tell(&self, well: bool, now: DateTime<Utc>) -> bool {
        let mut state = self.lock();
        let opened = match (*state, well) {
            (State::Closed { .. }, true) | (State::HalfOpen { .. }, true) => {
                *state = State::Closed { failures: 0 };
                false
            }
            (State::Closed { failures }, false) if failures + 1 < self.threshold => {
                *state = State::Closed { failures: failures + 1 };
                false
            }
            (State::Closed { .. } | State::HalfOpen { .. }, false) => true,
            // A send from before it opened.
            (State::Open { .. }, _) => false,
        };
        if opened {
            *state = State::Open { until: now + self.open_for };
        }
        opened
    }

    /// Told instead when a send that was let through did not take place: the next one tries.
    pub fn forget(&self, now: DateTime<Utc>) {
        let mut state = self.lock();
        if let State::HalfOpen { .. } = *state {
            *state = State::Open { until: now };
        }
    }

    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        matches!(*self.lock(), State::Open { until } | State::HalfOpen { until, .. } if now < until)
    }

    /// Whether a send tries the account just now, so that the others had better wait for a moment.
    pub fn is_probing(&self, now: DateTime<Utc>) -> bool {
        matches!(*self.lock(), State::HalfOpen { awaited, .. } if now < awaited)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_one_success() {
        let start = DateTime::from_timestamp(1_789_034_400, 0).unwrap();
        let at = |s| start + TimeDelta::seconds(s);
        let breaker = Breaker::new(3, TimeDelta::seconds(30));
        for well in [false, false, true, false, false] {
            assert!(!breaker.tell(well, at(0)));
        }
        assert!(breaker.tell(false, at(1)));
        assert_eq!(breaker.ask(at(2)), Permission::Open { closed_in: TimeDelta::seconds(29) });
        assert!(!breaker.tell(true, at(3)), "an answer from before does not close it");
        assert!(breaker.is_open(at(3)));

        assert_eq!(breaker.ask(at(31)), Permission::Go);
        assert_eq!(breaker.ask(at(31)), Permission::Open { closed_in: PROBE }, "one at a time");
        assert!(breaker.is_probing(at(32)) && !breaker.is_probing(at(33)), "and the others wait for it, not for long");
        breaker.forget(at(31));
        assert_eq!(breaker.ask(at(31)), Permission::Go, "the first did not take place");
        assert!(breaker.tell(false, at(32)));
        assert_eq!(breaker.ask(at(62)), Permission::Go);
        breaker.tell(true, at(63));
        assert_eq!(breaker.ask(at(63)), Permission::Go);
        assert!(!breaker.is_open(at(63)) && !breaker.is_probing(at(63)));
    }
}
