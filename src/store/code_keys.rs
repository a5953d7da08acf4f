//! Table `code_keys`: the secret that each code key id belongs to, and whether an instance has it.

use chrono::{DateTime, Utc};

use crate::domain::code_keys::KeyFingerprint;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::Database;

/// A key as the database records it.
pub struct KnownKey {
    pub key_id: i16,
    pub fingerprint: Vec<u8>,
}

/// Live messages under a key.
pub struct LiveUnder {
    pub key_id: i16,
    pub messages: i64,
    /// When the last of them ends.
    pub until: DateTime<Utc>,
    /// When an instance last had the key; `None`: never recorded.
    pub held_at: Option<DateTime<Utc>>,
}

/// Records new ids. The first writer decides which secret an id belongs to.
pub async fn register(pool: &Database, keys: &[KeyFingerprint], now: DateTime<Utc>) -> Result<(), StoreError> {
    columns!(query, [now], for key in keys {
            "key_id": "smallint" = key.key_id,
            "fingerprint": "bytea" ~ key.hash.as_slice(),
        },
        "-- code_keys.register
        insert into code_keys (" {names} ", first_used_at, held_at)
        select n.*, $1, $1 from " {rows "n"} "
         order by key_id
        on conflict (key_id) do nothing"
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What is recorded about these ids.
pub async fn known(pool: &Database, ids: &[i16]) -> Result<Vec<KnownKey>, StoreError> {
    Ok(sqlx::query_as!(
        KnownKey,
        "-- code_keys.known
        select key_id, fingerprint from code_keys where key_id = any($1) order by key_id",
        ids
    )
    .fetch_all(pool)
    .await?)
}

/// Records that an instance has these keys, unless that was recorded after `noted_since`: one of many instances writes.
pub async fn hold(
    pool: &Database,
    ids: &[i16],
    now: DateTime<Utc>,
    noted_since: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "-- code_keys.hold
        update code_keys set held_at = $2 where key_id = any($1) and held_at < $3",
        ids,
        now,
        noted_since
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The keys that an instance last had between these times.
pub async fn let_go(pool: &Database, after: DateTime<Utc>, before: DateTime<Utc>) -> Result<Vec<i16>, StoreError> {
    Ok(sqlx::query_scalar!(
        "-- code_keys.let_go
        select key_id from code_keys where held_at > $1 and held_at < $2 order by key_id",
        after,
        before
    )
    .fetch_all(pool)
    .await?)
}

/// The live messages whose codes are under none of these keys.
pub async fn live_under_others(pool: &Database, ids: &[i16], now: DateTime<Utc>) -> Result<Vec<LiveUnder>, StoreError> {
    Ok(sqlx::query_as!(
        LiveUnder,
        r#"-- code_keys.live_under_others
        select o.key_id as "key_id!", o.messages as "messages!", o.until as "until!", k.held_at as "held_at?"
          from (select m.code_key_id as key_id, count(*) as messages, max(m.expires_at) as until
                  from messages m
                 where m.outcome = 'pending' and m.expires_at > $2 and m.code_key_id <> all ($1)
                 group by m.code_key_id) o
          left join code_keys k on k.key_id = o.key_id
         order by 1"#,
        ids,
        now
    )
    .fetch_all(pool)
    .await?)
}
