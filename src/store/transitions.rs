//! The only statement that changes messages and attempts.

use crate::domain::attempt::{Attempt, Why};
use crate::domain::message::Message;
use crate::domain::receipt::ErrorClass;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::Session;

/// A message before and after its events.
pub struct Change<'a> {
    pub before: &'a Message,
    pub after: &'a Message,
}

/// An attempt to be written, with its message.
struct ChangedAttempt<'a> {
    message: &'a Message,
    attempt: &'a Attempt,
    is_new: bool,
}

/// Writes all changes in one statement, so a failure and the attempt that replaces it are stored together.
///
/// The messages must be locked by this connection's transaction. In addition there are guards: a message is changed
/// only while it has the number of attempts that the decision was based on, new attempts are stored only if every
/// message was changed, and the primary key admits one attempt of each number. (Joining new attempts with changed
/// messages would be a nested loop, because the join has no index.)
///
/// # Errors
/// [`StoreError::Refused`] when a guard did not hold; nothing was changed then.
pub async fn write(connection: &mut Session, changes: &[Change<'_>]) -> Result<(), StoreError> {
    let mut messages: Vec<&Change<'_>> = Vec::new();
    let mut attempts: Vec<ChangedAttempt<'_>> = Vec::new();
    for change in changes {
        let Change { before, after } = change;
        let old = before.attempts.len();
        for (i, attempt) in after.attempts.iter().enumerate() {
            if i >= old || before.attempts[i] != *attempt {
                attempts.push(ChangedAttempt { message: after, attempt, is_new: i >= old });
            }
        }
        let same = before.state == after.state
            && before.outcome == after.outcome
            && before.wrong_tries == after.wrong_tries
            && before.verified_by == after.verified_by
            && before.delivery_inferred == after.delivery_inferred
            && old == after.attempts.len();
        if !same {
            messages.push(change);
        }
    }
    if attempts.is_empty() && messages.is_empty() {
        return Ok(());
    }
    let done = columns!(query, [],
        for Change { before, after } in messages {
            "bucket": "smallint" = after.id.bucket().as_i16(),
            "message_id": "uuid" = after.id.uuid(),
            "attempts_before": "smallint" = before.last().attempt_no,
            "attempts_after": "smallint" = after.last().attempt_no,
            "state": "text[]::delivery_state" ~ after.state.as_str(),
            "outcome": "text" ~ after.outcome.as_str(),
            "wrong_tries": "smallint" = after.wrong_tries,
            "delivery_inferred": "boolean" = after.delivery_inferred,
            "settled_at": "timestamptz" ~ after.settled_at,
            "verified_by": "bytea" ~ after.verified_by.as_ref().map(|hash| hash.as_slice()),
        },
        for ChangedAttempt { message, attempt: a, is_new } in attempts {
            - "is_new": "boolean" = *is_new,
            "bucket": "smallint" = message.id.bucket().as_i16(),
            "message_id": "uuid" = message.id.uuid(),
            "attempt_no": "smallint" = a.attempt_no,
            "attempt_id": "uuid" = message.id.attempt(a.attempt_no).uuid(),
            "app": "text" ~ message.app.as_str(),
            "step": "smallint" = a.step,
            "channel": "text" ~ a.channel.as_str(),
            "account": "text" ~ a.account.as_str(),
            "reason": "text" ~ a.reason.as_str(),
            "state": "text[]::delivery_state" ~ a.state.as_str(),
            "send_state": "text" ~ a.send_state.as_str(),
            "planned_at": "timestamptz" = a.planned_at,
            "due_at": "timestamptz" ~ a.due_at,
            "tries": "smallint" = a.tries,
            "unknowns": "smallint" = a.unknowns,
            "in_flight_at": "timestamptz" ~ a.in_flight_at,
            "lease_token": "uuid" ~ a.lease.map(|lease| lease.token),
            "leased_until": "timestamptz" ~ a.lease.map(|lease| lease.until),
            "accepted_at": "timestamptz" ~ a.accepted_at,
            "provider_message_id": "text" ~ a.provider_message_id.as_deref(),
            "held": "boolean" = a.held,
            "timer": "text" ~ a.timer.as_str(),
            "replace_at": "timestamptz" ~ a.replace_at,
            "timer_ended_at": "timestamptz" ~ a.timer_ended_at,
            "timer_end": "text" ~ a.timer_end.map(Why::as_str),
            "not_replaced": "text" ~ a.not_replaced.map(Why::as_str),
            "sent_at": "timestamptz" ~ a.sent.at,
            "delivered_at": "timestamptz" ~ a.delivered.at,
            "read_at": "timestamptz" ~ a.read.at,
            "failed_at": "timestamptz" ~ a.failed.at,
            "provider_sent_at": "timestamptz" ~ a.sent.provider_at,
            "provider_delivered_at": "timestamptz" ~ a.delivered.provider_at,
            "provider_read_at": "timestamptz" ~ a.read.provider_at,
            "provider_failed_at": "timestamptz" ~ a.failed.provider_at,
            "error_code": "text" ~ a.error_code.as_deref(),
            "error_class": "text" ~ a.error_class.map(ErrorClass::as_str),
            "wasted": "boolean" = a.wasted,
            "price_micros": "bigint" ~ a.price.as_ref().map(|price| price.micros),
            "currency": "text" ~ a.price.as_ref().map(|price| price.currency.as_str()),
        },
        r#"-- transitions.write
        with m as (
            select * from "# {rows "m"} r#"
        ), changed_messages as (
            update messages o
               set state = greatest(o.state, m.state),
                   outcome = case m.outcome when 'other' then o.outcome else m.outcome end,
                   attempt_count = m.attempts_after, wrong_tries = m.wrong_tries,
                   delivery_inferred = m.delivery_inferred, settled_at = m.settled_at,
                   verified_by = m.verified_by,
                   code_sealed = case when m.outcome = 'pending' then o.code_sealed end
              from m
             where o.bucket = m.bucket and o.message_id = m.message_id and o.attempt_count = m.attempts_before
               and (o.outcome in ('pending', m.outcome) or m.outcome = 'other')
            returning 1
        ), a as (
            select * from "# {rows 2 "a"} r#"
        ), changed_attempts as (
            update attempts o
               set state = greatest(o.state, a.state), send_state = a.send_state, due_at = a.due_at,
                   tries = a.tries, unknowns = a.unknowns, in_flight_at = a.in_flight_at, lease_token = a.lease_token,
                   leased_until = a.leased_until, accepted_at = a.accepted_at,
                   provider_message_id = a.provider_message_id, held = a.held, timer = a.timer,
                   replace_at = a.replace_at, timer_ended_at = a.timer_ended_at,
                   timer_end = case a.timer_end when 'other' then o.timer_end else a.timer_end end,
                   not_replaced = case a.not_replaced when 'other' then o.not_replaced else a.not_replaced end,
                   sent_at = least(o.sent_at, a.sent_at), delivered_at = least(o.delivered_at, a.delivered_at),
                   read_at = least(o.read_at, a.read_at), failed_at = least(o.failed_at, a.failed_at), provider_sent_at = a.provider_sent_at,
                   provider_delivered_at = a.provider_delivered_at, provider_read_at = a.provider_read_at,
                   provider_failed_at = a.provider_failed_at, error_code = a.error_code,
                   error_class = case a.error_class when 'other' then o.error_class else a.error_class end,
                   wasted = a.wasted, price_micros = a.price_micros, currency = a.currency
              from a
             where not a.is_new and o.bucket = a.bucket and o.message_id = a.message_id and o.attempt_no = a.attempt_no
            returning 1
        ), new_attempts as (
            insert into attempts ("# {names 2} r#")
            select "# {names 2} r#" from a
             where a.is_new and (select count(*) from changed_messages) = cardinality($1::smallint[])
            returning 1
        )
        select (select count(*) from changed_messages) as "messages!",
               (select count(*) from changed_attempts) + (select count(*) from new_attempts) as "attempts!""#
    )
    .fetch_one(connection)
    .await?;
    let expected = (messages.len() as i64, attempts.len() as i64);
    if (done.messages, done.attempts) != expected {
        return Err(StoreError::Refused {
            constraint: "a message changed under its lock".to_owned(),
            source: sqlx::Error::RowNotFound,
        });
    }
    Ok(())
}
