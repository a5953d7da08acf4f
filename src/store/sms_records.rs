//! Table `sms_records`: SMS that left and codes that came back, of a range of numbers, a country and an app.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::app_id::AppId;
use crate::domain::limits::Counter;
use crate::domain::pumping::SmsRecord;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};
use crate::store::{StoreError, slot};

/// Whose record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    pub app: AppId,
    pub counter: Counter,
    /// At most 64 characters.
    pub key: String,
}

impl RecordKey {
    fn slot(&self) -> i16 {
        slot(&[self.app.as_str(), self.counter.as_str(), &self.key])
    }
}

/// A record as it was read, or as it is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versioned {
    /// Of the row that was read; 0 if there is none.
    pub version: i64,
    pub record: SmsRecord,
}

/// The records of these keys; those that do not exist are empty. Nothing is locked: whoever writes names the version it has read.
pub async fn read(connection: &mut Session, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Versioned>, StoreError> {
    let slots: Vec<i16> = keys.iter().map(RecordKey::slot).collect();
    let apps: Vec<&str> = keys.iter().map(|key| key.app.as_str()).collect();
    let counters: Vec<&str> = keys.iter().map(|key| key.counter.as_str()).collect();
    let texts: Vec<&str> = keys.iter().map(|key| key.key.as_str()).collect();
    let rows = sqlx::query!(
        "-- sms_records.read
        select app, counter, key, version, record from sms_records
         where (slot, app, counter, key) in (select * from unnest($1::smallint[], $2::text[], $3::text[], $4::text[]))",
        &slots,
        &apps as _,
        &counters as _,
        &texts as _
    )
    .fetch_all(connection)
    .await?;
    let mut records: HashMap<RecordKey, Versioned> =
        keys.iter().map(|key| (key.clone(), Versioned::default())).collect();
    for row in rows {
        let Ok(counter) = row.counter.parse() else { continue };
        let key = RecordKey { app: AppId::stored(&row.app), counter, key: row.key };
        let record = serde_json::from_value(row.record)
            .map_err(|_| StoreError::Corrupt { what: "sms_records.record".to_owned() })?;
        records.insert(key, Versioned { version: row.version, record });
    }
    Ok(records)
}

/// Writes all of these records or none: none, if somebody else wrote one of them since it was read. `changed`: sorted, and each key
/// once. Returns whether they were written. If two write the first record of a key at the same moment, one of them returns `false`
/// and its other records are written all the same: they then count too much, never too little.
pub async fn write(
    connection: &mut Session,
    changed: &[(RecordKey, Versioned)],
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let written = columns!(query_scalar, [now + KEPT_FOR], for (key, versioned) in changed {
            "slot": "smallint" = key.slot(),
            "app": "text" ~ key.app.as_str(),
            "counter": "text" ~ key.counter.as_str(),
            "key": "text" ~ key.key.as_str(),
            "version": "bigint" = versioned.version + 1,
            "record": "jsonb" = serde_json::to_value(&versioned.record).unwrap_or_default(),
        },
        r#"-- sms_records.write
        with w as (
            select * from "# {rows "n"} r#"
        ), held as (
            select o.slot, o.app, o.counter, o.key
              from w join sms_records o using (slot, app, counter, key)
             where o.version = w.version - 1
             order by o.slot, o.app, o.counter, o.key
             for no key update of o
        ), agreed as (
            select (select count(*) from held) = (select count(*) from w where w.version > 1) as yes
        ), updated as (
            update sms_records o set version = w.version, record = w.record, forget_at = $1
              from w, agreed
             where agreed.yes and w.version > 1 and (o.slot, o.app, o.counter, o.key) = (w.slot, w.app, w.counter, w.key)
            returning 1
        ), inserted as (
            insert into sms_records ("# {names} r#", forget_at)
            select w.*, $1 from w, agreed where agreed.yes and w.version = 1
            on conflict (slot, app, counter, key) do nothing
            returning 1
        )
        select (select count(*) from updated) + (select count(*) from inserted) as "written!""#
    )
    .fetch_one(connection)
    .await?;
    Ok(written == changed.len() as i64)
}

/// Longer than the days by which a budget is set.
const KEPT_FOR: TimeDelta = TimeDelta::days(16);

/// Deletes at most `limit` expired records. Returns how many.
pub async fn forget(pool: &Database, now: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- sms_records.forget
        delete from sms_records
         where (slot, app, counter, key) in
               (select slot, app, counter, key from sms_records where forget_at <= $1 limit $2)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
