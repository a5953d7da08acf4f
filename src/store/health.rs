//! Queries about the database itself.

use chrono::{DateTime, Utc};

use crate::store::StoreError;
use crate::store::database::Database;

/// The database's clock, which all instances use.
pub async fn database_time(pool: &Database) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"-- health.database_time
        select clock_timestamp() as "now!""#
    )
    .fetch_one(pool)
    .await?)
}
