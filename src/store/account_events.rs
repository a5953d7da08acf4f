//! Table `account_events`: beginnings and ends of an account's silence or slowness.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::health::AccountEvent;
use crate::store::database::Database;
use crate::store::{StoreError, word};

/// Writes an event, unless another instance has written it already, that is, unless the latest event of its kind is the
/// same. Returns whether it was new.
pub async fn append(
    pool: &Database,
    account: &str,
    event: AccountEvent,
    at: DateTime<Utc>,
    detail: &Value,
) -> Result<bool, StoreError> {
    let mut transaction = pool.begin().await?;
    // Events are rare, and concurrent writers must see each other's.
    sqlx::query!("lock table account_events in share row exclusive mode").execute(&mut transaction).await?;
    let done = sqlx::query!(
        "-- account_events.append
        insert into account_events (account, event, at, detail)
        select $1::text, $2::text, $4::timestamptz, $5::jsonb
         where (select event from account_events where account = $1 and event in ($2, $3) order by at desc limit 1)
               is distinct from $2
        on conflict do nothing",
        account,
        event.as_str(),
        event.opposite().as_str(),
        at,
        detail
    )
    .execute(&mut transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() > 0)
}

/// For each account, the latest of `event` and its opposite, with its time.
pub async fn latest(
    pool: &Database,
    event: AccountEvent,
) -> Result<Vec<(String, AccountEvent, DateTime<Utc>)>, StoreError> {
    let rows = sqlx::query!(
        "-- account_events.latest
        select distinct on (account) account, event, at from account_events where event in ($1, $2)
         order by account, at desc",
        event.as_str(),
        event.opposite().as_str()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((row.account, word("account_events.event", &row.event)?, row.at))).collect()
}
