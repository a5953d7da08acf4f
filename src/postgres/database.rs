//! Making a database. The only SQL outside the store: it runs before the store has a database.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>: `duplicate_database`, and `unique_violation` when two
/// create it in the same moment.
const EXISTS_ALREADY: [&str; 2] = ["42P04", "23505"];

/// Makes the database `name` unless it exists. `admin_url` names another database of the same server, with a role that
/// may create databases. Many may call it at once, and again.
///
/// # Errors
/// No connection, or the role may not create databases.
pub async fn ensure_database(admin_url: &str, name: &str) -> Result<(), sqlx::Error> {
    let mut admin = PgConnection::connect(admin_url).await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(&mut admin)
        .await?;
    if !exists {
        let create = format!("create database \"{}\"", name.replace('"', "\"\""));
        match sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await {
            Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| EXISTS_ALREADY.contains(&&*code)) => {}
            other => {
                other?;
            }
        }
    }
    admin.close().await
}
