//! Finds the rows that the loops process: rows whose time has come, locked by the transaction that finds them.
//!
//! Rows locked by others are skipped and the next ones are taken, so instances that look at the same moment take
//! different rows. The lock is on the message, as for every other change. It never waits, so the order of locking does
//! not matter.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::app_id::AppId;
use crate::domain::ids::MessageId;
use crate::store::StoreError;
use crate::store::database::Session;
use crate::store::stored::message_id;

/// Which rows.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Attempts that are due to be sent through these accounts; if `keys` is given, only those whose code is under one
    /// of them.
    Due { capacities: Vec<Capacity>, keys: Option<Vec<i16>> },
    /// Attempts that are due, through any account, and whose code is under one of these keys.
    Sealed(Vec<i16>),
    /// Attempts whose replacement deadline has passed.
    Overdue,
    /// Attempts whose lease expired because their sender is gone; those of the listed messages are excluded.
    Abandoned(Vec<Uuid>),
    /// Pending messages whose life is over.
    Ended,
}

/// What an account may send now.
#[derive(Clone, Debug)]
pub struct Capacity {
    pub account: String,
    pub sends: i64,
    /// The app that comes first; drawn anew each time, so that an account that sends one message at a time serves all
    /// apps.
    pub first_app: usize,
}

/// A claimed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub message: MessageId,
    /// 0 if the message itself was claimed.
    pub attempt_no: i16,
    /// Empty if the message itself was claimed.
    pub account: String,
    pub app: AppId,
}

/// Claims at most `limit` rows, oldest first, except those of the messages `except`. Of what is due to be sent, each
/// app of an account gets an equal share.
pub async fn take(
    connection: &mut Session,
    claim: &Claim,
    now: DateTime<Utc>,
    limit: i64,
    except: &[Uuid],
) -> Result<Vec<Claimed>, StoreError> {
    let rows = match claim {
        Claim::Due { capacities, keys } => {
            return due(connection, capacities, keys.as_deref(), now, limit, except).await;
        }
        Claim::Sealed(keys) => {
            sqlx::query_as!(
                Row,
                "-- claims.sealed
        select a.message_id, a.attempt_no, a.account, a.app
          from attempts a join messages m on m.bucket = a.bucket and m.message_id = a.message_id
         where a.due_at is not null and a.due_at <= $1 and m.code_key_id = any($4) and a.message_id <> all ($3)
         order by a.due_at limit $2
           for no key update of m skip locked",
                now,
                limit,
                except,
                keys
            )
            .fetch_all(connection)
            .await?
        }
        Claim::Overdue => {
            sqlx::query_as!(
                Row,
                "-- claims.overdue
        select a.message_id, a.attempt_no, a.account, a.app
          from attempts a join messages m on m.bucket = a.bucket and m.message_id = a.message_id
         where a.timer = 'armed' and a.replace_at <= $1 and a.message_id <> all ($3)
         order by a.replace_at limit $2
           for no key update of m skip locked",
                now,
                limit,
                except
            )
            .fetch_all(connection)
            .await?
        }
        Claim::Abandoned(alive) => {
            sqlx::query_as!(
                Row,
                "-- claims.abandoned
        select a.message_id, a.attempt_no, a.account, a.app
          from attempts a join messages m on m.bucket = a.bucket and m.message_id = a.message_id
         where a.leased_until <= $1 and a.message_id <> all ($3)
         order by a.leased_until limit $2
           for no key update of m skip locked",
                now,
                limit,
                &[except, alive].concat()
            )
            .fetch_all(connection)
            .await?
        }
        Claim::Ended => {
            sqlx::query_as!(
                Row,
                r#"-- claims.ended
        select m.message_id, 0::smallint as "attempt_no!", '' as "account!", m.app from messages m
         where m.outcome = 'pending' and m.expires_at <= $1 and m.message_id <> all ($3)
         order by m.expires_at limit $2
           for no key update of m skip locked"#,
                now,
                limit,
                except
            )
            .fetch_all(connection)
            .await?
        }
    };
    claimed(rows)
}

struct Row {
    message_id: Uuid,
    attempt_no: i16,
    account: String,
    app: String,
}

fn claimed(rows: Vec<Row>) -> Result<Vec<Claimed>, StoreError> {
    rows.into_iter()
        .map(|row| {
            let message = message_id(row.message_id)?;
            Ok(Claimed { message, attempt_no: row.attempt_no, account: row.account, app: AppId::stored(&row.app) })
        })
        .collect()
}

/// Reads one index row per app that has something due, however much that is.
async fn due(
    connection: &mut Session,
    capacities: &[Capacity],
    keys: Option<&[i16]>,
    now: DateTime<Utc>,
    limit: i64,
    except: &[Uuid],
) -> Result<Vec<Claimed>, StoreError> {
    let accounts: Vec<&str> = capacities.iter().map(|c| c.account.as_str()).collect();
    let sends: Vec<i64> = capacities.iter().map(|c| c.sends.min(limit)).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"-- claims.due
        with recursive queues (account, sends, app) as (
            select q.account, q.sends,
                   (select a.app from attempts a where a.account = q.account and a.due_at is not null
                     order by a.app limit 1)
              from unnest($1::text[], $2::bigint[]) as q (account, sends)
            union all
            select q.account, q.sends,
                   (select a.app from attempts a where a.account = q.account and a.due_at is not null and a.app > q.app
                     order by a.app limit 1)
              from queues q where q.app is not null
        ), shares as (
            select account, app, (sends + count(*) over same_account - 1) / count(*) over same_account as share
              from queues where app is not null
            window same_account as (partition by account)
        )
        select d.message_id as "message_id!", d.attempt_no as "attempt_no!", s.account as "account!", s.app as "app!"
          from shares s
         cross join lateral (
               select a.message_id, a.attempt_no
                 from attempts a join messages m on m.bucket = a.bucket and m.message_id = a.message_id
                where a.account = s.account and a.app = s.app and a.due_at is not null and a.due_at <= $3
                  and a.message_id <> all ($4) and ($5::smallint[] is null or m.code_key_id = any($5))
                order by a.due_at limit s.share
                  for no key update of m skip locked) d"#,
        &accounts as _,
        &sends,
        now,
        except,
        keys as _
    )
    .fetch_all(connection)
    .await?;
    let mut rows = claimed(rows)?;
    Ok(capacities.iter().zip(&sends).flat_map(|(c, &sends)| in_turn(&mut rows, c, sends)).collect())
}

/// Moves at most `sends` of the account's rows out of `rows`, one of each app in turn.
fn in_turn(rows: &mut Vec<Claimed>, capacity: &Capacity, sends: i64) -> Vec<Claimed> {
    let mut queues: BTreeMap<AppId, VecDeque<Claimed>> = BTreeMap::new();
    for row in rows.extract_if(.., |row| row.account == capacity.account) {
        queues.entry(row.app.clone()).or_default().push_back(row);
    }
    let mut queues: Vec<VecDeque<Claimed>> = queues.into_values().collect();
    if !queues.is_empty() {
        let first = capacity.first_app % queues.len();
        queues.rotate_left(first);
    }
    let mut taken = Vec::new();
    while taken.len() < usize::try_from(sends).unwrap_or(0) && !queues.is_empty() {
        queues.retain_mut(|queue| {
            taken.extend(queue.pop_front());
            !queue.is_empty()
        });
    }
    taken.truncate(usize::try_from(sends).unwrap_or(0));
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Bucket;
    use crate::domain::phone::Phone;

    fn row(account: &str, app: &str, n: u8) -> Claimed {
        let at = DateTime::from_timestamp(1_789_034_400, 0).unwrap();
        let message = MessageId::new(at, Bucket::of(&Phone::parse("+628123450003").unwrap()), [n; 8]);
        Claimed { message, attempt_no: 1, account: account.into(), app: AppId::stored(app) }
    }

    fn apps(first_app: usize, sends: i64) -> Vec<String> {
        let mut rows: Vec<Claimed> = (0..4).map(|n| row("wa", "big", n)).collect();
        rows.extend([row("wa", "small", 9), row("sms", "small", 9), row("wa", "tiny", 9)]);
        let capacity = Capacity { account: "wa".into(), sends, first_app };
        in_turn(&mut rows, &capacity, sends).into_iter().map(|row| row.app.to_string()).collect()
    }

    #[test]
    fn each_app_gets_a_turn() {
        assert_eq!(apps(0, 5), ["big", "small", "tiny", "big", "big"]);
        assert_eq!(apps(1, 2), ["small", "tiny"]);
        assert_eq!(apps(5, 1), ["tiny"]);
        assert_eq!(apps(0, 100).len(), 6);
    }
}
