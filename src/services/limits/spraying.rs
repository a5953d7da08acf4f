//! Notices guesses that are spread over many numbers of an app, and makes the app strict for a while: fewer tries for each code, and
//! fewer messages for each address. All instances judge by the same counts, once a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::app_id::AppId;
use crate::domain::spraying::{self, Compared};
use crate::store::StoreError;
use crate::store::compared_codes;
use crate::store::database::Database;
use crate::telemetry::names;

/// What is usual is read anew after this time.
const USUAL_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Spraying {
    pool: Database,
    clock: Clock,
    instance: Uuid,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Not stored yet.
    counted: HashMap<AppId, Compared>,
    /// Until when apps are strict.
    strict_until: HashMap<AppId, DateTime<Utc>>,
    usual: HashMap<AppId, Compared>,
    usual_at: Option<DateTime<Utc>>,
}

impl Spraying {
    /// `instance`: unique to this process.
    pub fn new(pool: Database, clock: Clock, instance: Uuid) -> Self {
        Self { pool, clock, instance, state: Arc::default() }
    }

    /// Counts codes that were compared. In memory, without waiting.
    pub fn note(&self, app: &AppId, compared: Compared) {
        let mut state = self.lock();
        let counted = state.counted.entry(app.clone()).or_default();
        *counted = *counted + compared;
    }

    /// Whether the app's strict limits hold now.
    pub fn is_strict(&self, app: &AppId) -> bool {
        let now = self.clock.now();
        self.lock().strict_until.get(app).is_some_and(|until| now < *until)
    }

    /// Stores what was counted and judges every app. Called once a second.
    ///
    /// # Errors
    /// When the database is unavailable; what was counted is stored the next time.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let minute = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        let counted: Vec<(AppId, Compared)> = self.lock().counted.drain().collect();
        if !counted.is_empty()
            && let Err(error) = compared_codes::add(&self.pool, self.instance, minute, &counted).await
        {
            counted.iter().for_each(|(app, compared)| self.note(app, *compared));
            return Err(error);
        }
        let recent = compared_codes::since(&self.pool, now - spraying::RECENT).await?;
        let is_old = self.lock().usual_at.is_none_or(|at| at + USUAL_EVERY <= now);
        if is_old && !recent.is_empty() {
            let usual = compared_codes::since(&self.pool, now - spraying::USUAL).await?;
            let mut state = self.lock();
            (state.usual, state.usual_at) = (usual, Some(now));
        }
        let mut state = self.lock();
        for (app, recent) in recent {
            let all = state.usual.get(&app).copied().unwrap_or_default();
            if !spraying::is_sprayed(recent, all - recent) {
                continue;
            }
            let until = now + spraying::STRICT_FOR;
            let before = state.strict_until.insert(app.clone(), until);
            if before.is_none_or(|before| before <= now) {
                metrics::counter!(names::SPRAYED, "app" => app.to_string()).increment(1);
                tracing::error!(
                    app = %app,
                    wrong = recent.wrong,
                    right = recent.right,
                    "far more wrong codes than usual: somebody guesses over many numbers; the app's strict limits hold"
                );
            }
        }
        state.strict_until.retain(|_, until| now < *until);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
