//! What is asked of the database itself.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::store::StoreError;

/// The database's clock: the one clock of all instances.
pub async fn database_time(pool: &PgPool) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"-- health.database_time
        select clock_timestamp() as "now!""#
    )
    .fetch_one(pool)
    .await?)
}
