//! Table `provider_ids`: the attempt that each provider message id belongs to.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::domain::ids::AttemptId;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};
use crate::store::{StoreError, slot};

/// A provider's id and the attempt it belongs to.
#[derive(Clone, Debug)]
pub struct ProviderId {
    pub account: String,
    pub provider_message_id: String,
    pub attempt: AttemptId,
}

/// Stores ids. A known id keeps its attempt.
pub async fn insert(connection: &mut Session, ids: &[ProviderId], now: DateTime<Utc>) -> Result<(), StoreError> {
    columns!(query, [now], for id in ids {
            "slot": "smallint" = slot(&[&id.account, &id.provider_message_id]),
            "account": "text" ~ id.account.as_str(),
            "provider_message_id": "text" ~ id.provider_message_id.as_str(),
            "attempt_id": "uuid" = id.attempt.uuid(),
        },
        "-- provider_ids.insert
        insert into provider_ids (" {names} ", created_at)
        select n.*, $1 from " {rows "n"} "
        on conflict do nothing"
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The attempts that these ids of this account's provider belong to; unknown ids are left out.
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
