//! The simulator's clock: the wall's, perhaps faster, or one that a test moves.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use crate::simulator::config::SimTime;

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

    /// How long the wall's clock takes for so much of this one. `None`: only a test can tell.
    pub(crate) fn on_the_wall(&self, length: Duration) -> Option<Duration> {
        match self {
            Self::Real { speed, .. } => Some(length.div_f64(*speed)),
            Self::Manual(_) => None,
        }
    }

    /// Moves a manual clock on; never back. Does nothing to a real one.
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
