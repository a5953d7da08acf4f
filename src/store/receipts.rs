//! Tables `receipts` (of known attempts) and `unmatched_receipts` (of ids that are not known yet).

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::app_id::AppId;
use crate::domain::ids::{AttemptId, MessageId};
use crate::domain::receipt::{DeliveryReceipt, Disposition, ErrorClass, Failure, Scope};
use crate::store::columns::columns;
use crate::store::database::{Database, Session};
use crate::store::{StoreError, slot, word};

/// A receipt as it was received.
#[derive(Clone, Debug)]
pub struct ReceivedReceipt {
    /// UUIDv7, drawn on arrival; stays the same when the receipt is matched later.
    pub receipt_id: Uuid,
    pub callback_id: Uuid,
    /// The account whose address received it.
    pub account: String,
    /// Other accounts whose settings also prove the callback: it may contain receipts of their attempts.
    pub proved_too: Vec<String>,
    pub received_at: DateTime<Utc>,
    pub receipt: DeliveryReceipt,
}

impl ReceivedReceipt {
    /// Whether it may concern this account's attempts.
    pub fn speaks_for(&self, account: &str) -> bool {
        self.account == account || self.proved_too.iter().any(|other| other == account)
    }

    /// All accounts whose attempts it may concern.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.account.as_str()).chain(self.proved_too.iter().map(String::as_str))
    }
}

/// A receipt with its attempt.
#[derive(Clone, Debug)]
pub struct MatchedReceipt<'a> {
    pub received: &'a ReceivedReceipt,
    pub message: MessageId,
    pub attempt_no: i16,
    pub app: &'a AppId,
    /// The attempt's account.
    pub account: &'a str,
    pub disposition: Disposition,
}

/// Number of receipts of a message beyond which repeats are not stored: providers repeat unanswered callbacks for days.
const REPEATS_KEPT: i64 = 100;

/// Stores receipts of known attempts. An existing one stays unchanged, and repeats beyond `REPEATS_KEPT` are left
/// out. Returns how many were not stored.
pub async fn insert(connection: &mut Session, receipts: &[MatchedReceipt<'_>]) -> Result<u64, StoreError> {
    let done = columns!(query, [REPEATS_KEPT], for r in receipts {
            "bucket": "smallint" = r.message.bucket().as_i16(),
            "receipt_id": "uuid" = r.received.receipt_id,
            "message_id": "uuid" = r.message.uuid(),
            "attempt_no": "smallint" = r.attempt_no,
            "app": "text" ~ r.app.as_str(),
            "account": "text" ~ r.account,
            "callback_id": "uuid" = r.received.callback_id,
            "status": "text" ~ r.received.receipt.status.as_str(),
            "disposition": "text" ~ r.disposition.as_str(),
            "provider_message_id": "text" ~ r.received.receipt.provider_message_id.as_str(),
            "provider_at": "timestamptz" ~ r.received.receipt.provider_at,
            "received_at": "timestamptz" = r.received.received_at,
            "error_code": "text" ~ r.received.receipt.failure.as_ref().map(|failure| failure.code.as_str()),
            "error_class": "text" ~ r.received.receipt.failure.as_ref().map(|failure| failure.class.as_str()),
        },
        "-- receipts.insert
        insert into receipts (" {names} ")
        select n.* from " {rows "n"} "
         where n.disposition <> 'duplicate'
            or (select count(*) from (select from receipts r where r.bucket = n.bucket and r.message_id = n.message_id
                                       limit $1) k) < $1
        on conflict do nothing"
    )
    .execute(connection)
    .await?;
    Ok((receipts.len() as u64).saturating_sub(done.rows_affected()))
}

/// A stored receipt of a known attempt, for the timeline. The words are as stored: a newer version may have others.
#[derive(Clone, Debug)]
pub struct PastReceipt {
    pub attempt_no: i16,
    pub status: String,
    pub disposition: String,
    pub provider_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    pub error_code: Option<String>,
    pub error_class: Option<String>,
}

/// All stored receipts of a message, in the order of arrival.
pub async fn of_message(pool: &Database, message: MessageId) -> Result<Vec<PastReceipt>, StoreError> {
    let rows = sqlx::query_as!(
        PastReceipt,
        "-- receipts.of_message
        select attempt_no, status, disposition, provider_at, received_at, error_code, error_class
          from receipts where bucket = $1 and message_id = $2 order by received_at, receipt_id",
        message.bucket().as_i16(),
        message.uuid()
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Stores receipts with unknown ids until the id is known.
pub async fn insert_unmatched(pool: &Database, receipts: &[ReceivedReceipt]) -> Result<(), StoreError> {
    columns!(query, [], for r in receipts {
            "slot": "smallint" = slot(&[&r.account, &r.receipt.provider_message_id]),
            "receipt_id": "uuid" = r.receipt_id,
            "account": "text" ~ r.account.as_str(),
            "provider_message_id": "text" ~ r.receipt.provider_message_id.as_str(),
            "attempt_id": "uuid" ~ r.receipt.attempt_id.map(AttemptId::uuid),
            "callback_id": "uuid" = r.callback_id,
            "status": "text" ~ r.receipt.status.as_str(),
            "provider_at": "timestamptz" ~ r.receipt.provider_at,
            "received_at": "timestamptz" = r.received_at,
            "error_code": "text" ~ r.receipt.failure.as_ref().map(|failure| failure.code.as_str()),
            "error_class": "text" ~ r.receipt.failure.as_ref().map(|failure| failure.class.as_str()),
            // Names of accounts contain no comma.
            - "account_names": "text" = r.accounts().collect::<Vec<_>>().join(","),
        },
        "-- unmatched_receipts.insert
        insert into unmatched_receipts (" {names} ", accounts)
        select " {names} ", string_to_array(account_names, ',') from " {rows "n"} "
        on conflict do nothing"
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The receipts that wait for one of these provider ids (account, provider message id), oldest first.
pub async fn unmatched_of(
    pool: &Database,
    provider_ids: &[(String, String)],
) -> Result<Vec<ReceivedReceipt>, StoreError> {
    let slots: Vec<i16> = provider_ids.iter().map(|(account, id)| slot(&[account, id])).collect();
    let (accounts, names): (Vec<&str>, Vec<&str>) =
        provider_ids.iter().map(|(account, id)| (account.as_str(), id.as_str())).unzip();
    let rows = sqlx::query_as!(
        UnmatchedRow,
        "-- unmatched_receipts.of
        select receipt_id, account, provider_message_id, attempt_id, callback_id, status, provider_at, received_at,
               error_code, error_class, accounts, slot, looks
          from unmatched_receipts
         where (slot, account, provider_message_id) in (select * from unnest($1::smallint[], $2::text[], $3::text[]))
         order by received_at, receipt_id",
        &slots,
        &accounts as _,
        &names as _
    )
    .fetch_all(pool)
    .await?;
    Ok(readable(rows))
}

/// Interval to the next check after each check. After the last one, a receipt is only kept.
const LOOK_AGAIN: [TimeDelta; 5] = [
    TimeDelta::seconds(1),
    TimeDelta::seconds(8),
    TimeDelta::seconds(64),
    TimeDelta::seconds(512),
    TimeDelta::seconds(4096),
];

/// Claims waiting receipts that are due for a check, oldest first, and plans their next check. If the instance dies
/// meanwhile, one check is lost.
pub async fn take_up(pool: &Database, now: DateTime<Utc>, limit: i64) -> Result<Vec<ReceivedReceipt>, StoreError> {
    let mut transaction = pool.begin().await?;
    let rows = sqlx::query_as!(
        UnmatchedRow,
        "-- unmatched_receipts.due
        select receipt_id, account, provider_message_id, attempt_id, callback_id, status, provider_at, received_at,
               error_code, error_class, accounts, slot, looks
          from unmatched_receipts
         where looks < 5 and coalesce(look_at, received_at) <= $1
         order by coalesce(look_at, received_at) limit $2
           for update skip locked",
        now,
        limit
    )
    .fetch_all(&mut transaction)
    .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let next = |row: &UnmatchedRow| {
        let looks = usize::try_from(row.looks).unwrap_or(0).min(LOOK_AGAIN.len() - 1);
        now + LOOK_AGAIN[looks]
    };
    columns!(query, [], for row in rows {
            "slot": "smallint" = row.slot,
            "account": "text" ~ row.account.as_str(),
            "provider_message_id": "text" ~ row.provider_message_id.as_str(),
            "receipt_id": "uuid" = row.receipt_id,
            "look_at": "timestamptz" = next(row),
        },
        "-- unmatched_receipts.look_again
        update unmatched_receipts u set looks = u.looks + 1, look_at = n.look_at
          from " {rows "n"} "
         where u.slot = n.slot and u.account = n.account and u.provider_message_id = n.provider_message_id
           and u.receipt_id = n.receipt_id"
    )
    .execute(&mut transaction)
    .await?;
    transaction.commit().await?;
    Ok(readable(rows))
}

/// Leaves out rows with a word of a newer version: they wait for an instance that knows it.
fn readable(rows: Vec<UnmatchedRow>) -> Vec<ReceivedReceipt> {
    rows.into_iter().filter_map(|row| row.into_receipt().ok()).collect()
}

/// Deletes receipts that were matched; they are in `receipts` now.
pub async fn delete_unmatched(pool: &Database, receipts: &[ReceivedReceipt]) -> Result<(), StoreError> {
    let slots: Vec<i16> = receipts.iter().map(|r| slot(&[&r.account, &r.receipt.provider_message_id])).collect();
    let accounts: Vec<&str> = receipts.iter().map(|r| r.account.as_str()).collect();
    let names: Vec<&str> = receipts.iter().map(|r| r.receipt.provider_message_id.as_str()).collect();
    let ids: Vec<Uuid> = receipts.iter().map(|r| r.receipt_id).collect();
    sqlx::query!(
        "-- unmatched_receipts.delete
        delete from unmatched_receipts
         where (slot, account, provider_message_id, receipt_id)
            in (select * from unnest($1::smallint[], $2::text[], $3::text[], $4::uuid[]))",
        &slots,
        &accounts as _,
        &names as _,
        &ids
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes at most `limit` receipts that arrived before `before` and were never matched. Returns how many.
pub async fn forget_unmatched(pool: &Database, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- unmatched_receipts.forget
        delete from unmatched_receipts
         where (slot, account, provider_message_id, receipt_id)
            in (select slot, account, provider_message_id, receipt_id from unmatched_receipts
                 where received_at < $1 limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

struct UnmatchedRow {
    receipt_id: Uuid,
    account: String,
    provider_message_id: String,
    attempt_id: Option<Uuid>,
    callback_id: Uuid,
    status: String,
    provider_at: Option<DateTime<Utc>>,
    received_at: DateTime<Utc>,
    error_code: Option<String>,
    error_class: Option<String>,
    accounts: Vec<String>,
    slot: i16,
    looks: i16,
}

impl UnmatchedRow {
    fn into_receipt(self) -> Result<ReceivedReceipt, StoreError> {
        let class = self.error_class.as_deref().map(ErrorClass::read);
        // The scope is not stored. It is taken as the recipient, so that one person's error cannot close an account for
        // all others.
        let failure = |(code, class)| Failure::new(code, class).about(Scope::Recipient);
        let failure = self.error_code.zip(class).map(failure);
        Ok(ReceivedReceipt {
            receipt_id: self.receipt_id,
            callback_id: self.callback_id,
            proved_too: self.accounts.into_iter().filter(|account| *account != self.account).collect(),
            account: self.account,
            received_at: self.received_at,
            receipt: DeliveryReceipt {
                status: word("unmatched_receipts.status", &self.status)?,
                attempt_id: self.attempt_id.and_then(|id| AttemptId::parse(&id.to_string())),
                provider_message_id: self.provider_message_id,
                provider_at: self.provider_at,
                failure,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_waited_holds_for_its_person_alone() {
        for class in ["config_error", "rate_limited", "retryable", "recipient_unreachable", "expired", "other"] {
            let row = UnmatchedRow {
                receipt_id: Uuid::nil(),
                account: "wa".into(),
                provider_message_id: "wamid.1".into(),
                attempt_id: None,
                callback_id: Uuid::nil(),
                status: "failed".into(),
                provider_at: None,
                received_at: DateTime::UNIX_EPOCH,
                error_code: Some("131042".into()),
                error_class: Some(class.into()),
                accounts: vec!["wa".into()],
                slot: 1,
                looks: 0,
            };
            let failure = row.into_receipt().unwrap().receipt.failure.unwrap();
            assert_eq!((failure.class.as_str(), failure.scope), (class, Scope::Recipient));
        }
    }
}
