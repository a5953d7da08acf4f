//! Table `provider_ids`: which attempt a provider means by its own id.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::ids::AttemptId;
use crate::store::database::{Database, Session};
use crate::store::{StoreError, slot};

/// An id of a provider, with the attempt it names.
#[derive(Clone, Debug)]
pub struct ProviderId {
    pub account: String,
    pub provider_message_id: String,
    pub attempt: AttemptId,
}

/// Remembers ids. One that is known keeps its first meaning.
pub async fn insert(connection: &mut Session, ids: &[ProviderId], now: DateTime<Utc>) -> Result<(), StoreError> {
    let slots: Vec<i16> = ids.iter().map(|id| slot(&[&id.account, &id.provider_message_id])).collect();
    let accounts: Vec<&str> = ids.iter().map(|id| id.account.as_str()).collect();
    let names: Vec<&str> = ids.iter().map(|id| id.provider_message_id.as_str()).collect();
    let attempts: Vec<Uuid> = ids.iter().map(|id| id.attempt.uuid()).collect();
    sqlx::query!(
        "-- provider_ids.insert
        insert into provider_ids (slot, account, provider_message_id, attempt_id, created_at)
        select slot, account, name, attempt_id, $5
          from unnest($1::smallint[], $2::text[], $3::text[], $4::uuid[]) as n (slot, account, name, attempt_id)
        on conflict do nothing",
        &slots,
        &accounts as _,
        &names as _,
        &attempts,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The attempts that this account's provider means by these ids; unknown ids are left out.
pub async fn find(pool: &Database, account: &str, names: &[&str]) -> Result<HashMap<String, AttemptId>, StoreError> {
    let slots: Vec<i16> = names.iter().map(|name| slot(&[account, name])).collect();
    let rows = sqlx::query!(
        "-- provider_ids.find
        select provider_message_id, attempt_id from provider_ids
         where account = $1
           and (slot, provider_message_id) in (select * from unnest($2::smallint[], $3::text[]))",
        account,
        &slots,
        names as _
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let attempt = AttemptId::parse(&row.attempt_id.to_string())
                .ok_or_else(|| StoreError::Corrupt { what: format!("provider_ids.attempt_id {}", row.attempt_id) })?;
            Ok((row.provider_message_id, attempt))
        })
        .collect()
}
