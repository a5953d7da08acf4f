//! The one clock: the database's time, continued by this machine's monotonic clock.
//!
//! So instances with wrong system clocks agree; nothing here reads the system clock. A sample is interpreted as if the
//! database had answered at the last possible moment, so this clock is never ahead of the database's: what is due by
//! this clock is due there too.
//!
//! A step of the database's clock is not followed until that clock has run steadily for a minute. Until then this clock
//! continues as before and is *held*: nothing that ends something (a deadline, a life, a lease, old data) acts. A step
//! that is reversed within the minute, for example one caused by a wrong time server, therefore changes nothing.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::health;
use crate::telemetry::names;

/// How often the database's time is sampled.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(3);
/// A step of more than this between two samples is not followed at once.
pub const STEP: TimeDelta = TimeDelta::seconds(5);
/// How long the database's clock must run steadily after a step before it is followed.
pub const HOLD: Duration = Duration::from_secs(60);
/// A sample whose round trip takes longer is not used, because it is imprecise.
const SLOWEST_SAMPLE: Duration = Duration::from_millis(500);

/// Cheap to clone; all clones are one clock.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

enum Inner {
    Live {
        origin: Instant,
        /// The database's time at `origin`, in microseconds since 1970.
        at_origin_us: AtomicI64,
        /// Set while the database's clock differs from this one.
        jump: Mutex<Option<Jump>>,
        steps: AtomicU64,
    },
    /// A stopped clock that a test advances; microseconds since 1970.
    Stopped(AtomicI64),
}

/// A step that is not followed yet.
#[derive(Clone, Copy)]
struct Jump {
    /// The value that `at_origin_us` would get.
    at_origin_us: i64,
    /// Microseconds after `origin` at which it was first seen.
    since_us: i64,
}

impl Clock {
    /// Samples the database's time for the first time.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn live(pool: &Database) -> Result<Self, StoreError> {
        let origin = Instant::now();
        let now = health::database_time(pool).await?;
        let at_origin_us = now.timestamp_micros() - elapsed_us(origin);
        Ok(Self(Arc::new(Inner::Live {
            origin,
            at_origin_us: AtomicI64::new(at_origin_us),
            jump: Mutex::new(None),
            steps: AtomicU64::new(0),
        })))
    }

    /// A clock that stands still until [`Clock::advance`].
    pub fn stopped(at: DateTime<Utc>) -> Self {
        Self(Arc::new(Inner::Stopped(AtomicI64::new(at.timestamp_micros()))))
    }

    /// The database's time, to the microsecond that Postgres keeps.
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match &*self.0 {
            Inner::Live { origin, at_origin_us, .. } => at_origin_us.load(Ordering::Acquire) + elapsed_us(*origin),
            Inner::Stopped(now) => now.load(Ordering::Acquire),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The same for a past instant of the monotonic clock.
    pub fn at(&self, instant: Instant) -> DateTime<Utc> {
        match &*self.0 {
            Inner::Live { .. } => self.now() - TimeDelta::from_std(instant.elapsed()).unwrap_or(TimeDelta::zero()),
            Inner::Stopped(_) => self.now(),
        }
    }

    /// Time until `at`; zero when it has passed. A stopped clock never reaches it by itself.
    pub fn until(&self, at: DateTime<Utc>) -> Duration {
        (at - self.now()).to_std().unwrap_or(Duration::ZERO)
    }

    /// Advances a stopped clock. Does nothing to a live one.
    pub fn advance(&self, by: TimeDelta) {
        if let Inner::Stopped(now) = &*self.0 {
            now.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::AcqRel);
        }
    }

    pub fn is_stopped(&self) -> bool {
        matches!(&*self.0, Inner::Stopped(_))
    }

    /// Whether nothing may end, because the database's clock stepped.
    pub fn is_held(&self) -> bool {
        match &*self.0 {
            Inner::Live { jump, .. } => jump.lock().unwrap_or_else(PoisonError::into_inner).is_some(),
            Inner::Stopped(_) => false,
        }
    }

    /// Number of steps of the database's clock so far.
    pub fn steps(&self) -> u64 {
        match &*self.0 {
            Inner::Live { steps, .. } => steps.load(Ordering::Relaxed),
            Inner::Stopped(_) => 0,
        }
    }

    /// Takes another sample and follows it.
    ///
    /// # Errors
    /// When the database is unavailable; the clock then continues as before.
    pub async fn sample(&self, pool: &Database) -> Result<(), StoreError> {
        let asked = Instant::now();
        let database = health::database_time(pool).await?;
        if asked.elapsed() < SLOWEST_SAMPLE {
            self.follow(database);
        }
        Ok(())
    }

    /// `database`: its time, just received.
    fn follow(&self, database: DateTime<Utc>) {
        let Inner::Live { origin, .. } = &*self.0 else { return };
        self.follow_at(database, elapsed_us(*origin));
    }

    /// `elapsed`: microseconds after `origin` at which the time was received.
    fn follow_at(&self, database: DateTime<Utc>, elapsed: i64) {
        let Inner::Live { at_origin_us, jump, steps, .. } = &*self.0 else { return };
        let sampled = database.timestamp_micros() - elapsed;
        let is_far = |from: i64| TimeDelta::microseconds((sampled - from).abs()) > STEP;
        let mut jump = jump.lock().unwrap_or_else(PoisonError::into_inner);
        let now = at_origin_us.load(Ordering::Acquire);
        if !is_far(now) {
            at_origin_us.store(sampled, Ordering::Release);
            if jump.take().is_some() {
                tracing::warn!("the database's clock stepped back; nothing was ended meanwhile");
            }
            return;
        }
        let hold = i64::try_from(HOLD.as_micros()).unwrap_or(i64::MAX);
        match *jump {
            Some(Jump { at_origin_us: target, since_us }) if !is_far(target) => {
                if elapsed - since_us >= hold {
                    at_origin_us.store(sampled, Ordering::Release);
                    *jump = None;
                    tracing::warn!(step_ms = (sampled - now) / 1000, "the database's clock is steady; it is followed");
                }
            }
            _ => {
                *jump = Some(Jump { at_origin_us: sampled, since_us: elapsed });
                steps.fetch_add(1, Ordering::Relaxed);
                metrics::counter!(names::CLOCK_STEPS).increment(1);
                tracing::error!(
                    step_ms = (sampled - now) / 1000,
                    "the database's clock jumped; deadlines and lives are held until it is steady for {} s",
                    HOLD.as_secs()
                );
            }
        }
    }
}

fn elapsed_us(origin: Instant) -> i64 {
    i64::try_from(origin.elapsed().as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(at: DateTime<Utc>) -> Clock {
        Clock(Arc::new(Inner::Live {
            origin: Instant::now(),
            at_origin_us: AtomicI64::new(at.timestamp_micros()),
            jump: Mutex::new(None),
            steps: AtomicU64::new(0),
        }))
    }

    const START: i64 = 1_789_034_400;

    /// A clock that was given the database's time, in seconds after its start: (real, database).
    fn told(samples: &[(i64, i64)]) -> Clock {
        let start = DateTime::from_timestamp(START, 0).unwrap();
        let clock = live(start);
        for (real, database) in samples {
            clock.follow_at(start + TimeDelta::seconds(*database), real * 1_000_000);
        }
        clock
    }

    /// Its difference from the monotonic clock now, in seconds.
    fn offset_s(clock: &Clock) -> i64 {
        let Inner::Live { at_origin_us, .. } = &*clock.0 else { panic!() };
        at_origin_us.load(Ordering::Acquire) / 1_000_000 - START
    }

    #[test]
    fn a_jump_that_is_taken_back_changes_nothing() {
        for step in [600, -600, 6, -6] {
            let mut samples = vec![(3, 3), (6, 6 + step), (9, 9 + step), (18, 18 + step)];
            let clock = told(&samples);
            assert_eq!((clock.is_held(), clock.steps(), offset_s(&clock)), (true, 1, 0), "{step}");
            samples.push((21, 21));
            let clock = told(&samples);
            assert_eq!((clock.is_held(), clock.steps(), offset_s(&clock)), (false, 1, 0), "{step}");
        }
    }

    #[test]
    fn a_jump_that_stays_is_followed_after_a_steady_minute() {
        for step in [600, -600] {
            let steady = |until: i64| told(&(0..=until).step_by(3).map(|t| (t, t + step)).collect::<Vec<_>>());
            assert_eq!((steady(57).is_held(), offset_s(&steady(57))), (true, 0));
            assert_eq!((steady(60).is_held(), offset_s(&steady(60)), steady(60).steps()), (false, step, 1));
        }
    }

    #[test]
    fn a_clock_that_goes_on_jumping_is_not_followed() {
        let samples: Vec<(i64, i64)> = (0..60).map(|n| (n * 3, n * 3 + n * 100)).collect();
        let clock = told(&samples[..]);
        assert_eq!((clock.is_held(), offset_s(&clock)), (true, 0));
        assert_eq!(clock.steps(), 59, "each jump counts");
    }

    #[test]
    fn a_drift_is_followed_at_once() {
        let clock = told(&[(3, 5), (6, 10)]);
        assert_eq!((clock.is_held(), clock.steps(), offset_s(&clock)), (false, 0, 4));
    }

    #[test]
    fn a_stopped_clock_moves_when_told() {
        let start = DateTime::from_timestamp(1_789_034_400, 0).unwrap();
        let clock = Clock::stopped(start);
        assert_eq!(clock.now(), start);
        clock.advance(TimeDelta::seconds(31));
        assert_eq!(clock.until(start + TimeDelta::seconds(40)), Duration::from_secs(9));
    }
}
