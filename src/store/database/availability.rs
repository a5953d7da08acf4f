//! Whether the database is known to be unavailable: one state for all pools of an instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::Error;
use tokio::sync::{Notify, watch};

use super::errors::{self, Doubt};

/// A gate before the database. While it is closed, nothing waits for a connection or an answer: every call fails at
/// once. Only the probe (`server.rs`) closes and opens it; a failure elsewhere makes the probe check. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct Availability(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: watch::Sender<bool>,
    /// Connections opened before this time are not used again.
    trusted_since: watch::Sender<Option<Instant>>,
    look: Notify,
    /// A failure suggests that the database answers, but does not accept writes.
    writes_in_doubt: AtomicBool,
}

impl Availability {
    pub(super) fn open() -> Self {
        Self(Arc::new(Inner {
            open: watch::Sender::new(true),
            trusted_since: watch::Sender::new(None),
            look: Notify::new(),
            writes_in_doubt: AtomicBool::new(false),
        }))
    }

    pub fn is_away(&self) -> bool {
        !*self.0.open.borrow()
    }

    /// Returns when the database is known to be unavailable.
    pub(super) async fn away(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.0.open.subscribe().wait_for(|open| !open).await;
    }

    /// Runs `work` unless, or until, the database is known to be unavailable.
    pub(super) async fn unless_away<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.is_away() {
            return Err(errors::away());
        }
        tokio::select! {
            biased;
            result = work => result,
            () = self.away() => Err(errors::away()),
        }
    }

    /// Makes the probe check if `error` casts doubt on the database.
    pub(super) fn note(&self, error: &Error) {
        match errors::doubt(error) {
            Doubt::None => return,
            Doubt::Alive => {}
            Doubt::Writes => self.0.writes_in_doubt.store(true, Ordering::Release),
        }
        self.0.look.notify_one();
    }

    /// Whether a connection of this age may be used.
    pub(super) fn trusts(&self, age: Duration) -> bool {
        self.0.trusted_since.borrow().is_none_or(|since| age < since.elapsed())
    }

    /// Returns when a failure has cast doubt on the database since the last call.
    pub(super) async fn doubted(&self) {
        self.0.look.notified().await;
    }

    pub(super) fn take_doubt_of_writes(&self) -> bool {
        self.0.writes_in_doubt.swap(false, Ordering::AcqRel)
    }

    /// Stops the use of existing connections: they are silent, or lead to a server that is not the primary.
    pub(super) fn distrust_connections(&self) {
        self.0.trusted_since.send_replace(Some(Instant::now()));
    }

    /// Returns whether the state changed.
    pub(super) fn set_open(&self, open: bool) -> bool {
        self.0.open.send_replace(open) != open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_fails_what_waits_and_what_comes() {
        let gate = Availability::open();
        let waiting = gate.clone();
        let waiting =
            tokio::spawn(async move { waiting.unless_away(std::future::pending::<Result<(), Error>>()).await });
        tokio::task::yield_now().await;
        assert!(gate.set_open(false));
        assert!(waiting.await.unwrap().is_err());
        assert!(gate.unless_away(async { Ok(()) }).await.is_err());
        assert!(gate.set_open(true));
        assert!(gate.unless_away(async { Ok(()) }).await.is_ok());
    }

    #[tokio::test]
    async fn older_connections_are_not_trusted_after_a_silence() {
        let gate = Availability::open();
        assert!(gate.trusts(Duration::from_secs(3600)));
        gate.distrust_connections();
        assert!(!gate.trusts(Duration::from_secs(1)));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(gate.trusts(Duration::from_millis(1)));
    }

    #[tokio::test]
    async fn only_failures_of_the_database_itself_cast_doubt() {
        let gate = Availability::open();
        gate.note(&Error::RowNotFound);
        assert!(tokio::time::timeout(Duration::from_millis(5), gate.doubted()).await.is_err());
        gate.note(&errors::lost());
        assert!(tokio::time::timeout(Duration::from_millis(500), gate.doubted()).await.is_ok());
    }
}
