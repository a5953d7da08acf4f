//! Table `account_pulse`: attempts by the second in which their provider accepted them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::health::counts::{Counts, Slot};
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::Database;

/// What one instance counted.
#[derive(Clone, Debug)]
pub struct PulseRow {
    pub account: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    pub slot: Slot,
}

/// Writes the total that `instance` has counted in each of these slots; writing it again changes nothing.
pub async fn write(pool: &Database, instance: Uuid, rows: &[PulseRow]) -> Result<(), StoreError> {
    columns!(query, [instance], for row in rows {
            "account": "text" ~ row.account.as_str(),
            "country": "text" ~ row.country.as_str(),
            "slot_at": "timestamptz" = row.slot.at,
            "sent": "bigint" = row.slot.counts.sent,
            "heard": "bigint" = row.slot.counts.heard,
            "prompt": "bigint" = row.slot.counts.prompt,
            "delivered": "bigint" = row.slot.counts.delivered,
            "in_time": "bigint" = row.slot.counts.in_time,
        },
        "-- account_pulse.write
        insert into account_pulse (" {names} ", instance)
        select n.*, $1 from " {rows "n"} "
        on conflict (account, country, slot_at, instance) do update
           set sent = excluded.sent, heard = excluded.heard, prompt = excluded.prompt, delivered = excluded.delivered,
               in_time = excluded.in_time"
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Each account's slots from `from` on, summed over all instances and countries, in time order.
pub async fn seconds(pool: &Database, from: DateTime<Utc>) -> Result<Vec<(String, Slot)>, StoreError> {
    let rows = sqlx::query_as!(
        SlotRow,
        r#"-- account_pulse.seconds
        select account, slot_at as "at!", sum(sent)::bigint as "sent!", sum(heard)::bigint as "heard!",
               sum(prompt)::bigint as "prompt!", sum(delivered)::bigint as "delivered!", sum(in_time)::bigint as "in_time!"
          from account_pulse where slot_at >= $1 group by account, slot_at order by slot_at"#,
        from
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(SlotRow::into_slot).collect())
}

/// The same in slots of ten seconds ([`crate::domain::health::pace::BIN`]).
pub async fn bins(pool: &Database, from: DateTime<Utc>) -> Result<Vec<(String, Slot)>, StoreError> {
    let rows = sqlx::query_as!(
        SlotRow,
        r#"-- account_pulse.bins
        select account, date_bin('10 seconds', slot_at, timestamptz '2020-01-01 00:00:00Z') as "at!", sum(sent)::bigint as "sent!",
               sum(heard)::bigint as "heard!", sum(prompt)::bigint as "prompt!", sum(delivered)::bigint as "delivered!",
               sum(in_time)::bigint as "in_time!"
          from account_pulse where slot_at >= $1 group by 1, 2 order by 2"#,
        from
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(SlotRow::into_slot).collect())
}

/// Sums by account and country over slots from `from` to before `until`.
pub async fn countries(
    pool: &Database,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<(String, String, Counts)>, StoreError> {
    let rows = sqlx::query!(
        r#"-- account_pulse.countries
        select account, country, sum(sent)::bigint as "sent!", sum(heard)::bigint as "heard!",
               sum(prompt)::bigint as "prompt!", sum(delivered)::bigint as "delivered!", sum(in_time)::bigint as "in_time!"
          from account_pulse where slot_at >= $1 and slot_at < $2 group by account, country"#,
        from,
        until
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let counts = Counts {
                sent: row.sent,
                heard: row.heard,
                prompt: row.prompt,
                delivered: row.delivered,
                in_time: row.in_time,
            };
            (row.account, row.country, counts)
        })
        .collect())
}

/// Number of an account's attempts since `from` that were accepted and never confirmed.
pub async fn unheard(pool: &Database, account: &str, from: DateTime<Utc>) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"-- account_pulse.unheard
        select greatest(coalesce(sum(sent) - sum(heard), 0), 0)::bigint as "unheard!"
          from account_pulse where account = $1 and slot_at >= $2"#,
        account,
        from
    )
    .fetch_one(pool)
    .await?)
}

/// Deletes at most `limit` slots older than `before`. Returns how many.
pub async fn forget(pool: &Database, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- account_pulse.forget
        delete from account_pulse
         where (account, country, slot_at, instance)
            in (select account, country, slot_at, instance from account_pulse where slot_at < $1 limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

struct SlotRow {
    account: String,
    at: DateTime<Utc>,
    sent: i64,
    heard: i64,
    prompt: i64,
    delivered: i64,
    in_time: i64,
}

impl SlotRow {
    fn into_slot(self) -> (String, Slot) {
        let Self { account, at, sent, heard, prompt, delivered, in_time } = self;
        (account, Slot { at, counts: Counts { sent, heard, prompt, delivered, in_time } })
    }
}
