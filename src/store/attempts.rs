//! Table `attempts`: reading, and finding due rows. [`crate::store::transitions`] writes it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::attempt::{Attempt, FirstSeen, Lease, Reason, Why};
use crate::domain::ids::MessageId;
use crate::domain::price::Price;
use crate::domain::receipt::ErrorClass;
use crate::store::database::{Database, Session};
use crate::store::stored::{Found, WithAttempts, keys, message_id};
use crate::store::{StoreError, word};

/// Reads the attempts of the messages into them. A message with an unreadable attempt moves to the unreadable ones.
pub async fn load<M: WithAttempts>(connection: &mut Session, found: &mut Found<M>) -> Result<(), StoreError> {
    let ids: Vec<MessageId> = found.messages.iter().map(|m| m.message().id).collect();
    let (buckets, uuids) = keys(&ids);
    let rows = sqlx::query_as!(
        Row,
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
    let mut broken: HashMap<usize, StoreError> = HashMap::new();
    for row in rows {
        let index = place.get(&row.message_id).copied();
        let index =
            index.ok_or_else(|| StoreError::Corrupt { what: "attempts.load: a row nobody asked for".into() })?;
        match row.into_attempt() {
            Ok(attempt) => found.messages[index].message_mut().attempts.push(attempt),
            Err(error) => drop(broken.insert(index, error)),
        }
    }
    for (index, message) in found.messages.iter().enumerate().filter(|(_, m)| m.message().attempts.is_empty()) {
        let what = || StoreError::Corrupt { what: format!("message {} has no attempt", message.message().id) };
        broken.entry(index).or_insert_with(what);
    }
    if !broken.is_empty() {
        let messages = std::mem::take(&mut found.messages);
        for (index, message) in messages.into_iter().enumerate() {
            match broken.remove(&index) {
                Some(error) => found.unreadable.push((message.message().id, error)),
                None => found.messages.push(message),
            }
        }
    }
    Ok(())
}

struct Row {
    message_id: Uuid,
    attempt_no: i16,
    step: i16,
    channel: String,
    account: String,
    reason: String,
    state: String,
    send_state: String,
    planned_at: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
    tries: i16,
    unknowns: i16,
    in_flight_at: Option<DateTime<Utc>>,
    lease_token: Option<Uuid>,
    leased_until: Option<DateTime<Utc>>,
    accepted_at: Option<DateTime<Utc>>,
    provider_message_id: Option<String>,
    held: bool,
    timer: String,
    replace_at: Option<DateTime<Utc>>,
    timer_ended_at: Option<DateTime<Utc>>,
    timer_end: Option<String>,
    not_replaced: Option<String>,
    sent_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    read_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    provider_sent_at: Option<DateTime<Utc>>,
    provider_delivered_at: Option<DateTime<Utc>>,
    provider_read_at: Option<DateTime<Utc>>,
    provider_failed_at: Option<DateTime<Utc>>,
    error_code: Option<String>,
    error_class: Option<String>,
    wasted: bool,
    price_micros: Option<i64>,
    currency: Option<String>,
}

impl Row {
    fn into_attempt(self) -> Result<Attempt, StoreError> {
        Ok(Attempt {
            attempt_no: self.attempt_no,
            step: self.step,
            channel: word("attempts.channel", &self.channel)?,
            account: self.account,
            reason: Reason::read(&self.reason),
            state: word("attempts.state", &self.state)?,
            send_state: word("attempts.send_state", &self.send_state)?,
            planned_at: self.planned_at,
            due_at: self.due_at,
            tries: self.tries,
            unknowns: self.unknowns,
            in_flight_at: self.in_flight_at,
            lease: self.lease_token.zip(self.leased_until).map(|(token, until)| Lease { token, until }),
            accepted_at: self.accepted_at,
            provider_message_id: self.provider_message_id,
            held: self.held,
            timer: word("attempts.timer", &self.timer)?,
            replace_at: self.replace_at,
            timer_ended_at: self.timer_ended_at,
            timer_end: self.timer_end.as_deref().map(Why::read),
            not_replaced: self.not_replaced.as_deref().map(Why::read),
            sent: FirstSeen { at: self.sent_at, provider_at: self.provider_sent_at },
            delivered: FirstSeen { at: self.delivered_at, provider_at: self.provider_delivered_at },
            read: FirstSeen { at: self.read_at, provider_at: self.provider_read_at },
            failed: FirstSeen { at: self.failed_at, provider_at: self.provider_failed_at },
            error_code: self.error_code,
            error_class: self.error_class.as_deref().map(ErrorClass::read),
            wasted: self.wasted,
            price: self.price_micros.zip(self.currency).map(|(micros, currency)| Price { micros, currency }),
        })
    }
}

/// The oldest due attempt of each account that is not listed, with its account. Reads one index row per account,
/// however many are due.
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

/// When the next attempt is due among these accounts and with a code under one of `keys`. Reads one index row per app
/// that has something due.
pub async fn next_due(pool: &Database, accounts: &[String], keys: &[i16]) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "-- attempts.next_due
        with recursive queues (account, app) as (
            select q.account, (select a.app from attempts a where a.account = q.account and a.due_at is not null
                                order by a.app limit 1)
              from unnest($1::text[]) as q (account)
            union all
            select q.account, (select a.app from attempts a
                                where a.account = q.account and a.due_at is not null and a.app > q.app
                                order by a.app limit 1)
              from queues q where q.app is not null
        )
        select min((select a.due_at
                      from attempts a join messages m on m.bucket = a.bucket and m.message_id = a.message_id
                     where a.account = q.account and a.app = q.app and a.due_at is not null
                       and m.code_key_id = any($2)
                     order by a.due_at limit 1))
          from queues q where q.app is not null",
        accounts,
        keys
    )
    .fetch_one(pool)
    .await?)
}

/// Number of due attempts per account, counted up to a limit.
pub async fn waiting(
    pool: &Database,
    accounts: &[(String, i64)],
    now: DateTime<Utc>,
) -> Result<HashMap<String, i64>, StoreError> {
    let names: Vec<&str> = accounts.iter().map(|(account, _)| account.as_str()).collect();
    let most: Vec<i64> = accounts.iter().map(|(_, most)| *most).collect();
    let rows = sqlx::query!(
        r#"-- attempts.waiting
        select q.account as "account!",
               (select count(*) from (select from attempts a
                                       where a.account = q.account and a.due_at is not null and a.due_at <= $3
                                       limit q.most) w) as "waiting!"
          from unnest($1::text[], $2::bigint[]) as q (account, most)"#,
        &names as _,
        &most,
        now
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.account, row.waiting)).collect())
}

/// The nearest replacement deadline.
pub async fn next_deadline(pool: &Database) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!("-- attempts.next_deadline\nselect min(replace_at) from attempts where timer = 'armed'")
        .fetch_one(pool)
        .await?)
}
