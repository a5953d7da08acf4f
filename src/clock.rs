//! The one clock: the database's time, carried on by this machine's monotonic clock.
//!
//! Instances with wrong system clocks therefore agree, and nothing here reads the system clock. A sample is taken as if
//! the database had answered at the last possible moment, so this clock is never ahead of the database's: what is due
//! by it is due there too.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::health;

/// How often the database's time is sampled.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(3);
/// A jump by more than this between two samples holds the deadline loop.
pub const STEP: TimeDelta = TimeDelta::seconds(5);
/// How long the deadline loop is held after a jump: as long as it takes to see that the clock is steady again.
pub const HOLD: Duration = Duration::from_secs(60);
/// Sampling ends its round trip within this, or is not used: a slow answer tells little.
const SLOWEST_SAMPLE: Duration = Duration::from_millis(500);

/// Cheap to clone; all clones are one clock.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

enum Inner {
    Live {
        origin: Instant,
        /// The database's time at `origin`, in microseconds since 1970.
        at_origin_us: AtomicI64,
        /// Microseconds after `origin` until which the deadline loop is held.
        held_until_us: AtomicI64,
        steps: AtomicU64,
    },
    /// A stopped clock that a test moves on; microseconds since 1970.
    Stopped(AtomicI64),
}

impl Clock {
    /// Samples the database's time for the first time.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn live(pool: &Database) -> Result<Self, StoreError> {
        let origin = Instant::now();
        let now = health::database_time(pool).await?;
        let at_origin_us = now.timestamp_micros() - elapsed_us(origin);
        Ok(Self(Arc::new(Inner::Live {
            origin,
            at_origin_us: AtomicI64::new(at_origin_us),
            held_until_us: AtomicI64::new(0),
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

    /// The same for an instant of the monotonic clock that lies in the past.
    pub fn at(&self, instant: Instant) -> DateTime<Utc> {
        match &*self.0 {
            Inner::Live { .. } => self.now() - TimeDelta::from_std(instant.elapsed()).unwrap_or(TimeDelta::zero()),
            Inner::Stopped(_) => self.now(),
        }
    }

    /// How long until `at`; zero when it has passed. A stopped clock never gets there by itself.
    pub fn until(&self, at: DateTime<Utc>) -> Duration {
        (at - self.now()).to_std().unwrap_or(Duration::ZERO)
    }

    /// Moves a stopped clock on. Does nothing to a live one.
    pub fn advance(&self, by: TimeDelta) {
        if let Inner::Stopped(now) = &*self.0 {
            now.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::AcqRel);
        }
    }

    pub fn is_stopped(&self) -> bool {
        matches!(&*self.0, Inner::Stopped(_))
    }

    /// Whether deadlines must not fire, because the database's clock jumped.
    pub fn is_held(&self) -> bool {
        match &*self.0 {
            Inner::Live { origin, held_until_us, .. } => elapsed_us(*origin) < held_until_us.load(Ordering::Acquire),
            Inner::Stopped(_) => false,
        }
    }

    /// Jumps of the database's clock seen so far.
    pub fn steps(&self) -> u64 {
        match &*self.0 {
            Inner::Live { steps, .. } => steps.load(Ordering::Relaxed),
            Inner::Stopped(_) => 0,
        }
    }

    /// Takes another sample and follows it.
    ///
    /// # Errors
    /// When the database cannot be asked; the clock then goes on as it did.
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
        let Inner::Live { origin, at_origin_us, held_until_us, steps } = &*self.0 else { return };
        let elapsed = elapsed_us(*origin);
        let sampled = database.timestamp_micros() - elapsed;
        let before = at_origin_us.swap(sampled, Ordering::AcqRel);
        if TimeDelta::microseconds((sampled - before).abs()) > STEP {
            let hold = i64::try_from(HOLD.as_micros()).unwrap_or(i64::MAX);
            held_until_us.store(elapsed + hold, Ordering::Release);
            steps.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                step_ms = (sampled - before) / 1000,
                "the database's clock jumped; deadlines are held for {} s",
                HOLD.as_secs()
            );
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
            held_until_us: AtomicI64::new(0),
            steps: AtomicU64::new(0),
        }))
    }

    #[test]
    fn a_jump_of_the_database_holds_deadlines_and_a_drift_does_not() {
        let start = DateTime::from_timestamp(1_789_034_400, 0).unwrap();
        let clock = live(start);
        clock.follow(start + TimeDelta::seconds(2));
        assert!((clock.now() - start - TimeDelta::seconds(2)).abs() < TimeDelta::milliseconds(200));
        assert_eq!((clock.is_held(), clock.steps()), (false, 0));
        clock.follow(start + TimeDelta::minutes(10));
        assert_eq!((clock.is_held(), clock.steps()), (true, 1));
        assert!(clock.now() > start + TimeDelta::minutes(9));
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
