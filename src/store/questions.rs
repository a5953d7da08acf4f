//! Table `questions`: attempts whose providers are still to be queried.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::ids::MessageId;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};
use crate::store::stored::message_id;

/// An attempt to query, and when.
#[derive(Clone, Debug)]
pub struct NewQuestion {
    pub message: MessageId,
    pub attempt_no: i16,
    pub account: String,
    pub ask_by: Option<String>,
    /// In ascending order. When empty, nothing is written.
    pub times: Vec<DateTime<Utc>>,
}

/// Plans status queries. An attempt that has planned ones keeps them.
pub async fn insert(connection: &mut Session, questions: &[NewQuestion]) -> Result<(), StoreError> {
    let placed: Vec<(i64, &NewQuestion)> = (1..).zip(questions).collect();
    let times: Vec<(i64, DateTime<Utc>)> =
        placed.iter().flat_map(|(place, q)| q.times.iter().map(|&at| (*place, at))).collect();
    columns!(query, [],
        for (place, q) in placed {
            - "place": "bigint" = *place,
            "bucket": "smallint" = q.message.bucket().as_i16(),
            "message_id": "uuid" = q.message.uuid(),
            "attempt_no": "smallint" = q.attempt_no,
            "account": "text" ~ q.account.as_str(),
            "ask_by": "text" ~ q.ask_by.as_deref(),
        },
        for (place, at) in times {
            "place": "bigint" = *place,
            "at": "timestamptz" = *at,
        },
        "-- questions.insert
        with t as (
            select place, array_agg(at order by at) as times from " {rows 2 "t"} " group by place
        )
        insert into questions (" {names} ", ask_at, then_at)
        select " {names} ", t.times[1], t.times[2:]
          from " {rows "q"} "
          join t using (place)
        on conflict do nothing"
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A query whose time has come.
#[derive(Clone, Debug)]
pub struct DueQuestion {
    pub message: MessageId,
    pub attempt_no: i16,
    pub account: String,
    pub ask_by: Option<String>,
    /// Number of the attempt's query, counted from 1.
    pub question_no: i16,
}

/// Claims due queries of these accounts, up to a limit per account, oldest first. Each goes to one caller only; its row
/// moves on to the attempt's next time, or is deleted when none is left. Missed times are skipped.
pub async fn take_up(
    pool: &Database,
    rooms: &[(String, i64)],
    now: DateTime<Utc>,
) -> Result<Vec<DueQuestion>, StoreError> {
    let accounts: Vec<&str> = rooms.iter().map(|(account, _)| account.as_str()).collect();
    let most: Vec<i64> = rooms.iter().map(|(_, most)| *most).collect();
    let rows = sqlx::query!(
        r#"-- questions.take_up
        with due as (
            select q.bucket, q.message_id, q.attempt_no, q.account, q.ask_by, q.asked,
                   (select array_agg(t.at order by t.at) from unnest(q.then_at) as t (at) where t.at > $3) as later
              from unnest($1::text[], $2::bigint[]) as c (account, most)
             cross join lateral (
                   select o.bucket, o.message_id, o.attempt_no, o.account, o.ask_by, o.asked, o.then_at from questions o
                    where o.account = c.account and o.ask_at <= $3
                    order by o.ask_at limit c.most for update skip locked) q
        ), moved_on as (
            update questions o set asked = o.asked + 1, ask_at = due.later[1], then_at = due.later[2:]
              from due
             where o.bucket = due.bucket and o.message_id = due.message_id and o.attempt_no = due.attempt_no
               and due.later is not null
        ), gone as (
            delete from questions o using due
             where o.bucket = due.bucket and o.message_id = due.message_id and o.attempt_no = due.attempt_no
               and due.later is null
        )
        select message_id as "message_id!", attempt_no as "attempt_no!", account as "account!", ask_by,
               (asked + 1)::smallint as "question_no!"
          from due"#,
        &accounts as _,
        &most,
        now
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(DueQuestion {
                message: message_id(row.message_id)?,
                attempt_no: row.attempt_no,
                account: row.account,
                ask_by: row.ask_by,
                question_no: row.question_no,
            })
        })
        .collect()
}

/// When the next query of these accounts is due.
pub async fn next(pool: &Database, accounts: &[String]) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "-- questions.next
        select min(d.ask_at) from unnest($1::text[]) as c (account)
         cross join lateral (select q.ask_at from questions q where q.account = c.account order by q.ask_at limit 1) d",
        accounts
    )
    .fetch_one(pool)
    .await?)
}

/// Deletes the planned queries of these attempts.
pub async fn take_back(pool: &Database, attempts: &[(MessageId, i16)]) -> Result<(), StoreError> {
    let buckets: Vec<i16> = attempts.iter().map(|(message, _)| message.bucket().as_i16()).collect();
    let messages: Vec<Uuid> = attempts.iter().map(|(message, _)| message.uuid()).collect();
    let attempt_nos: Vec<i16> = attempts.iter().map(|(_, attempt_no)| *attempt_no).collect();
    sqlx::query!(
        "-- questions.take_back
        delete from questions
         where (bucket, message_id, attempt_no) in (select * from unnest($1::smallint[], $2::uuid[], $3::smallint[]))",
        &buckets,
        &messages,
        &attempt_nos
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes at most `limit` queries that were due before `before` and that nobody claimed, because no instance knows
/// their account any more. Returns how many.
pub async fn forget(pool: &Database, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- questions.forget
        delete from questions
         where (bucket, message_id, attempt_no)
            in (select bucket, message_id, attempt_no from questions where ask_at < $1 limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
