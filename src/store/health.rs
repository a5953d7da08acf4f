//! What is asked of the database itself.

use chrono::{DateTime, Utc};

use crate::store::StoreError;
use crate::store::database::Database;

/// The database's clock: the one clock of all instances.
pub async fn database_time(pool: &Database) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"-- health.database_time
        select clock_timestamp() as "now!""#
    )
    .fetch_one(pool)
    .await?)
}
