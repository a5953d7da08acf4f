//! Table `messages`, as read for requests that wait for a message.

use crate::domain::attempt::State;
use crate::domain::ids::MessageId;
use crate::domain::message::Outcome;
use crate::store::database::Database;
use crate::store::{StoreError, word};

/// Current state of these messages, read as cheaply as possible. Unknown ones are left out.
pub async fn standing(pool: &Database, ids: &[MessageId]) -> Result<Vec<(MessageId, State, Outcome)>, StoreError> {
    let buckets: Vec<i16> = ids.iter().map(|id| id.bucket().as_i16()).collect();
    let uuids: Vec<uuid::Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"-- watched.standing
        select m.message_id, m.state::text as "state!", m.outcome
          from unnest($1::smallint[], $2::uuid[]) as w (bucket, message_id)
          join messages m on m.bucket = w.bucket and m.message_id = w.message_id"#,
        &buckets,
        &uuids
    )
    .fetch_all(pool)
    .await?;
    // An unknown state is left out: the request then gets the message when its time is over.
    let known = rows.into_iter().filter_map(|row| {
        let id = MessageId::from_uuid(row.message_id)?;
        Some((id, word("messages.state", &row.state).ok()?, Outcome::read(&row.outcome)))
    });
    Ok(known.collect())
}
