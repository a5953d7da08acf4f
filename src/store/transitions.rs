//! The one statement that changes messages and attempts.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::attempt::Attempt;
use crate::domain::message::Message;
use crate::store::StoreError;
use crate::store::database::Session;

/// A message before and after its events.
pub struct Change<'a> {
    pub before: &'a Message,
    pub after: &'a Message,
}

/// One Vec per column: the shape that `unnest` takes.
#[derive(Default)]
struct MessageColumns<'a> {
    bucket: Vec<i16>,
    message_id: Vec<Uuid>,
    attempts_before: Vec<i16>,
    attempts_after: Vec<i16>,
    state: Vec<&'a str>,
    outcome: Vec<&'a str>,
    wrong_tries: Vec<i16>,
    delivery_inferred: Vec<bool>,
    settled_at: Vec<Option<DateTime<Utc>>>,
}

#[derive(Default)]
struct AttemptColumns<'a> {
    is_new: Vec<bool>,
    bucket: Vec<i16>,
    message_id: Vec<Uuid>,
    attempt_no: Vec<i16>,
    attempt_id: Vec<Uuid>,
    app: Vec<&'a str>,
    step: Vec<i16>,
    channel: Vec<&'a str>,
    account: Vec<&'a str>,
    reason: Vec<&'a str>,
    state: Vec<&'a str>,
    send_state: Vec<&'a str>,
    planned_at: Vec<DateTime<Utc>>,
    due_at: Vec<Option<DateTime<Utc>>>,
    tries: Vec<i16>,
    unknowns: Vec<i16>,
    in_flight_at: Vec<Option<DateTime<Utc>>>,
    lease_token: Vec<Option<Uuid>>,
    leased_until: Vec<Option<DateTime<Utc>>>,
    accepted_at: Vec<Option<DateTime<Utc>>>,
    provider_message_id: Vec<Option<&'a str>>,
    held: Vec<bool>,
    timer: Vec<&'a str>,
    replace_at: Vec<Option<DateTime<Utc>>>,
    timer_ended_at: Vec<Option<DateTime<Utc>>>,
    timer_end: Vec<Option<&'a str>>,
    not_replaced: Vec<Option<&'a str>>,
    sent_at: Vec<Option<DateTime<Utc>>>,
    delivered_at: Vec<Option<DateTime<Utc>>>,
    read_at: Vec<Option<DateTime<Utc>>>,
    failed_at: Vec<Option<DateTime<Utc>>>,
    provider_sent_at: Vec<Option<DateTime<Utc>>>,
    provider_delivered_at: Vec<Option<DateTime<Utc>>>,
    provider_read_at: Vec<Option<DateTime<Utc>>>,
    provider_failed_at: Vec<Option<DateTime<Utc>>>,
    error_code: Vec<Option<&'a str>>,
    error_class: Vec<Option<&'a str>>,
    wasted: Vec<bool>,
    price_micros: Vec<Option<i64>>,
    currency: Vec<Option<&'a str>>,
}

impl<'a> MessageColumns<'a> {
    fn push(&mut self, before: &Message, after: &'a Message) {
        self.bucket.push(after.id.bucket().as_i16());
        self.message_id.push(after.id.uuid());
        self.attempts_before.push(before.last().attempt_no);
        self.attempts_after.push(after.last().attempt_no);
        self.state.push(after.state.as_str());
        self.outcome.push(after.outcome.as_str());
        self.wrong_tries.push(after.wrong_tries);
        self.delivery_inferred.push(after.delivery_inferred);
        self.settled_at.push(after.settled_at);
    }
}

impl<'a> AttemptColumns<'a> {
    fn push(&mut self, message: &'a Message, a: &'a Attempt, is_new: bool) {
        self.is_new.push(is_new);
        self.bucket.push(message.id.bucket().as_i16());
        self.message_id.push(message.id.uuid());
        self.attempt_no.push(a.attempt_no);
        self.attempt_id.push(message.id.attempt(a.attempt_no).uuid());
        self.app.push(&message.app);
        self.step.push(a.step);
        self.channel.push(a.channel.as_str());
        self.account.push(&a.account);
        self.reason.push(a.reason.as_str());
        self.state.push(a.state.as_str());
        self.send_state.push(a.send_state.as_str());
        self.planned_at.push(a.planned_at);
        self.due_at.push(a.due_at);
        self.tries.push(a.tries);
        self.unknowns.push(a.unknowns);
        self.in_flight_at.push(a.in_flight_at);
        self.lease_token.push(a.lease.map(|l| l.token));
        self.leased_until.push(a.lease.map(|l| l.until));
        self.accepted_at.push(a.accepted_at);
        self.provider_message_id.push(a.provider_message_id.as_deref());
        self.held.push(a.held);
        self.timer.push(a.timer.as_str());
        self.replace_at.push(a.replace_at);
        self.timer_ended_at.push(a.timer_ended_at);
        self.timer_end.push(a.timer_end.map(|w| w.as_str()));
        self.not_replaced.push(a.not_replaced.map(|w| w.as_str()));
        self.sent_at.push(a.sent.at);
        self.delivered_at.push(a.delivered.at);
        self.read_at.push(a.read.at);
        self.failed_at.push(a.failed.at);
        self.provider_sent_at.push(a.sent.provider_at);
        self.provider_delivered_at.push(a.delivered.provider_at);
        self.provider_read_at.push(a.read.provider_at);
        self.provider_failed_at.push(a.failed.provider_at);
        self.error_code.push(a.error_code.as_deref());
        self.error_class.push(a.error_class.map(|c| c.as_str()));
        self.wasted.push(a.wasted);
        self.price_micros.push(a.price.as_ref().map(|p| p.micros));
        self.currency.push(a.price.as_ref().map(|p| p.currency.as_str()));
    }
}

/// Writes what changed, all of it in one statement: so a failure and the attempt that replaces it are one.
///
/// The messages must be locked by this connection's transaction. Behind that lock stand two guards: a message is
/// changed only while it has the number of attempts that the decision was made on, new attempts are stored only when every
/// message was changed, and the primary key admits one attempt of each number. (A join of new attempts and changed messages
/// would be a loop within a loop: it has no index.)
///
/// # Errors
/// [`StoreError::Refused`] when a guard did not hold; nothing was changed then.
pub async fn write(connection: &mut Session, changes: &[Change<'_>]) -> Result<(), StoreError> {
    let mut m = MessageColumns::default();
    let mut a = AttemptColumns::default();
    for Change { before, after } in changes {
        let old = before.attempts.len();
        for (i, attempt) in after.attempts.iter().enumerate() {
            if i >= old || before.attempts[i] != *attempt {
                a.push(after, attempt, i >= old);
            }
        }
        let same = before.state == after.state
            && before.outcome == after.outcome
            && before.wrong_tries == after.wrong_tries
            && before.delivery_inferred == after.delivery_inferred
            && old == after.attempts.len();
        if !same {
            m.push(before, after);
        }
    }
    if a.bucket.is_empty() && m.bucket.is_empty() {
        return Ok(());
    }
    let done = sqlx::query!(
        r#"-- transitions.write
        with m as (
            select * from unnest($1::smallint[], $2::uuid[], $3::smallint[], $4::smallint[], $5::text[], $6::text[],
                                 $7::smallint[], $8::boolean[], $9::timestamptz[])
                       as m (bucket, message_id, attempts_before, attempts_after, state, outcome, wrong_tries,
                             delivery_inferred, settled_at)
        ), changed_messages as (
            update messages o
               set state = greatest(o.state, m.state::delivery_state),
                   outcome = case m.outcome when 'other' then o.outcome else m.outcome end,
                   attempt_count = m.attempts_after, wrong_tries = m.wrong_tries,
                   delivery_inferred = m.delivery_inferred, settled_at = m.settled_at,
                   code_sealed = case when m.outcome = 'pending' then o.code_sealed end
              from m
             where o.bucket = m.bucket and o.message_id = m.message_id and o.attempt_count = m.attempts_before
               and (o.outcome in ('pending', m.outcome) or m.outcome = 'other')
            returning 1
        ), a as (
            select * from unnest($10::boolean[], $11::smallint[], $12::uuid[], $13::smallint[], $14::uuid[], $15::text[],
                                 $16::smallint[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[],
                                 $22::timestamptz[], $23::timestamptz[], $24::smallint[], $25::smallint[],
                                 $26::timestamptz[], $27::uuid[], $28::timestamptz[], $29::timestamptz[], $30::text[],
                                 $31::boolean[], $32::text[], $33::timestamptz[], $34::timestamptz[], $35::text[],
                                 $36::text[], $37::timestamptz[], $38::timestamptz[], $39::timestamptz[],
                                 $40::timestamptz[], $41::timestamptz[], $42::timestamptz[], $43::timestamptz[],
                                 $44::timestamptz[], $45::text[], $46::text[], $47::boolean[], $48::bigint[],
                                 $49::text[])
                       as a (is_new, bucket, message_id, attempt_no, attempt_id, app, step, channel, account, reason,
                             state, send_state, planned_at, due_at, tries, unknowns, in_flight_at, lease_token,
                             leased_until, accepted_at, provider_message_id, held, timer, replace_at, timer_ended_at,
                             timer_end, not_replaced, sent_at, delivered_at, read_at, failed_at, provider_sent_at,
                             provider_delivered_at, provider_read_at, provider_failed_at, error_code, error_class,
                             wasted, price_micros, currency)
        ), changed_attempts as (
            update attempts o
               set state = greatest(o.state, a.state::delivery_state), send_state = a.send_state, due_at = a.due_at,
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
            insert into attempts (bucket, message_id, attempt_no, attempt_id, app, step, channel, account, reason, state,
                                  send_state, planned_at, due_at, tries, unknowns, in_flight_at, lease_token,
                                  leased_until, accepted_at, provider_message_id, held, timer, replace_at,
                                  timer_ended_at, timer_end, not_replaced, sent_at, delivered_at, read_at, failed_at,
                                  provider_sent_at, provider_delivered_at, provider_read_at, provider_failed_at,
                                  error_code, error_class, wasted, price_micros, currency)
            select a.bucket, a.message_id, a.attempt_no, a.attempt_id, a.app, a.step, a.channel, a.account, a.reason,
                   a.state::delivery_state, a.send_state, a.planned_at, a.due_at, a.tries, a.unknowns, a.in_flight_at,
                   a.lease_token, a.leased_until, a.accepted_at, a.provider_message_id, a.held, a.timer, a.replace_at,
                   a.timer_ended_at, a.timer_end, a.not_replaced, a.sent_at, a.delivered_at, a.read_at, a.failed_at,
                   a.provider_sent_at, a.provider_delivered_at, a.provider_read_at, a.provider_failed_at, a.error_code,
                   a.error_class, a.wasted, a.price_micros, a.currency
              from a
             where a.is_new and (select count(*) from changed_messages) = cardinality($1::smallint[])
            returning 1
        )
        select (select count(*) from changed_messages) as "messages!",
               (select count(*) from changed_attempts) + (select count(*) from new_attempts) as "attempts!""#,
        &m.bucket,
        &m.message_id,
        &m.attempts_before,
        &m.attempts_after,
        &m.state as _,
        &m.outcome as _,
        &m.wrong_tries,
        &m.delivery_inferred,
        &m.settled_at as _,
        &a.is_new,
        &a.bucket,
        &a.message_id,
        &a.attempt_no,
        &a.attempt_id,
        &a.app as _,
        &a.step,
        &a.channel as _,
        &a.account as _,
        &a.reason as _,
        &a.state as _,
        &a.send_state as _,
        &a.planned_at,
        &a.due_at as _,
        &a.tries,
        &a.unknowns,
        &a.in_flight_at as _,
        &a.lease_token as _,
        &a.leased_until as _,
        &a.accepted_at as _,
        &a.provider_message_id as _,
        &a.held,
        &a.timer as _,
        &a.replace_at as _,
        &a.timer_ended_at as _,
        &a.timer_end as _,
        &a.not_replaced as _,
        &a.sent_at as _,
        &a.delivered_at as _,
        &a.read_at as _,
        &a.failed_at as _,
        &a.provider_sent_at as _,
        &a.provider_delivered_at as _,
        &a.provider_read_at as _,
        &a.provider_failed_at as _,
        &a.error_code as _,
        &a.error_class as _,
        &a.wasted,
        &a.price_micros as _,
        &a.currency as _
    )
    .fetch_one(connection)
    .await?;
    let expected = (m.bucket.len() as i64, a.bucket.len() as i64);
    if (done.messages, done.attempts) != expected {
        return Err(StoreError::Refused {
            constraint: "a message changed under its lock".to_owned(),
            source: sqlx::Error::RowNotFound,
        });
    }
    Ok(())
}
