//! Group commit without locks: what waits is written with one statement.
//!
//! As in the ledger, a worker writes everything that waits, and what arrives meanwhile waits for the next group: an idle service
//! answers at once, a busy one writes large groups.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::services::ledger_error::LedgerError;
use crate::store::StoreError;

/// Maximum number of items in one statement.
const GROUP: usize = 128;
/// Maximum number of waiting items; more are refused.
const QUEUE: usize = 4096;
/// For a queue whose statements commit: while one commits, the other collects.
pub const WORKERS: usize = 2;

/// A queue of items that are written in groups. Cheap to clone.
pub struct Grouped<Item, Answer>(mpsc::Sender<Job<Item, Answer>>);

impl<Item, Answer> Clone for Grouped<Item, Answer> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Job<Item, Answer> {
    item: Item,
    answer: oneshot::Sender<Result<Answer, LedgerError>>,
}

impl<Item: Clone + Send + 'static, Answer: Send + 'static> Grouped<Item, Answer> {
    /// Starts its workers; call it inside a tokio runtime. One worker makes larger groups, and fewer statements. `write` returns one answer per item, in order; it writes all of a group
    /// or nothing.
    pub fn start<F>(workers: usize, write: impl Fn(Vec<Item>) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<Answer>, StoreError>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(receiver));
        for _ in 0..workers {
            tokio::spawn(work(Arc::clone(&queue), write.clone()));
        }
        Self(sender)
    }

    /// Returns when the item is durable; it is also written if the caller goes away.
    ///
    /// # Errors
    /// [`LedgerError`]; it may be repeated.
    pub async fn write(&self, item: Item) -> Result<Answer, LedgerError> {
        let (answer, receiver) = oneshot::channel();
        self.0.try_send(Job { item, answer }).map_err(|_| LedgerError::Busy)?;
        receiver.await.map_err(|_| LedgerError::Busy)?
    }
}

async fn work<Item: Clone, Answer, F>(
    queue: Arc<Mutex<mpsc::Receiver<Job<Item, Answer>>>>,
    write: impl Fn(Vec<Item>) -> F,
) where
    F: Future<Output = Result<Vec<Answer>, StoreError>>,
{
    loop {
        let mut jobs = Vec::new();
        if queue.lock().await.recv_many(&mut jobs, GROUP).await == 0 {
            return;
        }
        match write(jobs.iter().map(|job| job.item.clone()).collect()).await {
            Ok(answers) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    // The caller may be gone; the write stays.
                    let _ = job.answer.send(Ok(answer));
                }
            }
            // The database is unavailable, which concerns all items; or there is only this one.
            Err(error) if jobs.len() == 1 || matches!(error, StoreError::Unavailable(_)) => {
                let error = LedgerError::from(error);
                for job in jobs {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
            // An item that the database refuses must not take the others with it.
            Err(_) => {
                for Job { item, answer } in jobs {
                    let result = write(vec![item]).await.map(|mut one| one.pop());
                    let result = result.map_err(LedgerError::from);
                    let _ = answer.send(result.and_then(|one| one.ok_or(LedgerError::Busy)));
                }
            }
        }
    }
}
