//! The simulator's settings. Everything has a default, and an unknown key is refused by its name.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::engine::account::SimAccount;
use crate::engine::book::Book;
use crate::engine::clock::{Clock, SimTime};
use crate::engine::laws::Laws;
use crate::engine::retries::{Batching, Retries};
use crate::engine::schedule::Schedule;
use crate::engine::world::{Account, Command, World};
use crate::registry;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    /// The same seed and the same requests per number give the same run.
    pub seed: u64,
    pub time: SimTime,
    /// By default one per face.
    pub accounts: Vec<SimAccount>,
    pub laws: Laws,
    pub retries: Retries,
    pub batching: Batching,
    /// Fate 0004: time from the SMS's arrival at the simulator to the late WhatsApp on the handset. Milliseconds of its
    /// clock.
    pub late_after_ms: u64,
    /// Fate 0009: maximum duration of a hanging connection, in milliseconds of real time. It is closed without an
    /// answer.
    pub hang_limit_ms: u64,
    /// Maximum number of concurrent callback posts, over all accounts.
    pub in_flight: usize,
    /// Threads that serve requests.
    pub workers: usize,
    /// Number of requests kept for reading. Beyond it the oldest are dropped; the totals per phone stay.
    pub keep: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            time: SimTime::default(),
            accounts: registry::sim_accounts(),
            laws: Laws::default(),
            retries: Retries::default(),
            batching: Batching::default(),
            late_after_ms: 3_000,
            hang_limit_ms: 120_000,
            in_flight: 64,
            workers: 2,
            keep: 1_000_000,
        }
    }
}

/// Why the simulator's settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum SimConfigError {
    /// Names the key that is unknown or has a wrong value, with its line.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error(transparent)]
    Face(#[from] NoFace),
}

/// An account has a face that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("account {account:?} has the unknown face {face:?}; there are {}", known_faces())]
pub struct NoFace {
    pub account: String,
    pub face: String,
}

fn known_faces() -> String {
    registry::all().map(|face| face.name()).collect::<Vec<_>>().join(", ")
}

impl SimConfig {
    /// # Errors
    /// [`SimConfigError`].
    pub fn from_toml(text: &str) -> Result<Self, SimConfigError> {
        let config: Self = toml::from_str(text)?;
        for account in &config.accounts {
            with_face(account.clone())?;
        }
        Ok(config)
    }

    /// For tests: a clock that only [`advance`](crate::Simulator::advance) moves.
    pub fn manual(seed: u64) -> Self {
        Self { seed, time: SimTime::Manual { start_unix_ms: None }, ..Self::default() }
    }

    pub(crate) fn into_world(self, commands: mpsc::UnboundedSender<Command>) -> Result<World, NoFace> {
        Ok(World {
            seed: self.seed,
            accounts: self.accounts.into_iter().map(with_face).collect::<Result<_, _>>()?,
            laws: Mutex::new(Arc::new(self.laws)),
            fates: Mutex::default(),
            clock: Clock::new(self.time),
            book: Book::new(self.keep),
            schedule: Schedule::default(),
            stats: Mutex::default(),
            refusals: Mutex::default(),
            next_seq: AtomicU64::new(0),
            commands,
            retries: self.retries,
            batching: self.batching,
            late_after: Duration::from_millis(self.late_after_ms),
            hang_limit: Duration::from_millis(self.hang_limit_ms),
            in_flight: self.in_flight,
        })
    }
}

fn with_face(account: SimAccount) -> Result<Account, NoFace> {
    match registry::face(&account.face) {
        Some(face) => Ok(Account::new(account, face)),
        None => Err(NoFace { account: account.name, face: account.face }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::account::Mode;

    #[test]
    fn an_empty_file_is_the_default_and_an_unknown_key_is_named() {
        let config = SimConfig::from_toml("").unwrap();
        assert_eq!(config.accounts.len(), registry::all().count());
        let error = SimConfig::from_toml("sede = 3").unwrap_err().to_string();
        assert!(error.contains("sede"), "{error}");
    }

    #[test]
    fn an_unknown_face_is_named_with_those_that_there_are() {
        let text = "[[accounts]]\nname = \"second\"\nface = \"htpp-sms\"\ncredential = \"k\"";
        let error = SimConfig::from_toml(text).unwrap_err().to_string();
        assert!(["second", "htpp-sms", "http-whatsapp, http-sms"].iter().all(|word| error.contains(word)), "{error}");
    }

    #[test]
    fn laws_accounts_and_the_clock_can_be_written_in_toml() {
        let config = SimConfig::from_toml(
            r#"
            seed = 7
            time = { clock = "real", speed = 10.0 }
            laws.whatsapp = { failed = 0.1, delivered = { law = "lognormal", median_ms = 900, sigma = 0.5 } }
            [batching]
            max = 20
            [[accounts]]
            name = "second"
            face = "http-sms"
            credential = "k"
            mode = { slow = 3.0 }
            "#,
        )
        .unwrap();
        assert_eq!((config.seed, config.time, config.batching.max), (7, SimTime::Real { speed: 10.0 }, 20));
        assert_eq!((config.accounts[0].face.as_str(), config.accounts[0].mode), ("http-sms", Mode::Slow(3.0)));
        assert!((config.laws.whatsapp.failed - 0.1).abs() < f64::EPSILON);
    }
}
