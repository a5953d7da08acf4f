//! Table `attempts`: reading, and finding what is due. What changes it is in [`crate::store::transitions`].

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::attempt::{Attempt, FirstSeen, Lease};
use crate::domain::ids::MessageId;
use crate::domain::price::Price;
use crate::store::database::{Database, Session};
use crate::store::messages::{StoredMessage, keys, message_id};
use crate::store::{StoreError, word};

/// Reads the attempts of `messages` into them.
pub async fn load(connection: &mut Session, messages: &mut [StoredMessage]) -> Result<(), StoreError> {
    let ids: Vec<MessageId> = messages.iter().map(|m| m.message.id).collect();
    let (buckets, uuids) = keys(&ids);
    let rows = sqlx::query!(
        r#"-- attempts.load
        select a.message_id, a.attempt_no, a.step, a.channel, a.account, a.reason, a.state::text as "state!", a.send_state,
               a.planned_at, a.due_at, a.tries, a.unknowns, a.in_flight_at, a.lease_token, a.leased_until,
               a.accepted_at, a.provider_message_id, a.held, a.timer, a.replace_at, a.timer_ended_at, a.timer_end,
               a.not_replaced, a.sent_at, a.delivered_at, a.read_at, a.failed_at, a.provider_sent_at,
               a.provider_delivered_at, a.provider_read_at, a.provider_failed_at, a.error_code, a.error_class, a.wasted,
               a.price_micros, a.currency
          from attempts a
         where (a.bucket, a.message_id) in (select * from unnest($1::smallint[], $2::uuid[]))
         order by a.bucket, a.message_id, a.attempt_no"#,
        &buckets,
        &uuids
    )
    .fetch_all(connection)
    .await?;
    let place: HashMap<Uuid, usize> = ids.iter().enumerate().map(|(i, id)| (id.uuid(), i)).collect();
    for row in rows {
        let optional = |column, text: Option<&str>| text.map(|t| word(column, t)).transpose();
        let attempt = Attempt {
            attempt_no: row.attempt_no,
            step: row.step,
            channel: word("attempts.channel", &row.channel)?,
            account: row.account,
            reason: word("attempts.reason", &row.reason)?,
            state: word("attempts.state", &row.state)?,
            send_state: word("attempts.send_state", &row.send_state)?,
            planned_at: row.planned_at,
            due_at: row.due_at,
            tries: row.tries,
            unknowns: row.unknowns,
            in_flight_at: row.in_flight_at,
            lease: row.lease_token.zip(row.leased_until).map(|(token, until)| Lease { token, until }),
            accepted_at: row.accepted_at,
            provider_message_id: row.provider_message_id,
            held: row.held,
            timer: word("attempts.timer", &row.timer)?,
            replace_at: row.replace_at,
            timer_ended_at: row.timer_ended_at,
            timer_end: optional("attempts.timer_end", row.timer_end.as_deref())?,
            not_replaced: optional("attempts.not_replaced", row.not_replaced.as_deref())?,
            sent: FirstSeen { at: row.sent_at, provider_at: row.provider_sent_at },
            delivered: FirstSeen { at: row.delivered_at, provider_at: row.provider_delivered_at },
            read: FirstSeen { at: row.read_at, provider_at: row.provider_read_at },
            failed: FirstSeen { at: row.failed_at, provider_at: row.provider_failed_at },
            error_code: row.error_code,
            error_class: row.error_class.as_deref().map(|t| word("attempts.error_class", t)).transpose()?,
            wasted: row.wasted,
            price: row.price_micros.zip(row.currency).map(|(micros, currency)| Price { micros, currency }),
        };
        let index = place.get(&row.message_id).copied();
        let index =
            index.ok_or_else(|| StoreError::Corrupt { what: "attempts.load: a row nobody asked for".into() })?;
        messages[index].message.attempts.push(attempt);
    }
    if let Some(alone) = messages.iter().find(|m| m.message.attempts.is_empty()) {
        return Err(StoreError::Corrupt { what: format!("message {} has no attempt", alone.message.id) });
    }
    Ok(())
}

/// What an account may send now.
#[derive(Clone, Debug)]
pub struct Capacity {
    pub account: String,
    pub sends: i64,
}

/// Attempts that are due to be sent through these accounts, oldest first per account; each with its account.
pub async fn due(
    pool: &Database,
    capacities: &[Capacity],
    now: DateTime<Utc>,
) -> Result<Vec<(MessageId, i16, String)>, StoreError> {
    let accounts: Vec<&str> = capacities.iter().map(|c| c.account.as_str()).collect();
    let sends: Vec<i64> = capacities.iter().map(|c| c.sends).collect();
    let rows = sqlx::query!(
        r#"-- attempts.due
        select d.message_id as "message_id!", d.attempt_no as "attempt_no!", q.account as "account!"
          from unnest($1::text[], $2::bigint[]) as q (account, sends)
         cross join lateral (
               select a.message_id, a.attempt_no from attempts a
                where a.account = q.account and a.due_at is not null and a.due_at <= $3
                order by a.due_at limit q.sends) d"#,
        &accounts as _,
        &sends,
        now
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((message_id(row.message_id)?, row.attempt_no, row.account))).collect()
}

/// The oldest due attempt of each account that has one and is not among these; with its account. Looks at one row of the
/// index per account, however much is due.
pub async fn oldest_due_of_others(
    pool: &Database,
    known: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<(MessageId, i16, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"-- attempts.oldest_due_of_others
        with recursive accounts (account) as (
            (select account from attempts where due_at is not null order by account limit 1)
            union all
            select (select a.account from attempts a where a.due_at is not null and a.account > accounts.account
                     order by a.account limit 1)
              from accounts where accounts.account is not null
        )
        select d.message_id as "message_id!", d.attempt_no as "attempt_no!", q.account as "account!"
          from accounts q
         cross join lateral (
               select a.message_id, a.attempt_no from attempts a
                where a.account = q.account and a.due_at is not null and a.due_at <= $2
                order by a.due_at, a.message_id limit 1) d
         where q.account <> all ($1)"#,
        known,
        now
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((message_id(row.message_id)?, row.attempt_no, row.account))).collect()
}

/// When the next attempt of these accounts is due.
pub async fn next_due(pool: &Database, accounts: &[String]) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "-- attempts.next_due
        select min(d.due_at) from unnest($1::text[]) as q (account)
         cross join lateral (select a.due_at from attempts a where a.account = q.account and a.due_at is not null
                              order by a.due_at limit 1) d",
        accounts
    )
    .fetch_one(pool)
    .await?)
}

/// Attempts whose replacement deadline has come, oldest first.
pub async fn overdue(pool: &Database, now: DateTime<Utc>, limit: i64) -> Result<Vec<(MessageId, i16)>, StoreError> {
    let rows = sqlx::query!(
        "-- attempts.overdue
        select message_id, attempt_no from attempts where timer = 'armed' and replace_at <= $1
         order by replace_at limit $2",
        now,
        limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((message_id(row.message_id)?, row.attempt_no))).collect()
}

/// The nearest replacement deadline.
pub async fn next_deadline(pool: &Database) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!("-- attempts.next_deadline\nselect min(replace_at) from attempts where timer = 'armed'")
        .fetch_one(pool)
        .await?)
}

/// Attempts whose lease ran out: whoever was sending them is gone. With their accounts.
pub async fn abandoned(
    pool: &Database,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(MessageId, i16, String)>, StoreError> {
    let rows = sqlx::query!(
        "-- attempts.abandoned
        select message_id, attempt_no, account from attempts where leased_until <= $1 order by leased_until limit $2",
        now,
        limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((message_id(row.message_id)?, row.attempt_no, row.account))).collect()
}
