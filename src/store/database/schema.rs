//! Whether the database has the tables that this program needs.

use sqlx::migrate::Migrator;
use sqlx::{Executor, Postgres};

use crate::store::StoreError;

/// Maximum number of missing migrations that are named; further ones are counted.
const NAMED: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("this database has no otpost tables: run `otpost migrate`")]
    Empty,
    #[error(
        "this database's tables are older than this program: {missing} of its migrations are missing ({names}); run \
         `otpost migrate`"
    )]
    Older { missing: usize, names: String },
    #[error("migration {0} of this database was interrupted: run `otpost migrate`, which reports the cause")]
    Broken(i64),
    #[error(
        "user \"{0}\" may not read and write the otpost tables of this database: grant it select, insert, update and delete"
    )]
    Forbidden(String),
    #[error("cannot read the database's list of migrations")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SchemaError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Compares the applied migrations with those of `migrator`. Unknown newer ones are not an error: while instances are
/// replaced one by one, an older version works with the tables of the next one.
///
/// # Errors
/// See [`SchemaError`].
pub async fn check(
    migrator: &Migrator,
    database: impl Executor<'_, Database = Postgres> + Copy,
) -> Result<(), SchemaError> {
    let sql = "select to_regclass('_sqlx_migrations') is not null and to_regclass('messages') is not null, \
                      coalesce(has_table_privilege(to_regclass('_sqlx_migrations'), 'select'), true), \
                      coalesce(has_table_privilege(to_regclass('messages'), 'select') \
                               and has_table_privilege(to_regclass('messages'), 'insert') \
                               and has_table_privilege(to_regclass('messages'), 'update'), true), \
                      current_user::text";
    let (exist, readable, writable, user): (bool, bool, bool, String) =
        sqlx::query_as(sql).persistent(false).fetch_one(database).await?;
    if !exist {
        return Err(SchemaError::Empty);
    }
    if !readable || !writable {
        return Err(SchemaError::Forbidden(user));
    }
    let applied: Vec<(i64, bool)> = sqlx::query_as("select version, success from _sqlx_migrations order by version")
        .persistent(false)
        .fetch_all(database)
        .await?;
    if let Some((version, _)) = applied.iter().find(|(_, success)| !success) {
        return Err(SchemaError::Broken(*version));
    }
    let is_applied = |version: i64| applied.iter().any(|(one, _)| *one == version);
    let missing: Vec<&str> =
        migrator.iter().filter(|one| !is_applied(one.version)).map(|one| one.description.as_ref()).collect();
    match missing.len() {
        0 => Ok(()),
        n if n == migrator.iter().count() => Err(SchemaError::Empty),
        n => {
            let more = if n > NAMED { ", ..." } else { "" };
            Err(SchemaError::Older { missing: n, names: format!("{}{more}", missing[..n.min(NAMED)].join(", ")) })
        }
    }
}
