//! A connection with a deadline, and its clean-up afterwards.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr};
use tokio::time::{Instant, timeout, timeout_at};

use super::availability::Availability;
use super::errors::{ends_connection, lost, timed_out};

/// Time limit of the clean-up of a returned connection: a rollback, and a round trip that proves it works.
const GIVE_BACK: Duration = Duration::from_secs(2);

/// A connection of a pool, possibly with an open transaction. All its statements together have one deadline. When it
/// passes, the statement fails, the socket is closed at once, and the pool may open another connection.
///
/// When dropped, it returns to the pool, after a rollback if a transaction is open. A connection that does not prove in
/// time that it works is closed.
pub struct Session {
    connection: Kept,
    availability: Availability,
    deadline: Instant,
    limit: Duration,
    in_transaction: bool,
}

impl Session {
    pub(super) fn new(
        connection: PoolConnection<Postgres>,
        availability: Availability,
        deadline: Instant,
        limit: Duration,
    ) -> Self {
        Self { connection: Kept(Some(connection)), availability, deadline, limit, in_transaction: false }
    }

    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        // Set before `begin` is sent: a caller that stops waiting for the answer leaves a transaction behind.
        self.in_transaction = true;
        sqlx::raw_sql("begin").execute(self).await?;
        Ok(())
    }

    /// Commits, so that the changes are durable.
    ///
    /// # Errors
    /// When the database refuses or does not answer in time; in the latter case the changes may have been committed.
    pub async fn commit(mut self) -> Result<(), Error> {
        sqlx::raw_sql("commit").execute(&mut self).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Rolls back now. Dropping does the same slightly later, and rows stay locked until then.
    pub async fn rollback(mut self) {
        if sqlx::raw_sql("rollback").execute(&mut self).await.is_ok() {
            self.in_transaction = false;
        }
    }

    fn open(&mut self) -> Result<&mut PgConnection, Error> {
        self.connection.0.as_deref_mut().ok_or_else(lost)
    }

    fn wait(&self) -> Wait {
        Wait { availability: self.availability.clone(), deadline: self.deadline, limit: self.limit }
    }

    /// Closes the connection if the failure makes it unusable.
    fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.availability.note(error);
            if ends_connection(error) {
                self.connection.close();
            }
        }
        result
    }
}

/// A wait for one answer: until the deadline, or until the database is known to be unavailable.
struct Wait {
    availability: Availability,
    deadline: Instant,
    limit: Duration,
}

impl Wait {
    async fn for_answer<T>(self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Self { availability, deadline, limit } = self;
        let in_time = async { timeout_at(deadline, work).await.unwrap_or_else(|_| Err(timed_out(limit))) };
        availability.unless_away(in_time).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut connection = Kept(self.connection.0.take());
        let in_transaction = self.in_transaction;
        if self.availability.is_away() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // The pool's own return path waits for an answer without a limit.
        runtime.spawn(timeout(GIVE_BACK, async move {
            if let Some(open) = connection.0.as_mut().filter(|_| in_transaction)
                && sqlx::raw_sql("rollback").execute(&mut **open).await.is_err()
            {
                return;
            }
            if let Some(mut open) = connection.0.take() {
                open.return_to_pool().await;
            }
        }));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// A connection whose socket is closed at once when dropped; the pool may then open another one.
struct Kept(Option<PoolConnection<Postgres>>);

impl Kept {
    fn close(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.close();
    }
}

/// Rows are read completely before the first is passed on, so that the reader's pace does not count.
impl<'c> Executor<'c> for &'c mut Session {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let all = async move {
            let wait = self.wait();
            let result = wait.for_answer(self.open()?.fetch_many(query).try_collect::<Vec<_>>()).await;
            self.settle(result)
        };
        stream::once(all).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move {
            let wait = self.wait();
            let result = wait.for_answer(self.open()?.fetch_optional(query)).await;
            self.settle(result)
        }
        .boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        async move {
            let wait = self.wait();
            let result = wait.for_answer(self.open()?.prepare_with(sql, parameters)).await;
            self.settle(result)
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        async move {
            let wait = self.wait();
            let result = wait.for_answer(self.open()?.describe(sql)).await;
            self.settle(result)
        }
        .boxed()
    }
}
