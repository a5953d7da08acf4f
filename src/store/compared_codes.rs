//! Table `compared_codes`: right and wrong codes of each app, by minute.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::app_id::AppId;
use crate::domain::spraying::Compared;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::Database;

/// Adds what this instance counted in a minute.
pub async fn add(
    pool: &Database,
    instance: Uuid,
    minute_at: DateTime<Utc>,
    counts: &[(AppId, Compared)],
) -> Result<(), StoreError> {
    columns!(query, [instance, minute_at], for (app, compared) in counts {
            "app": "text" ~ app.as_str(),
            "right_ones": "bigint" = compared.right,
            "wrong_ones": "bigint" = compared.wrong,
        },
        "-- compared_codes.add
        insert into compared_codes as o (" {names} ", instance, minute_at)
        select " {names} ", $1, $2 from " {rows "n"} "
        on conflict (app, minute_at, instance) do update
           set right_ones = o.right_ones + excluded.right_ones, wrong_ones = o.wrong_ones + excluded.wrong_ones"
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The sums of each app since `since`, of all instances.
pub async fn since(pool: &Database, since: DateTime<Utc>) -> Result<HashMap<AppId, Compared>, StoreError> {
    let rows = sqlx::query!(
        r#"-- compared_codes.since
        select app, sum(right_ones)::bigint as "right!", sum(wrong_ones)::bigint as "wrong!"
          from compared_codes where minute_at >= $1 group by app"#,
        since
    )
    .fetch_all(pool)
    .await?;
    let sums = rows.into_iter().map(|row| (AppId::stored(&row.app), Compared { right: row.right, wrong: row.wrong }));
    Ok(sums.collect())
}

/// Deletes at most `limit` rows of before `before`. Returns how many.
pub async fn forget(pool: &Database, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- compared_codes.forget
        delete from compared_codes
         where (app, minute_at, instance) in
               (select app, minute_at, instance from compared_codes where minute_at < $1 limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
