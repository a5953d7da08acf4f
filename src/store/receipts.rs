//! Tables `receipts` (of attempts that we know) and `unmatched_receipts` (of ids that we do not know, yet).

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::ids::{AttemptId, MessageId};
use crate::domain::receipt::{DeliveryReceipt, Disposition, ErrorClass, Failure};
use crate::store::database::{Database, Session};
use crate::store::{StoreError, slot, word};

/// A receipt as it came in.
#[derive(Clone, Debug)]
pub struct ReceivedReceipt {
    /// UUIDv7, drawn when it came in; keeps its name when it is matched later.
    pub receipt_id: Uuid,
    pub callback_id: Uuid,
    /// The account of the address that it came to.
    pub account: String,
    /// Others whose settings prove the callback as well: it may speak of their attempts.
    pub proved_too: Vec<String>,
    pub received_at: DateTime<Utc>,
    pub receipt: DeliveryReceipt,
}

impl ReceivedReceipt {
    /// Whether it may speak of this account's attempts.
    pub fn speaks_for(&self, account: &str) -> bool {
        self.account == account || self.proved_too.iter().any(|other| other == account)
    }

    /// All accounts of whose attempts it may speak.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.account.as_str()).chain(self.proved_too.iter().map(String::as_str))
    }
}

/// A receipt with the attempt it speaks of.
#[derive(Clone, Debug)]
pub struct MatchedReceipt<'a> {
    pub received: &'a ReceivedReceipt,
    pub message: MessageId,
    pub attempt_no: i16,
    pub app: &'a str,
    /// Of the attempt.
    pub account: &'a str,
    pub disposition: Disposition,
}

/// Most receipts of a message of which repeats are kept: providers repeat what they do not hear answered, for days.
const REPEATS_KEPT: i64 = 100;

/// Stores receipts of known attempts. One that is there already stays as it is, and repeats beyond [`REPEATS_KEPT`] are left
/// out. Returns how many were not stored.
pub async fn insert(connection: &mut Session, receipts: &[MatchedReceipt<'_>]) -> Result<u64, StoreError> {
    let column = |f: fn(&MatchedReceipt<'_>) -> Uuid| receipts.iter().map(f).collect::<Vec<_>>();
    let text = |f: for<'b> fn(&'b MatchedReceipt<'_>) -> &'b str| receipts.iter().map(f).collect::<Vec<_>>();
    let failure = |r: &MatchedReceipt<'_>| r.received.receipt.failure.clone();
    let buckets: Vec<i16> = receipts.iter().map(|r| r.message.bucket().as_i16()).collect();
    let attempt_nos: Vec<i16> = receipts.iter().map(|r| r.attempt_no).collect();
    let provider_at: Vec<Option<DateTime<Utc>>> = receipts.iter().map(|r| r.received.receipt.provider_at).collect();
    let received_at: Vec<DateTime<Utc>> = receipts.iter().map(|r| r.received.received_at).collect();
    let codes: Vec<Option<String>> = receipts.iter().map(|r| failure(r).map(|f| f.code)).collect();
    let classes: Vec<Option<&str>> = receipts.iter().map(|r| failure(r).map(|f| f.class.as_str())).collect();
    let done = sqlx::query!(
        "-- receipts.insert
        insert into receipts (bucket, receipt_id, message_id, attempt_no, app, account, callback_id, status, disposition,
                              provider_message_id, provider_at, received_at, error_code, error_class)
        select n.*
          from unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::text[], $7::uuid[],
                      $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::text[],
                      $14::text[])
               as n (bucket, receipt_id, message_id, attempt_no, app, account, callback_id, status, disposition,
                     provider_message_id, provider_at, received_at, error_code, error_class)
         where n.disposition <> 'duplicate'
            or (select count(*) from (select from receipts r where r.bucket = n.bucket and r.message_id = n.message_id
                                       limit $15) k) < $15
        on conflict do nothing",
        &buckets,
        &column(|r| r.received.receipt_id),
        &column(|r| r.message.uuid()),
        &attempt_nos,
        &text(|r| r.app) as _,
        &text(|r| r.account) as _,
        &column(|r| r.received.callback_id),
        &text(|r| r.received.receipt.status.as_str()) as _,
        &text(|r| r.disposition.as_str()) as _,
        &text(|r| &r.received.receipt.provider_message_id) as _,
        &provider_at as _,
        &received_at,
        &codes as _,
        &classes as _,
        REPEATS_KEPT
    )
    .execute(connection)
    .await?;
    Ok((receipts.len() as u64).saturating_sub(done.rows_affected()))
}

/// A stored receipt of a known attempt, for the timeline. The words are as stored: a newer program may have its own.
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

/// All receipts of a message that are kept, in the order in which they came.
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

/// Keeps receipts of ids that we do not know, until the id lands.
pub async fn insert_unmatched(pool: &Database, receipts: &[ReceivedReceipt]) -> Result<(), StoreError> {
    let slots: Vec<i16> = receipts.iter().map(|r| slot(&[&r.account, &r.receipt.provider_message_id])).collect();
    let ids: Vec<Uuid> = receipts.iter().map(|r| r.receipt_id).collect();
    let callbacks: Vec<Uuid> = receipts.iter().map(|r| r.callback_id).collect();
    let accounts: Vec<&str> = receipts.iter().map(|r| r.account.as_str()).collect();
    let names: Vec<&str> = receipts.iter().map(|r| r.receipt.provider_message_id.as_str()).collect();
    let attempts: Vec<Option<Uuid>> = receipts.iter().map(|r| r.receipt.attempt_id.map(AttemptId::uuid)).collect();
    let statuses: Vec<&str> = receipts.iter().map(|r| r.receipt.status.as_str()).collect();
    let provider_at: Vec<Option<DateTime<Utc>>> = receipts.iter().map(|r| r.receipt.provider_at).collect();
    let received_at: Vec<DateTime<Utc>> = receipts.iter().map(|r| r.received_at).collect();
    let failure = |r: &ReceivedReceipt| r.receipt.failure.clone();
    let codes: Vec<Option<String>> = receipts.iter().map(|r| failure(r).map(|f| f.code)).collect();
    let classes: Vec<Option<&str>> = receipts.iter().map(|r| failure(r).map(|f| f.class.as_str())).collect();
    // Names of accounts hold no comma.
    let proved: Vec<String> = receipts.iter().map(|r| r.accounts().collect::<Vec<_>>().join(",")).collect();
    let bad: Vec<bool> = receipts.iter().map(|r| failure(r).is_some_and(|f| f.number_is_bad)).collect();
    sqlx::query!(
        "-- unmatched_receipts.insert
        insert into unmatched_receipts (slot, receipt_id, account, provider_message_id, attempt_id, callback_id, status,
                                        provider_at, received_at, error_code, error_class, number_is_bad, accounts)
        select slot, receipt_id, account, name, attempt_id, callback_id, status, provider_at, received_at, error_code,
               error_class, number_is_bad, string_to_array(accounts, ',')
          from unnest($1::smallint[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[],
                      $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::boolean[], $13::text[])
               as n (slot, receipt_id, account, name, attempt_id, callback_id, status, provider_at, received_at,
                     error_code, error_class, number_is_bad, accounts)
        on conflict do nothing",
        &slots,
        &ids,
        &accounts as _,
        &names as _,
        &attempts as _,
        &callbacks,
        &statuses as _,
        &provider_at as _,
        &received_at,
        &codes as _,
        &classes as _,
        &bad,
        &proved
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
               error_code, error_class, number_is_bad, accounts, slot, looks
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

/// How long after each look the next one follows. After the last, a receipt is only kept.
const LOOK_AGAIN: [TimeDelta; 5] = [
    TimeDelta::seconds(1),
    TimeDelta::seconds(8),
    TimeDelta::seconds(64),
    TimeDelta::seconds(512),
    TimeDelta::seconds(4096),
];

/// Takes up waiting receipts that are due to be looked at, oldest first, and plans their next look: an instance that dies
/// meanwhile costs one look.
pub async fn take_up(pool: &Database, now: DateTime<Utc>, limit: i64) -> Result<Vec<ReceivedReceipt>, StoreError> {
    let mut transaction = pool.begin().await?;
    let rows = sqlx::query_as!(
        UnmatchedRow,
        "-- unmatched_receipts.due
        select receipt_id, account, provider_message_id, attempt_id, callback_id, status, provider_at, received_at,
               error_code, error_class, number_is_bad, accounts, slot, looks
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
    let column = |f: fn(&UnmatchedRow) -> &str| rows.iter().map(f).collect::<Vec<_>>();
    let next = |row: &UnmatchedRow| {
        let looks = usize::try_from(row.looks).unwrap_or(0).min(LOOK_AGAIN.len() - 1);
        now + LOOK_AGAIN[looks]
    };
    sqlx::query!(
        "-- unmatched_receipts.look_again
        update unmatched_receipts u set looks = u.looks + 1, look_at = n.look_at
          from unnest($1::smallint[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[])
               as n (slot, account, provider_message_id, receipt_id, look_at)
         where u.slot = n.slot and u.account = n.account and u.provider_message_id = n.provider_message_id
           and u.receipt_id = n.receipt_id",
        &rows.iter().map(|row| row.slot).collect::<Vec<_>>(),
        &column(|row| &row.account) as _,
        &column(|row| &row.provider_message_id) as _,
        &rows.iter().map(|row| row.receipt_id).collect::<Vec<_>>(),
        &rows.iter().map(next).collect::<Vec<_>>()
    )
    .execute(&mut transaction)
    .await?;
    transaction.commit().await?;
    Ok(readable(rows))
}

/// Leaves out rows with a word of a newer program: they wait for an instance that knows it.
fn readable(rows: Vec<UnmatchedRow>) -> Vec<ReceivedReceipt> {
    rows.into_iter().filter_map(|row| row.into_receipt().ok()).collect()
}

/// Forgets receipts that were matched; they stand in `receipts` now.
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

/// Forgets receipts that came before `before` and that nobody claimed; at most `limit` of them. Returns how many.
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
    number_is_bad: bool,
    accounts: Vec<String>,
    slot: i16,
    looks: i16,
}

impl UnmatchedRow {
    fn into_receipt(self) -> Result<ReceivedReceipt, StoreError> {
        let class = self.error_class.as_deref().map(ErrorClass::read);
        let number_is_bad = self.number_is_bad;
        let failure = self.error_code.zip(class).map(|(code, class)| Failure { code, class, number_is_bad });
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
