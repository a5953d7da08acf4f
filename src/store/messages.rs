//! Table `messages`.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::attempt::State;
use crate::domain::channel::Channel;
use crate::domain::code_keys::CodeAtRest;
use crate::domain::ids::MessageId;
use crate::domain::message::{Message, Outcome};
use crate::domain::phone::Phone;
use crate::domain::route::Route;
use crate::store::database::{Database, Session};
use crate::store::{StoreError, word};

/// A message with what its sender and its readers need beside the rules.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    pub message: Message,
    pub recipient: Phone,
    pub labels: Labels,
    pub code_length: i16,
}

/// A message that is locked, with what its sender needs. What the app attached is not read.
#[derive(Clone, Debug)]
pub struct LockedMessage {
    pub message: Message,
    pub recipient: Phone,
}

/// A row of `messages` with its attempts.
pub trait WithAttempts {
    fn message(&self) -> &Message;
    fn message_mut(&mut self) -> &mut Message;
}

impl WithAttempts for StoredMessage {
    fn message(&self) -> &Message {
        &self.message
    }

    fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }
}

impl WithAttempts for LockedMessage {
    fn message(&self) -> &Message {
        &self.message
    }

    fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }
}

/// What the app told about a message, kept as given.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    pub purpose: String,
    pub locale: Option<String>,
    pub reference: Option<String>,
    /// A JSON object, in the very words of the app.
    pub metadata: Option<Box<RawValue>>,
    pub client: Option<Value>,
}

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
    wrong_tries: i16,
    max_tries: i16,
    delivery_inferred: bool,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

/// What readers of a message see besides.
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
    /// Its attempts are still to come.
    fn into_message(self) -> Result<LockedMessage, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt { what: format!("messages {}: {what}", self.message_id) };
        let id = MessageId::from_uuid(self.message_id).ok_or_else(|| corrupt("message_id"))?;
        let recipient = Phone::from_stored(&self.recipient, &self.country, self.calling_code_len)
            .ok_or_else(|| corrupt("recipient"))?;
        let route: Route = serde_json::from_value(self.route)
            .map_err(|_| StoreError::Corrupt { what: format!("messages {}: route", self.message_id) })?;
        let message = Message {
            id,
            app: self.app,
            state: word::<State>("messages.state", &self.state)?,
            outcome: Outcome::read(&self.outcome),
            created_at: self.created_at,
            expires_at: self.expires_at,
            settled_at: self.settled_at,
            delivery_inferred: self.delivery_inferred,
            wrong_tries: self.wrong_tries,
            max_tries: self.max_tries,
            code: CodeAtRest { key_id: self.code_key_id, hash: self.code_hash, sealed: self.code_sealed },
            route,
            code_given: self.code_given,
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

/// Messages that were asked for by their ids.
#[derive(Debug)]
pub struct Found<M> {
    pub messages: Vec<M>,
    /// Those whose row, or an attempt's, fits none of our words: a newer program wrote it, or somebody by hand.
    pub unreadable: Vec<(MessageId, StoreError)>,
}

impl<M> Found<M> {
    fn of(rows: impl IntoIterator<Item = (Uuid, Result<M, StoreError>)>) -> Self {
        let mut found = Self { messages: Vec::new(), unreadable: Vec::new() };
        for (uuid, row) in rows {
            match (row, MessageId::from_uuid(uuid)) {
                (Ok(message), _) => found.messages.push(message),
                (Err(error), Some(id)) => found.unreadable.push((id, error)),
                (Err(error), None) => tracing::error!(%error, "a message has an id that no message can have"),
            }
        }
        found
    }
}

/// Locks messages. Every change of a message or of its attempts happens under this lock. Their attempts are read afterwards,
/// with [`crate::store::attempts::load`], by a statement of its own: only that one sees what was committed before.
///
/// Nobody waits: a message that somebody else holds is left out, as is one that does not exist; [`existing`] tells which. So
/// a lock that is held for long stops nothing but the messages that it holds, and two lockers never wait for each other.
pub async fn lock(connection: &mut Session, ids: &[MessageId]) -> Result<Found<LockedMessage>, StoreError> {
    let (buckets, uuids) = keys(ids);
    let rows = sqlx::query_as!(
        LockedRow,
        r#"-- messages.lock
        select m.message_id, m.app, m.recipient, m.country, m.calling_code_len, m.state::text as "state!", m.outcome, m.route,
               m.code_key_id, m.code_hash, m.code_sealed, m.code_given, m.wrong_tries, m.max_tries, m.delivery_inferred,
               m.created_at, m.expires_at, m.settled_at
          from messages m
         where (m.bucket, m.message_id) in (select * from unnest($1::smallint[], $2::uuid[]))
           for no key update of m skip locked"#,
        &buckets,
        &uuids
    )
    .fetch_all(connection)
    .await?;
    Ok(Found::of(rows.into_iter().map(|row| (row.message_id, row.into_message()))))
}

/// Those of the messages that exist.
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
    let rows = sqlx::query_as!(
        LockedRow,
        r#"-- messages.read
        select m.message_id, m.app, m.recipient, m.country, m.calling_code_len, m.state::text as "state!", m.outcome, m.route,
               m.code_key_id, m.code_hash, m.code_sealed, m.code_given, m.wrong_tries, m.max_tries, m.delivery_inferred,
               m.created_at, m.expires_at, m.settled_at
          from messages m
         where (m.bucket, m.message_id) in (select * from unnest($1::smallint[], $2::uuid[]))"#,
        &buckets,
        &uuids
    )
    .fetch_all(&mut connection)
    .await?;
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
    crate::store::attempts::load(&mut connection, &mut found).await?;
    Ok(found)
}

/// One message of an app, with its attempts. `None` when this app has no such message.
pub async fn find(pool: &Database, app: &str, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
    let Found { mut messages, mut unreadable } = read(pool, &[id]).await?;
    match unreadable.pop() {
        Some((_, error)) => Err(error),
        None => Ok(messages.pop().filter(|found| found.message.app == app)),
    }
}

/// What a list of messages may be narrowed to.
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

/// Most rows that one request looks at, whatever it asks for.
const LOOK: i64 = 5_000;

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    pub messages: Vec<StoredMessage>,
    /// Where the next part begins. `None`: nothing follows. A part may be shorter than was asked for and be followed by
    /// others, where few of many messages are looked for.
    pub next: Option<MessageId>,
}

/// An app's messages, newest first, with their attempts; at most `limit`, found among at most [`LOOK`] rows.
pub async fn list(pool: &Database, app: &str, filter: &Filter, limit: i64) -> Result<Page, StoreError> {
    // The id begins with the time to the millisecond, so the index finds where to begin and to end.
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
           and ($3::text is null or m.outcome = $3)
           and ($4::text is null or m.country = $4)
           and ($5::text is null or exists (select from attempts a where a.bucket = m.bucket
                                               and a.message_id = m.message_id and a.channel = $5))
           and ($7::timestamptz is null or m.created_at >= $7)
           and ($8::timestamptz is null or m.created_at < $8)
         order by m.message_id desc limit $10",
        app,
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
        // All rows were looked at: the last of them, when there may be more behind it.
        let last = sqlx::query_scalar!(
            "-- messages.last_looked_at
            select o.message_id from messages o
             where o.app = $1 and ($2::text is null or o.reference = $2)
               and ($3::uuid is null or o.message_id < $3) and ($4::uuid is null or o.message_id >= $4)
             order by o.message_id desc offset $5 limit 1",
            app,
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

/// Stores new messages, each with its first attempt, in one statement. One that is there already stays as it is.
pub async fn insert(pool: &Database, new: &[Arc<StoredMessage>]) -> Result<(), StoreError> {
    // In the order of their keys, so that two groups cannot wait for each other.
    let mut new: Vec<&StoredMessage> = new.iter().map(|m| &**m).collect();
    new.sort_by_key(|m| (m.message.id.bucket().as_i16(), m.message.id));
    let number = |f: fn(&StoredMessage) -> i16| new.iter().map(|m| f(m)).collect::<Vec<i16>>();
    let text = |f: for<'b> fn(&'b StoredMessage) -> &'b str| new.iter().map(|m| f(m)).collect::<Vec<&str>>();
    let maybe = |f: for<'b> fn(&'b StoredMessage) -> Option<&'b str>| new.iter().map(|m| f(m)).collect::<Vec<_>>();
    let clients: Vec<Option<&Value>> = new.iter().map(|m| m.labels.client.as_ref()).collect();
    let time = |f: fn(&StoredMessage) -> DateTime<Utc>| new.iter().map(|m| f(m)).collect::<Vec<_>>();
    let ids: Vec<Uuid> = new.iter().map(|m| m.message.id.uuid()).collect();
    let attempt_ids: Vec<Uuid> = new.iter().map(|m| m.message.id.attempt(m.message.last().attempt_no).uuid()).collect();
    let routes = new.iter().map(|m| serde_json::to_value(&m.message.route)).collect::<Result<Vec<Value>, _>>();
    let routes = routes.map_err(|error| StoreError::Corrupt { what: format!("route: {error}") })?;
    let hashes: Vec<&[u8]> = new.iter().map(|m| m.message.code.hash.as_slice()).collect();
    let sealed: Vec<Option<&[u8]>> = new.iter().map(|m| m.message.code.sealed.as_deref()).collect();
    let due: Vec<Option<DateTime<Utc>>> = new.iter().map(|m| m.message.last().due_at).collect();
    let replace_at: Vec<Option<DateTime<Utc>>> = new.iter().map(|m| m.message.last().replace_at).collect();
    let given: Vec<bool> = new.iter().map(|m| m.message.code_given).collect();
    sqlx::query!(
        "-- messages.insert
        with n as (
            select * from unnest($1::smallint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::smallint[],
                                 $7::text[], $8::text[], $9::text[], $10::text[], $11::jsonb[], $12::jsonb[],
                                 $13::smallint[], $14::bytea[], $15::bytea[], $16::smallint[], $17::smallint[],
                                 $18::timestamptz[], $19::timestamptz[], $20::smallint[], $21::uuid[], $22::smallint[],
                                 $23::text[], $24::text[], $25::text[], $26::timestamptz[], $27::timestamptz[],
                                 $28::text[], $29::timestamptz[], $30::boolean[])
                       as n (bucket, message_id, app, recipient, country, calling_code_len, purpose, locale, reference,
                             metadata_text, client, route, code_key_id, code_hash, code_sealed, code_length, max_tries,
                             created_at, expires_at, attempt_no, attempt_id, step, channel, account, reason, planned_at,
                             due_at, timer, replace_at, code_given)
        ), new_messages as (
            insert into messages (bucket, message_id, app, recipient, country, calling_code_len, purpose, locale,
                                  reference, metadata_text, client, route, code_key_id, code_hash, code_sealed,
                                  code_length, max_tries, created_at, expires_at, code_given)
            select bucket, message_id, app, recipient, country, calling_code_len, purpose, locale, reference,
                   metadata_text, client, route, code_key_id, code_hash, code_sealed, code_length, max_tries, created_at,
                   expires_at, code_given
              from n
            on conflict (bucket, message_id) do nothing
            returning bucket, message_id
        )
        insert into attempts (bucket, message_id, attempt_no, attempt_id, app, step, channel, account, reason,
                              planned_at, due_at, timer, replace_at)
        select bucket, message_id, n.attempt_no, n.attempt_id, n.app, n.step, n.channel, n.account, n.reason, n.planned_at,
               n.due_at, n.timer, n.replace_at
          from n join new_messages using (bucket, message_id)",
        &number(|m| m.message.id.bucket().as_i16()),
        &ids,
        &text(|m| &m.message.app) as _,
        &text(|m| m.recipient.e164()) as _,
        &text(|m| m.recipient.country()) as _,
        &number(|m| m.recipient.calling_code().len() as i16),
        &text(|m| &m.labels.purpose) as _,
        &maybe(|m| m.labels.locale.as_deref()) as _,
        &maybe(|m| m.labels.reference.as_deref()) as _,
        &maybe(|m| m.labels.metadata.as_deref().map(RawValue::get)) as _,
        &clients as _,
        &routes,
        &number(|m| m.message.code.key_id),
        &hashes as _,
        &sealed as _,
        &number(|m| m.code_length),
        &number(|m| m.message.max_tries),
        &time(|m| m.message.created_at),
        &time(|m| m.message.expires_at),
        &number(|m| m.message.last().attempt_no),
        &attempt_ids,
        &number(|m| m.message.last().step),
        &text(|m| m.message.last().channel.as_str()) as _,
        &text(|m| &m.message.last().account) as _,
        &text(|m| m.message.last().reason.as_str()) as _,
        &time(|m| m.message.last().planned_at),
        &due as _,
        &text(|m| m.message.last().timer.as_str()) as _,
        &replace_at as _,
        &given
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// When the next life ends.
pub async fn next_end(pool: &Database) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!("-- messages.next_end\nselect min(expires_at) from messages where outcome = 'pending'")
        .fetch_one(pool)
        .await?)
}

pub(crate) fn message_id(uuid: Uuid) -> Result<MessageId, StoreError> {
    MessageId::from_uuid(uuid).ok_or_else(|| StoreError::Corrupt { what: format!("message_id {uuid}") })
}

/// The two columns of a list of keys.
pub(crate) fn keys(ids: &[MessageId]) -> (Vec<i16>, Vec<Uuid>) {
    ids.iter().map(|id| (id.bucket().as_i16(), id.uuid())).unzip()
}
