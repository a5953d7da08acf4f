//! The simulator's clock: real time, possibly accelerated, or a clock that a test advances.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The clock that times the callbacks and whose time they contain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "clock", rename_all = "lowercase", deny_unknown_fields)]
pub enum SimTime {
    /// Real time, `speed` times as fast from the start on.
    Real { speed: f64 },
    /// Stands still until a test advances it. Starts at the real time by default. Answers are immediate.
    Manual { start_unix_ms: Option<u64> },
}

impl Default for SimTime {
    fn default() -> Self {
        Self::Real { speed: 1.0 }
    }
}

#[derive(Debug)]
pub(crate) enum Clock {
    Real {
        start: DateTime<Utc>,
        since: Instant,
        speed: f64,
    },
    /// Microseconds since 1970.
    Manual(AtomicI64),
}

impl Clock {
    pub(crate) fn new(time: SimTime) -> Self {
        #[expect(clippy::disallowed_methods, reason = "simulated time starts at this machine's time")]
        let wall = DateTime::<Utc>::from(SystemTime::now());
        match time {
            SimTime::Real { speed } => {
                let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
                Self::Real { start: wall, since: Instant::now(), speed }
            }
            SimTime::Manual { start_unix_ms } => {
                let start = start_unix_ms
                    .and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1_000))
                    .unwrap_or_else(|| wall.timestamp_micros());
                Self::Manual(AtomicI64::new(start))
            }
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        match self {
            Self::Real { start, since, speed } => later(*start, since.elapsed().mul_f64(*speed)),
            Self::Manual(micros) => {
                DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap_or(DateTime::UNIX_EPOCH)
            }
        }
    }

    /// How much real time corresponds to this length. `None` for a manual clock.
    pub(crate) fn on_the_wall(&self, length: Duration) -> Option<Duration> {
        match self {
            Self::Real { speed, .. } => Some(length.div_f64(*speed)),
            Self::Manual(_) => None,
        }
    }

    /// Advances a manual clock; never moves it back. Does nothing to a real one.
    pub(crate) fn advance_to(&self, at: DateTime<Utc>) {
        if let Self::Manual(micros) = self {
            micros.fetch_max(at.timestamp_micros(), Ordering::SeqCst);
        }
    }

    pub(crate) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }
}

pub(crate) fn later(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| at.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
