use super::*;
use crate::domain::app_id::AppId;
use crate::domain::ids::{Bucket, MessageId};
use crate::domain::phone::Phone;
use crate::services::ledger::command::{AppRequest, RecordedEvent};

fn command() -> Command {
    let at = chrono::DateTime::from_timestamp(1_789_034_400, 0).unwrap();
    let message = MessageId::new(at, Bucket::of(&Phone::parse("+628123450003").unwrap()), [1; 8]);
    let event = RecordedEvent::ByApp { app: AppId::stored("shop"), request: AppRequest::Cancel };
    Command { message, event, at }
}

fn job(commands: usize) -> (Job, oneshot::Receiver<Answer>) {
    Job::new((0..commands).map(|place| (place, command())).collect())
}

/// How many commands each job gave to the next group.
fn shares(jobs: &mut VecDeque<Job>, group: usize) -> Vec<usize> {
    let mut shares = vec![0; jobs.len()];
    for (owner, _) in take(jobs, group) {
        shares[owner] += 1;
    }
    shares
}

#[test]
fn a_job_of_thousands_is_taken_in_pieces_beside_the_others() {
    let mut jobs: VecDeque<Job> = [5000, 1, 1, 3].map(|n| job(n).0).into();
    assert_eq!(shares(&mut jobs, 256), [128, 1, 1, 3]);
    assert_eq!(shares(&mut jobs, 256), [128, 0, 0, 0]);

    let mut jobs: VecDeque<Job> = (0..300).map(|n| job(if n == 0 { 5000 } else { 1 }).0).collect();
    let first = shares(&mut jobs, 256);
    assert_eq!((first[0], first.iter().sum::<usize>()), (1, 256), "while many wait, each gets the same");
    assert_eq!(shares(&mut jobs, 256)[256..].iter().sum::<usize>(), 44);
}

#[test]
fn a_jobs_own_order_is_kept() {
    let mut jobs: VecDeque<Job> = [job(5).0].into();
    let places: Vec<usize> = take(&mut jobs, 3).into_iter().map(|(_, (place, _))| place).collect();
    assert_eq!(places, [0, 1, 2]);
}

#[tokio::test]
async fn what_somebody_holds_keeps_its_job_and_no_other() {
    let (mut held, held_answer) = job(2);
    let (mut free, free_answer) = job(1);
    for job in [&mut held, &mut free] {
        job.left.clear();
    }
    held.note(0, &command(), Ok(Done::Locked));
    held.note(1, &command(), Ok(Done::NotFound));
    free.note(0, &command(), Ok(Done::NotFound));
    let mut jobs: VecDeque<Job> = [held, free].into();
    finish(&mut jobs);
    assert_eq!((jobs.len(), free_answer.await.unwrap().unwrap().len()), (1, 1));

    jobs[0].since -= LOCKED_FOR;
    finish(&mut jobs);
    assert!(jobs.is_empty());
    assert!(matches!(held_answer.await.unwrap(), Err(LedgerError::Locked)));
}

#[tokio::test]
async fn a_database_that_is_away_ends_the_whole_job_at_once() {
    let (mut job, answer) = job(900);
    let error = LedgerError::from(StoreError::Unavailable(sqlx::Error::PoolTimedOut));
    job.note(0, &command(), Err(error));
    let mut jobs: VecDeque<Job> = [job].into();
    finish(&mut jobs);
    assert!(jobs.is_empty() && answer.await.unwrap().is_err());
}
