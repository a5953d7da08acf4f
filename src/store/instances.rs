//! Table `instances`: the live processes.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::database::Database;

/// How long the row of a dead instance is kept.
const KEEP: TimeDelta = TimeDelta::minutes(10);

/// Records that `instance` lives now, and returns the number of live ones: itself and those seen after `alive_since`.
pub async fn beat(
    pool: &Database,
    instance: Uuid,
    now: DateTime<Utc>,
    alive_since: DateTime<Utc>,
) -> Result<u32, StoreError> {
    let others = sqlx::query_scalar!(
        r#"-- instances.beat
        with me as (
            insert into instances (instance, seen_at) values ($1, $2)
            on conflict (instance) do update set seen_at = excluded.seen_at
        ), gone as (
            delete from instances where seen_at < $4 and instance <> $1
        )
        select count(*) as "others!" from instances where instance <> $1 and seen_at > $3"#,
        instance,
        now,
        alive_since,
        now - KEEP
    )
    .fetch_one(pool)
    .await?;
    Ok(1 + u32::try_from(others).unwrap_or(u32::MAX - 1))
}

/// Records that `instance` stops.
pub async fn leave(pool: &Database, instance: Uuid) -> Result<(), StoreError> {
    sqlx::query!("-- instances.leave\ndelete from instances where instance = $1", instance).execute(pool).await?;
    Ok(())
}
