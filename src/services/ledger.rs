//! Group commit: commands of many requests share one transaction.
//!
//! A worker takes what is waiting, up to a group's worth of commands, and commits it; what comes meanwhile waits for the next
//! group. So an idle service answers at once, and a busy one commits large groups: nothing is timed.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::event::Effect;
use crate::services::transitions::{Command, Done, Outcomes, Transitions};
use crate::store::StoreError;
use crate::store::messages::Lock;
use crate::store::provider_ids::ProviderId;

/// Most commands in one transaction.
pub const GROUP: usize = 256;
/// Most jobs that wait for a worker; more are refused.
const QUEUE: usize = 8192;
/// How often a group that lost a race is tried again.
const RETRIES: usize = 2;

/// Cheap to clone. Commands of one message always go to the same worker, in order.
#[derive(Clone)]
pub struct Ledger {
    workers: Arc<Vec<mpsc::Sender<Job>>>,
}

struct Job {
    commands: Vec<Command>,
    /// Where each command stood in the caller's list.
    places: Vec<usize>,
    answer: oneshot::Sender<Result<Vec<(usize, Done)>, LedgerError>>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// More work waits than can be done; try again in a second.
    #[error("too much is waiting to be written")]
    Busy,
    #[error("cannot write")]
    Store(#[source] Arc<StoreError>),
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Ledger {
    /// Starts `workers` tasks, each with a connection of the pool while it works; `group`: usually [`GROUP`]. `landed`
    /// is told which ids of providers became known.
    pub fn start(
        transitions: &Transitions,
        workers: usize,
        group: usize,
        landed: mpsc::UnboundedSender<Vec<ProviderId>>,
    ) -> Self {
        let workers = (0..workers.max(1))
            .map(|_| {
                let (sender, receiver) = mpsc::channel(QUEUE);
                tokio::spawn(work(transitions.clone(), group, receiver, landed.clone()));
                sender
            })
            .collect();
        Self { workers: Arc::new(workers) }
    }

    /// Applies the commands; returns when they are durable. Those of one message keep their order.
    ///
    /// # Errors
    /// [`LedgerError`]; some of the commands may have been applied then, and all of them may be repeated.
    pub async fn apply(&self, commands: Vec<Command>) -> Result<Vec<Done>, LedgerError> {
        let total = commands.len();
        let mut shares: Vec<(Vec<Command>, Vec<usize>)> = vec![Default::default(); self.workers.len()];
        for (place, command) in commands.into_iter().enumerate() {
            let worker = command.message.bucket().as_i16().unsigned_abs() as usize % self.workers.len();
            shares[worker].0.push(command);
            shares[worker].1.push(place);
        }
        let mut answers = Vec::new();
        for (worker, (commands, places)) in shares.into_iter().enumerate().filter(|(_, share)| !share.1.is_empty()) {
            let (answer, receiver) = oneshot::channel();
            let job = Job { commands, places, answer };
            self.workers[worker].try_send(job).map_err(|_| LedgerError::Busy)?;
            answers.push(receiver);
        }
        let mut done = vec![Done::NotFound; total];
        for answer in answers {
            for (place, one) in answer.await.map_err(|_| LedgerError::Busy)?? {
                done[place] = one;
            }
        }
        Ok(done)
    }

    /// Applies one command.
    ///
    /// # Errors
    /// See [`Ledger::apply`].
    pub async fn apply_one(&self, command: Command) -> Result<Done, LedgerError> {
        Ok(self.apply(vec![command]).await?.pop().unwrap_or(Done::NotFound))
    }
}

impl Done {
    /// The effect, when there was a message to have one.
    pub fn effect(self) -> Option<Effect> {
        match self {
            Self::Effect(effect) => Some(effect),
            Self::NotFound => None,
        }
    }
}

async fn work(
    transitions: Transitions,
    group: usize,
    mut queue: mpsc::Receiver<Job>,
    landed: mpsc::UnboundedSender<Vec<ProviderId>>,
) {
    while let Some(first) = queue.recv().await {
        let mut jobs = vec![first];
        let mut size = jobs[0].commands.len();
        while size < group {
            let Ok(job) = queue.try_recv() else { break };
            size += job.commands.len();
            jobs.push(job);
        }
        let commands: Vec<Command> = jobs.iter().flat_map(|job| job.commands.iter().cloned()).collect();
        match run(&transitions, commands).await {
            Ok(outcomes) => {
                tell_landed(&landed, outcomes.provider_ids);
                let mut done = outcomes.done.into_iter();
                for job in jobs {
                    let share = job.places.into_iter().zip(done.by_ref()).collect();
                    // The one who asked may be gone; what was written stays written.
                    let _ = job.answer.send(Ok(share));
                }
            }
            // The database is away: the same for all of them.
            Err(error @ StoreError::Unavailable(_)) => {
                let error = LedgerError::from(error);
                for job in jobs {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
            // One command that the database refuses must not take the others with it.
            Err(_) => {
                for job in jobs {
                    let result = match run(&transitions, job.commands).await {
                        Ok(outcomes) => {
                            tell_landed(&landed, outcomes.provider_ids);
                            Ok(job.places.into_iter().zip(outcomes.done).collect())
                        }
                        Err(error) => {
                            tracing::error!(error = %crate::telemetry::chain(&error), "a change was refused");
                            Err(error.into())
                        }
                    };
                    let _ = job.answer.send(result);
                }
            }
        }
    }
}

fn tell_landed(landed: &mpsc::UnboundedSender<Vec<ProviderId>>, ids: Vec<ProviderId>) {
    if !ids.is_empty() {
        let _ = landed.send(ids);
    }
}

async fn run(transitions: &Transitions, commands: Vec<Command>) -> Result<Outcomes, StoreError> {
    let transitions = transitions.clone();
    // A task of its own: a panic ends the group and not the worker.
    let group = tokio::spawn(async move {
        let mut tries = 0;
        loop {
            match transitions.run(&commands, Lock::Wait).await {
                Err(StoreError::Refused { .. }) if tries < RETRIES => tries += 1,
                result => return result,
            }
        }
    });
    group.await.unwrap_or_else(|error| Err(StoreError::Corrupt { what: format!("a group of changes: {error}") }))
}
