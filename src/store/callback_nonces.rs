//! Table `callback_nonces`: names of callbacks that count once.

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::database::Database;
use crate::store::{StoreError, slot};

/// A reservation without a result after this time belongs to a process that died.
const ABANDONED_AFTER: TimeDelta = TimeDelta::seconds(10);

/// Result of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The caller may process the callback.
    Ours,
    /// Another request is processing the same callback.
    UnderWay,
    /// It was processed, and is durable.
    Taken,
    /// The name was used with another body before.
    OtherBody,
}

#[derive(Clone, Copy, Debug)]
pub struct Nonce<'a> {
    pub account: &'a str,
    pub name: &'a str,
    /// SHA-256.
    pub body_hash: &'a [u8],
}

impl Nonce<'_> {
    fn slot(&self) -> i16 {
        slot(&[self.account, self.name])
    }
}

/// Reserves a name for one callback. A repeat before the result is `UnderWay`.
pub async fn reserve(
    pool: &Database,
    nonce: Nonce<'_>,
    now: DateTime<Utc>,
    valid_until: DateTime<Utc>,
) -> Result<Reservation, StoreError> {
    let ours = sqlx::query_scalar!(
        r#"-- callback_nonces.reserve
        insert into callback_nonces as n (slot, account, name, body_hash, reserved_at, valid_until)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (slot, account, name) do update set reserved_at = excluded.reserved_at
         where n.taken_at is null and n.body_hash = excluded.body_hash and n.reserved_at <= $7
        returning 1 as "ours!""#,
        nonce.slot(),
        nonce.account,
        nonce.name,
        nonce.body_hash,
        now,
        valid_until,
        now - ABANDONED_AFTER
    )
    .fetch_optional(pool)
    .await?;
    if ours.is_some() {
        return Ok(Reservation::Ours);
    }
    let row = sqlx::query!(
        "-- callback_nonces.find
        select body_hash, taken_at from callback_nonces where slot = $1 and account = $2 and name = $3",
        nonce.slot(),
        nonce.account,
        nonce.name
    )
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        Some(row) if row.body_hash != nonce.body_hash => Reservation::OtherBody,
        Some(row) if row.taken_at.is_some() => Reservation::Taken,
        // Without a row: deleted meanwhile.
        _ => Reservation::UnderWay,
    })
}

/// Records that the callback is durable.
pub async fn mark_taken(pool: &Database, nonce: Nonce<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "-- callback_nonces.mark_taken
        update callback_nonces set taken_at = $4 where slot = $1 and account = $2 and name = $3",
        nonce.slot(),
        nonce.account,
        nonce.name,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Releases a name whose callback could not be made durable, so that the provider's repeat is accepted at once. The
/// hash of the body stays, so another body is still refused. `reserved_at`: time of the caller's own reservation; one
/// that was taken over meanwhile is not released.
pub async fn give_back(pool: &Database, nonce: Nonce<'_>, reserved_at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "-- callback_nonces.give_back
        update callback_nonces set reserved_at = $5
         where slot = $1 and account = $2 and name = $3 and taken_at is null and reserved_at = $4",
        nonce.slot(),
        nonce.account,
        nonce.name,
        reserved_at,
        reserved_at - ABANDONED_AFTER
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes at most `limit` names so old that the callback would be refused for its age. Returns how many.
pub async fn forget(pool: &Database, now: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- callback_nonces.forget
        delete from callback_nonces
         where (slot, account, name)
            in (select slot, account, name from callback_nonces where valid_until < $1 limit $2)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
