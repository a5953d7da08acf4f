//! A count over the last hour, kept in two windows: this one, and the one before, which counts by the share of it that the last
//! hour still covers.
//!
//! Within one window never more than the limit is granted. Over an hour that spans two windows it may be up to twice the limit, if
//! all of the first window came at its end: that is the slack of every such limit.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Length of a window.
pub const LENGTH: TimeDelta = TimeDelta::hours(1);
const MILLISECONDS: i64 = LENGTH.num_milliseconds();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub started_at: DateTime<Utc>,
    pub current: i64,
    pub previous: i64,
}

/// When the window began in which `now` is.
pub fn start_of(now: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = now.timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(LENGTH.num_seconds()), 0).unwrap_or(now)
}

impl Window {
    /// The same counts, as the window of `now` sees them. A row of an instance whose clock is ahead stays as it is.
    pub fn at(self, now: DateTime<Utc>) -> Self {
        let started_at = start_of(now);
        if self.started_at >= started_at {
            self
        } else if self.started_at == started_at - LENGTH {
            Self { started_at, current: 0, previous: self.current }
        } else {
            Self { started_at, current: 0, previous: 0 }
        }
    }

    /// What counts at `now`: this window, and of the one before the share that the last hour still covers, rounded up.
    pub fn counted(&self, now: DateTime<Utc>) -> i64 {
        let Self { started_at, current, previous } = self.at(now);
        let left = (started_at + LENGTH - now).num_milliseconds().clamp(0, MILLISECONDS);
        current + (previous * left + MILLISECONDS - 1) / MILLISECONDS
    }

    /// How many of `wanted` are within `limit`. The statement of `store/window_counters.rs` computes the same.
    pub fn grant(&self, wanted: i64, limit: i64, now: DateTime<Utc>) -> i64 {
        (limit - self.counted(now)).clamp(0, wanted)
    }

    /// When one more is within `limit`, if nothing is counted meanwhile. `limit`: at least 1.
    pub fn retry_after(&self, limit: i64, now: DateTime<Utc>) -> Duration {
        let window = self.at(now);
        // The count that must fade, what may be left of it, and the time from which it fades.
        let (fading, may_stay, from) = if window.current >= limit {
            (window.current, limit - 1, window.started_at + LENGTH)
        } else {
            (window.previous, limit - 1 - window.current, window.started_at)
        };
        let left = if fading == 0 { MILLISECONDS } else { (may_stay * MILLISECONDS / fading).min(MILLISECONDS) };
        let at = from + TimeDelta::milliseconds(MILLISECONDS - left);
        (at - now).max(TimeDelta::zero()).to_std().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_200_000 + seconds, 0).unwrap()
    }

    #[test]
    fn the_window_before_counts_by_its_share() {
        assert_eq!(start_of(at(0)), at(0));
        assert_eq!(start_of(at(3_599)), at(0));
        let full = Window { started_at: at(0), current: 100, previous: 0 };
        for (now, granted) in [(0, 0), (3_599, 0), (3_600, 0), (5_400, 50), (7_199, 99), (7_200, 100), (90_000, 100)] {
            assert_eq!(full.grant(1_000, 100, at(now)), granted, "{now}");
        }
        let both = Window { started_at: at(3_600), current: 30, previous: 100 };
        assert_eq!(both.grant(1_000, 100, at(5_400)), 20);
        assert_eq!(both.grant(7, 100, at(5_400)), 7);
        // Another instance's clock is ahead by a moment.
        assert_eq!(both.grant(1_000, 100, at(3_599)), 0);
    }

    proptest! {
        #[test]
        fn what_is_refused_passes_after_the_time_named(
            current in 0_i64..300, previous in 0_i64..300, limit in 1_i64..200, now in 3_600_i64..12_000,
        ) {
            let window = Window { started_at: at(3_600), current, previous };
            let now = at(now);
            if window.grant(1, limit, now) == 0 {
                let wait = TimeDelta::from_std(window.retry_after(limit, now)).unwrap();
                prop_assert_eq!(window.grant(1, limit, now + wait), 1, "after {}", wait);
                prop_assert!(wait <= LENGTH * 2);
            }
        }

        /// No window of the clock holds more than the limit, and no hour more than twice the limit.
        #[test]
        fn the_slack_is_as_stated(asks in prop::collection::vec((0_i64..900, 0_i64..40), 1..200)) {
            let limit = 50;
            let (mut window, mut now) = (Window { started_at: at(0), current: 0, previous: 0 }, 0);
            let mut granted = Vec::new();
            for (gap, wanted) in asks {
                now += gap;
                let n = window.grant(wanted, limit, at(now));
                window = window.at(at(now));
                window.current += n;
                granted.push((now, n));
            }
            for &(end, _) in &granted {
                let hour: i64 = granted.iter().filter(|(one, _)| *one > end - 3_600 && *one <= end).map(|(_, n)| n).sum();
                prop_assert!(hour <= 2 * limit);
                let start = end - end % 3_600;
                let fixed: i64 = granted.iter().filter(|(one, _)| *one >= start && *one <= end).map(|(_, n)| n).sum();
                prop_assert!(fixed <= limit);
            }
        }
    }
}
