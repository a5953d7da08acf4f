//! Table `messages`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::app_id::AppId;
use crate::domain::attempt::State;
use crate::domain::channel::Channel;
use crate::domain::code_keys::CodeAtRest;
use crate::domain::ids::MessageId;
use crate::domain::message::{Message, Outcome};
use crate::domain::phone::Phone;
use crate::domain::route::Route;
use crate::store::attempts;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};
use crate::store::number_sends::{self, CountedNumber};
use crate::store::stored::{Found, Labels, LockedMessage, StoredMessage, keys, message_id};
use crate::store::{StoreError, word};

/// What the rules and the sender need.
struct LockedRow {
    message_id: Uuid,
    app: String,
    recipient: String,
    country: String,
    calling_code_len: i16,
    state: String,
    outcome: String,
    route: Value,
    code_key_id: i16,
    code_hash: Vec<u8>,
    code_sealed: Option<Vec<u8>>,
    code_given: bool,
    is_test: bool,
    wrong_tries: i16,
    max_tries: i16,
    verified_by: Option<Vec<u8>>,
    delivery_inferred: bool,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

/// What readers of a message see in addition.
struct LabelRow {
    message_id: Uuid,
    purpose: String,
    locale: Option<String>,
    reference: Option<String>,
    metadata: Option<String>,
    client: Option<Value>,
    code_length: i16,
}

impl LockedRow {
    /// Its attempts are read later.
    fn into_message(self) -> Result<LockedMessage, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt { what: format!("messages {}: {what}", self.message_id) };
        let id = MessageId::from_uuid(self.message_id).ok_or_else(|| corrupt("message_id"))?;
        let verified_by =
            self.verified_by.map(|hash| hash.try_into().map_err(|_| corrupt("verified_by"))).transpose()?;
        let recipient = Phone::from_stored(&self.recipient, &self.country, self.calling_code_len)
            .ok_or_else(|| corrupt("recipient"))?;
        let route: Route = serde_json::from_value(self.route)
            .map_err(|_| StoreError::Corrupt { what: format!("messages {}: route", self.message_id) })?;
        let message = Message {
            id,
            app: AppId::stored(&self.app),
            state: word::<State>("messages.state", &self.state)?,
            outcome: Outcome::read(&self.outcome),
            created_at: self.created_at,
            expires_at: self.expires_at,
            settled_at: self.settled_at,
            delivery_inferred: self.delivery_inferred,
            wrong_tries: self.wrong_tries,
            max_tries: self.max_tries,
            verified_by,
            code: CodeAtRest { key_id: self.code_key_id, hash: self.code_hash, sealed: self.code_sealed },
            route,
            code_given: self.code_given,
            is_test: self.is_test,
            attempts: Vec::new(),
        };
        Ok(LockedMessage { message, recipient })
    }
}

impl LabelRow {
    fn join(self, locked: LockedMessage) -> Result<StoredMessage, StoreError> {
        let corrupt = |_| StoreError::Corrupt { what: format!("messages {}: metadata", self.message_id) };
        let labels = Labels {
            purpose: self.purpose,
            locale: self.locale,
            reference: self.reference,
            metadata: self.metadata.map(RawValue::from_string).transpose().map_err(corrupt)?,
            client: self.client,
        };
        let LockedMessage { message, recipient } = locked;
        Ok(StoredMessage { message, recipient, labels, code_length: self.code_length })
    }
}

/// Messages by their keys. The queries below differ in what they do with the rows, not in what they read.
macro_rules! select_messages {
    ($name:literal, $then:literal, $buckets:expr, $uuids:expr) => {
        sqlx::query_as!(
            LockedRow,
            $name
                + "\nselect m.message_id, m.app, m.recipient, m.country, m.calling_code_len, m.state::text as \"state!\", \
                          m.outcome, m.route, m.code_key_id, m.code_hash, m.code_sealed, m.code_given, m.is_test, m.wrong_tries, \
                          m.max_tries, m.verified_by, m.delivery_inferred, m.created_at, m.expires_at, m.settled_at \
                     from messages m \
                    where (m.bucket, m.message_id) in (select * from unnest($1::smallint[], $2::uuid[]))"
                + $then,
            $buckets,
            $uuids
        )
    };
}

/// Locks messages. Every change of a message or of its attempts happens under this lock. Their attempts are read
/// afterwards, with [`crate::store::attempts::load`], by a separate statement: only that one sees what was committed
/// before.
///
/// It never waits: a message locked by others is left out, as is one that does not exist; [`existing`] tells which. So
/// a long-held lock stops only its own messages, and two lockers never wait for each other.
pub async fn lock(connection: &mut Session, ids: &[MessageId]) -> Result<Found<LockedMessage>, StoreError> {
    let (buckets, uuids) = keys(ids);
    let rows = select_messages!("-- messages.lock", " for no key update of m skip locked", &buckets, &uuids)
        .fetch_all(connection)
        .await?;
    Ok(Found::of(rows.into_iter().map(|row| (row.message_id, row.into_message()))))
}

/// The messages that exist.
pub async fn existing(connection: &mut Session, ids: &[MessageId]) -> Result<Vec<MessageId>, StoreError> {
    let (buckets, uuids) = keys(ids);
    let rows = sqlx::query_scalar!(
        "-- messages.existing
        select message_id from messages
         where (bucket, message_id) in (select * from unnest($1::smallint[], $2::uuid[]))",
        &buckets,
        &uuids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(message_id).collect()
}

/// Messages with their attempts, as they are now. Unknown ones are left out.
pub async fn read(pool: &Database, ids: &[MessageId]) -> Result<Found<StoredMessage>, StoreError> {
    let (buckets, uuids) = keys(ids);
    let mut connection = pool.acquire().await?;
    let rows = select_messages!("-- messages.read", "", &buckets, &uuids).fetch_all(&mut connection).await?;
    let labels = sqlx::query_as!(
        LabelRow,
        r#"-- messages.labels
        select m.message_id, m.purpose, m.locale, m.reference, coalesce(m.metadata_text, m.metadata::text) as metadata,
               m.client, m.code_length
          from messages m
         where (m.bucket, m.message_id) in (select * from unnest($1::smallint[], $2::uuid[]))"#,
        &buckets,
        &uuids
    )
    .fetch_all(&mut connection)
    .await?;
    let mut labels: HashMap<Uuid, LabelRow> = labels.into_iter().map(|row| (row.message_id, row)).collect();
    let missing = || StoreError::Corrupt { what: "messages.labels: a row less than a moment before".to_owned() };
    let mut found = Found::of(rows.into_iter().map(|row| {
        let id = row.message_id;
        let message = row.into_message();
        (id, message.and_then(|locked| labels.remove(&id).ok_or_else(missing)?.join(locked)))
    }));
    attempts::load(&mut connection, &mut found).await?;
    Ok(found)
}

/// One message of an app, with its attempts. `None` when this app has no such message.
pub async fn find(pool: &Database, app: &AppId, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
    let Found { mut messages, mut unreadable } = read(pool, &[id]).await?;
    match unreadable.pop() {
        Some((_, error)) => Err(error),
        None => Ok(messages.pop().filter(|found| found.message.app == *app)),
    }
}

/// Filters of a list of messages.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<State>,
    pub outcome: Option<Outcome>,
    pub country: Option<String>,
    pub channel: Option<Channel>,
    pub reference: Option<String>,
    pub created_from: Option<DateTime<Utc>>,
    pub created_before: Option<DateTime<Utc>>,
    /// Only messages older than this one: the cursor.
    pub before: Option<MessageId>,
}

/// Maximum number of rows that one request reads, whatever its filter.
const LOOK: i64 = 5_000;

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    pub messages: Vec<StoredMessage>,
    /// Where the next page begins. `None`: this is the last one. When few of many messages match, a page may be shorter
    /// than requested although others follow.
    pub next: Option<MessageId>,
}

/// An app's messages, newest first, with their attempts; at most `limit`, found among at most `LOOK` rows.
pub async fn list(pool: &Database, app: &AppId, filter: &Filter, limit: i64) -> Result<Page, StoreError> {
    // The id begins with the time in milliseconds, so the index finds the start and the end.
    let from = filter.created_from.map(MessageId::first_at);
    let until = filter.created_before.map(|before| MessageId::first_at(before + TimeDelta::milliseconds(1)));
    let before = [filter.before.map(MessageId::uuid), until].into_iter().flatten().min();
    let hits = sqlx::query_scalar!(
        "-- messages.list
        select m.message_id
          from (select * from messages o
                 where o.app = $1 and ($6::text is null or o.reference = $6)
                   and ($9::uuid is null or o.message_id < $9) and ($11::uuid is null or o.message_id >= $11)
                 order by o.message_id desc limit $12) m
         where ($2::text is null or m.state = $2::text::delivery_state)
           and ($3::text is null or $3 = case
                  -- As `Message::outcome_now` has it: every step failed, and nothing is under way.
                  when m.outcome = 'pending' and m.state = 'failed'
                   and not exists (select from attempts a where a.bucket = m.bucket and a.message_id = m.message_id
                                                            and a.state <> 'failed')
                  then 'failed' else m.outcome end)
           and ($4::text is null or m.country = $4)
           and ($5::text is null or exists (select from attempts a where a.bucket = m.bucket
                                               and a.message_id = m.message_id and a.channel = $5))
           and ($7::timestamptz is null or m.created_at >= $7)
           and ($8::timestamptz is null or m.created_at < $8)
         order by m.message_id desc limit $10",
        app.as_str(),
        filter.state.map(State::as_str),
        filter.outcome.map(Outcome::as_str),
        filter.country.as_deref(),
        filter.channel.map(Channel::as_str),
        filter.reference.as_deref(),
        filter.created_from,
        filter.created_before,
        before,
        limit,
        from,
        LOOK
    )
    .fetch_all(pool)
    .await?;
    let hits = hits.into_iter().map(message_id).collect::<Result<Vec<_>, _>>()?;
    let next = if hits.len() as i64 == limit {
        hits.last().copied()
    } else {
        // All rows were read: the last one, if more may follow it.
        let last = sqlx::query_scalar!(
            "-- messages.last_looked_at
            select o.message_id from messages o
             where o.app = $1 and ($2::text is null or o.reference = $2)
               and ($3::uuid is null or o.message_id < $3) and ($4::uuid is null or o.message_id >= $4)
             order by o.message_id desc offset $5 limit 1",
            app.as_str(),
            filter.reference.as_deref(),
            before,
            from,
            LOOK - 1
        )
        .fetch_optional(pool)
        .await?;
        last.map(message_id).transpose()?
    };
    let mut messages = read(pool, &hits).await?.messages;
    messages.sort_by_key(|found| std::cmp::Reverse(found.message.id));
    Ok(Page { messages, next })
}

/// A new message, with the sends of its number as they are once it is stored.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub message: Arc<StoredMessage>,
    /// `None`: the number's sends are not counted.
    pub counted: Option<Arc<CountedNumber>>,
}

/// Stores new messages, each with its first attempt and the sends of its number, in one statement. An existing one stays
/// unchanged. Returns for each whether it is stored: a message is not, if somebody else has written the sends of its number since
/// they were read. `forget_at`: of the sends.
pub async fn insert(pool: &Database, new: &[NewMessage], forget_at: DateTime<Utc>) -> Result<Vec<bool>, StoreError> {
    // Of two messages to one number, the second must see the first one's send.
    let mut numbers = HashSet::new();
    let is_first = |m: &&NewMessage| m.counted.as_ref().is_none_or(|c| numbers.insert((c.bucket, c.number)));
    let first: Vec<&NewMessage> = new.iter().filter(is_first).collect();
    let mut counted: Vec<&CountedNumber> = first.iter().filter_map(|m| m.counted.as_deref()).collect();
    counted.sort_by_key(|c| (c.bucket, c.number.hash));
    // In the order of their keys, so that two groups cannot deadlock.
    let mut new_messages: Vec<(&StoredMessage, Option<&[u8]>)> =
        first.iter().map(|m| (&*m.message, m.counted.as_ref().map(|c| c.number.hash.as_slice()))).collect();
    new_messages.sort_by_key(|(m, _)| (m.message.id.bucket().as_i16(), m.message.id));
    let routes =
        new_messages.iter().map(|(m, _)| serde_json::to_value(&m.message.route)).collect::<Result<Vec<Value>, _>>();
    let routes = routes.map_err(|error| StoreError::Corrupt { what: format!("route: {error}") })?;
    let routed: Vec<_> = new_messages.iter().copied().zip(routes).map(|((m, hash), route)| (m, hash, route)).collect();
    let written = columns!(query_scalar, [forget_at],
        for (m, number_hash, route) in routed {
            - "counted_number": "bytea" ~ *number_hash,
            "bucket": "smallint" = m.message.id.bucket().as_i16(),
            "message_id": "uuid" = m.message.id.uuid(),
            "app": "text" ~ m.message.app.as_str(),
            "recipient": "text" ~ m.recipient.e164(),
            "country": "text" ~ m.recipient.country(),
            "calling_code_len": "smallint" = m.recipient.calling_code().len() as i16,
            "purpose": "text" ~ m.labels.purpose.as_str(),
            "locale": "text" ~ m.labels.locale.as_deref(),
            "reference": "text" ~ m.labels.reference.as_deref(),
            "metadata_text": "text" ~ m.labels.metadata.as_deref().map(RawValue::get),
            "client": "jsonb" ~ m.labels.client.as_ref(),
            "route": "jsonb" ~ route,
            "code_key_id": "smallint" = m.message.code.key_id,
            "code_hash": "bytea" ~ m.message.code.hash.as_slice(),
            "code_sealed": "bytea" ~ m.message.code.sealed.as_deref(),
            "code_length": "smallint" = m.code_length,
            "code_given": "boolean" = m.message.code_given,
            "is_test": "boolean" = m.message.is_test,
            "max_tries": "smallint" = m.message.max_tries,
            "created_at": "timestamptz" = m.message.created_at,
            "expires_at": "timestamptz" = m.message.expires_at,
        },
        for (m, _) in new_messages {
            "bucket": "smallint" = m.message.id.bucket().as_i16(),
            "message_id": "uuid" = m.message.id.uuid(),
            "attempt_no": "smallint" = m.message.last().attempt_no,
            "attempt_id": "uuid" = m.message.id.attempt(m.message.last().attempt_no).uuid(),
            "app": "text" ~ m.message.app.as_str(),
            "step": "smallint" = m.message.last().step,
            "channel": "text" ~ m.message.last().channel.as_str(),
            "account": "text" ~ m.message.last().account.as_str(),
            "reason": "text" ~ m.message.last().reason.as_str(),
            "planned_at": "timestamptz" = m.message.last().planned_at,
            "due_at": "timestamptz" ~ m.message.last().due_at,
            "timer": "text" ~ m.message.last().timer.as_str(),
            "replace_at": "timestamptz" ~ m.message.last().replace_at,
        },
        for c in counted {
            "bucket": "smallint" = c.bucket.as_i16(),
            "number_hash": "bytea" ~ c.number.hash.as_slice(),
            "key_id": "smallint" = c.number.key_id,
            "version": "bigint" = c.version + 1,
            "sends": "jsonb" = number_sends::as_json(&c.sends),
        },
        "-- messages.insert
        with counted as (
            insert into number_sends as o (" {names 3} ", forget_at)
            select " {names 3} ", $1::timestamptz from " {rows 3 "c"} "
            on conflict (bucket, number_hash) do update
               set version = excluded.version, sends = excluded.sends, forget_at = excluded.forget_at
             where o.version = excluded.version - 1
            returning bucket, number_hash
        ), new_messages as (
            insert into messages (" {names} ")
            select " {names} " from " {rows "n"} "
             where n.counted_number is null
                or (n.bucket, n.counted_number) in (select bucket, number_hash from counted)
            on conflict (bucket, message_id) do nothing
            returning bucket, message_id
        ), new_attempts as (
            insert into attempts (" {names 2} ")
            select " {names 2} " from " {rows 2 "a"} " join new_messages using (bucket, message_id)
        )
        select number_hash from counted"
    )
    .fetch_all(pool)
    .await?;
    let written: HashSet<Vec<u8>> = written.into_iter().collect();
    let mut numbers = HashSet::new();
    let is_stored = |m: &NewMessage| {
        m.counted
            .as_ref()
            .is_none_or(|c| numbers.insert((c.bucket, c.number)) && written.contains(c.number.hash.as_slice()))
    };
    Ok(new.iter().map(is_stored).collect())
}

/// When the next message's life ends.
pub async fn next_end(pool: &Database) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!("-- messages.next_end\nselect min(expires_at) from messages where outcome = 'pending'")
        .fetch_one(pool)
        .await?)
}
