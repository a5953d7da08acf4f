//! Group commit: commands of many requests share one transaction.
//!
//! A worker takes the waiting commands, up to one group, and commits them; what arrives meanwhile waits for the next
//! group. So an idle service answers at once, and a busy one commits large groups. There are no timers.
//!
//! A job of many commands is processed in pieces, in turn with others; each piece is durable by itself. A message
//! locked by others is tried again a little later, outside the database, so that only its own job waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::services::ledger::command::{Command, Done};
use crate::services::ledger::transitions::{Outcomes, Transitions};
pub use crate::services::ledger_error::LedgerError;
use crate::store::StoreError;
use crate::store::provider_ids::ProviderId;

/// Maximum number of commands in one transaction.
pub const GROUP: usize = 256;
/// Maximum number of jobs that wait for a worker; more are refused.
const QUEUE: usize = 8192;
/// Maximum number of retries of a group that lost a race.
const RETRIES: usize = 2;
/// Maximum number of commands of one job in one transaction.
const PIECE: usize = 128;
/// First and longest pause before a locked message is tried again.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How long a job waits for locked messages. Our own transactions lock a message for some milliseconds.
const LOCKED_FOR: Duration = Duration::from_millis(1500);

/// Cheap to clone. Commands of one message always go to the same worker, in order.
#[derive(Clone)]
pub struct Ledger {
    workers: Arc<Vec<mpsc::Sender<Job>>>,
}

/// Commands of one caller, each with its index in the caller's list.
struct Job {
    left: VecDeque<(usize, Command)>,
    /// Their message was locked; to be tried again at `again_at`.
    locked: Vec<(usize, Command)>,
    again_at: Instant,
    pause: Duration,
    since: Instant,
    done: Vec<(usize, Done)>,
    failed: Option<LedgerError>,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Vec<(usize, Done)>, LedgerError>;

impl Job {
    fn new(commands: VecDeque<(usize, Command)>) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        let now = Instant::now();
        let job = Self {
            done: Vec::with_capacity(commands.len()),
            left: commands,
            locked: Vec::new(),
            again_at: now,
            pause: PAUSE,
            since: now,
            failed: None,
            answer,
        };
        (job, receiver)
    }
}

/// Receives the provider ids that became known, after their commit.
pub type LandedIds = mpsc::UnboundedReceiver<Vec<ProviderId>>;

impl Ledger {
    /// Starts `workers` tasks, each with a connection of the pool while it works; `group`: usually [`GROUP`]. `landed`
    /// receives the provider ids that became known.
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
        let mut shares: Vec<VecDeque<(usize, Command)>> = vec![VecDeque::new(); self.workers.len()];
        for (place, command) in commands.into_iter().enumerate() {
            let worker = command.message.bucket().as_i16().unsigned_abs() as usize % self.workers.len();
            shares[worker].push_back((place, command));
        }
        let mut answers = Vec::new();
        for (worker, share) in shares.into_iter().enumerate().filter(|(_, share)| !share.is_empty()) {
            let (job, receiver) = Job::new(share);
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

async fn work(
    transitions: Transitions,
    group: usize,
    mut queue: mpsc::Receiver<Job>,
    landed: mpsc::UnboundedSender<Vec<ProviderId>>,
) {
    let mut jobs: VecDeque<Job> = VecDeque::new();
    loop {
        if jobs.iter().all(|job| job.left.is_empty()) {
            let again_at = jobs.iter().map(|job| job.again_at).min();
            let more = match again_at {
                Some(at) => tokio::time::timeout_at(at, queue.recv()).await.ok(),
                None => Some(queue.recv().await),
            };
            match more {
                Some(Some(job)) => jobs.push_back(job),
                Some(None) if jobs.is_empty() => return,
                // No more jobs can arrive; those that wait for a lock are still tried.
                Some(None) => tokio::time::sleep_until(again_at.unwrap_or_else(Instant::now)).await,
                None => {}
            }
        }
        while jobs.len() < QUEUE {
            let Ok(job) = queue.try_recv() else { break };
            jobs.push_back(job);
        }
        let now = Instant::now();
        for job in jobs.iter_mut().filter(|job| job.again_at <= now) {
            job.left.extend(job.locked.drain(..));
        }
        let taken = take(&mut jobs, group);
        if taken.is_empty() {
            continue;
        }
        let (owners, commands): (Vec<usize>, Vec<(usize, Command)>) = taken.into_iter().unzip();
        let (places, commands): (Vec<usize>, Vec<Command>) = commands.into_iter().unzip();
        let commands = Arc::new(commands);
        let results = run_all(&transitions, &commands, &landed).await;
        for (((owner, place), command), result) in owners.into_iter().zip(places).zip(commands.iter()).zip(results) {
            jobs[owner].note(place, command, result);
        }
        finish(&mut jobs);
    }
}

/// Takes one group of commands: at most [`PIECE`] of a job, and an equal share of each while many wait, so that a
/// callback of thousands of receipts delays nobody. Returns each with the index of its job and its index within that.
fn take(jobs: &mut VecDeque<Job>, group: usize) -> Vec<(usize, (usize, Command))> {
    let waiting = jobs.iter().filter(|job| !job.left.is_empty()).count();
    let share = (group / waiting.max(1)).clamp(1, PIECE);
    let mut taken = Vec::new();
    // Unused shares go to the first jobs that have more commands.
    for most in [share, PIECE - share] {
        for (owner, job) in jobs.iter_mut().enumerate() {
            let room = most.min(group - taken.len()).min(job.left.len());
            taken.extend(job.left.drain(..room).map(|one| (owner, one)));
        }
    }
    taken
}

/// Answers the finished jobs. A caller may be gone; the writes stay.
fn finish(jobs: &mut VecDeque<Job>) {
    for mut job in std::mem::take(jobs) {
        if !job.locked.is_empty() && job.since.elapsed() >= LOCKED_FOR {
            job.locked.clear();
            job.failed.get_or_insert(LedgerError::Locked);
        }
        if !job.left.is_empty() || !job.locked.is_empty() {
            jobs.push_back(job);
            continue;
        }
        let _ = job.answer.send(match job.failed.take() {
            Some(error) => Err(error),
            None => Ok(job.done),
        });
    }
}

impl Job {
    fn note(&mut self, place: usize, command: &Command, result: Result<Done, LedgerError>) {
        match result {
            Ok(Done::Locked) => {
                if self.locked.is_empty() {
                    self.again_at = Instant::now() + self.pause;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
                self.locked.push((place, command.clone()));
                // Other commands about this message stay behind it, in order.
                let (behind, left) = self.left.drain(..).partition(|(_, other)| other.message == command.message);
                self.left = left;
                self.locked.extend::<VecDeque<_>>(behind);
            }
            Ok(done) => self.done.push((place, done)),
            Err(error) => {
                // The remaining commands would fail too.
                if matches!(&error, LedgerError::Store(error) if error.is_away()) {
                    self.left.clear();
                    self.locked.clear();
                }
                self.failed = Some(error);
            }
        }
    }
}

/// Applies the commands in as few transactions as possible. A refused group is halved until the faulty command is
/// alone; that one gets the error, and the others continue.
async fn run_all(
    transitions: &Transitions,
    commands: &Arc<Vec<Command>>,
    landed: &mpsc::UnboundedSender<Vec<ProviderId>>,
) -> Vec<Result<Done, LedgerError>> {
    let mut results = Vec::with_capacity(commands.len());
    let whole = 0..commands.len();
    let mut ranges = vec![whole];
    while let Some(range) = ranges.pop() {
        let size = range.len();
        match run(transitions, Arc::clone(commands), range.clone()).await {
            Ok(outcomes) => {
                if !outcomes.provider_ids.is_empty() {
                    let _ = landed.send(outcomes.provider_ids);
                }
                results.extend(outcomes.done.into_iter().map(Ok));
            }
            Err(error) if error.is_away() || (size == 1 && matches!(error, StoreError::Unavailable(_))) => {
                let error = LedgerError::from(error);
                results.extend(std::iter::repeat_n(Err(error), size));
            }
            Err(error) if size == 1 => {
                transitions.quarantine.put(commands[range.start].message, &error);
                results.push(Ok(Done::Unreadable));
            }
            Err(_) => {
                let middle = range.start + size / 2;
                // The first half is taken next: results keep their order.
                ranges.push(middle..range.end);
                ranges.push(range.start..middle);
            }
        }
    }
    results
}

async fn run(
    transitions: &Transitions,
    commands: Arc<Vec<Command>>,
    range: std::ops::Range<usize>,
) -> Result<Outcomes, StoreError> {
    let transitions = transitions.clone();
    // A separate task: a panic ends the group and not the worker.
    let group = tokio::spawn(async move {
        let mut tries = 0;
        loop {
            match transitions.run(&commands[range.clone()]).await {
                Err(StoreError::Refused { .. }) if tries < RETRIES => tries += 1,
                result => return result,
            }
        }
    });
    group.await.unwrap_or_else(|error| Err(StoreError::Corrupt { what: format!("a group of changes: {error}") }))
}

#[cfg(test)]
mod tests;
